//! What is said when a standing invariant does not hold.

use crate::scenario::Invariant;
use crate::trace::{DatagramId, Nanos};

/// An invariant that did not hold, once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub invariant: Invariant,
    /// When.
    pub at: Nanos,
    /// The datagram that showed it, if one did.
    pub datagram: Option<DatagramId>,
    /// What was seen, in a sentence.
    pub text: String,
}
