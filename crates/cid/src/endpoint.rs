//! One end of several sessions: finds the session of a record, by its id or by its address, and says
//! what became of each datagram.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::time::Instant;

use peerbound_dtls::{Discard, Malformation};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::connection_id::ConnectionId;
use crate::path::Ends;
use crate::real_type::RealType;
use crate::record::{WireForm, WireRecord};
use crate::session::{Event, Output, SendError, Session, SessionConfig, SessionNumber, Transmit};

/// Sessions of one endpoint: an experiment has three; 1024 x 1 MiB of waiting payloads at worst.
const SESSIONS_MAX: usize = 1024;

/// What an endpoint is made with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointConfig {
    /// How long the ids are that it hands out. All are of one length, since a record does not say how
    /// long its id is (RFC 9146, 3).
    pub id_bytes: usize,
    /// Whence the cookies come.
    pub seed: [u8; 32],
}

/// Where a record ended that was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dropped {
    /// No session has this id, or without one this address.
    NoSession,
    /// The address is that of a session whose peer was told an id, and the record has none
    /// (RFC 9146, 3: "If the check fails, then the datagram MUST be dropped").
    WithoutId,
    /// The session's record layer discarded it.
    Discarded(Discard),
}

impl Dropped {
    /// Returns the reason as one short word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NoSession => "no-session",
            Self::WithoutId => "without-id",
            Self::Discarded(discard) => discard.name(),
        }
    }

    /// Returns the lock that stopped it, in the words of the project.
    #[must_use]
    pub fn lock(self) -> &'static str {
        match self {
            Self::NoSession => "demux",
            Self::WithoutId | Self::Discarded(Discard::Malformed(_) | Discard::WrongEpoch) => "gate",
            Self::Discarded(Discard::Replay | Discard::TooOld) => "replay",
            Self::Discarded(Discard::BadMac) => "record-auth",
        }
    }
}

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl From<Discard> for Dropped {
    fn from(discard: Discard) -> Self {
        Self::Discarded(discard)
    }
}

impl From<Malformation> for Dropped {
    fn from(malformation: Malformation) -> Self {
        Self::Discarded(malformation.into())
    }
}

/// One end of several sessions.
pub struct Endpoint {
    id_bytes: usize,
    sessions: BTreeMap<SessionNumber, Session>,
    by_id: BTreeMap<ConnectionId, SessionNumber>,
    chance: ChaCha20Rng,
    output: Output,
}

impl Endpoint {
    /// Makes an endpoint without sessions.
    #[must_use]
    pub fn new(config: &EndpointConfig) -> Self {
        Self {
            id_bytes: config.id_bytes,
            sessions: BTreeMap::new(),
            by_id: BTreeMap::new(),
            chance: ChaCha20Rng::from_seed(config.seed),
            output: Output::default(),
        }
    }

    /// Adds a session.
    ///
    /// # Errors
    /// When its id is not of the endpoint's length or is taken, or there are too many.
    pub fn add(&mut self, config: SessionConfig) -> Result<SessionNumber, AddError> {
        if self.sessions.len() >= SESSIONS_MAX {
            return Err(AddError::Full);
        }
        let number = SessionNumber(u32::try_from(self.sessions.len()).expect("there are few"));
        if let Some(id) = &config.own_id {
            let len = id.as_bytes().len();
            if len != self.id_bytes {
                return Err(AddError::IdLength { len, expected: self.id_bytes });
            }
            if self.by_id.contains_key(id) {
                return Err(AddError::IdTaken);
            }
            self.by_id.insert(id.clone(), number);
        }
        self.sessions.insert(number, Session::new(number, config));
        Ok(number)
    }

    /// Returns where a session's peer is held to be.
    #[must_use]
    pub fn peer(&self, session: SessionNumber) -> Option<SocketAddr> {
        self.sessions.get(&session).map(Session::peer)
    }

    /// Sends a payload to a session's peer, or keeps it while his path is checked.
    ///
    /// # Errors
    /// Says why not.
    pub fn send(&mut self, session: SessionNumber, payload: &[u8]) -> Result<(), SendError> {
        let found = self.sessions.get_mut(&session).ok_or(SendError::NoSession)?;
        found.send(payload, &mut self.output)
    }

