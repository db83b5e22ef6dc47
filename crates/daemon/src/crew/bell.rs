//! Wakes a thread that sleeps at its poller, and costs nearly nothing while it is awake.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};

use mio::Waker;

/// The bell of one thread. Whoever leaves it something rings afterwards; and the thread says that it is about to sleep,
/// and looks once more, before it does. So one of both sees the other.
#[derive(Debug)]
pub(crate) struct Bell {
    waker: Arc<Waker>,
    sleeps: AtomicBool,
}

impl Bell {
    pub(crate) fn new(waker: Arc<Waker>) -> Self {
        Self { waker, sleeps: AtomicBool::new(false) }
    }

    /// Wakes the thread, if it sleeps. What was left for it before is seen by it afterwards.
    pub(crate) fn ring(&self) {
        fence(Ordering::SeqCst);
        if self.sleeps.load(Ordering::Relaxed) && self.sleeps.swap(false, Ordering::Relaxed) {
            // Only a poller that is gone cannot be woken.
            let _ = self.waker.wake();
        }
    }

    /// Says that the thread is about to sleep: it is to look once more whether anything was left for it.
    pub(crate) fn goes_to_sleep(&self) {
        self.sleeps.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// Says that the thread is awake.
    pub(crate) fn is_awake(&self) {
        self.sleeps.store(false, Ordering::Relaxed);
    }
}
