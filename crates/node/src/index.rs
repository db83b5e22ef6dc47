//! Finds what lies in a list by its key: open addressing over numbers, so that a look-up costs the same among
//! ten and among ten thousand. Never iterated, so the order in it decides nothing.

use std::cell::Cell;
use std::hash::{Hash, Hasher};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// The stream of a node's seed that its secret is made from: nothing else draws from it.
const SECRET_STREAM: u64 = 1;

/// Numbers by key; 16 bytes for each or less. The keys stay where the list is.
#[derive(Debug)]
pub(crate) struct Index {
    slots: Vec<Slot>,
    used: usize,
    secret: Secret,
    /// What [`Self::find_again`] found last.
    last: Cell<u32>,
}

/// A place for one number. The hash of its key stands beside it: where the list is large, reading another key
/// than the one that is looked for takes longer than all the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Slot {
    number: u32,
    hash: u32,
}

impl Slot {
    const EMPTY: Self = Self { number: u32::MAX, hash: 0 };

    fn is_empty(self) -> bool {
        self.number == Self::EMPTY.number
    }
}

/// What is stirred into every hash: ids are hashes of keys, and who looks for keys can choose their bits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Secret(u64);

impl Secret {
    /// For keys that no stranger chooses.
    pub(crate) const NONE: Self = Self(0);

    /// Makes the secret of a node. It costs none of the chance that the node draws from the same seed.
    pub(crate) fn of(seed: [u8; 32]) -> Self {
        let mut chance = ChaCha8Rng::from_seed(seed);
        chance.set_stream(SECRET_STREAM);
        Self::drawn_from(&mut chance)
    }

    pub(crate) fn drawn_from(chance: &mut ChaCha8Rng) -> Self {
        Self(chance.next_u64())
    }
}

impl Index {
    pub(crate) fn new(secret: Secret) -> Self {
        Self { slots: vec![Slot::EMPTY; 16], used: 0, secret, last: Cell::new(Slot::EMPTY.number) }
    }

    /// Finds the number of a key; `is_it` says whether a number is the one.
    pub(crate) fn find<K: Hash>(&self, key: &K, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let hash = self.hash_of(key);
        self.position(hash, |slot| slot.hash == hash && is_it(slot.number)).map(|at| self.slots[at].number)
    }

    /// Finds as [`Self::find`] does, sooner where it is most often the same key that is looked for, and later where it is not.
    pub(crate) fn find_again<K: Hash>(&self, key: &K, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let last = self.last.get();
        if last != Slot::EMPTY.number && is_it(last) {
            return Some(last);
        }
        let found = self.find(key, is_it)?;
        self.last.set(found);
        Some(found)
    }

    /// Adds a number under a key that is not there yet.
    pub(crate) fn insert<K: Hash>(&mut self, key: &K, number: u32) {
        if (self.used + 1) * 4 > self.slots.len() * 3 {
            let larger = vec![Slot::EMPTY; self.slots.len() * 2];
            let former = std::mem::replace(&mut self.slots, larger);
            former.into_iter().filter(|slot| !slot.is_empty()).for_each(|slot| self.place(slot));
        }
        self.place(Slot { number, hash: self.hash_of(key) });
        self.used += 1;
    }

    pub(crate) fn remove<K: Hash>(&mut self, key: &K, number: u32) {
        let Some(mut at) = self.position(self.hash_of(key), |slot| slot.number == number) else { return };
        self.last.set(Slot::EMPTY.number);
        self.used -= 1;
        self.slots[at] = Slot::EMPTY;
        // What stands behind the gap may have been pushed there from before it: place it anew.
        at = self.behind(at);
        while !self.slots[at].is_empty() {
            let slot = std::mem::replace(&mut self.slots[at], Slot::EMPTY);
            self.place(slot);
            at = self.behind(at);
        }
    }

    /// Gives a key another number.
    pub(crate) fn renumber<K: Hash>(&mut self, key: &K, former: u32, number: u32) {
        if let Some(at) = self.position(self.hash_of(key), |slot| slot.number == former) {
            self.last.set(Slot::EMPTY.number);
            self.slots[at].number = number;
        }
    }

    fn place(&mut self, slot: Slot) {
        let mut at = self.home(slot.hash);
        while !self.slots[at].is_empty() {
            at = self.behind(at);
        }
        self.slots[at] = slot;
    }

    fn position(&self, hash: u32, is_it: impl Fn(Slot) -> bool) -> Option<usize> {
        let mut at = self.home(hash);
        while !self.slots[at].is_empty() {
            if is_it(self.slots[at]) {
                return Some(at);
            }
            at = self.behind(at);
        }
        None
    }

    fn hash_of<K: Hash>(&self, key: &K) -> u32 {
        let mut folding = Folding(self.secret.0);
        key.hash(&mut folding);
        u32::try_from(folding.finish() & u64::from(u32::MAX)).unwrap_or(0)
    }

    fn home(&self, hash: u32) -> usize {
        hash as usize & (self.slots.len() - 1)
    }

    fn behind(&self, at: usize) -> usize {
        (at + 1) & (self.slots.len() - 1)
    }
}

/// Folds eight bytes at a time into what there is, by a multiplication of which the middle counts.
struct Folding(u64);

impl Folding {
    fn fold(&mut self, bytes: u64) {
        let mixed = u128::from(self.0 ^ bytes) * u128::from(0x9e37_79b9_7f4a_7c15_u64);
        self.0 = u64::try_from((mixed >> 32) & u128::from(u64::MAX)).unwrap_or(0);
    }
}

impl Hasher for Folding {
    fn write(&mut self, bytes: &[u8]) {
        let (whole, rest) = bytes.as_chunks::<8>();
        whole.iter().for_each(|bytes| self.fold(u64::from_be_bytes(*bytes)));
        if !rest.is_empty() {
            let mut padded = [0; 8];
            padded[..rest.len()].copy_from_slice(rest);
            self.fold(u64::from_be_bytes(padded));
        }
    }

    fn write_u32(&mut self, number: u32) {
        self.fold(number.into());
    }

    fn write_usize(&mut self, number: usize) {
        self.fold(number as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn numbers_are_found_until_they_are_removed_as_in_a_set() {
        let mut index = Index::new(Secret(77));
        let mut naive = BTreeSet::new();
        let mut state = 1_u64;
        let key = |number: u32| u128::from(number) << 88;
        for _ in 0..20_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let number = u32::try_from((state >> 33) % 500).unwrap();
            if naive.insert(number) {
                index.insert(&key(number), number);
            } else {
                naive.remove(&number);
                index.remove(&key(number), number);
            }
            let asked = u32::try_from((state >> 20) % 500).unwrap();

            for _ in 0..2 {
                let found = index.find(&key(asked), |number| key(number) == key(asked));
                assert_eq!(found, naive.contains(&asked).then_some(asked));
                let again = index.find_again(&key(asked), |number| key(number) == key(asked));
                assert_eq!(again, found);
            }
        }
        assert_eq!(index.slots.len(), 512, "it grows with what is in it, not with what has been");
    }
}
