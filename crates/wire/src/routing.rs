//! What neighbours tell each other about ways: a number of four bytes, then the message.
//!
//! The messages of dynamic routing are lists. A list has no length in front: it goes on to the end of
//! the frame, is checked as a whole when it is decoded, and is read where it was received.

use serde::{Deserialize, Serialize};

use crate::codec::{self, DecodeError};
use crate::message::Hello;
use crate::node_id::NodeId;

pub(crate) mod list;
pub(crate) mod packer;
pub(crate) mod proof;
pub(crate) mod request;
pub(crate) mod update;

use list::{Item, List, front, numbers};
use proof::ProofItem;
use request::{ProofRequest, SeqRequest};
use update::Update;

/// Bytes of the number in front of every routing message.
pub(crate) const NUMBER_BYTES: usize = 4;

/// The numbers of the messages. Once given, a number is never used for something else.
pub(crate) const HELLO: u32 = 0;
pub(crate) const SYNC: u32 = 1;
pub(crate) const UPDATES: u32 = 2;
pub(crate) const ACKNOWLEDGEMENT: u32 = 3;
pub(crate) const SEQ_REQUESTS: u32 = 4;
pub(crate) const PROOF_REQUESTS: u32 = 5;
pub(crate) const PROOFS: u32 = 6;
pub(crate) const MTU_PROBE: u32 = 7;
pub(crate) const MTU_PROBE_ANSWER: u32 = 8;

/// Counts how often an origin has announced itself anew (RFC 8966, 2.5), modulo 2^16.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct RouteSeq(pub u16);

impl RouteSeq {
    /// Returns whether this one is newer than `other` (RFC 8966, 3.2.1): ahead of it by less than half
    /// of the circle.
    #[must_use]
    pub fn is_newer_than(self, other: Self) -> bool {
        let ahead = self.0.wrapping_sub(other.0);
        ahead != 0 && ahead < 1 << 15
    }

    /// Returns the next one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }

    /// Returns the older of two.
    #[must_use]
    pub fn older(self, other: Self) -> Self {
        if self.is_newer_than(other) { other } else { self }
    }
}

/// How far away something is: the sum of the costs of the links on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Metric(pub u16);

impl Metric {
    /// There is no way: what has this metric is retracted (RFC 8966, 3.5.1).
    pub const INFINITE: Self = Self(u16::MAX);
    /// The origin's distance from itself.
    pub const ZERO: Self = Self(0);

    /// Returns whether there is no way.
    #[must_use]
    pub fn is_infinite(self) -> bool {
        self == Self::INFINITE
    }

    /// Returns the metric over one more link; a way that is too long is none.
    #[must_use]
    pub fn over(self, cost: u16) -> Self {
        Self(self.0.saturating_add(cost))
    }
}

/// The first four bytes of a node's id: enough for a reader to tell nodes apart, and proof of nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ShortId(pub [u8; 4]);

impl From<NodeId> for ShortId {
    fn from(id: NodeId) -> Self {
        let [a, b, c, d, ..] = *id.as_bytes();
        Self([a, b, c, d])
    }
}

impl std::fmt::Display for ShortId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A message between two neighbours, in a frame of kind [`crate::Kind::Routing`].
/// On the wire its number of four bytes (big-endian) comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoutingMessage<'a> {
    /// Says "I am here, and this is what I heard of you".
    Hello(Hello),
    /// Says "I know nothing of what you told me: tell me all of it".
    Sync(Sync),
    /// Tells of ways.
    Updates(Updates<'a>),
    /// Says which messages with updates have arrived.
    Acknowledgement(Acknowledgement<'a>),
    /// Asks for newer sequence numbers of some origins.
    SeqRequests(List<'a, SeqRequest>),
    /// Asks for the proofs that some origins have announced themselves.
    ProofRequests(List<'a, ProofRequest>),
    /// Hands out such proofs.
    Proofs(List<'a, ProofItem<'a>>),
    /// Asks whether a frame of this size arrives.
    MtuProbe(MtuProbe),
    /// Says that the probe with this token did.
    MtuProbeAnswer(u32),
}

/// A frame that is as long as it is to find out whether it arrives (RFC 8899).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MtuProbe {
    /// Chosen by the asker, and given back in the answer.
    pub token: u32,
    /// Bytes of nothing behind it, each of them 0.
    pub padding: u16,
}

/// Begins the telling of ways afresh, in both directions (in place of RFC 8966, 3.8.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sync {
    /// The number under which the sender wants to be told; never 0.
    pub ours: u32,
    /// The number under which the sender tells the receiver, as the receiver asked for it; 0 for none.
    pub yours: u32,
}

/// Ways, as the sender has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Updates<'a> {
    /// The number of the receiver's [`Sync`] that this belongs to.
    pub sync: u32,
    /// Counts the sender's messages with updates to this receiver.
    pub number: u32,
    /// Every message with a lower number is void: acknowledged, or said again in a later one.
    pub oldest: u32,
    /// The ways.
    pub items: List<'a, Update<'a>>,
}

/// Says which messages with updates have arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acknowledgement<'a> {
    /// The number of the sender's own [`Sync`] under which it was told.
    pub sync: u32,
    /// The numbers of the messages.
    pub numbers: List<'a, u32>,
}

