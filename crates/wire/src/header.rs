//! The header at the front of every frame: fixed layout, big-endian, 54 bytes.

use serde::{Deserialize, Serialize};

use crate::codec::{self, DecodeError};
use crate::kind::Kind;
use crate::node_id::NodeId;

/// Bytes of a header: 1 version, 1 kind, 1 flags, 1 hop limit, 2 path MTU, 4 flow id,
/// 4 boot epoch, 8 packet id, 16 source, 16 destination.
pub const HEADER_BYTES: usize = 1 + 1 + 1 + 1 + 2 + 4 + 4 + 8 + 16 + 16;

/// Where the flags stand, of which a relay sets one when it met congestion.
const FLAGS_AT: usize = 2;

/// Where the two fields stand that change from hop to hop. A relay writes them into the frame it
/// received: encoding the whole header again would cost it a tenth of the hop.
const HOP_LIMIT_AT: usize = 3;
const PATH_MTU_AT: usize = 4;

/// The hop limit an origin starts with. The widest sensible mesh has a diameter far below it;
/// a frame that loops dies after so many hops.
pub const HOP_LIMIT_DEFAULT: HopLimit = HopLimit(32);

/// Counts down at each relay; a frame that arrives at a relay with 1 or less goes no further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct HopLimit(pub u8);

impl HopLimit {
    /// Returns the limit after one more hop, or `None` when it is used up.
    #[must_use]
    pub fn next(self) -> Option<Self> {
        match self.0 {
            0 | 1 => None,
            hops => Some(Self(hops - 1)),
        }
    }
}

/// Names a conversation; chosen by its origin, meaningful together with the origin's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FlowId(pub u32);

/// Numbers the frames of one boot of one origin; with source and boot epoch it is unique.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PacketId(pub u64);

/// Bits that change how a frame is treated. Bits without a meaning are relayed as they came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Flags(pub u8);

impl Flags {
    /// The frame answers one that its destination sent with the same flow id: a relay sends it
    /// back the way that one came.
    pub const REPLY: Self = Self(0x01);

    /// The payload is a datagram of the inner session between source and destination that carries a payload.
    pub const INNER: Self = Self(0x02);

    /// The payload is an IP packet, not a message. An inner record says so inside instead.
    pub const PACKET: Self = Self(0x04);

    /// The origin heeds congestion marks (as ECT in RFC 3168, 5).
    pub const ECN_CAPABLE: Self = Self(0x08);

    /// A relay met congestion (as CE in RFC 3168, 5).
    pub const CONGESTION: Self = Self(0x10);

    /// Returns whether every bit of `other` is set here.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Returns these flags with those of `other` set, too.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// The version of this protocol: a value of this type says that it is ours, [`crate::VERSION`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "u8", try_from = "u8")]
pub struct Version(());

impl Version {
    /// The one version there is.
    pub const CURRENT: Self = Self(());
}

impl From<Version> for u8 {
    fn from(_: Version) -> Self {
        crate::VERSION
    }
}

impl TryFrom<u8> for Version {
    type Error = UnknownVersion;

    fn try_from(byte: u8) -> Result<Self, UnknownVersion> {
        if byte == crate::VERSION { Ok(Self::CURRENT) } else { Err(UnknownVersion(byte)) }
    }
}

/// Says that a version is not ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("protocol version {0} is not ours, {version}", version = crate::VERSION)]
pub struct UnknownVersion(pub u8);

/// Everything a relay needs to know of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The version of the protocol; there is one value.
    pub version: Version,
    /// What the payload is.
    pub kind: Kind,
    /// Bits that change how the frame is treated.
    pub flags: Flags,
    /// Links the frame may still cross, the one it is on included.
    pub hop_limit: HopLimit,
    /// Smallest frame ceiling met so far, in bytes of frame; lowered by each hop.
    pub path_mtu: u16,
    /// The conversation this frame belongs to.
    pub flow: FlowId,
    /// When the origin booted, so that a restarted origin may count from zero again.
    pub boot_epoch: u32,
    /// The origin's number for this frame.
    pub packet: PacketId,
    /// The origin.
    pub source: NodeId,
    /// Who the frame is for.
    pub destination: NodeId,
}

