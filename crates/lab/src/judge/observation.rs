//! What a backend saw, in the words that all backends share. The simulated world and the daemons on
//! real sockets both turn into these, and the judge knows no others.

use std::net::SocketAddr;
use std::sync::Arc;

use peerbound_dtls::{Role, SessionSecrets};
use peerbound_node::{Counters, Event, Verdict};
use peerbound_wire::{NodeId, PacketId};

use crate::trace::{DatagramId, HostIndex, Nanos, Way};

/// Something that was seen, and when.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// When.
    pub at: Nanos,
    /// What.
    pub what: Observed,
}

/// What was seen. Observations of one host come in the order in which they happened there.
#[derive(Debug, Clone, PartialEq)]
pub enum Observed {
    /// A datagram came into the world.
    Sent {
        /// Its number. A copy has a number of its own.
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
    },
    /// A NAT gave it other addresses.
    Translated {
        /// Which.
        datagram: DatagramId,
        /// The source address that it has from here on.
        source: SocketAddr,
        /// The destination address that it has from here on.
        destination: SocketAddr,
    },
    /// The network lost it.
    Lost {
        /// Which.
        datagram: DatagramId,
        /// Why, in kebab case.
        why: String,
    },
    /// A host's kernel refused it.
    Refused {
        /// Which.
        datagram: DatagramId,
        /// Where.
        host: HostIndex,
        /// Whether its sender was sent an ICMP port unreachable.
        icmp: bool,
    },
    /// It reached a node, which came to a verdict.
    Arrived {
        /// Which.
        datagram: DatagramId,
        /// Where.
        host: HostIndex,
        /// What became of it.
        verdict: Verdict,
        /// The counted reason, where it was dropped.
        reason: Option<String>,
    },
    /// It reached an application with a plain socket.
    Read {
        /// Which.
        datagram: DatagramId,
        /// Where.
        host: HostIndex,
        /// What the scenario calls the application.
        by: String,
    },
    /// A socket was told of an error.
    Told {
        /// Whose.
        host: HostIndex,
        /// The error's name, as `ECONNREFUSED`.
        error: &'static str,
    },
    /// A node told its owner something.
    Event {
        /// Which node.
        host: HostIndex,
        /// What it told.
        event: Event,
    },
    /// A node has a newly established session; its end of it says so.
    Keys {
        /// Which node.
        host: HostIndex,
        /// With whom.
        peer: NodeId,
        /// Which side of the handshake the node was.
        role: Role,
        /// From which the keys follow.
        secrets: SessionSecrets,
    },
    /// A host has something to tell that is no event of a node.
    Remark {
        /// Which.
        host: HostIndex,
        /// One word.
        kind: &'static str,
        /// What it does, without its name in front.
        text: String,
    },
    /// A node's counters, as they stand between two inputs.
    Counters {
        /// Which node.
        host: HostIndex,
        /// What it counted.
        counters: Counters,
    },
    /// A host's node began or ended.
    Life {
        /// Which host.
        host: HostIndex,
        /// In which way.
        change: Life,
    },
    /// The scenario took a step.
    Step {
        /// Which, from 1.
        number: usize,
        /// What it did, in words.
        text: String,
    },
    /// The attacker has captured a datagram.
    Captured {
        /// Which.
        datagram: DatagramId,
        /// What the scenario calls it.
        label: String,
    },
    /// What a scenario calls the frame that a node has just made.
    Message {
        /// Which node.
        host: HostIndex,
        /// The frame's number, as the node returned it.
        packet: PacketId,
        /// The name.
        label: String,
    },
}

/// How a node begins and ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Life {
    /// It was started, for the first time or again.
    Booted,
    /// It is gone without a word.
    Crashed,
    /// It said farewell and ended.
    ShutDown,
}

impl Life {
    /// Returns the word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Booted => "booted",
            Self::Crashed => "crashed",
            Self::ShutDown => "shut-down",
        }
    }
}
