//! A map with a ceiling: when it is full, it forgets what it learnt first.

use std::hash::Hash;

use crate::index::{Index, Secret};

/// A map of at most `max` entries; inserting one more evicts the oldest insertion.
#[derive(Debug)]
pub(crate) struct FifoMap<K, V> {
    /// In order of their insertion, from `oldest` on and around.
    entries: Vec<(K, V)>,
    oldest: usize,
    max: usize,
    index: Index,
}

impl<K: Eq + Hash + Copy, V> FifoMap<K, V> {
    pub(crate) fn with_max(max: usize, secret: Secret) -> Self {
        Self { entries: Vec::new(), oldest: 0, max, index: Index::new(secret) }
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.number_of(key).map(|number| &self.entries[number as usize].1)
    }

    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.number_of(key).map(|number| &mut self.entries[number as usize].1)
    }

    /// Walks over the entries, in no order that means anything.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.entries.iter().map(|(key, value)| (key, value))
    }

    /// Returns the value under `key`, made by `make` if there was none.
    pub(crate) fn get_or_insert_with(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        let number = self.number_of(&key).unwrap_or_else(|| self.insert(key, make()));
        &mut self.entries[number as usize].1
    }

    fn insert(&mut self, key: K, value: V) -> u32 {
        let place = if self.entries.len() < self.max {
            self.entries.push((key, value));
            self.entries.len() - 1
        } else {
            let place = self.oldest;
            self.oldest = (place + 1) % self.max;
            let (former, _) = std::mem::replace(&mut self.entries[place], (key, value));
            self.index.remove(&former, number(place));
            place
        };
        self.index.insert(&key, number(place));
        number(place)
    }

    fn number_of(&self, key: &K) -> Option<u32> {
        // As in an `IndexedMap`.
        self.index.find_again(key, |number| self.entries[number as usize].0 == *key)
    }
}

fn number(place: usize) -> u32 {
    u32::try_from(place).expect("every ceiling is far below that")
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    #[test]
    fn a_full_map_forgets_its_oldest_entry_and_no_other() {
        let mut map = FifoMap::with_max(2, Secret::NONE);
        for key in [1, 2, 1, 3] {
            map.get_or_insert_with(key, || key * 10);
        }

        assert_eq!((map.get(&1), map.get(&2), map.get(&3)), (None, Some(&20), Some(&30)));
        assert_eq!(map.iter().count(), 2);
    }

    #[test]
    fn a_long_run_agrees_with_a_queue() {
        let mut map = FifoMap::with_max(40, Secret::NONE);
        let mut naive = VecDeque::new();
        let mut state = 7_u64;
        for step in 0..20_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let key = (state >> 33) % 90;
            if !naive.iter().any(|(known, _)| *known == key) {
                naive.push_back((key, step));
            }
            if naive.len() > 40 {
                naive.pop_front();
            }

            map.get_or_insert_with(key, || step);

            let asked = (state >> 20) % 90;
            let known = naive.iter().find(|(key, _)| *key == asked).map(|(_, value)| value);
            assert_eq!(map.get(&asked), known);
        }
    }
}