impl Header {
    /// Makes the header of a frame at its origin: default hop limit, no flags, path MTU unbounded.
    #[must_use]
    pub fn new(kind: Kind, source: NodeId, destination: NodeId) -> Self {
        Self {
            version: Version::CURRENT,
            kind,
            flags: Flags::default(),
            hop_limit: HOP_LIMIT_DEFAULT,
            path_mtu: u16::MAX,
            flow: FlowId(0),
            boot_epoch: 0,
            packet: PacketId(0),
            source,
            destination,
        }
    }

    /// Returns the header's bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        let written = codec::encode(self, &mut bytes);
        debug_assert_eq!(written, HEADER_BYTES);
        bytes
    }

    /// Writes over an encoded frame what changes from hop to hop, and leaves the rest as it is.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] when `frame` is shorter than a header; nothing is written then.
    pub fn write_hop_over(frame: &mut [u8], hop_limit: HopLimit, path_mtu: u16) -> Result<(), DecodeError> {
        let len = frame.len();
        let Some(front) = frame.first_chunk_mut::<HEADER_BYTES>() else {
            return Err(DecodeError::Truncated { len, needed: HEADER_BYTES });
        };
        front[HOP_LIMIT_AT] = hop_limit.0;
        front[PATH_MTU_AT..PATH_MTU_AT + 2].copy_from_slice(&path_mtu.to_be_bytes());
        Ok(())
    }

    /// Writes flags over those of an encoded frame, and leaves the rest as it is.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] when `frame` is shorter than a header; nothing is written then.
    pub fn write_flags_over(frame: &mut [u8], flags: Flags) -> Result<(), DecodeError> {
        let len = frame.len();
        let Some(front) = frame.first_chunk_mut::<HEADER_BYTES>() else {
            return Err(DecodeError::Truncated { len, needed: HEADER_BYTES });
        };
        front[FLAGS_AT] = flags.0;
        Ok(())
    }

    /// Reads a header from the front of `bytes` and returns it with the rest, the payload.
    ///
    /// # Errors
    /// Says what is wrong with the bytes: too few, another version, an unknown kind.
    pub fn decode(bytes: &[u8]) -> Result<(Self, &[u8]), DecodeError> {
        let Some((front, payload)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
            return Err(DecodeError::Truncated { len: bytes.len(), needed: HEADER_BYTES });
        };
        // Version and kind come first: the rest has a meaning only under a known version.
        let [version, kind, ..] = *front;
        Version::try_from(version).map_err(|unknown| DecodeError::Version(unknown.0))?;
        Kind::try_from(kind).map_err(|unknown| DecodeError::Kind(unknown.0))?;
        let header = codec::decode_exact(front)?;
        Ok((header, payload))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hop_limit_counts_down_by_one() {
        assert_eq!(HOP_LIMIT_DEFAULT.next(), Some(HopLimit(31)));
        assert_eq!(HopLimit(2).next(), Some(HopLimit(1)));
        assert_eq!(HopLimit(255).next(), Some(HopLimit(254)));
    }

    #[test]
    fn last_hop_is_not_passed_on() {
        assert_eq!(HopLimit(1).next(), None);
        assert_eq!(HopLimit(0).next(), None);
    }

    #[test]
    fn frame_passes_one_relay_fewer_than_its_hop_limit() {
        let relays = std::iter::successors(Some(HOP_LIMIT_DEFAULT), |hops| hops.next()).skip(1).count();

        assert_eq!(relays, 31);
    }

    #[test]
    fn flags_contain_a_bit_among_others() {
        assert!(Flags(0xff).contains(Flags::REPLY));
        assert!(Flags::REPLY.contains(Flags::default()));
        assert!(!Flags(0xfe).contains(Flags::REPLY));
    }
}
