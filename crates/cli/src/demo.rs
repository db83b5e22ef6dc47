//! `peerbound demo`: three nodes, one wrong arrow.

use std::path::PathBuf;

use clap::Args;
use peerbound_lab::run_demo;

use crate::keep::keep;
use crate::narrative;
use crate::outcome::{CommandResult, Failure, Outcome};
use crate::output::Output;

#[derive(Args)]
pub(crate) struct DemoArguments {
    /// Keep certificates, key log and report in this folder.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Write every datagram, with the secrets to decrypt it, to this pcapng file.
    #[arg(long, value_name = "FILE")]
    pcap: Option<PathBuf>,
}

pub(crate) fn demo(arguments: &DemoArguments, output: &Output) -> CommandResult {
    let demo = run_demo().map_err(Failure::world)?;
    output.result(&demo.report, || narrative::tell(&demo.report))?;
    if let Some(dir) = &arguments.keep {
        keep(&demo, dir)?;
    }
    Ok(if demo.report.holds { Outcome::Held } else { Outcome::DidNotHold })
}
