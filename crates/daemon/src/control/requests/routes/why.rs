//! Says in sentences why frames to a node go where they go.

use peerbound_node::NeighbourView;
use peerbound_wire::RouteSeq;

use crate::control::answers::{CandidateAnswer, RouteAnswer};
use crate::control::requests::routes::Known;

/// Ways back that are told in sentences; the answer has more.
const RETURN_PATHS_TOLD: usize = 4;

/// Tells what is known of one destination, the decision first.
pub(super) fn sentences(
    route: &RouteAnswer,
    mode: &str,
    known: &Known,
    neighbours: &[NeighbourView],
) -> Vec<String> {
    let mut told = vec![decision(route, mode)];
    told.extend(trouble(route, known, neighbours));
    match &route.learned {
        Some(learned) => {
            told.extend(learned.candidates.iter().map(|candidate| offer(candidate, route, known)));
            if learned.proved.is_none() {
                told.push(format!(
                    "The signature of {} has not come yet: before it does, nothing that is said of it is used.",
                    route.destination.name
                ));
            }
            if learned.candidates.is_empty() {
                told.push(format!(
                    "No neighbour whose link is up has said anything of {}.",
                    route.destination.name
                ));
            }
        }
        None if mode == "dynamic" => {
            told.push(format!("No neighbour has told of {}.", route.destination.name));
        }
        None => {}
    }
    told.extend(ways_back(route));
    told
}

fn decision(route: &RouteAnswer, mode: &str) -> String {
    let (to, via) = (&route.destination.name, &route.via.name);
    match route.chosen_by.as_str() {
        "static" => format!(
            "Frames to {to} go to {via}: a [[route]] in the configuration says so, and that comes before anything else."
        ),
        "learned" => {
            let learned = route.learned.as_ref();
            let metric = learned.and_then(|learned| learned.metric).unwrap_or_default();
            let links = learned.and_then(|learned| learned.links).map_or_else(String::new, |links| {
                let path = learned.map(|learned| learned.path.join(", ")).unwrap_or_default();
                match links {
                    1 => " over one link".to_owned(),
                    _ => format!(" over {links} links, by {path}"),
                }
            });
            format!(
                "Frames to {to} go to {via}: of the ways that may be used it is the shortest, {metric}{links}."
            )
        }
        _ if mode == "dynamic" => format!(
            "Frames to {to} would go to it as a neighbour: no [[route]] leads to it, and no way to it was learned."
        ),
        _ => format!("Frames to {to} go to it as a neighbour: no [[route]] leads to it."),
    }
}

/// Says why frames are refused, where they are.
fn trouble(route: &RouteAnswer, known: &Known, neighbours: &[NeighbourView]) -> Option<String> {
    if route.is_usable {
        return None;
    }
    let via = &route.via.name;
    let neighbour = neighbours.iter().find(|neighbour| neighbour.id == known.way.via);
    Some(match neighbour {
        None => format!(
            "But {via} is no neighbour, so frames to it are refused with \"no route\": add a [[route]], or a [[neighbour]]."
        ),
        Some(neighbour) => {
            let why = neighbour.last_error.as_deref().unwrap_or("its link is not established yet");
            format!(
                "But {via} is down ({why}), so frames are refused with \"no route\" and never sent elsewhere."
            )
        }
    })
}

fn offer(candidate: &CandidateAnswer, route: &RouteAnswer, known: &Known) -> String {
    let via = &candidate.via.name;
    let to = &route.destination.name;
    let (Some(metric), Some(total)) = (candidate.metric, candidate.total) else {
        return format!("{via} offers no way to {to}: it has none, or its own leads through us.");
    };
    let way = format!(
        "{via} says {metric} with sequence number {}, which makes {total} with the link to it",
        candidate.sequence
    );
    match candidate.standing.as_str() {
        "chosen" => format!("{way}: chosen."),
        "longer" => format!(
            "{way}: it could be used, and the chosen one is shorter, or as short and was there first."
        ),
        "not feasible" => {
            let said = known.learned.as_ref().and_then(|learned| learned.said);
            let (RouteSeq(sequence), said) =
                said.map_or((RouteSeq(0), "?".to_owned()), |(seqno, metric)| (seqno, metric.0.to_string()));
            format!(
                "{way}: not feasible. Only a way that is newer than {sequence}, or as new and nearer than {said} at the neighbour, cannot lead back here (RFC 8966, 3.5.1); a newer number was asked for if this is needed."
            )
        }
        "unproved" => format!("{way}: not used before the signature of {to} is here."),
        other => format!("{way}: {other}."),
    }
}

fn ways_back(route: &RouteAnswer) -> Vec<String> {
    let to = &route.destination.name;
    if route.return_paths.is_empty() {
        return vec![format!("No request from {to} came by lately, so replies to it take the way above.")];
    }
    let told = route.return_paths.iter().take(RETURN_PATHS_TOLD).map(|path| {
        format!(
            "Replies to {to} in flow {} go to {}: its last request came from there {} s ago.",
            path.flow,
            path.via.name,
            path.age_ms / 1000
        )
    });
    told.collect()
}
