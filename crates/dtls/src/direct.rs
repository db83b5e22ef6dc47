//! Seals and opens the records of an established session without OpenSSL's record layer: straight into the
//! datagram that leaves, straight out of the one that came. The handshake, its keys and every alert stay OpenSSL's.
//!
//! After the handover OpenSSL's own records of this session never reach the network: what it still writes, as an alert
//! or the last flight once more, is opened here and sealed anew under our numbers. So one writer numbers the records
//! that others see, and no nonce is used twice: `docs/decisions/0032-records-sealed-directly.md`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};

use crate::gate::{GateMode, ReplayMirror};
use crate::keys::{DirectionKeys, additional_data, nonce};
use crate::options::SessionOptions;
use crate::record::{
    ContentType, RECORD_HEADER_BYTES, Record, RecordHeader, RecordNumber, Records, SEQUENCE_MAX,
};
use crate::suite::Protection;
use crate::terms::Strictness;

/// Bytes of the tag of every AEAD suite here.
pub(crate) const TAG_BYTES: usize = 16;

/// How far our explicit nonces are from OpenSSL's: half of all. It counts up from a number drawn at random, one
/// for each record, and so do we; neither writes 2^63 records.
const NONCE_DISTANCE: u64 = 1 << 63;

/// Who protects the records of an established session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RecordLayer {
    /// We do, where the suite is an AEAD suite and the gate stands with its mirror of the replay window; else
    /// OpenSSL does.
    #[default]
    Direct,
    /// OpenSSL does.
    Openssl,
}

/// What OpenSSL wrote of an epoch-1 record last, and first: where our numbers begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Written {
    first_nonce: u64,
    next_sequence: u64,
}

impl Written {
    /// Takes in a datagram that OpenSSL wrote.
    pub(crate) fn note(noted: &mut Option<Self>, datagram: &[u8]) {
        let of_ours = Records::of(datagram).filter_map(Result::ok);
        for record in of_ours.filter(|record| record.header.epoch == 1) {
            let nonce = record.body().first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
            let written = noted.get_or_insert(Self { first_nonce: nonce, next_sequence: 0 });
            written.next_sequence = written.next_sequence.max(record.header.sequence + 1);
        }
    }
}

/// The record protection of one session, after OpenSSL handed it over.
pub(crate) struct DirectRecords {
    version: u16,
    read: Arc<DirectKey>,
    write: Arc<DirectKey>,
    next_sequence: u64,
    next_nonce: u64,
    /// Room for a record of OpenSSL's, and for the datagram in which it is sealed anew.
    opened: Vec<u8>,
    renumbered: Vec<u8>,
}

/// Why a record could not be sealed: every number is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NumbersUsedUp;

impl DirectRecords {
    /// Takes the records over, where that is wanted and possible.
    pub(crate) fn take_over(
        (read, write): (&DirectionKeys, &DirectionKeys),
        written: Option<Written>,
    ) -> Option<Self> {
        let written = written?;
        Some(Self {
            version: write.version(),
            read: Arc::new(DirectKey::new(read)?),
            write: Arc::new(DirectKey::new(write)?),
            next_sequence: written.next_sequence,
            next_nonce: written.first_nonce.wrapping_add(NONCE_DISTANCE),
            opened: Vec::new(),
            renumbered: Vec::new(),
        })
    }

    /// Adds a record around `parts`, one behind the other, to a datagram; when it fails, that is as it was.
    pub(crate) fn seal(
        &mut self,
        content_type: ContentType,
        parts: [&[u8]; 2],
        datagram: &mut Vec<u8>,
    ) -> Result<(), NumbersUsedUp> {
        let record_at = self.lay_out(content_type, parts, datagram)?;
        if self.write.seal(&mut datagram[record_at..]).is_none() {
            datagram.truncate(record_at);
            return Err(NumbersUsedUp);
        }
        Ok(())
    }

