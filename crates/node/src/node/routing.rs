//! The part of a node that has ways found: carries the router's messages, and tells of what it found.

use std::sync::Arc;
use std::time::Instant;

use peerbound_wire::{HEADER_BYTES, Header, Kind, NodeId, RoutingMessage};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::config::{NodeConfig, PathMtu, Routing};
use crate::event::Event;
use crate::mtu_search::MTU_BASE;
use crate::node::Node;
use crate::router::{ProofBook, RouteView, Router, RouterCounters};

/// What a link session adds to a frame at most: record header, explicit nonce, tag.
const RECORD_OVERHEAD_BYTES: usize = 37;

/// Makes the router that the configuration asks for.
pub(super) fn router_of(
    us: NodeId,
    config: &NodeConfig,
    chance: &mut ChaCha8Rng,
    now: Instant,
) -> Option<Box<Router>> {
    let Routing::Dynamic(routing) = &config.routing else {
        return None;
    };
    let neighbours: Vec<_> = config.neighbours.iter().map(|neighbour| neighbour.id).collect();
    let proofs = match &routing.proofs {
        Some(shared) => Arc::clone(shared),
        None => Arc::new(ProofBook::new(config.context.clone())),
    };
    let bytes_max = usize::from(config.mtu).saturating_sub(RECORD_OVERHEAD_BYTES + HEADER_BYTES);
    // A stream of its own: what the router draws leaves the rest of the node as it would be without.
    let mut seed = [0; 32];
    chance.fill_bytes(&mut seed);
    let mut chance = ChaCha8Rng::from_seed(seed);
    let signer = config.context.clone();
    let made = Router::new(us, &neighbours, (routing, proofs), signer, bytes_max, &mut chance, now);
    let mut router = made
        .inspect_err(|error| tracing::error!(%error, "Without dynamic routing: no node would believe us"))
        .ok()?;
    if config.path_mtu == PathMtu::Probed {
        let base = usize::from(MTU_BASE).saturating_sub(RECORD_OVERHEAD_BYTES + HEADER_BYTES);
        router.pack_below(base);
    }
    if config.observe_routes {
        router.observe();
    }
    Some(Box::new(router))
}

impl Node {
    /// Lists what is known of the ways to other nodes, in order of their ids; nothing where routing is
    /// static.
    #[must_use]
    pub fn routes(&self) -> Vec<RouteView> {
        self.router.as_ref().map_or_else(Vec::new, |router| router.routes())
    }

    /// Lists the certificates, in DER, of the nodes whose own word on themselves is there; nothing where
    /// routing is static.
    #[must_use]
    pub fn certificates(&self) -> Vec<(NodeId, Arc<[u8]>)> {
        self.router.as_ref().map_or_else(Vec::new, |router| router.certificates())
    }

    /// Returns the neighbour that leads to a destination, as far as was learned.
    #[must_use]
    pub fn learned_next_hop(&self, destination: &NodeId) -> Option<NodeId> {
        self.router.as_ref()?.next_hop(destination)
    }

    /// Returns how many destinations there is a learned way to.
    #[must_use]
    pub fn reachable(&self) -> usize {
        self.router.as_ref().map_or(0, |router| router.reachable())
    }

    /// Returns what the router counted; `None` where routing is static.
    #[must_use]
    pub fn routing_counters(&self) -> Option<RouterCounters> {
        Some(self.router.as_ref()?.counters())
    }

    pub(super) fn run_routing_timers(&mut self, now: Instant) {
        if let Some(router) = &mut self.router {
            router.handle_timeout(now);
        }
    }

    pub(super) fn on_routing_message(&mut self, from: NodeId, message: &RoutingMessage<'_>, now: Instant) {
        if let Some(router) = &mut self.router {
            router.on_message(from, message, now);
        }
    }

    pub(super) fn route_by(&mut self, id: NodeId, now: Instant) {
        if let Some(router) = &mut self.router {
            router.on_neighbour_up(id, now);
        }
        self.measure_from(id, now);
    }

    pub(super) fn route_past(&mut self, id: NodeId, now: Instant) {
        if let Some(router) = &mut self.router {
            router.on_neighbour_down(id, now);
        }
        self.probes.remove(&id);
    }

    /// Sends what the router has to say, and tells of what it has found.
    pub(super) fn pass_routing_on(&mut self) {
        let Some(mut router) = self.router.take() else { return };
        while let Some((to, message)) = router.poll_transmit() {
            let header = self.originate(Header::new(Kind::Routing, self.us, to));
            // What does not leave is not acknowledged, or not answered, and is said again.
            let _ = self.send_control(header, &message, to);
        }
        self.events.extend(std::iter::from_fn(|| router.poll_change()).map(Event::RouteChanged));
        self.router = Some(router);
    }
}
