//! The rate of a link, where its owner sets one: when the next datagram may leave.

use std::fmt;
use std::time::{Duration, Instant};

/// How much may leave at once after a pause: as much as goes in this time. A timer of a millisecond that
/// comes some milliseconds late costs no throughput then.
const BURST_TIME: Duration = Duration::from_millis(4);

/// Bits a second, at least one datagram in some seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate(u64);

impl Rate {
    /// The least: hellos and handshakes of a link take a few kilobits a second themselves.
    pub const MIN: Self = Self(64_000);

    /// The greatest: beyond that a rate is no limit but a wish.
    pub const MAX: Self = Self(100_000_000_000);

    /// Takes a rate in bits a second; `None` outside of [`Self::MIN`] to [`Self::MAX`].
    #[must_use]
    pub fn from_bits_per_second(bits: u64) -> Option<Self> {
        let rate = Self(bits);
        (Self::MIN..=Self::MAX).contains(&rate).then_some(rate)
    }

    /// Returns the bits a second.
    #[must_use]
    pub fn bits_per_second(self) -> u64 {
        self.0
    }

    fn time_for(self, bytes: usize) -> Duration {
        let nanos = (bytes as u128 * 8 * 1_000_000_000) / u128::from(self.0.max(1));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bits if bits % 1_000_000_000 == 0 => write!(f, "{} Gbit/s", bits / 1_000_000_000),
            bits if bits % 1_000_000 == 0 => write!(f, "{} Mbit/s", bits / 1_000_000),
            bits if bits % 1000 == 0 => write!(f, "{} kbit/s", bits / 1000),
            bits => write!(f, "{bits} bit/s"),
        }
    }
}

/// A token bucket, kept as the moment when all that left would have left at the rate.
#[derive(Debug, Clone)]
pub(crate) struct Pacer {
    rate: Rate,
    free_at: Option<Instant>,
}

impl Pacer {
    pub(crate) fn new(rate: Rate) -> Self {
        Self { rate, free_at: None }
    }

    pub(crate) fn rate(&self) -> Rate {
        self.rate
    }

    /// Returns whether a datagram may leave.
    pub(crate) fn is_ready(&self, now: Instant) -> bool {
        self.free_at.is_none_or(|at| at <= now)
    }

    /// Returns when one may leave, which may be past.
    pub(crate) fn ready_at(&self) -> Option<Instant> {
        self.free_at
    }

    /// Notes that so many bytes left, whether they might or not: control is never held up, and is paid
    /// for by what comes after it.
    pub(crate) fn charge(&mut self, bytes: usize, now: Instant) {
        let earliest = now.checked_sub(BURST_TIME).unwrap_or(now);
        let from = self.free_at.map_or(earliest, |at| at.max(earliest));
        self.free_at = Some(from + self.rate.time_for(bytes));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pacer() -> Pacer {
        Pacer::new(Rate::from_bits_per_second(8_000_000).unwrap())
    }

    #[test]
    fn a_millisecond_at_8_megabits_lets_a_thousand_bytes_leave() {
        let (mut pacer, start) = (pacer(), crate::queue::instant_for_tests());
        while pacer.is_ready(start) {
            pacer.charge(1000, start);
        }

        assert_eq!(pacer.ready_at(), Some(start + Duration::from_millis(1)));
        assert!(!pacer.is_ready(start + Duration::from_micros(999)));
        assert!(pacer.is_ready(start + Duration::from_millis(1)));
    }

    #[test]
    fn a_rate_reads_as_one_would_write_it() {
        let words = [20_000_000, 1_000_000_000, 2_500_000, 64_001]
            .map(|bits| Rate::from_bits_per_second(bits).unwrap().to_string());

        assert_eq!(words, ["20 Mbit/s", "1 Gbit/s", "2500 kbit/s", "64001 bit/s"]);
    }

    #[test]
    fn rates_out_of_range_are_no_rates() {
        assert_eq!(Rate::from_bits_per_second(63_999), None);
        assert_eq!(Rate::from_bits_per_second(100_000_000_001), None);
    }

    proptest! {
        #[test]
        fn in_no_span_of_time_does_more_leave_than_the_rate_and_one_burst_allow(
            steps in proptest::collection::vec((0_u64..3000, 1_usize..3000), 1..300),
        ) {
            let (mut pacer, start) = (pacer(), crate::queue::instant_for_tests());
            let mut now = start;
            let mut sent = Vec::new();
            for (micros, bytes) in steps {
                now += Duration::from_micros(micros);
                while pacer.is_ready(now) {
                    pacer.charge(bytes, now);
                    sent.push((now, bytes));
                }
            }
            for first in 0..sent.len() {
                let mut bytes = 0;
                for (at, len) in &sent[first..] {
                    let span = at.duration_since(sent[first].0).as_micros() as usize;
                    // One byte a microsecond, the burst of 4 ms, and the datagram that may exceed it.
                    prop_assert!(bytes <= span + 4000, "{bytes} bytes in {span} µs");
                    bytes += len;
                }
            }
        }
    }
}
