//! A frame that waits for its turn, not sealed yet, and what tells flows apart.

use std::time::Instant;

use peerbound_wire::{Flags, FlowId, Header, Kind, NodeId};

use crate::queue::drr::Queued;

/// Bytes that a waiting frame takes besides its own: its header taken apart, its place in a queue and the
/// allocator's share. Without them small frames would take many times the memory that is their due.
const OVERHEAD_BYTES: usize = 192;
const _: () = assert!(OVERHEAD_BYTES >= size_of::<Waiting>());

/// One frame that waits.
#[derive(Debug)]
pub(crate) struct Waiting {
    /// The frame as it arrived or was made: what a hop changes is written when it leaves.
    pub(crate) bytes: Vec<u8>,
    /// The header with which it goes on.
    pub(crate) header: Header,
    /// The neighbour it came from; `None` when it was made here.
    pub(crate) from: Option<NodeId>,
    /// Since when it waits.
    pub(crate) since: Instant,
}

impl Queued for Waiting {
    type Key = FlowKey;

    const SHARED: FlowKey =
        FlowKey { source: NodeId::new([0; 16]), destination: NodeId::new([0; 16]), flow: FlowId(0) };

    fn key(&self) -> FlowKey {
        FlowKey::of(&self.header)
    }

    fn bytes(&self) -> usize {
        self.bytes.len()
    }

    fn charge(&self) -> usize {
        self.bytes.capacity() + OVERHEAD_BYTES
    }

    fn since(&self) -> Instant {
        self.since
    }

    fn mark(&mut self) -> bool {
        let is_heeded = self.header.flags.contains(Flags::ECN_CAPABLE);
        if is_heeded {
            self.header.flags = self.header.flags.with(Flags::CONGESTION);
        }
        is_heeded
    }
}

impl Waiting {
    /// Returns how much memory a frame of so many bytes takes at least.
    pub(crate) fn charge_of(bytes: usize) -> usize {
        bytes + OVERHEAD_BYTES
    }

    /// Returns its header as it arrived or was made.
    pub(crate) fn header_before(&self) -> Header {
        let mut header = self.header;
        if self.from.is_some() {
            header.hop_limit.0 = header.hop_limit.0.saturating_add(1);
        }
        header
    }
}

/// What tells one flow from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FlowKey {
    source: NodeId,
    destination: NodeId,
    flow: FlowId,
}

impl FlowKey {
    /// Returns the flow of a frame. Flows inside one inner session overtake each other, too: its ends look back
    /// on as many records as that takes. Its handshake is a flow, for its messages are to keep their order.
    pub(crate) fn of(header: &Header) -> Self {
        let flow = if header.kind == Kind::InnerHandshake { FlowId(0) } else { header.flow };
        Self { source: header.source, destination: header.destination, flow }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: NodeId = NodeId::new([0xa; 16]);
    const B: NodeId = NodeId::new([0xb; 16]);

    #[test]
    fn conversations_are_flows_of_their_own_also_inside_an_inner_session() {
        let data = |flow| Header { flow: FlowId(flow), ..Header::new(Kind::Data, A, B) };
        let inner = |flow| Header { flags: Flags::INNER, ..data(flow) };
        let handshake = |flow| Header { kind: Kind::InnerHandshake, ..data(flow) };

        assert_ne!(FlowKey::of(&data(1)), FlowKey::of(&data(2)));
        assert_ne!(FlowKey::of(&data(1)), FlowKey::of(&Header { source: B, destination: A, ..data(1) }));
        assert_ne!(FlowKey::of(&inner(1)), FlowKey::of(&inner(2)));
        assert_eq!(FlowKey::of(&handshake(1)), FlowKey::of(&handshake(2)));
    }
}
