//! Which nodes there are, who is whose neighbour, and by which routes they reach others.

use peerbound_dtls::Context;
use peerbound_node::{NeighbourConfig, NodeConfig, StaticRoute};
use peerbound_wire::NodeId;

use crate::support::{address, name};

#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) nodes: usize,
    /// The first of each pair dials the second.
    pub(crate) links: Vec<(usize, usize)>,
    /// At the first, frames for the second go to the third.
    pub(crate) routes: Vec<(usize, usize, usize)>,
}

impl Plan {
    /// A, B and C in a row: A and C know each other only through B.
    pub(crate) fn chain_of_three() -> Self {
        Self::chain(3)
    }

    /// Nodes in a row; each dials the next, but the last is dialled from both sides of the row.
    pub(crate) fn chain(nodes: usize) -> Self {
        let links =
            (1..nodes).map(|right| if right + 1 == nodes { (right, right - 1) } else { (right - 1, right) });
        let step = |at: usize, to: usize| if to > at { at + 1 } else { at - 1 };
        let far = |at: usize, to: usize| at.abs_diff(to) > 1;
        let pairs = (0..nodes).flat_map(|at| (0..nodes).map(move |to| (at, to)));
        Self {
            nodes,
            links: links.collect(),
            routes: pairs.filter(|(at, to)| far(*at, *to)).map(|(at, to)| (at, to, step(at, to))).collect(),
        }
    }

    /// Nodes in a ring; frames go clockwise, so that requests and replies part by their routes.
    pub(crate) fn ring(nodes: usize) -> Self {
        let next = |at: usize| (at + 1) % nodes;
        let pairs = (0..nodes).flat_map(|at| (0..nodes).map(move |to| (at, to)));
        Self {
            nodes,
            links: (0..nodes).map(|at| (at, next(at))).collect(),
            routes: pairs
                .filter(|(at, to)| at != to && next(*at) != *to)
                .map(|(at, to)| (at, to, next(at)))
                .collect(),
        }
    }

    pub(crate) fn config(&self, us: usize, ids: &[NodeId], context: &Context) -> NodeConfig {
        let neighbour = |index: usize, dial: bool| NeighbourConfig {
            id: ids[index],
            name: name(index),
            addresses: dial.then(|| address(index)).into_iter().collect(),
        };
        let dialled = self.links.iter().filter(|link| link.0 == us).map(|link| neighbour(link.1, true));
        let awaited = self
            .links
            .iter()
            .filter(|link| link.1 == us && !self.links.contains(&(us, link.0)))
            .map(|link| neighbour(link.0, false));
        let routes = self.routes.iter().filter(|route| route.0 == us);
        NodeConfig {
            neighbours: dialled.chain(awaited).collect(),
            routes: routes
                .map(|route| StaticRoute { destination: ids[route.1], via: ids[route.2] })
                .collect(),
            observe_frames: true,
            ..NodeConfig::new(context.clone())
        }
    }
}
