//! Chance by seed, place and purpose. Each place of the world draws for each purpose from a stream of
//! its own, so that a fault on one link does not reshuffle the losses of another.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// What a stream is drawn from for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Purpose {
    /// What a node draws itself.
    Node,
    /// What a node's OpenSSL draws.
    Openssl,
    /// What is made outside of any world.
    Apart,
    Loss,
    BurstLoss,
    BurstState,
    Jitter,
    Duplicate,
    Reorder,
}

/// Returns the key of the stream for a purpose at a place.
pub(crate) fn key(seed: u64, purpose: Purpose, one: u64, other: u64) -> [u8; 32] {
    let mut key = [0; 32];
    let parts = [seed, purpose as u64 + 1, one, other];
    for (bytes, part) in key.chunks_exact_mut(8).zip(parts) {
        bytes.copy_from_slice(&part.to_le_bytes());
    }
    key
}

/// The dice of one place: a stream for each purpose, made when it is first drawn from, for most paths
/// never lose anything.
#[derive(Debug, Clone)]
pub(crate) struct Dice {
    seed: u64,
    one: u64,
    other: u64,
    streams: Vec<(Purpose, Box<ChaCha8Rng>)>,
}

impl Dice {
    pub(crate) fn new(seed: u64, one: u64, other: u64) -> Self {
        Self { seed, one, other, streams: Vec::new() }
    }

    /// Draws whether something of this probability happens. What never happens draws nothing.
    pub(crate) fn happens(&mut self, purpose: Purpose, probability: f64) -> bool {
        // In steps of 2^-32, which a float holds exactly.
        probability > 0.0 && f64::from(self.stream(purpose).next_u32()) / 4_294_967_296.0 < probability
    }

    /// Draws a number from 0 to `max`, both included; for 0 it draws nothing.
    pub(crate) fn up_to(&mut self, purpose: Purpose, max: u64) -> u64 {
        if max == 0 {
            return 0;
        }
        let wide = u128::from(self.stream(purpose).next_u64()) * (u128::from(max) + 1);
        u64::try_from(wide >> 64).unwrap_or(max)
    }

    fn stream(&mut self, purpose: Purpose) -> &mut ChaCha8Rng {
        let index = self.streams.iter().position(|(of, _)| *of == purpose).unwrap_or_else(|| {
            let key = key(self.seed, purpose, self.one, self.other);
            self.streams.push((purpose, Box::new(ChaCha8Rng::from_seed(key))));
            self.streams.len() - 1
        });
        &mut self.streams[index].1
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn what_is_likely_happens_as_often_as_it_should() {
        let mut dice = Dice::new(1, 2, 3);

        let happened = (0..10_000).filter(|_| dice.happens(Purpose::Loss, 0.3)).count();

        assert!((2800..3200).contains(&happened), "{happened}");
        assert!((0..100).all(|_| dice.happens(Purpose::Loss, 1.0)));
        assert!((0..100).all(|_| !dice.happens(Purpose::Loss, 0.0)));
    }

    #[test]
    fn numbers_reach_their_limit_and_no_farther() {
        let mut dice = Dice::new(1, 2, 3);

        let drawn: BTreeSet<_> = (0..200).map(|_| dice.up_to(Purpose::Jitter, 4)).collect();

        assert_eq!(drawn, BTreeSet::from([0, 1, 2, 3, 4]));
    }

    #[test]
    fn seeds_purposes_and_places_have_streams_of_their_own() {
        let streams = [
            (1, Purpose::Loss, 2, 3),
            (2, Purpose::Loss, 2, 3),
            (1, Purpose::Jitter, 2, 3),
            (1, Purpose::Loss, 3, 2),
        ];

        let first: BTreeSet<_> = streams
            .into_iter()
            .map(|(seed, purpose, one, other)| Dice::new(seed, one, other).up_to(purpose, u64::MAX))
            .collect();

        assert_eq!(first.len(), streams.len());
    }

    #[test]
    fn what_one_purpose_draws_does_not_shift_another() {
        let (mut busy, mut idle) = (Dice::new(1, 2, 3), Dice::new(1, 2, 3));

        (0..10).for_each(|_| {
            busy.happens(Purpose::Loss, 0.5);
        });

        assert_eq!(busy.up_to(Purpose::Jitter, 1000), idle.up_to(Purpose::Jitter, 1000));
    }
}
