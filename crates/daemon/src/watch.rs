//! Lets other threads watch what happens to a node, beside the one that takes its events.

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Instant;

use crossbeam_channel::{Receiver, bounded};
use peerbound_node::Event;

/// Watchers of one node: each costs a call for each event. More than that many requests that wait for
/// something cannot be served at once.
pub const WATCHERS_MAX: usize = 64;

/// What a watcher was told and has not taken yet. Dropping it ends the watch.
#[derive(Debug)]
pub struct Watch<T> {
    told: Receiver<T>,
    _alive: Arc<()>,
}

impl<T> Watch<T> {
    /// Returns the queue of what was picked. What finds it full is lost.
    #[must_use]
    pub fn told(&self) -> &Receiver<T> {
        &self.told
    }
}

/// The data thread's half of a watch.
pub(crate) struct Watcher {
    alive: Weak<()>,
    tell: Box<Tell>,
}

type Tell = dyn FnMut(&Event, Instant) + Send;

impl fmt::Debug for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watcher(..)")
    }
}

/// Makes both halves of a watch for as much as `capacity` picked events.
pub(crate) fn watch<T: Send + 'static>(
    capacity: usize,
    mut pick: impl FnMut(&Event, Instant) -> Option<T> + Send + 'static,
) -> (Watcher, Watch<T>) {
    let (tell, told) = bounded(capacity);
    let alive = Arc::new(());
    let tell = Box::new(move |event: &Event, now| {
        if let Some(picked) = pick(event, now) {
            // A watcher that is too slow loses what it does not take, and holds nobody up.
            let _ = tell.try_send(picked);
        }
    });
    (Watcher { alive: Arc::downgrade(&alive), tell }, Watch { told, _alive: alive })
}

/// The watchers of a node.
#[derive(Debug, Default)]
pub(crate) struct Watchers(Vec<Watcher>);

impl Watchers {
    /// Takes a watcher, if there is room for it.
    pub(crate) fn add(&mut self, watcher: Watcher) -> bool {
        self.0.retain(|watcher| watcher.alive.strong_count() > 0);
        let has_room = self.0.len() < WATCHERS_MAX;
        if has_room {
            self.0.push(watcher);
        }
        has_room
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn tell(&mut self, event: &Event, now: Instant) {
        self.0.retain_mut(|watcher| {
            let is_alive = watcher.alive.strong_count() > 0;
            if is_alive {
                (watcher.tell)(event, now);
            }
            is_alive
        });
    }
}

#[cfg(test)]
mod tests {
    use peerbound_wire::NodeId;

    use super::*;
    use crate::clock;

    const A: NodeId = NodeId::new([0xa; 16]);

    #[test]
    fn a_watcher_gets_what_it_picks_until_it_is_dropped() {
        let mut watchers = Watchers::default();
        let (watcher, watch) = watch(1, |event, _| match event {
            Event::NeighbourReplaced { id } => Some(*id),
            _ => None,
        });
        assert!(watchers.add(watcher));
        let down = Event::NeighbourDown { id: A, reason: "a test".to_owned() };

        for event in [&down, &Event::NeighbourReplaced { id: A }, &Event::NeighbourReplaced { id: A }] {
            watchers.tell(event, clock::now());
        }

        assert_eq!(watch.told().try_iter().collect::<Vec<_>>(), [A], "what finds the queue full is lost");
        drop(watch);
        watchers.tell(&down, clock::now());
        assert!(watchers.is_empty());
    }

    #[test]
    fn watchers_have_a_ceiling_and_those_that_are_gone_make_room() {
        let mut watchers = Watchers::default();
        let mut kept = Vec::new();
        for _ in 0..WATCHERS_MAX {
            let (watcher, watch) = watch(1, |_, _| Some(()));
            assert!(watchers.add(watcher));
            kept.push(watch);
        }

        assert!(!watchers.add(watch(1, |_, _| Some(())).0));
        kept.pop();
        assert!(watchers.add(watch(1, |_, _| Some(())).0));
    }
}
