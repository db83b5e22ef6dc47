//! All inner sessions of a node, by the node at their other end, and what is remembered beside them.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Instant;

use peerbound_dtls::{DiscardCounts, Doorman, Plaintexts};
use peerbound_wire::NodeId;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::fifo_map::FifoMap;
use crate::index::Secret;
use crate::inner::budget::Budget;
use crate::inner::session::InnerSession;
use crate::inner::view::{InnerState, InnerView};
use crate::path_mtus::PathMtus;
use crate::timed_map::TimedMap;

/// Sessions whose end is remembered, with its reason: 256 x about 200 bytes = 50 kB.
const ENDS_MAX: usize = 256;

/// The port of the address that stands for a node in cookies. Nothing listens there; it only is always the same.
const COOKIE_PORT: u16 = 4433;

/// The stream of the seed that cookies of inner sessions are made from: nothing else of the node draws from it.
const COOKIE_STREAM: u64 = 1;

/// Inner sessions, by peer.
pub(crate) struct Inner {
    pub(crate) sessions: TimedMap<NodeId, InnerSession>,
    pub(crate) doorman: Doorman,
    pub(crate) budget: Budget,
    ends: FifoMap<NodeId, (Instant, String)>,
    /// What ended sessions had discarded.
    pub(crate) retired: DiscardCounts,
    /// Memory that is used again and again: plaintexts in, a datagram out.
    pub(crate) plaintexts: Plaintexts,
    pub(crate) datagram: Vec<u8>,
}

impl Inner {
    /// `seed` is that of the cookies of links, of which another stream is taken.
    pub(crate) fn new(seed: [u8; 32], secret: Secret, now: Instant) -> Self {
        let mut chance = ChaCha8Rng::from_seed(seed);
        chance.set_stream(COOKIE_STREAM);
        let mut seed = [0; 32];
        chance.fill_bytes(&mut seed);
        Self {
            sessions: TimedMap::new(secret),
            doorman: Doorman::new(seed, now),
            budget: Budget::new(),
            ends: FifoMap::with_max(ENDS_MAX, secret),
            retired: DiscardCounts::default(),
            plaintexts: Plaintexts::new(),
            datagram: Vec::new(),
        }
    }

    /// Returns how many payloads wait for sessions to open.
    pub(crate) fn waiting(&self) -> u64 {
        self.sessions.values().map(|session| session.waiting.len() as u64).sum()
    }

    pub(crate) fn discards(&self) -> DiscardCounts {
        let mut counts = self.retired.clone();
        self.sessions.values().for_each(|session| counts.add(&session.association.discards()));
        counts
    }

    /// Remembers why there is no session with a node any more.
    pub(crate) fn note_end(&mut self, peer: NodeId, reason: String, now: Instant) {
        *self.ends.get_or_insert_with(peer, || (now, String::new())) = (now, reason);
    }

    pub(crate) fn half_open(&self) -> usize {
        self.sessions.values().filter(|session| session.association.is_half_open()).count()
    }

    /// Returns whose half-open handshake is to end so that one that `newcomer` brought can begin: the oldest
    /// of the neighbour that brought most of them. `None` when that is no more than the newcomer has.
    pub(crate) fn half_open_in_favour_of(&self, newcomer: NodeId) -> Option<NodeId> {
        let mut by_ingress = BTreeMap::<NodeId, Vec<(Instant, NodeId)>>::new();
        for (peer, session) in self.sessions.iter() {
            if let (Some(since), Some(ingress)) = (session.association.half_open_since(), session.ingress) {
                by_ingress.entry(ingress).or_default().push((since, *peer));
            }
        }
        let already = by_ingress.get(&newcomer).map_or(0, Vec::len);
        let oldest = by_ingress.into_values().map(|of_one| (of_one.len(), of_one.into_iter().min()));
        let (most, oldest) = oldest.max_by_key(|(count, oldest)| (*count, Reverse(*oldest)))?;
        oldest.filter(|_| most > already).map(|(_, peer)| peer)
    }

    /// Returns how many sessions are open or being opened by us: those that a ceiling is for.
    pub(crate) fn kept(&self) -> usize {
        self.sessions.values().filter(|session| !session.association.is_half_open()).count()
    }

    /// Returns the established session that was not used for the longest time, `but` one.
    pub(crate) fn idlest_but(&self, but: NodeId) -> Option<NodeId> {
        let live =
            self.sessions.iter().filter(|(peer, session)| **peer != but && session.association.is_live());
        live.min_by_key(|(_, session)| session.last_used).map(|(peer, _)| *peer)
    }

    pub(crate) fn views(&self, paths: &PathMtus) -> Vec<InnerView> {
        let path_mtu = |peer: &NodeId| paths.frame_bytes_heard(peer);
        let mut views: Vec<_> =
            self.sessions.iter().map(|(peer, session)| session.view(*peer, path_mtu(peer))).collect();
        let gone = self.ends.iter().filter(|(peer, _)| self.sessions.get(peer).is_none());
        views.extend(gone.map(|(peer, (since, reason))| InnerView {
            peer: *peer,
            state: InnerState::Gone,
            role: None,
            suite: None,
            since: *since,
            records: (0, 0),
            bytes: (0, 0),
            path_mtu: path_mtu(peer),
            waiting: (0, 0),
            last_error: Some(reason.clone()),
        }));
        views.sort_by_key(|view| view.peer);
        views
    }
}

/// Returns the address that stands for a node in cookies.
pub(crate) fn cookie_address(peer: NodeId) -> SocketAddr {
    SocketAddr::from((peer.address(), COOKIE_PORT))
}
