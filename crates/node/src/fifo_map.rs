//! A map with a ceiling: when it is full, it forgets what it learnt first.

use std::collections::{BTreeMap, VecDeque};

/// An ordered map of at most `max` entries; inserting one more evicts the oldest insertion.
#[derive(Debug)]
pub(crate) struct FifoMap<K, V> {
    entries: BTreeMap<K, V>,
    order: VecDeque<K>,
    max: usize,
}

impl<K: Ord + Copy, V> FifoMap<K, V> {
    pub(crate) fn with_max(max: usize) -> Self {
        Self { entries: BTreeMap::new(), order: VecDeque::new(), max }
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key)
    }

    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.entries.get_mut(key)
    }

    /// Lists the entries between two keys, both included, in order of their keys.
    pub(crate) fn between(&self, first: K, last: K) -> impl Iterator<Item = (&K, &V)> {
        self.entries.range(first..=last)
    }

    /// Walks over the entries in order of their keys.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.entries.iter()
    }

    /// Returns the value under `key`, made by `make` if there was none.
    pub(crate) fn get_or_insert_with(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        if !self.entries.contains_key(&key) {
            self.order.push_back(key);
            if self.order.len() > self.max
                && let Some(oldest) = self.order.pop_front()
            {
                self.entries.remove(&oldest);
            }
        }
        self.entries.entry(key).or_insert_with(make)
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_map_forgets_its_oldest_entry_and_no_other() {
        let mut map = FifoMap::with_max(2);
        for key in [1, 2, 1, 3] {
            map.get_or_insert_with(key, || key * 10);
        }

        assert_eq!((map.get(&1), map.get(&2), map.get(&3)), (None, Some(&20), Some(&30)));
        assert_eq!(map.len(), 2);
    }
}
