//! Standard output: text for people, or one JSON value a line for programs.

use std::fmt::Display;
use std::io::{self, Write};

use serde::Serialize;

/// Where results go, and in which form.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    is_json: bool,
}

impl Output {
    pub(crate) fn new(is_json: bool) -> Self {
        Self { is_json }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.is_json
    }

    /// Prints one result: `value` as a line of JSON, or the lines that `text` makes.
    pub(crate) fn result(&self, value: &impl Serialize, text: impl FnOnce() -> String) -> io::Result<()> {
        let mut stdout = anstream::stdout().lock();
        if self.is_json {
            let line = serde_json::to_string(value).map_err(io::Error::other)?;
            writeln!(stdout, "{line}")?;
        } else {
            writeln!(stdout, "{}", text())?;
        }
        // A reader at the other end of a pipe wants each line when it happens.
        stdout.flush()
    }
}

/// Tells on standard error what went wrong, in one line. That nobody reads it is no reason to panic.
pub(crate) fn complain(sentence: impl Display) {
    let _ = writeln!(anstream::stderr(), "peerbound: {sentence}");
}
