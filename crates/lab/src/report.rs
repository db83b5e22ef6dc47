//! What a demonstration reports, in a shape that people and programs can read.

use serde::Serialize;

/// A whole demonstration.
#[derive(Debug, Clone, Serialize)]
pub struct DemoReport {
    /// The version of this report's shape.
    pub schema: u32,
    /// The OpenSSL in use, as it names itself.
    pub openssl: String,
    /// A, B and C.
    pub nodes: Vec<NodeReport>,
    /// The way that works.
    pub relay: RelayReport,
    /// The direct reply, lock by lock.
    pub ladder: Vec<Rung>,
    /// The same with the old note's suite.
    pub control: Rung,
    /// Whether every observation is what was claimed.
    pub holds: bool,
    /// Milliseconds that it all took.
    pub elapsed_ms: u64,
}

/// One of the three nodes.
#[derive(Debug, Clone, Serialize)]
pub struct NodeReport {
    /// A, B or C.
    pub name: String,
    /// Its id.
    pub id: String,
    /// Its overlay address.
    pub overlay: String,
    /// Where it listens.
    pub listens: String,
    /// Whom it has sessions with, and under which suite.
    pub neighbours: Vec<String>,
}

/// A request and its reply through the relay.
#[derive(Debug, Clone, Serialize)]
pub struct RelayReport {
    /// A→B→C.
    pub request: Trip,
    /// C→B→A.
    pub reply: Trip,
    /// From sending the request to having the reply, in microseconds.
    pub round_trip_us: u64,
    /// Whether both went the way they should, each hop under its own session.
    pub holds: bool,
}

/// One payload and its hops.
#[derive(Debug, Clone, Serialize)]
pub struct Trip {
    /// The payload as text.
    pub payload: String,
    /// The hops, in order.
    pub hops: Vec<Hop>,
    /// Whether it was delivered at its end.
    pub delivered: bool,
}

/// One datagram of a trip.
#[derive(Debug, Clone, Serialize)]
pub struct Hop {
    /// Who sent it.
    pub from: String,
    /// Who received it.
    pub to: String,
    /// Which session sealed its record, by the key oracle.
    pub sealed_by: Option<String>,
    /// The number of the record.
    pub record: Option<u64>,
    /// Bytes of the datagram.
    pub bytes: usize,
    /// What the receiver made of the datagram.
    pub verdict: String,
    /// What the receiver did with the frame.
    pub action: String,
    /// The frame's hop limit when it arrived.
    pub hop_limit: u8,
}

/// One try of a direct reply.
#[derive(Debug, Clone, Serialize)]
pub struct Rung {
    /// Its place on the ladder, as "2a".
    pub label: String,
    /// What was set up, in one line.
    pub setup: String,
    /// What was sent.
    pub sent: SentDatagram,
    /// What became of it, as observed.
    pub observed: String,
    /// The lock that stopped it; "none" when it was accepted, "killed" when it ended the session.
    pub lock: String,
    /// By which evidence that is known.
    pub evidence: Vec<String>,
    /// What should become of it.
    pub expected: Expected,
    /// What happened next, where that is the point.
    pub follow_up: Option<FollowUp>,
    /// Whether A–B carried data both ways afterwards.
    pub a_b_alive: bool,
    /// What it means.
    pub meaning: String,
    /// Where the standard says so.
    pub clause: String,
    /// Whether everything observed is what was claimed.
    pub holds: bool,
}

/// The claim that an observation is held against.
#[derive(Debug, Clone, Serialize)]
pub struct Expected {
    /// The lock.
    pub lock: String,
    /// Whether A–B lives on.
    pub a_b_alive: bool,
}

/// A datagram that an experiment sent.
#[derive(Debug, Clone, Serialize)]
pub struct SentDatagram {
    /// In words.
    pub what: String,
    /// From which address.
    pub source: String,
    /// To which.
    pub destination: String,
    /// How many bytes.
    pub bytes: usize,
    /// The record number in it.
    pub record: Option<u64>,
    /// Whether the record is of an epoch with keys.
    pub is_protected: bool,
    /// Which session sealed it, by the key oracle.
    pub sealed_by: Option<String>,
}

/// What happened after a datagram was accepted.
#[derive(Debug, Clone, Serialize)]
pub struct FollowUp {
    /// What was sent then.
    pub what: String,
    /// What became of it.
    pub observed: String,
}
