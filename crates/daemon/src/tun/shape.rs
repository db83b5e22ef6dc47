//! What has to be known of a packet to put it together with others of its flow. Pure.

use crate::packets::checksum::{fold, sum};
use crate::packets::ip::{IpVersion, V4_HEADER_BYTES, V6_HEADER_BYTES, word};
use crate::tun::headers::{
    ACK, PSH, TCP_FLAGS_AT, TCP_SEQUENCE_AT, Transport, UDP_LENGTH_AT, V4_ADDRESSES_AT, V4_ID_AT,
    V4_LENGTH_AT, V6_ADDRESSES_AT, V6_LENGTH_AT, pseudo_sum, version_of,
};

/// The first byte of an IPv4 header without options.
const V4_PLAIN: u8 = 0x45;

/// Where IPv4 says that a packet is a fragment: more of them, or an offset (RFC 791, 3.1).
const V4_FRAGMENT_AT: usize = 6;
const V4_FRAGMENT: u16 = 0x3fff;
const V4_DO_NOT_FRAGMENT: u16 = 0x4000;

/// The fields that name the protocol.
const V4_PROTOCOL_AT: usize = 9;
const V6_NEXT_HEADER_AT: usize = 6;

/// Whether a packet may stand beside others in a super-packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Joining {
    /// Anywhere.
    Anywhere,
    /// As the last: the sender wants its data delivered.
    Last,
    /// It stays alone.
    Never,
}

/// Where a packet of TCP or UDP, straight behind a header of IP, has what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) version: IpVersion,
    pub(crate) transport: Transport,
    pub(crate) transport_at: usize,
    pub(crate) header_bytes: usize,
    pub(crate) joining: Joining,
}

impl Shape {
    /// Reads a packet; `None` where no ports are known.
    pub(crate) fn of(packet: &[u8]) -> Option<Self> {
        let version = version_of(packet)?;
        let (transport_at, protocol, len) = match version {
            IpVersion::V4 => {
                let is_plain = packet[0] == V4_PLAIN && word(packet, V4_FRAGMENT_AT)? & V4_FRAGMENT == 0;
                let len = usize::from(word(packet, V4_LENGTH_AT)?);
                is_plain.then_some((V4_HEADER_BYTES, *packet.get(V4_PROTOCOL_AT)?, len))?
            }
            IpVersion::V6 => {
                let len = V6_HEADER_BYTES + usize::from(word(packet, V6_LENGTH_AT)?);
                (V6_HEADER_BYTES, *packet.get(V6_NEXT_HEADER_AT)?, len)
            }
        };
        let transport = Transport::of(protocol)?;
        let header = packet.get(transport_at..)?;
        let header_bytes = transport_at + transport.header_bytes(header)?;
        let joining = if len != packet.len() || header_bytes >= len {
            Joining::Never
        } else {
            joining(transport, header)
        };
        Some(Self { version, transport, transport_at, header_bytes, joining })
    }

    /// Returns whether the second packet is what the sender would have cut off next from a super-packet that begins with
    /// the first, has so many packets so far, and `len` bytes with its headers. Both are between the same ends; sizes are
    /// for the caller.
    pub(crate) fn is_followed_by(
        &self,
        first: &[u8],
        (next, shape): (&[u8], &Self),
        packets: usize,
        len: usize,
    ) -> bool {
        if (self.transport_at, self.header_bytes) != (shape.transport_at, shape.header_bytes) {
            return false;
        }
        let is_same_ip = match self.version {
            // Service, flags, hops and protocol: all but length, number, checksum and ends.
            IpVersion::V4 => {
                is_same::<2>(first, next, 0)
                    && is_same::<4>(first, next, 6)
                    && is_numbered(first, next, packets)
            }
            // Class, label, protocol and hops: all but length and ends.
            IpVersion::V6 => is_same::<4>(first, next, 0) && is_same::<2>(first, next, 6),
        };
        let at = self.transport_at;
        is_same_ip
            && match self.transport {
                // All but sequence number, flags that were looked at, checksum and ends.
                Transport::Tcp => {
                    is_same::<5>(first, next, at + 8)
                        && is_same::<2>(first, next, at + 14)
                        && first.get(at + 18..self.header_bytes) == next.get(at + 18..self.header_bytes)
                        && is_in_sequence(first, next, at + TCP_SEQUENCE_AT, len - self.header_bytes)
                }
                Transport::Udp => true,
            }
    }

