//! The core of a node, without I/O: one link session per neighbour, routes set and learned, hop-by-hop
//! relaying, and a reason for everything that is dropped.
//!
//! Pure but for the DTLS underneath: time and chance are arguments. Datagrams, commands and time go
//! into a [`Node`]; batches of datagrams and [`Event`]s come out. After any input, take
//! [`Node::poll_transmit`] until it is `None`, then [`Node::poll_event`] until it is `None`, then
//! read [`Node::poll_timeout`]. An owner that cannot take everything says by [`Node::handle_room`] how
//! much it can; the rest waits in fair queues.
#![forbid(unsafe_code)]
#![warn(clippy::unwrap_used)]

mod backoff;
mod bucket;
mod certified;
mod config;
mod counters;
mod duplicates;
mod event;
mod fifo_map;
mod index;
mod indexed_map;
mod inner;
mod links;
mod liveness;
mod mtu_search;
mod neighbour;
mod neighbour_view;
mod node;
mod outbound;
mod packets;
mod path_mtus;
mod queue;
mod reasons;
mod relay;
mod return_paths;
mod router;
mod strangers;
mod strays;
mod timed_map;
mod traffic;
mod verdict;

pub use certified::{certified_prefixes, prefix_uri};
pub use config::{Demux, Healing, NeighbourConfig, NodeConfig, PathMtu, ReturnPath, Routing, StaticRoute};
pub use counters::{Counters, DatagramDrop, FrameCounts, FrameDrop};
pub use event::{
    DeliveredPacket, Event, FrameAction, FrameSeen, InnerEvent, SessionSeen, TracePlace, TraceSeen,
};
pub use inner::{EndToEnd, INNER_IDLE_DEFAULT, INNER_SESSIONS_MAX, InnerConfig, InnerState, InnerView};
pub use liveness::{DEAD_AFTER, HELLO_INTERVAL};
pub use neighbour::ADDRESSES_MAX;
pub use neighbour_view::{Direction, NeighbourPhase, NeighbourView};
pub use node::{
    Ecn, FrameCopy, FrameWay, LinkSessionView, Node, ReplaceError, ReturnPathView, Sealing, SendError,
    Sending, WayView,
};
pub use outbound::{BATCH_BYTES_MAX, BATCH_SEGMENTS_MAX, OUTBOUND_BYTES_MAX, Transmit, UnsealedTransmit};
pub use queue::{QUEUE_BYTES_MAX, QUEUES_BYTES_MAX, QueueView, Rate};
pub use relay::ChosenBy;
pub use router::{
    AnnouncedPrefixes, CandidateView, Feasibility, LINK_COST_DEFAULT, LinkCost, Proof, ProofBook,
    RouteChange, RouteView, Router, RouterConfig, RouterCounters, RouterError, Signer, Standing, Trust,
};
pub use strays::{DroppedFrame, HEAD_BYTES, STRAYS_MAX, Stray};
pub use traffic::Traffic;
pub use verdict::{Lock, Reason, Verdict};

use peerbound_dtls::KeyHash;
use peerbound_wire::NodeId;

/// Queues that are fair to flows, for whatever is to wait.
pub mod fair {
    pub use crate::queue::{FairQueue, Queued, Taken};
}

/// Returns the overlay's name for the holder of a key.
#[must_use]
pub fn node_id(key: &KeyHash) -> NodeId {
    NodeId::from_key_hash(&key.0)
}
