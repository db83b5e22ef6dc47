//! `peerbound listen`: a node that prints what arrives, and echoes it if asked to.

use std::path::PathBuf;

use clap::Args;
use crossbeam_channel::select;
use peerbound_daemon::Daemon;
use peerbound_node::Event;
use peerbound_wire::Header;
use serde::Serialize;

use crate::outcome::{CommandResult, Failure, Outcome};
use crate::output::{Output, complain};
use crate::running;

#[derive(Args)]
pub(crate) struct ListenArguments {
    /// The node's configuration file.
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,
    /// Send everything back to where it came from.
    #[arg(long)]
    echo: bool,
    /// Stop after so many payloads.
    #[arg(long, value_name = "N")]
    count: Option<u64>,
}

/// A payload that arrived.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename = "delivered")]
pub(crate) struct Delivered {
    from: String,
    id: String,
    flow: u32,
    text: String,
}

impl Delivered {
    pub(crate) fn new(daemon: &Daemon, header: &Header, payload: &[u8]) -> Self {
        Self {
            from: daemon.name_of(&header.source),
            id: header.source.to_string(),
            flow: header.flow.0,
            text: printable(payload),
        }
    }

    pub(crate) fn print(&self, output: &Output) -> Result<(), Failure> {
        output.result(self, || format!("{}: {}", self.from, self.text))?;
        Ok(())
    }
}

pub(crate) fn listen(arguments: &ListenArguments, output: &Output) -> CommandResult {
    let config = running::load(&arguments.config)?;
    let signals = running::signals()?;
    let daemon = running::start(config)?;
    let (_reloader, _watcher) = running::watch(&arguments.config, &daemon)?;
    running::report_ready(&daemon, output)?;
    let mut left = arguments.count;
    while left != Some(0) {
        select! {
            recv(daemon.events()) -> event => {
                let Ok(event) = event else {
                    return Err(Failure::World(anyhow::anyhow!("the node stopped by itself: see its log")));
                };
                running::report_event(&daemon, &event, output)?;
                if let Event::Delivered { header, payload } = event {
                    left = left.map(|left| left.saturating_sub(1));
                    Delivered::new(&daemon, &header, &payload).print(output)?;
                    if arguments.echo {
                        echo(&daemon, &header, payload);
                    }
                }
            }
            recv(signals) -> _ => break,
        }
    }
    running::stop(daemon)?;
    running::report_stopped(output)?;
    Ok(Outcome::Held)
}

fn echo(daemon: &Daemon, header: &Header, payload: Vec<u8>) {
    if let Err(error) = daemon.send(header.source, header.flow, true, payload) {
        complain(format_args!("the echo to {} was not sent: {error}", daemon.name_of(&header.source)));
    }
}

/// Shows a payload without letting it drive the reader's terminal.
fn printable(payload: &[u8]) -> String {
    String::from_utf8_lossy(payload)
        .chars()
        .map(|character| {
            if character.is_control() && character != '\t' { char::REPLACEMENT_CHARACTER } else { character }
        })
        .collect()
}
