//! Where IP, TCP and UDP have the fields that differ between the segments of one super-packet, and what the header of
//! virtio says of it.

use crate::packets::checksum::{fold, sum};
use crate::packets::ip::IpVersion;

/// The kernel's words in the header of virtio (`linux/virtio_net.h`); `tun_rs` names others of them.
pub(crate) const NEEDS_CHECKSUM: u8 = 1;
pub(crate) const GSO_NONE: u8 = 0;
pub(crate) const GSO_ECN: u8 = 0x80;

/// IPv4 (RFC 791, 3.1).
pub(crate) const V4_LENGTH_AT: usize = 2;
pub(crate) const V4_ID_AT: usize = 4;
pub(crate) const V4_CHECKSUM_AT: usize = 10;
pub(crate) const V4_ADDRESSES_AT: usize = 12;

/// IPv6 (RFC 8200, 3).
pub(crate) const V6_LENGTH_AT: usize = 4;
pub(crate) const V6_ADDRESSES_AT: usize = 8;

/// TCP (RFC 9293, 3.1).
pub(crate) const TCP_HEADER_BYTES: usize = 20;
pub(crate) const TCP_SEQUENCE_AT: usize = 4;
pub(crate) const TCP_DATA_OFFSET_AT: usize = 12;
pub(crate) const TCP_FLAGS_AT: usize = 13;
pub(crate) const FIN: u8 = 0x01;
pub(crate) const PSH: u8 = 0x08;
pub(crate) const ACK: u8 = 0x10;
pub(crate) const CWR: u8 = 0x80;

/// UDP (RFC 768).
pub(crate) const UDP_HEADER_BYTES: usize = 8;
pub(crate) const UDP_LENGTH_AT: usize = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Tcp,
    Udp,
}

impl Transport {
    pub(crate) fn protocol(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
        }
    }

    pub(crate) fn of(protocol: u8) -> Option<Self> {
        [Self::Tcp, Self::Udp].into_iter().find(|transport| transport.protocol() == protocol)
    }

    pub(crate) fn checksum_at(self) -> usize {
        match self {
            Self::Tcp => 16,
            Self::Udp => 6,
        }
    }

    /// Returns how long the header is at the front of these bytes.
    pub(crate) fn header_bytes(self, bytes: &[u8]) -> Option<usize> {
        match self {
            Self::Tcp => {
                let len = usize::from(bytes.get(TCP_DATA_OFFSET_AT)? >> 4) * 4;
                (len >= TCP_HEADER_BYTES && len <= bytes.len()).then_some(len)
            }
            Self::Udp => (bytes.len() >= UDP_HEADER_BYTES).then_some(UDP_HEADER_BYTES),
        }
    }

    /// Returns what stands in the place of a checksum that came out as `checksum`: to UDP zero means that there is none.
    pub(crate) fn checksum_word(self, checksum: u16) -> u16 {
        match self {
            Self::Tcp => checksum,
            Self::Udp => {
                if checksum == 0 {
                    u16::MAX
                } else {
                    checksum
                }
            }
        }
    }
}

/// Returns the version of a packet that has a whole header of it, without options in IPv4.
pub(crate) fn version_of(packet: &[u8]) -> Option<IpVersion> {
    match packet.first()? >> 4 {
        4 => Some(IpVersion::V4),
        6 => Some(IpVersion::V6),
        _ => None,
    }
}

/// Returns both addresses, or nothing where the packet is too short for them.
fn addresses(packet: &[u8], version: IpVersion) -> &[u8] {
    let (at, len) = match version {
        IpVersion::V4 => (V4_ADDRESSES_AT, 8),
        IpVersion::V6 => (V6_ADDRESSES_AT, 32),
    };
    packet.get(at..at + len).unwrap_or_default()
}

/// Returns the sum over the pseudo-header of a transport's checksum (RFC 9293, 3.1; RFC 8200, 8.1) for so many bytes of
/// header and payload.
pub(crate) fn pseudo_sum(packet: &[u8], version: IpVersion, transport: Transport, bytes: u16) -> u16 {
    let addresses = u32::from(sum(addresses(packet, version)));
    fold(addresses + u32::from(transport.protocol()) + u32::from(bytes))
}
