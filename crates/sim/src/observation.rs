//! What a world tells of itself, in the order in which it happened.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use peerbound_dtls::{Role, SessionSecrets};
use peerbound_node::{Event, Reason, Verdict};
use peerbound_wire::NodeId;

use crate::ids::{DatagramId, FaultId, HostId, NatId, SocketId};
use crate::time::VirtualTime;

/// How much a world tells. What nobody reads costs nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Observe {
    /// Nothing at all.
    Nothing,
    /// What hosts' owners would notice: events, and the lives of nodes.
    Events,
    /// Every datagram with its bytes, and the secrets of every session.
    #[default]
    Everything,
}

/// Something that happened, and when.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// When.
    pub at: VirtualTime,
    /// What.
    pub what: Observed,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Observed {
    /// A datagram came into the world.
    Sent {
        /// Which.
        datagram: DatagramId,
        /// From whose hand; an injected one from where the attacker stands.
        by: HostId,
        /// How.
        way: Way,
        /// The source address in it.
        source: SocketAddr,
        /// The destination address in it.
        destination: SocketAddr,
        /// Its payload.
        bytes: Arc<[u8]>,
        /// What the caller calls it.
        label: Option<Arc<str>>,
        /// The datagram that it is a copy, or a changed copy, of.
        copy_of: Option<DatagramId>,
    },
    /// A NAT changed its addresses to these.
    Translated {
        /// Which.
        datagram: DatagramId,
        /// By whom.
        nat: NatId,
        /// The source address that it has from here on.
        source: SocketAddr,
        /// The destination address that it has from here on.
        destination: SocketAddr,
    },
    /// It is gone.
    Lost {
        /// Which.
        datagram: DatagramId,
        /// Why.
        why: Loss,
    },
    /// A host's kernel refused it: the lock `kernel`.
    Refused {
        /// Which.
        datagram: DatagramId,
        /// Whose kernel.
        host: HostId,
        /// Whether it answered with an ICMP port unreachable.
        icmp: bool,
    },
    /// A connected socket was told of an error by ICMP.
    Told {
        /// Whose.
        host: HostId,
        /// The socket.
        socket: SocketId,
        /// The error.
        error: SocketError,
    },
    /// A node took it in and came to a verdict.
    Arrived {
        /// Which.
        datagram: DatagramId,
        /// At whom.
        host: HostId,
        /// What became of it.
        verdict: Verdict,
        /// Why, if it was dropped.
        reason: Option<Reason>,
    },
    /// An application with a plain socket read it.
    Read {
        /// Which.
        datagram: DatagramId,
        /// At whom.
        host: HostId,
        /// From which socket.
        socket: SocketId,
    },
    /// A node had something to tell.
    Event {
        /// Whose.
        host: HostId,
        /// What.
        event: Event,
    },
    /// A node has established a session; told before the datagram that completed it has arrived.
    Keys {
        /// Whose.
        host: HostId,
        /// Who is at the other end.
        peer: NodeId,
        /// Which side of the handshake it was.
        role: Role,
        /// With them anyone can read the session and forge it.
        secrets: Box<SessionSecrets>,
    },
    /// A node began to run.
    Booted {
        /// Where.
        host: HostId,
    },
    /// A node is gone without a farewell.
    Crashed {
        /// Where.
        host: HostId,
    },
    /// A node said farewell and is gone.
    ShutDown {
        /// Where.
        host: HostId,
    },
}

/// How a datagram came into the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// A node or an application sent it through its socket.
    Socket,
    /// The attacker put it on the wire.
    Injected,
    /// The network, or the attacker, made a second one of it.
    Duplicated,
    /// The network, or the attacker, changed it.
    Changed,
}

/// Where a datagram ended that reached nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Loss {
    /// The path lost it, by chance.
    Chance,
    /// The path lost it in a burst.
    BurstLoss,
    /// More waited for the path than may wait.
    QueueFull,
    /// It does not fit the path.
    TooBig {
        /// Whether its sender was told.
        icmp: bool,
    },
    /// The path carries nothing.
    Partition,
    /// A fault that was asked for took it, or put a changed one in its place.
    Fault(FaultId),
    /// The attacker took it, or put a changed one in its place.
    Attacker,
    /// No mapping of the NAT leads further.
    NatNoMapping,
    /// The NAT's filter does not let it in.
    NatFiltered,
    /// The NAT does not lead from its inside back to its inside.
    NatNoHairpin,
    /// No host that could be reached from there has its destination address.
    NoSuchHost,
    /// Its destination has no power.
    HostDown,
    /// It waited to be read when its socket was closed, or more waited than may wait.
    Unread,
}

impl Loss {
    /// Returns the loss as one short word, as traces name it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Chance => "chance",
            Self::BurstLoss => "burst-loss",
            Self::QueueFull => "queue-full",
            Self::TooBig { .. } => "too-big",
            Self::Partition => "partition",
            Self::Fault(_) => "fault",
            Self::Attacker => "attacker",
            Self::NatNoMapping => "nat-no-mapping",
            Self::NatFiltered => "nat-filtered",
            Self::NatNoHairpin => "nat-no-hairpin",
            Self::NoSuchHost => "no-such-host",
            Self::HostDown => "host-down",
            Self::Unread => "unread",
        }
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fault(FaultId(number)) => write!(f, "fault {number}"),
            other => f.write_str(other.name()),
        }
    }
}

/// What a connected UDP socket hears by ICMP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SocketError {
    /// Port unreachable: nobody reads there, or nobody who wants to hear this sender.
    ConnectionRefused,
    /// Fragmentation needed: it does not fit the path.
    MessageTooLong,
}

impl SocketError {
    /// Returns the error's name in errno.h.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ConnectionRefused => "ECONNREFUSED",
            Self::MessageTooLong => "EMSGSIZE",
        }
    }
}
