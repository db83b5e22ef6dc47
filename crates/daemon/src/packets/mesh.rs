//! A mesh for tests of the packet switch, and packets for it.

use std::net::Ipv6Addr;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use etherparse::PacketBuilder;
use peerbound_node::{DeliveredPacket, Ecn, SendError, Sending};
use peerbound_wire::{FlowId, Header, Kind, NodeId, PacketId};

use crate::packets::overlay::Overlay;
use crate::packets::{PacketPort, PacketSwitch};

pub(crate) const A: NodeId = NodeId::new([0xa; 16]);
pub(crate) const B: NodeId = NodeId::new([0xb; 16]);

pub(crate) type Taken = Arc<Mutex<Vec<Vec<u8>>>>;

pub(crate) struct Everything(pub(crate) Taken);

impl PacketPort for Everything {
    fn deliver(&mut self, packet: &DeliveredPacket) -> bool {
        self.0.lock().unwrap().push(packet.bytes.clone());
        true
    }
}

/// B's node: A is there, and announces 10.1.0.0/16.
#[derive(Default)]
pub(crate) struct Mesh {
    pub(crate) sent: Vec<(NodeId, FlowId, bool, Vec<u8>, Ecn)>,
    pub(crate) refuses: Option<SendError>,
    /// A is no longer believed to have its prefix.
    pub(crate) has_withdrawn: bool,
    /// What is sent is not kept.
    pub(crate) counts_only: bool,
}

impl Overlay for Mesh {
    fn us(&self) -> NodeId {
        B
    }

    fn node_of(&self, address: Ipv6Addr) -> Option<NodeId> {
        let in_v4 = address.to_ipv4_mapped().map(|address| address.octets());
        match in_v4 {
            Some([10, 1, ..]) => (!self.has_withdrawn).then_some(A),
            Some([10, 2, ..]) => Some(B),
            _ => [A, B].into_iter().find(|node| node.address() == address),
        }
    }

    fn is_address_of(&self, address: Ipv6Addr, node: NodeId) -> bool {
        self.node_of(address) == Some(node)
    }

    fn send(&mut self, sending: Sending<'_>, ecn: Ecn, _: Instant) -> Result<PacketId, SendError> {
        if let Some(error) = &self.refuses {
            return Err(error.clone());
        }
        if self.counts_only {
            return Ok(PacketId(0));
        }
        let Sending { destination, flow, is_reply, payload } = sending;
        self.sent.push((destination, flow, is_reply, payload.to_vec(), ecn));
        Ok(PacketId(self.sent.len() as u64))
    }
}

pub(crate) fn switch() -> (PacketSwitch, Taken) {
    let taken = Taken::default();
    (PacketSwitch::new(vec![Box::new(Everything(Arc::clone(&taken)))], None), taken)
}

pub(crate) fn udp(source: NodeId, destination: NodeId) -> Vec<u8> {
    let [source, destination] = [source, destination].map(|id| id.address().octets());
    let mut bytes = Vec::new();
    PacketBuilder::ipv6(source, destination, 64).udp(1, 2).write(&mut bytes, b"hello").unwrap();
    bytes
}

pub(crate) fn udp_v4(source: [u8; 4], destination: [u8; 4]) -> Vec<u8> {
    let mut bytes = Vec::new();
    PacketBuilder::ipv4(source, destination, 64).udp(1, 2).write(&mut bytes, b"hello").unwrap();
    bytes
}

pub(crate) fn delivered(from: NodeId, bytes: Vec<u8>) -> DeliveredPacket {
    DeliveredPacket { header: Header::new(Kind::Data, from, B), bytes }
}
