//! `routes`: where frames go, and why there.

use std::collections::BTreeSet;

use peerbound_node::{CandidateView, ChosenBy, RouteView, Routing, WayView};
use peerbound_wire::{Metric, NodeId, ShortId};
use serde::Deserialize;
use serde_json::Value;

use crate::control::answers::{CandidateAnswer, LearnedAnswer, ReturnPathAnswer, RouteAnswer, RoutesAnswer};
use crate::control::desk::Desk;
use crate::control::error::Refusal;
use crate::control::replies::Replies;
use crate::control::requests::{Parameters, answered, milliseconds};

mod why;

/// The parameters of `routes`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    /// The node of which everything is to be said, by name or id.
    why: Option<String>,
}

/// What is known of one destination, as the data thread copied it.
struct Known {
    destination: NodeId,
    way: WayView,
    learned: Option<RouteView>,
}

pub(crate) fn answer(desk: &Desk, parameters: Parameters, _: &mut Replies<'_>) -> Result<Value, Refusal> {
    let asked: Asked = parameters.read()?;
    let only = asked.why.map(|text| desk.find_other(&text)).transpose()?;
    answered(&routes(desk, only)?)
}

/// Looks at the ways to all nodes, or to one.
pub(crate) fn routes(desk: &Desk, only: Option<NodeId>) -> Result<RoutesAnswer, Refusal> {
    let (mode, known, neighbours) = desk.handle.with_node(move |node, now| {
        let mode = match node.config().routing {
            Routing::Static => "static",
            Routing::Dynamic(_) => "dynamic",
        };
        let neighbours = node.neighbours();
        let learned = node.routes();
        let mut destinations: BTreeSet<_> = match only {
            Some(destination) => [destination].into(),
            None => learned.iter().map(|route| route.destination).collect(),
        };
        if only.is_none() {
            destinations.extend(node.config().routes.iter().map(|route| route.destination));
            destinations.extend(neighbours.iter().map(|neighbour| neighbour.id));
        }
        let known = destinations.into_iter().map(|destination| {
            let place = learned.binary_search_by_key(&destination, |route| route.destination).ok();
            let learned = place.and_then(|place| learned.get(place)).cloned();
            Known { destination, way: node.way_to(destination, now), learned }
        });
        (mode, known.collect::<Vec<_>>(), neighbours)
    })?;
    let routes = known.iter().map(|known| {
        let mut route = route(desk, known);
        if only.is_some() {
            route.why = why::sentences(&route, mode, known, &neighbours);
        }
        route
    });
    Ok(RoutesAnswer { mode: mode.to_owned(), routes: routes.collect() })
}

fn route(desk: &Desk, known: &Known) -> RouteAnswer {
    let way = &known.way;
    RouteAnswer {
        destination: desk.name(&known.destination),
        via: desk.name(&way.via),
        chosen_by: match way.chosen_by {
            ChosenBy::Static => "static".to_owned(),
            ChosenBy::Learned => "learned".to_owned(),
            ChosenBy::Link => "link".to_owned(),
        },
        is_usable: way.is_usable,
        learned: known.learned.as_ref().map(|learned| learned_answer(desk, learned)),
        return_paths: way
            .return_paths
            .iter()
            .map(|path| ReturnPathAnswer {
                flow: path.flow.0,
                via: desk.name(&path.via),
                age_ms: milliseconds(path.age),
            })
            .collect(),
        why: Vec::new(),
    }
}

fn learned_answer(desk: &Desk, view: &RouteView) -> LearnedAnswer {
    LearnedAnswer {
        via: view.next_hop.map(|id| desk.name(&id)),
        metric: finite(view.metric),
        sequence: view.seqno.0,
        proved: view.proved.map(|seqno| seqno.0),
        links: view.links,
        path: view.path.iter().map(|relay| short_name(desk, *relay)).collect(),
        candidates: view.candidates.iter().map(|candidate| candidate_answer(desk, candidate)).collect(),
    }
}

fn candidate_answer(desk: &Desk, view: &CandidateView) -> CandidateAnswer {
    CandidateAnswer {
        via: desk.name(&view.neighbour),
        metric: finite(view.metric),
        total: finite(view.total),
        sequence: view.seqno.0,
        standing: view.standing.name().to_owned(),
    }
}

fn finite(metric: Metric) -> Option<u16> {
    (!metric.is_infinite()).then_some(metric.0)
}

/// Names a relay of which four bytes are known, if one node that has a name begins with them.
fn short_name(desk: &Desk, short: ShortId) -> String {
    let names = desk.names();
    let mut fitting = names.iter().filter(|(id, _)| ShortId::from(**id) == short);
    match (fitting.next(), fitting.next()) {
        (Some((_, name)), None) => name.clone(),
        (Some(_) | None, _) => short.to_string(),
    }
}
