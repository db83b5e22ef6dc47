//! The last invariant: at quiescence, every pair that the reference model calls connected can talk.
//! Each of them asks the other until it has an answer, or has asked in vain for too long.

use crate::judge::Violation;
use crate::run::director::Director;
use crate::run::{Probe, RunError};
use crate::scenario::{Expectation, Invariant, SessionFate};
use crate::trace::HostIndex;

/// Pairs that are probed: all of 16 nodes. Of more, every n-th is taken.
const PAIRS_MAX: usize = 240;

/// How often each asks, a second apart. A lost neighbour is dialled again within that many seconds.
const TRIES: u32 = 60;

/// How often each end of a session asks that is expected to carry data. Losses are few then.
const SESSION_TRIES: u32 = 5;

impl Director<'_> {
    /// Lets both ends of every session ask the other that is expected to carry data both ways, and notes
    /// who had no answer: hellos alone would notice only after a while.
    pub(crate) fn try_sessions(&mut self) -> Result<(), RunError> {
        let carries = |expectation: &Expectation| match expectation {
            Expectation::Session { between: [one, other], fate: SessionFate::Alive | SessionFate::New } => {
                Some([[*one, *other], [*other, *one]])
            }
            _ => None,
        };
        let pairs: Vec<_> = self.expectations().iter().filter_map(carries).flatten().collect();
        self.silent = self.let_talk(&pairs, SESSION_TRIES)?.into_iter().collect();
        Ok(())
    }

    /// Lets the connected pairs talk, and reports those that cannot.
    pub(crate) fn probe(&mut self) -> Result<(), RunError> {
        if self.wants_probe() == Probe::Off {
            return Ok(());
        }
        let pairs = sample(self.connected_pairs());
        for [from, to] in self.let_talk(&pairs, TRIES)? {
            let (from, to) = (self.judge.name(from).to_owned(), self.judge.name(to).to_owned());
            self.judge.report(Violation {
                invariant: Invariant::ConnectedCanTalk,
                at: self.stage.now(),
                datagram: None,
                text: format!("{from} and {to} are connected, and {from} asked {to} {TRIES} times in vain"),
            });
        }
        Ok(())
    }

    /// Lets the first of each pair ask the second until it answers; returns those that had no answer.
    fn let_talk(&mut self, pairs: &[[HostIndex; 2]], tries: u32) -> Result<Vec<[HostIndex; 2]>, RunError> {
        let first = self.talks.len();
        for pair in pairs {
            self.talks.start(*pair, tries, None, self.stage.now());
        }
        loop {
            self.ask()?;
            let now = self.stage.now();
            if self.talks.since(first).iter().all(|talk| talk.is_over(now)) {
                break;
            }
            let moments = [self.talks.next_at(), self.talks.waits_until()];
            let Some(until) = moments.into_iter().flatten().filter(|at| *at > now).min() else { break };
            self.stage.advance(until)?;
            self.watch()?;
        }
        let silent = self.talks.since(first).iter().filter(|talk| talk.answered.is_none());
        Ok(silent.map(|talk| [talk.from, talk.to]).collect())
    }
}

fn sample(pairs: Vec<[HostIndex; 2]>) -> Vec<[HostIndex; 2]> {
    let stride = pairs.len().div_ceil(PAIRS_MAX).max(1);
    pairs.into_iter().step_by(stride).collect()
}
