//! For how long a thread had a processor, and for how long it wanted one and had none.

use std::fs::File;
use std::ops::{Add, Sub};
use std::time::Duration;

/// Longer than two numbers of nanoseconds and one of turns.
const LINE_BYTES_MAX: usize = 64;

/// Time since a thread began, or between two looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Times {
    /// With a processor.
    pub(crate) used: Duration,
    /// Ready to run, and without one.
    pub(crate) waited: Duration,
}

impl Add for Times {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { used: self.used + other.used, waited: self.waited + other.waited }
    }
}

impl Sub for Times {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        let (used, waited) = (self.used.saturating_sub(other.used), self.waited.saturating_sub(other.waited));
        Self { used, waited }
    }
}

/// Reads the times of the thread that made it.
#[derive(Debug)]
pub(crate) struct ThreadTimes {
    /// Nothing where the kernel does not tell: then no time has passed, ever.
    file: Option<File>,
}

impl ThreadTimes {
    pub(crate) fn of_this_thread() -> Self {
        // proc(5): time on a processor, time on a run queue, in nanoseconds.
        Self { file: File::open("/proc/thread-self/schedstat").ok() }
    }

    pub(crate) fn read(&self) -> Times {
        self.file.as_ref().and_then(read).unwrap_or_default()
    }
}

/// Returns for how long all processors of the host were idle, together, since it was started; `None` where the kernel does
/// not tell.
pub(crate) fn idle_time() -> Option<Duration> {
    /// proc(5): what it counts, on every machine there is.
    const TICK_MS: u64 = 10;
    let text = std::fs::read_to_string("/proc/stat").ok()?;
    // The first line is that of all processors: its name, user, nice, system, idle, waiting for a disk.
    let mut numbers = text.lines().next()?.split_ascii_whitespace().skip(4);
    let mut next = || numbers.next()?.parse::<u64>().ok();
    Some(Duration::from_millis(next()?.saturating_add(next()?).saturating_mul(TICK_MS)))
}

fn read(file: &File) -> Option<Times> {
    let mut bytes = [0; LINE_BYTES_MAX];
    let len = std::os::unix::fs::FileExt::read_at(file, &mut bytes, 0).ok()?;
    let mut numbers = std::str::from_utf8(bytes.get(..len)?).ok()?.split_ascii_whitespace();
    let mut next = || Some(Duration::from_nanos(numbers.next()?.parse().ok()?));
    Some(Times { used: next()?, waited: next()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_have_been_idle_since_the_host_was_started() {
        assert!(idle_time().is_some_and(|idle| idle > Duration::ZERO));
    }

    #[test]
    fn a_thread_that_works_is_seen_to_have_had_a_processor() {
        let times = ThreadTimes::of_this_thread();
        let before = times.read();

        let mut sum = 0_u64;
        while times.read().used < before.used + Duration::from_millis(5) {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }

        assert!((times.read() - before).used >= Duration::from_millis(5));
    }
}
