//! Finds ways: a distance vector protocol with Babel's feasibility condition (RFC 8966), spoken inside
//! link sessions (as RFC 8968 has it) with neighbours alone. Pure: messages and time go in, messages come
//! out; it knows no session and no socket.
//!
//! What RFC 8966 repeats is acknowledged here, since a link session has two ends that know each other:
//! each side asks to be told everything once ([`peerbound_wire::Sync`]), and from then on hears what
//! changes. What an origin says of itself is signed, and nothing is believed of it before that is verified.

use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv6Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use peerbound_dtls::ErrorStack;
use peerbound_wire::{Metric, NodeId, RouteSeq, RoutingMessage};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;

use crate::fifo_map::FifoMap;
use crate::index::Secret;

mod bits;
mod changing;
mod config;
mod feasibility;
mod hearing;
mod origins;
mod peer;
mod prefixes;
mod proof;
mod proving;
mod requests;
mod round_trip;
mod selection;
mod telling;
mod view;

pub use config::{LINK_COST_DEFAULT, LinkCost, RouterConfig};
pub use feasibility::Feasibility;
pub use prefixes::AnnouncedPrefixes;
pub use proof::{Proof, ProofBook, Signer, Trust};
pub use view::{CandidateView, RouteView, Standing};

use config::{SEQ_REQUESTS_MAX, SOURCE_KEPT};
use origins::{Leaving, OWN_SLOT, Origins};
use peer::{Peer, PeerLink};
use proof::encoded;
use proving::{Asked, first_of_boot};
use requests::{PassedOn, Starving};

/// Rows are numbered in order of their making, and ours is made first.
const OWN_ROW: u32 = 0;

/// One node's knowledge of ways, and its part in the protocol.
pub struct Router {
    us: NodeId,
    feasibility: Feasibility,
    link_cost: LinkCost,
    message_bytes_max: usize,
    /// Where several things go into one message, it is no longer than this.
    packed_bytes_max: usize,
    signer: Box<dyn Signer>,
    proofs: Arc<ProofBook>,
    origins: Origins,
    /// What we announce, as it is signed.
    announced: Box<[u8]>,
    /// The position of one is its slot.
    peers: Vec<Peer>,
    slots_by_id: BTreeMap<NodeId, u16>,
    /// From which row on certificates are to be judged again, as the rules have changed.
    rejudging: Option<u32>,
    next_sync: u32,
    /// Rows whose proof is to be asked for, with the attempts made.
    wanted: VecDeque<(u32, u8)>,
    ask_at: Option<Instant>,
    asked: BTreeMap<u32, Asked>,
    /// When the first of them is late, or earlier.
    late_at: Option<Instant>,
    /// Rows that need a newer sequence number.
    starving: BTreeMap<u32, Starving>,
    /// When the first of them is due, or earlier.
    starving_at: Option<Instant>,
    /// Rows whose path is to be asked for, and when, with the attempts made.
    pathless: BTreeMap<u32, (Instant, u8)>,
    /// When the first of them is due, or earlier.
    pathless_at: Option<Instant>,
    /// The newest request for a sequence number, by origin.
    passed_on: FifoMap<NodeId, PassedOn>,
    announced_at: Instant,
    announce_at: Option<Instant>,
    /// Rows without any way, and when to see whether they can be given up.
    leaving: VecDeque<(Instant, u32)>,
    /// When something is due, or earlier.
    due: Option<Instant>,
    outbox: VecDeque<(NodeId, Vec<u8>)>,
    changes: Option<VecDeque<RouteChange>>,
    counters: RouterCounters,
}

/// A node has another way to somewhere, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouteChange {
    /// Where it leads.
    pub destination: NodeId,
    /// The neighbour that leads there; `None` when there is no way.
    pub next_hop: Option<NodeId>,
    /// How far it is.
    pub metric: Metric,
    /// With which sequence number.
    pub seqno: RouteSeq,
}

