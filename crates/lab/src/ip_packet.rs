//! Makes up the IP packet that would have carried a UDP datagram. Pure, and for captures only:
//! nothing here is ever sent.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

const UDP_HEADER_BYTES: usize = 8;
const IPV4_HEADER_BYTES: usize = 20;
const PROTOCOL_UDP: u8 = 17;
const HOPS: u8 = 64; // as hosts send it; nobody counts it down on paper

/// The longest payload that fits an IPv4 packet; an IPv6 packet would have room for 20 bytes more.
const PAYLOAD_BYTES_MAX: usize = u16::MAX as usize - IPV4_HEADER_BYTES - UDP_HEADER_BYTES;

/// Why no packet could have carried a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IpPacketError {
    /// It is too long.
    #[error("a payload of {len} bytes fits no datagram: at most {max}")]
    TooLong {
        /// Bytes of payload.
        len: usize,
        /// Bytes there may be.
        max: usize,
    },
    /// One address is IPv4 and the other IPv6.
    #[error("{from} and {to} are not of one family")]
    MixedFamilies {
        /// Who sent it.
        from: SocketAddr,
        /// Where it went.
        to: SocketAddr,
    },
}

/// Returns the whole IP packet, checksums and all.
pub(crate) fn ip_packet(from: SocketAddr, to: SocketAddr, payload: &[u8]) -> Result<Vec<u8>, IpPacketError> {
    if payload.len() > PAYLOAD_BYTES_MAX {
        return Err(IpPacketError::TooLong { len: payload.len(), max: PAYLOAD_BYTES_MAX });
    }
    let udp_bytes = UDP_HEADER_BYTES + payload.len();
    let mut bytes = match (from.ip(), to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => ipv4_header(from, to, udp_bytes),
        (IpAddr::V6(from), IpAddr::V6(to)) => ipv6_header(from, to, udp_bytes),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {
            return Err(IpPacketError::MixedFamilies { from, to });
        }
    };
    let udp_at = bytes.len();
    bytes.extend(from.port().to_be_bytes());
    bytes.extend(to.port().to_be_bytes());
    bytes.extend(short(udp_bytes));
    bytes.extend([0; 2]); // the checksum, until it is known
    bytes.extend_from_slice(payload);
    let checksum = udp_checksum(from.ip(), to.ip(), &bytes[udp_at..]);
    bytes[udp_at + 6..udp_at + 8].copy_from_slice(&checksum.to_be_bytes());
    Ok(bytes)
}

/// RFC 791, 3.1; "don't fragment", and hence no identification (RFC 6864, 4.1).
fn ipv4_header(from: Ipv4Addr, to: Ipv4Addr, udp_bytes: usize) -> Vec<u8> {
    let [length_high, length_low] = short(IPV4_HEADER_BYTES + udp_bytes);
    let mut header = vec![0x45, 0, length_high, length_low, 0, 0, 0x40, 0, HOPS, PROTOCOL_UDP, 0, 0];
    header.extend(from.octets());
    header.extend(to.octets());
    let mut sum = Checksum::default();
    sum.add(&header);
    header[10..12].copy_from_slice(&sum.finish().to_be_bytes());
    header
}

/// RFC 8200, 3.
fn ipv6_header(from: Ipv6Addr, to: Ipv6Addr, udp_bytes: usize) -> Vec<u8> {
    let [length_high, length_low] = short(udp_bytes);
    let mut header = vec![0x60, 0, 0, 0, length_high, length_low, PROTOCOL_UDP, HOPS];
    header.extend(from.octets());
    header.extend(to.octets());
    header
}

/// RFC 768 and RFC 8200, 8.1: over addresses, protocol and length, then header and payload. Both
/// families' pseudo-headers add up to the same sum.
fn udp_checksum(from: IpAddr, to: IpAddr, datagram: &[u8]) -> u16 {
    let mut sum = Checksum::default();
    for address in [from, to] {
        match address {
            IpAddr::V4(address) => sum.add(&address.octets()),
            IpAddr::V6(address) => sum.add(&address.octets()),
        }
    }
    sum.add(&[0, PROTOCOL_UDP]);
    sum.add(&short(datagram.len()));
    sum.add(datagram);
    // RFC 768: "If the computed checksum is zero, it is transmitted as all ones".
    match sum.finish() {
        0 => u16::MAX,
        checksum => checksum,
    }
}

