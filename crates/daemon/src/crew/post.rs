//! The place of one worker, as the data thread sees it: what goes there, what comes back, and what may be read there at
//! any time. All of it is bounded, and no thread ever waits for another: what finds no room is not taken in, and waits
//! where it came from.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};
use peerbound_dtls::{Opener, Unsealed};
use peerbound_node::UnsealedTransmit;

use crate::crew::arrivals::Arrivals;
use crate::crew::bell::Bell;
use crate::crew::deliveries::{DELIVERIES_MAX, Deliveries};
use crate::crew::times::Times;
use crate::crew::worker::Worker;
use crate::lane::Lane;

/// Batches under way to a worker: 4 x 64 KiB, which it seals in a fifth of a millisecond. More would wait here, where
/// nobody decides who comes first.
pub(crate) const SENDS_MAX: usize = 4;

/// Openers under way to a worker; one that finds no room is sent with the next datagram of its address.
const OPENERS_UNDER_WAY_MAX: usize = 64;

/// Buffers of what a worker has received: while it fills one the data thread deals with another. Each holds what one
/// call receives, 2 MiB at worst: 4 x 2 MiB.
pub(crate) const ARRIVALS_MAX: usize = 4;

/// What may wait for a worker: as much of each as may be under way, and that it is to take a lane or to leave it.
pub(crate) const HANDOVERS_MAX: usize = OPENERS_UNDER_WAY_MAX + SENDS_MAX + DELIVERIES_MAX + ARRIVALS_MAX + 3;

/// What may wait for the data thread from one worker: what it has received, the buffers of what it has sent, its lane.
pub(crate) const WORDS_MAX: usize = ARRIVALS_MAX + SENDS_MAX + 1;

/// What the data thread hands over.
pub(crate) enum Handover {
    /// Serve this.
    Take(Box<Lane>),
    /// Seal and send this.
    Send(UnsealedTransmit),
    /// Open with this what comes from there.
    Open(SocketAddr, Opener),
    /// Give these to this host's kernel.
    Deliver(Deliveries),
    /// A buffer for what arrives.
    Room(Arrivals),
    /// Finish all that was handed over before, and give the lane back.
    Leave,
    /// There is nothing more to do.
    End,
}

/// What a worker answers.
pub(crate) enum Word {
    /// This has arrived.
    Arrived(Arrivals),
    /// A batch is sent; its buffers.
    Sent(Vec<u8>, Unsealed),
    /// The lane, and nothing of it is with the worker any more.
    Left(Box<Lane>),
}

/// What others may read of a worker while it runs.
#[derive(Debug)]
pub(crate) struct Gauge {
    /// Wakes it.
    pub(crate) bell: Bell,
    /// Bytes that its socket takes at a time; none while the kernel's buffer is full.
    room: AtomicUsize,
    /// Nanoseconds for which it had a processor, and for which it wanted one.
    used: AtomicU64,
    waited: AtomicU64,
    /// Packets that this host's kernel did not take, since somebody asked last.
    refused: AtomicUsize,
}

impl Gauge {
    pub(crate) fn new(bell: Bell) -> Self {
        let [used, waited] = [0, 0].map(AtomicU64::new);
        Self { bell, room: AtomicUsize::new(usize::MAX), used, waited, refused: AtomicUsize::new(0) }
    }

    pub(crate) fn room(&self) -> usize {
        self.room.load(Ordering::Acquire)
    }

    pub(crate) fn times(&self) -> Times {
        let [used, waited] = [&self.used, &self.waited].map(|time| time.load(Ordering::Relaxed));
        Times { used: Duration::from_nanos(used), waited: Duration::from_nanos(waited) }
    }

    pub(crate) fn take_refused(&self) -> usize {
        self.refused.swap(0, Ordering::Relaxed)
    }

    pub(crate) fn show(&self, room: usize, refused: usize) {
        self.room.store(room, Ordering::Release);
        if refused > 0 {
            self.refused.fetch_add(refused, Ordering::Relaxed);
        }
    }

    pub(crate) fn show_times(&self, times: Times) {
        for (time, shown) in [(times.used, &self.used), (times.waited, &self.waited)] {
            shown.store(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
    }
}

/// One worker's place.
pub(crate) struct Post {
    /// Its lane, while it is not with the worker.
    pub(crate) lane: Option<Lane>,
    pub(crate) to: Sender<Handover>,
    pub(crate) words: Receiver<Word>,
    pub(crate) gauge: Arc<Gauge>,
    /// Batches that were handed over and are not sent.
    pub(crate) sends: usize,
    /// The worker, until it runs.
    pub(crate) worker: Option<Worker>,
    pub(crate) thread: Option<JoinHandle<()>>,
}

impl Post {
    /// Lets the worker run, from the thread that calls: what that may do, the worker may.
    pub(crate) fn start(&mut self, name: String) -> std::io::Result<()> {
        if let Some(worker) = self.worker.take() {
            self.thread = Some(std::thread::Builder::new().name(name).spawn(move || worker.run())?);
        }
        Ok(())
    }

    /// Hands something over. A worker that is gone takes nothing: that is noticed where its lane is missed.
    pub(crate) fn hand(&self, what: Handover) {
        let _ = self.to.try_send(what);
        self.gauge.bell.ring();
    }

    /// Hands over what opens the datagrams from an address, unless so much waits for the worker that there might be no
    /// room for the rest.
    pub(crate) fn hand_opener(&self, from: SocketAddr, opener: Opener) {
        if self.to.len() < OPENERS_UNDER_WAY_MAX {
            self.hand(Handover::Open(from, opener));
        }
    }

    /// Whether one more batch may be handed over.
    pub(crate) fn takes_batch(&self) -> bool {
        self.sends < SENDS_MAX && self.gauge.room() > 0
    }
}
