//! A neighbour as it stands, for people to read.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use peerbound_dtls::{DiscardCounts, Role};
use peerbound_wire::NodeId;

use crate::liveness::{DEAD_AFTER, HELLO_INTERVAL, Silence};
use crate::traffic::Traffic;

/// A direction is called silent when so long nothing came by it: two missed hellos, and half an interval
/// before the third ends the link.
const SILENT_AFTER: Duration = Duration::from_millis(1250);
const _: () = assert!(SILENT_AFTER.as_millis() + HELLO_INTERVAL.as_millis() == DEAD_AFTER.as_millis());

/// What is known of a neighbour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NeighbourView {
    /// Who.
    pub id: NodeId,
    /// What people call it.
    pub name: String,
    /// Where we dial it first; `None` when it dials us.
    pub dialled_at: Option<SocketAddr>,
    /// Where its session is, if there is one.
    pub address: Option<SocketAddr>,
    /// How far it has come.
    pub phase: NeighbourPhase,
    /// Whether frames pass both ways.
    pub is_usable: bool,
    /// Who dialled the live session: its client. There is one in some phases only.
    pub role: Option<Role>,
    /// The suite of the live session.
    pub suite: Option<&'static str>,
    /// The round trip, smoothed, where it is measured: see [`crate::NodeConfig::measure_round_trips`].
    pub round_trip: Option<Duration>,
    /// The largest datagram that goes to it, in bytes of UDP payload, while there is a session.
    pub mtu: Option<u16>,
    /// Bytes of frame that one datagram of the live session takes.
    pub frame_bytes_max: Option<usize>,
    /// Since when there is the live session; it is replaced now and then.
    pub session_since: Option<Instant>,
    /// Since when frames pass both ways.
    pub up_since: Option<Instant>,
    /// When it is dialled again.
    pub redial_at: Option<Instant>,
    /// Why it was last lost or not reached, whatever came after that.
    pub last_error: Option<String>,
    /// When that was.
    pub last_error_at: Option<Instant>,
    /// The frames that all its links carried.
    pub traffic: Traffic,
    /// The records that all its links discarded.
    pub discards: DiscardCounts,
    /// When it was last heard, and when the newest of our hellos was sent that it echoed.
    pub(crate) proofs: Option<(Instant, Instant)>,
    pub(crate) last_silence: Option<Silence>,
}

/// How far a neighbour has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NeighbourPhase {
    /// There is no session, and it has to dial us.
    Awaited,
    /// There is no session, and it will be dialled.
    Away,
    /// A session is being opened.
    Opening,
    /// There is a session, and whether frames pass both ways is not known yet.
    Probing,
    /// Frames pass both ways.
    Up,
}

/// What is known of one direction of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// Something has just come by it.
    Works,
    /// Nothing has come by it for some time, or had when the link was given up.
    Silent,
    /// There is no link that would tell.
    Unknown,
}

impl NeighbourPhase {
    /// Returns the word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Awaited => "awaited",
            Self::Away => "away",
            Self::Opening => "opening",
            Self::Probing => "probing",
            Self::Up => "up",
        }
    }
}

impl Direction {
    /// Returns the word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Works => "works",
            Self::Silent => "silent",
            Self::Unknown => "unknown",
        }
    }
}

impl NeighbourView {
    /// Says whether we hear it: hellos come.
    #[must_use]
    pub fn hears(&self, now: Instant) -> Direction {
        match (self.proofs, self.last_silence) {
            (Some((heard_at, _)), _) if now < heard_at + SILENT_AFTER => Direction::Works,
            (Some(_), _) | (None, Some(Silence::Nothing)) => Direction::Silent,
            // It was heard until we gave it up.
            (None, Some(Silence::NoEcho)) => Direction::Works,
            (None, None) => Direction::Unknown,
        }
    }

    /// Says whether it hears us: its hellos echo ours. An echo may be an interval late.
    #[must_use]
    pub fn is_heard(&self, now: Instant) -> Direction {
        match (self.proofs, self.last_silence) {
            (Some((_, echoed)), _) if now < echoed + SILENT_AFTER + HELLO_INTERVAL => Direction::Works,
            (Some(_), _) | (None, Some(Silence::NoEcho)) => Direction::Silent,
            (None, Some(Silence::Nothing) | None) => Direction::Unknown,
        }
    }
}