/// The Internet checksum (RFC 1071). Every part but the last must be of even length.
#[derive(Default)]
struct Checksum(u64);

impl Checksum {
    fn add(&mut self, bytes: &[u8]) {
        for pair in bytes.chunks(2) {
            let [high, low] = [pair[0], pair.get(1).copied().unwrap_or(0)];
            self.0 += u64::from(u16::from_be_bytes([high, low]));
        }
    }

    /// Adds the carries back in and returns the complement.
    fn finish(self) -> u16 {
        let mut sum = self.0;
        while sum > u64::from(u16::MAX) {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !u16::try_from(sum).expect("the loop leaves 16 bits")
    }
}

fn short(bytes: usize) -> [u8; 2] {
    u16::try_from(bytes).expect("`ip_packet` refuses longer payloads").to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv4_packet_has_these_bytes() {
        let packet = ip_packet(address("192.0.2.1:7400"), address("192.0.2.2:7401"), b"abc").unwrap();

        let golden = [
            0x45, 0, 0, 31, 0, 0, 0x40, 0, 64, 17, 0xb6, 0xca, 192, 0, 2, 1, 192, 0, 2, 2, //
            0x1c, 0xe8, 0x1c, 0xe9, 0, 11, 0x7d, 0xa0, b'a', b'b', b'c',
        ];
        assert_eq!(packet, golden);
    }

    #[test]
    fn an_ipv6_packet_has_this_header() {
        let packet = ip_packet(address("[2001:db8::1]:7400"), address("[2001:db8::2]:7401"), b"").unwrap();

        let mut golden = vec![0x60, 0, 0, 0, 0, 8, 17, 64];
        golden.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        golden.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
        golden.extend([0x1c, 0xe8, 0x1c, 0xe9, 0, 8]);
        assert_eq!(packet[..46], golden);
        assert_eq!(packet.len(), 48);
    }

    #[test]
    fn a_receiver_that_sums_up_a_packet_finds_no_error() {
        // RFC 1071, 1: over everything, checksum included, the sum is all ones and its complement 0.
        let from = address("198.51.100.7:65535");
        let to = address("203.0.113.9:1");
        for payload in [&b""[..], b"\xff", b"\xff\xff", &[0xff; 1400], &[0xa5; 1399]] {
            let packet = ip_packet(from, to, payload).unwrap();

            let (ip, udp) = packet.split_at(IPV4_HEADER_BYTES);
            let mut header = Checksum::default();
            header.add(ip);
            assert_eq!(header.finish(), 0);
            let mut whole = Checksum::default();
            whole.add(&ip[12..]);
            whole.add(&[0, PROTOCOL_UDP]);
            whole.add(&udp[4..6]);
            whole.add(udp);
            assert_eq!(whole.finish(), 0);
        }
    }

    #[test]
    fn a_checksum_of_zero_is_sent_as_all_ones() {
        // Zero means "no checksum" (RFC 768). The second payload is the first one's checksum, which
        // brings the sum to all ones.
        let [from, to] = [address("192.0.2.1:1"), address("192.0.2.2:2")];
        let first = ip_packet(from, to, &[0, 0]).unwrap();
        let payload = [first[26], first[27]];

        let second = ip_packet(from, to, &payload).unwrap();

        assert_eq!(second[26..28], [0xff, 0xff]);
    }

    #[test]
    fn the_longest_payload_fits_and_one_more_byte_does_not() {
        let [from, to] = [address("192.0.2.1:1"), address("192.0.2.2:2")];

        assert_eq!(ip_packet(from, to, &[0; 65_507]).unwrap().len(), 65_535);
        let refused = ip_packet(from, to, &[0; 65_508]);
        assert_eq!(refused, Err(IpPacketError::TooLong { len: 65_508, max: 65_507 }));
    }

    #[test]
    fn addresses_of_two_families_make_no_packet() {
        let [from, to] = [address("192.0.2.1:1"), address("[2001:db8::2]:2")];

        assert_eq!(ip_packet(from, to, b""), Err(IpPacketError::MixedFamilies { from, to }));
    }

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }
}
