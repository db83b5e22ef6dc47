//! IP packets between the overlay and this host: finds the node that has a packet's destination address,
//! and whoever here takes a packet that arrived; and tells the sender of a packet why it goes no further.

use std::collections::BTreeMap;
use std::time::Instant;

use peerbound_node::DeliveredPacket;
use peerbound_wire::{ErrorCode, ErrorMessage, Flags, FlowId, HEADER_BYTES, Header, Kind, NodeId};

use crate::packets::departure::Way;
use crate::packets::flows::Flows;
use crate::packets::icmp::{Complaint, Complaints};
use crate::packets::ip::Packet;
use crate::packets::overlay::Overlay;
use crate::packets::queues::FlowQueues;
use crate::packets::recent::Recent;

pub(crate) mod checksum;
mod departure;
pub(crate) mod ecn;
pub(crate) mod flows;
mod icmp;
pub(crate) mod ip;
#[cfg(test)]
mod mesh;
mod mss;
mod overlay;
mod queues;
mod recent;

/// What an inner session takes of a frame: its record, and the byte in it that says what follows.
const INNER_BYTES: usize = 37 + 1;

/// Takes packets that arrived for this node. Called on the data thread: it must not wait.
pub trait PacketPort: Send {
    /// Takes the packet and returns true, or leaves it to the next port.
    fn deliver(&mut self, packet: &DeliveredPacket) -> bool;

    /// Takes the packet as [`Self::deliver`] does, and puts it, where there are several queues, into the one with this number:
    /// what this host sends in the packet's flow comes by it.
    fn deliver_by(&mut self, packet: &DeliveredPacket, queue: Option<usize>) -> bool {
        let _ = queue;
        self.deliver(packet)
    }

    /// Gives on what is still here: no more packets arrive in this turn. Returns how many packets found nobody.
    fn flush(&mut self) -> usize {
        0
    }
}

peerbound_node::reasons! {
    /// Why a packet went no further.
    pub enum PacketDrop {
        /// It is no IP packet.
        Malformed => "malformed",
        /// It is for many at once, or for nobody.
        NotForOne => "not-for-one",
        /// No node that is known has its destination address.
        UnknownDestination => "unknown-destination",
        /// There is no way to the node that has its destination address.
        NoRoute => "no-route",
        /// It does not fit.
        TooBig => "too-big",
        /// The node refused to send it for another reason.
        Unsent => "unsent",
        /// The queue of its flow stood too long (RFC 8289).
        Codel => "codel",
        /// Its source address is not that of the node that sent it.
        ForeignSource => "foreign-source",
        /// Its destination address is not ours.
        ForeignDestination => "foreign-destination",
        /// A relay marked it for congestion, of which its sender could not have learned.
        MarkedInVain => "marked-in-vain",
        /// Nobody here takes it.
        NoPort => "no-port",
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
    /// Messages of ICMP that told somebody here why a packet of his went no further.
    pub complaints: u64,
}

/// Whence a packet came that was found to be its sender's and ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Arrival {
    packet: Packet,
    source: NodeId,
    flow: FlowId,
    is_reply: bool,
}

/// Where packets change between the overlay and this host.
pub(crate) struct PacketSwitch {
    ports: Vec<Box<dyn PacketPort>>,
    counters: PacketCounters,
    flows: Flows,
    recent: Recent,
    complaints: Complaints,
    /// The largest packet that our own interface takes, where there is one. A way may take less for a moment, and
    /// a segment size holds as long as its connection: what is too big for the way is told of by ICMP.
    packet_bytes_max: Option<usize>,
    /// The way of the packet that was sent last, for what continues it.
    way: Option<Way>,
    /// The packet that arrived last in this turn, for those that follow it in its flow: what was found of it holds for
    /// them, as long as nothing else happens in between.
    arrival: Option<Arrival>,
    /// The queue that packets come from at this moment, and those of flows where there are several.
    queue: usize,
    queues: Option<FlowQueues>,
}

impl PacketSwitch {
    pub(crate) fn new(ports: Vec<Box<dyn PacketPort>>, packet_bytes_max: Option<usize>) -> Self {
        Self {
            ports,
            counters: PacketCounters::default(),
            flows: Flows::new(),
            recent: Recent::default(),
            complaints: Complaints::default(),
            packet_bytes_max,
            way: None,
            arrival: None,
            queue: 0,
            queues: None,
        }
    }

    /// Lets each flow keep to one queue of several.
    pub(crate) fn with_queues(self) -> Self {
        Self { queues: Some(FlowQueues::default()), ..self }
    }

