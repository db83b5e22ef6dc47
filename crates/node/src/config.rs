//! What a node is told at its start. Already checked: the daemon reads it from a file and says
//! what is wrong there.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use peerbound_dtls::{
    Attempts, Context, FIRST_TIMEOUT_DEFAULT, GateMode, HANDSHAKE_DEADLINE_DEFAULT, MTU_DEFAULT,
    REKEY_AGE_DEFAULT, REKEY_RECORDS_DEFAULT, RecordLayer, ReplayMirror,
};
use peerbound_wire::NodeId;

use crate::inner::InnerConfig;
use crate::queue::Rate;
use crate::router::RouterConfig;

/// Everything a [`crate::Node`] is made from, but time and chance.
#[derive(Debug, Clone)]
pub struct NodeConfig {
    /// Our identity, whom we trust, and how we speak DTLS.
    pub context: Context,
    /// The largest datagram to send, in bytes of UDP payload; where it is probed, the largest to try.
    pub mtu: u16,
    /// Those we keep link sessions with, and nobody else.
    pub neighbours: Vec<NeighbourConfig>,
    /// Where frames go that are for none of them.
    pub routes: Vec<StaticRoute>,
    /// How much the links to some neighbours are to be given at most.
    pub rates: BTreeMap<NodeId, Rate>,
    /// How long an opening may take, all attempts together.
    pub handshake_deadline: Duration,
    /// Whether an attempt to open a session is followed by another.
    pub attempts: Attempts,
    /// How long a handshake's flight waits for its answer before it is sent again; doubles.
    pub first_timeout: Duration,
    /// Records, sent and received, after which a link session is replaced.
    pub rekey_records: u64,
    /// The age at which a link session is replaced.
    pub rekey_age: Duration,
    /// Whether to tell of every frame by [`crate::Event::Frame`].
    pub observe_frames: bool,
    /// How ways are found.
    pub routing: Routing,
    /// Whether to tell of every change of a way by [`crate::Event::RouteChanged`].
    pub observe_routes: bool,
    /// How a reply finds its way.
    pub return_path: ReturnPath,
    /// With whom payloads travel in inner sessions: nobody, unless it says otherwise.
    pub inner: InnerConfig,
    /// Whether to tell of every session, with its secrets, by [`crate::Event::Session`].
    pub observe_sessions: bool,
    /// Whether to measure the round trips to all neighbours, and not only where links cost by them.
    pub measure_round_trips: bool,
    /// How many refused datagrams, and how many dropped frames, to remember: up to
    /// [`crate::STRAYS_MAX`], and none where 0.
    pub strays_kept: usize,
    /// Whether more is done about broken links than to wait until they are missed.
    pub healing: Healing,
    /// How large a datagram may be.
    pub path_mtu: PathMtu,
    /// How a datagram finds its session.
    pub demux: Demux,
    /// Whether the record gate stands before OpenSSL.
    pub gate: GateMode,
    /// Whether replays are known before OpenSSL sees them.
    pub replay_mirror: ReplayMirror,
    /// Who protects the records of established sessions, links and inner ones.
    pub record_layer: RecordLayer,
}

impl NodeConfig {
    /// Takes the defaults of a deployed node, without neighbours and routes.
    #[must_use]
    pub fn new(context: Context) -> Self {
        Self {
            context,
            mtu: MTU_DEFAULT,
            neighbours: Vec::new(),
            routes: Vec::new(),
            rates: BTreeMap::new(),
            handshake_deadline: HANDSHAKE_DEADLINE_DEFAULT,
            attempts: Attempts::Fresh,
            first_timeout: FIRST_TIMEOUT_DEFAULT,
            rekey_records: REKEY_RECORDS_DEFAULT,
            rekey_age: REKEY_AGE_DEFAULT,
            observe_frames: false,
            routing: Routing::Static,
            observe_routes: false,
            return_path: ReturnPath::AsCame,
            inner: InnerConfig::default(),
            observe_sessions: false,
            measure_round_trips: false,
            strays_kept: 0,
            healing: Healing::Off,
            path_mtu: PathMtu::Fixed,
            demux: Demux::BySource,
            gate: GateMode::On,
            replay_mirror: ReplayMirror::On,
            record_layer: RecordLayer::default(),
        }
    }
}

/// Someone we keep a link session with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NeighbourConfig {
    /// Who it must prove to be.
    pub id: NodeId,
    /// What people call it.
    pub name: String,
    /// Where to dial it, in this order, but where it was reached last first; without an address we wait
    /// for it to dial us.
    pub addresses: Vec<SocketAddr>,
}

/// "What is for `destination` goes to `via`."
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StaticRoute {
    /// The node at the far end.
    pub destination: NodeId,
    /// One of our neighbours.
    pub via: NodeId,
}

/// How ways are found to nodes that are no neighbours.
#[derive(Debug, Clone, Default)]
pub enum Routing {
    /// By the routes that are set, and by nothing else.
    #[default]
    Static,
    /// From the neighbours, besides the routes that are set, which win.
    Dynamic(RouterConfig),
}

/// Whether a node does more about broken links than to wait until they are missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Healing {
    /// It does not, as the experiments have it.
    #[default]
    Off,
    /// Whoever comes with a session that is not known here is told so, and who is told so dials beside the
    /// session it has; who is away is called several times a second; hellos go twice as often; and a
    /// neighbour may move to another address without going down. As a deployed node does.
    On,
}

/// How large a datagram may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PathMtu {
    /// As large as [`NodeConfig::mtu`] says.
    #[default]
    Fixed,
    /// As large as each link was found to carry (RFC 8899), up to [`NodeConfig::mtu`].
    Probed,
}

/// How a reply finds its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReturnPath {
    /// The way its request came, as long as that is there.
    #[default]
    AsCame,
    /// By the routes, as anything else.
    Any,
}

/// How a datagram finds its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Demux {
    /// By its source address and port (RFC 6347, 4.1.1), as a deployed node does.
    #[default]
    BySource,
    /// A datagram from an unknown source is offered to every live session: for an experiment that
    /// shows that the lock behind this one holds, too.
    EverySession,
}
