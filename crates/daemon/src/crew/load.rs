//! When more threads are worth it. Pure: times are arguments.
//!
//! A frame that crosses threads costs more than one that does not, so as long as one thread has the time it does all.
//! When it has a processor to itself, is still not done, and others are idle, others help. Where processors are scarce they
//! would only wait for one beside it. Where that is so unseen, as in a container, it shows when they are tried, and they are not
//! tried again for a while.

use std::time::{Duration, Instant};

use crate::crew::times::Times;

/// How often it is looked at while the data thread works alone. It must have been busy for two of these: idle processors
/// are counted in hundredths of a second, and one of them says little.
const BUSY_TIME: Duration = Duration::from_millis(100);

/// How busy that is: in percent of a processor.
const BUSY_PERCENT: u32 = 90;

/// What the host must have to spare, all processors together: in percent of one.
const SPARE_PERCENT: u32 = 50;

/// How often it is looked at while others help: where they are no help, frames pile up meanwhile.
const LOOK_TIME: Duration = Duration::from_millis(20);

/// How quiet it must be before the data thread does all by itself again: all threads together, in percent of a processor.
const QUIET_PERCENT: u32 = 60;

/// How many looks it must be so: half a second, longer than the pauses of a flow.
const QUIET_LOOKS: u32 = 25;

/// How long threads wait for a processor where there are not enough: in percent of the time that they have one. To be woken takes some, too.
const SCARCE_PERCENT: u32 = 30;

/// How long others are not tried again after processors were scarce: twice as long each time.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);

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
    /// When it was last looked at, and the times of all threads then.
    since: Instant,
    times: Times,
    /// How long all processors of the host had been idle at the last look, where the data thread was busy then.
    idle: Option<Duration>,
    /// Looks one after the other at which it was quiet.
    quiet_looks: u32,
    /// Until when others are not tried, and how long that is.
    alone_until: Instant,
    pause: Duration,
}

impl Load {
    pub(crate) fn new(sharing: Sharing, now: Instant) -> Self {
        Self {
            sharing,
            division: Division::Alone,
            since: now,
            times: Times::default(),
            idle: None,
            quiet_looks: 0,
            alone_until: now,
            pause: Duration::ZERO,
        }
    }

