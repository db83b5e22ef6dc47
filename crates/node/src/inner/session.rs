//! One inner session: DTLS with a node far away, over whatever way frames take there.

use std::time::{Duration, Instant};

use peerbound_dtls::Association;
use peerbound_wire::{Flags, FlowId, Header, Kind, NodeId};

use crate::inner::view::{InnerState, InnerView};
use crate::inner::waiting::Waiting;
use crate::timed_map::Timed;

/// The flow of handshakes that we begin.
pub(crate) const HANDSHAKE_FLOW: FlowId = FlowId(u32::MAX);

/// The least time between two openings because the peer says that it has no session with us.
const HINTS_INTERVAL: Duration = Duration::from_secs(1);

/// How frames of a handshake find their way: one that answers goes back the way the other came, so that
/// whoever is asked needs no route to whoever asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// By the routes, in our own flow.
    There,
    /// Back the way that this flow of the peer's came.
    Back(FlowId),
}

impl Way {
    /// Returns the way of answers to a frame.
    pub(crate) fn answering(header: &Header) -> Self {
        if header.flags.contains(Flags::REPLY) { Self::There } else { Self::Back(header.flow) }
    }

    /// Makes the header of a handshake frame that goes this way.
    pub(crate) fn header(self, us: NodeId, peer: NodeId) -> Header {
        let (flow, flags) = match self {
            Self::There => (HANDSHAKE_FLOW, Flags::default()),
            Self::Back(flow) => (flow, Flags::REPLY),
        };
        Header { flow, flags, ..Header::new(Kind::InnerHandshake, us, peer) }
    }
}

/// An inner session and what waits for it.
#[derive(Debug)]
pub(crate) struct InnerSession {
    pub(crate) association: Association,
    /// The neighbour that brought the hello; `None` when we began.
    pub(crate) ingress: Option<NodeId>,
    pub(crate) way: Way,
    pub(crate) waiting: Waiting,
    /// Since when it is open, or being opened.
    pub(crate) since: Instant,
    /// Whether it is open, or was and is being replaced.
    pub(crate) is_open: bool,
    /// When a payload last passed.
    pub(crate) last_used: Instant,
    pub(crate) idle: Duration,
    pub(crate) bytes_sent: u64,
    pub(crate) bytes_received: u64,
    pub(crate) last_error: Option<String>,
    /// Why we close it, where we do.
    pub(crate) closing: Option<&'static str>,
    /// The number that our next frame had when it was made: reports about earlier ones are not about it.
    pub(crate) first_packet: u64,
    hinted_at: Option<Instant>,
}

impl InnerSession {
    pub(crate) fn new(
        association: Association,
        (ingress, way): (Option<NodeId>, Way),
        first_packet: u64,
        idle: Duration,
        now: Instant,
    ) -> Self {
        Self {
            association,
            ingress,
            way,
            waiting: Waiting::default(),
            since: now,
            is_open: false,
            last_used: now,
            idle,
            bytes_sent: 0,
            bytes_received: 0,
            last_error: None,
            closing: None,
            first_packet,
            hinted_at: None,
        }
    }

    /// Returns whether the peer's word that it has no session with us is to be acted on: not too often, for a
    /// relay may have invented it.
    pub(crate) fn takes_hint(&mut self, now: Instant) -> bool {
        if self.hinted_at.is_some_and(|at| now < at + HINTS_INTERVAL) {
            return false;
        }
        self.hinted_at = Some(now);
        true
    }

    /// Returns when nothing will have passed for too long.
    pub(crate) fn idle_at(&self) -> Option<Instant> {
        self.association.is_live().then(|| self.last_used + self.idle)
    }

    pub(crate) fn view(&self, peer: NodeId, path_mtu: Option<u16>) -> InnerView {
        let session = self.association.session();
        let trouble = || self.association.trouble().map(|reason| reason.to_string());
        InnerView {
            peer,
            state: if session.is_some() { InnerState::Established } else { InnerState::Opening },
            role: session.map(|session| session.role()),
            suite: session.and_then(|session| session.peer()).map(|peer| peer.suite.name),
            since: self.since,
            records: session.map_or((0, 0), |session| session.records()),
            bytes: (self.bytes_sent, self.bytes_received),
            path_mtu,
            waiting: (self.waiting.len(), self.waiting.bytes()),
            last_error: self.last_error.clone().or_else(trouble),
        }
    }
}

impl Timed for InnerSession {
    fn poll_timeout(&self) -> Option<Instant> {
        let times = [self.association.poll_timeout(), self.idle_at(), self.waiting.expires_at()];
        times.into_iter().flatten().min()
    }
}
