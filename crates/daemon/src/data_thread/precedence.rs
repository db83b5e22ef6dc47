//! Lets a thread go before all programs of the host that are no more than programs, as the kernel's own handling of packets does
//! (`SCHED_RR`, sched(7)). Where processors are scarce a packet waits for one at each thread on its way, 4 ms and more; a thread that
//! goes first waits for the kernel's next look, some microseconds.
//!
//! What is in the overlay goes first; what comes into it does not. A node that sends what its host has to send is woken for each
//! packet, and if it were woken at once, each were a batch of its own, at all nodes on the way. It goes with the programs that
//! give it work: they have time to write some more meanwhile, and what they write waits where it is fair. And whoever goes
//! first must leave others something: a node that uses up its processor has what any program has.

use std::io;
use std::time::{Duration, Instant};

use peerbound_node::FrameCounts;
use rustix::process::getpriority_process;
use thread_priority::{
    NormalThreadSchedulePolicy, RealtimeThreadSchedulePolicy, ThreadPriority, ThreadPriorityValue,
    ThreadSchedulePolicy, set_thread_priority_and_policy, thread_native_id,
};

use crate::crew::times::ThreadTimes;

/// The lowest of all that go first: whatever the operator of the host sets before it goes before it.
const PRIORITY: u8 = 1;

/// How long a thread goes on before it is looked at.
const LOOK: Duration = Duration::from_millis(10);

/// Fewer frames that begin here, one in so long, are no load: to be woken takes some 10 us, a twentieth of it.
const BETWEEN_FRAMES: Duration = Duration::from_micros(200);

/// Looks in a row that find little of its own before a thread goes first again.
const QUIET_LOOKS: u32 = 5;

/// Looks in a row that find nothing left for others before it goes with them: a tenth of a second. The kernel would take the processor
/// for 50 ms on end from what goes first and leaves less than a twentieth (`sched_rt_runtime_us`).
const BUSY_LOOKS: u32 = 10;

/// How long it goes with them then.
const BUSY_TIME: Duration = Duration::from_secs(1);

/// Whether the thread that has it goes first at this moment.
#[derive(Debug)]
pub(crate) struct Precedence {
    judge: Judge,
    times: ThreadTimes,
    /// What the thread has of the kernel's favour while it goes with the others (nice(2)).
    nice: i32,
}

impl Precedence {
    /// Lets the calling thread go first.
    ///
    /// # Errors
    /// When the system does not let it: it takes CAP_SYS_NICE, or an RLIMIT_RTPRIO of 1.
    pub(crate) fn take(now: Instant) -> io::Result<Self> {
        let nice = getpriority_process(None).unwrap_or_default();
        go_first()?;
        Ok(Self { judge: Judge::new(now), times: ThreadTimes::of_this_thread(), nice })
    }

    pub(crate) fn is_in_force(&self) -> bool {
        self.judge.goes_first
    }

