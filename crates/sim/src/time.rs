//! Virtual time: nanoseconds since a world began.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

/// A moment of a world. 2^64 ns are 584 years; what lies beyond counts as that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct VirtualTime(pub u64);

impl VirtualTime {
    /// The beginning.
    pub const ZERO: Self = Self(0);

    /// Returns the moment so long after the beginning.
    #[must_use]
    pub fn after(since_start: Duration) -> Self {
        Self(nanos(since_start))
    }

    /// Returns how long after the beginning this is.
    #[must_use]
    pub fn since_start(self) -> Duration {
        Duration::from_nanos(self.0)
    }
}

impl Add<Duration> for VirtualTime {
    type Output = Self;

    fn add(self, later: Duration) -> Self {
        Self(self.0.saturating_add(nanos(later)))
    }
}

impl Sub for VirtualTime {
    type Output = Duration;

    /// Returns how much later this is than `earlier`; nothing, where it is not.
    fn sub(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for VirtualTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06} s", self.0 / 1_000_000_000, self.0 / 1000 % 1_000_000)
    }
}

pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_shown_in_seconds_to_the_microsecond() {
        assert_eq!(VirtualTime(483_000_042_999).to_string(), "483.000042 s");
    }

    #[test]
    fn time_does_not_run_over() {
        assert_eq!(VirtualTime(1) + Duration::MAX, VirtualTime(u64::MAX));
        assert_eq!(VirtualTime(1) - VirtualTime(2), Duration::ZERO);
    }
}
