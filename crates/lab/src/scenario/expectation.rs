//! What must be seen in a run.

use std::time::Duration;

use peerbound_node::Lock;

use crate::scenario::fault::{Path, Pattern};
use crate::scenario::step::Label;
use crate::scenario::words::Word;
use crate::trace::HostIndex;

/// One thing that must be seen.
#[derive(Debug, Clone, PartialEq)]
pub enum Expectation {
    /// Where a datagram ended.
    Datagram {
        /// Which; every one of this label.
        label: Label,
        /// At whom.
        at: HostIndex,
        /// Where it ended.
        end: End,
        /// The reason counted for it, if the file asks for one.
        reason: Option<String>,
        /// Who sealed it, by the key oracle, if the file asks.
        sealed_by: Option<SealedByPlan>,
    },
    /// What has become of a link's session at the end of the run.
    Session {
        /// Between whom.
        between: [HostIndex; 2],
        /// What.
        fate: SessionFate,
    },
    /// Whether a message reached its destination.
    Message {
        /// Which.
        label: Label,
        /// What became of it.
        fate: MessageFate,
    },
    /// How many pairs of a `talk` got an answer.
    Talked {
        /// Which.
        label: Label,
        /// How many.
        pairs: Bounds,
    },
    /// Whether a node can read what is in a message, with the keys of its own link sessions.
    Readable {
        /// Which message.
        label: Label,
        /// Who tries.
        by: HostIndex,
        /// Whether he can.
        is_readable: bool,
    },
    /// How many datagrams of a pattern were sent on a path.
    Wire {
        /// Where, by the addresses in them.
        path: Path,
        /// Which.
        pattern: Pattern,
        /// How many.
        count: Bounds,
        /// Within which time of the run.
        within: Window,
    },
    /// How often a node told of something.
    Event {
        /// Of what.
        kind: EventKind,
        /// At whom.
        at: HostIndex,
        /// How often.
        count: Bounds,
        /// Within which time of the run.
        within: Window,
    },
    /// A connected socket of a host was told of an error.
    Told {
        /// Whose.
        host: HostIndex,
        /// Which: `ECONNREFUSED`, `EMSGSIZE`.
        error: String,
    },
    /// Bytes sent on one path, divided by those on another.
    Ratio {
        /// The dividend.
        over: Path,
        /// The divisor.
        under: Path,
        /// At least this.
        at_least: Option<f64>,
        /// At most this.
        at_most: Option<f64>,
    },
    /// Every node has a route to every other at the end of the run.
    ReachableAll,
    /// An invariant is broken in this run, as the scenario is to show.
    Broken(Invariant),
}

/// Where a datagram ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// Dropped at a lock.
    Lock(Lock),
    /// Accepted by a session.
    Accepted,
    /// It ended a session.
    Killed,
    /// Answered with a demand for a cookie.
    Challenged,
    /// An application with a plain socket read it.
    ReadBy(String),
    /// It never arrived.
    Lost,
}

impl End {
    /// The words for the ends that take no name.
    pub const WORDS: &'static [(&'static str, Self)] = &[
        ("kernel", Self::Lock(Lock::Kernel)),
        ("demux", Self::Lock(Lock::Demux)),
        ("gate", Self::Lock(Lock::Gate)),
        ("replay", Self::Lock(Lock::Replay)),
        ("record-auth", Self::Lock(Lock::RecordAuth)),
        ("identity", Self::Lock(Lock::Identity)),
        ("none", Self::Accepted),
        ("killed", Self::Killed),
        ("challenged", Self::Challenged),
        ("lost", Self::Lost),
    ];
}

/// Who sealed a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealedByPlan {
    /// No session of the run: it is forged, changed, or in the clear.
    Nobody,
    /// The session between the two, in this direction. Through a forwarder, the session of its ends.
    Path(Path),
}

