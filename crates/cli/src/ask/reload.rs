//! `peerbound reload`: lets a running node read its configuration again.

use clap::Args;
use peerbound_daemon::control::answers::ReloadAnswer;

use crate::ask::{Nothing, Target, failure};
use crate::outcome::{CommandResult, Outcome};
use crate::output::Output;
use crate::running::reload_text;

#[derive(Args)]
#[command(
    after_help = "Examples:\n  peerbound reload\n  peerbound reload -c node.toml --json\n\nSIGHUP does the same. A file that cannot be used changes nothing."
)]
pub(crate) struct ReloadArguments {
    #[command(flatten)]
    target: Target,
}

pub(crate) fn reload(arguments: &ReloadArguments, output: &Output) -> CommandResult {
    let answer: ReloadAnswer = arguments.target.connect()?.ask("reload", &Nothing {}).map_err(failure)?;
    output.result(&answer, || reload_text(&answer.applied, &answer.needs_restart))?;
    Ok(Outcome::Held)
}
