//! Who takes part, and what the network between them is like.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use peerbound_dtls::{
    HANDSHAKE_DEADLINE_DEFAULT, MTU_DEFAULT, REKEY_AGE_DEFAULT, REKEY_RECORDS_DEFAULT, Renegotiation, Suite,
};

use crate::scenario::record_model::RecordModelPlan;
use crate::scenario::words::Word;
use crate::trace::HostIndex;

/// A probability from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default)]
pub struct Probability(f64);

impl Probability {
    /// Certainly not.
    pub const NEVER: Self = Self(0.0);
    /// Certainly.
    pub const ALWAYS: Self = Self(1.0);

    /// Takes a number from 0 to 1; `None` for any other.
    #[must_use]
    pub fn new(value: f64) -> Option<Self> {
        (0.0..=1.0).contains(&value).then_some(Self(value))
    }

    /// Returns the number.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }
}

/// One host of the scenario. Its place in the list is its [`HostIndex`], and its lane in the trace.
#[derive(Debug, Clone, PartialEq)]
pub struct HostPlan {
    /// What people call it.
    pub name: String,
    /// Where its socket is. On loopback the address is chosen by the backend.
    pub address: SocketAddr,
    /// What runs on it.
    pub role: HostRole,
}

impl HostPlan {
    /// Returns the node that runs on it, if one does.
    #[must_use]
    pub fn node(&self) -> Option<&NodePlan> {
        match &self.role {
            HostRole::Node(node) => Some(node),
            HostRole::RecordModel(_) | HostRole::Forwarder { .. } | HostRole::Bystander => None,
        }
    }

    /// Returns whether something runs on it that seals what it is given to send: a node, or a record model.
    #[must_use]
    pub fn seals(&self) -> bool {
        match &self.role {
            HostRole::Node(_) | HostRole::RecordModel(_) => true,
            HostRole::Forwarder { .. } | HostRole::Bystander => false,
        }
    }

    /// Returns whether a node runs on it.
    #[must_use]
    pub fn is_node(&self) -> bool {
        self.node().is_some()
    }
}

/// What runs on a host.
#[derive(Debug, Clone, PartialEq)]
pub enum HostRole {
    /// A node of the overlay.
    Node(Box<NodePlan>),
    /// A program that passes datagrams on as they are: what comes from the address of one of the two
    /// goes to the other, from its own socket. It holds no keys and opens nothing.
    Forwarder {
        /// The two it stands between.
        between: [HostIndex; 2],
    },
    /// The record-layer model of Connection IDs, in place of a node.
    RecordModel(RecordModelPlan),
    /// A machine with an address and a socket that nobody reads, unless a listener does.
    Bystander,
}

/// How one node is made.
#[derive(Debug, Clone, PartialEq)]
pub struct NodePlan {
    /// Which DTLS it speaks.
    pub dtls: DtlsPlan,
    /// Whether the record gate stands before OpenSSL.
    pub gate: Switch,
    /// Whether replays are recognised before OpenSSL; `Off` is a mutant.
    pub replay_mirror: Switch,
    /// How a datagram finds its session.
    pub demux: DemuxPlan,
    /// How it finds next hops.
    pub routing: Routing,
    /// Whether the feasibility condition is kept (RFC 8966, 3.5.1); `Off` is a mutant.
    pub feasibility: Switch,
    /// The first timeout of DTLS; each further one is twice as long.
    pub first_timeout: Duration,
    /// How long an opening may take, all attempts together.
    pub handshake_deadline: Duration,
    /// Whether a handshake that lasts too long is begun afresh.
    pub attempts: Attempts,
    /// The largest datagram to send, in bytes of UDP payload.
    pub mtu: u16,
    /// Records after which a link session is replaced.
    pub rekey_records: u64,
    /// The age at which a link session is replaced.
    pub rekey_age: Duration,
    /// What the socket takes in.
    pub socket: SocketPlan,
    /// When the node begins to read its socket.
    pub boot: Boot,
    /// Whose certificate and key it has.
    pub identity: IdentityPlan,
    /// Whether payloads are sealed end to end, too.
    pub e2e: Switch,
}

/// OpenSSL's own first timeout is 1 s (RFC 6347, 4.2.4.1); a node waits for shorter.
pub(crate) const FIRST_TIMEOUT_DEFAULT: Duration = Duration::from_millis(250);

