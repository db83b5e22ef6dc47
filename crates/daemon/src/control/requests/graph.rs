//! `graph`: the mesh as far as this node knows it.

use std::collections::{BTreeMap, BTreeSet};

use peerbound_node::RouteView;
use peerbound_wire::{NodeId, ShortId};
use serde_json::Value;

use crate::control::answers::{GraphAnswer, GraphLink, NodeName};
use crate::control::desk::Desk;
use crate::control::error::Refusal;
use crate::control::replies::Replies;
use crate::control::requests::{Parameters, answered};

pub(crate) fn answer(desk: &Desk, parameters: Parameters, _: &mut Replies<'_>) -> Result<Value, Refusal> {
    parameters.none()?;
    answered(&graph(desk)?)
}

/// Draws the mesh together from our links and the learned ways.
pub(crate) fn graph(desk: &Desk) -> Result<GraphAnswer, Refusal> {
    let (neighbours, routes, set) =
        desk.handle.with_node(|node, _| (node.neighbours(), node.routes(), node.config().routes.clone()))?;
    let mut ids: BTreeSet<NodeId> = [desk.id].into();
    ids.extend(neighbours.iter().map(|neighbour| neighbour.id));
    ids.extend(routes.iter().map(|route| route.destination));
    ids.extend(set.iter().map(|route| route.destination));
    let by_short: BTreeMap<ShortId, NodeId> = ids.iter().map(|id| (ShortId::from(*id), *id)).collect();
    let mut nodes: BTreeMap<String, NodeName> =
        ids.iter().map(|id| (id.to_string(), desk.name(id))).collect();
    nodes.insert(desk.id.to_string(), desk.own_name());
    let mut links: BTreeMap<(String, String), GraphLink> = BTreeMap::new();
    for neighbour in &neighbours {
        let (from, to) = (desk.id.to_string(), neighbour.id.to_string());
        let link =
            GraphLink { from: from.clone(), to: to.clone(), is_up: neighbour.is_usable, is_ours: true };
        links.insert(ordered(from, to), link);
    }
    for ends in routes.iter().flat_map(|route| links_of(desk.id, route)) {
        let [from, to] =
            ends.map(|short| by_short.get(&short).map_or_else(|| short.to_string(), NodeId::to_string));
        for end in [&from, &to] {
            nodes.entry(end.clone()).or_insert_with(|| NodeName { id: end.clone(), name: end.clone() });
        }
        let link = GraphLink { from: from.clone(), to: to.clone(), is_up: true, is_ours: false };
        links.entry(ordered(from, to)).or_insert(link);
    }
    Ok(GraphAnswer {
        us: desk.own_name(),
        nodes: nodes.into_values().collect(),
        links: links.into_values().collect(),
    })
}

/// Lists the links of a way, as far as its path is told whole.
fn links_of(us: NodeId, route: &RouteView) -> Vec<[ShortId; 2]> {
    let mut stations = vec![ShortId::from(us)];
    stations.extend(&route.path);
    let is_whole = route.links.is_some_and(|links| usize::from(links) == stations.len());
    if is_whole {
        stations.push(ShortId::from(route.destination));
    }
    stations.windows(2).filter_map(|pair| <[ShortId; 2]>::try_from(pair).ok()).collect()
}

fn ordered(one: String, other: String) -> (String, String) {
    if one < other { (one, other) } else { (other, one) }
}
