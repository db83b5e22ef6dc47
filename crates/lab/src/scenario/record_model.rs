//! Hosts that run the record-layer model of Connection IDs in place of a node.

use std::time::Duration;

use peerbound_cid::MoveRule;

use crate::scenario::words::Word;
use crate::trace::HostIndex;

/// How such a host is made. Its sessions stand from the beginning: OpenSSL shook hands for their keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordModelPlan {
    /// With whom it has a session that it began.
    pub dials: Vec<HostIndex>,
    /// Whether it asked its peers to address it by an id.
    pub asks_for_id: bool,
    /// What it takes to move a peer's address.
    pub move_rule: MoveRule,
    /// How long it waits for the answer to a challenge.
    pub patience: Duration,
}

impl RecordModelPlan {
    /// The wait that RFC 9853, 5.5 recommends where nothing is known of the round trip.
    pub const PATIENCE_DEFAULT: Duration = Duration::from_secs(1);
}

impl Word for MoveRule {
    const WORDS: &'static [(&'static str, Self)] =
        &[("none", Self::Follow), ("basic", Self::BasicCheck), ("enhanced", Self::EnhancedCheck)];
}
