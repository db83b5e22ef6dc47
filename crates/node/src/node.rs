//! One member of the overlay: takes in datagrams, commands and time, and decides.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use peerbound_dtls::{
    Admission, Advice, Association, AssociationConfig, DiscardCounts, ErrorStack, Plaintexts, Precedence,
    Repeats, Role, SessionOptions, SessionSecrets, advice_for, is_client_hello,
};
use peerbound_wire::{FlowId, NodeId};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::bucket::TokenBucket;
use crate::config::{Demux, Healing, NodeConfig};
use crate::counters::{Counters, DatagramDrop};
use crate::event::Event;
use crate::index::Secret;
use crate::inner::Inner;
use crate::links::{Link, Links};
use crate::neighbour::{Neighbour, precedence};
use crate::outbound::{Outbound, Transmit};
use crate::packets::Packets;
use crate::path_mtus::PathMtus;
use crate::queue::{Arriving, Queues};
use crate::relay::Relay;
use crate::router::Router;
use crate::strangers::{HALF_OPEN_MAX, Reception, Strangers};
use crate::strays::{DroppedFrame, Stray, Strays};
use crate::timed_map::TimedMap;
use crate::verdict::{Lock, Reason, Verdict};

mod changing;
mod copies;
mod elsewhere;
mod frames;
mod inner;
mod mtu;
mod neighbour_views;
mod neighbours;
mod queues;
mod resolving;
mod round_trips;
mod routing;
mod traces;
mod views;

pub use copies::{FrameCopy, FrameWay};

pub use changing::ReplaceError;
pub use views::{LinkSessionView, ReturnPathView, WayView};

/// Errors that may be reported at once, and how often one more: a courtesy, not a service.
const ERRORS_BURST: u32 = 50;
const ERRORS_INTERVAL: Duration = Duration::from_millis(10);

/// Strangers that are told of at once, and how often one more: what an operator can take in.
const STRANGERS_BURST: u32 = 20;
const STRANGERS_INTERVAL: Duration = Duration::from_secs(2);

/// Datagrams of unknown sessions that are answered at once, and how often one more: a relay with a hundred
/// neighbours that was restarted reaches all of them within a second. 100 x 15 bytes a second for whoever
/// is named as their source.
const ADVICE_BURST: u32 = 100;
const ADVICE_INTERVAL: Duration = Duration::from_millis(10);

/// One payload on its way into the overlay.
#[derive(Debug, Clone, Copy)]
pub struct Sending<'a> {
    /// Who it is for.
    pub destination: NodeId,
    /// The conversation it belongs to.
    pub flow: FlowId,
    /// Whether it answers a frame that the destination sent with the same flow id.
    pub is_reply: bool,
    /// The bytes.
    pub payload: &'a [u8],
}

/// Whether whoever sends a packet slows down when relays mark it, instead of dropping it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ecn {
    /// It knows of losses only.
    NotCapable,
    /// It heeds marks: [`peerbound_wire::Flags::ECN_CAPABLE`].
    Capable,
}

/// When the records of data are sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sealing {
    /// When it is decided where they go: what was just opened lies in the caches.
    #[default]
    AtOnce,
    /// When [`crate::UnsealedTransmit::seal`] says so, on whatever thread: for an owner with more than one.
    Later,
}

/// Why a payload did not leave.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// There is no way to the destination, or its next hop is down.
    #[error("no route to {destination}: {reason}")]
    NoRoute {
        /// Who was to be reached.
        destination: NodeId,
        /// What is missing, in words.
        reason: String,
    },
    /// It does not fit the first link, or the way as far as that is known.
    #[error("{len} bytes do not fit: at most {max} go into one frame here")]
    TooLarge {
        /// Bytes of payload.
        len: usize,
        /// Bytes that fit.
        max: usize,
    },
    /// As much waits to be sent as may wait, and most of it is of the same flow.
    #[error("the queue is full: as much of this flow waits to be sent as may wait")]
    QueueFull,
    /// The link session failed while sealing.
    #[error("the link session failed while sealing")]
    LinkFailed,
    /// As much waits for the inner session with the destination as may wait, or too many are being opened.
    #[error("no session with the destination yet, and as much waits for one as may wait")]
    InnerQueueFull,
    /// The inner session failed while sealing, or none could be begun.
    #[error("the session with the destination failed while sealing")]
    InnerFailed,
}