    /// Asks one more port, before the others.
    pub(crate) fn attach(&mut self, port: Box<dyn PacketPort>) {
        self.ports.insert(0, port);
    }

    pub(crate) fn counters(&self) -> PacketCounters {
        self.counters.clone()
    }

    /// Gives a packet that arrived to whoever takes it; returns the buffer that it lay in.
    pub(crate) fn deliver(
        &mut self,
        overlay: &impl Overlay,
        mut delivered: DeliveredPacket,
        now: Instant,
    ) -> Vec<u8> {
        match self.check_arrival(overlay, &mut delivered, now) {
            Err(reason) => self.drop_packet(reason),
            Ok(()) => {
                let queue = self.queue_of(&delivered);
                if self.ports.iter_mut().any(|port| port.deliver_by(&delivered, queue)) {
                    self.counters.delivered += 1;
                } else {
                    self.drop_packet(PacketDrop::NoPort);
                }
            }
        }
        delivered.bytes
    }

    /// Notes that the packets that come next are from another queue of the interface than those before, or from this one
    /// again: they have their own ways.
    pub(crate) fn read_from(&mut self, queue: usize) {
        self.way = None;
        self.queue = queue;
    }

    /// Notes that packets were dropped before they came here, for the queues of their flows stood.
    pub(crate) fn note_stood(&mut self, packets: usize) {
        if packets > 0 {
            *self.counters.dropped.entry(PacketDrop::Codel).or_default() += packets as u64;
        }
    }

    fn queue_of(&self, packet: &DeliveredPacket) -> Option<usize> {
        let Header { source, flow, flags, .. } = packet.header;
        self.queues.as_ref()?.of(&(source, flow, flags.contains(Flags::REPLY)))
    }

    /// Lets the ports give on what they have put together: no more packets arrive in this turn.
    pub(crate) fn flush(&mut self) {
        self.arrival = None;
        let refused = self.flush_ports();
        if refused > 0 {
            self.counters.delivered = self.counters.delivered.saturating_sub(refused);
            *self.counters.dropped.entry(PacketDrop::NoPort).or_default() += refused;
        }
    }

    fn flush_ports(&mut self) -> u64 {
        let refused: usize = self.ports.iter_mut().map(|port| port.flush()).sum();
        u64::try_from(refused).unwrap_or(u64::MAX)
    }

    fn check_arrival(
        &mut self,
        overlay: &impl Overlay,
        delivered: &mut DeliveredPacket,
        now: Instant,
    ) -> Result<(), PacketDrop> {
        let header = delivered.header;
        let packet = Packet::parse(&delivered.bytes).ok_or(PacketDrop::Malformed)?;
        let is_reply = header.flags.contains(Flags::REPLY);
        let arrival = Arrival { packet, source: header.source, flow: header.flow, is_reply };
        if self.arrival != Some(arrival) {
            if !overlay.is_address_of(packet.source, header.source) {
                return Err(PacketDrop::ForeignSource);
            }
            if !overlay.is_address_of(packet.destination, overlay.us()) {
                return Err(PacketDrop::ForeignDestination);
            }
        }
        ecn::carry_mark(&mut delivered.bytes, packet.version, header.flags)
            .map_err(|ecn::MarkedInVain| PacketDrop::MarkedInVain)?;
        if let Some(max) = self.packet_bytes_max {
            mss::clamp(&mut delivered.bytes, &packet, max);
        }
        if self.arrival.replace(arrival) != Some(arrival) && !is_reply {
            self.flows.on_request(&packet, header.source, header.flow, now);
        }
        Ok(())
    }

    /// Tells the sender of a packet what a node on the way reports of it.
    pub(crate) fn on_error(&mut self, us: NodeId, message: &ErrorMessage, now: Instant) {
        let offending = &message.offending;
        let complaint = match message.code {
            ErrorCode::TooBig => {
                let inner = if offending.flags.contains(Flags::INNER) { INNER_BYTES } else { 0 };
                let max = usize::from(message.mtu).saturating_sub(HEADER_BYTES + inner);
                Complaint::TooBig { packet_bytes_max: max }
            }
            ErrorCode::NoRoute | ErrorCode::HopLimit | ErrorCode::ClearRefused | ErrorCode::InnerRefused => {
                Complaint::NoRoute
            }
            // One packet was lost, and a session opens for the next.
            ErrorCode::NoSession => return,
        };
        if offending.source == us
            && offending.kind == Kind::Data
            && let Some(front) = self.recent.take(offending.packet)
        {
            self.complain(complaint, (front.packet(), front.bytes()), us, now);
        }
    }

