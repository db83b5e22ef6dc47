//! One neighbour: whether it is there, where, and when to dial it again.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use peerbound_dtls::{DiscardCounts, Precedence};
use peerbound_wire::NodeId;
use rand_chacha::ChaCha8Rng;

use crate::backoff::Backoff;
use crate::config::NeighbourConfig;
use crate::liveness::{LinkState, Liveness, Silence};
use crate::timed_map::Timed;
use crate::traffic::Traffic;

/// Addresses of a neighbour's sessions that are remembered: a roaming one is explained by its last few.
const PLACES_MAX: usize = 4;

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
    /// The last hello's number. It counts for a whole boot: the neighbour may keep its memory of
    /// ours when we lose our session with it.
    hello_sequence: u32,
}

#[derive(Debug)]
pub(crate) enum NeighbourState {
    /// There is no session and none is being opened by us.
    Away { redial_at: Option<Instant> },
    /// A session is being opened at this address.
    Opening { address: SocketAddr },
    /// There is a session at this address.
    Up { address: SocketAddr, liveness: Box<Liveness>, announced_at: Option<Instant> },
}

impl Neighbour {
    pub(crate) fn new(config: NeighbourConfig, now: Instant) -> Self {
        let redial_at = config.address.map(|_| now);
        Self {
            config,
            state: NeighbourState::Away { redial_at },
            last_error: None,
            last_silence: None,
            traffic: Traffic::default(),
            discards: DiscardCounts::default(),
            places: VecDeque::new(),
            backoff: Backoff::default(),
            hello_sequence: 0,
        }
    }

    /// Returns the address to dial if it is time to.
    pub(crate) fn due_dial(&self, now: Instant) -> Option<SocketAddr> {
        match self.state {
            NeighbourState::Away { redial_at: Some(at) } if at <= now => self.config.address,
            NeighbourState::Away { .. } | NeighbourState::Opening { .. } | NeighbourState::Up { .. } => None,
        }
    }

    /// Takes over another name and another address to dial. Returns where an attempt is to be given up, since
    /// it is made at an address that is its no longer; a session that stands goes on.
    pub(crate) fn change(&mut self, config: NeighbourConfig, now: Instant) -> Option<SocketAddr> {
        let has_moved = self.config.address != config.address;
        let dials = config.address.map(|_| now);
        self.config = config;
        match self.state {
            NeighbourState::Away { .. } if has_moved => {
                self.state = NeighbourState::Away { redial_at: dials };
                None
            }
            NeighbourState::Opening { address } if has_moved => {
                self.state = NeighbourState::Away { redial_at: dials };
                Some(address)
            }
            NeighbourState::Away { .. } | NeighbourState::Opening { .. } | NeighbourState::Up { .. } => None,
        }
    }

    /// Goes away, to be dialled again after a while.
    pub(crate) fn go_away(&mut self, reason: String, chance: &mut ChaCha8Rng, now: Instant) {
        self.last_error = Some((reason, now));
        self.last_silence = None;
        let wait = self.backoff.next_wait(chance);
        self.state = NeighbourState::Away { redial_at: self.config.address.map(|_| now + wait) };
    }

    /// Has a session at this address from here on.
    pub(crate) fn come_up(&mut self, address: SocketAddr, now: Instant) {
        let liveness = Box::new(Liveness::new(self.hello_sequence, now));
        if !self.places.contains(&address) {
            self.places.push_back(address);
            if self.places.len() > PLACES_MAX {
                self.places.pop_front();
            }
        }
        self.state = NeighbourState::Up { address, liveness, announced_at: None };
    }

    /// Returns whether it is dialled at an address, or had a session there.
    pub(crate) fn was_at(&self, address: SocketAddr) -> bool {
        self.config.address == Some(address) || self.places.contains(&address)
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
        Some(*address)
    }

    pub(crate) fn note_hello(&mut self, sequence: u32) {
        self.hello_sequence = sequence;
    }

    /// Returns the address of its session.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        match self.state {
            NeighbourState::Up { address, .. } => Some(address),
            NeighbourState::Away { .. } | NeighbourState::Opening { .. } => None,
        }
    }

    /// Returns whether a session with it is being opened at this address.
    pub(crate) fn is_opening_at(&self, address: SocketAddr) -> bool {
        matches!(self.state, NeighbourState::Opening { address: at } if at == address)
    }

    /// Returns whether frames may be sent to it.
    pub(crate) fn is_usable(&self) -> bool {
        matches!(self.state, NeighbourState::Up { announced_at: Some(_), .. })
    }

    /// Returns since when frames may be sent to it.
    pub(crate) fn up_since(&self) -> Option<Instant> {
        match self.state {
            NeighbourState::Up { announced_at, .. } => announced_at,
            NeighbourState::Away { .. } | NeighbourState::Opening { .. } => None,
        }
    }

    /// Returns when it is dialled again.
    pub(crate) fn redial_at(&self) -> Option<Instant> {
        match self.state {
            NeighbourState::Away { redial_at } => redial_at,
            NeighbourState::Up { .. } | NeighbourState::Opening { .. } => None,
        }
    }

    pub(crate) fn liveness(&self) -> Option<&Liveness> {
        match &self.state {
            NeighbourState::Up { liveness, .. } => Some(liveness),
            NeighbourState::Away { .. } | NeighbourState::Opening { .. } => None,
        }
    }

    pub(crate) fn liveness_mut(&mut self) -> Option<&mut Liveness> {
        match &mut self.state {
            NeighbourState::Up { liveness, .. } => Some(liveness),
            NeighbourState::Away { .. } | NeighbourState::Opening { .. } => None,
        }
    }

    pub(crate) fn link_state(&self, now: Instant) -> Option<LinkState> {
        match &self.state {
            NeighbourState::Up { liveness, .. } => Some(liveness.state(now)),
            NeighbourState::Away { .. } | NeighbourState::Opening { .. } => None,
        }
    }
}

impl Timed for Neighbour {
    fn poll_timeout(&self) -> Option<Instant> {
        match &self.state {
            NeighbourState::Away { redial_at } => *redial_at,
            NeighbourState::Opening { .. } => None,
            NeighbourState::Up { liveness, .. } => Some(liveness.poll_timeout()),
        }
    }
}

/// Decides, alike at both ends, whose hello wins when both dial: that of the smaller id.
pub(crate) fn precedence(us: NodeId, them: NodeId) -> Precedence {
    if us < them { Precedence::Ours } else { Precedence::Theirs }
}