/// The core of a node. See the crate's words for the order of calls.
pub struct Node {
    us: NodeId,
    config: NodeConfig,
    boot_epoch: u32,
    next_packet: u64,
    neighbours: TimedMap<NodeId, Neighbour>,
    links: Links,
    strangers: Strangers,
    relay: Relay,
    router: Option<Box<Router>>,
    probes: BTreeMap<NodeId, round_trips::Probe>,
    inner: Inner,
    queues: Queues,
    arriving: Arriving,
    /// How long what comes in has waited.
    waited: Duration,
    outbound: Outbound,
    events: VecDeque<Event>,
    packets: Packets,
    counters: Counters,
    error_bucket: TokenBucket,
    stranger_bucket: TokenBucket,
    traces: traces::Traces,
    strays: Strays,
    copies: copies::Copies,
    /// The moment of the input that is being dealt with.
    latest: Instant,
    advice_bucket: TokenBucket,
    path_mtus: PathMtus,
    chance: ChaCha8Rng,
    plaintexts: Plaintexts,
    frame: Vec<u8>,
    last_reason: Option<Reason>,
    sealing: Sealing,
    admission: Admission,
    is_shut_down: bool,
}

impl Node {
    /// Makes a node; `boot_epoch` must differ from that of every earlier boot, and `seed` must be
    /// unpredictable on a real node. Dialling starts with the first [`Self::handle_timeout`].
    #[must_use]
    pub fn new(config: NodeConfig, seed: [u8; 32], boot_epoch: u32, now: Instant) -> Self {
        let us = crate::node_id(&config.context.key_hash());
        let secret = Secret::of(seed);
        let mut neighbours = TimedMap::new(secret);
        for neighbour in &config.neighbours {
            neighbours.insert(neighbour.id, Neighbour::new(neighbour.clone(), config.healing, now));
        }
        let admitted = neighbours.keys().copied().collect();
        let mut chance = ChaCha8Rng::from_seed(seed);
        let mut cookie_seed = [0; 32];
        chance.fill_bytes(&mut cookie_seed);
        Self {
            us,
            relay: Relay::new(us, &config.routes, config.return_path, secret),
            router: routing::router_of(us, &config, &mut chance, now),
            probes: BTreeMap::new(),
            strangers: Strangers::new(cookie_seed, secret, now),
            inner: Inner::new(cookie_seed, secret, now),
            admission: changing::admission_of(admitted),
            error_bucket: TokenBucket::new(ERRORS_BURST, ERRORS_INTERVAL, now),
            stranger_bucket: TokenBucket::new(STRANGERS_BURST, STRANGERS_INTERVAL, now),
            traces: traces::Traces::new(now),
            strays: Strays::with_max(config.strays_kept),
            copies: copies::Copies::default(),
            latest: now,
            advice_bucket: TokenBucket::new(ADVICE_BURST, ADVICE_INTERVAL, now),
            path_mtus: PathMtus::new(secret),
            queues: Queues::new(&config.rates),
            arriving: Arriving::new(),
            waited: Duration::ZERO,
            config,
            boot_epoch,
            next_packet: 0,
            neighbours,
            links: Links::new(secret),
            outbound: Outbound::new(),
            events: VecDeque::new(),
            packets: Packets::default(),
            counters: Counters::default(),
            chance,
            plaintexts: Plaintexts::new(),
            frame: Vec::new(),
            last_reason: None,
            sealing: Sealing::AtOnce,
            is_shut_down: false,
        }
    }

    /// Takes in one datagram and says what became of it.
    pub fn handle_datagram(&mut self, from: SocketAddr, datagram: &[u8], now: Instant) -> Verdict {
        self.take_in(now, |node| {
            let verdict = node.judge_datagram(from, datagram, now);
            if matches!(verdict, Verdict::Dropped(_) | Verdict::Killed) {
                node.note_stray(from, datagram, verdict, now);
            }
            verdict
        })
    }

    /// Counts a datagram that came in, lets it be judged, and draws the conclusions.
    fn take_in(&mut self, now: Instant, judge: impl FnOnce(&mut Self) -> Verdict) -> Verdict {
        self.latest = now;
        self.counters.datagrams_received += 1;
        self.last_reason = None;
        let verdict = judge(self);
        self.links.note();
        self.neighbours.note();
        self.pass_routing_on();
        verdict
    }

