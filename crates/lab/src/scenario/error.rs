//! What is wrong with a scenario file: one sentence with the file, the line, the key and the fix.

use std::io;

/// Why a scenario cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// The file cannot be read.
    #[error("{file}: cannot be read: {source}")]
    Unreadable {
        /// Which file.
        file: String,
        /// What the system says.
        source: io::Error,
    },
    /// It is larger than any scenario.
    #[error("{file}: {bytes} bytes are more than the {max} that a scenario may have: take steps out")]
    TooLarge {
        /// Which file.
        file: String,
        /// Its size.
        bytes: usize,
        /// The ceiling.
        max: usize,
    },
    /// Something in it is wrong.
    #[error("{file}:{line}: {problem}")]
    Wrong {
        /// Which file.
        file: String,
        /// Which line, from 1.
        line: usize,
        /// Which key, what is wrong, and what to write instead.
        problem: String,
    },
    /// A parameter that was asked for is not one of the scenario's.
    #[error("{file}: {problem}")]
    Parameter {
        /// Which file.
        file: String,
        /// Which parameter, and which there are.
        problem: String,
    },
}
