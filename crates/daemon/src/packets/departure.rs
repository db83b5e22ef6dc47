//! The way of a packet that this host sends: to whom, in which flow, and what its sender is told where there is none. The
//! segments of one super-packet go one way, which is looked up once.

use std::net::Ipv6Addr;
use std::time::Instant;

use peerbound_node::{Ecn, SendError, Sending};
use peerbound_wire::NodeId;

use crate::packets::flows::Flow;
use crate::packets::icmp::Complaint;
use crate::packets::ip::Packet;
use crate::packets::overlay::Overlay;
use crate::packets::{PacketDrop, PacketSwitch, ecn, mss};

/// Why a packet is dropped, and what its sender is told.
pub(crate) struct Refusal {
    reason: PacketDrop,
    complaint: Option<Complaint>,
}

/// How a packet goes into the overlay.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Way {
    packet: Packet,
    destination: NodeId,
    flow: Flow,
    ecn: Ecn,
    found_at: Instant,
}

impl PacketSwitch {
    /// Sends a packet to the node that has its destination address.
    pub(crate) fn send(&mut self, overlay: &mut impl Overlay, bytes: &mut [u8], now: Instant) {
        self.send_parsed(overlay, None, bytes, now);
    }

    /// Does what [`Self::send`] does with a packet that may have been read already.
    pub(crate) fn send_parsed(
        &mut self,
        overlay: &mut impl Overlay,
        packet: Option<Packet>,
        bytes: &mut [u8],
        now: Instant,
    ) {
        let before = self.way.take();
        let Some(packet) = packet.or_else(|| Packet::parse(bytes)) else {
            return self.drop_packet(PacketDrop::Malformed);
        };
        debug_assert_eq!(Packet::parse(bytes), Some(packet));
        // What was found for the packet before this one holds for this one, if it is of the same conversation and of the same moment.
        let known = before.filter(|way| way.packet == packet && way.found_at == now);
        let known = known.map(|way| (way.destination, way.flow));
        match known.map_or_else(|| self.find_way(overlay, &packet, now), Ok) {
            Ok((destination, flow)) => {
                if let Some(max) = self.packet_bytes_max {
                    mss::clamp(bytes, &packet, max);
                }
                let ecn = ecn::ecn_of(bytes, packet.version);
                let way = Way { packet, destination, flow, ecn, found_at: now };
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
        now: Instant,
    ) -> Result<(NodeId, Flow), Refusal> {
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
        let flow = self.flows.of(packet, destination, now);
        if let Some(queues) = &mut self.queues {
            queues.note((destination, flow.id, !flow.is_reply), self.queue);
        }
        Ok((destination, flow))
    }

    fn send_by(&mut self, way: &Way, overlay: &mut impl Overlay, bytes: &[u8], now: Instant) {
        let Way { packet, destination, flow, ecn, .. } = way;
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
    use std::time::{Duration, Instant};

    use allocation_counter::measure;
    use etherparse::PacketBuilder;
    use peerbound_wire::FlowId;

    use super::*;
    use crate::packets::mesh::{A, B, Mesh, delivered, switch, udp, udp_v4};

    #[test]
    fn what_continues_a_packet_goes_its_way_and_is_refused_as_it_was() {
        let (mut switch, _) = switch();
        let (mut mesh, now) = (Mesh::default(), Instant::now());
        let mut packet = udp(B, A);
        packet[1] |= 0x20;

        switch.send(&mut mesh, &mut packet, now);
        switch.send_next(&mut mesh, &mut packet, now);
        switch.send(&mut mesh, &mut udp(A, B), now);
        switch.send_next(&mut mesh, &mut udp(A, B), now);

        assert_eq!(mesh.sent.len(), 2);
        assert_eq!(mesh.sent[0], mesh.sent[1]);
        assert_eq!(switch.counters().dropped, [(PacketDrop::ForeignSource, 2)].into());
    }

    #[test]
    fn a_way_holds_for_packets_of_one_conversation_and_one_moment_but_for_their_marks() {
        let (mut switch, _) = switch();
        let (mut mesh, now) = (Mesh::default(), Instant::now());
        let mut there = udp_v4([10, 2, 0, 1], [10, 1, 0, 1]);
        let mut elsewhere = udp(B, A);
        switch.send(&mut mesh, &mut there, now);
        mesh.has_withdrawn = true;

        there[1] |= 2;
        switch.send(&mut mesh, &mut there, now);
        switch.send(&mut mesh, &mut elsewhere, now);
        switch.send(&mut mesh, &mut there, now);
        mesh.has_withdrawn = false;
        switch.send(&mut mesh, &mut there, now);
        mesh.has_withdrawn = true;
        switch.send(&mut mesh, &mut there, now + Duration::from_nanos(1));

        let marks: Vec<_> = mesh.sent.iter().map(|(.., ecn)| *ecn).collect();
        assert_eq!(marks, [Ecn::NotCapable, Ecn::Capable, Ecn::NotCapable, Ecn::Capable]);
        assert_eq!(switch.counters().dropped, [(PacketDrop::UnknownDestination, 2)].into());
    }

    #[test]
    fn a_piece_that_does_not_fit_is_told_of_as_itself() {
        let (mut switch, taken) = switch();
        let (mut mesh, now) = (Mesh::default(), Instant::now());
        let piece = udp(B, A);
        switch.send(&mut mesh, &mut piece.clone(), now);

        mesh.refuses = Some(SendError::TooLarge { len: 53, max: 1300 });
        switch.send_next(&mut mesh, &mut piece.clone(), now);

        let message = &taken.lock().unwrap()[0];
        assert_eq!((message[40], &message[48..]), (2, &piece[..]));
        assert_eq!(switch.counters().dropped, [(PacketDrop::TooBig, 1)].into());
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
    fn the_pieces_of_a_super_packet_take_no_memory() {
        let (mut switch, _) = switch();
        let (mut mesh, now) = (Mesh::default(), Instant::now());
        let mut piece = udp(B, A);
        switch.send(&mut mesh, &mut piece, now);
        mesh.counts_only = true;

        let used = measure(|| {
            switch.send(&mut mesh, &mut piece, now);
            (0..100).for_each(|_| switch.send_next(&mut mesh, &mut piece, now));
        });

        assert_eq!(used.count_total, 0, "{used:?}");
        assert_eq!(switch.counters().sent, 102);
    }
}