    fn judge_datagram(&mut self, from: SocketAddr, datagram: &[u8], now: Instant) -> Verdict {
        if is_client_hello(datagram) && !self.is_shut_down {
            return self.on_hello(from, datagram, now);
        }
        let verdict = match (self.on_link_datagram(from, datagram, now), self.config.demux) {
            (Some(verdict), _) => verdict,
            (None, Demux::BySource) => Verdict::Dropped(Lock::Demux),
            (None, Demux::EverySession) => self.offer_to_every_session(datagram, now),
        };
        if verdict == Verdict::Dropped(Lock::Demux) {
            self.drop_datagram(DatagramDrop::NoSession);
            self.advise(from, datagram, now);
        }
        verdict
    }

    fn note_stray(&mut self, from: SocketAddr, datagram: &[u8], verdict: Verdict, now: Instant) {
        if verdict == Verdict::Dropped(Lock::Identity)
            // An opening that goes on says at its end what was wrong with its attempts.
            && let Some(trouble) = self.links.get(&from).and_then(|link| link.association.trouble())
        {
            self.strays.note_refusal(&trouble);
        }
        self.strays.note_datagram(from, datagram, (verdict, self.last_reason), now);
    }

    /// Tells whoever holds on to a session that is not known here. His next hello comes within a quarter of
    /// a second, and without a word he would miss us for 1.75 s.
    fn advise(&mut self, from: SocketAddr, datagram: &[u8], now: Instant) {
        if self.config.healing == Healing::Off || self.is_shut_down {
            return;
        }
        let Some(advice) = advice_for(datagram) else {
            return;
        };
        if self.advice_bucket.take(now) {
            self.counters.advice_given += 1;
            self.outbound.push(from, &advice);
        }
    }

    /// Returns why the last datagram went no further than its verdict says, if it was dropped.
    #[must_use]
    pub fn last_reason(&self) -> Option<Reason> {
        self.last_reason
    }

    /// Starts to replace the session with a neighbour by one with other keys, as its age would. Says
    /// whether there is a session, and none already on its way to replace it.
    pub fn rekey(&mut self, neighbour: NodeId, now: Instant) -> bool {
        self.with_link_of(neighbour, now, |association| association.rekey(now)).unwrap_or(false)
    }

    /// Asks for a renegotiation of the session with a neighbour, which only an experiment wants.
    ///
    /// # Errors
    /// Says that there is no session, or why OpenSSL refuses to ask.
    pub fn renegotiate(&mut self, neighbour: NodeId, now: Instant) -> Result<(), String> {
        self.with_link_of(neighbour, now, |association| association.renegotiate(now))
            .unwrap_or_else(|| Err("there is no session with it".to_owned()))
    }

    fn with_link_of<T>(
        &mut self,
        neighbour: NodeId,
        now: Instant,
        act: impl FnOnce(&mut Association) -> T,
    ) -> Option<T> {
        let address = self.neighbours.get(&neighbour)?.address()?;
        let result = act(&mut self.links.get_mut(&address)?.association);
        self.settle_link(address, now);
        Some(result)
    }

    fn drop_datagram(&mut self, reason: DatagramDrop) {
        self.last_reason = Some(Reason::Datagram(reason));
        self.counters.drop_datagram(reason);
    }

