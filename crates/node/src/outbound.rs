//! Datagrams on their way out, batched by destination so that one system call can send many
//! (UDP generic segmentation offload takes equal-sized segments to one destination).

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::net::SocketAddr;

use peerbound_dtls::Unsealed;

/// Segments in one batch: the kernel's limit for UDP GSO.
pub const BATCH_SEGMENTS_MAX: usize = 64;

/// Bytes in one batch: 65535 less the IP and UDP headers, rounded down.
pub const BATCH_BYTES_MAX: usize = 65_000;

/// Bytes of data that may be sealed ahead. Owners drain after every input, so only a burst fills it; what
/// comes then waits unsealed.
pub const OUTBOUND_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Bytes beyond that which hellos, handshakes and challenges may take: a full queue of data must not
/// cost the links that would empty it. 2000 hellos of 120 bytes.
const CONTROL_BYTES_RESERVED: usize = 256 * 1024;

/// Buffers kept for the next batches: 32 x 64 KiB = 2 MiB.
const POOL_MAX: usize = 32;

/// Datagrams to one destination, side by side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transmit {
    /// Where they go.
    pub destination: SocketAddr,
    /// The datagrams; all are `segment_bytes` long but the last, which may be shorter.
    pub bytes: Vec<u8>,
    /// The length of each but the last.
    pub segment_bytes: usize,
}

impl Transmit {
    /// Walks over the datagrams.
    pub fn datagrams(&self) -> impl Iterator<Item = &[u8]> {
        self.bytes.chunks(self.segment_bytes.max(1))
    }
}

/// A [`Transmit`] whose records may still have to be sealed: it can be sent when that is done.
#[derive(Debug)]
pub struct UnsealedTransmit {
    transmit: Transmit,
    unsealed: Unsealed,
}

impl UnsealedTransmit {
    /// Returns where the datagrams go.
    #[must_use]
    pub fn destination(&self) -> SocketAddr {
        self.transmit.destination
    }

    /// Returns how many bytes they have.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.transmit.bytes.len()
    }

    /// Seals what is not sealed, on whatever thread this is. What is left of the list is for [`crate::Node::recycle_list`].
    #[must_use]
    pub fn seal(mut self) -> (Transmit, Unsealed) {
        self.unsealed.seal(&mut self.transmit.bytes);
        (self.transmit, self.unsealed)
    }
}

/// The batches that wait, oldest first.
#[derive(Debug)]
pub(crate) struct Outbound {
    /// Bytes of data that may be sealed ahead, as the owner says.
    room: usize,
    batches: VecDeque<UnsealedTransmit>,
    /// How many batches have left, so that positions can be named for good.
    taken: u64,
    /// The newest batch for a destination, by position, while it takes more.
    open: BTreeMap<SocketAddr, u64>,
    bytes: usize,
    refused: u64,
    pool: Vec<Vec<u8>>,
    lists: Vec<Unsealed>,
}

impl Outbound {
    pub(crate) fn new() -> Self {
        Self {
            room: OUTBOUND_BYTES_MAX,
            batches: VecDeque::new(),
            taken: 0,
            open: BTreeMap::new(),
            bytes: 0,
            refused: 0,
            pool: Vec::new(),
            lists: Vec::new(),
        }
    }

    /// Says how many bytes of data may be sealed ahead.
    pub(crate) fn set_room(&mut self, bytes: usize) {
        self.room = bytes.min(OUTBOUND_BYTES_MAX);
    }

    /// Returns the bytes of data that may be sealed ahead.
    pub(crate) fn room(&self) -> usize {
        self.room
    }

    /// Returns whether another datagram of data may be sealed.
    pub(crate) fn has_room(&self) -> bool {
        self.bytes < self.room
    }

    /// Returns how many datagrams found no room.
    pub(crate) fn refused(&self) -> u64 {
        self.refused
    }

    /// Adds a datagram behind all others for the same destination. Without room it is dropped and
    /// counted, as a full socket buffer would: handshakes send again, strangers ask again.
    pub(crate) fn push(&mut self, destination: SocketAddr, datagram: &[u8]) {
        let written = self.write(destination, datagram.len(), |bytes, _| {
            bytes.extend_from_slice(datagram);
            Ok::<_, Infallible>(())
        });
        written.unwrap_or_else(|never| match never {});
    }

    /// Adds a datagram as [`Self::push`] does one of `len` bytes, which `write` adds to what it is given; where its record
    /// is to be sealed later, it says so there. When it fails there is no datagram.
    pub(crate) fn write<E>(
        &mut self,
        destination: SocketAddr,
        len: usize,
        write: impl FnOnce(&mut Vec<u8>, &mut Unsealed) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.bytes >= OUTBOUND_BYTES_MAX + CONTROL_BYTES_RESERVED {
            self.refused += 1;
            return Ok(());
        }
        if let Some(position) = self.open.get(&destination).copied() {
            let index = usize::try_from(position.wrapping_sub(self.taken)).unwrap_or(usize::MAX);
            if let Some(UnsealedTransmit { transmit: batch, unsealed }) = self.batches.get_mut(index)
                && fits(batch, len, self.room)
            {
                let before = batch.bytes.len();
                write(&mut batch.bytes, unsealed).inspect_err(|_| batch.bytes.truncate(before))?;
                debug_assert_eq!(batch.bytes.len() - before, len, "segments of a batch have one length");
                self.bytes += len;
                if len < batch.segment_bytes {
                    self.open.remove(&destination);
                }
                return Ok(());
            }
        }
        let mut bytes = self.pool.pop().unwrap_or_default();
        let mut unsealed = self.lists.pop().unwrap_or_default();
        if let Err(error) = write(&mut bytes, &mut unsealed) {
            self.recycle(bytes);
            self.recycle_list(unsealed);
            return Err(error);
        }
        debug_assert_eq!(bytes.len(), len, "a datagram is as long as was said");
        self.bytes += len;
        self.open.insert(destination, self.taken + self.batches.len() as u64);
        let transmit = Transmit { destination, bytes, segment_bytes: len };
        self.batches.push_back(UnsealedTransmit { transmit, unsealed });
        Ok(())
    }