    fn complain(&mut self, complaint: Complaint, about: (&Packet, &[u8]), us: NodeId, now: Instant) {
        let Some(bytes) = self.complaints.about(complaint, about, us.address(), now) else { return };
        let message = DeliveredPacket { header: Header::new(Kind::Data, us, us), bytes };
        // No packets are put together between turns, so what is refused here is the message.
        if self.ports.iter_mut().any(|port| port.deliver(&message)) && self.flush_ports() == 0 {
            self.counters.complaints += 1;
        }
    }

    fn drop_packet(&mut self, reason: PacketDrop) {
        *self.counters.dropped.entry(reason).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use etherparse::PacketBuilder;
    use peerbound_node::Ecn;
    use peerbound_wire::PacketId;
    use proptest::prelude::*;

    use super::*;
    use crate::packets::mesh::{A, B, Everything, Mesh, Taken, delivered, switch, udp, udp_v4};

    #[test]
    fn a_packet_is_taken_when_its_addresses_are_its_senders_and_ours() {
        let (mut switch, taken) = switch();
        let now = Instant::now();

        for bytes in [
            udp(A, B),
            udp_v4([10, 1, 0, 1], [10, 2, 0, 1]),
            udp(B, B),
            udp_v4([10, 9, 0, 1], [10, 2, 0, 1]),
            udp(A, A),
            udp_v4([10, 1, 0, 1], [8, 8, 8, 8]),
            b"no packet".to_vec(),
        ] {
            switch.deliver(&Mesh::default(), delivered(A, bytes), now);
        }

        let counters = switch.counters();
        assert_eq!((counters.delivered, taken.lock().unwrap().len()), (2, 2));
        let dropped =
            [(PacketDrop::Malformed, 1), (PacketDrop::ForeignSource, 2), (PacketDrop::ForeignDestination, 2)];
        assert_eq!(counters.dropped, dropped.into());
    }

    #[test]
    fn what_was_found_of_a_packet_holds_for_those_that_follow_it_in_its_turn_and_no_longer() {
        let (mut switch, taken) = switch();
        let (mut mesh, now) = (Mesh::default(), Instant::now());
        let packet = || delivered(A, udp_v4([10, 1, 0, 1], [10, 2, 0, 1]));

        switch.deliver(&mesh, packet(), now);
        mesh.has_withdrawn = true;
        switch.deliver(&mesh, packet(), now);
        let another = DeliveredPacket { header: Header::new(Kind::Data, B, B), ..packet() };
        switch.deliver(&mesh, another, now);
        switch.flush();
        switch.deliver(&mesh, packet(), now);

        assert_eq!(taken.lock().unwrap().len(), 2);
        assert_eq!(switch.counters().dropped, [(PacketDrop::ForeignSource, 2)].into());
    }

    #[test]
    fn what_a_port_could_not_give_on_counts_as_dropped() {
        struct Refusing;
        impl PacketPort for Refusing {
            fn deliver(&mut self, _: &DeliveredPacket) -> bool {
                true
            }
            fn flush(&mut self) -> usize {
                1
            }
        }
        let mut switch = PacketSwitch::new(vec![Box::new(Refusing)], None);
        let now = Instant::now();
        switch.deliver(&Mesh::default(), delivered(A, udp(A, B)), now);
        switch.deliver(&Mesh::default(), delivered(A, udp(A, B)), now);

        switch.flush();

        assert_eq!(switch.counters().delivered, 1);
        assert_eq!(switch.counters().dropped, [(PacketDrop::NoPort, 1)].into());
    }

    #[test]
    fn a_packet_that_nobody_takes_is_counted() {
        let mut switch = PacketSwitch::new(Vec::new(), None);

        switch.deliver(&Mesh::default(), delivered(A, udp(A, B)), Instant::now());

        assert_eq!(switch.counters().dropped, [(PacketDrop::NoPort, 1)].into());
    }

    #[test]
    fn what_heeds_marks_is_sent_as_such_and_marked_on_arrival() {
        let (mut switch, taken) = switch();
        let mut mesh = Mesh::default();
        let now = Instant::now();
        let mut capable = udp(B, A);
        capable[1] |= 0x20;
        switch.send(&mut mesh, &mut capable, now);
        switch.send(&mut mesh, &mut udp(B, A), now);
        assert_eq!(mesh.sent.iter().map(|sent| sent.4).collect::<Vec<_>>(), [Ecn::Capable, Ecn::NotCapable]);

        let mut marked = udp(A, B);
        marked[1] |= 0x20;
        for bytes in [marked, udp(A, B)] {
            let mut arrived = delivered(A, bytes);
            arrived.header.flags = Flags::ECN_CAPABLE.with(Flags::CONGESTION);
            switch.deliver(&mesh, arrived, now);
        }

        assert_eq!(taken.lock().unwrap()[0][1] & 0x30, 0x30);
        assert_eq!(switch.counters().dropped, [(PacketDrop::MarkedInVain, 1)].into());
    }

    #[test]
    fn a_report_from_the_way_reaches_the_sender_of_the_packet_it_is_about() {
        let (mut switch, taken) = switch();
        let mut mesh = Mesh::default();
        let now = Instant::now();
        switch.send(&mut mesh, &mut udp(B, A), now);
        let offending = Header { packet: PacketId(1), ..Header::new(Kind::Data, B, A) };
        let report = ErrorMessage { code: ErrorCode::TooBig, mtu: 1400, offending };

        switch.on_error(B, &report, now);
        switch.on_error(B, &report, now);
        let foreign = Header { packet: PacketId(1), ..Header::new(Kind::Data, A, B) };
        switch.on_error(B, &ErrorMessage { offending: foreign, ..report }, now);

        let taken = taken.lock().unwrap();
        assert_eq!(taken.len(), 1, "told once");
        assert_eq!(taken[0][44..48], 1346_u32.to_be_bytes());
        assert_eq!(taken[0][48..], udp(B, A));
    }

    #[test]
    fn a_report_about_an_inner_record_leaves_room_for_the_record() {
        let (mut switch, taken) = switch();
        let mut mesh = Mesh::default();
        let now = Instant::now();
        switch.send(&mut mesh, &mut udp(B, A), now);
        let flags = Flags::INNER;
        let offending = Header { packet: PacketId(1), flags, ..Header::new(Kind::Data, B, A) };

        switch.on_error(B, &ErrorMessage { code: ErrorCode::TooBig, mtu: 1400, offending }, now);

        assert_eq!(taken.lock().unwrap()[0][44..48], 1308_u32.to_be_bytes());
    }

    #[test]
    fn a_syn_is_clamped_in_both_directions_to_what_our_interface_takes() {
        let taken = Taken::default();
        let mut switch = PacketSwitch::new(vec![Box::new(Everything(Arc::clone(&taken)))], Some(1300));
        let mut mesh = Mesh::default();
        let now = Instant::now();
        let syn = |source: [u8; 4], destination: [u8; 4]| {
            let mut bytes = Vec::new();
            let builder = PacketBuilder::ipv4(source, destination, 64).tcp(1, 2, 3, 4).syn();
            let builder = builder.options_raw(&[2, 4, 0x05, 0xb4]).unwrap();
            builder.write(&mut bytes, &[]).unwrap();
            bytes
        };

        switch.send(&mut mesh, &mut syn([10, 2, 0, 1], [10, 1, 0, 1]), now);
        switch.deliver(&mesh, delivered(A, syn([10, 1, 0, 1], [10, 2, 0, 1])), now);

        let fits = 1260_u16.to_be_bytes();
        assert_eq!(mesh.sent[0].3[42..44], fits);
        assert_eq!(taken.lock().unwrap()[0][42..44], fits);
    }

    proptest! {
        #[test]
        fn packets_of_any_content_are_sent_or_dropped_with_a_reason(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..200),
            version in prop_oneof![Just(0x45_u8), Just(0x60), any::<u8>()],
            is_long_as_it_says: bool,
            has_known_ends: bool,
        ) {
            if let Some(first) = bytes.first_mut() {
                *first = version;
            }
            let len = u16::try_from(bytes.len()).unwrap();
            if is_long_as_it_says && bytes.len() >= 40 {
                let (at, len) = if version >> 4 == 4 { (2, len) } else { (4, len - 40) };
                bytes[at..at + 2].copy_from_slice(&len.to_be_bytes());
                if has_known_ends && version >> 4 == 6 {
                    bytes[8..24].copy_from_slice(&B.address().octets());
                    bytes[24..40].copy_from_slice(&A.address().octets());
                } else if has_known_ends {
                    bytes[12..20].copy_from_slice(&[10, 2, 0, 1, 10, 1, 0, 1]);
                }
            }
            let mut switch = PacketSwitch::new(vec![Box::new(Everything(Taken::default()))], Some(100));
            let mut mesh = Mesh::default();

            switch.send(&mut mesh, &mut bytes.clone(), Instant::now());
            switch.deliver(&mesh, delivered(A, bytes), Instant::now());

            let counters = switch.counters();
            let dropped: u64 = counters.dropped.values().sum();
            prop_assert_eq!(counters.sent + counters.delivered + dropped, 2);
            prop_assert_eq!(counters.sent, mesh.sent.len() as u64);
        }
    }
}
