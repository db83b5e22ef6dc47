//! The answers to `pcap`.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::control::answers::NodeName;

/// What is told while a capture runs, and at its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "pcap", rename_all = "snake_case")]
pub enum PcapAnswer {
    /// Some of what passed, in order.
    Copies {
        /// The frames or datagrams.
        copies: Vec<CopyAnswer>,
        /// Lines of a key log, of sessions that came up meanwhile.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        secrets: Vec<String>,
    },
    /// It is over.
    Done {
        /// Frames or datagrams that were told of.
        copies: u64,
        /// Those that were lost because they were not taken in time.
        lost: u64,
        /// What ended it: `count`, `bytes` or `seconds`.
        ended_by: String,
    },
}

/// A frame or a datagram that passed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyAnswer {
    /// When, in nanoseconds since 1970.
    pub at_unix_ns: u64,
    /// Whether it came in.
    pub is_inward: bool,
    /// The neighbour at the other end, of a frame.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub neighbour: Option<NodeName>,
    /// The address at the other end, of a datagram.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<SocketAddr>,
    /// What became of it, of a datagram that came in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<String>,
    /// Its bytes, in hexadecimal digits.
    pub bytes: String,
}
