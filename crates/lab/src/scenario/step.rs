//! What is done in a scenario, one step after another.

use std::net::SocketAddr;
use std::time::Duration;

use peerbound_dtls::ContentType;

use crate::scenario::fault::{Course, HandshakeMessage, Path, Which};
use crate::scenario::plan::{Conditions, Version};
use crate::trace::HostIndex;

/// What a scenario calls a datagram or a message.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label(pub String);

/// One step. Steps are taken in order: none before the one above it.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// When, once the step above has been taken.
    pub trigger: Trigger,
    /// What.
    pub action: Action,
}

/// When a step is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trigger {
    /// As soon as the step above it has been taken, in the same instant.
    AfterPrevious,
    /// At this time of the run, or at once if it has passed.
    At(Duration),
    /// When this has happened, or at once if it has.
    On(Occasion),
}

/// Something that a step can wait for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Occasion {
    /// Every link with a session on which both admit the other is usable at both ends.
    Up,
    /// This link is usable at both ends.
    LinkUp([HostIndex; 2]),
    /// The first of the two has lost the second after it was up.
    LinkDown([HostIndex; 2]),
    /// Another session has taken over between the two.
    Replaced([HostIndex; 2]),
    /// The message has reached its destination; the answer, where one was asked for.
    Delivered(Label),
    /// The datagram has come to its end: at a node, a kernel, an application, or lost on the way.
    Arrived(Label),
    /// A datagram was captured under this label.
    Captured(Label),
    /// The node could not reach a neighbour.
    DialFailed(HostIndex),
    /// The node refused a stranger, or he did not finish.
    StrangerFailed(HostIndex),
    /// Every node has a route to every other.
    Converged,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// An application hands its node a payload for another node.
    Send(SendPlan),
    /// A node pings another.
    Ping {
        /// Who.
        from: HostIndex,
        /// Whom.
        to: HostIndex,
        /// What the expectations call it: a message, delivered when its answer is back.
        label: Option<Label>,
    },
    /// Random pairs of nodes talk: one asks, the other answers; asked again each second.
    Talk {
        /// How many pairs, drawn by the seed.
        pairs: u32,
        /// How often each asks at most.
        tries: u32,
        /// What the expectations call it.
        label: Label,
    },
    /// A node seals a payload for its next hop, and the datagram is taken out of its hands.
    Seal {
        /// Who seals.
        by: HostIndex,
        /// Who the frame is for.
        to: HostIndex,
        /// What is in it.
        payload: Vec<u8>,
        /// Whether it answers the latest message from there.
        is_reply: bool,
        /// What the datagram and its message are called.
        label: Label,
    },
    /// A host with the record-layer model seals a payload for its peer under an id that is not for this
    /// session, and the datagram is taken out of its hands.
    SealUnder {
        /// Who seals.
        by: HostIndex,
        /// Whose keys it has.
        to: HostIndex,
        /// What is in it.
        payload: Vec<u8>,
        /// Which id: the one that records on this path carry.
        id: Path,
        /// What the datagram is called.
        label: Label,
    },
    /// Somebody seals a data frame under stolen keys. AEAD suites only.
    SealWithKeys {
        /// Whose keys: those that protect what is sent on this path.
        keys: Path,
        /// Which node the frame names as its origin.
        by: HostIndex,
        /// Who the frame is for.
        to: HostIndex,
        /// What is in it.
        payload: Vec<u8>,
        /// Whether it is marked as an answer.
        is_reply: bool,
        /// Its record number.
        sequence: Sequence,
        /// What the datagram and its message are called.
        label: Label,
    },
    /// A record is written by hand.
    Forge {
        /// The record.
        record: ForgedRecord,
        /// What the datagram is called.
        label: Label,
    },
    /// The attacker listens on a path, from now on, for one datagram.
    Capture {
        /// Where.
        on: Course,
        /// Which one; `nth` counts from now, and is 1 where the file says nothing.
        which: Which,
        /// Whether he keeps it, so that it does not arrive.
        is_held: bool,
        /// What it is called.
        label: Label,
    },
    /// The attacker lets a datagram go that he has held.
    Release(Label),
    /// A datagram is put on the wire.
    Inject(Injection),
    /// A node starts that was to boot by a step.
    Boot(HostIndex),
    /// A node is gone at once, without a word.
    Crash(HostIndex),
    /// A node that crashed or was shut down starts again, with nothing but its configuration.
    Restart(HostIndex),
    /// A node says farewell and ends.
    ShutDown(HostIndex),
    /// A NAT, by its place in the list, forgets its mappings and gives new ports.
    Rebind(usize),
    /// A link, by its place in the list, changes.
    Link {
        /// Which.
        link: usize,
        /// What datagrams meet from now on, from the first end to the second, if that changes.
        forth: Option<Conditions>,
        /// The same in the other direction.
        back: Option<Conditions>,
    },
    /// A node asks to renegotiate its session with another.
    Renegotiate {
        /// Who asks.
        by: HostIndex,
        /// Whom.
        with: HostIndex,
    },
    /// A node replaces its session with another, make before break.
    Rekey {
        /// Who begins.
        by: HostIndex,
        /// With whom.
        with: HostIndex,
    },
    /// Nothing for this long.
    Wait(Duration),
}

