//! Why a request is not answered: a code for programs and a sentence for people.

use serde::{Deserialize, Serialize};

use crate::daemon::CommandError;

/// What is wrong with a request, for programs. Others may be added: a client that does not know a code
/// shows the sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorCode {
    /// The line is no JSON object with `peerbound` and `ask`; the connection ends.
    BadLine,
    /// The line is longer than a line may be; the connection ends.
    LineTooLong,
    /// The line did not end in time, or at all; the connection ends.
    HalfLine,
    /// The version of the protocol is not spoken here; the connection ends.
    Version,
    /// As many clients are served as may be; the connection ends.
    Busy,
    /// No request was made for too long; the connection ends.
    Idle,
    /// No request has this name.
    UnknownRequest,
    /// A parameter is missing, unknown, or out of range.
    BadParameter,
    /// Nobody has this name or id.
    UnknownNode,
    /// There is no way to the node.
    NoRoute,
    /// The request is known, and this node cannot serve it as it is set up.
    Unsupported,
    /// The configuration cannot be used; the node goes on as it was.
    BadConfiguration,
    /// The node did not do it.
    Failed,
    /// The node is stopping.
    Stopping,
    /// A code of another version of the program.
    #[serde(other)]
    Other,
}

/// An answer that says no.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// What is wrong, for programs.
    pub code: ErrorCode,
    /// What is wrong and what to do, for people.
    pub message: String,
}

impl Refusal {
    /// Makes a refusal.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

impl From<CommandError> for Refusal {
    fn from(error: CommandError) -> Self {
        let code = match &error {
            CommandError::Send(peerbound_node::SendError::NoRoute { .. }) => ErrorCode::NoRoute,
            CommandError::Send(_) | CommandError::Busy => ErrorCode::Failed,
            CommandError::Gone => ErrorCode::Stopping,
        };
        Self::new(code, error.to_string())
    }
}
