//! `peerbound completions` and `peerbound man`: what a shell and a reader of man pages know of the
//! commands, made from the commands themselves.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::outcome::{CommandResult, Failure, Outcome};
use crate::{Arguments, pki};

#[derive(Args)]
pub(crate) struct CompletionsArguments {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Args)]
pub(crate) struct ManArguments {
    /// The folder to write to: a page for each command. It is made if it is not there.
    #[arg(long, value_name = "FOLDER")]
    dir: PathBuf,
}

pub(crate) fn completions(arguments: &CompletionsArguments) -> CommandResult {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Arguments::command(), "peerbound", &mut script);
    std::io::stdout().write_all(&script).context("standard output is closed").map_err(Failure::World)?;
    Ok(Outcome::Held)
}

pub(crate) fn man(arguments: &ManArguments) -> CommandResult {
    std::fs::create_dir_all(&arguments.dir)
        .map_err(|error| pki::about(&arguments.dir, "the folder cannot be made", error))?;
    clap_mangen::generate_to(Arguments::command(), &arguments.dir)
        .map_err(|error| pki::about(&arguments.dir, "the pages cannot be written", error))?;
    Ok(Outcome::Held)
}