    /// Lets the thread go with the others, or first again, if it is time; by what its node has counted. Called by the
    /// thread, between two turns.
    pub(crate) fn judge(&mut self, frames: FrameCounts, now: Instant) {
        let switched = match self.judge.judge(frames, || self.times.read().used, now) {
            None => return,
            Some(Change::WithOthers) => go_with_others(self.nice),
            Some(Change::First) => go_first(),
        };
        if let Err(error) = switched {
            // It was allowed when the thread began: it goes on as it is, and the next change may succeed.
            tracing::debug!(%error, "The system does not change how a thread is scheduled");
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    WithOthers,
    First,
}

/// Decides. Pure.
#[derive(Debug)]
struct Judge {
    goes_first: bool,
    looked_at: Instant,
    seen: FrameCounts,
    worked: Duration,
    /// Looks in a row that found nothing left for others.
    busy: u32,
    /// Looks in a row that found little that began here.
    quiet: u32,
    busy_until: Instant,
}

impl Judge {
    fn new(now: Instant) -> Self {
        Self {
            goes_first: true,
            looked_at: now,
            seen: FrameCounts::default(),
            worked: Duration::ZERO,
            busy: 0,
            quiet: 0,
            busy_until: now,
        }
    }

    fn judge(
        &mut self,
        frames: FrameCounts,
        worked: impl FnOnce() -> Duration,
        now: Instant,
    ) -> Option<Change> {
        let passed = now.saturating_duration_since(self.looked_at);
        if passed < LOOK {
            return None;
        }
        self.looked_at = now;
        let is_source = self.is_source(frames, passed);
        self.quiet = if is_source { 0 } else { self.quiet.saturating_add(1) };
        if !self.goes_first {
            self.goes_first = self.quiet >= QUIET_LOOKS && now >= self.busy_until;
            return self.goes_first.then_some(Change::First);
        }
        self.busy = if self.is_busy(worked(), passed) { self.busy + 1 } else { 0 };
        if self.busy >= BUSY_LOOKS {
            self.busy_until = now + BUSY_TIME;
        } else if !is_source {
            return None;
        }
        (self.goes_first, self.busy) = (false, 0);
        Some(Change::WithOthers)
    }

    /// Whether more begins here than comes here, and that is much.
    fn is_source(&mut self, frames: FrameCounts, passed: Duration) -> bool {
        let originated = frames.originated.saturating_sub(self.seen.originated);
        let received = frames.received.saturating_sub(self.seen.received);
        self.seen = frames;
        let much = u64::try_from(passed.as_nanos() / BETWEEN_FRAMES.as_nanos()).unwrap_or(u64::MAX);
        originated > received && originated > much
    }

    /// Whether the thread worked nine tenths of the time.
    fn is_busy(&mut self, worked: Duration, passed: Duration) -> bool {
        let lately = worked.saturating_sub(self.worked);
        self.worked = worked;
        lately * 10 > passed * 9
    }
}

fn go_first() -> io::Result<()> {
    let priority =
        ThreadPriorityValue::try_from(PRIORITY).map_or(ThreadPriority::Min, ThreadPriority::Crossplatform);
    let policy = ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::RoundRobin);
    set_thread_priority_and_policy(thread_native_id(), priority, policy).map_err(in_words)
}

fn go_with_others(nice: i32) -> io::Result<()> {
    let policy = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Other);
    let priority = priority_of(nice).unwrap_or(ThreadPriority::Min);
    set_thread_priority_and_policy(thread_native_id(), priority, policy).map_err(in_words)
}

/// The library tells of the kernel's errors by their numbers.
fn in_words(error: thread_priority::Error) -> io::Error {
    match error {
        thread_priority::Error::OS(number) => io::Error::from_raw_os_error(number),
        other => io::Error::other(format!("{other:?}")),
    }
}

/// Returns what the library takes for a niceness: it has a scale of its own, and sets what is meant by it.
fn priority_of(nice: i32) -> Option<ThreadPriority> {
    let policy = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Other);
    let values = (0..=u8::MAX).map_while(|value| ThreadPriorityValue::try_from(value).ok());
    let is_that = |priority: &ThreadPriority| priority.to_posix(policy).is_ok_and(|found| found == nice);
    values.map(ThreadPriority::Crossplatform).find(is_that)
}

#[cfg(test)]
mod tests {
    use thread_priority::thread_schedule_policy;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A node, looked at each 10 ms.
    struct Watched {
        judge: Judge,
        frames: FrameCounts,
        worked: Duration,
        now: Instant,
    }

    impl Watched {
        fn new() -> Self {
            let now = Instant::now();
            Self { judge: Judge::new(now), frames: FrameCounts::default(), worked: Duration::ZERO, now }
        }

