//! The model of a trace: hosts, sessions, and what happened, in order.

use std::net::SocketAddr;
use std::sync::Arc;

use peerbound_node::Verdict;
use peerbound_wire::{Header, NodeId};
use serde::Serialize;

/// A moment, in nanoseconds since the run began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize)]
pub struct Nanos(pub u64);

/// A host of the run, by its place in [`Trace::hosts`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct HostIndex(pub u32);

/// A session of the run, by its place in [`Trace::sessions`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct SessionIndex(pub u32);

/// One datagram, the same number at every place where it was seen. A copy has a number of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct DatagramId(pub u64);

/// One run.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    /// The scenario's name.
    pub scenario: String,
    /// Its title.
    pub title: String,
    /// Where it ran: `sim`, `loopback` or `netns`.
    pub backend: &'static str,
    /// The seed of chance.
    pub seed: u64,
    /// Unix time at which the run began, in nanoseconds; virtual on the simulator.
    pub began_unix_nanos: u64,
    /// Who took part, a lane each.
    pub hosts: Vec<HostLabel>,
    /// Every session that was ever established, in order.
    pub sessions: Vec<SessionLabel>,
    /// What happened, in order.
    pub entries: Vec<Entry>,
}

/// A lane: a node, or the attacker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostLabel {
    /// What people call it.
    pub name: String,
    /// Where its first socket is.
    pub address: SocketAddr,
    /// Its name in the overlay, if it is a node.
    pub id: Option<NodeId>,
}

/// An established session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionLabel {
    /// Who sent its ClientHello.
    pub client: HostIndex,
    /// Who answered it.
    pub server: HostIndex,
    /// When its keys were first known.
    pub since: Nanos,
    /// The cipher suite, as OpenSSL names it.
    pub suite: String,
    /// The line that lets Wireshark decrypt it.
    pub keylog: String,
}

/// Which session sealed a record, and in which direction: what the key oracle says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct SealedBy {
    /// The session.
    pub session: SessionIndex,
    /// Who sealed.
    pub from: HostIndex,
    /// For whom.
    pub to: HostIndex,
}

/// How a datagram came into the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// A node or an application sent it through its own socket.
    Socket,
    /// The attacker put it on the wire.
    Injected,
    /// The network made a second one of it.
    Duplicated,
}

/// Something that happened, and when.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// When.
    pub at: Nanos,
    /// What.
    pub what: Happening,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Happening {
    /// A datagram was sent.
    Sent {
        /// Which.
        datagram: DatagramId,
        /// From whose hand; an injected one from where the attacker stands.
        by: HostIndex,
        /// In which way.
        way: Way,
        /// The source address in it.
        source: SocketAddr,
        /// The destination address in it.
        destination: SocketAddr,
        /// Its payload.
        bytes: Arc<[u8]>,
        /// What the scenario calls it.
        label: Option<String>,
        /// The datagram that it is a copy, or a changed copy, of.
        copy_of: Option<DatagramId>,
        /// Who sealed its first protected record, by the key oracle.
        sealed_by: Option<SealedBy>,
    },
    /// The network lost it.
    Lost {
        /// Which.
        datagram: DatagramId,
        /// Why: `chance`, `queue-full`, `partition`, `fault 2`, ...
        why: String,
    },
    /// A host's kernel refused it: the lock `kernel`.
    Refused {
        /// Which.
        datagram: DatagramId,
        /// At whose kernel.
        host: HostIndex,
        /// Whether the sender was sent an ICMP port unreachable.
        icmp: bool,
    },
    /// It reached a node, which came to a verdict.
    Arrived {
        /// Which.
        datagram: DatagramId,
        /// At whom.
        host: HostIndex,
        /// What became of it.
        verdict: Verdict,
        /// The counted reason, where it was dropped: `no-session`, `bad-mac`, `short-body`, ...
        reason: Option<String>,
        /// The clause that says so.
        clause: &'static str,
        /// Who sealed its first protected record, by the key oracle.
        sealed_by: Option<SealedBy>,
    },
    /// It reached an application with a plain socket.
    Read {
        /// Which.
        datagram: DatagramId,
        /// At whom.
        host: HostIndex,
        /// What the scenario calls the application.
        by: String,
    },
    /// A socket was told of an error, as ECONNREFUSED.
    Told {
        /// Whose.
        host: HostIndex,
        /// The error's name.
        error: &'static str,
    },
    /// A node did something with a frame.
    Frame {
        /// Which node.
        host: HostIndex,
        /// The frame's header, as it arrived or was made.
        header: Header,
        /// Bytes of payload.
        payload_bytes: usize,
        /// From which neighbour, if from one.
        from: Option<HostIndex>,
        /// `delivered`, `sent to B`, `dropped: no-route`.
        action: String,
        /// What the scenario calls its message.
        label: Option<String>,
    },
    /// Something else that a host's owner would notice: `neighbour-up`, `neighbour-down`, `crashed`, ...
    Event {
        /// Whose.
        host: HostIndex,
        /// One word.
        kind: &'static str,
        /// A sentence.
        text: String,
    },
    /// The scenario took a step.
    Step {
        /// Which, from 1.
        number: usize,
        /// What it did, in words.
        text: String,
    },
    /// A standing invariant did not hold, or an expectation was not met.
    Violation {
        /// One word: `accepted-without-oracle`, `conservation`, `expectation`, ...
        kind: &'static str,
        /// A sentence.
        text: String,
    },
}
