//! Records that a session numbers and judges, and that are sealed and opened elsewhere: on threads that have a key, and
//! nothing of the session besides. To seal and to open takes nearly all of the time that a record costs; to number and to
//! judge takes hardly any, and has to be done in one place.
//!
//! A number is given when a record is laid out, by the session alone, and what is laid out is sealed once: [`Unsealed`]
//! forgets each record as it seals it. What was opened is worth nothing until the session has judged its number.

use std::fmt;
use std::sync::{Arc, Weak};

use crate::direct::{DirectKey, KeyId};
use crate::record::{ContentType, Record, RecordHeader};

/// The records in some datagrams, side by side in one buffer, that are laid out and not sealed yet; all of one session.
#[derive(Default)]
pub struct Unsealed {
    key: Option<Arc<DirectKey>>,
    /// Where each record begins and ends in the buffer.
    records: Vec<(usize, usize)>,
}

impl fmt::Debug for Unsealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unsealed").field("records", &self.records).finish_non_exhaustive()
    }
}

impl Unsealed {
    /// Returns whether there is nothing to seal.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Seals the records where they lie in `datagrams`, which they were laid out in, and forgets them. One that does not
    /// lie there is wiped: nobody is to send it.
    pub fn seal(&mut self, datagrams: &mut [u8]) {
        if let Some(key) = self.key.take() {
            for (start, end) in self.records.drain(..) {
                let record = datagrams.get_mut(start..end);
                if let Some(record) = record
                    && key.seal(record).is_none()
                {
                    record.fill(0);
                }
            }
        }
    }

    /// Returns whether a record under this key may be added: there is none yet, or all are under it.
    pub(crate) fn takes(&self, key: &Arc<DirectKey>) -> bool {
        self.key.as_ref().is_none_or(|own| Arc::ptr_eq(own, key))
    }

    /// Adds a record that was laid out under a key that it [takes](Self::takes).
    pub(crate) fn add(&mut self, key: &Arc<DirectKey>, start: usize, end: usize) {
        if self.key.is_none() {
            self.key = Some(Arc::clone(key));
        }
        self.records.push((start, end));
    }
}

/// Opens the records that the peer of one session seals, for as long as there is that session.
#[derive(Clone)]
pub struct Opener {
    /// Not the key itself: whoever ends a session ends its keys.
    key: Weak<DirectKey>,
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Opener(..)")
    }
}

impl Opener {
    pub(crate) fn of(key: &Arc<DirectKey>) -> Self {
        Self { key: Arc::downgrade(key) }
    }

    /// Takes the key for the next datagrams; `None` when its session is gone.
    #[must_use]
    pub fn ready(&self) -> Option<ReadyOpener> {
        self.key.upgrade().map(ReadyOpener)
    }
}

/// An opener with its key in hand, to be let go soon.
pub struct ReadyOpener(Arc<DirectKey>);

impl ReadyOpener {
    /// Opens a datagram that is one record of application data, and adds its plaintext to `plaintexts`. `None` when it is
    /// not, or the peer did not seal it under this key: the session itself is to see it then, as it came.
    pub fn open(&self, datagram: &[u8], plaintexts: &mut Vec<u8>) -> Option<Opened> {
        let (record, rest) = Record::split(datagram).ok()?;
        let header = record.header;
        if header.content_type != ContentType::ApplicationData || header.epoch != 1 || !rest.is_empty() {
            return None;
        }
        let start = plaintexts.len();
        plaintexts.resize(start + record.body().len(), 0);
        let opened = self.0.open(&record, &mut plaintexts[start..]);
        plaintexts.truncate(start + opened.unwrap_or(0));
        opened.map(|plaintext_bytes| Opened { header, plaintext_bytes, key: self.0.id() })
    }
}

/// What is known of a record that was opened elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opened {
    /// Its header.
    pub header: RecordHeader,
    /// Bytes of its plaintext.
    pub plaintext_bytes: usize,
    pub(crate) key: KeyId,
}