    /// Seals a payload as the next record of a session and leaves it in the caller's hands, for
    /// experiments that let it take another way.
    ///
    /// # Errors
    /// Says why not.
    pub fn seal(&mut self, session: SessionNumber, payload: &[u8]) -> Result<Vec<u8>, SendError> {
        let found = self.sessions.get_mut(&session).ok_or(SendError::NoSession)?;
        found.seal(RealType::ApplicationData, payload)
    }

    /// Seals as [`Self::seal`] does, and writes another id into the record: the sender has the keys of
    /// one session and means another.
    ///
    /// # Errors
    /// Says why not.
    pub fn seal_under(
        &mut self,
        session: SessionNumber,
        id: &ConnectionId,
        payload: &[u8],
    ) -> Result<Vec<u8>, SendError> {
        let found = self.sessions.get_mut(&session).ok_or(SendError::NoSession)?;
        found.seal_under(Some(id), RealType::ApplicationData, payload)
    }

    /// Takes up another of our addresses in a session, on purpose: a challenge that still comes to the
    /// old one is answered by `path_drop` (RFC 9853, 5.2).
    ///
    /// # Errors
    /// When there is no such session.
    pub fn migrate(&mut self, session: SessionNumber, local: SocketAddr) -> Result<(), SendError> {
        self.sessions.get_mut(&session).ok_or(SendError::NoSession)?.migrate(local);
        Ok(())
    }

    /// Takes a datagram. One record that was taken makes it accepted.
    ///
    /// # Errors
    /// Says why the first record was not taken, if none was.
    pub fn handle_datagram(&mut self, datagram: &[u8], ends: Ends, now: Instant) -> Result<(), Dropped> {
        let mut verdict = None;
        let mut rest = datagram;
        while !rest.is_empty() {
            let result = match WireRecord::split(rest, self.id_bytes) {
                Ok((record, behind)) => {
                    rest = behind;
                    self.handle_record(&record, ends, now)
                }
                Err(malformation) => {
                    rest = &[];
                    Err(malformation.into())
                }
            };
            verdict =
                Some(verdict.map_or(result, |so_far: Result<(), Dropped>| so_far.or(result.or(so_far))));
        }
        verdict.unwrap_or(Err(Malformation::Empty.into()))
    }

    /// Returns when [`Self::handle_timeout`] is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.sessions.values().filter_map(Session::deadline).min()
    }

    /// Gives up the challenges that nobody answered in time.
    pub fn handle_timeout(&mut self, now: Instant) {
        for session in self.sessions.values_mut() {
            session.handle_timeout(now, &mut self.chance, &mut self.output);
        }
    }

    /// Returns the next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.output.transmits.pop_front()
    }

    /// Returns the next thing that happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.output.events.pop_front()
    }

    fn handle_record(&mut self, record: &WireRecord<'_>, ends: Ends, now: Instant) -> Result<(), Dropped> {
        let number = self.session_of(record, ends.remote)?;
        let session = self.sessions.get_mut(&number).ok_or(Dropped::NoSession)?;
        session.handle_record(record, ends, now, &mut self.chance, &mut self.output)
    }

    /// Finds the session of a record (RFC 9146, 3): by its id; without one by its address, and then
    /// the session must be one that expects none.
    fn session_of(&self, record: &WireRecord<'_>, remote: SocketAddr) -> Result<SessionNumber, Dropped> {
        match record.form {
            WireForm::Identified(id) => {
                let id = ConnectionId::new(id).map_err(|_| Dropped::NoSession)?;
                self.by_id.get(&id).copied().ok_or(Dropped::NoSession)
            }
            WireForm::Plain(_) => {
                let mut at_address = self.sessions.iter().filter(|(_, session)| session.peer() == remote);
                let mut without_id = at_address.clone().filter(|(_, session)| session.own_id().is_none());
                match (without_id.next(), at_address.next()) {
                    (Some((number, _)), _) => Ok(*number),
                    (None, Some(_)) => Err(Dropped::WithoutId),
                    (None, None) => Err(Dropped::NoSession),
                }
            }
        }
    }
}

/// Why a session was not added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddError {
    /// Its own id is not as long as those of the endpoint.
    #[error("an id of {len} bytes, where all have {expected}")]
    IdLength {
        /// How long it is.
        len: usize,
        /// How long all are.
        expected: usize,
    },
    /// Another session has the id.
    #[error("another session has this id")]
    IdTaken,
    /// The endpoint has as many as it may.
    #[error("the endpoint has {SESSIONS_MAX} sessions already")]
    Full,
}
