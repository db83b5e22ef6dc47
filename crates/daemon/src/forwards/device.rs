//! The network card of the stack: packets in, packets out, nothing between them.

use std::collections::VecDeque;

use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;

/// The longest packet: what fits the smallest way, a link of 1200 bytes (RFC 8899, 5.1.2) less the records
/// of link and inner session, 37 each, a frame header of 54 and the byte that says what the content is.
/// Segments are cut to it, so no way is ever too narrow.
pub(super) const PACKET_BYTES_MAX: usize = 1200 - 37 - 54 - 37 - 1;

/// Packets that may wait on their way out in one turn: 1024 x 1.1 kB = 1.1 MB. What finds no room is sent
/// again by TCP.
const OUT_MAX: usize = 1024;

#[derive(Default)]
pub(super) struct Card {
    incoming: VecDeque<Vec<u8>>,
    outgoing: Vec<Vec<u8>>,
}

impl Card {
    /// Puts a packet where the stack finds it next. The caller hands over a bounded batch a turn.
    pub(super) fn take_in(&mut self, packet: Vec<u8>) {
        self.incoming.push_back(packet);
    }

    /// Returns what the stack has sent.
    pub(super) fn take_out(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.outgoing)
    }
}

pub(super) struct Received(Vec<u8>);

pub(super) struct Room<'a>(&'a mut Vec<Vec<u8>>);

impl Device for Card {
    type RxToken<'a> = Received;
    type TxToken<'a> = Room<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Received, Room<'_>)> {
        // An answer must find room before its question is taken.
        if self.outgoing.len() >= OUT_MAX {
            return None;
        }
        let packet = self.incoming.pop_front()?;
        Some((Received(packet), Room(&mut self.outgoing)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Room<'_>> {
        (self.outgoing.len() < OUT_MAX).then_some(Room(&mut self.outgoing))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = PACKET_BYTES_MAX;
        capabilities
    }
}

impl RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(&self.0)
    }
}

impl TxToken for Room<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, write: F) -> R {
        let mut packet = vec![0; len];
        let result = write(&mut packet);
        self.0.push(packet);
        result
    }
}
