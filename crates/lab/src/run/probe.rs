//! The last invariant: at quiescence, every pair that the reference model calls connected can talk.
//! Each of them asks the other until it has an answer, or has asked in vain for too long.

use crate::judge::Violation;
use crate::run::director::Director;
use crate::run::talks::Talk;
use crate::run::{Probe, RunError};
use crate::scenario::Invariant;
use crate::trace::HostIndex;

/// Pairs that are probed: all of 16 nodes. Of more, every n-th is taken.
const PAIRS_MAX: usize = 240;

/// How often each asks, a second apart. A lost neighbour is dialled again within that many seconds.
const TRIES: u32 = 60;

impl Director<'_> {
    /// Lets the connected pairs talk, and reports those that cannot.
    pub(crate) fn probe(&mut self) -> Result<(), RunError> {
        if self.wants_probe() == Probe::Off {
            return Ok(());
        }
        let pairs = sample(self.connected_pairs());
        let first = self.talks.len();
        for pair in pairs {
            self.talks.start(pair, TRIES, None, self.stage.now());
        }
        loop {
            self.ask()?;
            let now = self.stage.now();
            if self.talks.since(first).iter().all(|talk| talk.is_over(now)) {
                break;
            }
            let until =
                [self.talks.next_at(), self.talks.waits_until()].into_iter().flatten().filter(|at| *at > now);
            let Some(until) = until.min() else { break };
            self.stage.advance(until)?;
            self.watch()?;
        }
        let silent: Vec<_> =
            self.talks.since(first).iter().filter(|talk| talk.answered.is_none()).cloned().collect();
        for Talk { from, to, .. } in silent {
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
}

fn sample(pairs: Vec<[HostIndex; 2]>) -> Vec<[HostIndex; 2]> {
    let stride = pairs.len().div_ceil(PAIRS_MAX).max(1);
    pairs.into_iter().step_by(stride).collect()
}
