//! A token bucket: so many at once, so many a second, and no more.

use std::time::{Duration, Instant};

/// Allows `burst` events at once and one more every `interval`.
#[derive(Debug, Clone)]
pub(crate) struct TokenBucket {
    burst: u32,
    interval: Duration,
    tokens: u32,
    /// Up to when time has been turned into tokens.
    filled: Instant,
}

impl TokenBucket {
    pub(crate) fn new(burst: u32, interval: Duration, now: Instant) -> Self {
        Self { burst, interval, tokens: burst, filled: now }
    }

    /// Takes a token if there is one.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let elapsed = now.saturating_duration_since(self.filled);
        let earned = u32::try_from(elapsed.as_nanos() / self.interval.as_nanos().max(1)).unwrap_or(u32::MAX);
        if earned >= self.burst - self.tokens {
            self.tokens = self.burst;
            self.filled = now;
        } else {
            self.tokens += earned;
            self.filled += self.interval * earned;
        }
        let Some(left) = self.tokens.checked_sub(1) else {
            return false;
        };
        self.tokens = left;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_allowed_and_then_one_per_interval() {
        let start = Instant::now_for_tests();
        let mut bucket = TokenBucket::new(3, Duration::from_millis(100), start);

        let burst = (0..5).filter(|_| bucket.take(start)).count();
        let after = (0..5).filter(|_| bucket.take(start + Duration::from_millis(250))).count();

        assert_eq!((burst, after), (3, 2));
    }

    #[test]
    fn fractions_of_an_interval_are_not_lost() {
        let start = Instant::now_for_tests();
        let mut bucket = TokenBucket::new(1, Duration::from_millis(100), start);
        assert!(bucket.take(start));

        let taken = (1..=40).filter(|step| bucket.take(start + Duration::from_millis(25) * *step)).count();

        assert_eq!(taken, 10);
    }

    trait ForTests {
        fn now_for_tests() -> Self;
    }

    impl ForTests for Instant {
        #[expect(clippy::disallowed_methods, reason = "an Instant can be had in no other way")]
        fn now_for_tests() -> Self {
            Self::now()
        }
    }
}
