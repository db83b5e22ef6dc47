//! The program as a whole: run to its end, or started, listened to and stopped. What every test of
//! processes needs; it knows no topology.

mod finished;
mod program;
mod variables;

pub(crate) use finished::{Finished, peerbound};
pub(crate) use program::Program;

use std::time::Duration;

/// Generous: shared machines stall. Nothing waits for it but a test that fails.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);
