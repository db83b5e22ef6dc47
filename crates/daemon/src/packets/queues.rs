//! By which queue of the interface the packets of each flow come, so that what arrives for a flow is put into the same one.
//! The kernel takes the queue that a flow's last packet was put into for what goes the other way: put into another one, a
//! flow would move, and what is still in the queue that it left would be overtaken.

use std::collections::BTreeMap;

use peerbound_wire::{FlowId, NodeId};

/// Flows that are remembered: 8192 x about 40 bytes = 330 kB. When there are more, all are learned anew.
const FLOWS_MAX: usize = 8192;

/// A flow as both directions know it: the node at its other end, its id, and whether we began it.
pub(crate) type Key = (NodeId, FlowId, bool);

/// The queues of flows.
#[derive(Debug, Default)]
pub(crate) struct FlowQueues {
    queues: BTreeMap<Key, usize>,
}

impl FlowQueues {
    /// Notes by which queue a packet of this host came.
    pub(crate) fn note(&mut self, key: Key, queue: usize) {
        if self.queues.len() >= FLOWS_MAX && !self.queues.contains_key(&key) {
            self.queues.clear();
        }
        self.queues.insert(key, queue);
    }

    /// Returns the queue of a flow, if any packet of it came from this host.
    pub(crate) fn of(&self, key: &Key) -> Option<usize> {
        self.queues.get(key).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_has_the_queue_of_its_last_packet_and_there_are_never_too_many() {
        let mut queues = FlowQueues::default();
        let key = |flow| (NodeId::new([1; 16]), FlowId(flow), true);

        (0..20_000).for_each(|flow| queues.note(key(flow), 1));
        queues.note(key(19_999), 2);

        assert_eq!(queues.of(&key(19_999)), Some(2));
        assert_eq!(queues.of(&(NodeId::new([1; 16]), FlowId(19_999), false)), None);
        assert!(queues.queues.len() <= FLOWS_MAX);
    }
}
