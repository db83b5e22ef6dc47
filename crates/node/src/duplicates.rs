//! Remembers which frames were seen: (source, boot epoch, packet id) names one frame for good.

use peerbound_wire::{Header, NodeId};

use crate::fifo_map::FifoMap;
use crate::index::Secret;

/// Packet ids that one origin's window looks back on. At 200,000 frames a second it spans 40 ms of
/// reordering between the paths of one origin.
const WINDOW_PACKETS: u64 = 8192;

const WORDS: usize = 128;
const _: () = assert!(WORDS as u64 * 64 == WINDOW_PACKETS);

/// Boots of origins that are remembered: 1024 x 1 KiB = 1 MiB at worst.
const ORIGINS_MAX: usize = 1024;

/// A sliding window of packet ids for every boot of every origin.
#[derive(Debug)]
pub(crate) struct Duplicates {
    origins: FifoMap<(NodeId, u32), Window>,
}

#[derive(Debug)]
struct Window {
    newest: u64,
    /// One bit per packet id, at its value modulo the width.
    seen: Box<[u64; WORDS]>,
}

impl Duplicates {
    pub(crate) fn new(secret: Secret) -> Self {
        Self { origins: FifoMap::with_max(ORIGINS_MAX, secret) }
    }

    /// Notes a frame; returns whether it is the first time. A frame too far behind to be told from
    /// a duplicate counts as one.
    pub(crate) fn is_first(&mut self, header: &Header) -> bool {
        let key = (header.source, header.boot_epoch);
        let packet = header.packet.0;
        let window =
            self.origins.get_or_insert_with(key, || Window { newest: packet, seen: Box::new([0; WORDS]) });
        window.is_first(packet)
    }
}

impl Window {
    fn is_first(&mut self, packet: u64) -> bool {
        if let Some(ahead) = packet.checked_sub(self.newest) {
            self.forget(ahead);
            self.newest = packet;
        } else if self.newest - packet >= WINDOW_PACKETS {
            return false;
        }
        let (word, bit) = position(packet);
        let first = self.seen[word] & bit == 0;
        self.seen[word] |= bit;
        first
    }

    /// Clears the bits that the ids from `newest + 1` to `newest + ahead` will use.
    fn forget(&mut self, ahead: u64) {
        if ahead >= WINDOW_PACKETS {
            self.seen.fill(0);
            return;
        }
        for step in 1..=ahead {
            let (word, bit) = position(self.newest.wrapping_add(step));
            self.seen[word] &= !bit;
        }
    }
}

fn position(packet: u64) -> (usize, u64) {
    let index = packet % WINDOW_PACKETS;
    // Below 128, so it fits any usize.
    let word = usize::try_from(index / 64).unwrap_or(0);
    (word, 1 << (index % 64))
}

#[cfg(test)]
mod tests {
    use peerbound_wire::{Kind, PacketId};

    use super::*;

    fn frame(boot_epoch: u32, packet: u64) -> Header {
        let id = NodeId::new([1; 16]);
        Header { boot_epoch, packet: PacketId(packet), ..Header::new(Kind::Data, id, id) }
    }

    #[test]
    fn every_frame_is_the_first_once() {
        let mut duplicates = Duplicates::new(Secret::NONE);

        let first = [5, 3, 9000, 4, 1000].map(|packet| duplicates.is_first(&frame(1, packet)));
        let again = [5, 3, 9000, 4, 1000].map(|packet| duplicates.is_first(&frame(1, packet)));

        assert_eq!(first, [true, true, true, false, true], "4 lies a window behind 9000");
        assert_eq!(again, [false; 5]);
    }

    #[test]
    fn a_restarted_origin_counts_from_zero_again() {
        let mut duplicates = Duplicates::new(Secret::NONE);
        assert!(duplicates.is_first(&frame(1, 0)));

        assert!(duplicates.is_first(&frame(2, 0)));
        assert!(!duplicates.is_first(&frame(1, 0)));
    }

    #[test]
    fn the_window_agrees_with_a_set_over_a_long_shuffled_run() {
        let mut duplicates = Duplicates::new(Secret::NONE);
        let mut naive = std::collections::BTreeSet::new();
        let mut state = 7_u64;
        for step in 0..50_000_u64 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let packet = step / 2 + (state >> 33) % 4000;

            assert_eq!(duplicates.is_first(&frame(1, packet)), naive.insert(packet), "packet {packet}");
        }
    }
}
