//! What a host's kernel puts on its wire, taken apart as far as a network of UDP must: datagrams, and the
//! errors that are reported about them. Pure.

use std::net::{IpAddr, SocketAddr};

use etherparse::icmpv4::DestUnreachableHeader;
use etherparse::icmpv6::DestUnreachableCode;
use etherparse::{Icmpv4Type, Icmpv6Type, LaxNetSlice, LaxSlicedPacket, PacketBuilder, TransportSlice};

use crate::ip_packet::{IpPacketError, ip_packet};

/// As hosts send it.
const HOPS: u8 = 64;

/// Bytes of a packet that an error quotes: as much as leaves the error within 576 bytes (RFC 1812, 4.3.2.3).
const QUOTED_BYTES_MAX: usize = 548;

/// A UDP datagram in an IP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Udp<'a> {
    pub(crate) source: SocketAddr,
    pub(crate) destination: SocketAddr,
    pub(crate) payload: &'a [u8],
}

/// What one IP packet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packet<'a> {
    /// A datagram.
    Udp(Udp<'a>),
    /// "Nobody reads there", said to the sender of a datagram, the beginning of which it quotes
    /// (RFC 792; RFC 4443, 3.1).
    PortUnreachable { to: IpAddr, quoted: Udp<'a> },
    /// Something that is none of ours: a host looking for routers and the like.
    Other,
}

impl<'a> Packet<'a> {
    /// Takes a packet apart. Fragments are not put together: nodes never send any.
    pub(crate) fn parse(bytes: &'a [u8]) -> Self {
        let Ok(packet) = LaxSlicedPacket::from_ip(bytes) else {
            return Self::Other;
        };
        let Some((source, destination)) = packet.net.as_ref().and_then(addresses) else {
            return Self::Other;
        };
        let quoted = match &packet.transport {
            Some(TransportSlice::Udp(udp)) => {
                return Self::Udp(Udp {
                    source: SocketAddr::new(source, udp.source_port()),
                    destination: SocketAddr::new(destination, udp.destination_port()),
                    payload: udp.payload(),
                });
            }
            Some(TransportSlice::Icmpv4(icmp))
                if icmp.icmp_type() == Icmpv4Type::DestinationUnreachable(DestUnreachableHeader::Port) =>
            {
                icmp.payload()
            }
            Some(TransportSlice::Icmpv6(icmp))
                if icmp.icmp_type() == Icmpv6Type::DestinationUnreachable(DestUnreachableCode::Port) =>
            {
                icmp.payload()
            }
            _ => return Self::Other,
        };
        match Self::parse(quoted) {
            Self::Udp(quoted) => Self::PortUnreachable { to: destination, quoted },
            Self::PortUnreachable { .. } | Self::Other => Self::Other,
        }
    }
}

fn addresses(net: &LaxNetSlice<'_>) -> Option<(IpAddr, IpAddr)> {
    match net {
        LaxNetSlice::Ipv4(ip) => {
            let header = ip.header();
            Some((header.source_addr().into(), header.destination_addr().into()))
        }
        LaxNetSlice::Ipv6(ip) => {
            let header = ip.header();
            Some((header.source_addr().into(), header.destination_addr().into()))
        }
        LaxNetSlice::Arp(_) => None,
    }
}

/// Returns the packet in which a router tells the sender of a datagram that it is larger than `mtu`
/// (RFC 1191, 4; RFC 4443, 3.2). The router speaks from the destination's address, as the last one
/// before it might.
pub(crate) fn too_big(datagram: &Udp<'_>, mtu: u16) -> Result<Vec<u8>, IpPacketError> {
    let packet = ip_packet(datagram.source, datagram.destination, datagram.payload)?;
    let quoted = &packet[..packet.len().min(QUOTED_BYTES_MAX)];
    let mut error = Vec::with_capacity(QUOTED_BYTES_MAX + 48);
    let written = match (datagram.destination.ip(), datagram.source.ip()) {
        (IpAddr::V4(router), IpAddr::V4(sender)) => {
            let message = DestUnreachableHeader::FragmentationNeeded { next_hop_mtu: mtu };
            PacketBuilder::ipv4(router.octets(), sender.octets(), HOPS)
                .icmpv4(Icmpv4Type::DestinationUnreachable(message))
                .write(&mut error, quoted)
        }
        (IpAddr::V6(router), IpAddr::V6(sender)) => {
            PacketBuilder::ipv6(router.octets(), sender.octets(), HOPS)
                .icmpv6(Icmpv6Type::PacketTooBig { mtu: u32::from(mtu) })
                .write(&mut error, quoted)
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {
            return Err(IpPacketError::MixedFamilies { from: datagram.source, to: datagram.destination });
        }
    };
    written.expect("a vector takes what is written, and the quotation is short");
    Ok(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_datagram_comes_back_as_it_went_in_both_families() {
        for (source, destination) in [("192.0.2.1:7", "192.0.2.2:8"), ("[2001:db8::1]:7", "[2001:db8::2]:8")]
        {
            let (source, destination) = (address(source), address(destination));
            let bytes = ip_packet(source, destination, b"payload").unwrap();

            let packet = Packet::parse(&bytes);

            assert_eq!(packet, Packet::Udp(Udp { source, destination, payload: b"payload" }));
        }
    }

    #[test]
    fn an_error_names_the_datagram_that_it_is_about_by_its_beginning() {
        let (source, destination) = (address("192.0.2.1:7"), address("192.0.2.2:8"));
        let quoted = ip_packet(source, destination, &[5; 1000]).unwrap();
        let mut error = Vec::new();
        PacketBuilder::ipv4([192, 0, 2, 2], [192, 0, 2, 1], HOPS)
            .icmpv4(Icmpv4Type::DestinationUnreachable(DestUnreachableHeader::Port))
            .write(&mut error, &quoted[..QUOTED_BYTES_MAX])
            .unwrap();

        let Packet::PortUnreachable { to, quoted } = Packet::parse(&error) else {
            panic!("it is a port unreachable: {:?}", Packet::parse(&error));
        };

        assert_eq!(to, source.ip());
        assert_eq!((quoted.source, quoted.destination), (source, destination));
        assert_eq!(quoted.payload, [5; QUOTED_BYTES_MAX - 28]);
    }

    #[test]
    fn what_is_no_ip_packet_and_what_is_cut_off_is_none_of_ours() {
        let whole = ip_packet(address("192.0.2.1:7"), address("192.0.2.2:8"), b"").unwrap();

        for length in 0..whole.len() {
            assert_eq!(Packet::parse(&whole[..length]), Packet::Other, "{length}");
        }
        assert_eq!(Packet::parse(&[0xff; 100]), Packet::Other);
    }

    #[test]
    fn a_sender_is_told_how_much_fits() {
        let datagram =
            Udp { source: address("192.0.2.1:7"), destination: address("192.0.2.2:8"), payload: &[5; 1400] };

        let error = too_big(&datagram, 1300).unwrap();

        // ICMP stands behind 20 bytes of IP: type 3, code 4, and the next hop's MTU in bytes 6 and 7.
        assert_eq!((error[20], error[21]), (3, 4));
        assert_eq!(u16::from_be_bytes([error[26], error[27]]), 1300);
        assert!(error.len() <= 576, "{}", error.len());
    }
}