    /// Adds a record as [`Self::seal`] does, but for the sealing: it has its number, its nonce and room for its tag, and
    /// its plaintext can be read. Returns where in the datagram it begins. Whoever has the key is to seal it, once.
    pub(crate) fn lay_out(
        &mut self,
        content_type: ContentType,
        parts: [&[u8]; 2],
        datagram: &mut Vec<u8>,
    ) -> Result<usize, NumbersUsedUp> {
        if self.next_sequence > SEQUENCE_MAX {
            return Err(NumbersUsedUp);
        }
        let body_bytes = self.write.explicit_bytes + parts[0].len() + parts[1].len() + TAG_BYTES;
        let header = RecordHeader {
            content_type,
            version: self.version,
            epoch: 1,
            sequence: self.next_sequence,
            // The session has compared the plaintext with the longest there is.
            length: u16::try_from(body_bytes).unwrap_or(u16::MAX),
        };
        let explicit = self.next_nonce.to_be_bytes();
        self.next_sequence += 1;
        self.next_nonce = self.next_nonce.wrapping_add(1);
        let record_at = datagram.len();
        datagram.reserve(RECORD_HEADER_BYTES + body_bytes);
        datagram.extend_from_slice(&header.encode());
        datagram.extend_from_slice(&explicit[..self.write.explicit_bytes]);
        datagram.extend_from_slice(parts[0]);
        datagram.extend_from_slice(parts[1]);
        datagram.extend_from_slice(&[0; TAG_BYTES]);
        Ok(record_at)
    }

    /// Returns the key that seals what is laid out here.
    pub(crate) fn write_key(&self) -> &Arc<DirectKey> {
        &self.write
    }

    /// Returns the key that opens what the peer sealed.
    pub(crate) fn read_key(&self) -> &Arc<DirectKey> {
        &self.read
    }

    /// Opens a record into the front of `room`, which must hold its ciphertext and tag; returns the length of
    /// the plaintext, or `None` when the peer did not seal it.
    pub(crate) fn open(&self, record: &Record<'_>, room: &mut [u8]) -> Option<usize> {
        self.read.open(record, room)
    }

    /// Returns whether the peer sealed a record.
    pub(crate) fn recognises(&self, record: &Record<'_>) -> bool {
        let mut room = vec![0; record.body().len()];
        self.read.open(record, &mut room).is_some()
    }

    /// Puts a datagram of OpenSSL's in order before it leaves: its records of epoch 1 under our numbers. `None`
    /// when nothing of it is left.
    pub(crate) fn renumber(&mut self, datagram: &[u8]) -> Option<&[u8]> {
        let mut out = std::mem::take(&mut self.renumbered);
        out.clear();
        for record in Records::of(datagram).filter_map(Result::ok) {
            if record.header.epoch != 1 {
                out.extend_from_slice(record.bytes);
                continue;
            }
            let mut opened = std::mem::take(&mut self.opened);
            opened.resize(record.body().len(), 0);
            if let Some(len) = self.write.open(&record, &mut opened) {
                // Without numbers left, nothing is said any more.
                let _ = self.seal(record.header.content_type, [&opened[..len], &[]], &mut out);
            }
            self.opened = opened;
        }
        self.renumbered = out;
        Some(&self.renumbered[..]).filter(|datagram| !datagram.is_empty())
    }
}

/// Names one key of this process, and never another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeyId(u64);

/// One direction's key, made ready once. It knows no number and no window: with it anyone can seal what was laid out and
/// open what came, in any order and on any thread.
pub(crate) struct DirectKey {
    key: LessSafeKey,
    iv: [u8; 12],
    /// Bytes of the nonce that each record carries: 8 for GCM, none for ChaCha20-Poly1305.
    explicit_bytes: usize,
    id: KeyId,
}

impl DirectKey {
    fn new(keys: &DirectionKeys) -> Option<Self> {
        /// How many keys there were so far. Nothing but whether two are the same depends on it.
        static KEYS: AtomicU64 = AtomicU64::new(0);
        let algorithm = match keys.suite().protection {
            Protection::Aes128Gcm => &AES_128_GCM,
            Protection::Aes256Gcm => &AES_256_GCM,
            Protection::ChaCha20Poly1305 => &CHACHA20_POLY1305,
            Protection::Cbc { .. } => return None,
        };
        let (explicit_bytes, _) = keys.suite().explicit_nonce_and_tag()?;
        let (key, fixed_iv) = keys.key_and_iv();
        let mut iv = [0; 12];
        iv.get_mut(..fixed_iv.len())?.copy_from_slice(fixed_iv);
        let key = LessSafeKey::new(UnboundKey::new(algorithm, key).ok()?);
        Some(Self { key, iv, explicit_bytes, id: KeyId(KEYS.fetch_add(1, Ordering::Relaxed)) })
    }

