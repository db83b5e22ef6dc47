//! What stands in the payload of trace frames: the question to every hop to describe itself, the
//! descriptions, and the question who is at an address. Fixed sizes: nothing can claim a length.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::codec::{self, DecodeError};
use crate::header::HopLimit;
use crate::node_id::NodeId;

/// Bytes of the longest trace message, a report: 1 message, 1 leg, 1 hop limit, 2 path MTU, 8 token,
/// 16 ingress, 16 egress, 2 frame ceiling, 4 round trip, 4 queue delay, 4 session age.
const REPORT_BYTES: usize = 1 + 1 + 1 + 2 + 8 + 16 + 16 + 2 + 4 + 4 + 4;
const _: () = assert!(REPORT_BYTES <= crate::MESSAGE_BYTES_MAX);

const REQUEST: u8 = 1;
const ANSWER: u8 = 2;
const REPORT: u8 = 3;
const WHO_IS: u8 = 4;
const THAT_IS: u8 = 5;

/// Stands for what is not known where a number of four bytes is expected.
const UNKNOWN: u32 = u32::MAX;

/// Stands for no node: it would take 2^128 keys to find one with this id.
const NOBODY: NodeId = NodeId::new([0; 16]);

/// The payload of a trace frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TraceMessage {
    /// Asks the destination, and each relay on the way, to describe itself to the origin.
    Request {
        /// Chosen by the origin, returned unchanged.
        token: u64,
    },
    /// The destination's description of itself; relays describe themselves to whom it goes, too.
    Answer(TraceReport),
    /// A relay's description of itself. Nobody describes himself because of it.
    Report(TraceReport),
    /// Asks the destination whether it knows who is at an address.
    WhoIs {
        /// Chosen by the origin, returned unchanged.
        token: u64,
        /// The address and port.
        address: SocketAddr,
    },
    /// Answers that.
    ThatIs {
        /// The token of the question.
        token: u64,
        /// The address of the question.
        address: SocketAddr,
        /// Who is there, and how the answerer knows; `None` when it does not.
        who: Option<(NodeId, Acquaintance)>,
    },
}

/// Which way a traced frame went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TraceLeg {
    /// From the origin to the destination.
    Out,
    /// From the destination to the origin.
    Back,
}

/// How a node knows who is at an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Acquaintance {
    /// Its session with that neighbour is with exactly this address.
    Session,
    /// It dials that neighbour there, or had a session with it there.
    Before,
    /// Its session with that neighbour is with another port of this host.
    SameHost,
}

/// A hop's description of itself, by a frame that it has just passed on or answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceReport {
    /// Which way the frame went.
    pub leg: TraceLeg,
    /// The frame's hop limit as it arrived.
    pub hop_limit: HopLimit,
    /// The frame's path MTU as it arrived.
    pub path_mtu: u16,
    /// The token of the request.
    pub token: u64,
    /// The neighbour that the frame came from; `None` at its origin.
    pub ingress: Option<NodeId>,
    /// The neighbour that it went to, the answer where it was for the reporter; `None` at its end.
    pub egress: Option<NodeId>,
    /// Bytes of frame that the link to the egress takes; 0 when that is not known.
    pub frame_bytes_max: u16,
    /// The smoothed round trip to the egress, in whole microseconds.
    pub round_trip: Option<Duration>,
    /// How long a frame waits at present for its turn to leave for the egress, in whole microseconds.
    pub queue_delay: Option<Duration>,
    /// How old the link session with the egress is, in whole seconds.
    pub session_age: Option<Duration>,
}

impl TraceMessage {
    /// Appends the message's bytes to `out`.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        match self {
            Self::Request { token } => {
                out.push(REQUEST);
                out.extend(token.to_be_bytes());
            }
            Self::Answer(report) => report.encode_as(ANSWER, out),
            Self::Report(report) => report.encode_as(REPORT, out),
            Self::WhoIs { token, address } => {
                out.push(WHO_IS);
                codec::append(&WhoIsBytes::new(*token, *address), out);
            }
            Self::ThatIs { token, address, who } => {
                let (id, how) = who.map_or((NOBODY, 0), |(id, how)| (id, how.number()));
                out.push(THAT_IS);
                codec::append(&(WhoIsBytes::new(*token, *address), id, how), out);
            }
        }
    }

    /// Reads a message that fills `bytes` to the last byte.
    ///
    /// # Errors
    /// When bytes are missing, left over, or mean nothing.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let Some((message, body)) = bytes.split_first() else {
            return Err(DecodeError::Truncated { len: 0, needed: 1 });
        };
        Self::decode_body(*message, body).map_err(|error| match error {
            DecodeError::Truncated { len, needed } => {
                DecodeError::Truncated { len: len + 1, needed: needed + 1 }
            }
            other => other,
        })
    }

    fn decode_body(message: u8, body: &[u8]) -> Result<Self, DecodeError> {
        match message {
            REQUEST => Ok(Self::Request { token: codec::decode_exact(body)? }),
            ANSWER => Ok(Self::Answer(TraceReport::decode(body)?)),
            REPORT => Ok(Self::Report(TraceReport::decode(body)?)),
            WHO_IS => {
                let asked: WhoIsBytes = codec::decode_exact(body)?;
                Ok(Self::WhoIs { token: asked.token, address: asked.address() })
            }
            THAT_IS => {
                let (asked, id, how): (WhoIsBytes, NodeId, u8) = codec::decode_exact(body)?;
                let who = match (id, how) {
                    (NOBODY, 0) => None,
                    (NOBODY, _) | (_, 0) => return Err(DecodeError::Value),
                    (id, how) => Some((id, Acquaintance::from_number(how)?)),
                };
                Ok(Self::ThatIs { token: asked.token, address: asked.address(), who })
            }
            _ => Err(DecodeError::Value),
        }
    }

    /// Returns the token that ties questions and answers together.
    #[must_use]
    pub fn token(&self) -> u64 {
        match self {
            Self::Request { token } | Self::WhoIs { token, .. } | Self::ThatIs { token, .. } => *token,
            Self::Answer(report) | Self::Report(report) => report.token,
        }
    }
}

