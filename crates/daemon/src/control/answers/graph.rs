//! The answer to `graph`.

use serde::{Deserialize, Serialize};

use crate::control::answers::NodeName;

/// The mesh, as far as one node knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GraphAnswer {
    /// Who looks.
    pub us: NodeName,
    /// Everybody who is known, ourselves included, in order of their ids. A relay of which only the first
    /// digits of its id are known has no more than these.
    pub nodes: Vec<NodeName>,
    /// Links between them: our own, and those that learned ways lead over.
    pub links: Vec<GraphLink>,
}

/// A link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GraphLink {
    /// One end, by its id.
    pub from: String,
    /// The other end, by its id.
    pub to: String,
    /// Whether it carries frames. Of links further away the ways that lead over them are the witness.
    pub is_up: bool,
    /// Whether it is one of our own.
    pub is_ours: bool,
}
