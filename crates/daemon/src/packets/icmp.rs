//! What is said to the sender of a packet that went no further: messages of ICMP, as a router would send them
//! (RFC 792 and 1191 for IPv4, RFC 4443 for IPv6).

use std::net::Ipv6Addr;
use std::time::{Duration, Instant};

use etherparse::IpNumber;

use crate::packets::checksum::checksum;
use crate::packets::ip::{IpVersion, Packet, V4_HEADER_BYTES, V6_HEADER_BYTES};

/// The longest message: what every link takes (RFC 4443, 2.4 c; RFC 1812, 4.3.2.3).
const V6_BYTES_MAX: usize = 1280;
const V4_BYTES_MAX: usize = 576;

/// Header of every message.
const ICMP_BYTES: usize = 8;

const HOP_LIMIT: u8 = 64;

/// Messages in any one second: a hint for a few conversations, not a service (RFC 4443, 2.4 f).
const MESSAGES_PER_SECOND: u32 = 200;

/// What there is to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Complaint {
    /// Packets of so many bytes would fit.
    TooBig { packet_bytes_max: usize },
    /// There is no way to the destination.
    NoRoute,
    /// The source address is not one that may send here.
    ForeignSource,
}

/// Says no more than is good for anyone.
#[derive(Debug, Default)]
pub(crate) struct Complaints {
    second_began: Option<Instant>,
    said: u32,
}

impl Complaints {
    /// Makes the message for whoever sent `packet`, of which `bytes` are the front, or all; `None` where
    /// nothing may be said. `us` is our overlay address.
    pub(crate) fn about(
        &mut self,
        complaint: Complaint,
        (packet, bytes): (&Packet, &[u8]),
        us: Ipv6Addr,
        now: Instant,
    ) -> Option<Vec<u8>> {
        if !may_be_answered(packet, bytes) || !self.may_speak(now) {
            return None;
        }
        Some(match packet.version {
            IpVersion::V6 => v6(complaint, packet, bytes, us),
            IpVersion::V4 => v4(complaint, packet, bytes)?,
        })
    }

    fn may_speak(&mut self, now: Instant) -> bool {
        let is_over = |began: &Instant| now.saturating_duration_since(*began) >= Duration::from_secs(1);
        if self.second_began.as_ref().is_none_or(is_over) {
            *self = Self { second_began: Some(now), said: 0 };
        }
        self.said = self.said.saturating_add(1);
        self.said <= MESSAGES_PER_SECOND
    }
}

/// Nothing is said about errors, to many at once, or to nobody (RFC 1122, 3.2.2; RFC 4443, 2.4 e).
fn may_be_answered(packet: &Packet, bytes: &[u8]) -> bool {
    let first_of_transport = packet.transport_at.and_then(|at| bytes.get(at));
    let is_error = match packet.protocol {
        IpNumber::ICMP => !matches!(first_of_transport, Some(0 | 8 | 13..=18)),
        IpNumber::IPV6_ICMP => first_of_transport.is_none_or(|kind| *kind < 128 || *kind == 137),
        _ => false,
    };
    let is_of_many = |address: &Ipv6Addr| {
        address.is_multicast()
            || address.is_unspecified()
            || address.is_loopback()
            || address.to_ipv4_mapped().is_some_and(|address| {
                address.is_multicast()
                    || address.is_broadcast()
                    || address.is_unspecified()
                    || address.is_loopback()
            })
    };
    !is_error && !packet.is_later_fragment && !is_of_many(&packet.source) && !is_of_many(&packet.destination)
}