/// A payload that an application hands to its node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendPlan {
    /// Who.
    pub from: HostIndex,
    /// To whom.
    pub to: HostIndex,
    /// What.
    pub payload: Vec<u8>,
    /// Whether it answers the latest message from there.
    pub is_reply: bool,
    /// How often.
    pub repeat: Repeat,
    /// What the expectations call it.
    pub label: Option<Label>,
}

/// How often a payload is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Repeat {
    /// So many times, in one instant.
    Times(u32),
    /// Until the sender's newest record on its way to the next hop has a number that is `records`
    /// above that of this datagram; not at all if it has.
    UntilPast {
        /// Above which.
        datagram: Label,
        /// By how much.
        records: u64,
    },
}

/// A record number, absolute or as seen by the receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sequence {
    /// This number.
    Number(u64),
    /// The newest that the receiver has accepted from there, plus this: 1 is the next, 0 the newest.
    Newest(i64),
}

/// A record written by hand. Nobody has sealed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForgedRecord {
    /// Its type.
    pub content_type: ContentType,
    /// Its version.
    pub version: Version,
    /// Its epoch.
    pub epoch: u16,
    /// Its number.
    pub sequence: Sequence,
    /// What is in it.
    pub body: ForgedBody,
}

/// The body of a record written by hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ForgedBody {
    /// These bytes.
    Bytes(Vec<u8>),
    /// So many bytes of chance.
    Random(u16),
    /// A handshake message that is well formed, from somebody who knows no keys.
    Handshake(HandshakeMessage),
}

/// A datagram that is put on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Injection {
    /// Which bytes: sealed, forged, captured, or injected before.
    pub datagram: Label,
    /// What is changed in its first record.
    pub edits: Vec<Edit>,
    /// Where it goes.
    pub to: HostIndex,
    /// Where it comes from, by its address.
    pub source: Source,
    /// Whose hand puts it there, for the trace. The attacker's, where it is not that of the source.
    pub by: HostIndex,
    /// How often.
    pub times: u32,
    /// What this sending is called; the label of the datagram, where the file gives none.
    pub label: Label,
}

/// The source address of an injected datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A host's own: the address of its socket. If `by` is the host, it goes through that socket;
    /// if not, the address is spoofed.
    Host(HostIndex),
    /// A fresh socket on a host, connected to the destination, which is told of ICMP errors.
    ConnectedSocketOf(HostIndex),
    /// The attacker's own.
    Attacker,
    /// Any other; spoofed.
    Address(SocketAddr),
}

/// A change to the first record of a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edit {
    /// Another record number.
    SetSequence(Sequence),
    /// Another epoch.
    SetEpoch(u16),
    /// One bit of the body turned over: from the front, or with a negative number from the end.
    FlipBit(i64),
    /// The body cut to so many bytes, with the length in the header to match.
    Truncate(u16),
}
