//! When more threads are worth it. Pure: times are arguments.
//!
//! A frame that crosses threads costs more than one that does not, so as long as one thread has the time it does all.
//! When it has a processor to itself and is still not done, others help. Where it does not get a processor, more threads
//! would only wait beside it.

use std::time::{Duration, Instant};

/// How long the data thread must have been busy before others help: some turns, and no more than a queue takes.
const BUSY_TIME: Duration = Duration::from_millis(10);

/// How busy that is: in percent of a processor.
const BUSY_PERCENT: u32 = 90;

/// How long it must have been quiet before it does all by itself again: longer than a flow's pauses.
const QUIET_TIME: Duration = Duration::from_millis(500);

/// How quiet that is: all threads together, in percent of a processor.
const QUIET_PERCENT: u32 = 60;

/// Who does the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Division {
    /// The data thread, all of it.
    Alone,
    /// The others, as far as they can.
    Shared,
}

/// When the others help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sharing {
    /// When the data thread cannot do it alone, and as long.
    #[default]
    UnderLoad,
    /// Always, for tests and measurements.
    Always,
}

/// How busy the threads are.
#[derive(Debug)]
pub(crate) struct Load {
    sharing: Sharing,
    division: Division,
    since: Instant,
    /// What all threads had used then.
    used: Duration,
}

impl Load {
    pub(crate) fn new(sharing: Sharing, now: Instant) -> Self {
        Self { sharing, division: Division::Alone, since: now, used: Duration::ZERO }
    }

    /// Whether the time has come to [judge](Self::judge) again.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        let span = match self.division {
            Division::Alone => BUSY_TIME,
            Division::Shared => QUIET_TIME,
        };
        now.saturating_duration_since(self.since) >= span
    }

    /// Judges by the processor time that all threads have used so far; returns how the work is to be divided from here on,
    /// where that is another way than before. `may_share` says whether it may be shared at all.
    pub(crate) fn judge(&mut self, used: Duration, may_share: bool, now: Instant) -> Option<Division> {
        let span = now.saturating_duration_since(self.since);
        let busy = used.saturating_sub(self.used);
        (self.since, self.used) = (now, used);
        let wanted = match (self.sharing, self.division) {
            _ if !may_share => Division::Alone,
            (Sharing::Always, _) => Division::Shared,
            (Sharing::UnderLoad, Division::Alone) if busy * 100 >= span * BUSY_PERCENT => Division::Shared,
            (Sharing::UnderLoad, Division::Shared) if busy * 100 < span * QUIET_PERCENT => Division::Alone,
            (Sharing::UnderLoad, division) => division,
        };
        (std::mem::replace(&mut self.division, wanted) != wanted).then_some(wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    /// Lets so many milliseconds pass, of which all threads together were busy for so many.
    fn pass(load: &mut Load, millis: u64, busy: u64) -> Option<Division> {
        let now = load.since + Duration::from_millis(millis);
        assert!(load.is_due(now));
        load.judge(load.used + Duration::from_millis(busy), true, now)
    }

    #[test]
    fn others_help_when_one_processor_is_not_enough_and_until_it_would_be() {
        let mut load = Load::new(Sharing::UnderLoad, clock::now());

        assert_eq!(pass(&mut load, 10, 8), None);
        assert_eq!(pass(&mut load, 10, 10), Some(Division::Shared));
        assert_eq!(pass(&mut load, 500, 900), None);
        assert_eq!(pass(&mut load, 500, 350), None, "one alone would be on the edge again");
        assert_eq!(pass(&mut load, 500, 200), Some(Division::Alone));
    }

    #[test]
    fn where_the_thread_waits_for_a_processor_no_others_are_called() {
        let mut load = Load::new(Sharing::UnderLoad, clock::now());

        assert!((0..100).all(|_| pass(&mut load, 20, 10).is_none()));
    }

    #[test]
    fn whoever_may_not_share_does_not_and_goes_back_to_one_thread() {
        let mut load = Load::new(Sharing::Always, clock::now());
        let later = |load: &Load| load.since + QUIET_TIME;

        assert_eq!(load.judge(Duration::ZERO, false, later(&load)), None);
        assert_eq!(load.judge(Duration::ZERO, true, later(&load)), Some(Division::Shared));
        assert_eq!(load.judge(Duration::ZERO, false, later(&load)), Some(Division::Alone));
    }
}
