//! The IP packets that arrived for us, until they are taken, and the buffers that those before them lay in.

use std::collections::VecDeque;

use peerbound_wire::Header;

use crate::event::DeliveredPacket;

/// Buffers kept for the next packets: 256 x 1.5 kB = 400 kB, as many as a busy owner takes at once.
const POOL_MAX: usize = 256;

/// Packets, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Packets {
    /// Taken after every batch of input, so there are no more than one batch can hold.
    waiting: VecDeque<DeliveredPacket>,
    pool: Vec<Vec<u8>>,
}

impl Packets {
    pub(crate) fn push(&mut self, header: &Header, bytes: &[u8]) {
        let mut buffer = self.pool.pop().unwrap_or_default();
        buffer.extend_from_slice(bytes);
        self.waiting.push_back(DeliveredPacket { header: *header, bytes: buffer });
    }

    pub(crate) fn pop(&mut self) -> Option<DeliveredPacket> {
        self.waiting.pop_front()
    }

    pub(crate) fn recycle(&mut self, mut buffer: Vec<u8>) {
        if self.pool.len() < POOL_MAX {
            buffer.clear();
            self.pool.push(buffer);
        }
    }
}
