//! A map in order of its keys in which a look-up costs the same among ten and among ten thousand: a frame takes
//! several of them.

use std::collections::BTreeMap;
use std::hash::Hash;

use crate::index::{Index, Secret};

/// An ordered map whose values are found by an [`Index`].
#[derive(Debug)]
pub(crate) struct IndexedMap<K, V> {
    /// Side by side, in no order.
    entries: Vec<(K, V)>,
    index: Index,
    in_order: BTreeMap<K, u32>,
}

impl<K: Ord + Hash + Copy, V> IndexedMap<K, V> {
    pub(crate) fn new(secret: Secret) -> Self {
        Self { entries: Vec::new(), index: Index::new(secret), in_order: BTreeMap::new() }
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.number_of(key).map(|number| &self.entries[number as usize].1)
    }

    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.number_of(key).map(|number| &mut self.entries[number as usize].1)
    }

    /// Sets the value under `key`.
    pub(crate) fn insert(&mut self, key: K, value: V) {
        if let Some(known) = self.get_mut(&key) {
            *known = value;
            return;
        }
        let number = u32::try_from(self.entries.len()).expect("memory ends before");
        self.entries.push((key, value));
        self.index.insert(&key, number);
        self.in_order.insert(key, number);
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        let number = self.in_order.remove(key)?;
        self.index.remove(key, number);
        let (_, value) = self.entries.swap_remove(number as usize);
        // What was the last one is in the place of what was removed.
        if let Some((moved, _)) = self.entries.get(number as usize)
            && let Some(former) = self.in_order.insert(*moved, number)
        {
            self.index.renumber(moved, former, number);
        }
        Some(value)
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &K> {
        self.in_order.keys()
    }

    /// Walks over the entries in order of their keys.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.in_order.iter().map(|(key, number)| (key, &self.entries[*number as usize].1))
    }

    fn number_of(&self, key: &K) -> Option<u32> {
        // Frames come in trains, and each asks for what the one before it asked for.
        self.index.find_again(key, |number| self.entries[number as usize].0 == *key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_run_agrees_with_an_ordered_map() {
        let mut map = IndexedMap::new(Secret::NONE);
        let mut naive = BTreeMap::new();
        let mut state = 7_u64;
        for step in 0..20_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let key = (state >> 33) % 200;
            if (state >> 20).is_multiple_of(2) {
                map.insert(key, step);
                naive.insert(key, step);
            } else {
                assert_eq!(map.remove(&key), naive.remove(&key));
            }

            let asked = (state >> 24) % 200;
            assert_eq!(map.get(&asked), naive.get(&asked));
            assert_eq!(map.get_mut(&key), naive.get_mut(&key));
            if step % 100 == 0 {
                assert!(map.iter().eq(naive.iter()) && map.keys().eq(naive.keys()));
            }
        }
    }
}
