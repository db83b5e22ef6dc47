//! Which ways the nodes have: each is asked over its control socket.

use std::collections::BTreeSet;

use peerbound_daemon::control::ControlClient;
use peerbound_daemon::control::answers::RoutesAnswer;
use peerbound_lab::topology::Topology;

use crate::ask::Nothing;
use crate::up::{Run, RunningNode};

/// Finds a node that has no way yet to one that it is to reach: who, and to whom. A node that does not answer
/// has none. With learned ways everyone answers within a moment, for the nodes are on this host.
pub(super) fn first_missing<'a>(topology: &'a Topology, run: &'a Run) -> Option<(&'a str, &'a str)> {
    topology.nodes.iter().zip(&run.nodes).find_map(|(node, running)| {
        let known = known(running).unwrap_or_default();
        let mut others = node.reaches.iter().filter_map(|place| run.nodes.get(*place));
        let missing = others.find(|other| !known.contains(&other.id))?;
        Some((node.name.as_str(), missing.name.as_str()))
    })
}

/// Asks one node for the ids of those to whom it has a way that carries frames.
fn known(node: &RunningNode) -> Option<BTreeSet<String>> {
    let mut client = ControlClient::connect(&node.socket).ok()?;
    let answer: RoutesAnswer = client.ask("routes", &Nothing {}).ok()?;
    let usable = answer.routes.into_iter().filter(|route| route.is_usable);
    Some(usable.map(|route| route.destination.id).collect())
}
