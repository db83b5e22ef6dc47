//! One session's record layer: numbers, window, keys and the peer's path. The endpoint that owns it
//! finds it for a record; it never looks for another.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use peerbound_dtls::{Direction, Discard, RecordKeys, RecordNumber, ReplayWindow};
use rand_chacha::ChaCha20Rng;

use crate::connection_id::ConnectionId;
use crate::endpoint::Dropped;
use crate::path::{Ends, MoveRule, Path, Step};
use crate::real_type::RealType;
use crate::record::{Form, Opened, Sealing, WireRecord};
use crate::routability::RoutabilityMessage;

/// Payloads that wait for a path to be checked: 64 x 16 KiB = 1 MiB for a session at worst.
pub const WAITING_MAX: usize = 64;

/// The epoch of every record here: the first with keys. A model needs no second handshake.
const EPOCH: u16 = 1;

/// Names a session of an endpoint, in the order in which they were added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SessionNumber(pub u32);

/// What the handshake and its extensions agreed on.
#[derive(Clone)]
pub struct SessionConfig {
    /// The keys of both directions.
    pub keys: RecordKeys,
    /// The direction in which this end writes.
    pub writes: Direction,
    /// The first number to write with: 1 behind a handshake, whose Finished was 0.
    pub first_sequence: u64,
    /// The id by which the peer shall address this end; `None` for none.
    pub own_id: Option<ConnectionId>,
    /// The id by which the peer wants to be addressed; `None` for none.
    pub peer_id: Option<ConnectionId>,
    /// This end's address and the peer's, as they were in the handshake.
    pub ends: Ends,
    /// What it takes to move the peer's address.
    pub move_rule: MoveRule,
    /// How long a challenge is waited for: 1 s, or three round trips if they are known (RFC 9853, 5.5).
    pub patience: Duration,
}

/// A datagram to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transmit {
    /// From which of our addresses, and where to.
    pub ends: Ends,
    /// One record.
    pub bytes: Vec<u8>,
    /// The message of the check in it, if it is one.
    pub says: Option<RoutabilityMessage>,
}

/// What happened in a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A record was received that is no message of the check.
    Received {
        /// Where.
        session: SessionNumber,
        /// What it is.
        real_type: RealType,
        /// What it says.
        content: Vec<u8>,
    },
    /// A challenge was sent.
    Challenged {
        /// Of whom.
        session: SessionNumber,
        /// Where to.
        address: SocketAddr,
    },
    /// The peer's address is another one.
    Moved {
        /// Whose.
        session: SessionNumber,
        /// The address before.
        from: SocketAddr,
        /// The address from here on.
        to: SocketAddr,
    },
    /// The peer answered at the address he has, and keeps it.
    Stayed {
        /// Who.
        session: SessionNumber,
        /// Where a record seemed to come from.
        candidate: SocketAddr,
    },
    /// Nobody answered at a new address; the peer keeps the one he has.
    CheckFailed {
        /// Whose check.
        session: SessionNumber,
        /// Where a record seemed to come from.
        candidate: SocketAddr,
    },
}

/// Why a payload was not sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// No session has this number.
    #[error("there is no such session")]
    NoSession,
    /// The path is being checked, and enough is waiting for the outcome.
    #[error("the path is being checked and {WAITING_MAX} payloads wait already")]
    Waiting,
    /// The record layer refused.
    #[error("the record cannot be sealed: {0}")]
    Seal(String),
}

/// What a session hands up.
#[derive(Debug, Default)]
pub(crate) struct Output {
    pub(crate) transmits: VecDeque<Transmit>,
    pub(crate) events: VecDeque<Event>,
}

pub(crate) struct Session {
    number: SessionNumber,
    keys: RecordKeys,
    writes: Direction,
    next_sequence: u64,
    window: ReplayWindow,
    /// The newest record that verified: the yardstick of RFC 9146, 6.
    newest: Option<u64>,
    own_id: Option<ConnectionId>,
    peer_id: Option<ConnectionId>,
    /// The address of ours that we prefer to be reached at.
    local: SocketAddr,
    path: Path,
    waiting: VecDeque<Vec<u8>>,
}

impl Session {
    pub(crate) fn new(number: SessionNumber, config: SessionConfig) -> Self {
        Self {
            number,
            keys: config.keys,
            writes: config.writes,
            next_sequence: config.first_sequence,
            window: ReplayWindow::default(),
            newest: None,
            own_id: config.own_id,
            peer_id: config.peer_id,
            local: config.ends.local,
            path: Path::new(config.ends.remote, config.move_rule, config.patience),
            waiting: VecDeque::new(),
        }
    }

    pub(crate) fn own_id(&self) -> Option<&ConnectionId> {
        self.own_id.as_ref()
    }

    pub(crate) fn peer(&self) -> SocketAddr {
        self.path.bound()
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.path.deadline()
    }

    /// Takes up another address of ours. The peer learns it from the next record.
    pub(crate) fn migrate(&mut self, local: SocketAddr) {
        self.local = local;
    }

    /// Sends a payload, or keeps it until it is known where the peer is (RFC 9853, 5).
    pub(crate) fn send(&mut self, payload: &[u8], output: &mut Output) -> Result<(), SendError> {
        if !self.path.is_checking() {
            let bytes = self.seal(RealType::ApplicationData, payload)?;
            let ends = Ends { local: self.local, remote: self.path.bound() };
            output.transmits.push_back(Transmit { ends, bytes, says: None });
            return Ok(());
        }
        if self.waiting.len() >= WAITING_MAX {
            return Err(SendError::Waiting);
        }
        self.waiting.push_back(payload.to_vec());
        Ok(())
    }

