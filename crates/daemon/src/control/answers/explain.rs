//! The answers to `explain-stray`, `explain-drop` and `explain-route`.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::control::answers::{HopAnswer, NodeName};

/// The datagrams that were refused last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StraysAnswer {
    /// The newest first.
    pub strays: Vec<StrayAnswer>,
    /// How many are remembered; the same again from the same address counts as one.
    pub remembered: usize,
}

/// A datagram that went no further than a lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StrayAnswer {
    /// Where it came from.
    pub from: SocketAddr,
    /// How long ago the last one came, in milliseconds.
    pub age_ms: u64,
    /// How long ago the first one came.
    pub first_age_ms: u64,
    /// How many came one after the other.
    pub times: u64,
    /// Bytes of the last one.
    pub bytes: usize,
    /// Its first bytes, in hexadecimal digits.
    pub head: String,
    /// The lock; null when it ended a session.
    pub lock: Option<String>,
    /// The reason, as counters name it.
    pub reason: Option<String>,
    /// Its first record, where it begins with one.
    pub record: Option<RecordAnswer>,
    /// Who is at its source address; null when that is unknown.
    pub who: Option<WhoAnswer>,
    /// The neighbour by which frames to that node leave; null without one.
    pub via: Option<NodeName>,
    /// All of that in sentences.
    pub sentences: Vec<String>,
}

/// The header of a DTLS record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordAnswer {
    /// Its content type (RFC 6347, 4.1).
    pub content_type: u8,
    /// Its version.
    pub version: u16,
    /// Its epoch.
    pub epoch: u16,
    /// Its number.
    pub sequence: u64,
    /// The length it claims for its body.
    pub length: u16,
}

/// Who is at an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhoAnswer {
    /// Who.
    pub node: NodeName,
    /// How it is known: `session`, `before` or `same-host`.
    pub how: String,
    /// The neighbour that says so; null when this node knows it itself.
    pub by: Option<NodeName>,
}

/// The frames that were dropped last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DropsAnswer {
    /// The newest first.
    pub drops: Vec<DropAnswer>,
    /// How many are remembered; the same again from the same node counts as one.
    pub remembered: usize,
}

/// A frame that went no further.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DropAnswer {
    /// How long ago the last one was dropped, in milliseconds.
    pub age_ms: u64,
    /// How long ago the first one was dropped.
    pub first_age_ms: u64,
    /// How many were dropped one after the other.
    pub times: u64,
    /// The reason, as counters name it.
    pub reason: String,
    /// The neighbour it came from; null when it was made here.
    pub from: Option<NodeName>,
    /// Its header; null when it was no frame.
    pub frame: Option<FrameAnswer>,
    /// Bytes of payload, or of what was no frame.
    pub payload_bytes: usize,
    /// All of that in sentences.
    pub sentences: Vec<String>,
}

/// What a frame's header says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameAnswer {
    /// Its kind, as the protocol numbers them.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// The links it could still cross.
    pub hop_limit: u8,
    /// Its origin.
    pub source: NodeName,
    /// Who it was for.
    pub destination: NodeName,
    /// Its conversation.
    pub flow: u32,
    /// Its number.
    pub packet: u64,
}

/// The way to a node, explained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteExplained {
    /// The node.
    pub to: NodeName,
    /// Whether a frame to it would leave at this moment.
    pub is_usable: bool,
    /// The neighbour by which it leaves.
    pub via: Option<NodeName>,
    /// Whether a trace was answered; null when none could be sent.
    pub is_answered: Option<bool>,
    /// The hops of the trace, out.
    pub out: Vec<HopAnswer>,
    /// The hops of the trace, back.
    pub back: Vec<HopAnswer>,
    /// Whether the way back is the way out; null when that is not known.
    pub is_symmetric: Option<bool>,
    /// All of that in sentences.
    pub sentences: Vec<String>,
}