/// What a router counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RouterCounters {
    /// Messages that came in.
    pub messages_heard: u64,
    /// Messages that went out.
    pub messages_sent: u64,
    /// Bytes of these.
    pub bytes_sent: u64,
    /// Ways that were told of.
    pub updates_sent: u64,
    /// Messages with updates that were said again.
    pub resent: u64,
    /// Ways that we were told of.
    pub updates_heard: u64,
    /// Proofs that were found good.
    pub proofs_accepted: u64,
    /// Proofs that were found false.
    pub proofs_refused: u64,
    /// Proofs that were signed well, and announce prefixes that the certificate does not carry.
    pub prefixes_refused: u64,
    /// Origins that were given up since their certificates are trusted no longer.
    pub origins_disowned: u64,
    /// Requests that found no room to wait for their message.
    pub requests_without_room: u64,
    /// Claims that nobody proved.
    pub claims_forgotten: u64,
    /// Messages with updates that found no room for a new origin; they are said again.
    pub without_room: u64,
    /// Requests for newer sequence numbers, our own and others'.
    pub seq_requests_sent: u64,
    /// Times we announced ourselves anew.
    pub announced: u64,
}

/// Why a node cannot route dynamically.
#[derive(Debug, thiserror::Error)]
pub enum RouterError {
    /// The key does not sign.
    #[error("OpenSSL refuses to sign with our key")]
    Openssl(#[from] ErrorStack),
    /// Others would refuse what we announce.
    #[error("our certificate does not carry every prefix that we are to announce: have it issued with them")]
    PrefixesNotCarried,
    /// Not even we would believe what we say of ourselves.
    #[error(
        "our certificate is not issued by one of our roots itself, so no other node could verify what we say of ourselves"
    )]
    NotBelieved,
    /// The proof would not fit a message.
    #[error(
        "certificate and signature take {len} bytes, and with some more have to fit {max}: it takes a larger mtu"
    )]
    TooLong {
        /// Bytes of both.
        len: usize,
        /// Bytes that fit a message.
        max: usize,
    },
}

impl Router {
    /// Makes the router of `us`, who has these neighbours, none of which is there yet. No message will be
    /// longer than `message_bytes_max`.
    ///
    /// # Errors
    /// When the first announcement cannot be signed, or would not be believed by ourselves.
    pub fn new(
        us: NodeId,
        neighbours: &[NodeId],
        (config, proofs): (&RouterConfig, Arc<ProofBook>),
        signer: impl Signer + 'static,
        message_bytes_max: usize,
        chance: &mut ChaCha8Rng,
        now: Instant,
    ) -> Result<Self, RouterError> {
        let mut ids = neighbours.to_vec();
        ids.sort_unstable();
        ids.dedup();
        let peers: Vec<_> = ids.into_iter().map(|id| Peer::new(id, config.cost_of(&id))).collect();
        let secret = Secret::drawn_from(chance);
        let mut router = Self {
            us,
            feasibility: config.feasibility,
            link_cost: config.link_cost,
            message_bytes_max,
            packed_bytes_max: message_bytes_max,
            signer: Box::new(signer),
            proofs,
            origins: Origins::new(peers.len(), secret),
            announced: encoded(&config.prefixes),
            slots_by_id: peers.iter().map(|peer| peer.id).zip(0..).collect(),
            rejudging: None,
            peers,
            // By chance, so that a neighbour does not take this boot's first for the last one's.
            next_sync: chance.next_u32(),
            wanted: VecDeque::new(),
            ask_at: None,
            asked: BTreeMap::new(),
            late_at: None,
            starving: BTreeMap::new(),
            starving_at: None,
            pathless: BTreeMap::new(),
            pathless_at: None,
            passed_on: FifoMap::with_max(SEQ_REQUESTS_MAX, secret),
            announced_at: now,
            announce_at: None,
            leaving: VecDeque::new(),
            due: None,
            outbox: VecDeque::new(),
            changes: None,
            counters: RouterCounters::default(),
        };
        router.announce(first_of_boot(&router.announced), now)?;
        Ok(router)
    }

    /// Keeps [`RouteChange`]s from now on, for [`Self::poll_change`].
    pub fn observe(&mut self) {
        self.changes.get_or_insert_default();
    }

