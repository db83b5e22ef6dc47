//! One neighbour: whether it is there, where, and when to dial it again, and at which of its addresses.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use peerbound_dtls::{DiscardCounts, Precedence};
use peerbound_wire::NodeId;
use rand_chacha::ChaCha8Rng;

use crate::backoff::Backoff;
use crate::config::{Healing, NeighbourConfig};
use crate::liveness::{LinkState, Liveness, Silence};
use crate::mtu_search::MtuSearch;
use crate::timed_map::Timed;
use crate::traffic::Traffic;

/// Addresses of a neighbour's sessions that are remembered: a roaming one is explained by its last few.
const PLACES_MAX: usize = 4;

/// Addresses of one neighbour that are kept, those in front of the rest: each that is dialled holds a
/// handshake of 100 kB, and a host has two or three.
pub const ADDRESSES_MAX: usize = 8;

/// How long after one address the next is dialled as well (RFC 8305, 5, has the same).
const NEXT_ADDRESS_AFTER: Duration = Duration::from_millis(250);

/// How long an address that answers keeps the others waiting.
const ANSWERED_PATIENCE: Duration = Duration::from_secs(2);

/// How long a session stands before another one from elsewhere is a move, and not the second of two that
/// were dialled at once. What is left of such a dialling comes within a round trip or two.
const SETTLED_AFTER: Duration = Duration::from_secs(3);

/// A configured neighbour and its state.
#[derive(Debug)]
pub(crate) struct Neighbour {
    pub(crate) config: NeighbourConfig,
    pub(crate) state: NeighbourState,
    /// Why it was last lost or not reached, and when.
    pub(crate) last_error: Option<(String, Instant)>,
    /// Which direction was silent when its link was last given up.
    pub(crate) last_silence: Option<Silence>,
    /// The frames that its links carried which are over.
    pub(crate) traffic: Traffic,
    /// The records that its links discarded which are over.
    pub(crate) discards: DiscardCounts,
    /// Where its last sessions were.
    places: VecDeque<SocketAddr>,
    backoff: Backoff,
    healing: Healing,
    /// Where frames last passed both ways.
    last_good: Option<SocketAddr>,
    /// What its path is found to carry, where that is looked for.
    pub(crate) mtu_search: Option<MtuSearch>,
    /// The last hello's number. It counts for a whole boot: the neighbour may keep its memory of
    /// ours when we lose our session with it.
    hello_sequence: u32,
}

#[derive(Debug)]
pub(crate) enum NeighbourState {
    /// There is no session and none is being opened by us.
    Away { redial_at: Option<Instant> },
    /// A session is being opened, at one of its addresses or at several.
    Opening(Dialling),
    /// There is a session at this address.
    Up { address: SocketAddr, liveness: Box<Liveness>, announced_at: Option<Instant>, since: Instant },
}

/// The addresses at which a neighbour is dialled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dialling {
    /// Where a session is being opened.
    pub(crate) open: Vec<SocketAddr>,
    /// Where it was tried, whatever came of it.
    tried: Vec<SocketAddr>,
    last_at: Instant,
    /// When the next address is dialled as well.
    next_at: Option<Instant>,
}

impl Dialling {
    fn at(open: Vec<SocketAddr>, now: Instant) -> Self {
        Self { tried: open.clone(), open, last_at: now, next_at: None }
    }
}

impl Neighbour {
    pub(crate) fn new(mut config: NeighbourConfig, healing: Healing, now: Instant) -> Self {
        config.addresses.truncate(ADDRESSES_MAX);
        let redial_at = (!config.addresses.is_empty()).then_some(now);
        Self {
            config,
            state: NeighbourState::Away { redial_at },
            last_error: None,
            last_silence: None,
            traffic: Traffic::default(),
            discards: DiscardCounts::default(),
            places: VecDeque::new(),
            backoff: Backoff::new(healing),
            healing,
            last_good: None,
            mtu_search: None,
            hello_sequence: 0,
        }
    }

