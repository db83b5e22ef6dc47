//! The part of a node that lets others look at it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use peerbound_dtls::{DiscardCounts, Role, Suite};
use peerbound_wire::{FlowId, NodeId};

use crate::config::NodeConfig;
use crate::neighbour::Neighbour;
use crate::node::Node;
use crate::relay::ChosenBy;

/// Ways back to one node that are shown: a busy one has thousands of flows, which tell no more.
const RETURN_PATHS_SHOWN: usize = 16;

/// A link session, as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkSessionView {
    /// Who proved to be at the other end.
    pub peer: NodeId,
    /// Where that is.
    pub address: SocketAddr,
    /// Which side of the handshake we were: the client replaces the session when it is old.
    pub role: Role,
    /// The suite that protects the records.
    pub suite: Suite,
    /// How long ago the session was established.
    pub age: Duration,
    /// Records of frames that were sealed with its keys.
    pub records_sent: u64,
    /// Records of frames that were opened with its keys.
    pub records_received: u64,
    /// The age at which it is replaced.
    pub rekey_age: Duration,
    /// The records, sent and received, at which it is replaced.
    pub rekey_records: u64,
    /// Whether a session is on its way to replace it.
    pub is_being_replaced: bool,
    /// The largest frame that it carries, in bytes.
    pub frame_bytes_max: usize,
    /// What all sessions at this address discarded.
    pub discards: DiscardCounts,
}

/// Where a frame of our own to one destination would go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WayView {
    /// The neighbour that leads there.
    pub via: NodeId,
    /// What says so.
    pub chosen_by: ChosenBy,
    /// Whether that neighbour carries frames at this moment; a frame is never sent elsewhere.
    pub is_usable: bool,
    /// Ways back to it that are remembered for replies, newest first.
    pub return_paths: Vec<ReturnPathView>,
}

/// The way back that replies to one flow take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReturnPathView {
    /// Which conversation, by the number that its origin chose.
    pub flow: FlowId,
    /// The neighbour that its last request came from.
    pub via: NodeId,
    /// How long ago that was.
    pub age: Duration,
}

impl Node {
    /// Says where a frame to a destination would go, and where replies to it would.
    #[must_use]
    pub fn way_to(&self, destination: NodeId, now: Instant) -> WayView {
        let (via, chosen_by) = self.relay.choose(destination, |id| self.learned_next_hop(id));
        let mut return_paths: Vec<_> = self
            .relay
            .return_paths_to(destination, now)
            .into_iter()
            .map(|(flow, via, age)| ReturnPathView { flow, via, age })
            .collect();
        return_paths.sort_by_key(|path| path.age);
        return_paths.truncate(RETURN_PATHS_SHOWN);
        let is_usable = self.neighbours.get(&via).is_some_and(Neighbour::is_usable);
        WayView { via, chosen_by, is_usable, return_paths }
    }

    /// Returns what the node was told at its start, and what of it was changed since.
    #[must_use]
    pub fn config(&self) -> &NodeConfig {
        &self.config
    }

    /// Lists the link sessions that are established, in order of their addresses.
    #[must_use]
    pub fn link_sessions(&self, now: Instant) -> Vec<LinkSessionView> {
        let views = self.links.live_addresses().into_iter().filter_map(|address| {
            let link = self.links.get(&address)?;
            let session = link.association.session()?;
            let (records_sent, records_received) = session.records();
            Some(LinkSessionView {
                peer: link.peer?,
                address,
                role: session.role(),
                suite: session.peer()?.suite,
                age: now.saturating_duration_since(link.association.live_since()?),
                records_sent,
                records_received,
                rekey_age: self.config.rekey_age,
                rekey_records: self.config.rekey_records,
                is_being_replaced: link.association.is_being_replaced(),
                frame_bytes_max: session.payload_bytes_max()?,
                discards: link.association.discards(),
            })
        });
        views.collect()
    }
}
