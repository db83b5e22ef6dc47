//! The datagrams of a world that are on their way or wait somewhere, in slots that are used again with
//! their buffers.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::ids::{DatagramId, HostId, index};

/// Slots whose buffers are kept for later: 4096 x about 1.4 kB = 6 MB.
const BUFFERS_KEPT: usize = 4096;

/// The slot of a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FlightId(u32);

/// One datagram.
#[derive(Debug)]
pub(crate) struct Flight {
    pub(crate) id: DatagramId,
    /// The host at which it came into the world.
    pub(crate) from: HostId,
    /// The host that it is on the way to, whatever a NAT will say.
    pub(crate) to: HostId,
    pub(crate) source: SocketAddr,
    pub(crate) destination: SocketAddr,
    pub(crate) bytes: Vec<u8>,
    pub(crate) label: Option<Arc<str>>,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Flights {
    slots: Vec<Flight>,
    free: Vec<FlightId>,
}

impl Flights {
    /// Keeps a datagram, copying its bytes; `flight.bytes` is ignored.
    pub(crate) fn keep(&mut self, flight: Flight, bytes: &[u8]) -> FlightId {
        match self.free.pop() {
            Some(id) => {
                let slot = &mut self.slots[index(id.0)];
                let buffer = std::mem::take(&mut slot.bytes);
                *slot = Flight { bytes: buffer, ..flight };
                slot.bytes.extend_from_slice(bytes);
                id
            }
            None => {
                let id = FlightId(crate::ids::next(&self.slots));
                self.slots.push(Flight { bytes: bytes.to_vec(), ..flight });
                id
            }
        }
    }

    pub(crate) fn get(&self, id: FlightId) -> &Flight {
        &self.slots[index(id.0)]
    }

    pub(crate) fn get_mut(&mut self, id: FlightId) -> &mut Flight {
        &mut self.slots[index(id.0)]
    }

    /// Frees a slot; nobody may hold its id any more.
    pub(crate) fn free(&mut self, id: FlightId) {
        let slot = &mut self.slots[index(id.0)];
        slot.label = None;
        if self.free.len() < BUFFERS_KEPT {
            slot.bytes.clear();
        } else {
            slot.bytes = Vec::new();
        }
        self.free.push(id);
    }

    /// Returns how many datagrams are kept.
    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }
}
