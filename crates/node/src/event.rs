//! What a node has to tell its owner.

use std::net::SocketAddr;

use peerbound_dtls::{DownReason, Peer, Role, SessionSecrets};
use peerbound_wire::{Acquaintance, ErrorMessage, Header, NodeId, TraceReport};

use crate::counters::FrameDrop;
use crate::router::RouteChange;

/// Something an owner may act on or show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A neighbour's link carries frames in both directions.
    NeighbourUp {
        /// Who.
        id: NodeId,
        /// Where it is.
        address: SocketAddr,
        /// Which side of its handshake we were.
        role: Role,
        /// What the session was agreed on.
        peer: Peer,
    },
    /// Another session of the same neighbour has taken over: it restarted, or keys were changed.
    NeighbourReplaced {
        /// Who.
        id: NodeId,
    },
    /// A neighbour's session is at another address from here on: it moved, or its NAT gave it another
    /// port. It proved itself there, and did not go down.
    NeighbourMoved {
        /// Who.
        id: NodeId,
        /// Where it was.
        from: SocketAddr,
        /// Where it is.
        to: SocketAddr,
    },
    /// A neighbour is gone.
    NeighbourDown {
        /// Who.
        id: NodeId,
        /// Why, in words.
        reason: String,
    },
    /// A neighbour could not be reached; it is dialled again.
    DialFailed {
        /// Who.
        id: NodeId,
        /// Where it was dialled, or where its session was that never carried frames both ways.
        address: SocketAddr,
        /// Why, in words.
        reason: String,
    },
    /// Someone at this address was refused, or did not finish his handshake. Told of some each
    /// minute; the counters know all.
    StrangerFailed {
        /// Where he was.
        address: SocketAddr,
        /// Why.
        reason: DownReason,
    },
    /// A data frame reached its destination, which is here.
    Delivered {
        /// Its header, as it arrived.
        header: Header,
        /// Its payload.
        payload: Vec<u8>,
    },
    /// A node on the way reports that a frame of ours went no further.
    Error {
        /// Who says so.
        reporter: NodeId,
        /// What it says.
        message: ErrorMessage,
    },
    /// A ping of ours was answered.
    Pong {
        /// Who answered.
        from: NodeId,
        /// The token of the ping.
        token: u64,
        /// The header of the answer.
        header: Header,
    },
    /// A node on a way that we have described describes itself.
    TraceReport(TraceSeen),
    /// A node says who is at an address that we asked about.
    WhoIs {
        /// Who says so.
        from: NodeId,
        /// The token of the question.
        token: u64,
        /// The address.
        address: SocketAddr,
        /// Who is there, and how it knows; `None` when it does not.
        who: Option<(NodeId, Acquaintance)>,
    },
    /// There is another way to a node, or none; only where [`crate::NodeConfig::observe_routes`] is set.
    RouteChanged(RouteChange),
    /// An inner session opened, changed or ended.
    Inner(InnerEvent),
    /// What was done with a frame; only where [`crate::NodeConfig::observe_frames`] is set.
    Frame(FrameSeen),
    /// A session was established, whether it takes over or not; only where
    /// [`crate::NodeConfig::observe_sessions`] is set.
    Session(SessionSeen),
}

/// One hop of a way that is traced, as it describes itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceSeen {
    /// Who describes itself.
    pub reporter: NodeId,
    /// Where it is on the way.
    pub place: TracePlace,
    /// What it says.
    pub report: TraceReport,
}

/// Where a hop is on a way that is traced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TracePlace {
    /// The beginning, which is here.
    Origin,
    /// In between, out or back.
    Relay,
    /// Where the request arrived and the answer began.
    Destination,
    /// Where the answer arrived, which is here.
    End,
}

/// What became of an inner session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InnerEvent {
    /// Payloads pass.
    Opened {
        /// Who proved to be at the other end.
        id: NodeId,
        /// Which side of the handshake we were.
        role: Role,
        /// What was agreed on.
        peer: Peer,
    },
    /// Another session with the same node has taken over: it restarted, or keys were changed.
    Replaced {
        /// Who is at the other end.
        id: NodeId,
    },
    /// It could not be opened. The next payload for the node tries again.
    Failed {
        /// Who was to be at the other end.
        id: NodeId,
        /// Why, in words.
        reason: String,
        /// How many payloads waited for it and went nowhere.
        lost: usize,
    },
    /// It is over. The next payload for the node opens another.
    Closed {
        /// Who was at the other end.
        id: NodeId,
        /// Why, in words.
        reason: String,
    },
}

/// An IP packet that reached its destination, which is here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveredPacket {
    /// The header of its frame, as it arrived.
    pub header: Header,
    /// The packet.
    pub bytes: Vec<u8>,
}

/// One established session, as one of its ends knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionSeen {
    /// Who proved to be at the other end.
    pub peer: NodeId,
    /// Where that is.
    pub address: SocketAddr,
    /// Which side of the handshake we were.
    pub role: Role,
    /// With them anyone can read the session and forge it.
    pub secrets: Box<SessionSecrets>,
}

/// One frame, as one node saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameSeen {
    /// Its header, as it arrived or was made.
    pub header: Header,
    /// Bytes of payload.
    pub payload_bytes: usize,
    /// The neighbour it came from; `None` when it was made here.
    pub from: Option<NodeId>,
    /// What was done with it.
    pub action: FrameAction,
}

/// What a node did with a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameAction {
    /// It was for us.
    Delivered,
    /// It went to this neighbour.
    Sent(NodeId),
    /// It went no further.
    Dropped(FrameDrop),
}
