//! When a thread lets others have its processor, and when not.

use std::time::{Duration, Instant};

use crate::clock;

/// How long a thread goes on before it yields: some 64 packets. To yield costs half a microsecond where nobody else wants the processor.
const TURN: Duration = Duration::from_micros(100);

/// A thread that yields as we do is done within some turns. One that only computes takes all it is given, and since Linux
/// 6.18 whoever yields gives what is left of its slice away for good.
const LONG: Duration = Duration::from_millis(1);

/// Long absences in a row after which the others are taken for such. One alone may be chance.
const LONG_MAX: u32 = 3;

/// How many times as long as we were away nothing is yielded then: it costs a twentieth of our share.
const HOLD: u32 = 20;

/// Decides when to yield.
#[derive(Debug)]
pub(super) struct Courtesy {
    /// Since when the thread goes on without a break, as far as it knows.
    since: Instant,
    /// Long absences in a row, and how long they were together.
    long: u32,
    away: Duration,
    held_until: Option<Instant>,
}

impl Courtesy {
    pub(super) fn new() -> Self {
        Self { since: clock::now(), long: 0, away: Duration::ZERO, held_until: None }
    }

    /// Notes that the thread had nothing to do for a while.
    pub(super) fn note_slept(&mut self) {
        self.since = clock::now();
    }

    /// Yields if it is time; called between two turns.
    pub(super) fn offer(&mut self) {
        let now = clock::now();
        if self.is_due(now) {
            std::thread::yield_now();
            self.note_away(now, clock::now());
        }
    }

    fn is_due(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= TURN && self.held_until.is_none_or(|until| now >= until)
    }

    /// Notes that the thread had yielded, from then to then.
    fn note_away(&mut self, from: Instant, to: Instant) {
        self.since = to;
        let away = to.saturating_duration_since(from);
        if away < LONG {
            (self.long, self.away) = (0, Duration::ZERO);
            return;
        }
        self.long += 1;
        self.away += away;
        if self.long >= LONG_MAX {
            self.held_until = Some(to + self.away * HOLD);
            (self.long, self.away) = (0, Duration::ZERO);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_micros(150);

    /// Goes on for so long, then is away for so long; returns when it is back.
    fn go_on(courtesy: &mut Courtesy, for_long: Duration, away: Duration, now: Instant) -> Instant {
        let from = now + for_long;
        assert!(courtesy.is_due(from));
        courtesy.note_away(from, from + away);
        from + away
    }

    #[test]
    fn a_thread_that_has_just_yielded_goes_on() {
        let mut courtesy = Courtesy::new();
        let start = courtesy.since;
        assert!(!courtesy.is_due(start + TURN / 2));
        assert!(courtesy.is_due(start + TURN));

        let back = go_on(&mut courtesy, TURN, SHORT, start);

        assert!(!courtesy.is_due(back + TURN / 2));
    }

    #[test]
    fn nothing_is_yielded_for_a_while_to_who_takes_all_he_gets() {
        let mut courtesy = Courtesy::new();
        let mut now = courtesy.since;
        for _ in 0..LONG_MAX {
            now = go_on(&mut courtesy, TURN, LONG * 4, now);
        }

        assert!(!courtesy.is_due(now + LONG * 4 * LONG_MAX * HOLD - TURN));
        assert!(courtesy.is_due(now + LONG * 4 * LONG_MAX * HOLD));
    }

    #[test]
    fn a_long_absence_now_and_then_is_chance() {
        let mut courtesy = Courtesy::new();
        let mut now = courtesy.since;

        for _ in 0..100 {
            now = go_on(&mut courtesy, TURN, LONG * 4, now);
            now = go_on(&mut courtesy, TURN, LONG * 4, now);
            now = go_on(&mut courtesy, TURN, SHORT, now);
        }
    }
}
