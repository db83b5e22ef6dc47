//! The way to a node: which neighbour, why, what would happen to a frame at this moment, and how replies come.

use std::time::Duration;

use peerbound_node::{CandidateView, ReturnPath, RouteView, Standing};
use peerbound_wire::NodeId;

use crate::explain::{Scene, WayThere, span};
use crate::way::Way;

/// What is known of the way to a node.
pub(crate) struct RouteFacts<'a> {
    pub(crate) destination: NodeId,
    /// The way that frames take; `None` where there is none.
    pub(crate) way: Option<WayThere>,
    /// What was learned of it.
    pub(crate) learned: Option<&'a RouteView>,
    /// What a trace has shown, and how long its answer took; `None` when none could be sent.
    pub(crate) traced: Option<(&'a Way, Option<Duration>)>,
    /// What nodes on the way reported of the trace.
    pub(crate) errors: &'a [String],
}

/// Explains the way to a node.
pub(crate) fn explain_route(scene: &Scene<'_>, facts: &RouteFacts<'_>) -> Vec<String> {
    let name = scene.name(&facts.destination);
    if facts.destination == scene.us {
        return vec!["That is this node itself: a frame to it is delivered here.".to_owned()];
    }
    let mut said = vec![next_hop(scene, &name, facts), at_present(scene, &name, facts)];
    said.extend(candidates(scene, facts));
    said.extend(traced(scene, &name, facts));
    said.extend(facts.errors.iter().cloned());
    said
}

fn next_hop(scene: &Scene<'_>, name: &str, facts: &RouteFacts<'_>) -> String {
    match &facts.way {
        Some(way) if way.via == facts.destination => {
            format!("{name} is a neighbour: frames to it take the link to it.")
        }
        Some(way) => {
            format!("Frames to {name} leave by {}: {}.", scene.name(&way.via), scene.reason_for(way))
        }
        None => format!("There is no way to {name}: it is no neighbour, and no route leads to it."),
    }
}

fn at_present(scene: &Scene<'_>, name: &str, facts: &RouteFacts<'_>) -> String {
    let neighbour = facts.way.as_ref().and_then(|way| scene.neighbour(&way.via));
    let Some(neighbour) = neighbour else {
        return format!("A frame to {name} would be refused here at this moment, with the reason no-route.");
    };
    let via = scene.name(&neighbour.id);
    if !neighbour.is_usable {
        return format!(
            "A frame to {name} would be refused here at this moment, with the reason no-route: of {via}, {}.",
            scene.standing(neighbour)
        );
    }
    let address = neighbour.address.map_or_else(|| "an unknown address".to_owned(), |at| at.to_string());
    let round_trip =
        neighbour.round_trip.map_or_else(String::new, |time| format!(", round trip {}", span(time)));
    let size =
        neighbour.frame_bytes_max.map_or_else(String::new, |max| format!(", frames of up to {max} bytes"));
    format!(
        "A frame to {name} would leave for {via} at {address} at this moment: {}{round_trip}{size}.",
        scene.standing(neighbour)
    )
}

fn candidates(scene: &Scene<'_>, facts: &RouteFacts<'_>) -> Vec<String> {
    let Some(learned) = facts.learned else { return Vec::new() };
    learned.candidates.iter().map(|candidate| candidate_text(scene, candidate)).collect()
}

fn candidate_text(scene: &Scene<'_>, candidate: &CandidateView) -> String {
    let name = scene.name(&candidate.neighbour);
    let why = match candidate.standing {
        Standing::Chosen => "it is the one in use",
        Standing::Longer => "it could be used, and another one is shorter, or as short and in use already",
        Standing::NotFeasible => "it could lead back here: it is no better than what was said here before",
        Standing::Unproved => "the destination's own signature is missing",
        Standing::Retracted => "it has no way, or none that is not through us",
    };
    if candidate.total.is_infinite() {
        return format!("{name} offers no way: {why}.");
    }
    format!("{name} offers a way of {} in all: {why}.", candidate.total.0)
}

fn traced(scene: &Scene<'_>, name: &str, facts: &RouteFacts<'_>) -> Vec<String> {
    let Some((way, round_trip)) = facts.traced else {
        return vec!["The way back is unknown: no trace could be sent.".to_owned()];
    };
    let names = |stops: &[crate::way::Stop]| {
        let names: Vec<_> = stops
            .iter()
            .map(|stop| stop.node.map_or_else(|| "unknown".to_owned(), |id| (scene.name)(&id)))
            .collect();
        names.join(" → ")
    };
    let mut said = Vec::new();
    if way.back.is_empty() {
        said.push(format!(
            "A trace went {} and was not answered: what lies behind is unknown.",
            names(&way.out)
        ));
        return said;
    }
    let took = round_trip.map_or_else(String::new, |time| format!(" in {}", span(time)));
    said.push(format!("A trace went {} and came back {}{took}.", names(&way.out), names(&way.back)));
    said.push(match (way.is_symmetric, scene.return_path) {
        (Some(true), _) => "The way back is the way out, the other way round.".to_owned(),
        (Some(false), ReturnPath::AsCame) => {
            format!("The way back is another one: a link on the way out failed meanwhile, or relays let replies go by their routes; so does what {name} says of its own accord.")
        }
        (Some(false), ReturnPath::Any) => "The way back is another one: replies go by the routes.".to_owned(),
        (None, _) => "Whether the way back is the same is unknown: a relay does not describe itself.".to_owned(),
    });
    said
}