    /// Seals a record and leaves it to the caller.
    pub(crate) fn seal(&mut self, real_type: RealType, content: &[u8]) -> Result<Vec<u8>, SendError> {
        let id = self.peer_id.clone();
        self.seal_under(id.as_ref(), real_type, content)
    }

    /// Seals a record under an id, whosever it is.
    pub(crate) fn seal_under(
        &mut self,
        id: Option<&ConnectionId>,
        real_type: RealType,
        content: &[u8],
    ) -> Result<Vec<u8>, SendError> {
        let number = RecordNumber { epoch: EPOCH, sequence: self.next_sequence };
        let form = match id {
            None => Form::Plain,
            Some(id) => Form::Identified { id, padding: 0 },
        };
        let sealing = Sealing { real_type, number, explicit_nonce: Sealing::nonce_of(number), form };
        let bytes = sealing
            .seal(self.keys.of(self.writes), content)
            .map_err(|error| SendError::Seal(error.to_string()))?;
        self.next_sequence += 1;
        Ok(bytes)
    }

    /// Takes a record that was found to be for this session.
    pub(crate) fn handle_record(
        &mut self,
        record: &WireRecord<'_>,
        ends: Ends,
        now: Instant,
        chance: &mut ChaCha20Rng,
        output: &mut Output,
    ) -> Result<(), Dropped> {
        if record.number.epoch != EPOCH {
            return Err(Discard::WrongEpoch.into());
        }
        self.window.check(record.number.sequence)?;
        let reads = match self.writes {
            Direction::ClientToServer => Direction::ServerToClient,
            Direction::ServerToClient => Direction::ClientToServer,
        };
        let opened = record.open(self.keys.of(reads))?;
        self.window.mark(record.number.sequence);
        let is_newest = self.newest.is_none_or(|newest| newest < record.number.sequence);
        self.newest = self.newest.max(Some(record.number.sequence));

        // A record without an id was found by its address and cannot move it.
        let step = if is_newest { self.path.on_newest(ends.remote, now, chance) } else { Step::Nothing };
        self.path.credit(ends.remote, record.bytes.len());
        self.obey(step, output);
        self.on_content(opened, record.bytes.len(), ends, now, chance, output);
        Ok(())
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant, chance: &mut ChaCha20Rng, output: &mut Output) {
        let step = self.path.handle_timeout(now, chance);
        self.obey(step, output);
    }

    fn on_content(
        &mut self,
        opened: Opened,
        record_bytes: usize,
        ends: Ends,
        now: Instant,
        chance: &mut ChaCha20Rng,
        output: &mut Output,
    ) {
        let Opened { real_type, content } = opened;
        if real_type != RealType::ReturnRoutabilityCheck {
            output.events.push_back(Event::Received { session: self.number, real_type, content });
            return;
        }
        match RoutabilityMessage::decode(&content) {
            // RFC 9853, 5.4: at once, exactly one, and to where the challenge came from.
            Some(RoutabilityMessage::PathChallenge(cookie)) => {
                let answer = if ends.local == self.local {
                    RoutabilityMessage::PathResponse(cookie)
                } else {
                    RoutabilityMessage::PathDrop(cookie)
                };
                self.say(answer, ends, record_bytes, output);
            }
            Some(RoutabilityMessage::PathResponse(cookie)) => {
                let step = self.path.on_response(cookie, ends.remote);
                self.obey(step, output);
            }
            Some(RoutabilityMessage::PathDrop(cookie)) => {
                let step = self.path.on_drop(cookie, ends.remote, now, chance);
                self.obey(step, output);
            }
            None => {}
        }
    }

    fn obey(&mut self, step: Step, output: &mut Output) {
        let session = self.number;
        match step {
            Step::Nothing => {}
            Step::Challenge { to, cookie } => {
                let ends = Ends { local: self.local, remote: to };
                if self.say(RoutabilityMessage::PathChallenge(cookie), ends, 0, output) {
                    output.events.push_back(Event::Challenged { session, address: to });
                }
            }
            Step::Moved { from, to } => {
                output.events.push_back(Event::Moved { session, from, to });
                self.release(output);
            }
            Step::Stayed { candidate } => {
                output.events.push_back(Event::Stayed { session, candidate });
                self.release(output);
            }
            Step::Failed { candidate } => {
                output.events.push_back(Event::CheckFailed { session, candidate });
                self.release(output);
            }
        }
    }

    /// Sends a message of the check, unless it is more than may be sent there; says whether.
    fn say(&mut self, message: RoutabilityMessage, ends: Ends, received: usize, output: &mut Output) -> bool {
        let Ok(bytes) = self.seal(RealType::ReturnRoutabilityCheck, &message.encode()) else {
            return false;
        };
        let is_allowed = self.path.debit(ends.remote, bytes.len(), received);
        if is_allowed {
            output.transmits.push_back(Transmit { ends, bytes, says: Some(message) });
        }
        is_allowed
    }

    /// Sends what waited, to where the peer is (RFC 9853, 5: "any pending send operation is resumed").
    fn release(&mut self, output: &mut Output) {
        for payload in std::mem::take(&mut self.waiting) {
            // What waited was no longer than what was sent at once, and fails no more than that.
            let _ = self.send(&payload, output);
        }
    }
}