    /// Lets every timer that is due run: hellos, dialling, retransmission, deadlines.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.latest = now;
        if self.is_shut_down {
            return;
        }
        for address in self.links.due(now) {
            let Some(link) = self.links.get_mut(&address) else {
                continue;
            };
            if link.retires_at.is_some_and(|at| at <= now) {
                self.remove_link(address);
                continue;
            }
            link.association.handle_timeout(now);
            self.settle_link(address, now);
        }
        self.run_neighbour_timers(now);
        self.run_inner_timers(now);
        self.run_probes(now);
        self.run_routing_timers(now);
        self.pass_routing_on();
    }

    /// Says close_notify to every neighbour and ends every session, for good: what comes in later
    /// finds no session, and no timer runs.
    pub fn shutdown(&mut self, now: Instant) {
        self.is_shut_down = true;
        self.close_inner(now);
        for address in self.links.addresses() {
            if let Some(link) = self.links.get_mut(&address) {
                link.association.close(now);
            }
            self.settle_link(address, now);
        }
    }

    /// Takes the next batch of datagrams to send, until there is none.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.seal_waiting();
        self.outbound.pop()
    }

    /// Takes a batch's buffer back, so that the next one need not allocate.
    pub fn recycle(&mut self, bytes: Vec<u8>) {
        self.outbound.recycle(bytes);
    }

    /// Takes the next event, until there is none.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Returns when [`Self::handle_timeout`] wants to be called next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.is_shut_down {
            return None;
        }
        let neighbours = self.neighbours.poll_timeout();
        let routing = self.router.as_ref().and_then(|router| router.poll_timeout());
        let sessions = self.links.poll_timeout().into_iter().chain(self.inner.sessions.poll_timeout());
        let rates = self.queues.poll_timeout().filter(|_| self.outbound.has_room());
        neighbours.into_iter().chain(sessions).chain(routing).chain(self.probes_at()).chain(rates).min()
    }

    /// Returns our own id.
    #[must_use]
    pub fn id(&self) -> NodeId {
        self.us
    }

    /// Returns the size of the largest datagram that is sent.
    #[must_use]
    pub fn mtu(&self) -> usize {
        usize::from(self.config.mtu)
    }

    /// Returns what was counted so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let mut counters = self.counters.clone();
        counters.records_discarded.add(&self.links.discards());
        counters.inner_discarded = self.inner.discards();
        counters.frames_queued += self.inner.waiting() + self.queues.frames() as u64;
        if self.outbound.refused() > 0 {
            counters.datagrams_dropped.insert(DatagramDrop::QueueFull, self.outbound.refused());
        }
        counters
    }

    /// Returns the secrets of the live session with a neighbour, with which anyone can read it and
    /// forge it.
    #[must_use]
    pub fn session_secrets(&self, neighbour: NodeId) -> Option<&SessionSecrets> {
        self.link_of(neighbour)?.association.session()?.secrets()
    }

    /// Returns which side of the live session with a neighbour we are.
    #[must_use]
    pub fn session_role(&self, neighbour: NodeId) -> Option<Role> {
        Some(self.link_of(neighbour)?.association.session()?.role())
    }

    /// Returns what the sessions with whoever is at this address discarded.
    #[must_use]
    pub fn discards_at(&self, address: SocketAddr) -> Option<DiscardCounts> {
        self.links.get(&address).map(|link| link.association.discards())
    }

    /// Lists the datagrams that went no further than a lock, oldest first: the last ones, where
    /// [`NodeConfig::strays_kept`] says how many.
    pub fn strays(&self) -> impl Iterator<Item = &Stray> {
        self.strays.datagrams()
    }

    /// Lists the frames that were dropped, oldest first: the last ones, as many as strays.
    pub fn dropped_frames(&self) -> impl Iterator<Item = &DroppedFrame> {
        self.strays.frames()
    }

    fn link_of(&self, neighbour: NodeId) -> Option<&Link> {
        let address = self.neighbours.get(&neighbour)?.address()?;
        self.links.get(&address)
    }

    fn on_hello(&mut self, from: SocketAddr, datagram: &[u8], now: Instant) -> Verdict {
        let hello = match self.strangers.receive(from, datagram, now) {
            Ok(Reception::Challenge(challenge)) => {
                self.counters.hellos_challenged += 1;
                self.outbound.push(from, &challenge);
                return Verdict::Challenged;
            }
            Ok(Reception::Welcome(hello)) => hello,
            Ok(Reception::Drop(reason)) => {
                self.drop_datagram(reason);
                return Verdict::Dropped(Lock::Gate);
            }
            Err(error) => {
                tracing::error!(%error, "A cookie could not be computed");
                return Verdict::Dropped(Lock::Gate);
            }
        };
        let made = if let Some(link) = self.links.get_mut(&from) {
            link.association.handle_hello(&hello, now)
        } else if !self.make_room_for_half_open(from, now) {
            self.drop_datagram(DatagramDrop::HalfOpenFull);
            return Verdict::Dropped(Lock::Gate);
        } else {
            let config = self.association_config(self.admission.clone(), Precedence::Theirs);
            Association::accept(config, &hello, now).map(|association| {
                self.links.insert(from, Link::new(association, None));
            })
        };
        if let Err(error) = made {
            tracing::error!(%error, %from, "No session could be made for a hello");
        }
        self.settle_link(from, now);
        Verdict::Accepted
    }

    /// Sees to it that one more handshake can be half open. Where all places are taken, the site that
    /// has most of them gives one up: or one host with an address of its own could keep everyone out.
    fn make_room_for_half_open(&mut self, newcomer: SocketAddr, now: Instant) -> bool {
        if self.links.half_open() < HALF_OPEN_MAX {
            return true;
        }
        let Some(oldest) = self.links.half_open_in_favour_of(newcomer.ip()) else {
            return false;
        };
        if let Some(link) = self.links.get_mut(&oldest) {
            link.association.close(now);
        }
        self.settle_link(oldest, now);
        true
    }

    /// Gives a datagram to the link at this address; returns `None` when there is none.
    fn on_link_datagram(&mut self, address: SocketAddr, datagram: &[u8], now: Instant) -> Option<Verdict> {
        let link = self.links.get_mut(&address)?;
        // The arena leaves `self` while its frames are dealt with, and comes back with its memory.
        let mut plaintexts = std::mem::take(&mut self.plaintexts);
        plaintexts.clear();
        let outcome = link.association.handle_datagram(datagram, &mut plaintexts, now);
        link.traffic.receive(&plaintexts);
        let refused_before = self.counters.peers_refused;
        if let Some(peer) = self.settle_link(address, now) {
            for index in 0..plaintexts.len() {
                if let Some(frame) = plaintexts.get_mut(index) {
                    self.on_frame(peer, frame, now);
                }
            }
        }
        self.plaintexts = plaintexts;
        if self.counters.peers_refused > refused_before {
            self.last_reason = Some(Reason::PeerRefused);
            return Some(Verdict::Dropped(Lock::Identity));
        }
        self.last_reason = Reason::of(outcome);
        Some(Verdict::of(outcome))
    }

    fn offer_to_every_session(&mut self, datagram: &[u8], now: Instant) -> Verdict {
        let mut farthest = (Verdict::Dropped(Lock::Demux), None);
        for address in self.links.live_addresses() {
            let Some(verdict) = self.on_link_datagram(address, datagram, now) else {
                continue;
            };
            if verdict == Verdict::Accepted {
                return verdict;
            }
            if verdict.depth() > farthest.0.depth() {
                farthest = (verdict, self.last_reason);
            }
        }
        self.last_reason = farthest.1;
        farthest.0
    }

    fn association_config(&self, admission: Admission, precedence: Precedence) -> AssociationConfig {
        let (repeats, advice) = match self.config.healing {
            Healing::Off => (Repeats::Doubling, Advice::Ignored),
            Healing::On => (Repeats::Steady, Advice::Heeded),
        };
        let options = SessionOptions {
            mtu: self.mtu_to_begin_with(),
            admission,
            handshake_mtu: None,
            late_records: 0,
            gate: self.config.gate,
            replay_mirror: self.config.replay_mirror,
            record_layer: self.config.record_layer,
            first_timeout: self.config.first_timeout,
            repeats,
        };
        AssociationConfig {
            handshake_deadline: self.config.handshake_deadline,
            attempts: self.config.attempts,
            rekey_records: self.config.rekey_records,
            rekey_age: self.config.rekey_age,
            advice,
            ..AssociationConfig::new(self.config.context.clone(), options, precedence)
        }
    }

    fn dial(
        &mut self,
        id: NodeId,
        address: SocketAddr,
        calls_often: bool,
        now: Instant,
    ) -> Result<(), ErrorStack> {
        let admission = Admission::Rule(Arc::new(move |key| crate::node_id(key) == id));
        let mut config = self.association_config(admission, precedence(self.us, id));
        if calls_often {
            // Up to a quarter more, or all who call the same node would do so in the same instant.
            config.options.first_timeout =
                config.options.first_timeout * (512 + self.chance.next_u32() % 128) / 512;
        } else {
            config.options.repeats = Repeats::Doubling;
        }
        let association = Association::dial(config, now)?;
        self.links.insert(address, Link::new(association, Some(id)));
        Ok(())
    }
}