fn v6(complaint: Complaint, packet: &Packet, quoted: &[u8], us: Ipv6Addr) -> Vec<u8> {
    let (kind, code, rest) = match complaint {
        // IPv6 has no smaller packets to ask for (RFC 8200, 5).
        Complaint::TooBig { packet_bytes_max } => (2, 0, field(packet_bytes_max.max(V6_BYTES_MAX))),
        Complaint::NoRoute => (1, 0, 0),
        Complaint::ForeignSource => (1, 5, 0),
    };
    let quoted = &quoted[..quoted.len().min(V6_BYTES_MAX - V6_HEADER_BYTES - ICMP_BYTES)];
    let len = u16::try_from(ICMP_BYTES + quoted.len()).unwrap_or(0);
    let to = packet.source;
    let mut message = vec![0x60, 0, 0, 0];
    message.extend(len.to_be_bytes());
    message.extend([IpNumber::IPV6_ICMP.0, HOP_LIMIT]);
    message.extend(us.octets());
    message.extend(to.octets());
    message.extend([kind, code, 0, 0]);
    message.extend(rest.to_be_bytes());
    message.extend(quoted);
    // The pseudo-header of RFC 8200, 8.1.
    let pseudo = [u32::from(len), u32::from(IpNumber::IPV6_ICMP.0)].map(u32::to_be_bytes);
    let sum = checksum(&[&us.octets(), &to.octets(), &pseudo.concat(), &message[V6_HEADER_BYTES..]]);
    message[V6_HEADER_BYTES + 2..V6_HEADER_BYTES + 4].copy_from_slice(&sum.to_be_bytes());
    message
}

/// Says it in the name of the destination: the overlay gives us no IPv4 address of our own, and a kernel that
/// looks whether a source can be behind the interface takes this one.
fn v4(complaint: Complaint, packet: &Packet, quoted: &[u8]) -> Option<Vec<u8>> {
    let [from, to] = [packet.destination, packet.source].map(|address| address.to_ipv4_mapped());
    let [from, to] = [from?.octets(), to?.octets()];
    let (code, rest) = match complaint {
        Complaint::TooBig { packet_bytes_max } => (4, field(packet_bytes_max) & 0xffff),
        Complaint::NoRoute => (0, 0),
        Complaint::ForeignSource => (13, 0),
    };
    let quoted = &quoted[..quoted.len().min(V4_BYTES_MAX - V4_HEADER_BYTES - ICMP_BYTES)];
    let len = u16::try_from(V4_HEADER_BYTES + ICMP_BYTES + quoted.len()).unwrap_or(0);
    let mut message = vec![0x45, 0];
    message.extend(len.to_be_bytes());
    message.extend([0, 0, 0, 0, HOP_LIMIT, IpNumber::ICMP.0, 0, 0]);
    message.extend(from);
    message.extend(to);
    let sum = checksum(&[&message]);
    message[10..12].copy_from_slice(&sum.to_be_bytes());
    message.extend([3, code, 0, 0]);
    message.extend(rest.to_be_bytes());
    message.extend(quoted);
    let sum = checksum(&[&message[V4_HEADER_BYTES..]]);
    message[V4_HEADER_BYTES + 2..V4_HEADER_BYTES + 4].copy_from_slice(&sum.to_be_bytes());
    Some(message)
}