/// What has become of the session between two nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SessionFate {
    /// The session that was first established still lives at both ends and carries data both ways.
    Alive,
    /// There is none at either end.
    Dead,
    /// Another session has taken its place, and carries data both ways.
    New,
    /// There never was one.
    Never,
}

impl Word for SessionFate {
    const WORDS: &'static [(&'static str, Self)] =
        &[("alive", Self::Alive), ("dead", Self::Dead), ("new", Self::New), ("never", Self::Never)];
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MessageFate {
    /// It reached its destination.
    Delivered {
        /// Where.
        at: HostIndex,
        /// By which nodes, both ends included, if the file asks.
        path: Option<Vec<HostIndex>>,
        /// How many of those sent under this label; all, where the file says nothing.
        count: Option<Bounds>,
    },
    /// None of it did.
    Undelivered,
}

/// Bounds of a count, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// At least.
    pub at_least: u64,
    /// At most; `None` is any number.
    pub at_most: Option<u64>,
}

impl Bounds {
    /// Exactly this many.
    #[must_use]
    pub fn exactly(count: u64) -> Self {
        Self { at_least: count, at_most: Some(count) }
    }

    /// Returns whether a count is within.
    #[must_use]
    pub fn hold(self, count: u64) -> bool {
        count >= self.at_least && self.at_most.is_none_or(|most| count <= most)
    }
}

/// A stretch of time of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Window {
    /// From.
    pub from: Duration,
    /// Until, excluded; `None` is the end of the run.
    pub until: Option<Duration>,
}

impl Window {
    /// Returns whether a time of the run lies within.
    #[must_use]
    pub fn holds(self, at: Duration) -> bool {
        at >= self.from && self.until.is_none_or(|until| at < until)
    }
}

/// Something a node tells its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EventKind {
    /// A neighbour's link carries frames both ways.
    NeighbourUp,
    /// Another session has taken over.
    NeighbourReplaced,
    /// The session with a neighbour is at another address.
    NeighbourMoved,
    /// A neighbour is gone.
    NeighbourDown,
    /// A neighbour could not be reached.
    DialFailed,
    /// Somebody unknown was refused, or did not finish his handshake.
    StrangerFailed,
    /// A frame of ours went no further.
    Error,
    /// A data frame reached its destination.
    Delivered,
    /// A ping was answered.
    Pong,
}

impl Word for EventKind {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("neighbour-up", Self::NeighbourUp),
        ("neighbour-replaced", Self::NeighbourReplaced),
        ("neighbour-moved", Self::NeighbourMoved),
        ("neighbour-down", Self::NeighbourDown),
        ("dial-failed", Self::DialFailed),
        ("stranger-failed", Self::StrangerFailed),
        ("error", Self::Error),
        ("delivered", Self::Delivered),
        ("pong", Self::Pong),
    ];
}

/// What must hold in every run, unless the point of a scenario is to break it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invariant {
    /// Nothing protected is accepted unless the oracle names the session, and the direction to here.
    AcceptedWithoutOracle,
    /// No record is accepted twice (RFC 6347, 4.1.2.6).
    AcceptedTwice,
    /// No datagram that the attacker made or changed ends an established session.
    ForgedDatagramEndsSession,
    /// At every node: received + originated = sent + delivered + dropped.
    Conservation,
    /// No frame passes a node twice, and none dies of its hop limit.
    RoutingLoop,
    /// Every datagram ends once, and each that is dropped has one reason, which is its lock's.
    DropReason,
    /// At the end every pair that is connected can talk.
    ConnectedCanTalk,
}

impl Word for Invariant {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("accepted-without-oracle", Self::AcceptedWithoutOracle),
        ("accepted-twice", Self::AcceptedTwice),
        ("forged-datagram-ends-session", Self::ForgedDatagramEndsSession),
        ("conservation", Self::Conservation),
        ("routing-loop", Self::RoutingLoop),
        ("drop-reason", Self::DropReason),
        ("connected-can-talk", Self::ConnectedCanTalk),
    ];
}
