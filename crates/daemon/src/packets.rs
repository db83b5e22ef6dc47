//! IP packets between the overlay and this host: finds the node that has a packet's destination address,
//! and whoever here takes a packet that arrived; and tells the sender of a packet why it goes no further.

use std::collections::BTreeMap;
use std::net::Ipv6Addr;
use std::time::Instant;

use peerbound_node::{DeliveredPacket, Ecn, SendError, Sending};
use peerbound_wire::{ErrorCode, ErrorMessage, Flags, HEADER_BYTES, Header, Kind, NodeId};

use crate::packets::flows::{Flow, Flows};
use crate::packets::icmp::{Complaint, Complaints};
use crate::packets::ip::Packet;
use crate::packets::overlay::Overlay;
use crate::packets::recent::Recent;

pub(crate) mod checksum;
mod ecn;
mod flows;
mod icmp;
pub(crate) mod ip;
mod mss;
mod overlay;
mod recent;

/// What an inner session takes of a frame: its record, and the byte in it that says what follows.
const INNER_BYTES: usize = 37 + 1;

/// Takes packets that arrived for this node. Called on the data thread: it must not wait.
pub trait PacketPort: Send {
    /// Takes the packet and returns true, or leaves it to the next port.
    fn deliver(&mut self, packet: &DeliveredPacket) -> bool;

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

/// Why a packet is dropped, and what its sender is told.
struct Refusal {
    reason: PacketDrop,
    complaint: Option<Complaint>,
}

/// How a packet goes into the overlay.
#[derive(Debug, Clone, Copy)]
struct Way {
    packet: Packet,
    destination: NodeId,
    flow: Flow,
    ecn: Ecn,
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
        }
    }

    /// Asks one more port, before the others.
    pub(crate) fn attach(&mut self, port: Box<dyn PacketPort>) {
        self.ports.insert(0, port);
    }

    pub(crate) fn counters(&self) -> PacketCounters {
        self.counters.clone()
    }

    /// Sends a packet to the node that has its destination address.
    pub(crate) fn send(&mut self, overlay: &mut impl Overlay, bytes: &mut [u8], now: Instant) {
        self.way = None;
        let Some(packet) = Packet::parse(bytes) else {
            return self.drop_packet(PacketDrop::Malformed);
        };
        match self.find_way(overlay, &packet, bytes, now) {
            Ok(way) => {
                self.way = Some(way);
                self.send_by(&way, overlay, bytes, now);
            }
            Err(refusal) => self.refuse(&refusal, (&packet, bytes), overlay.us(), now),
        }
    }

    /// Sends a packet that continues the one before it: a segment with the same ends and the same marks, whose way is
    /// known.
    pub(crate) fn send_next(&mut self, overlay: &mut impl Overlay, bytes: &mut [u8], now: Instant) {
        match self.way {
            Some(way) => self.send_by(&way, overlay, bytes, now),
            None => self.send(overlay, bytes, now),
        }
    }

    fn find_way(
        &mut self,
        overlay: &impl Overlay,
        packet: &Packet,
        bytes: &mut [u8],
        now: Instant,
    ) -> Result<Way, Refusal> {
        if !is_for_one(packet.destination) {
            return Err(Refusal { reason: PacketDrop::NotForOne, complaint: None });
        }
        let us = overlay.us();
        if !overlay.is_address_of(packet.source, us) {
            // At its destination it would be taken for forged.
            let complaint = Some(Complaint::ForeignSource);
            return Err(Refusal { reason: PacketDrop::ForeignSource, complaint });
        }
        let Some(destination) = overlay.node_of(packet.destination) else {
            let complaint = Some(Complaint::NoRoute);
            return Err(Refusal { reason: PacketDrop::UnknownDestination, complaint });
        };
        if let Some(max) = self.packet_bytes_max {
            mss::clamp(bytes, packet, max);
        }
        let flow = self.flows.of(packet, destination, now);
        Ok(Way { packet: *packet, destination, flow, ecn: ecn::ecn_of(bytes, packet.version) })
    }

    fn send_by(&mut self, way: &Way, overlay: &mut impl Overlay, bytes: &[u8], now: Instant) {
        let Way { packet, destination, flow, ecn } = way;
        let sending =
            Sending { destination: *destination, flow: flow.id, is_reply: flow.is_reply, payload: bytes };
        match overlay.send(sending, *ecn, now) {
            Ok(frame) => {
                self.recent.remember(frame, packet, bytes);
                self.counters.sent += 1;
            }
            Err(error) => self.refuse(&refusal_of(error), (packet, bytes), overlay.us(), now),
        }
    }

    fn refuse(&mut self, refusal: &Refusal, about: (&Packet, &[u8]), us: NodeId, now: Instant) {
        self.drop_packet(refusal.reason);
        if let Some(complaint) = refusal.complaint {
            self.complain(complaint, about, us, now);
        }
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
            Ok(()) if self.ports.iter_mut().any(|port| port.deliver(&delivered)) => {
                self.counters.delivered += 1;
            }
            Ok(()) => self.drop_packet(PacketDrop::NoPort),
        }
        delivered.bytes
    }

    /// Lets the ports give on what they have put together: no more packets arrive in this turn.
    pub(crate) fn flush(&mut self) {
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
        if !overlay.is_address_of(packet.source, header.source) {
            return Err(PacketDrop::ForeignSource);
        }
        if !overlay.is_address_of(packet.destination, overlay.us()) {
            return Err(PacketDrop::ForeignDestination);
        }
        ecn::carry_mark(&mut delivered.bytes, packet.version, header.flags)
            .map_err(|ecn::MarkedInVain| PacketDrop::MarkedInVain)?;
        if let Some(max) = self.packet_bytes_max {
            mss::clamp(&mut delivered.bytes, &packet, max);
        }
        if !header.flags.contains(Flags::REPLY) {
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

fn is_for_one(address: Ipv6Addr) -> bool {
    let is_none = address.is_multicast() || address.is_unspecified() || address.is_unicast_link_local();
    let is_none_in_v4 = address.to_ipv4_mapped().is_some_and(|address| {
        address.is_multicast()
            || address.is_broadcast()
            || address.is_unspecified()
            || address.is_link_local()
    });
    !is_none && !is_none_in_v4
}

fn refusal_of(error: SendError) -> Refusal {
    match error {
        SendError::NoRoute { .. } => {
            Refusal { reason: PacketDrop::NoRoute, complaint: Some(Complaint::NoRoute) }
        }
        SendError::TooLarge { max, .. } => {
            let complaint = Some(Complaint::TooBig { packet_bytes_max: max });
            Refusal { reason: PacketDrop::TooBig, complaint }
        }
        SendError::QueueFull | SendError::LinkFailed | SendError::InnerQueueFull | SendError::InnerFailed => {
            Refusal { reason: PacketDrop::Unsent, complaint: None }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use etherparse::PacketBuilder;
    use peerbound_wire::{FlowId, PacketId};
    use proptest::prelude::*;

    use super::*;

    const A: NodeId = NodeId::new([0xa; 16]);
    const B: NodeId = NodeId::new([0xb; 16]);

    type Taken = Arc<Mutex<Vec<Vec<u8>>>>;

    struct Everything(Taken);

    impl PacketPort for Everything {
        fn deliver(&mut self, packet: &DeliveredPacket) -> bool {
            self.0.lock().unwrap().push(packet.bytes.clone());
            true
        }
    }

    /// B's node: A is there, and announces 10.1.0.0/16.
    #[derive(Default)]
    struct Mesh {
        sent: Vec<(NodeId, FlowId, bool, Vec<u8>, Ecn)>,
        refuses: Option<SendError>,
    }

    impl Overlay for Mesh {
        fn us(&self) -> NodeId {
            B
        }

        fn node_of(&self, address: Ipv6Addr) -> Option<NodeId> {
            let in_v4 = address.to_ipv4_mapped().map(|address| address.octets());
            match in_v4 {
                Some([10, 1, ..]) => Some(A),
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
            let Sending { destination, flow, is_reply, payload } = sending;
            self.sent.push((destination, flow, is_reply, payload.to_vec(), ecn));
            Ok(PacketId(self.sent.len() as u64))
        }
    }

    fn switch() -> (PacketSwitch, Taken) {
        let taken = Taken::default();
        (PacketSwitch::new(vec![Box::new(Everything(Arc::clone(&taken)))], None), taken)
    }

    fn udp(source: NodeId, destination: NodeId) -> Vec<u8> {
        let [source, destination] = [source, destination].map(|id| id.address().octets());
        let mut bytes = Vec::new();
        PacketBuilder::ipv6(source, destination, 64).udp(1, 2).write(&mut bytes, b"hello").unwrap();
        bytes
    }

    fn udp_v4(source: [u8; 4], destination: [u8; 4]) -> Vec<u8> {
        let mut bytes = Vec::new();
        PacketBuilder::ipv4(source, destination, 64).udp(1, 2).write(&mut bytes, b"hello").unwrap();
        bytes
    }

    fn delivered(from: NodeId, bytes: Vec<u8>) -> DeliveredPacket {
        DeliveredPacket { header: Header::new(Kind::Data, from, B), bytes }
    }

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
    fn a_packet_that_nobody_takes_is_counted() {
        let mut switch = PacketSwitch::new(Vec::new(), None);

        switch.deliver(&Mesh::default(), delivered(A, udp(A, B)), Instant::now());

        assert_eq!(switch.counters().dropped, [(PacketDrop::NoPort, 1)].into());
    }

    #[test]
    fn an_answer_goes_out_as_a_reply_of_the_flow_that_asked() {
        let (mut switch, _) = switch();
        let mut mesh = Mesh::default();
        let now = Instant::now();
        let mut request = delivered(A, udp_v4([10, 1, 0, 1], [10, 2, 0, 1]));
        request.header.flow = FlowId(7);
        switch.deliver(&mesh, request, now);

        let mut answer = Vec::new();
        let builder = PacketBuilder::ipv4([10, 2, 0, 1], [10, 1, 0, 1], 64).udp(2, 1);
        builder.write(&mut answer, b"yes").unwrap();
        switch.send(&mut mesh, &mut answer, now);
        switch.send(&mut mesh, &mut udp(B, A), now);

        let sent: Vec<_> = mesh.sent.iter().map(|(to, flow, is_reply, ..)| (*to, *flow, *is_reply)).collect();
        assert_eq!(sent[0], (A, FlowId(7), true));
        assert!(!sent[1].2, "{sent:?}");
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
    fn whoever_sent_what_does_not_fit_is_told_what_would() {
        let (mut switch, taken) = switch();
        let refuses = Some(SendError::TooLarge { len: 53, max: 1300 });
        let mut mesh = Mesh { refuses, ..Mesh::default() };

        switch.send(&mut mesh, &mut udp(B, A), Instant::now());

        let message = &taken.lock().unwrap()[0];
        assert_eq!((message[40], &message[44..48]), (2, &[0, 0, 0x05, 0x14][..]));
        assert_eq!(message[24..40], B.address().octets());
        let counters = switch.counters();
        assert_eq!((counters.complaints, counters.dropped), (1, [(PacketDrop::TooBig, 1)].into()));
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
    fn what_is_for_nobody_is_dropped_and_its_sender_told() {
        let (mut switch, taken) = switch();
        let mut mesh = Mesh::default();
        let now = Instant::now();

        switch.send(&mut mesh, &mut udp(B, NodeId::new([0xc; 16])), now);
        switch.send(&mut mesh, &mut udp(A, B), now);
        let mut to_many = udp(B, A);
        to_many[24..40].copy_from_slice(&Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2).octets());
        switch.send(&mut mesh, &mut to_many, now);

        let kinds: Vec<_> = taken.lock().unwrap().iter().map(|message| [message[40], message[41]]).collect();
        assert_eq!(kinds, [[1, 0], [1, 5]]);
        let dropped =
            [(PacketDrop::NotForOne, 1), (PacketDrop::UnknownDestination, 1), (PacketDrop::ForeignSource, 1)];
        assert_eq!(switch.counters().dropped, dropped.into());
        assert!(mesh.sent.is_empty());
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
