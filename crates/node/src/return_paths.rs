//! Remembers from which neighbour a flow came, so that its replies go back the same way.

use std::time::{Duration, Instant};

use peerbound_wire::{FlowId, NodeId};

use crate::fifo_map::FifoMap;
use crate::index::Secret;

/// How long a way back is remembered after the last frame that took it there.
const REMEMBERED: Duration = Duration::from_secs(120);

/// Flows that are remembered: 16384 x about 80 bytes = 1.3 MiB at worst.
const FLOWS_MAX: usize = 16_384;

/// (origin, flow id) → the neighbour it came from.
#[derive(Debug)]
pub(crate) struct ReturnPaths {
    flows: FifoMap<(NodeId, FlowId), (NodeId, Instant)>,
}

impl ReturnPaths {
    pub(crate) fn new(secret: Secret) -> Self {
        Self { flows: FifoMap::with_max(FLOWS_MAX, secret) }
    }

    /// Notes that a frame of this flow came from `ingress`.
    pub(crate) fn remember(&mut self, origin: NodeId, flow: FlowId, ingress: NodeId, now: Instant) {
        let entry = self.flows.get_or_insert_with((origin, flow), || (ingress, now));
        *entry = (ingress, now);
    }

    /// Lists the ways back to an origin that are remembered, in order of their flows: flow, neighbour, and how
    /// long ago its last frame came that way.
    pub(crate) fn to(&self, origin: NodeId, now: Instant) -> Vec<(FlowId, NodeId, Duration)> {
        let flows = self.flows.iter().filter(|((of, _), _)| *of == origin);
        let aged = flows
            .map(|((_, flow), (ingress, since))| (*flow, *ingress, now.saturating_duration_since(*since)));
        let mut remembered: Vec<_> = aged.filter(|(_, _, age)| *age <= REMEMBERED).collect();
        remembered.sort_unstable_by_key(|(flow, _, _)| *flow);
        remembered
    }

    /// Returns the neighbour that leads back to the origin of the flow.
    pub(crate) fn lookup(&self, origin: NodeId, flow: FlowId, now: Instant) -> Option<NodeId> {
        let (ingress, since) = self.flows.get(&(origin, flow))?;
        (now.saturating_duration_since(*since) <= REMEMBERED).then_some(*ingress)
    }
}
