//! The answers to `ping`.

use serde::{Deserialize, Serialize};

use crate::control::answers::NodeName;

/// What is told while pings come back, and at the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ping", rename_all = "snake_case")]
pub enum PingAnswer {
    /// An answer came.
    Back {
        /// Which ping, from 1.
        sequence: u32,
        /// From its leaving to its answer, in microseconds.
        rtt_us: u64,
        /// How many links the answer has crossed.
        links: u8,
        /// The largest frame that the way of the answer takes whole, in bytes.
        path_mtu: u16,
    },
    /// A ping did not get through.
    Lost {
        /// Which ping, from 1.
        sequence: u32,
        /// Why, in words.
        reason: String,
    },
    /// It is over.
    Done(PingSummary),
}

/// What came of all pings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PingSummary {
    /// Who was asked.
    pub to: NodeName,
    /// Bytes of payload of each.
    pub size_bytes: u16,
    /// Pings that were to be sent.
    pub count: u32,
    /// Answers that came in time.
    pub back: u32,
    /// The shortest round trip, in microseconds; nothing where none came back.
    pub rtt_min_us: Option<u64>,
    /// The middle one.
    pub rtt_median_us: Option<u64>,
    /// The one that 99 of 100 do not exceed.
    pub rtt_p99_us: Option<u64>,
    /// The longest.
    pub rtt_max_us: Option<u64>,
}
