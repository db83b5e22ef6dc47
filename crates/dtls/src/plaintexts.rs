//! An arena for the plaintexts of one datagram, owned by the caller and used again and again, so
//! that opening a record allocates nothing.

use crate::direct::TAG_BYTES;
use crate::ffi::PLAINTEXT_BYTES_MAX;

/// The plaintexts that came out of one or more datagrams, in order.
#[derive(Debug, Default)]
pub struct Plaintexts {
    /// Always initialised to its whole length, of which `used` bytes carry meaning.
    bytes: Vec<u8>,
    used: usize,
    ends: Vec<usize>,
}

impl Plaintexts {
    /// Makes an empty arena; the first record makes it grow to some 16 KiB.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets what it holds and keeps its memory.
    pub fn clear(&mut self) {
        self.used = 0;
        self.ends.clear();
    }

    /// Returns how many plaintexts it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Returns how many bytes they have, all together.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.used
    }

    /// Returns whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Returns one plaintext, writable: a relay changes a header where it lies.
    pub fn get_mut(&mut self, index: usize) -> Option<&mut [u8]> {
        let end = *self.ends.get(index)?;
        let start = index.checked_sub(1).map_or(0, |previous| self.ends[previous]);
        self.bytes.get_mut(start..end)
    }

    /// Walks over the plaintexts in order of arrival.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.bytes[start..*end])
    }

    /// Lends room for the plaintext of a whole record, and for its tag.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        let needed = self.used + PLAINTEXT_BYTES_MAX + TAG_BYTES;
        if self.bytes.len() < needed {
            self.bytes.resize(needed, 0);
        }
        &mut self.bytes[self.used..]
    }

    /// Adds a plaintext that was opened elsewhere.
    pub(crate) fn append(&mut self, plaintext: &[u8]) {
        let Some(room) = self.room().get_mut(..plaintext.len()) else { return };
        room.copy_from_slice(plaintext);
        self.commit(plaintext.len());
    }

    /// Notes that the first `count` bytes of the room are a plaintext.
    pub(crate) fn commit(&mut self, count: usize) {
        self.used += count;
        self.ends.push(self.used);
    }
}