impl Default for NodePlan {
    /// Takes what a deployed node has, with static routes.
    fn default() -> Self {
        Self {
            dtls: DtlsPlan::NODE,
            gate: Switch::On,
            replay_mirror: Switch::On,
            demux: DemuxPlan::BySource,
            routing: Routing::Static,
            feasibility: Switch::On,
            first_timeout: FIRST_TIMEOUT_DEFAULT,
            handshake_deadline: HANDSHAKE_DEADLINE_DEFAULT,
            attempts: Attempts::Renewed,
            mtu: MTU_DEFAULT,
            rekey_records: REKEY_RECORDS_DEFAULT,
            rekey_age: REKEY_AGE_DEFAULT,
            socket: SocketPlan::Open,
            boot: Boot::AtOnce,
            identity: IdentityPlan::Own,
            e2e: Switch::Off,
        }
    }
}

/// Which DTLS a node speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DtlsPlan {
    /// The one suite it offers; `None` is the node's own profile, with all AEAD suites.
    pub suite: Option<Suite>,
    /// The version.
    pub version: Version,
    /// Whether encrypt-then-MAC (RFC 7366) is offered to CBC suites.
    pub encrypt_then_mac: bool,
    /// Whether renegotiation is refused, as on a node, or left as OpenSSL has it.
    pub renegotiation: Renegotiation,
}

impl DtlsPlan {
    /// The node's own profile.
    pub const NODE: Self = Self {
        suite: None,
        version: Version::Dtls12,
        encrypt_then_mac: true,
        renegotiation: Renegotiation::Off,
    };

    /// Returns whether certificates must be RSA: the suite says so by its name.
    #[must_use]
    pub fn needs_rsa(&self) -> bool {
        self.suite.is_some_and(|suite| !suite.name.contains("ECDSA"))
    }
}

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switch {
    /// As it should be.
    On,
    /// Taken away.
    Off,
}

impl Word for Switch {
    const WORDS: &'static [(&'static str, Self)] = &[("on", Self::On), ("off", Self::Off)];
}

/// A version of DTLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// RFC 4347, put out of use by RFC 8996; it takes a suite at security level 0.
    Dtls10,
    /// RFC 6347.
    Dtls12,
}

impl Word for Version {
    const WORDS: &'static [(&'static str, Self)] = &[("1.2", Self::Dtls12), ("1.0", Self::Dtls10)];
}

impl Word for Renegotiation {
    const WORDS: &'static [(&'static str, Self)] =
        &[("off", Self::Off), ("default", Self::Default), ("allowed", Self::Allowed)];
}

/// How a datagram finds its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DemuxPlan {
    /// By its source address and port (RFC 6347, 4.1.1).
    BySource,
    /// A datagram from an unknown source is offered to every live session.
    EverySession,
}

impl Word for DemuxPlan {
    const WORDS: &'static [(&'static str, Self)] =
        &[("by-source", Self::BySource), ("every-session", Self::EverySession)];
}

/// How next hops are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Routing {
    /// Each node is told the shortest paths over the sessions of the file.
    Static,
    /// Nodes find them by themselves.
    Dynamic,
}

impl Word for Routing {
    const WORDS: &'static [(&'static str, Self)] = &[("static", Self::Static), ("dynamic", Self::Dynamic)];
}

/// Whether a handshake that lasts too long is begun afresh before its deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempts {
    /// As a node does it.
    Renewed,
    /// One attempt, until OpenSSL itself gives it up.
    One,
}

impl Word for Attempts {
    const WORDS: &'static [(&'static str, Self)] = &[("renewed", Self::Renewed), ("one", Self::One)];
}

/// What a node's socket takes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SocketPlan {
    /// Datagrams from anyone.
    Open,
    /// Datagrams from this host alone: it is connected as soon as the node boots.
    ConnectedTo(HostIndex),
}

/// When a node begins to read its socket, which is bound from the beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Boot {
    /// At the beginning of the run.
    AtOnce,
    /// When a step `boot` says so. What arrives before waits in the socket, which is not connected yet.
    ByStep,
}

impl Word for Boot {
    const WORDS: &'static [(&'static str, Self)] = &[("at-once", Self::AtOnce), ("by-step", Self::ByStep)];
}

/// Whose certificate and key a node has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdentityPlan {
    /// Its own, by the authority that all trust.
    Own,
    /// Its own name and the key the others expect, in a certificate of an authority nobody trusts.
    Foreign,
    /// Certificate and key of another node: they were stolen.
    Of(HostIndex),
}

