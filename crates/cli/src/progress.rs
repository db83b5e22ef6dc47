//! How far long work has come: a line on a terminal, nothing in a pipe.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A line on standard error that is gone when the work is done.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// Starts at zero. With `is_json`, or where standard error is no terminal, nothing is shown.
    pub(crate) fn of(steps: u64, what: &'static str, is_json: bool) -> Self {
        let is_seen = !is_json && std::io::stderr().is_terminal();
        let target = if is_seen { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(steps), target);
        // Plain ASCII, and no colour: it is read on consoles of every kind.
        let style = ProgressStyle::with_template("{prefix} [{bar:30}] {pos} of {len}, {eta} left  {msg}");
        if let Ok(style) = style {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_prefix(what);
        Self(bar)
    }

    /// One more is done; `note` says what is worth saying meanwhile.
    pub(crate) fn advance(&self, note: &str) {
        if self.0.message() != note {
            self.0.set_message(note.to_owned());
        }
        self.0.inc(1);
    }

    /// Takes the line away.
    pub(crate) fn finish(&self) {
        self.0.finish_and_clear();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}
