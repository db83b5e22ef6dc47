//! What a router is told at its start, and the times and ceilings it keeps.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use peerbound_wire::{NodeId, Prefix};

use crate::router::feasibility::Feasibility;
use crate::router::proof::ProofBook;

/// The cost of a link that nobody gave another: room for costs below it, and 655 links to infinity.
pub const LINK_COST_DEFAULT: u16 = 100;

/// How long an ordinary change waits for others, so that a burst leaves in full datagrams.
pub(crate) const COALESCE: Duration = Duration::from_millis(40);

/// How long what somebody waits for waits for others: the answers to what one message asked.
pub(crate) const COALESCE_BRIEFLY: Duration = Duration::from_millis(5);

/// How long an acknowledgement waits for others; well below [`RESEND_AFTER`].
pub(crate) const ACKNOWLEDGE_AFTER: Duration = Duration::from_millis(20);

/// How long updates go without acknowledgement before they are said again, at first and at last: three
/// times the longest round trip within a continent.
pub(crate) const RESEND_AFTER: Duration = Duration::from_millis(300);
pub(crate) const RESEND_AFTER_MAX: Duration = Duration::from_secs(4);

/// The time between two attempts to begin afresh with a neighbour: at first, since it may not know yet
/// that the link works, and at last, for it may not route at all.
pub(crate) const SYNC_AGAIN: Duration = Duration::from_millis(100);
pub(crate) const SYNC_AGAIN_MAX: Duration = Duration::from_secs(8);

/// How long a request for a proof may go without an answer, at first and at last.
pub(crate) const PROOF_AGAIN: Duration = Duration::from_millis(300);
pub(crate) const PROOF_AGAIN_MAX: Duration = Duration::from_millis(2400);
/// Attempts to get a proof before the claim is forgotten: 24 s, all together. Where a sixth of all messages
/// is lost, as many requests or answers in a row are lost once in a million times.
pub(crate) const PROOF_ATTEMPTS: u8 = 12;
/// Proofs that one neighbour may be asked for at a time: 20 x 700 bytes = 14 kB, ten datagrams, which is what
/// TCP sends to one of whom it has not heard (RFC 6928); with six neighbours a thousand take nine round trips.
/// One whose proofs are false keeps its places taken, so it costs at most 20 verifications in 300 ms, or
/// 1 % of a core.
pub(crate) const PROOFS_ASKED_MAX: usize = 20;

/// How long a request for a newer sequence number may go without effect, at first and at last.
pub(crate) const SEQ_AGAIN: Duration = Duration::from_millis(300);
pub(crate) const SEQ_AGAIN_MAX: Duration = Duration::from_secs(10);
/// How long a shorter way that is not feasible waits: it may become feasible by itself.
pub(crate) const SEQ_FOR_SHORTER_AFTER: Duration = Duration::from_secs(1);
/// Links that such a request crosses (RFC 8966, 3.8.1.2 recommends 64).
pub(crate) const SEQ_HOP_LIMIT: u8 = 64;
/// How long the same request of others is not passed on again; shorter than [`SEQ_AGAIN`].
pub(crate) const SEQ_PASSED_ON_FOR: Duration = Duration::from_millis(250);
const _: () = assert!(SEQ_PASSED_ON_FOR.as_millis() < SEQ_AGAIN.as_millis());
/// Requests that are remembered for that: 4096 x about 60 bytes = 250 kB.
pub(crate) const SEQ_REQUESTS_MAX: usize = 4096;

/// How long after a change of the next hop its path is asked for, if it was not kept: explanations can wait
/// until ways have settled. Doubled with every attempt.
pub(crate) const PATH_AFTER: Duration = Duration::from_secs(1);
/// Attempts to learn a path: the next hop may have none for a while either.
pub(crate) const PATH_ATTEMPTS: u8 = 4;

/// The least time between two announcements of our own: each costs every node of the mesh a message and
/// a signature, and anybody may ask for it. The circle of sequence numbers takes hours at least.
pub(crate) const OWN_INTERVAL: Duration = Duration::from_millis(200);

/// Everything is told once more so often, acknowledged or not: paths change unsaid, and a belt may go with
/// the braces (RFC 8966, 3.7.1).
pub(crate) const FULL_UPDATE_INTERVAL: Duration = Duration::from_secs(900);

/// How long what was said of an origin is remembered after the last way to it (RFC 8966, 3.5.5 and
/// appendix B: three minutes).
pub(crate) const SOURCE_KEPT: Duration = Duration::from_secs(180);

/// Messages with updates on their way to one neighbour: 10 x 1.4 kB = 14 kB, as of [`PROOFS_ASKED_MAX`]. They
/// hold some 400 updates.
pub(crate) const FLIGHTS_MAX: usize = 10;

/// Numbers of messages that wait to be acknowledged together, in [`ACKNOWLEDGE_AFTER`]: 1024 x 4 bytes. An
/// honest neighbour has [`FLIGHTS_MAX`] of them on their way.
pub(crate) const HEARD_MAX: usize = 1024;
const _: () = assert!(FLIGHTS_MAX < HEARD_MAX);

/// Requests for sequence numbers that wait for their message to one neighbour: 4096 x 20 bytes = 80 kB. As
/// many as are remembered; what finds no room is asked for again by whoever needs it.
pub(crate) const SEQ_REQUESTS_WAITING_MAX: usize = SEQ_REQUESTS_MAX;

/// What a router is told at its start.
#[derive(Debug, Clone, Default)]
pub struct RouterConfig {
    /// The costs of links, by neighbour; [`LINK_COST_DEFAULT`] where none stands, 1 at least.
    pub costs: BTreeMap<NodeId, u16>,
    /// What links cost besides.
    pub link_cost: LinkCost,
    /// What we announce besides our own address; our certificate must carry it.
    pub prefixes: Vec<Prefix>,
    /// Whether the feasibility condition is in force.
    pub feasibility: Feasibility,
    /// Where proofs are verified; a book of its own if there is none. Nodes may share one only if they
    /// trust the same roots.
    pub proofs: Option<Arc<ProofBook>>,
}

impl RouterConfig {
    pub(crate) fn cost_of(&self, neighbour: &NodeId) -> u16 {
        // RFC 8966, 3.5.2: the metric must grow with every link.
        self.costs.get(neighbour).copied().unwrap_or(LINK_COST_DEFAULT).max(1)
    }
}

/// What a link costs besides what is set for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LinkCost {
    /// Nothing.
    #[default]
    Static,
    /// Its round trip, in coarse steps.
    RoundTrip,
}