impl<'a> RoutingMessage<'a> {
    /// Reads a message that fills `bytes` to the last byte.
    ///
    /// # Errors
    /// When bytes are missing, left over, or name something unknown.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let ([number], rest) = front(bytes, NUMBER_BYTES).map(|(front, rest)| (numbers(front), rest))?;
        let message = match number {
            HELLO => codec::decode_exact(rest).map(Self::Hello),
            SYNC => codec::decode_exact(rest).map(Self::Sync),
            UPDATES => Updates::decode(rest).map(Self::Updates),
            ACKNOWLEDGEMENT => Acknowledgement::decode(rest).map(Self::Acknowledgement),
            SEQ_REQUESTS => List::decode(rest).map(Self::SeqRequests),
            PROOF_REQUESTS => List::decode(rest).map(Self::ProofRequests),
            PROOFS => List::decode(rest).map(Self::Proofs),
            MTU_PROBE => MtuProbe::decode(rest).map(Self::MtuProbe),
            MTU_PROBE_ANSWER => codec::decode_exact(rest).map(Self::MtuProbeAnswer),
            _ => Err(DecodeError::Value),
        };
        // Positions are told as seen from the front of the message.
        message.map_err(|error| match error {
            DecodeError::Truncated { needed, .. } => {
                DecodeError::Truncated { len: bytes.len(), needed: needed + NUMBER_BYTES }
            }
            other => other,
        })
    }

    /// Appends the message's bytes to `out`.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.number().to_be_bytes());
        match self {
            Self::Hello(hello) => codec::append(hello, out),
            Self::Sync(sync) => codec::append(sync, out),
            Self::Updates(Updates { sync, number, oldest, items }) => {
                [sync, number, oldest].into_iter().for_each(|part| out.extend(part.to_be_bytes()));
                out.extend_from_slice(items.as_bytes());
            }
            Self::Acknowledgement(Acknowledgement { sync, numbers }) => {
                out.extend(sync.to_be_bytes());
                out.extend_from_slice(numbers.as_bytes());
            }
            Self::SeqRequests(list) => out.extend_from_slice(list.as_bytes()),
            Self::ProofRequests(list) => out.extend_from_slice(list.as_bytes()),
            Self::Proofs(list) => out.extend_from_slice(list.as_bytes()),
            Self::MtuProbe(MtuProbe { token, padding }) => {
                out.extend(token.to_be_bytes());
                out.resize(out.len() + usize::from(*padding), 0);
            }
            Self::MtuProbeAnswer(token) => out.extend(token.to_be_bytes()),
        }
    }

    fn number(&self) -> u32 {
        match self {
            Self::Hello(_) => HELLO,
            Self::Sync(_) => SYNC,
            Self::Updates(_) => UPDATES,
            Self::Acknowledgement(_) => ACKNOWLEDGEMENT,
            Self::SeqRequests(_) => SEQ_REQUESTS,
            Self::ProofRequests(_) => PROOF_REQUESTS,
            Self::Proofs(_) => PROOFS,
            Self::MtuProbe(_) => MTU_PROBE,
            Self::MtuProbeAnswer(_) => MTU_PROBE_ANSWER,
        }
    }
}

impl<'a> Updates<'a> {
    const FRONT_BYTES: usize = 3 * 4;

    fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let (head, rest) = front(bytes, Self::FRONT_BYTES)?;
        let [sync, number, oldest] = numbers(head);
        let items = List::decode(rest).map_err(|error| behind(error, Self::FRONT_BYTES))?;
        Ok(Self { sync, number, oldest, items })
    }
}

impl MtuProbe {
    const FRONT_BYTES: usize = 4;

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (token, rest) = front(bytes, Self::FRONT_BYTES)?;
        let [token] = numbers(token);
        let padding = u16::try_from(rest.len()).ok().filter(|_| rest.iter().all(|byte| *byte == 0));
        padding.map(|padding| Self { token, padding }).ok_or(DecodeError::Value)
    }
}

impl<'a> Acknowledgement<'a> {
    const FRONT_BYTES: usize = 4;

    fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let (head, rest) = front(bytes, Self::FRONT_BYTES)?;
        let [sync] = numbers(head);
        let numbers = List::decode(rest).map_err(|error| behind(error, Self::FRONT_BYTES))?;
        Ok(Self { sync, numbers })
    }
}

/// Counts the bytes in front of a part into what was said about the part.
fn behind(error: DecodeError, front_bytes: usize) -> DecodeError {
    match error {
        DecodeError::Truncated { len, needed } => {
            DecodeError::Truncated { len: len + front_bytes, needed: needed + front_bytes }
        }
        other => other,
    }
}

impl<'a> Item<'a> for u32 {
    fn split(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), DecodeError> {
        let (number, rest) = front(bytes, 4)?;
        let [number] = numbers(number);
        Ok((number, rest))
    }

    fn write_into(&self, out: &mut Vec<u8>) {
        out.extend(self.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sequence_number_is_newer_for_half_of_the_circle() {
        assert!(RouteSeq(1).is_newer_than(RouteSeq(0)));
        assert!(RouteSeq(0).is_newer_than(RouteSeq(u16::MAX)));
        assert!(RouteSeq(0x7fff).is_newer_than(RouteSeq(0)));
        assert!(!RouteSeq(0x8000).is_newer_than(RouteSeq(0)));
        assert!(!RouteSeq(7).is_newer_than(RouteSeq(7)));
        assert_eq!(RouteSeq(u16::MAX).next().older(RouteSeq(u16::MAX)), RouteSeq(u16::MAX));
    }

    #[test]
    fn a_way_that_is_too_long_is_none() {
        assert_eq!(Metric(100).over(20), Metric(120));
        assert!(Metric(65_000).over(600).is_infinite());
        assert!(Metric::INFINITE.over(0).is_infinite());
    }
}