        /// Goes on for so long; for each 10 ms of it, so many frames come, so many begin here, and so much is worked.
        /// Returns what changed.
        fn go_on(
            &mut self,
            time: Duration,
            [received, originated]: [u64; 2],
            worked: Duration,
        ) -> Vec<Change> {
            let end = self.now + time;
            let mut changes = Vec::new();
            while self.now < end {
                self.now += LOOK;
                self.frames.received += received;
                self.frames.originated += originated;
                self.worked += worked;
                changes.extend(self.judge.judge(self.frames, || self.worked, self.now));
            }
            changes
        }
    }

    const SOME_WORK: Duration = Duration::from_millis(6);

    #[test]
    fn whoever_relays_or_delivers_goes_first() {
        let mut relay = Watched::new();
        assert_eq!(relay.go_on(SECOND, [2000, 0], SOME_WORK), []);

        let mut far_end = Watched::new();
        assert_eq!(far_end.go_on(SECOND, [2000, 200], SOME_WORK), [], "answers are no load");
    }

    #[test]
    fn whoever_sends_much_goes_with_the_others_until_it_sends_little() {
        let mut source = Watched::new();
        assert_eq!(source.go_on(LOOK, [200, 2000], SOME_WORK), [Change::WithOthers]);
        assert_eq!(source.go_on(SECOND, [200, 2000], SOME_WORK), []);

        // A pause of its sender is no end.
        assert_eq!(source.go_on(LOOK * (QUIET_LOOKS - 1), [0, 0], Duration::ZERO), []);
        assert_eq!(source.go_on(LOOK, [200, 2000], SOME_WORK), []);

        assert_eq!(source.go_on(LOOK * QUIET_LOOKS, [0, 0], Duration::ZERO), [Change::First]);
    }

    #[test]
    fn a_few_packets_of_this_host_go_first() {
        let mut host = Watched::new();
        // 4000 a second.
        assert_eq!(host.go_on(SECOND, [0, 40], SOME_WORK), []);
        // After a pause what is little is as much as would have been little for as long.
        assert_eq!(host.go_on(SECOND, [0, 0], Duration::ZERO), []);
    }

    #[test]
    fn whoever_leaves_nothing_to_others_goes_with_them_for_a_while() {
        let mut relay = Watched::new();
        assert_eq!(relay.go_on(LOOK * (BUSY_LOOKS - 1), [2000, 0], LOOK), []);
        assert_eq!(relay.go_on(LOOK, [2000, 0], SOME_WORK), [], "it has left something");

        assert_eq!(relay.go_on(LOOK * BUSY_LOOKS, [2000, 0], LOOK), [Change::WithOthers]);
        assert_eq!(relay.go_on(BUSY_TIME - LOOK, [2000, 0], LOOK), []);
        assert_eq!(relay.go_on(LOOK, [2000, 0], LOOK), [Change::First]);
    }

    #[test]
    fn a_thread_goes_first_and_with_others_as_it_is_judged_and_keeps_its_niceness() {
        let thread = std::thread::spawn(|| {
            let start = Instant::now();
            let is_first = || matches!(thread_schedule_policy(), Ok(ThreadSchedulePolicy::Realtime(_)));
            let nice = getpriority_process(None).unwrap();
            let Ok(mut precedence) = Precedence::take(start) else {
                eprintln!("not tested: it takes CAP_SYS_NICE");
                return;
            };
            assert!(precedence.is_in_force() && is_first());

            precedence.judge(FrameCounts { received: 0, originated: 1000 }, start + LOOK);
            assert!(!precedence.is_in_force() && !is_first());
            assert_eq!(getpriority_process(None).unwrap(), nice);

            for look in 2..=1 + QUIET_LOOKS {
                precedence.judge(FrameCounts { received: 0, originated: 1000 }, start + LOOK * look);
            }
            assert!(precedence.is_in_force() && is_first());
        });
        thread.join().unwrap();
    }

    #[test]
    fn every_niceness_has_a_value_on_the_scale_of_the_library() {
        let policy = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Other);
        for nice in -20..=19 {
            assert_eq!(priority_of(nice).unwrap().to_posix(policy).unwrap(), nice);
        }
    }
}
