//! One rule: how long to wait before dialling again.

use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;

use crate::config::Healing;

/// The first wait. A neighbour that restarts is back within a fraction of a second.
const FIRST: Duration = Duration::from_millis(100);

/// The longest wait: a neighbour that comes back after an hour should not be kept waiting longer.
const LONGEST: Duration = Duration::from_secs(2);

/// The longest wait of one that is eager: what comes back is dialled within half a second.
const LONGEST_EAGER: Duration = Duration::from_millis(250);

/// So many failures in a row end the eagerness: where nothing answers, an opening lasts for 15 s, so that
/// is five minutes. After an hour nobody counts on half a second any more.
const EAGER_FAILURES_MAX: u32 = 20;

/// Doubles the wait with every failure, with jitter of a quarter, so that the neighbours of a node
/// that restarts do not all dial in the same instant.
#[derive(Debug)]
pub(crate) struct Backoff {
    failures: u32,
    healing: Healing,
}

impl Backoff {
    pub(crate) fn new(healing: Healing) -> Self {
        Self { failures: 0, healing }
    }

    /// Returns whether whatever comes back is to be found at once.
    pub(crate) fn is_eager(&self) -> bool {
        self.healing == Healing::On && self.failures < EAGER_FAILURES_MAX
    }

    /// Notes a failure and returns how long to wait.
    pub(crate) fn next_wait(&mut self, chance: &mut ChaCha8Rng) -> Duration {
        let longest = if self.is_eager() { LONGEST_EAGER } else { LONGEST };
        let wait = FIRST.saturating_mul(1 << self.failures.min(16)).min(longest);
        self.failures = self.failures.saturating_add(1);
        // From 3/4 to 5/4 of the wait, in steps of 1/512.
        wait * (384 + chance.next_u32() % 256) / 512
    }

    /// Forgets the failures: the neighbour was up.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    #[test]
    fn waits_double_with_jitter_up_to_the_longest() {
        let mut chance = ChaCha8Rng::from_seed([1; 32]);
        let mut backoff = Backoff::new(Healing::Off);

        let waits: Vec<_> = (0..20).map(|_| backoff.next_wait(&mut chance)).collect();

        assert!(waits[0] >= FIRST * 3 / 4 && waits[0] <= FIRST * 5 / 4, "{waits:?}");
        assert!(waits[1] >= FIRST * 3 / 2 && waits[1] <= FIRST * 5 / 2, "{waits:?}");
        assert!(waits[19] >= LONGEST * 3 / 4 && waits[19] <= LONGEST * 5 / 4, "{waits:?}");
    }

    #[test]
    fn success_starts_the_waits_over() {
        let mut chance = ChaCha8Rng::from_seed([2; 32]);
        let mut backoff = Backoff::new(Healing::Off);
        (0..10).for_each(|_| {
            backoff.next_wait(&mut chance);
        });

        backoff.reset();

        assert!(backoff.next_wait(&mut chance) <= FIRST * 5 / 4);
    }

    #[test]
    fn one_that_is_eager_waits_no_longer_than_a_third_of_a_second_for_five_minutes() {
        let mut chance = ChaCha8Rng::from_seed([3; 32]);
        let mut backoff = Backoff::new(Healing::On);

        let waits: Vec<_> = (0..25).map(|_| backoff.next_wait(&mut chance)).collect();

        let (eager, patient) = waits.split_at(20);
        assert!(eager.iter().all(|wait| *wait <= LONGEST_EAGER * 5 / 4), "{waits:?}");
        assert!(patient.iter().all(|wait| *wait >= LONGEST * 3 / 4), "{waits:?}");
    }
}
