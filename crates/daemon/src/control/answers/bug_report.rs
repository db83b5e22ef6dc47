//! The answer to `bugreport`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::control::answers::{NeighboursAnswer, RoutesAnswer, SessionsAnswer, StatusAnswer};

/// All that helps to find out what is wrong with a node, and nothing that would let anybody read its traffic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BugReport {
    /// When it was made, in seconds since 1970.
    pub made_unix_seconds: i64,
    /// The kernel, as it names itself.
    pub kernel: String,
    /// See `status`.
    pub status: StatusAnswer,
    /// See `neighbours`.
    pub neighbours: NeighboursAnswer,
    /// See `sessions`.
    pub sessions: SessionsAnswer,
    /// See `routes`.
    pub routes: RoutesAnswer,
    /// The configuration file as it is now, without what may be secret; text where it cannot be read.
    pub config: Value,
    /// What is logged.
    pub log_filter: Option<String>,
    /// The last lines of the log.
    pub log: Vec<String>,
}