    /// Takes note that the link with a neighbour carries frames.
    pub fn on_neighbour_up(&mut self, id: NodeId, now: Instant) {
        let Some(slot) = self.slot_of(&id) else { return };
        if self.peer(slot).link.is_some() {
            self.on_neighbour_down(id, now);
        }
        let sync = self.next_sync();
        self.peer_mut(slot).link = Some(Box::new(PeerLink::new(sync, now)));
        self.schedule(now);
        self.run(now);
    }

    /// Takes note that the link with a neighbour carries nothing any more: everything that it told is
    /// retracted at once.
    pub fn on_neighbour_down(&mut self, id: NodeId, now: Instant) {
        let Some(slot) = self.slot_of(&id) else { return };
        if self.peer_mut(slot).link.take().is_none() {
            return;
        }
        self.forget_asked_of(slot, now);
        self.forget_told_by(slot, now);
        self.run(now);
    }

    /// Returns whether links cost by their round trips, so that these are to be measured.
    #[must_use]
    pub fn measures(&self) -> bool {
        self.link_cost == LinkCost::RoundTrip
    }

    /// Takes in a round trip to a neighbour, and chooses anew where that changes the cost of its link.
    pub fn on_round_trip(&mut self, id: NodeId, time: Duration, now: Instant) {
        let Some(slot) = self.slot_of(&id).filter(|_| self.measures()) else { return };
        let peer = self.peer_mut(slot);
        if peer.round_trip.measure(time).is_none() {
            return;
        }
        peer.cost = peer.set_cost.saturating_add(peer.round_trip.cost());
        self.select_among_told(slot, now);
    }

    /// Takes in a message of a neighbour.
    pub fn on_message(&mut self, from: NodeId, message: &RoutingMessage<'_>, now: Instant) {
        let Some(slot) = self.slot_of(&from).filter(|slot| self.peer(*slot).link.is_some()) else {
            return;
        };
        self.counters.messages_heard += 1;
        match message {
            RoutingMessage::Hello(_) | RoutingMessage::MtuProbe(_) | RoutingMessage::MtuProbeAnswer(_) => {}
            RoutingMessage::Sync(sync) => self.on_sync(slot, *sync, now),
            RoutingMessage::Updates(updates) => self.on_updates(slot, updates, now),
            RoutingMessage::Acknowledgement(heard) => self.on_acknowledgement(slot, heard, now),
            RoutingMessage::SeqRequests(requests) => {
                requests.iter().for_each(|request| self.on_seq_request(slot, request, now));
            }
            RoutingMessage::ProofRequests(requests) => self.on_proof_requests(slot, requests, now),
            RoutingMessage::Proofs(proofs) => self.on_proofs(slot, proofs, now),
        }
        self.run(now);
    }

    /// Keeps messages that several things go into below a size: there may be links that take no more.
    pub fn pack_below(&mut self, bytes: usize) {
        self.packed_bytes_max = self.message_bytes_max.min(bytes);
    }

