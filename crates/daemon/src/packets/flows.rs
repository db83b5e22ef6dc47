//! Which conversation a packet belongs to, and whether we are the side that answers: an answer carries the
//! flow id of what it answers, so that relays send it back the way that came.

use std::hash::{BuildHasher, RandomState};
use std::net::Ipv6Addr;
use std::time::{Duration, Instant};

use etherparse::IpNumber;
use peerbound_wire::{FlowId, NodeId};

use crate::packets::ip::Packet;

/// Conversations that others began and that are remembered: 8192 x 72 bytes = 600 kB, once there is one.
const CONVERSATIONS_MAX: usize = 8192;

/// How long one is remembered after its last packet from over there. Relays remember the way for 120 s: later
/// a reply would go by the routes all the same.
const REMEMBERED_FOR: Duration = Duration::from_secs(120);

/// Two ends and a protocol, as seen from the end that is named first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Conversation {
    ends: [(Ipv6Addr, u16); 2],
    protocol: u8,
}

impl Conversation {
    /// That of nobody.
    pub(crate) const NONE: Self = Self { ends: [(Ipv6Addr::UNSPECIFIED, 0); 2], protocol: 0 };

    pub(crate) fn of(packet: &Packet) -> Self {
        let IpNumber(protocol) = match packet.protocol {
            // An error of ICMP has no ports; echoes of both versions are told by their identifiers.
            protocol if packet.transport_at.is_some() => protocol,
            _ => IpNumber(0),
        };
        let ends = [(packet.source, packet.ports[0]), (packet.destination, packet.ports[1])];
        Self { ends, protocol }
    }

    fn reversed(self) -> Self {
        Self { ends: [self.ends[1], self.ends[0]], ..self }
    }

    /// Returns the same for both directions.
    fn undirected(self) -> Self {
        if self.ends[0] <= self.ends[1] { self } else { self.reversed() }
    }
}

#[derive(Debug, Clone, Copy)]
struct Remembered {
    conversation: Conversation,
    with: NodeId,
    flow: FlowId,
    heard_at: Instant,
}

/// How a packet is to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Flow {
    pub(crate) id: FlowId,
    pub(crate) is_reply: bool,
}

/// The conversations that others began. A place for each is found by a hash whose key nobody knows; who comes
/// later takes the place, and the earlier conversation's replies go by the routes.
pub(crate) struct Flows {
    key: RandomState,
    places: Vec<Option<Remembered>>,
}

impl Flows {
    pub(crate) fn new() -> Self {
        Self { key: RandomState::new(), places: Vec::new() }
    }

    /// Remembers that a packet of this flow arrived which was no reply.
    pub(crate) fn on_request(&mut self, packet: &Packet, from: NodeId, flow: FlowId, now: Instant) {
        if self.places.is_empty() {
            self.places = vec![None; CONVERSATIONS_MAX];
        }
        let conversation = Conversation::of(packet);
        let place = self.place(&conversation);
        if let Some(place) = self.places.get_mut(place) {
            *place = Some(Remembered { conversation, with: from, flow, heard_at: now });
        }
    }

    /// Says to which flow a packet for a node belongs.
    pub(crate) fn of(&self, packet: &Packet, to: NodeId, now: Instant) -> Flow {
        let conversation = Conversation::of(packet);
        let request = conversation.reversed();
        let remembered = self.places.get(self.place(&request)).copied().flatten().filter(|remembered| {
            remembered.conversation == request
                && remembered.with == to
                && now.saturating_duration_since(remembered.heard_at) < REMEMBERED_FOR
        });
        match remembered {
            Some(Remembered { flow, .. }) => Flow { id: flow, is_reply: true },
            None => Flow { id: self.id(&conversation), is_reply: false },
        }
    }

    fn id(&self, conversation: &Conversation) -> FlowId {
        let [.., a, b, c, d] = self.key.hash_one(conversation.undirected()).to_be_bytes();
        FlowId(u32::from_be_bytes([a, b, c, d]))
    }

    fn place(&self, conversation: &Conversation) -> usize {
        // Of a hash, as many bits as there are places, other ones than those of the id.
        usize::try_from(self.key.hash_one(conversation) >> 40).unwrap_or(0) % CONVERSATIONS_MAX
    }
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;

    use super::*;

    const A: NodeId = NodeId::new([0xa; 16]);
    const B: NodeId = NodeId::new([0xb; 16]);

    fn udp(from: (NodeId, u16), to: (NodeId, u16)) -> Packet {
        let [source, destination] = [from.0, to.0].map(|id| id.address().octets());
        let mut bytes = Vec::new();
        PacketBuilder::ipv6(source, destination, 64).udp(from.1, to.1).write(&mut bytes, b"x").unwrap();
        Packet::parse(&bytes).unwrap()
    }

    #[test]
    fn both_directions_of_a_conversation_have_one_id_and_others_have_others() {
        let flows = Flows::new();
        let now = Instant::now();

        let forth = flows.of(&udp((A, 1), (B, 2)), B, now);
        let back = flows.of(&udp((B, 2), (A, 1)), A, now);
        let others = [udp((A, 2), (B, 1)), udp((A, 1), (B, 3))].map(|packet| flows.of(&packet, B, now));

        assert_eq!(forth, back);
        assert!(!forth.is_reply);
        assert!(others.iter().all(|other| other.id != forth.id), "one in two thousand million runs fails");
    }

    #[test]
    fn whoever_answers_sends_under_the_id_of_what_it_answers() {
        let mut flows = Flows::new();
        let now = Instant::now();
        flows.on_request(&udp((A, 1), (B, 2)), A, FlowId(77), now);

        assert_eq!(flows.of(&udp((B, 2), (A, 1)), A, now), Flow { id: FlowId(77), is_reply: true });
        assert!(!flows.of(&udp((B, 3), (A, 1)), A, now).is_reply, "another conversation");
        assert!(!flows.of(&udp((A, 1), (B, 2)), B, now).is_reply, "the same direction");
        assert!(!flows.of(&udp((B, 2), (A, 1)), B, now).is_reply, "another node");
    }

    #[test]
    fn a_conversation_is_forgotten_when_nothing_is_heard_of_it() {
        let mut flows = Flows::new();
        let start = Instant::now();
        flows.on_request(&udp((A, 1), (B, 2)), A, FlowId(77), start);

        assert!(flows.of(&udp((B, 2), (A, 1)), A, start + Duration::from_secs(119)).is_reply);
        assert!(!flows.of(&udp((B, 2), (A, 1)), A, start + Duration::from_secs(120)).is_reply);
    }

    #[test]
    fn a_crowd_of_conversations_takes_no_more_than_its_places() {
        let mut flows = Flows::new();
        let now = Instant::now();

        for port in 0..20_000 {
            flows.on_request(&udp((A, port), (B, 2)), A, FlowId(1), now);
        }

        assert_eq!(flows.places.len(), CONVERSATIONS_MAX);
        assert!(flows.of(&udp((B, 2), (A, 19_999)), A, now).is_reply);
    }
}
