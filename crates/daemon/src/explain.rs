//! Says in sentences what a node knows of something that went no further, or of a way. Each sentence follows
//! from facts that are handed in; where there is none, it says "unknown".

use std::time::{Duration, Instant};

use peerbound_node::{ChosenBy, NeighbourView, ReturnPath};
use peerbound_wire::{Acquaintance, NodeId};

mod loss;
mod route;
mod stray;

pub(crate) use loss::explain_loss;
pub(crate) use route::{RouteFacts, explain_route};
pub(crate) use stray::{StrayFacts, explain_stray};

/// What all explanations are made from.
pub(crate) struct Scene<'a> {
    pub(crate) now: Instant,
    pub(crate) us: NodeId,
    pub(crate) name: &'a dyn Fn(&NodeId) -> String,
    pub(crate) neighbours: &'a [NeighbourView],
    pub(crate) return_path: ReturnPath,
}

/// Who is at an address, and who says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) id: NodeId,
    pub(crate) how: Acquaintance,
    /// The neighbour that said so; `None` when we know it ourselves.
    pub(crate) by: Option<NodeId>,
}

/// The way that frames to a node take from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WayThere {
    pub(crate) via: NodeId,
    pub(crate) chosen_by: ChosenBy,
}

impl Scene<'_> {
    fn name(&self, id: &NodeId) -> String {
        if *id == self.us { "us".to_owned() } else { (self.name)(id) }
    }

    fn neighbour(&self, id: &NodeId) -> Option<&NeighbourView> {
        self.neighbours.iter().find(|neighbour| neighbour.id == *id)
    }

    fn ago(&self, at: Instant) -> String {
        format!("{} ago", span(self.now.saturating_duration_since(at)))
    }

    /// Says how a neighbour's link stands, as the end of a sentence about it.
    fn standing(&self, neighbour: &NeighbourView) -> String {
        if neighbour.is_usable {
            let since = neighbour.up_since.map(|at| span(self.now.saturating_duration_since(at)));
            return format!("its link is up for {}", since.unwrap_or_else(|| "an unknown time".to_owned()));
        }
        let phase = neighbour.phase.name();
        match (&neighbour.last_error, neighbour.last_error_at) {
            (Some(error), Some(at)) => format!("its link is down ({phase}; {}: {error})", self.ago(at)),
            (_, _) => format!("its link is not established yet ({phase})"),
        }
    }

    /// Says why frames to a node go where they go.
    fn reason_for(&self, way: &WayThere) -> String {
        match way.chosen_by {
            ChosenBy::Static => "a route in our file says so".to_owned(),
            ChosenBy::Learned => format!("dynamic routing learned it from {}", self.name(&way.via)),
            ChosenBy::Link => "it is a neighbour itself".to_owned(),
        }
    }
}

/// Says a length of time.
pub(crate) fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0 if time.as_millis() == 0 => {
            format!("{}.{:03} ms", time.as_micros() / 1000, time.as_micros() % 1000)
        }
        0 => format!("{} ms", time.as_millis()),
        1..=119 => format!("{seconds} s"),
        120..=7199 => format!("{} min", seconds / 60),
        7200..=172_799 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// Says a count with its noun.
pub(crate) fn counted(count: u64, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}
