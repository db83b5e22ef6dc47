//! What has to be known of an IP packet to carry it.

use std::net::{IpAddr, Ipv6Addr};

use etherparse::{IpNumber, IpSlice};

/// Bytes of an IPv6 header (RFC 8200, 3), and the least of an IPv4 header (RFC 791, 3.1).
pub(crate) const V6_HEADER_BYTES: usize = 40;
pub(crate) const V4_HEADER_BYTES: usize = 20;

/// The fragment offset of IPv4, in the field that it shares with flags (RFC 791, 3.1).
const FRAGMENT_OFFSET: u16 = 0x1fff;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IpVersion {
    V4,
    V6,
}

/// One packet, as far as it concerns us. IPv4 addresses are written as IPv6 ones (RFC 4291, 2.5.5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Packet {
    pub(crate) version: IpVersion,
    pub(crate) source: Ipv6Addr,
    pub(crate) destination: Ipv6Addr,
    pub(crate) protocol: IpNumber,
    /// Where the header after those of IP begins; `None` in fragments, of which not all have one.
    pub(crate) transport_at: Option<usize>,
    /// Ports, or what tells one echo from another; zero where there are none.
    pub(crate) ports: [u16; 2],
    /// Whether it is a piece of a larger packet, and not the first.
    pub(crate) is_later_fragment: bool,
}

impl Packet {
    /// Reads a packet; `None` for anything that is none, or that is not as long as it says.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let ip = IpSlice::from_slice(bytes).ok()?;
        let payload = ip.payload();
        let (version, len, offset) = match &ip {
            IpSlice::Ipv4(_) => {
                (IpVersion::V4, usize::from(word(bytes, 2)?), word(bytes, 6)? & FRAGMENT_OFFSET)
            }
            IpSlice::Ipv6(_) => (IpVersion::V6, V6_HEADER_BYTES + usize::from(word(bytes, 4)?), 0),
        };
        if len != bytes.len() {
            return None;
        }
        let transport_at = (!payload.fragmented).then(|| len - payload.payload.len());
        Some(Self {
            version,
            source: mapped(ip.source_addr()),
            destination: mapped(ip.destination_addr()),
            protocol: payload.ip_number,
            transport_at,
            ports: transport_at.and_then(|at| ports(payload.ip_number, bytes.get(at..)?)).unwrap_or_default(),
            is_later_fragment: offset != 0,
        })
    }
}

/// Returns an address in the form in which both versions have one.
pub(crate) fn mapped(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

/// Reads 16 bits.
pub(crate) fn word(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|bytes| u16::from_be_bytes(*bytes))
}

/// Reads what tells conversations of one protocol between two hosts apart.
fn ports(protocol: IpNumber, transport: &[u8]) -> Option<[u16; 2]> {
    match protocol {
        IpNumber::TCP | IpNumber::UDP | IpNumber::UDP_LITE | IpNumber::SCTP | IpNumber::DCCP => {
            Some([word(transport, 0)?, word(transport, 2)?])
        }
        // Echo request and reply (RFC 792; RFC 4443, 4): one identifier serves both directions.
        IpNumber::ICMP if matches!(transport.first()?, 0 | 8) => Some([word(transport, 4)?; 2]),
        IpNumber::IPV6_ICMP if matches!(transport.first()?, 128 | 129) => Some([word(transport, 4)?; 2]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;
    use proptest::prelude::*;

    use super::*;

    pub(super) fn udp_v4() -> Vec<u8> {
        let mut bytes = Vec::new();
        PacketBuilder::ipv4([10, 1, 0, 1], [10, 2, 0, 2], 64)
            .udp(1000, 2000)
            .write(&mut bytes, b"hello")
            .unwrap();
        bytes
    }

    #[test]
    fn a_packet_of_either_version_is_read() {
        let mut v6 = Vec::new();
        PacketBuilder::ipv6([1; 16], [2; 16], 64).tcp(5, 6, 0, 100).write(&mut v6, b"x").unwrap();

        let packet = Packet::parse(&v6).unwrap();
        assert_eq!((packet.version, packet.protocol, packet.ports), (IpVersion::V6, IpNumber::TCP, [5, 6]));
        assert_eq!(packet.transport_at, Some(40));
        let packet = Packet::parse(&udp_v4()).unwrap();
        assert_eq!((packet.version, packet.ports), (IpVersion::V4, [1000, 2000]));
        assert_eq!(packet.source, "::ffff:10.1.0.1".parse::<Ipv6Addr>().unwrap());
        assert_eq!(packet.transport_at, Some(20));
    }

    #[test]
    fn a_packet_that_is_not_as_long_as_it_says_is_none() {
        let whole = udp_v4();

        assert_eq!(Packet::parse(&whole[..whole.len() - 1]), None);
        assert_eq!(Packet::parse(&[&whole[..], b"x"].concat()), None);
        assert_eq!(Packet::parse(&[]), None);
    }

    #[test]
    fn fragments_have_no_ports_so_that_all_of_them_take_one_way() {
        let mut first = udp_v4();
        first[6] = 0x20;
        let mut later = udp_v4();
        later[7] = 0x10;

        let [first, later] = [first, later].map(|bytes| Packet::parse(&bytes).unwrap());

        assert_eq!((first.ports, later.ports), ([0, 0], [0, 0]));
        assert_eq!((first.is_later_fragment, later.is_later_fragment), (false, true));
        assert_eq!(first.transport_at, None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Some(packet) = Packet::parse(&bytes) {
                prop_assert!(packet.transport_at.is_none_or(|at| at <= bytes.len()));
            }
        }
    }
}
