//! A bounded channel whose full queue costs what is put in, never whoever puts it in.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_channel::{Sender, TrySendError};

/// The end where things are put in, and the count of those that found no room.
#[derive(Debug)]
pub(crate) struct LossySender<T> {
    sender: Sender<T>,
    dropped: Arc<AtomicU64>,
}

impl<T> LossySender<T> {
    pub(crate) fn new(sender: Sender<T>) -> Self {
        Self { sender, dropped: Arc::default() }
    }

    /// Returns how many found no room.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Returns the count, for whoever is at the other end.
    pub(crate) fn count(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.dropped)
    }

    /// Says whether somebody at the other end still holds the count.
    pub(crate) fn is_counted_elsewhere(&self) -> bool {
        Arc::strong_count(&self.dropped) > 1
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.sender.is_empty()
    }

    pub(crate) fn put(&self, thing: T) {
        match self.sender.try_send(thing) {
            // Whoever has gone away wants to know nothing.
            Ok(()) | Err(TrySendError::Disconnected(_)) => {}
            Err(TrySendError::Full(_)) => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

impl<T> Clone for LossySender<T> {
    fn clone(&self) -> Self {
        Self { sender: self.sender.clone(), dropped: Arc::clone(&self.dropped) }
    }
}
