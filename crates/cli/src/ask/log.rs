//! `peerbound log`: sets what a running node logs, and follows its log.

use clap::Args;
use crossbeam_channel::{bounded, select};
use peerbound_daemon::control::answers::LogAnswer;
use peerbound_daemon::control::{ClientError, ControlClient, Replied};
use serde::Serialize;

use crate::ask::{Target, failure};
use crate::outcome::{CommandResult, Outcome};
use crate::output::Output;
use crate::running;

/// Lines that may wait to be printed.
const LINES_WAITING_MAX: usize = 256;

#[derive(Args)]
#[command(
    after_help = "Examples:\n  peerbound log\n  peerbound log debug --follow\n  peerbound log warn,peerbound_node=trace -c node.toml\n\nWhat is set stays until it is set again or the node stops."
)]
pub(crate) struct LogArguments {
    #[command(flatten)]
    target: Target,
    /// What to log: off, error, warn, info, debug or trace, also for parts (warn,peerbound_node=debug).
    /// Without it, nothing is changed.
    #[arg(value_name = "LEVEL")]
    level: Option<String>,
    /// Print the lines as they are written, until Ctrl-C.
    #[arg(long)]
    follow: bool,
}

#[derive(Serialize)]
struct Asked<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    filter: Option<&'a str>,
    follow: bool,
}

pub(crate) fn log(arguments: &LogArguments, output: &Output) -> CommandResult {
    let asked = Asked { filter: arguments.level.as_deref(), follow: arguments.follow };
    let mut client = arguments.target.connect()?;
    client.send("log", &asked).map_err(failure)?;
    if !arguments.follow {
        let Replied { answer, .. } = client.receive::<LogAnswer>(None).map_err(failure)?;
        output.result(&answer, || text(&answer))?;
        return Ok(Outcome::Held);
    }
    let signals = running::signals()?;
    let lines = receive_all(client);
    loop {
        select! {
            recv(lines) -> answer => match answer {
                Ok(answer) => {
                    let answer = answer.map_err(failure)?;
                    output.result(&answer, || text(&answer))?;
                }
                Err(_) => return Ok(Outcome::Held),
            },
            recv(signals) -> _ => return Ok(Outcome::Held),
        }
    }
}

/// Receives on a thread of its own, for a socket cannot be waited for with signals. It ends with the process.
fn receive_all(mut client: ControlClient) -> crossbeam_channel::Receiver<Result<LogAnswer, ClientError>> {
    let (tell, told) = bounded(LINES_WAITING_MAX);
    std::thread::spawn(move || {
        loop {
            let replied = client.receive::<LogAnswer>(None);
            let goes_on = replied.as_ref().is_ok_and(|replied| replied.more);
            if tell.send(replied.map(|replied| replied.answer)).is_err() || !goes_on {
                return;
            }
        }
    });
    told
}

fn text(answer: &LogAnswer) -> String {
    match answer {
        LogAnswer::Filter { filter, before } if filter == before => format!("logs {filter}"),
        LogAnswer::Filter { filter, before } => format!("logs {filter}, before {before}"),
        LogAnswer::Line { line } => line.clone(),
    }
}
