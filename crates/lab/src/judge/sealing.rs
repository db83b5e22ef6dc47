//! Who sealed a record: the sessions of a run, their keys, and what is known of each datagram.
//!
//! The keys of a session are known only after its handshake, and its last records, the Finished
//! messages, are sent before. So a protected record that nobody's keys fit waits for the next session.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use peerbound_cid::{TLS12_CID, WireRecord};
use peerbound_dtls::{
    ContentType, Direction, ErrorStack, KeyOracle, Record, RecordNumber, Records, Role, SessionSecrets,
};

use crate::run::ID_BYTES;
use crate::trace::{DatagramId, HostIndex, Nanos, SealedBy, SessionIndex, SessionLabel, Way};

/// One datagram, as far as it is known.
#[derive(Debug, Clone, PartialEq)]
pub struct Datagram {
    /// When it was sent.
    pub at: Nanos,
    /// From whose hand.
    pub by: HostIndex,
    /// In which way it came into the world.
    pub way: Way,
    /// The source address in it.
    pub source: SocketAddr,
    /// The destination address in it.
    pub destination: SocketAddr,
    /// Its payload.
    pub bytes: Arc<[u8]>,
    /// What the scenario calls it.
    pub label: Option<String>,
    /// What it is a copy of.
    pub copy_of: Option<DatagramId>,
    /// Whether it was made by somebody who is no node, or changed under way.
    pub is_forged: bool,
    /// Whether a key sealed its first protected record.
    pub seal: Seal,
}

/// Whether a key sealed a record, and whose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seal {
    /// No record of the datagram is protected.
    Clear,
    /// No key that is known so far: a forged record, or one of a session whose keys are not known yet.
    Unknown,
    /// This one's.
    By(SealedBy),
}

impl Seal {
    /// Returns whose key it was, if that is known.
    #[must_use]
    pub fn sealed_by(self) -> Option<SealedBy> {
        match self {
            Self::By(sealed_by) => Some(sealed_by),
            Self::Clear | Self::Unknown => None,
        }
    }
}

/// The first protected record of a datagram: its number, and what it says that it carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Number {
    pub(crate) content_type: ContentType,
    pub(crate) epoch: u16,
    pub(crate) sequence: u64,
}

impl Datagram {
    /// Returns its first protected record.
    pub(crate) fn protected(&self) -> Option<Record<'_>> {
        Records::of(&self.bytes).map_while(Result::ok).find(|record| record.header.epoch > 0)
    }

    /// Returns its first record, if that one has a Connection ID (RFC 9146).
    pub(crate) fn with_id(&self) -> Option<WireRecord<'_>> {
        let is_identified = self.bytes.first() == Some(&TLS12_CID);
        WireRecord::split(&self.bytes, ID_BYTES).ok().map(|(record, _)| record).filter(|_| is_identified)
    }

    pub(crate) fn number(&self) -> Option<Number> {
        if let Some(WireRecord { number: RecordNumber { epoch, sequence }, .. }) = self.with_id() {
            // What it carries is under the seal.
            return Some(Number { content_type: ContentType::ApplicationData, epoch, sequence });
        }
        let Record { header, .. } = self.protected()?;
        Some(Number { content_type: header.content_type, epoch: header.epoch, sequence: header.sequence })
    }

    /// Returns whether every record of it is protected and carries data or an alert: such a datagram
    /// is taken by an established session or not at all.
    pub(crate) fn needs_a_session(&self) -> bool {
        if self.with_id().is_some() {
            return true;
        }
        let carried = |record: &Record<'_>| {
            matches!(record.header.content_type, ContentType::ApplicationData | ContentType::Alert)
        };
        let mut records = Records::of(&self.bytes).map_while(Result::ok).peekable();
        records.peek().is_some() && records.all(|record| record.header.epoch > 0 && carried(&record))
    }
}

/// The sessions of a run and their keys.
#[derive(Default)]
pub(crate) struct Sealing {
    oracle: KeyOracle<SessionIndex>,
    sessions: Vec<SessionLabel>,
    secrets: Vec<SessionSecrets>,
    by_random: BTreeMap<[u8; 32], SessionIndex>,
    /// Sessions by who seals for whom, newest last.
    by_ends: BTreeMap<(HostIndex, HostIndex), Vec<(SessionIndex, Direction)>>,
}

/// One end's word about a session of its own.
pub(crate) struct Claim {
    pub(crate) at: Nanos,
    pub(crate) host: HostIndex,
    pub(crate) peer: HostIndex,
    pub(crate) role: Role,
}

