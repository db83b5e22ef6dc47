//! CoDel (RFC 8289): says for each frame that leaves a queue whether it is to carry the news that the
//! queue stands. Knows times alone; whether the news is a mark or a drop is for its owner to decide.

use std::time::{Duration, Instant};

/// The time in a queue that is no congestion (RFC 8289, 4.4): less than a serialised burst of a dozen
/// frames at 20 Mbit/s would keep the link idle, more is felt in a conversation.
pub(crate) const TARGET: Duration = Duration::from_millis(5);

/// How long every frame may have waited longer than that before one is signalled: about the worst round
/// trip over which a sender must have had time to react (RFC 8289, 4.3).
pub(crate) const INTERVAL: Duration = Duration::from_millis(100);

/// A queue that stands again within so many intervals goes on where it had left off (RFC 8289, 5.4).
const REMEMBERED_INTERVALS: u32 = 16;

/// Bytes behind a frame that are no standing queue: one frame has to wait for another to be sent.
const STANDING_BYTES_MIN: usize = 1500;

/// What is to be done with a frame that leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Advice {
    /// It goes on.
    Pass,
    /// It is marked, or dropped, so that its sender slows down.
    Signal,
}

/// The state of one queue.
#[derive(Debug, Clone, Default)]
pub(crate) struct Codel {
    /// When the time in the queue will have been too long for an interval; `None` while it is not.
    above_until: Option<Instant>,
    /// While signals are sent, when the next is due; afterwards, when it would have been.
    next_at: Option<Instant>,
    is_signalling: bool,
    /// Signals since they began, and how many there were at the end of the last time.
    count: u32,
    last_count: u32,
}

impl Codel {
    /// Judges a frame that waited for `sojourn` and leaves `backlog` bytes behind it.
    pub(crate) fn advise(&mut self, sojourn: Duration, backlog: usize, now: Instant) -> Advice {
        let stands = self.stands(sojourn, backlog, now);
        if !self.is_signalling {
            return if stands { self.begin(now) } else { Advice::Pass };
        }
        if !stands {
            self.is_signalling = false;
            return Advice::Pass;
        }
        let due = self.next_at.unwrap_or(now);
        if now < due {
            return Advice::Pass;
        }
        self.count = self.count.saturating_add(1);
        self.next_at = Some(due + spacing(self.count));
        Advice::Signal
    }

    fn stands(&mut self, sojourn: Duration, backlog: usize, now: Instant) -> bool {
        if sojourn < TARGET || backlog <= STANDING_BYTES_MIN {
            self.above_until = None;
            return false;
        }
        now >= *self.above_until.get_or_insert(now + INTERVAL)
    }

    fn begin(&mut self, now: Instant) -> Advice {
        let since_last = self.count.saturating_sub(self.last_count);
        let is_recent = self
            .next_at
            .is_some_and(|at| now.saturating_duration_since(at) < INTERVAL * REMEMBERED_INTERVALS);
        self.count = if is_recent && since_last > 1 { since_last } else { 1 };
        self.last_count = self.count;
        self.is_signalling = true;
        self.next_at = Some(now + spacing(self.count));
        Advice::Signal
    }
}

/// The control law: the rate of signals grows with the square root of their number, which makes the
/// throughput of a TCP fall in a straight line (RFC 8289, 3.3).
fn spacing(count: u32) -> Duration {
    INTERVAL.div_f64(f64::from(count.max(1)).sqrt())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BACKLOG: usize = 100_000;

    fn start() -> Instant {
        crate::queue::instant_for_tests()
    }

    /// Lets a frame leave every millisecond, each having waited so long; returns when signals came.
    fn signals(codel: &mut Codel, sojourn: Duration, from: u64, millis: u64, start: Instant) -> Vec<u64> {
        (from..from + millis)
            .filter(|at| codel.advise(sojourn, BACKLOG, start + Duration::from_millis(*at)) == Advice::Signal)
            .collect()
    }

    #[test]
    fn a_queue_that_stands_is_signalled_after_an_interval_and_then_ever_more_often() {
        let mut codel = Codel::default();

        let at = signals(&mut codel, TARGET, 0, 400, start());

        // 100, and then 100/√1, 100/√2, 100/√3 .. later, seen at the next whole millisecond.
        assert_eq!(at[..5], [100, 200, 271, 329, 379]);
    }

    #[test]
    fn a_burst_that_drains_within_an_interval_is_not_signalled() {
        let mut codel = Codel::default();
        let start = start();

        assert!(signals(&mut codel, TARGET * 10, 0, 100, start).is_empty());
        assert!(signals(&mut codel, TARGET / 2, 100, 1, start).is_empty());
        assert!(signals(&mut codel, TARGET * 10, 101, 100, start).is_empty());
    }

    #[test]
    fn the_last_frame_of_a_queue_is_never_signalled_however_long_it_waited() {
        let mut codel = Codel::default();
        let start = start();

        for millis in 0..1000 {
            let now = start + Duration::from_millis(millis);
            assert_eq!(codel.advise(Duration::from_secs(9), STANDING_BYTES_MIN, now), Advice::Pass);
        }
    }

    #[test]
    fn a_queue_that_stands_again_soon_is_signalled_as_often_as_before_and_much_later_from_the_beginning() {
        let (mut soon, start) = (Codel::default(), start());
        signals(&mut soon, TARGET, 0, 1000, start);
        signals(&mut soon, Duration::ZERO, 1000, 1, start);
        let mut late = soon.clone();

        let soon = signals(&mut soon, TARGET, 1001, 400, start).len();
        let late = signals(&mut late, TARGET, 9001, 400, start).len();

        assert!(soon > 2 * late, "{soon} signals soon after, {late} long after");
    }

    proptest! {
        #[test]
        fn no_signal_comes_where_no_frame_waits_for_the_target(
            sojourns in proptest::collection::vec(0_u64..5000, 1..500),
        ) {
            let (mut codel, start) = (Codel::default(), start());
            for (millis, micros) in (0_u64..).zip(sojourns) {
                let now = start + Duration::from_millis(millis);
                prop_assert_eq!(codel.advise(Duration::from_micros(micros), BACKLOG, now), Advice::Pass);
            }
        }

        #[test]
        fn signals_of_a_queue_that_stands_follow_the_control_law(steps in proptest::collection::vec(1_u64..4, 2000)) {
            let (mut codel, start) = (Codel::default(), start());
            let mut now = start;
            let mut at = Vec::new();
            for step in steps {
                if codel.advise(TARGET * 2, BACKLOG, now) == Advice::Signal {
                    at.push(now);
                }
                now += Duration::from_millis(step);
            }
            let mut due = *at.first().unwrap();
            prop_assert!(due >= start + INTERVAL);
            for (count, signal) in (1_u32..).zip(&at[1..]) {
                due += INTERVAL.div_f64(f64::from(count).sqrt());
                // The first frame that leaves when the signal is due carries it.
                prop_assert!(*signal >= due && *signal < due + Duration::from_millis(4), "signal {count}");
            }
        }
    }
}
