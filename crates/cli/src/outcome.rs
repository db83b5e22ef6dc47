//! How a command ended, and the exit code for it.

use std::io;
use std::process::ExitCode;

use crate::output::complain;

/// A command that was carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// What was asked for came true.
    Held,
    /// It was carried out, and what was asked for did not come true; the output says what.
    DidNotHold,
}

/// A command that was not carried out.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The request was wrong: a file, a key, an argument. Exit code 2.
    Request(anyhow::Error),
    /// The request was right and the world was not. Exit code 1.
    World(anyhow::Error),
}

pub(crate) type CommandResult = Result<Outcome, Failure>;

impl Failure {
    pub(crate) fn request(error: impl Into<anyhow::Error>) -> Self {
        Self::Request(error.into())
    }

    pub(crate) fn world(error: impl Into<anyhow::Error>) -> Self {
        Self::World(error.into())
    }

    /// Returns why, for whoever decides anew whose fault it is.
    pub(crate) fn into_error(self) -> anyhow::Error {
        match self {
            Self::Request(error) | Self::World(error) => error,
        }
    }

    /// Prints one sentence and returns the exit code. A reader that went away is no failure.
    pub(crate) fn report(&self) -> ExitCode {
        let (error, code) = match self {
            Self::Request(error) => (error, 2),
            Self::World(error) => (error, 1),
        };
        let is_broken_pipe =
            error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe);
        if is_broken_pipe {
            return ExitCode::SUCCESS;
        }
        complain(error);
        ExitCode::from(code)
    }
}

impl From<io::Error> for Failure {
    /// Errors of writing to standard output.
    fn from(error: io::Error) -> Self {
        Self::world(error)
    }
}