    /// Takes the oldest batch, sealed.
    pub(crate) fn pop(&mut self) -> Option<Transmit> {
        let (transmit, list) = self.pop_unsealed()?.seal();
        self.recycle_list(list);
        Some(transmit)
    }

    /// Takes the oldest batch.
    pub(crate) fn pop_unsealed(&mut self) -> Option<UnsealedTransmit> {
        let batch = self.batches.pop_front()?;
        if self.open.get(&batch.destination()) == Some(&self.taken) {
            self.open.remove(&batch.destination());
        }
        self.taken += 1;
        self.bytes -= batch.bytes();
        Some(batch)
    }

    /// Takes a batch's buffer back for the next one.
    pub(crate) fn recycle(&mut self, mut bytes: Vec<u8>) {
        if self.pool.len() < POOL_MAX {
            bytes.clear();
            self.pool.push(bytes);
        }
    }

    /// Takes a list back that has nothing on it, for the next batch.
    pub(crate) fn recycle_list(&mut self, list: Unsealed) {
        if self.lists.len() < POOL_MAX && list.is_empty() {
            self.lists.push(list);
        }
    }
}

/// Returns whether a batch takes one more: as the kernel can, and no larger than there is room for.
fn fits(batch: &Transmit, len: usize, room: usize) -> bool {
    len <= batch.segment_bytes
        && batch.bytes.len() < batch.segment_bytes * BATCH_SEGMENTS_MAX
        && batch.bytes.len() + len <= BATCH_BYTES_MAX.min(room)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    #[test]
    fn equal_datagrams_to_one_destination_share_a_batch_and_a_shorter_one_closes_it() {
        let mut outbound = Outbound::new();
        for (port, len) in [(1, 100), (2, 100), (1, 100), (1, 40), (1, 40), (2, 120)] {
            outbound.push(to(port), &vec![0; len]);
        }

        let batches: Vec<_> = std::iter::from_fn(|| outbound.pop())
            .map(|batch| (batch.destination.port(), batch.segment_bytes, batch.bytes.len()))
            .collect();

        assert_eq!(batches, [(1, 100, 240), (2, 100, 100), (1, 40, 40), (2, 120, 120)]);
    }

    #[test]
    fn a_batch_holds_no_more_than_the_kernel_takes() {
        let mut outbound = Outbound::new();
        (0..200).for_each(|_| outbound.push(to(1), &[0; 10]));
        (0..100).for_each(|_| outbound.push(to(2), &[0; 1400]));

        let batches: Vec<_> = std::iter::from_fn(|| outbound.pop()).collect();

        assert!(batches.iter().all(|batch| batch.datagrams().count() <= BATCH_SEGMENTS_MAX));
        assert!(batches.iter().all(|batch| batch.bytes.len() <= BATCH_BYTES_MAX));
        assert_eq!(batches.iter().map(|batch| batch.bytes.len()).sum::<usize>(), 200 * 10 + 100 * 1400);
    }

    #[test]
    fn a_flood_that_nobody_sends_stops_at_the_ceiling_and_is_counted() {
        let mut outbound = Outbound::new();
        let pushed = (OUTBOUND_BYTES_MAX + CONTROL_BYTES_RESERVED) as u64 / 1000 + 500;
        (0..pushed).for_each(|_| outbound.push(to(1), &[0; 1000]));

        let kept: usize = std::iter::from_fn(|| outbound.pop()).map(|batch| batch.bytes.len()).sum();

        assert!(kept < OUTBOUND_BYTES_MAX + CONTROL_BYTES_RESERVED + 1000, "{kept}");
        assert_eq!(outbound.refused(), pushed - kept as u64 / 1000);
    }

    #[test]
    fn where_data_finds_no_room_a_hello_still_does() {
        let mut outbound = Outbound::new();
        while outbound.has_room() {
            outbound.push(to(1), &[0; 1400]);
        }

        outbound.push(to(2), &[7; 120]);

        assert_eq!(outbound.refused(), 0);
        assert!(std::iter::from_fn(|| outbound.pop()).any(|batch| batch.bytes == [7; 120]));
    }

    #[test]
    fn a_batch_is_no_larger_than_there_is_room_for_but_takes_a_datagram() {
        let mut outbound = Outbound::new();
        outbound.set_room(3000);
        (0..5).for_each(|_| outbound.push(to(1), &[0; 1400]));
        outbound.set_room(100);
        (0..2).for_each(|_| outbound.push(to(2), &[0; 1400]));

        let lens: Vec<_> = std::iter::from_fn(|| outbound.pop()).map(|batch| batch.bytes.len()).collect();

        assert_eq!(lens, [2800, 2800, 1400, 1400, 1400]);
    }

    #[test]
    fn a_batch_that_was_taken_takes_no_more() {
        let mut outbound = Outbound::new();
        outbound.push(to(1), &[1; 10]);
        let first = outbound.pop();

        outbound.push(to(1), &[2; 10]);

        assert_eq!(first.map(|batch| batch.bytes), Some(vec![1; 10]));
        assert_eq!(outbound.pop().map(|batch| batch.bytes), Some(vec![2; 10]));
    }
}