    /// Returns whether the checksums are right.
    pub(crate) fn is_intact(&self, packet: &[u8]) -> bool {
        let transport = packet.get(self.transport_at..).unwrap_or_default();
        let Ok(len) = u16::try_from(transport.len()) else { return false };
        let pseudo = pseudo_sum(packet, self.version, self.transport, len);
        let is_ip_intact = match self.version {
            IpVersion::V4 => packet.get(..self.transport_at).is_some_and(|header| sum(header) == u16::MAX),
            IpVersion::V6 => true,
        };
        is_ip_intact && fold(u32::from(pseudo) + u32::from(sum(transport))) == u16::MAX
    }
}

fn joining(transport: Transport, header: &[u8]) -> Joining {
    match transport {
        Transport::Tcp => match header.get(TCP_FLAGS_AT).copied().unwrap_or(0) {
            ACK => Joining::Anywhere,
            flags if flags == ACK | PSH => Joining::Last,
            _ => Joining::Never,
        },
        // Without a checksum nobody knows whether it is intact, and a super-packet has one.
        Transport::Udp => {
            let has_checksum = word(header, transport.checksum_at()).is_some_and(|checksum| checksum != 0);
            let is_whole = word(header, UDP_LENGTH_AT).is_some_and(|len| usize::from(len) == header.len());
            if has_checksum && is_whole { Joining::Anywhere } else { Joining::Never }
        }
    }
}

/// Numbers of IPv4 count on where they mean something: only for what may be cut into fragments (RFC 6864, 4.1).
fn is_numbered(first: &[u8], next: &[u8], packets: usize) -> bool {
    let may_be_cut = word(first, V4_FRAGMENT_AT).is_some_and(|field| field & V4_DO_NOT_FRAGMENT == 0);
    let after =
        u16::try_from(packets).ok().zip(word(first, V4_ID_AT)).map(|(packets, id)| id.wrapping_add(packets));
    !may_be_cut || word(next, V4_ID_AT) == after
}

fn is_in_sequence(first: &[u8], next: &[u8], at: usize, payload_bytes: usize) -> bool {
    let number = |packet: &[u8]| packet.get(at..)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes));
    let expected =
        u32::try_from(payload_bytes).ok().zip(number(first)).map(|(bytes, first)| first.wrapping_add(bytes));
    expected.is_some() && number(next) == expected
}

/// Returns whether two packets are between the same ports of the same hosts; both have those behind a header of IP without
/// options.
pub(crate) fn shares_ends(one: &[u8], other: &[u8]) -> bool {
    let ports_at = match version_of(one) {
        Some(IpVersion::V4) => V4_HEADER_BYTES,
        Some(IpVersion::V6) => V6_HEADER_BYTES,
        None => return false,
    };
    is_same::<4>(one, other, ports_at) && shares_addresses(one, other)
}

/// Returns whether two packets are between the same hosts.
pub(crate) fn shares_addresses(one: &[u8], other: &[u8]) -> bool {
    match (version_of(one), version_of(other)) {
        (Some(IpVersion::V4), Some(IpVersion::V4)) => is_same::<8>(one, other, V4_ADDRESSES_AT),
        (Some(IpVersion::V6), Some(IpVersion::V6)) => is_same::<32>(one, other, V6_ADDRESSES_AT),
        _ => false,
    }
}

/// Returns whether two packets have the same bytes at this place, so many that a compiler needs no call to compare them.
fn is_same<const BYTES: usize>(one: &[u8], other: &[u8], at: usize) -> bool {
    let bytes = |packet: &[u8]| packet.get(at..)?.first_chunk::<BYTES>().copied();
    bytes(one).is_some_and(|bytes_of_one| bytes(other) == Some(bytes_of_one))
}
