//! The answer to `routes`.

use serde::{Deserialize, Serialize};

use crate::control::answers::NodeName;

/// The ways to all nodes that are known, or what is to be said of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoutesAnswer {
    /// "static" or "dynamic".
    pub mode: String,
    /// One for each node, in order of their ids.
    pub routes: Vec<RouteAnswer>,
}

/// The way to one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteAnswer {
    /// Where it leads.
    pub destination: NodeName,
    /// The neighbour that frames go to.
    pub via: NodeName,
    /// What says so: "static" (a `[[route]]`), "learned" (dynamic routing), "link" (it would be a neighbour
    /// itself).
    pub chosen_by: String,
    /// Whether that neighbour carries frames at this moment. Where it does not, frames are refused and never
    /// sent elsewhere.
    pub is_usable: bool,
    /// What is known from the neighbours; nothing where routing is static.
    pub learned: Option<LearnedAnswer>,
    /// The ways back that replies to it take, newest first; 16 at most.
    pub return_paths: Vec<ReturnPathAnswer>,
    /// The same in sentences; only where `why` was asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub why: Vec<String>,
}

/// What is known of the ways to a node from the neighbours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LearnedAnswer {
    /// The neighbour that was chosen, if any.
    pub via: Option<NodeName>,
    /// The sum of the costs of the links; nothing when there is no way.
    pub metric: Option<u16>,
    /// How often the node had announced itself anew.
    pub sequence: u16,
    /// Up to which sequence number its own signature is there; nothing before it is.
    pub proved: Option<u16>,
    /// How many links the way has, as the neighbours tell it.
    pub links: Option<u8>,
    /// The relays on the way, nearest first, by the first 8 digits of their ids, or their names.
    pub path: Vec<String>,
    /// What each neighbour offers.
    pub candidates: Vec<CandidateAnswer>,
}

/// What one neighbour offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CandidateAnswer {
    /// Who.
    pub via: NodeName,
    /// How far the node is from it, as it says; nothing when it retracted what it had said.
    pub metric: Option<u16>,
    /// How far it is by this neighbour, the link to it included.
    pub total: Option<u16>,
    /// With which sequence number.
    pub sequence: u16,
    /// "chosen", "longer", "not feasible", "unproved" or "retracted".
    pub standing: String,
}

/// The way back that replies to one flow take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReturnPathAnswer {
    /// Which conversation.
    pub flow: u32,
    /// The neighbour that its last request came from.
    pub via: NodeName,
    /// How long ago that was, in milliseconds.
    pub age_ms: u64,
}
