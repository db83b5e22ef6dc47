//! What the wires between nodes do to datagrams. Chance comes from a seed, drawn once per datagram.

use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// The conditions on every wire.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Conditions {
    /// The least time that a datagram takes.
    pub(crate) latency: Duration,
    /// The most that chance adds to it: datagrams overtake each other.
    pub(crate) jitter: Duration,
    /// Datagrams lost, in percent.
    pub(crate) loss: u32,
    /// Datagrams that arrive twice, in percent.
    pub(crate) twice: u32,
}

/// A perfect wire: in order, whole, and quick.
pub(crate) const FAIR: Conditions =
    Conditions { latency: Duration::from_millis(1), jitter: Duration::ZERO, loss: 0, twice: 0 };

/// Conditions, and the chance that plays with them.
pub(crate) struct Weather {
    pub(crate) conditions: Conditions,
    chance: ChaCha8Rng,
}

impl Weather {
    pub(crate) fn new(conditions: Conditions, seed: u64) -> Self {
        Self { conditions, chance: ChaCha8Rng::seed_from_u64(seed) }
    }

    /// Says when each copy of the next datagram arrives; none when it is lost.
    pub(crate) fn arrivals(&mut self) -> Vec<Duration> {
        if self.happens(self.conditions.loss) {
            return Vec::new();
        }
        let copies = if self.happens(self.conditions.twice) { 2 } else { 1 };
        (0..copies).map(|_| self.conditions.latency + self.delay()).collect()
    }

    fn happens(&mut self, percent: u32) -> bool {
        self.chance.next_u32() % 100 < percent
    }

    fn delay(&mut self) -> Duration {
        match u64::try_from(self.conditions.jitter.as_micros()).unwrap() {
            0 => Duration::ZERO,
            jitter => Duration::from_micros(self.chance.next_u64() % jitter),
        }
    }
}
