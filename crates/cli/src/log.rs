//! The log: to standard error, as much of it as PEERBOUND_LOG asks for, and its last lines to whoever asks a
//! running node for them.

use std::io::IsTerminal;
use std::sync::{Arc, OnceLock};

use anyhow::anyhow;
use peerbound_daemon::control::{Log, LogBook, LogFilter};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt, registry, reload};

use crate::outcome::Failure;

/// The variable that says what to log.
const LOG_VARIABLE: &str = "PEERBOUND_LOG";

/// The log of this process, once it is started.
static LOG: OnceLock<Log> = OnceLock::new();

/// Starts the log, in colour on a terminal.
pub(crate) fn start() -> Result<(), Failure> {
    let filter = match std::env::var(LOG_VARIABLE) {
        Ok(text) => EnvFilter::try_new(&text).map_err(|error| {
            Failure::Request(anyhow!(
                "{LOG_VARIABLE}={text:?} is no filter ({error}): write a level, as warn, info or debug, or target=level"
            ))
        })?,
        Err(_) => EnvFilter::new("warn"),
    };
    let (filter, handle) = reload::Layer::new(filter);
    let book = Arc::new(LogBook::default());
    let to_terminal = fmt::layer().with_ansi(std::io::stderr().is_terminal()).with_writer(std::io::stderr);
    let to_book = fmt::layer().with_ansi(false).with_writer(Arc::clone(&book));
    registry().with(filter).with(to_terminal).with(to_book).init();
    let _ = LOG.set(Log { book, filter: Arc::new(Reloadable(handle)) });
    Ok(())
}

/// Returns the log of this process.
pub(crate) fn of_this_process() -> Option<Log> {
    LOG.get().cloned()
}

/// The filter of this process's log.
#[derive(Debug)]
struct Reloadable(reload::Handle<EnvFilter, Registry>);

impl LogFilter for Reloadable {
    fn filter(&self) -> String {
        self.0.with_current(ToString::to_string).unwrap_or_default()
    }

    fn set_filter(&self, text: &str) -> Result<(), String> {
        let filter = parse(text)?;
        self.0.reload(filter).map_err(|error| error.to_string())
    }
}

/// Reads a filter. One word that is no level would be taken for the name of a crate, and silence all others.
fn parse(text: &str) -> Result<EnvFilter, String> {
    let is_word = text.chars().all(|character| character.is_ascii_alphanumeric());
    if is_word && (text.is_empty() || text.parse::<LevelFilter>().is_err()) {
        return Err(format!(
            "{text:?} is no level: write off, error, warn, info, debug or trace, or target=level"
        ));
    }
    EnvFilter::try_new(text)
        .map_err(|error| format!("{text:?} is no filter ({error}): write a level, or target=level"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_level_is_refused_and_not_taken_for_the_name_of_a_crate() {
        for good in ["warn", "DEBUG", "off", "warn,peerbound_node=debug"] {
            assert!(parse(good).is_ok(), "{good}");
        }
        for bad in ["", "dbug", "warn=loud,", "peerbound_node=loud"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
