//! A map of values that want to be looked at again at some moment, and which of them is the first.
//!
//! After every datagram a node is asked when it wants to be woken. Looking at each neighbour and each
//! session for that costs more than opening the datagram, once they do not lie in the processor's caches.

use std::collections::BTreeSet;
use std::hash::Hash;
use std::time::Instant;

use crate::index::Secret;
use crate::indexed_map::IndexedMap;

/// Wants to be looked at again.
pub(crate) trait Timed {
    /// Returns when, as far as is known; it changes only when the value does.
    fn poll_timeout(&self) -> Option<Instant>;
}

/// A map that asks none of its values when they are due but the one that was last changed.
#[derive(Debug)]
pub(crate) struct TimedMap<K, V> {
    values: IndexedMap<K, Watched<V>>,
    /// When each is due, as it is noted, in order of time.
    in_order: BTreeSet<(Instant, K)>,
    changed: Option<K>,
}

/// A value, and when it is due. What is noted of the one that was changed may be out of date.
#[derive(Debug)]
struct Watched<V> {
    value: V,
    noted: Option<Instant>,
}

impl<K: Ord + Hash + Copy, V: Timed> TimedMap<K, V> {
    pub(crate) fn new(secret: Secret) -> Self {
        Self { values: IndexedMap::new(secret), in_order: BTreeSet::new(), changed: None }
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.values.get(key).map(|watched| &watched.value)
    }

    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.expect_change_of(*key);
        self.values.get_mut(key).map(|watched| &mut watched.value)
    }

    pub(crate) fn insert(&mut self, key: K, value: V) {
        match self.get_mut(&key) {
            Some(known) => *known = value,
            None => self.values.insert(key, Watched { value, noted: None }),
        }
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        let Watched { value, noted } = self.values.remove(key)?;
        if let Some(noted) = noted {
            self.in_order.remove(&(noted, *key));
        }
        Some(value)
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &K> {
        self.values.keys()
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.values.iter().map(|(key, watched)| (key, &watched.value))
    }

    /// Returns when the first of them is due.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let changed = self.changed.and_then(|key| self.get(&key)).and_then(Timed::poll_timeout);
        let noted = self.in_order.iter().find(|(_, key)| Some(*key) != self.changed).map(|(at, _)| *at);
        changed.into_iter().chain(noted).min()
    }

    /// Returns which are due, in order of their keys.
    pub(crate) fn due(&mut self, now: Instant) -> Vec<K> {
        self.note();
        let mut due: Vec<_> =
            self.in_order.iter().take_while(|(at, _)| *at <= now).map(|(_, key)| *key).collect();
        due.sort_unstable();
        due
    }

    fn expect_change_of(&mut self, key: K) {
        if self.changed != Some(key) {
            self.note();
            self.changed = Some(key);
        }
    }

    /// Notes when the one that was changed is due. Nobody need ask for that; it is cheapest at once, as long
    /// as the processor has the value at hand.
    pub(crate) fn note(&mut self) {
        let Some(key) = self.changed.take() else { return };
        let Some(watched) = self.values.get_mut(&key) else { return };
        let due = watched.value.poll_timeout();
        if due == watched.noted {
            return;
        }
        if let Some(before) = std::mem::replace(&mut watched.noted, due) {
            self.in_order.remove(&(before, key));
        }
        if let Some(due) = due {
            self.in_order.insert((due, key));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    struct Clock(Option<Instant>);

    impl Timed for Clock {
        fn poll_timeout(&self) -> Option<Instant> {
            self.0
        }
    }

    #[expect(clippy::disallowed_methods, reason = "an Instant can be had in no other way")]
    fn start() -> Instant {
        Instant::now()
    }

    #[test]
    fn whatever_is_changed_the_first_and_the_due_are_those_of_all_values() {
        let start = start();
        let mut map = TimedMap::new(Secret::NONE);
        let mut state = 1_u64;
        let mut draw = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) % below
        };
        for _ in 0..5000 {
            let key = draw(8);
            let due = Some(draw(50)).filter(|at| *at > 9).map(|at| start + Duration::from_secs(at));
            match draw(4) {
                0 => map.insert(key, Clock(due)),
                1 => drop(map.remove(&key)),
                _ => {
                    if let Some(clock) = map.get_mut(&key) {
                        clock.0 = due;
                    }
                }
            }

            assert_eq!(map.poll_timeout(), map.values().filter_map(Timed::poll_timeout).min());
            if draw(3) == 0 {
                let now = start + Duration::from_secs(draw(50));
                let is_due = |clock: &Clock| clock.0.is_some_and(|at| at <= now);
                let all = map.iter().filter(|(_, clock)| is_due(clock)).map(|(key, _)| *key);
                let all: Vec<_> = all.collect();
                assert_eq!(map.due(now), all);
            }
        }
    }
}