fn field(bytes: usize) -> u32 {
    u32::try_from(bytes.min(usize::from(u16::MAX))).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use etherparse::{
        Icmpv4Slice, Icmpv4Type, Icmpv6Slice, Icmpv6Type, IpSlice, PacketBuilder, icmpv4, icmpv6,
    };

    use super::*;

    const US: [u8; 16] = [0xfd; 16];

    fn udp_v6() -> Vec<u8> {
        let mut bytes = Vec::new();
        PacketBuilder::ipv6(US, [0xfe; 16], 64).udp(1, 2).write(&mut bytes, &[0; 1400]).unwrap();
        bytes
    }

    fn udp_v4() -> Vec<u8> {
        let mut bytes = Vec::new();
        PacketBuilder::ipv4([10, 1, 0, 1], [10, 2, 0, 2], 64)
            .udp(1, 2)
            .write(&mut bytes, &[0; 1400])
            .unwrap();
        bytes
    }

    fn about(complaint: Complaint, bytes: &[u8]) -> Option<Vec<u8>> {
        let packet = Packet::parse(bytes).unwrap();
        Complaints::default().about(complaint, (&packet, bytes), US.into(), Instant::now())
    }

    #[test]
    fn too_big_in_ipv6_is_the_golden_message() {
        let offending = udp_v6();

        let message = about(Complaint::TooBig { packet_bytes_max: 1300 }, &offending).unwrap();

        assert_eq!(message.len(), 1280);
        assert_eq!(message[..8], [0x60, 0, 0, 0, 0x04, 0xd8, 58, 64]);
        assert_eq!(message[8..40], [US, US].concat());
        assert_eq!(message[40..42], [2, 0]);
        assert_eq!(message[44..48], [0, 0, 0x05, 0x14]);
        assert_eq!(message[48..], offending[..1232]);
        let icmp = Icmpv6Slice::from_slice(&message[40..]).unwrap();
        assert!(icmp.is_checksum_valid(US, US));
        assert_eq!(icmp.icmp_type(), Icmpv6Type::PacketTooBig { mtu: 1300 });
    }

    #[test]
    fn too_big_in_ipv4_is_the_golden_message() {
        let offending = udp_v4();

        let message = about(Complaint::TooBig { packet_bytes_max: 1300 }, &offending).unwrap();

        assert_eq!(message.len(), 576);
        assert_eq!(message[..10], [0x45, 0, 0x02, 0x40, 0, 0, 0, 0, 64, 1]);
        assert_eq!(message[12..20], [10, 2, 0, 2, 10, 1, 0, 1]);
        assert_eq!(checksum(&[&message[..20]]), 0);
        assert_eq!(message[20..22], [3, 4]);
        assert_eq!(message[24..28], [0, 0, 0x05, 0x14]);
        assert_eq!(checksum(&[&message[20..]]), 0);
        let icmp = Icmpv4Slice::from_slice(&message[20..]).unwrap();
        let expected = icmpv4::DestUnreachableHeader::FragmentationNeeded { next_hop_mtu: 1300 };
        assert_eq!(icmp.icmp_type(), Icmpv4Type::DestinationUnreachable(expected));
    }

    #[test]
    fn ipv6_is_never_asked_for_less_than_its_least() {
        let message = about(Complaint::TooBig { packet_bytes_max: 900 }, &udp_v6()).unwrap();

        assert_eq!(message[44..48], [0, 0, 0x05, 0x00]);
    }

    #[test]
    fn no_way_is_said_in_both_versions() {
        let v6 = about(Complaint::NoRoute, &udp_v6()).unwrap();
        let v4 = about(Complaint::NoRoute, &udp_v4()).unwrap();

        let icmp = Icmpv6Slice::from_slice(&v6[40..]).unwrap();
        let no_route = icmpv6::DestUnreachableCode::NoRoute;
        assert_eq!(icmp.icmp_type(), Icmpv6Type::DestinationUnreachable(no_route));
        assert!(IpSlice::from_slice(&v4).is_ok());
        assert_eq!(v4[20..22], [3, 0]);
    }

    #[test]
    fn errors_are_not_answered_by_errors_nor_is_a_crowd() {
        let error = about(Complaint::NoRoute, &udp_v6()).unwrap();
        assert_eq!(about(Complaint::NoRoute, &error), None);
        let error = about(Complaint::NoRoute, &udp_v4()).unwrap();
        assert_eq!(about(Complaint::NoRoute, &error), None);

        let mut to_all = udp_v6();
        to_all[24] = 0xff;
        assert_eq!(about(Complaint::NoRoute, &to_all), None);
        let mut later_piece = udp_v4();
        later_piece[7] = 1;
        assert_eq!(about(Complaint::NoRoute, &later_piece), None);
    }

    #[test]
    fn an_echo_request_is_answered() {
        let mut bytes = Vec::new();
        PacketBuilder::ipv6(US, [0xfe; 16], 64).icmpv6_echo_request(1, 2).write(&mut bytes, b"?").unwrap();

        assert!(about(Complaint::NoRoute, &bytes).is_some());
    }

    #[test]
    fn so_many_are_said_in_a_second_and_no_more() {
        let mut complaints = Complaints::default();
        let bytes = udp_v6();
        let packet = Packet::parse(&bytes).unwrap();
        let now = Instant::now();
        let mut said = |now| {
            let say =
                |_: &u32| complaints.about(Complaint::NoRoute, (&packet, &bytes), US.into(), now).is_some();
            (0..1000).filter(say).count()
        };

        assert_eq!(said(now), 200);
        assert_eq!(said(now + Duration::from_millis(999)), 0);
        assert_eq!(said(now + Duration::from_secs(1)), 200);
    }
}