/// A path between two hosts, and perhaps a session over it.
#[derive(Debug, Clone, PartialEq)]
pub struct LinkPlan {
    /// The two ends.
    pub between: [HostIndex; 2],
    /// Who dials.
    pub dials: Dials,
    /// Which of the two have the other as a neighbour: `[first, second]`.
    pub admits: [bool; 2],
    /// The forwarder whose address each end has for the other.
    pub through: Option<HostIndex>,
    /// What datagrams from the first to the second meet.
    pub forth: Conditions,
    /// What datagrams from the second to the first meet.
    pub back: Conditions,
}

/// Who dials over a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dials {
    /// The first of the two.
    First,
    /// The second.
    Second,
    /// Each dials the other.
    Both,
    /// Nobody: the two are no neighbours, and the link is conditions only.
    Nobody,
}

/// What datagrams meet on a path, in one direction.
#[derive(Debug, Clone, PartialEq)]
pub struct Conditions {
    /// How long each takes at least.
    pub latency: Duration,
    /// How much longer it may take, evenly distributed.
    pub jitter: Duration,
    /// How likely each is lost.
    pub loss: Probability,
    /// Losses that come in bursts (Gilbert and Elliott), beside `loss`.
    pub bursts: Option<Bursts>,
    /// How likely each arrives twice.
    pub duplicate: Probability,
    /// How likely each is overtaken by those behind it.
    pub reorder: Probability,
    /// Bits per second; `None` is without limit.
    pub rate: Option<u64>,
    /// Bytes that may wait for the rate.
    pub queue_bytes: u32,
    /// The largest IP packet, in bytes; `None` is without limit.
    pub mtu: Option<u16>,
    /// Whether the sender of one too large is told so.
    pub icmp: bool,
    /// Whether anything passes at all.
    pub is_up: bool,
}

impl Default for Conditions {
    fn default() -> Self {
        Self {
            latency: Duration::from_millis(1),
            jitter: Duration::ZERO,
            loss: Probability::NEVER,
            bursts: None,
            duplicate: Probability::NEVER,
            reorder: Probability::NEVER,
            rate: None,
            queue_bytes: 65_536,
            mtu: None,
            icmp: true,
            is_up: true,
        }
    }
}

/// Losses in bursts: a good and a bad state, with a chance to change at each datagram.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bursts {
    /// How likely good turns bad.
    pub enter: Probability,
    /// How likely bad turns good.
    pub leave: Probability,
    /// How likely a datagram is lost while it is good.
    pub loss_good: Probability,
    /// How likely while it is bad.
    pub loss_bad: Probability,
}

/// A NAT in front of some hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NatPlan {
    /// What the steps call it.
    pub name: String,
    /// Who is behind it.
    pub in_front_of: Vec<HostIndex>,
    /// Its address on the outside.
    pub address: IpAddr,
    /// What a mapping depends on (RFC 4787, 4.1).
    pub mapping: NatRule,
    /// Who may send to a mapping (RFC 4787, 5).
    pub filtering: NatRule,
    /// Whether hosts behind it reach each other by its outer address (RFC 4787, 6).
    pub hairpin: bool,
    /// How long a mapping outlives the last datagram sent through it.
    pub timeout: Duration,
}

/// What a mapping or a filter of a NAT looks at (RFC 4787).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NatRule {
    /// Nothing beyond the inner endpoint.
    EndpointIndependent,
    /// The outer address.
    AddressDependent,
    /// The outer address and port.
    AddressAndPortDependent,
}

impl Word for NatRule {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("endpoint-independent", Self::EndpointIndependent),
        ("address-dependent", Self::AddressDependent),
        ("address-and-port-dependent", Self::AddressAndPortDependent),
    ];
}

/// An application with a plain unconnected socket on a host's port, beside the node's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerPlan {
    /// What the expectations call it.
    pub name: String,
    /// On whose address and port.
    pub on: HostIndex,
}

/// A mesh of many nodes, in place of hosts and links of their own.
#[derive(Debug, Clone, PartialEq)]
pub struct MeshPlan {
    /// How many; they are called `N0`, `N1`, ...
    pub nodes: u32,
    /// With how many neighbours each, on average.
    pub degree: u32,
    /// What every link is like.
    pub conditions: Conditions,
    /// How every node is made.
    pub node: NodePlan,
}
