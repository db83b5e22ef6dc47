//! The key oracle: whose key sealed this record? It holds the keys of several sessions, as no
//! participant does, and so can say what a receiver cannot.

use openssl::error::ErrorStack;

use crate::keys::{Direction, RecordKeys, SessionSecrets};
use crate::record::Record;

/// Names the session that sealed a record, and the end that did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sealed<'a, L> {
    /// The label under which the session was learnt.
    pub session: &'a L,
    /// Which end wrote the record.
    pub direction: Direction,
}

/// Knows the keys of every session it was told of, under a label each.
#[derive(Clone)]
pub struct KeyOracle<L> {
    sessions: Vec<(L, RecordKeys)>,
}

impl<L> Default for KeyOracle<L> {
    fn default() -> Self {
        Self { sessions: Vec::new() }
    }
}

impl<L> KeyOracle<L> {
    /// Learns the keys of a session. The newest session is asked first.
    ///
    /// # Errors
    /// When the keys cannot be derived.
    pub fn learn(&mut self, label: L, secrets: &SessionSecrets) -> Result<(), ErrorStack> {
        self.sessions.push((label, secrets.record_keys()?));
        Ok(())
    }

    /// Returns how many sessions it knows.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// Says whether the session that was learnt as number `position`, counted from 0, sealed `record` in
    /// this direction: one decryption, where [`Self::identify`] may need two for every session.
    #[must_use]
    pub fn confirms(&self, position: usize, direction: Direction, record: &Record<'_>) -> bool {
        let session = self.sessions.get(position);
        session.is_some_and(|(_, keys)| keys.of(direction).open(record).is_some())
    }

    /// Says which session sealed `record`, and in which direction; `None` for a forged record, one in
    /// the clear, or one of an unknown session.
    #[must_use]
    pub fn identify(&self, record: &Record<'_>) -> Option<Sealed<'_, L>> {
        if record.header.epoch == 0 {
            return None;
        }
        self.sessions
            .iter()
            .rev()
            .find_map(|(session, keys)| Some(Sealed { session, direction: keys.direction_of(record)? }))
    }
}
