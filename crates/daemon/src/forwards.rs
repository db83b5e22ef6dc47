//! TCP and UDP services carried over the overlay without a TUN device and without root: a stack of our
//! own (smoltcp) speaks IPv6 with the node's overlay address, on a thread of its own, and sockets of
//! this host are joined to it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use crossbeam_channel::bounded;
use mio::{Poll, Token, Waker};
use peerbound_wire::NodeId;

use crate::config::{ServicesConfig, Transport};
use crate::daemon::NodeHandle;
use crate::forwards::port::{PACKETS_MAX, Share, StackPort};
use crate::forwards::stack::Stack;
use crate::packets::PacketPort;

mod device;
mod port;
mod stack;
mod tcp;
mod udp;

const WAKER: Token = Token(0);

/// What the forwards did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ForwardCounters {
    /// TCP connections joined, from here to others and from others to here.
    pub connections: u64,
    /// TCP connections that others wanted and may not have, or for which there was no room.
    pub connections_refused: u64,
    /// TCP connections of which one end could not be reached, or broke.
    pub connections_failed: u64,
    /// UDP datagrams carried, both ways.
    pub datagrams: u64,
    /// UDP datagrams dropped: too long for a packet, not allowed, or without room.
    pub datagrams_dropped: u64,
    /// Packets that arrived faster than the stack took them.
    pub packets_overflowed: u64,
}

/// The counters as the stack writes them and others read them.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    connections: AtomicU64,
    connections_refused: AtomicU64,
    connections_failed: AtomicU64,
    datagrams: AtomicU64,
    datagrams_dropped: AtomicU64,
    packets_overflowed: Arc<AtomicU64>,
}

impl Meter {
    pub(crate) fn counters(&self) -> ForwardCounters {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ForwardCounters {
            connections: read(&self.connections),
            connections_refused: read(&self.connections_refused),
            connections_failed: read(&self.connections_failed),
            datagrams: read(&self.datagrams),
            datagrams_dropped: read(&self.datagrams_dropped),
            packets_overflowed: read(&self.packets_overflowed),
        }
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Everything bound and ready, before the node runs: what cannot be had stops the start.
pub(crate) struct Prepared {
    stack: Stack,
    /// Kept by both ends: a waker that is gone takes with it the wake-up it was gone after.
    waker: Arc<Waker>,
    port: StackPort,
    meter: Arc<Meter>,
}

/// The data thread's end, the counters, and the thread of the stack.
type Started = (Box<dyn PacketPort>, Arc<Meter>, JoinHandle<()>);

/// A service that cannot be offered.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {source}")]
pub struct ForwardError {
    what: String,
    source: io::Error,
}

impl Prepared {
    /// Binds what the configuration names. `shares_address` says that a TUN device has our address, too.
    pub(crate) fn new(
        us: NodeId,
        services: &ServicesConfig,
        shares_address: bool,
        chance: [u8; 32],
    ) -> Result<Self, ForwardError> {
        let [first, ..] = chance.as_chunks::<8>().0 else { unreachable!("there are four of them") };
        let seed = u64::from_be_bytes(*first);
        let about = |what: &str| {
            let what = what.to_owned();
            move |source| ForwardError { what, source }
        };
        let poll = Poll::new().map_err(about("the poller of the forwards cannot be made"))?;
        let waker =
            Waker::new(poll.registry(), WAKER).map_err(about("the waker of the forwards cannot be made"))?;
        let waker = Arc::new(waker);
        let meter = Arc::new(Meter::default());
        let (sender, packets) = bounded(PACKETS_MAX);
        let exposed = services.exposes.iter().map(|expose| (expose.transport, expose.port)).collect();
        let port = StackPort {
            us: us.address(),
            share: if shares_address { Share::Ports(exposed) } else { Share::Everything },
            packets: Some(sender),
            waker: Arc::clone(&waker),
            overflowed: Arc::clone(&meter.packets_overflowed),
        };
        let stack = Stack::new(us, services, (poll, packets), Arc::clone(&meter), seed)?;
        Ok(Self { stack, waker, port, meter })
    }

    /// Returns where this host listens.
    pub(crate) fn listens(&self) -> Vec<(Transport, SocketAddr)> {
        self.stack.listens()
    }

    /// Runs until the node's end of the port is gone.
    pub(crate) fn start(self, node: NodeHandle) -> io::Result<Started> {
        let Self { stack, waker, port, meter } = self;
        let run = move || {
            stack.run(&node);
            drop(waker);
        };
        let thread = std::thread::Builder::new().name("forwards".to_owned()).spawn(run)?;
        Ok((Box::new(port), meter, thread))
    }
}
