//! The answer to `reload`.

use serde::{Deserialize, Serialize};

use crate::reload::{ReloadReport, Reloaded};

/// What became of each key that has changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReloadAnswer {
    /// What is in force.
    pub applied: Vec<ReloadedKey>,
    /// What has changed in the file and is not in force before the node is started anew.
    pub needs_restart: Vec<ReloadedKey>,
}

/// One key that has changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReloadedKey {
    /// The key, as `node.mtu`.
    pub key: String,
    /// What became of it, in words.
    pub what: String,
}

impl From<ReloadReport> for ReloadAnswer {
    fn from(report: ReloadReport) -> Self {
        let keys = |keys: Vec<Reloaded>| {
            keys.into_iter().map(|Reloaded { key, what }| ReloadedKey { key, what }).collect()
        };
        Self { applied: keys(report.applied), needs_restart: keys(report.needs_restart) }
    }
}
