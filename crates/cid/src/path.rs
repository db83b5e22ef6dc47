//! Where a session's peer is, and the check of where he says he is now (RFC 9146, 6; RFC 9853, 5).
//! Decides and counts; whoever owns it seals and sends.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::Rng;

use crate::routability::{COOKIE_BYTES, Cookie};

/// "three times the amount of data received from an unvalidated address" (RFC 9853, 2).
pub const AMPLIFICATION_LIMIT: usize = 3;

/// Both ends of the way that a datagram took, as its receiver sees them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    /// Where it arrived.
    pub local: SocketAddr,
    /// Where it came from, by its own account.
    pub remote: SocketAddr,
}

/// What it takes to move a peer's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MoveRule {
    /// A record that verified and is the newest: the first two conditions of RFC 9146, 6. What is left
    /// out is the third, a strategy to make sure that somebody is there.
    Follow,
    /// Those two, and the peer answered a challenge at the new address (RFC 9853, 5.1).
    BasicCheck,
    /// Before that, the peer did not answer at the old one (RFC 9853, 5.2).
    EnhancedCheck,
}

/// The path to one peer.
#[derive(Debug)]
pub(crate) struct Path {
    /// Where records are sent.
    bound: SocketAddr,
    rule: MoveRule,
    /// T of RFC 9853, 5.5.
    patience: Duration,
    check: Option<Check>,
}

/// A check that goes on.
#[derive(Debug)]
struct Check {
    candidate: SocketAddr,
    /// Bytes of records that came from the candidate, those that were discarded left out.
    received: usize,
    /// Bytes that went to it.
    sent: usize,
    asked: Asked,
    cookie: Cookie,
    deadline: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Old,
    New,
}

/// What follows from something that happened to a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Nothing,
    /// A challenge is to be sent.
    Challenge {
        to: SocketAddr,
        cookie: Cookie,
    },
    /// The peer is elsewhere from here on.
    Moved {
        from: SocketAddr,
        to: SocketAddr,
    },
    /// The peer answered at the old address, so the record from the new one was not his doing.
    Stayed {
        candidate: SocketAddr,
    },
    /// Nobody answered at the new address in time.
    Failed {
        candidate: SocketAddr,
    },
}

impl Path {
    pub(crate) fn new(bound: SocketAddr, rule: MoveRule, patience: Duration) -> Self {
        Self { bound, rule, patience, check: None }
    }

    pub(crate) fn bound(&self) -> SocketAddr {
        self.bound
    }

    pub(crate) fn is_checking(&self) -> bool {
        self.check.is_some()
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.check.as_ref().map(|check| check.deadline)
    }

    /// Takes note of a record with an id that verified and is the newest of its session. A candidate
    /// that comes up while another is checked has to come again (RFC 9853, 5: nested rebindings).
    pub(crate) fn on_newest(&mut self, from: SocketAddr, now: Instant, chance: &mut ChaCha20Rng) -> Step {
        if from == self.bound || self.check.is_some() {
            return Step::Nothing;
        }
        match self.rule {
            MoveRule::Follow => {
                let old = std::mem::replace(&mut self.bound, from);
                Step::Moved { from: old, to: from }
            }
            MoveRule::BasicCheck => self.ask(Asked::New, from, now, chance),
            MoveRule::EnhancedCheck => self.ask(Asked::Old, from, now, chance),
        }
    }

    /// Counts a record that was not discarded, for the limit on what may be sent back.
    pub(crate) fn credit(&mut self, from: SocketAddr, bytes: usize) {
        if let Some(check) = self.check.as_mut().filter(|check| check.candidate == from) {
            check.received = check.received.saturating_add(bytes);
        }
    }

    /// Says whether `bytes` may be sent to an address in answer to `received` ones from it, and counts
    /// them where it is the candidate's.
    pub(crate) fn debit(&mut self, to: SocketAddr, bytes: usize, received: usize) -> bool {
        if to == self.bound {
            return true;
        }
        let Some(check) = self.check.as_mut().filter(|check| check.candidate == to) else {
            return bytes <= received.saturating_mul(AMPLIFICATION_LIMIT);
        };
        let is_allowed = check.sent + bytes <= check.received.saturating_mul(AMPLIFICATION_LIMIT);
        if is_allowed {
            check.sent += bytes;
        }
        is_allowed
    }

    /// A response settles the check if it comes from where the challenge went (RFC 9853, 5.1, 4 and
    /// 5.2, 4); what else comes is discarded silently (RFC 9853, 5.4).
    pub(crate) fn on_response(&mut self, cookie: Cookie, from: SocketAddr) -> Step {
        let Some(check) = self.check.take_if(|check| check.cookie == cookie) else {
            return Step::Nothing;
        };
        match check.asked {
            Asked::New if from == check.candidate => {
                let old = std::mem::replace(&mut self.bound, check.candidate);
                Step::Moved { from: old, to: check.candidate }
            }
            Asked::Old if from == self.bound => Step::Stayed { candidate: check.candidate },
            Asked::New | Asked::Old => {
                self.check = Some(check);
                Step::Nothing
            }
        }
    }

    /// The peer says that he left the old path on purpose: the new one is asked (RFC 9853, 5.2, 4).
    pub(crate) fn on_drop(
        &mut self,
        cookie: Cookie,
        from: SocketAddr,
        now: Instant,
        chance: &mut ChaCha20Rng,
    ) -> Step {
        let bound = self.bound;
        match &self.check {
            Some(check) if check.asked == Asked::Old && check.cookie == cookie && from == bound => {
                self.ask(Asked::New, check.candidate, now, chance)
            }
            Some(_) | None => Step::Nothing,
        }
    }

    /// T has expired: the new path is asked if the old one was, and otherwise that was it.
    pub(crate) fn handle_timeout(&mut self, now: Instant, chance: &mut ChaCha20Rng) -> Step {
        let Some(check) = self.check.as_ref().filter(|check| check.deadline <= now) else {
            return Step::Nothing;
        };
        let candidate = check.candidate;
        match check.asked {
            Asked::Old => self.ask(Asked::New, candidate, now, chance),
            Asked::New => {
                self.check = None;
                Step::Failed { candidate }
            }
        }
    }

    /// Begins a check, or its second half. Every challenge has a cookie of its own (RFC 9853, 5.3).
    fn ask(&mut self, asked: Asked, candidate: SocketAddr, now: Instant, chance: &mut ChaCha20Rng) -> Step {
        let mut cookie = [0; COOKIE_BYTES];
        chance.fill_bytes(&mut cookie);
        let cookie = Cookie(cookie);
        let (received, sent) = self.check.as_ref().map_or((0, 0), |check| (check.received, check.sent));
        let deadline = now + self.patience;
        self.check = Some(Check { candidate, received, sent, asked, cookie, deadline });
        let to = match asked {
            Asked::Old => self.bound,
            Asked::New => candidate,
        };
        Step::Challenge { to, cookie }
    }
}
