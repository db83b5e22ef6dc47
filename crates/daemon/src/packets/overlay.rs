//! What the packet switch wants of the overlay.

use std::net::Ipv6Addr;
use std::time::Instant;

use peerbound_node::{Ecn, Node, SendError, Sending};
use peerbound_wire::{NodeId, PacketId};

/// A node, as whoever has packets sees it. IPv4 addresses are written as IPv6 ones (RFC 4291, 2.5.5.2).
pub(crate) trait Overlay {
    /// Returns our own id.
    fn us(&self) -> NodeId;

    /// Returns the node that has an address, or announces a prefix that holds it.
    fn node_of(&self, address: Ipv6Addr) -> Option<NodeId>;

    /// Returns whether an address is a node's own, or in a prefix that it may announce and announces.
    fn is_address_of(&self, address: Ipv6Addr, node: NodeId) -> bool;

    /// Sends a packet to a node.
    fn send(&mut self, sending: Sending<'_>, ecn: Ecn, now: Instant) -> Result<PacketId, SendError>;
}

impl Overlay for Node {
    fn us(&self) -> NodeId {
        self.id()
    }

    fn node_of(&self, address: Ipv6Addr) -> Option<NodeId> {
        self.resolve(address.into())
    }

    fn is_address_of(&self, address: Ipv6Addr, node: NodeId) -> bool {
        self.may_send_from(node, address.into())
    }

    fn send(&mut self, sending: Sending<'_>, ecn: Ecn, now: Instant) -> Result<PacketId, SendError> {
        self.send_packet(sending, ecn, now)
    }
}