    /// Returns where to dial, the address that was good last in front. It counts even if nobody gave it:
    /// the neighbour may be where it moved to. One that nobody gave an address is not dialled.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        let given = &self.config.addresses;
        let is_dialled = |good: &SocketAddr| match self.healing {
            Healing::Off => given.contains(good),
            Healing::On => !given.is_empty(),
        };
        let first = self.last_good.filter(is_dialled);
        first.into_iter().chain(given.iter().copied().filter(|address| Some(*address) != first)).collect()
    }

    /// Lists where it is, was lately, or is dialled, as far as we know; some may stand there twice.
    pub(crate) fn known_addresses(&self) -> Vec<SocketAddr> {
        let mut known = self.addresses();
        known.extend(&self.places);
        known.extend(self.address());
        known.extend(self.opening());
        known
    }

    /// Takes other addresses to dial from here on. What is being opened, or open, stays.
    pub(crate) fn set_addresses(&mut self, mut addresses: Vec<SocketAddr>, now: Instant) {
        addresses.truncate(ADDRESSES_MAX);
        let is_new = addresses.iter().any(|address| !self.config.addresses.contains(address));
        self.config.addresses = addresses;
        let has_none = self.config.addresses.is_empty();
        match &mut self.state {
            NeighbourState::Away { redial_at } if has_none => *redial_at = None,
            NeighbourState::Away { redial_at } if is_new || redial_at.is_none() => *redial_at = Some(now),
            NeighbourState::Opening(dialling) if is_new => dialling.next_at = Some(now),
            NeighbourState::Away { .. } | NeighbourState::Opening(_) | NeighbourState::Up { .. } => {}
        }
    }

    /// Returns the address to dial if it is time to.
    pub(crate) fn due_dial(&self, now: Instant) -> Option<SocketAddr> {
        match &self.state {
            NeighbourState::Away { redial_at: Some(at) } if *at <= now => self.addresses().first().copied(),
            NeighbourState::Opening(dialling) if dialling.next_at.is_some_and(|at| at <= now) => {
                self.untried(dialling)
            }
            NeighbourState::Away { .. } | NeighbourState::Opening(_) | NeighbourState::Up { .. } => None,
        }
    }

    /// Takes over another name and other addresses to dial. Returns where attempts are to be given up, since
    /// they are made at addresses that are its no longer; a session that stands goes on.
    pub(crate) fn change(&mut self, mut config: NeighbourConfig, now: Instant) -> Vec<SocketAddr> {
        config.addresses.truncate(ADDRESSES_MAX);
        let has_moved = self.config.addresses != config.addresses;
        let dials = (!config.addresses.is_empty()).then_some(now);
        self.config = config;
        if !has_moved {
            return Vec::new();
        }
        match &self.state {
            NeighbourState::Away { .. } => {
                self.state = NeighbourState::Away { redial_at: dials };
                Vec::new()
            }
            NeighbourState::Opening(dialling) => {
                let open = dialling.open.clone();
                self.state = NeighbourState::Away { redial_at: dials };
                open
            }
            NeighbourState::Up { .. } => Vec::new(),
        }
    }

    /// Puts off the next address if one that is dialled answers, and has not had its time.
    pub(crate) fn wait_for_answered(&mut self, answers: impl Fn(&SocketAddr) -> bool, now: Instant) -> bool {
        let NeighbourState::Opening(dialling) = &mut self.state else {
            return false;
        };
        let until = dialling.last_at + ANSWERED_PATIENCE;
        let waits = now < until && dialling.open.iter().any(answers);
        if waits {
            dialling.next_at = Some(until);
        }
        waits
    }

    /// Notes that a session is being opened at an address, or cannot be for `obstacle`.
    pub(crate) fn on_dialled(
        &mut self,
        address: SocketAddr,
        obstacle: Option<&str>,
        chance: &mut ChaCha8Rng,
        now: Instant,
    ) {
        let mut dialling = match &self.state {
            NeighbourState::Opening(dialling) => dialling.clone(),
            NeighbourState::Away { .. } | NeighbourState::Up { .. } => Dialling::at(Vec::new(), now),
        };
        dialling.tried.push(address);
        if obstacle.is_none() {
            dialling.open.push(address);
            dialling.last_at = now;
        }
        self.go_on_dialling(dialling, obstacle.unwrap_or_default(), chance, now);
    }

    /// Notes that no session comes about at an address that was dialled; the others are gone on with.
    pub(crate) fn fail_at(
        &mut self,
        address: SocketAddr,
        reason: String,
        chance: &mut ChaCha8Rng,
        now: Instant,
    ) {
        let NeighbourState::Opening(dialling) = &self.state else {
            return;
        };
        let mut dialling = dialling.clone();
        dialling.open.retain(|open| *open != address);
        self.go_on_dialling(dialling, &reason, chance, now);
        self.last_error = Some((reason, now));
    }

    fn go_on_dialling(
        &mut self,
        mut dialling: Dialling,
        reason: &str,
        chance: &mut ChaCha8Rng,
        now: Instant,
    ) {
        let is_nowhere = dialling.open.is_empty();
        dialling.next_at =
            self.untried(&dialling).map(|_| if is_nowhere { now } else { now + NEXT_ADDRESS_AFTER });
        if is_nowhere && dialling.next_at.is_none() {
            self.go_away(reason.to_owned(), chance, now);
        } else {
            self.state = NeighbourState::Opening(dialling);
        }
    }

    fn untried(&self, dialling: &Dialling) -> Option<SocketAddr> {
        self.addresses().into_iter().find(|address| !dialling.tried.contains(address))
    }

    /// Goes away, to be dialled again after a while.
    pub(crate) fn go_away(&mut self, reason: String, chance: &mut ChaCha8Rng, now: Instant) {
        self.last_error = Some((reason, now));
        self.last_silence = None;
        let wait = self.backoff.next_wait(chance);
        let is_dialled = !self.config.addresses.is_empty();
        self.state = NeighbourState::Away { redial_at: is_dialled.then_some(now + wait) };
    }

    /// Goes on with sessions that are being opened already.
    pub(crate) fn go_on_opening(&mut self, open: Vec<SocketAddr>, now: Instant) {
        self.state = NeighbourState::Opening(Dialling::at(open, now));
    }

    /// Returns whether it has not been away for so long that it need not be greeted at once.
    pub(crate) fn is_called_often(&self) -> bool {
        self.backoff.is_eager()
    }

    /// Has a session at this address from here on.
    pub(crate) fn come_up(&mut self, address: SocketAddr, mtu_search: Option<MtuSearch>, now: Instant) {
        let liveness = Box::new(Liveness::new(self.hello_sequence, self.healing, now));
        self.mtu_search = mtu_search;
        self.note_place(address);
        self.state = NeighbourState::Up { address, liveness, announced_at: None, since: now };
    }

    fn note_place(&mut self, address: SocketAddr) {
        if !self.places.contains(&address) {
            self.places.push_back(address);
            if self.places.len() > PLACES_MAX {
                self.places.pop_front();
            }
        }
    }

    /// Returns whether it is dialled at an address, or had a session there.
    pub(crate) fn was_at(&self, address: SocketAddr) -> bool {
        self.config.addresses.contains(&address) || self.places.contains(&address)
    }

    /// Has its session at another address from here on; nothing else changes. Returns where it was.
    pub(crate) fn move_to(
        &mut self,
        to: SocketAddr,
        mtu_search: Option<MtuSearch>,
        now: Instant,
    ) -> Option<SocketAddr> {
        let NeighbourState::Up { address, liveness, since, .. } = &mut self.state else {
            return None;
        };
        liveness.on_session_replaced(now);
        *since = now;
        self.mtu_search = mtu_search;
        self.last_good = Some(to);
        let from = std::mem::replace(address, to);
        self.note_place(to);
        Some(from)
    }

    /// Returns whether a session with it from elsewhere would mean that it has moved there.
    pub(crate) fn may_move(&self, now: Instant) -> bool {
        self.healing == Healing::On
            && matches!(self.state, NeighbourState::Up { announced_at: Some(_), since, .. }
                if now >= since + SETTLED_AFTER)
    }

    /// Notes that frames pass both ways.
    pub(crate) fn announce(&mut self, now: Instant) -> Option<SocketAddr> {
        let NeighbourState::Up { address, announced_at, .. } = &mut self.state else {
            return None;
        };
        if announced_at.is_some() {
            return None;
        }
        *announced_at = Some(now);
        self.backoff.reset();
        self.last_good = Some(*address);
        Some(*address)
    }

    pub(crate) fn note_hello(&mut self, sequence: u32) {
        self.hello_sequence = sequence;
    }

    /// Returns the address of its session.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        match self.state {
            NeighbourState::Up { address, .. } => Some(address),
            NeighbourState::Away { .. } | NeighbourState::Opening(_) => None,
        }
    }

    /// Returns where a session with it is being opened.
    pub(crate) fn opening(&self) -> &[SocketAddr] {
        match &self.state {
            NeighbourState::Opening(dialling) => &dialling.open,
            NeighbourState::Away { .. } | NeighbourState::Up { .. } => &[],
        }
    }

    /// Returns whether frames may be sent to it.
    pub(crate) fn is_usable(&self) -> bool {
        matches!(self.state, NeighbourState::Up { announced_at: Some(_), .. })
    }

    /// Returns since when frames may be sent to it.
    pub(crate) fn up_since(&self) -> Option<Instant> {
        match self.state {
            NeighbourState::Up { announced_at, .. } => announced_at,
            NeighbourState::Away { .. } | NeighbourState::Opening(_) => None,
        }
    }

    /// Returns when it is dialled again.
    pub(crate) fn redial_at(&self) -> Option<Instant> {
        match self.state {
            NeighbourState::Away { redial_at } => redial_at,
            NeighbourState::Up { .. } | NeighbourState::Opening(_) => None,
        }
    }

    pub(crate) fn liveness(&self) -> Option<&Liveness> {
        match &self.state {
            NeighbourState::Up { liveness, .. } => Some(liveness),
            NeighbourState::Away { .. } | NeighbourState::Opening(_) => None,
        }
    }

    pub(crate) fn liveness_mut(&mut self) -> Option<&mut Liveness> {
        match &mut self.state {
            NeighbourState::Up { liveness, .. } => Some(liveness),
            NeighbourState::Away { .. } | NeighbourState::Opening(_) => None,
        }
    }

    pub(crate) fn link_state(&self, now: Instant) -> Option<LinkState> {
        match &self.state {
            NeighbourState::Up { liveness, .. } => Some(liveness.state(now)),
            NeighbourState::Away { .. } | NeighbourState::Opening(_) => None,
        }
    }
}

impl Timed for Neighbour {
    fn poll_timeout(&self) -> Option<Instant> {
        match &self.state {
            NeighbourState::Away { redial_at } => *redial_at,
            NeighbourState::Opening(dialling) => dialling.next_at,
            NeighbourState::Up { liveness, announced_at, .. } => {
                // Before frames pass both ways there is nothing to find out.
                let search = self.mtu_search.as_ref().filter(|_| announced_at.is_some());
                let search = search.and_then(MtuSearch::poll_timeout);
                Some(search.map_or(liveness.poll_timeout(), |at| at.min(liveness.poll_timeout())))
            }
        }
    }
}

/// Decides, alike at both ends, whose hello wins when both dial: that of the smaller id.
pub(crate) fn precedence(us: NodeId, them: NodeId) -> Precedence {
    if us < them { Precedence::Ours } else { Precedence::Theirs }
}