impl Sealing {
    /// Learns a session from one of its ends; returns it, and whether its keys are fresh knowledge.
    pub(crate) fn learn(
        &mut self,
        claim: &Claim,
        secrets: &SessionSecrets,
    ) -> Result<(SessionIndex, bool), ErrorStack> {
        if let Some(session) = self.by_random.get(&secrets.client_random).copied() {
            self.correct(session, claim);
            return Ok((session, false));
        }
        let session = SessionIndex(u32::try_from(self.sessions.len()).unwrap_or(u32::MAX));
        self.oracle.learn(session, secrets)?;
        self.secrets.push(secrets.clone());
        self.by_random.insert(secrets.client_random, session);
        let (client, server) = match claim.role {
            Role::Client => (claim.host, claim.peer),
            Role::Server => (claim.peer, claim.host),
        };
        self.sessions.push(SessionLabel {
            client,
            server,
            since: claim.at,
            suite: secrets.suite.name.to_owned(),
            keylog: secrets.keylog_line(),
        });
        self.index(session, client, server);
        Ok((session, true))
    }

    /// Where two hosts hold one key, the first end's word named perhaps the wrong one of them; the
    /// other end knows itself.
    fn correct(&mut self, session: SessionIndex, claim: &Claim) {
        let Some(label) = self.sessions.get_mut(session.0 as usize) else {
            return;
        };
        let place = match claim.role {
            Role::Client => &mut label.client,
            Role::Server => &mut label.server,
        };
        if *place == claim.host {
            return;
        }
        *place = claim.host;
        let (client, server) = (label.client, label.server);
        self.by_ends.values_mut().for_each(|sessions| sessions.retain(|(known, _)| *known != session));
        self.index(session, client, server);
    }

    fn index(&mut self, session: SessionIndex, client: HostIndex, server: HostIndex) {
        self.by_ends.entry((client, server)).or_default().push((session, Direction::ClientToServer));
        self.by_ends.entry((server, client)).or_default().push((session, Direction::ServerToClient));
    }

    /// Says who sealed a record that came from `from` for `to`, as far as is known. The sessions of
    /// these two are asked first, the newest before the others: almost always one decryption.
    pub(crate) fn identify(
        &self,
        record: &Record<'_>,
        from: HostIndex,
        to: Option<HostIndex>,
    ) -> Option<SealedBy> {
        let expected = to.and_then(|to| self.by_ends.get(&(from, to)));
        let expected = expected
            .into_iter()
            .flatten()
            .rev()
            .find(|(session, direction)| self.oracle.confirms(session.0 as usize, *direction, record));
        if let Some((session, direction)) = expected {
            return self.sealed_by(*session, *direction);
        }
        let sealed = self.oracle.identify(record)?;
        self.sealed_by(*sealed.session, sealed.direction)
    }

    /// Says who sealed a record with an id. Few runs have any, so keys are derived for each.
    pub(crate) fn identify_with_id(&self, record: &WireRecord<'_>) -> Option<SealedBy> {
        (0..).map(SessionIndex).zip(&self.secrets).find_map(|(session, secrets)| {
            let keys = secrets.record_keys().ok()?;
            [Direction::ClientToServer, Direction::ServerToClient]
                .into_iter()
                .find(|direction| record.open(keys.of(*direction)).is_ok())
                .and_then(|direction| self.sealed_by(session, direction))
        })
    }

    /// Says whether a session whose keys have just become known sealed a record.
    pub(crate) fn identify_as(&self, record: &Record<'_>, session: SessionIndex) -> Option<SealedBy> {
        [Direction::ClientToServer, Direction::ServerToClient]
            .into_iter()
            .find(|direction| self.oracle.confirms(session.0 as usize, *direction, record))
            .and_then(|direction| self.sealed_by(session, direction))
    }

    pub(crate) fn sessions(&self) -> &[SessionLabel] {
        &self.sessions
    }

    pub(crate) fn secrets(&self, session: SessionIndex) -> Option<&SessionSecrets> {
        self.secrets.get(session.0 as usize)
    }

    pub(crate) fn into_sessions(self) -> Vec<SessionLabel> {
        self.sessions
    }

    fn sealed_by(&self, session: SessionIndex, direction: Direction) -> Option<SealedBy> {
        let label = self.sessions.get(session.0 as usize)?;
        let (from, to) = match direction {
            Direction::ClientToServer => (label.client, label.server),
            Direction::ServerToClient => (label.server, label.client),
        };
        Some(SealedBy { session, from, to })
    }
}