    pub(crate) fn id(&self) -> KeyId {
        self.id
    }

    /// Seals a record where it was laid out. `None` when it was not: a record that is too short for its parts, or has
    /// more bytes than a nonce is good for, 64 GiB.
    pub(crate) fn seal(&self, record: &mut [u8]) -> Option<()> {
        let (header, body) = record.split_first_chunk_mut::<RECORD_HEADER_BYTES>()?;
        let header = RecordHeader::of(header)?;
        let (explicit, sealed) = body.split_at_mut_checked(self.explicit_bytes)?;
        let (plaintext, room) = sealed.split_at_mut_checked(sealed.len().checked_sub(TAG_BYTES)?)?;
        let authenticated = Aad::from(additional_data(&header, plaintext.len()));
        let nonce = self.nonce(header.number(), explicit);
        let tag = self.key.seal_in_place_separate_tag(nonce, authenticated, plaintext).ok()?;
        room.copy_from_slice(tag.as_ref());
        Some(())
    }

    fn nonce(&self, number: RecordNumber, explicit: &[u8]) -> Nonce {
        Nonce::assume_unique_for_key(nonce(&self.iv, number, explicit))
    }

    pub(crate) fn open(&self, record: &Record<'_>, room: &mut [u8]) -> Option<usize> {
        let (explicit, sealed) = record.body().split_at_checked(self.explicit_bytes)?;
        let plaintext_bytes = sealed.len().checked_sub(TAG_BYTES)?;
        let room = room.get_mut(..sealed.len())?;
        room.copy_from_slice(sealed);
        let authenticated = Aad::from(additional_data(&record.header, plaintext_bytes));
        let nonce = self.nonce(record.header.number(), explicit);
        self.key.open_in_place(nonce, authenticated, room).ok().map(|plaintext| plaintext.len())
    }
}

/// Returns whether the records of a session are to be taken over: not where an experiment wants to see what OpenSSL
/// makes of them.
pub(crate) fn is_wanted(options: &SessionOptions, strictness: Strictness) -> bool {
    options.record_layer == RecordLayer::Direct
        && options.gate == GateMode::On
        && options.replay_mirror == ReplayMirror::On
        && strictness == Strictness::Node
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{Direction, SessionSecrets};
    use crate::suite::Suite;

    fn records(next_sequence: u64) -> DirectRecords {
        let secrets = SessionSecrets {
            version: 0xfefd,
            suite: Suite::by_name("ECDHE-ECDSA-AES128-GCM-SHA256").unwrap(),
            client_random: [1; 32],
            server_random: [2; 32],
            master_secret: [3; 48],
        };
        let keys = secrets.record_keys().unwrap();
        let write = keys.of(Direction::ClientToServer);
        let written = Written { first_nonce: u64::MAX, next_sequence };
        DirectRecords::take_over((write, write), Some(written)).unwrap()
    }

    #[test]
    fn the_last_number_is_used_once_and_then_nothing_is_sealed() {
        let mut records = records(SEQUENCE_MAX);
        let mut datagram = Vec::new();

        assert_eq!(records.seal(ContentType::ApplicationData, [b"last", b""], &mut datagram), Ok(()));
        let len = datagram.len();
        let refused = records.seal(ContentType::ApplicationData, [b"one more", b""], &mut datagram);

        assert_eq!(refused, Err(NumbersUsedUp));
        assert_eq!(datagram.len(), len);
        let record = Record::split(&datagram).unwrap().0;
        assert_eq!(record.header.sequence, SEQUENCE_MAX);
        assert_eq!(record.body()[..8], [0x7f, 255, 255, 255, 255, 255, 255, 255], "half of all away");
    }

    #[test]
    fn without_a_record_of_openssl_nothing_is_taken_over() {
        let mut noted = None;
        Written::note(&mut noted, &[22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 3, 0, 1, 7]);
        assert_eq!(noted, None, "a record in the clear");

        Written::note(&mut noted, &[22, 254, 253, 0, 1, 0, 0, 0, 0, 0, 4, 0, 8, 0, 0, 0, 0, 0, 0, 0, 9]);
        assert_eq!(noted, Some(Written { first_nonce: 9, next_sequence: 5 }));
    }
}
