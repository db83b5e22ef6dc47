//! A node's data thread as an experiment sees it: every datagram in and out with its verdict, every
//! event, the secrets of every session, in the order in which they came about. A deployed node has no
//! observer, and pays one branch for that.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::Sender;
use mio::Waker;
use peerbound_dtls::{Role, SessionSecrets};
use peerbound_node::{Event, Node, Reason, SessionSeen, Transmit, Verdict};
use peerbound_wire::NodeId;

use crate::clock;
use crate::lossy::LossySender;

/// Observations that may wait for their taker, as a size for the channel: 65,536 datagrams of 1400
/// bytes are 92 MB at worst, some seconds of the fastest run that anyone reads.
pub const OBSERVATIONS_MAX: usize = 65_536;

/// Something that a node's data thread saw or did.
#[derive(Debug, Clone)]
pub struct Observation {
    /// Whose, as its [`Observer`] was told.
    pub station: usize,
    /// When.
    pub at: Instant,
    /// What.
    pub what: Observed,
}

/// What was seen or done.
#[derive(Debug, Clone)]
pub enum Observed {
    /// A datagram arrived, and the node came to a verdict.
    Arrived {
        /// The source address, as the kernel tells it.
        from: SocketAddr,
        /// The datagram.
        bytes: Vec<u8>,
        /// What became of it.
        verdict: Verdict,
        /// Why, where it was dropped.
        reason: Option<Reason>,
    },
    /// A datagram is about to be given to the kernel.
    Sent {
        /// The destination address.
        to: SocketAddr,
        /// The datagram.
        bytes: Vec<u8>,
    },
    /// The kernel told the socket of an error, as a connected one hears of an ICMP message.
    Told {
        /// Its kind.
        error: std::io::ErrorKind,
    },
    /// The node told its owner something.
    Event(Event),
    /// A session was established; only where [`peerbound_node::NodeConfig::observe_sessions`] is set. Told
    /// before the verdict on the datagram that did it, and before anything that the session sealed is sent.
    Keys {
        /// With whom.
        peer: NodeId,
        /// Which side of its handshake we were.
        role: Role,
        /// Whoever has them reads the session and speaks for both of its ends.
        secrets: Box<SessionSecrets>,
    },
}

/// Where a data thread puts what it sees. A full channel costs the observation, never the node.
#[derive(Debug, Clone)]
pub struct Observer {
    station: usize,
    sender: LossySender<Observation>,
    waker: Option<Arc<Waker>>,
}

impl Observer {
    /// Makes an observer that signs with `station`, so that several nodes may share one channel and
    /// what they saw has one order. `waker` is woken when there is something to take.
    #[must_use]
    pub fn new(station: usize, sender: Sender<Observation>, waker: Option<Arc<Waker>>) -> Self {
        Self { station, sender: LossySender::new(sender), waker }
    }

    /// Returns how many observations found the channel full.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.sender.dropped()
    }

    fn put(&self, what: Observed) {
        self.sender.put(Observation { station: self.station, at: clock::now(), what });
    }
}

impl Observer {
    /// Gives a datagram to the node and tells what came of it; returns the node's events.
    pub(crate) fn handle_datagram(&self, node: &mut Node, from: SocketAddr, datagram: &[u8]) -> Vec<Event> {
        let verdict = node.handle_datagram(from, datagram, clock::now());
        let reason = node.last_reason();
        let (sessions, events): (Vec<_>, Vec<_>) =
            std::iter::from_fn(|| node.poll_event()).partition(|event| matches!(event, Event::Session(_)));
        // The keys come first: the datagram that completed a handshake is sealed under them.
        sessions.iter().for_each(|event| self.on_event(event));
        self.put(Observed::Arrived { from, bytes: datagram.to_vec(), verdict, reason });
        events.iter().for_each(|event| self.on_event(event));
        events
    }

    pub(crate) fn on_send(&self, batch: &Transmit) {
        for datagram in batch.datagrams() {
            self.put(Observed::Sent { to: batch.destination, bytes: datagram.to_vec() });
        }
    }

    pub(crate) fn on_error(&self, error: std::io::ErrorKind) {
        self.put(Observed::Told { error });
    }

    pub(crate) fn on_event(&self, event: &Event) {
        self.put(match event {
            Event::Session(SessionSeen { peer, role, secrets, .. }) => {
                Observed::Keys { peer: *peer, role: *role, secrets: secrets.clone() }
            }
            other => Observed::Event(other.clone()),
        });
    }

    /// Wakes the taker.
    pub(crate) fn flush(&self) {
        if let Some(waker) = &self.waker
            && !self.sender.is_empty()
        {
            // A taker that is gone needs no waking.
            let _ = waker.wake();
        }
    }
}
