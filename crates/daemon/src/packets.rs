//! IP packets between the overlay and this host: finds the node that has a packet's destination address,
//! and whoever here takes a packet that arrived.

use std::collections::BTreeMap;
use std::time::Instant;

use peerbound_node::{DeliveredPacket, Node, Sending};
use peerbound_wire::FlowId;

use crate::packets::ip::Addresses;

mod ip;

/// Takes packets that arrived for this node. Called on the data thread: it must not wait.
pub trait PacketPort: Send {
    /// Takes the packet and returns true, or leaves it to the next port.
    fn deliver(&mut self, packet: &DeliveredPacket) -> bool;
}

/// Why a packet went no further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PacketDrop {
    /// It is no IP packet.
    Malformed,
    /// No node that is known has its destination address.
    UnknownDestination,
    /// The node refused to send it.
    Unsent,
    /// Its source address is not that of the node that sent it.
    ForeignSource,
    /// Nobody here takes it.
    NoPort,
}

impl PacketDrop {
    /// Returns the reason as counters name it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::UnknownDestination => "unknown-destination",
            Self::Unsent => "unsent",
            Self::ForeignSource => "foreign-source",
            Self::NoPort => "no-port",
        }
    }
}

/// What became of packets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PacketCounters {
    /// Packets that went into the overlay.
    pub sent: u64,
    /// Packets that somebody here took.
    pub delivered: u64,
    /// Packets dropped, by reason.
    pub dropped: BTreeMap<PacketDrop, u64>,
}

/// Where packets change between the overlay and this host.
#[derive(Default)]
pub(crate) struct PacketSwitch {
    ports: Vec<Box<dyn PacketPort>>,
    counters: PacketCounters,
}

impl PacketSwitch {
    pub(crate) fn new(ports: Vec<Box<dyn PacketPort>>) -> Self {
        Self { ports, counters: PacketCounters::default() }
    }

    pub(crate) fn counters(&self) -> PacketCounters {
        self.counters.clone()
    }

    /// Sends a packet to the node that has its destination address.
    pub(crate) fn send(&mut self, node: &mut Node, packet: &[u8], now: Instant) {
        match try_send(node, packet, now) {
            Ok(()) => self.counters.sent += 1,
            Err(reason) => self.drop_packet(reason),
        }
    }

    /// Gives a packet that arrived to whoever takes it.
    pub(crate) fn deliver(&mut self, packet: &DeliveredPacket) {
        let is_its_own =
            Addresses::of(&packet.bytes).map(|addresses| addresses.source == packet.header.source.address());
        match is_its_own {
            None => self.drop_packet(PacketDrop::Malformed),
            Some(false) => self.drop_packet(PacketDrop::ForeignSource),
            Some(true) if self.ports.iter_mut().any(|port| port.deliver(packet)) => {
                self.counters.delivered += 1;
            }
            Some(true) => self.drop_packet(PacketDrop::NoPort),
        }
    }

    fn drop_packet(&mut self, reason: PacketDrop) {
        *self.counters.dropped.entry(reason).or_default() += 1;
    }
}

fn try_send(node: &mut Node, packet: &[u8], now: Instant) -> Result<(), PacketDrop> {
    let addresses = Addresses::of(packet).ok_or(PacketDrop::Malformed)?;
    let destination = node.node_at(addresses.destination).ok_or(PacketDrop::UnknownDestination)?;
    let sending = Sending { destination, flow: FlowId(0), is_reply: false, payload: packet };
    node.send_packet(sending, now).map(drop).map_err(|_| PacketDrop::Unsent)
}

#[cfg(test)]
mod tests {
    use peerbound_wire::{Header, Kind, NodeId};

    use super::*;

    const A: NodeId = NodeId::new([0xa; 16]);
    const B: NodeId = NodeId::new([0xb; 16]);

    struct Everything;

    impl PacketPort for Everything {
        fn deliver(&mut self, _: &DeliveredPacket) -> bool {
            true
        }
    }

    fn packet(source: NodeId, destination: NodeId) -> Vec<u8> {
        let mut bytes = vec![0x60, 0, 0, 0, 0, 0, 59, 64];
        bytes.extend(source.address().octets());
        bytes.extend(destination.address().octets());
        bytes
    }

    fn delivered(from: NodeId, bytes: Vec<u8>) -> DeliveredPacket {
        DeliveredPacket { header: Header::new(Kind::Data, from, B), bytes }
    }

    #[test]
    fn a_packet_is_taken_when_its_source_address_is_its_senders() {
        let mut switch = PacketSwitch::new(vec![Box::new(Everything)]);

        switch.deliver(&delivered(A, packet(A, B)));
        switch.deliver(&delivered(A, packet(B, B)));
        switch.deliver(&delivered(A, b"no packet".to_vec()));

        let counters = switch.counters();
        assert_eq!(counters.delivered, 1);
        assert_eq!(counters.dropped, [(PacketDrop::Malformed, 1), (PacketDrop::ForeignSource, 1)].into());
    }

    #[test]
    fn a_packet_that_nobody_takes_is_counted() {
        let mut switch = PacketSwitch::default();

        switch.deliver(&delivered(A, packet(A, B)));

        assert_eq!(switch.counters().dropped, [(PacketDrop::NoPort, 1)].into());
    }
}