    /// Whether the time has come to [judge](Self::judge) again.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        let span = match self.division {
            Division::Alone => BUSY_TIME,
            Division::Shared => LOOK_TIME,
        };
        now.saturating_duration_since(self.since) >= span
    }

    /// Judges by the times of all threads so far and, if need be, by how long all processors were idle; returns how the work is to be divided from here on, where that is another
    /// way than before. `may_share` says whether it may be shared at all.
    pub(crate) fn judge(
        &mut self,
        (times, idle): (Times, impl FnOnce() -> Option<Duration>),
        may_share: bool,
        now: Instant,
    ) -> Option<Division> {
        let span = now.saturating_duration_since(self.since);
        let passed = times - self.times;
        (self.since, self.times) = (now, times);
        let wanted = match self.sharing {
            _ if !may_share => Division::Alone,
            Sharing::Always => Division::Shared,
            Sharing::UnderLoad => self.wanted((passed, idle), span, now),
        };
        (std::mem::replace(&mut self.division, wanted) != wanted).then_some(wanted)
    }

    fn wanted(
        &mut self,
        (passed, idle): (Times, impl FnOnce() -> Option<Duration>),
        span: Duration,
        now: Instant,
    ) -> Division {
        let is_below = |time: Duration, percent, of: Duration| time * 100 < of * percent;
        match self.division {
            Division::Alone => {
                self.quiet_looks = 0;
                if is_below(passed.used, BUSY_PERCENT, span) || now < self.alone_until {
                    self.idle = None;
                    return Division::Alone;
                }
                let before = std::mem::replace(&mut self.idle, idle());
                let spare = before.zip(self.idle).map(|(before, idle)| idle.saturating_sub(before));
                if spare.is_some_and(|spare| !is_below(spare, SPARE_PERCENT, span)) {
                    self.idle = None;
                    return Division::Shared;
                }
                Division::Alone
            }
            Division::Shared if !is_below(passed.waited, SCARCE_PERCENT, passed.used) => {
                self.pause = (self.pause * 2).clamp(PAUSE_MIN, PAUSE_MAX);
                self.alone_until = now + self.pause;
                Division::Alone
            }
            Division::Shared => {
                let is_quiet = is_below(passed.used, QUIET_PERCENT, span);
                self.quiet_looks = if is_quiet { self.quiet_looks + 1 } else { 0 };
                if self.quiet_looks < QUIET_LOOKS {
                    return Division::Shared;
                }
                self.pause = Duration::ZERO;
                Division::Alone
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    /// A load, and how long all processors were idle.
    struct World {
        load: Load,
        idle: Duration,
    }

    impl World {
        fn new(sharing: Sharing) -> Self {
            Self { load: Load::new(sharing, clock::now()), idle: Duration::ZERO }
        }

        /// Lets so many milliseconds pass, in which all threads together had a processor for so many, none for so many, and
        /// all processors together were idle for so many.
        fn pass(&mut self, millis: u64, [used, waited, idle]: [u64; 3]) -> Option<Division> {
            let now = self.load.since + Duration::from_millis(millis);
            assert!(self.load.is_due(now));
            let [used, waited, idle] = [used, waited, idle].map(Duration::from_millis);
            self.idle += idle;
            self.load.judge((self.load.times + Times { used, waited }, || Some(self.idle)), true, now)
        }
    }

    #[test]
    fn others_help_when_one_processor_is_not_enough_and_until_it_would_be_for_half_a_second() {
        let mut world = World::new(Sharing::UnderLoad);

        assert_eq!(world.pass(100, [80, 0, 100]), None);
        assert_eq!(world.pass(100, [100, 0, 100]), None, "once is not enough");
        assert_eq!(world.pass(100, [100, 0, 100]), Some(Division::Shared));
        assert_eq!(world.pass(20, [36, 8, 0]), None);
        assert!((0..24).all(|_| world.pass(20, [8, 0, 30]).is_none()));
        assert_eq!(world.pass(20, [14, 0, 20]), None, "one alone would be on the edge again");
        assert!((0..24).all(|_| world.pass(20, [8, 0, 30]).is_none()));
        assert_eq!(world.pass(20, [8, 0, 30]), Some(Division::Alone));
        assert_eq!(world.pass(100, [100, 0, 100]), None);
        assert_eq!(world.pass(100, [100, 0, 100]), Some(Division::Shared), "and again at once");
    }

    #[test]
    fn where_the_thread_waits_for_a_processor_or_none_is_idle_no_others_are_called() {
        let mut world = World::new(Sharing::UnderLoad);

        assert!((0..100).all(|_| world.pass(100, [50, 50, 100]).is_none()));
        assert!((0..100).all(|_| world.pass(100, [100, 0, 40]).is_none()));
    }

    #[test]
    fn where_helping_threads_wait_for_processors_they_are_tried_less_and_less() {
        let mut world = World::new(Sharing::UnderLoad);
        let mut tries = 0;

        for _ in 0..6_000 {
            match world.load.division {
                Division::Alone => tries += u32::from(world.pass(100, [100, 0, 100]).is_some()),
                Division::Shared => assert_eq!(world.pass(20, [20, 10, 0]), Some(Division::Alone)),
            }
        }

        // Ten minutes: after 1, 2, 4, 8, 16, 32 seconds, and then once a minute.
        assert_eq!(tries, 1 + 6 + 8);
    }

    #[test]
    fn whoever_may_not_share_does_not_and_goes_back_to_one_thread() {
        let mut load = Load::new(Sharing::Always, clock::now());
        let mut judge = |may_share| {
            let later = load.since + BUSY_TIME;
            load.judge((Times::default(), || None), may_share, later)
        };

        assert_eq!(judge(false), None);
        assert_eq!(judge(true), Some(Division::Shared));
        assert_eq!(judge(false), Some(Division::Alone));
    }
}