    /// Lets everything happen that is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.run(now);
    }

    /// Takes the next message, and the neighbour it is for.
    pub fn poll_transmit(&mut self) -> Option<(NodeId, Vec<u8>)> {
        self.outbox.pop_front()
    }

    /// Takes the next change of a way; only after [`Self::observe`].
    pub fn poll_change(&mut self) -> Option<RouteChange> {
        self.changes.as_mut()?.pop_front()
    }

    /// Returns when [`Self::handle_timeout`] wants to be called next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }

    /// Returns the node with this overlay address, where a way leads to it.
    #[must_use]
    pub fn reachable_at(&self, address: Ipv6Addr) -> Option<NodeId> {
        let row = self.origins.row(self.origins.find_at(&NodeId::new(address.octets()))?);
        self.peers.get(usize::from(row.next)).map(|_| row.id)
    }

    /// Returns the neighbour that leads to a destination.
    #[must_use]
    pub fn next_hop(&self, destination: &NodeId) -> Option<NodeId> {
        let row = self.origins.row(self.origins.find(destination)?);
        self.peers.get(usize::from(row.next)).map(|peer| peer.id)
    }

    /// Returns what was counted so far.
    #[must_use]
    pub fn counters(&self) -> RouterCounters {
        self.counters
    }

    fn run(&mut self, now: Instant) {
        if self.due.is_none_or(|due| due > now) {
            return;
        }
        self.due = None;
        self.rejudge_some(now);
        self.announce_if_due(now);
        self.ask_proofs_if_due(now);
        self.ask_sequence_numbers_if_due(now);
        self.ask_paths_if_due(now);
        self.give_up_rows(now);
        for slot in 0..self.slots() {
            self.speak_if_due(slot, now);
        }
        let peers = self.peers.iter().filter_map(|peer| peer.link.as_ref()?.poll_timeout());
        let leaving = self.leaving.front().map(|(at, _)| *at);
        let ours = [self.announce_at, self.ask_at, self.late_at, self.starving_at, self.pathless_at, leaving];
        let rejudging = self.rejudging.map(|_| now);
        self.due = peers.chain(ours.into_iter().flatten()).chain(rejudging).min();
    }

    /// Sees to it that everything due at `at` happens then.
    fn schedule(&mut self, at: Instant) {
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }

    /// Gives up rows that nobody has told of for so long that nothing old can come back.
    fn give_up_rows(&mut self, now: Instant) {
        while let Some((_, number)) = self.leaving.front().copied().filter(|(at, _)| *at <= now) {
            self.leaving.pop_front();
            let row = self.origins.row_mut(number);
            let was_lost_again = std::mem::replace(&mut row.leaving, Leaving::No) == Leaving::LostAgain;
            if row.is_reachable() || self.origins.has_candidate(number) {
                continue;
            }
            if was_lost_again || self.is_spoken_of(number) {
                self.keep_for_a_while(number, now);
            } else {
                self.remove_row(number);
            }
        }
    }

    /// Draws the conclusion when no neighbour has a way to an origin: of one of which nothing was ever said
    /// the row goes at once, of another when RFC 8966, 3.5.5 lets what was said be forgotten.
    fn on_candidate_gone(&mut self, number: u32, now: Instant) {
        let row = self.origins.row(number);
        if row.is_reachable() || self.origins.has_candidate(number) {
            return;
        }
        if row.said.is_none() && row.leaving == Leaving::No && !self.is_spoken_of(number) {
            self.remove_row(number);
        } else {
            self.keep_for_a_while(number, now);
        }
    }

    fn keep_for_a_while(&mut self, number: u32, now: Instant) {
        let row = self.origins.row_mut(number);
        if row.leaving != Leaving::No {
            row.leaving = Leaving::LostAgain;
            return;
        }
        row.leaving = Leaving::Due;
        self.leaving.push_back((now + SOURCE_KEPT, number));
        self.schedule(now + SOURCE_KEPT);
    }

    fn is_spoken_of(&self, number: u32) -> bool {
        self.peers.iter().filter_map(|peer| peer.link.as_ref()).any(|link| link.telling.concerns(number))
    }

    fn remove_row(&mut self, number: u32) {
        self.starving.remove(&number);
        self.pathless.remove(&number);
        self.forget_asked(number);
        self.origins.remove(number);
    }

    fn next_sync(&mut self) -> u32 {
        self.next_sync = self.next_sync.wrapping_add(1).max(1);
        self.next_sync
    }

    fn slots(&self) -> u16 {
        u16::try_from(self.peers.len()).unwrap_or(OWN_SLOT)
    }

    fn slot_of(&self, id: &NodeId) -> Option<u16> {
        self.slots_by_id.get(id).copied()
    }

    fn peer(&self, slot: u16) -> &Peer {
        &self.peers[usize::from(slot)]
    }

    fn peer_mut(&mut self, slot: u16) -> &mut Peer {
        &mut self.peers[usize::from(slot)]
    }

    fn link_mut(&mut self, slot: u16) -> Option<&mut PeerLink> {
        self.peer_mut(slot).link.as_deref_mut()
    }
}
