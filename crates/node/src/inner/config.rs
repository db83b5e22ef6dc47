//! Whether payloads are protected from end to end, and on what terms.

use std::collections::BTreeMap;
use std::time::Duration;

use peerbound_wire::NodeId;

/// How long an inner session without payloads is kept: conversations pause, and opening takes a few round trips.
pub const INNER_IDLE_DEFAULT: Duration = Duration::from_secs(300);

/// Inner sessions of one node: 1024 x 160 kB = 160 MB at worst.
pub const INNER_SESSIONS_MAX: usize = 1024;

/// Whether payloads to and from a node travel in an inner session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EndToEnd {
    /// They do; a payload in the clear from it is refused.
    On,
    /// They do not: every relay on the way can read and change them. For teaching.
    #[default]
    Off,
}

/// What a node is told of inner sessions.
#[derive(Debug, Clone)]
pub struct InnerConfig {
    /// What holds for every node but the exceptions.
    pub default: EndToEnd,
    /// What holds for single nodes.
    pub exceptions: BTreeMap<NodeId, EndToEnd>,
    /// How long a session without payloads is kept.
    pub idle: Duration,
    /// How many there may be; beyond them the idlest is closed. [`INNER_SESSIONS_MAX`] at most.
    pub sessions_max: usize,
}

impl InnerConfig {
    /// Returns what holds between us and a node.
    #[must_use]
    pub fn with(&self, node: &NodeId) -> EndToEnd {
        self.exceptions.get(node).copied().unwrap_or(self.default)
    }
}

impl Default for InnerConfig {
    fn default() -> Self {
        Self {
            default: EndToEnd::Off,
            exceptions: BTreeMap::new(),
            idle: INNER_IDLE_DEFAULT,
            sessions_max: INNER_SESSIONS_MAX,
        }
    }
}
