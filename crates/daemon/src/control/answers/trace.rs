//! The answer to `trace`.

use serde::{Deserialize, Serialize};

use crate::control::answers::NodeName;

/// The way to a node, out and back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceAnswer {
    /// The node at the end of the way.
    pub to: NodeName,
    /// Whether it answered in time.
    pub is_answered: bool,
    /// From the leaving of the request to the coming of the answer, in microseconds.
    pub round_trip_us: Option<u64>,
    /// The hops from this node on, as far as the request came.
    pub out: Vec<HopAnswer>,
    /// The hops from the destination on, to this node; empty without an answer.
    pub back: Vec<HopAnswer>,
    /// Whether the way back is the way out; null when that is not known.
    pub is_symmetric: Option<bool>,
    /// What nodes on the way reported.
    pub errors: Vec<String>,
}

/// One hop; what it says of links is about the one that it sends on by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HopAnswer {
    /// Who it is; null when nobody says so.
    pub node: Option<NodeName>,
    /// Whether it describes itself, or its neighbours alone name it.
    pub describes_itself: bool,
    /// The neighbour that the frame came from.
    pub from: Option<NodeName>,
    /// The neighbour that it went to.
    pub to: Option<NodeName>,
    /// The links that the frame could still cross as it arrived.
    pub hop_limit: Option<u8>,
    /// The largest frame that the way up to there takes whole, in bytes.
    pub path_mtu: Option<u16>,
    /// The largest frame that the link takes, in bytes.
    pub frame_bytes_max: Option<u16>,
    /// The smoothed round trip on the link, in microseconds.
    pub rtt_us: Option<u64>,
    /// How long a frame waits to leave by the link, in microseconds.
    pub queue_delay_us: Option<u64>,
    /// How old the link's session is, in milliseconds.
    pub session_age_ms: Option<u64>,
}