impl Acquaintance {
    fn number(self) -> u8 {
        match self {
            Self::Session => 1,
            Self::Before => 2,
            Self::SameHost => 3,
        }
    }

    fn from_number(number: u8) -> Result<Self, DecodeError> {
        match number {
            1 => Ok(Self::Session),
            2 => Ok(Self::Before),
            3 => Ok(Self::SameHost),
            _ => Err(DecodeError::Value),
        }
    }
}

impl TraceReport {
    fn encode_as(&self, message: u8, out: &mut Vec<u8>) {
        out.push(message);
        let leg = match self.leg {
            TraceLeg::Out => 1,
            TraceLeg::Back => 2,
        };
        let bytes = ReportBytes {
            leg,
            hop_limit: self.hop_limit,
            path_mtu: self.path_mtu,
            token: self.token,
            ingress: self.ingress.unwrap_or(NOBODY),
            egress: self.egress.unwrap_or(NOBODY),
            frame_bytes_max: self.frame_bytes_max,
            round_trip: number_of(self.round_trip.map(|time| time.as_micros())),
            queue_delay: number_of(self.queue_delay.map(|time| time.as_micros())),
            session_age: number_of(self.session_age.map(|time| u128::from(time.as_secs()))),
        };
        codec::append(&bytes, out);
    }

    fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let bytes: ReportBytes = codec::decode_exact(body)?;
        let leg = match bytes.leg {
            1 => TraceLeg::Out,
            2 => TraceLeg::Back,
            _ => return Err(DecodeError::Value),
        };
        let somebody = |id: NodeId| (id != NOBODY).then_some(id);
        let known = |number: u32| (number != UNKNOWN).then_some(u64::from(number));
        Ok(Self {
            leg,
            hop_limit: bytes.hop_limit,
            path_mtu: bytes.path_mtu,
            token: bytes.token,
            ingress: somebody(bytes.ingress),
            egress: somebody(bytes.egress),
            frame_bytes_max: bytes.frame_bytes_max,
            round_trip: known(bytes.round_trip).map(Duration::from_micros),
            queue_delay: known(bytes.queue_delay).map(Duration::from_micros),
            session_age: known(bytes.session_age).map(Duration::from_secs),
        })
    }
}

/// What is larger than any number there is counts as the largest.
fn number_of(value: Option<u128>) -> u32 {
    value.map_or(UNKNOWN, |value| u32::try_from(value).unwrap_or(UNKNOWN).min(UNKNOWN - 1))
}

#[derive(Serialize, Deserialize)]
struct ReportBytes {
    leg: u8,
    hop_limit: HopLimit,
    path_mtu: u16,
    token: u64,
    ingress: NodeId,
    egress: NodeId,
    frame_bytes_max: u16,
    round_trip: u32,
    queue_delay: u32,
    session_age: u32,
}

#[derive(Serialize, Deserialize)]
struct WhoIsBytes {
    token: u64,
    /// IPv4 as it is mapped into IPv6.
    address: [u8; 16],
    port: u16,
}

impl WhoIsBytes {
    fn new(token: u64, address: SocketAddr) -> Self {
        let mapped = match address.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        Self { token, address: mapped.octets(), port: address.port() }
    }

    fn address(&self) -> SocketAddr {
        SocketAddr::new(Ipv6Addr::from(self.address).to_canonical(), self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_too_long_for_its_place_is_the_longest_and_not_unknown() {
        assert_eq!(number_of(Some(u128::MAX)), UNKNOWN - 1);
        assert_eq!(number_of(Some(u128::from(UNKNOWN))), UNKNOWN - 1);
        assert_eq!(number_of(Some(7)), 7);
        assert_eq!(number_of(None), UNKNOWN);
    }
}
