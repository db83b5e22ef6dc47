//! How much the data thread does at a stretch, and when it lets others have its processor. Where more threads have work than
//! there are processors, as those of several nodes on one machine, and of the programs that use them, the kernel lets each go on
//! until its next tick, some 4 ms. All that comes meanwhile waits, and the next thread on the way gets it in one heap: a packet
//! that passes several threads waits several times, tens of milliseconds in all. Threads that yield after each piece of their work
//! keep the heaps small. Larger heaps are less work.

use std::time::{Duration, Instant};

use crate::clock;

/// Batches received in one turn, of 32 buffers of 64 KiB of coalesced datagrams each, so that timers and commands stay prompt:
/// 8 are 16 MiB, at the worst a tenth of a second of work, where neighbours wait for hellos for 1.75 s.
const BATCHES_PER_TURN: usize = 8;

/// Packets taken from the interface in one turn, each segment of a larger one counted, for the same reason: 256 x 3 us.
const PACKETS_PER_TURN: usize = 256;

/// The same where latency is favoured: as many packets as one call sends. What is in the overlay already goes before more
/// comes into it.
const BATCHES_PER_SHORT_TURN: usize = 1;
const PACKETS_PER_SHORT_TURN: usize = 64;

/// How long a thread goes on before it yields: some 64 packets. To yield costs half a microsecond where nobody else wants the processor.
const TURN: Duration = Duration::from_micros(100);

/// A thread that yields as we do is done within some turns. One that only computes takes all it is given, and since Linux
/// 6.18 whoever yields gives what is left of its slice away for good.
const LONG: Duration = Duration::from_millis(1);

/// Long absences in a row after which the others are taken for such. One alone may be chance.
const LONG_MAX: u32 = 3;

/// How many times as long as we were away nothing is yielded then: it costs a twentieth of our share.
const HOLD: u32 = 20;

/// What matters more where both cannot be had.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Favour {
    /// How much gets through.
    #[default]
    Throughput,
    /// How long it takes beside all else that wants a processor.
    Latency,
}

/// How the work is cut.
#[derive(Debug)]
pub(super) struct Pace {
    /// Batches received in one turn.
    pub(super) batches: usize,
    /// Packets taken from the interface in one turn.
    pub(super) packets: usize,
    courtesy: Option<Courtesy>,
}

impl Pace {
    pub(super) fn new(favour: Favour) -> Self {
        match favour {
            Favour::Throughput => {
                Self { batches: BATCHES_PER_TURN, packets: PACKETS_PER_TURN, courtesy: None }
            }
            Favour::Latency => Self {
                batches: BATCHES_PER_SHORT_TURN,
                packets: PACKETS_PER_SHORT_TURN,
                courtesy: Some(Courtesy::new()),
            },
        }
    }

    /// Notes that the thread had nothing to do for a while.
    pub(super) fn note_slept(&mut self) {
        if let Some(courtesy) = &mut self.courtesy {
            courtesy.since = clock::now();
        }
    }

    /// Lets others have the processor if it is time; called between two turns.
    pub(super) fn offer(&mut self) {
        if let Some(courtesy) = &mut self.courtesy {
            courtesy.offer();
        }
    }
}

/// Decides when to yield.
#[derive(Debug)]
struct Courtesy {
    /// Since when the thread goes on without a break, as far as it knows.
    since: Instant,
    /// Long absences in a row, and how long they were together.
    long: u32,
    away: Duration,
    held_until: Option<Instant>,
}

impl Courtesy {
    fn new() -> Self {
        Self { since: clock::now(), long: 0, away: Duration::ZERO, held_until: None }
    }

    fn offer(&mut self) {
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
