//! The answers to `log`.

use serde::{Deserialize, Serialize};

/// What is told of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "log", rename_all = "snake_case")]
pub enum LogAnswer {
    /// Which lines are written.
    Filter {
        /// From here on.
        filter: String,
        /// Until here.
        before: String,
    },
    /// A line was written.
    Line {
        /// Without its end.
        line: String,
    },
}
