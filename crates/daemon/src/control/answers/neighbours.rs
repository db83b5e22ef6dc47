//! The answers to `neighbours` and `sessions`.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// A node, as people and programs name it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeName {
    /// Its id: 32 hexadecimal digits.
    pub id: String,
    /// Its name from the configuration, else the first 8 digits of its id.
    pub name: String,
}

/// The neighbours, in order of their ids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NeighboursAnswer {
    /// One for each in the configuration.
    pub neighbours: Vec<NeighbourAnswer>,
}

/// A neighbour.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NeighbourAnswer {
    /// Who.
    #[serde(flatten)]
    pub node: NodeName,
    /// "up": frames pass both ways. "probing": there is a session, and no echo has come back over it.
    /// "opening": a session is being opened. "away": it will be dialled. "awaited": it has to dial us.
    pub state: String,
    /// Where its session is.
    pub address: Option<SocketAddr>,
    /// Where we dial it; nothing when it dials us.
    pub dialled_at: Option<SocketAddr>,
    /// Who began the handshake of the session: "we" or "they".
    pub dialled_by: Option<String>,
    /// The suite of the session.
    pub suite: Option<String>,
    /// The round trip, smoothed, in microseconds; nothing before it is measured.
    pub rtt_us: Option<u64>,
    /// Whether it hears us: "works", "silent" or "unknown".
    pub tx: String,
    /// Whether we hear it: "works", "silent" or "unknown".
    pub rx: String,
    /// How long the session has stood, in milliseconds.
    pub session_age_ms: Option<u64>,
    /// How long frames have passed both ways, in milliseconds.
    pub up_ms: Option<u64>,
    /// When it is dialled again, in milliseconds from now.
    pub redial_in_ms: Option<u64>,
    /// The largest frame that goes to it whole, in bytes.
    pub frame_bytes_max: Option<usize>,
    /// Frames that went to it since our start.
    pub frames_sent: u64,
    /// Their bytes.
    pub bytes_sent: u64,
    /// Frames that came from it since our start.
    pub frames_received: u64,
    /// Their bytes.
    pub bytes_received: u64,
    /// What waits for it.
    #[serde(default)]
    pub queue: QueueAnswer,
    /// Why it was last lost or not reached, whatever came after that.
    pub last_error: Option<String>,
    /// How long ago that was, in milliseconds.
    pub last_error_age_ms: Option<u64>,
}

/// The queue of frames for a neighbour.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueAnswer {
    /// Frames that wait.
    pub frames: usize,
    /// Their bytes.
    pub bytes: usize,
    /// Flows that have frames here.
    pub flows: usize,
    /// How long the frame that left last had waited, in microseconds.
    pub delay_us: u64,
    /// How long the frame that has waited longest waits already, in microseconds.
    pub oldest_us: u64,
    /// Frames that had to wait and have left.
    pub passed: u64,
    /// Frames that left with a mark of congestion.
    pub marked: u64,
    /// Frames dropped from it, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// The rate that was set, in bits a second.
    pub rate_bits_per_second: Option<u64>,
}

/// The sessions that are established.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionsAnswer {
    /// Those with neighbours.
    pub link: Vec<SessionAnswer>,
    /// Those from end to end, carried in frames, however far they have come.
    pub inner: Vec<InnerSessionAnswer>,
}

/// A session from end to end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InnerSessionAnswer {
    /// Who is at the other end.
    #[serde(flatten)]
    pub node: NodeName,
    /// How far it has come.
    pub state: String,
    /// For how long it has stood so, in milliseconds.
    pub since_ms: u64,
    /// Which side of the handshake we were: "client" or "server".
    pub role: Option<String>,
    /// The suite that protects the records.
    pub suite: Option<String>,
    /// Records sealed with its keys.
    pub records_sent: u64,
    /// Records opened with its keys.
    pub records_received: u64,
    /// Bytes of payload sent since it was opened.
    pub bytes_sent: u64,
    /// Bytes of payload received since it was opened.
    pub bytes_received: u64,
    /// The largest frame that is known to have a chance on the way there, in bytes.
    pub path_mtu: Option<u16>,
    /// Payloads that wait for it to open.
    pub waiting: usize,
    /// What last went wrong.
    pub last_error: Option<String>,
}

/// An established session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionAnswer {
    /// Who proved to be at the other end.
    #[serde(flatten)]
    pub node: NodeName,
    /// Where that is; a session that is carried in frames has no address.
    pub address: Option<SocketAddr>,
    /// Which side of the handshake we were: "client" or "server". The client replaces the session.
    pub role: String,
    /// The suite that protects the records.
    pub suite: String,
    /// How long the session has stood, in milliseconds.
    pub age_ms: u64,
    /// Records sealed with its keys.
    pub records_sent: u64,
    /// Records opened with its keys.
    pub records_received: u64,
    /// When its age will have it replaced, in milliseconds from now; 0 when it is due.
    pub rekey_in_ms: u64,
    /// After how many more records it is replaced before that.
    pub rekey_in_records: u64,
    /// Whether a session is on its way to replace it.
    pub is_being_replaced: bool,
    /// The largest payload that it carries, in bytes.
    pub payload_bytes_max: usize,
    /// What the sessions with this end discarded, by the lock that held it up, then by reason.
    pub discards: BTreeMap<String, BTreeMap<String, u64>>,
}
