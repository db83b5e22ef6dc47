//! Pings that are asked again until they are answered: those of steps, and those of the probe.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::scenario::Label;
use crate::trace::{HostIndex, Nanos};

/// How long a question waits for its answer before it is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// One node asks another until it is answered, or has asked often enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Talk {
    pub(crate) from: HostIndex,
    pub(crate) to: HostIndex,
    pub(crate) label: Option<Label>,
    pub(crate) answered: Option<Nanos>,
    tries_left: u32,
    asks_at: Nanos,
}

impl Talk {
    /// Returns whether it is answered, or was asked for the last time and has waited.
    pub(crate) fn is_over(&self, now: Nanos) -> bool {
        self.answered.is_some() || (self.tries_left == 0 && self.asks_at <= now)
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Talks {
    talks: Vec<Talk>,
    by_token: BTreeMap<u64, usize>,
}

/// A question that is to be asked at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) from: HostIndex,
    pub(crate) to: HostIndex,
    pub(crate) token: u64,
}

impl Talks {
    /// Starts a talk; its first question is due at once. Returns its place.
    pub(crate) fn start(
        &mut self,
        [from, to]: [HostIndex; 2],
        tries: u32,
        label: Option<Label>,
        now: Nanos,
    ) -> usize {
        self.talks.push(Talk { from, to, label, answered: None, tries_left: tries, asks_at: now });
        self.talks.len() - 1
    }

    /// Takes the next question that is due.
    pub(crate) fn poll_question(&mut self, now: Nanos) -> Option<Question> {
        let is_due = |talk: &Talk| talk.answered.is_none() && talk.tries_left > 0 && talk.asks_at <= now;
        let place = self.talks.iter().position(is_due)?;
        let token = self.by_token.len() as u64 + 1;
        self.by_token.insert(token, place);
        let talk = self.talks.get_mut(place)?;
        talk.tries_left -= 1;
        talk.asks_at = later(now, ASK_AGAIN);
        Some(Question { from: talk.from, to: talk.to, token })
    }

    /// Returns when the next question is due.
    pub(crate) fn next_at(&self) -> Option<Nanos> {
        let waiting = self.talks.iter().filter(|talk| talk.answered.is_none() && talk.tries_left > 0);
        waiting.map(|talk| talk.asks_at).min()
    }

    /// Notes an answer.
    pub(crate) fn on_pong(&mut self, token: u64, at: Nanos) {
        if let Some(talk) = self.by_token.get(&token).and_then(|place| self.talks.get_mut(*place)) {
            talk.answered.get_or_insert(at);
        }
    }

    /// Returns whether every talk has come to its end: answered, or asked for the last time and waited.
    pub(crate) fn are_over(&self, now: Nanos) -> bool {
        self.talks.iter().all(|talk| talk.is_over(now))
    }

    /// Returns how many there are.
    pub(crate) fn len(&self) -> usize {
        self.talks.len()
    }

    /// Returns when the last wait for an answer ends, if one is waited for.
    pub(crate) fn waits_until(&self) -> Option<Nanos> {
        self.talks.iter().filter(|talk| talk.answered.is_none()).map(|talk| talk.asks_at).min()
    }

    /// Lists the talks under a name.
    pub(crate) fn called<'a>(&'a self, label: &'a Label) -> impl Iterator<Item = &'a Talk> {
        self.talks.iter().filter(move |talk| talk.label.as_ref() == Some(label))
    }

    /// Returns whether all talks under a name are answered; `None` where there is none.
    pub(crate) fn answered(&self, label: &Label) -> Option<bool> {
        let mut talks = self.called(label).peekable();
        talks.peek()?;
        Some(talks.all(|talk| talk.answered.is_some()))
    }

    /// Lists the talks from a place on.
    pub(crate) fn since(&self, place: usize) -> &[Talk] {
        self.talks.get(place..).unwrap_or_default()
    }
}

/// Returns the moment that is so much later.
pub(crate) fn later(at: Nanos, wait: Duration) -> Nanos {
    Nanos(at.0.saturating_add(u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAIR: [HostIndex; 2] = [HostIndex(0), HostIndex(1)];

    fn seconds(seconds: u64) -> Nanos {
        Nanos(seconds * 1_000_000_000)
    }

    #[test]
    fn a_question_is_asked_again_each_second_until_it_is_answered() {
        let mut talks = Talks::default();
        talks.start(PAIR, 5, None, seconds(0));

        let first = talks.poll_question(seconds(0)).unwrap();
        assert_eq!(talks.poll_question(seconds(0)), None);
        let second = talks.poll_question(seconds(1)).unwrap();
        talks.on_pong(first.token, seconds(1));

        assert_ne!(first.token, second.token);
        assert_eq!(talks.poll_question(seconds(2)), None);
        assert!(talks.are_over(seconds(1)));
    }

    #[test]
    fn a_talk_without_answer_is_over_a_second_after_its_last_question() {
        let mut talks = Talks::default();
        talks.start(PAIR, 1, Some(Label("ping".into())), seconds(0));
        talks.poll_question(seconds(0)).unwrap();

        assert!(!talks.are_over(seconds(0)) && talks.are_over(seconds(1)));
        assert_eq!(talks.answered(&Label("ping".into())), Some(false));
        assert_eq!(talks.answered(&Label("other".into())), None);
    }
}
