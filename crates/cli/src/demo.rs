//! `peerbound demo`: three nodes, one wrong arrow.

use std::path::{Path, PathBuf};

use clap::Args;
use peerbound_lab::{Demo, run_demo};

use crate::outcome::{CommandResult, Failure, Outcome};
use crate::output::Output;
use crate::pki::{Secrecy, about, write_new};
use crate::{keep, narrative};

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
    if let Some(dir) = &arguments.keep {
        keep::prepare(dir)?;
    }
    let demo = run_demo().map_err(Failure::world)?;
    output.result(&demo.report, || narrative::tell(&demo.report))?;
    if let Some(dir) = &arguments.keep {
        keep::keep(&demo, dir)?;
    }
    if let Some(file) = &arguments.pcap {
        write_capture(&demo, file)?;
    }
    Ok(if demo.report.holds { Outcome::Held } else { Outcome::DidNotHold })
}

/// Writes the capture in place of an earlier one; it holds secrets, so only its owner can read it.
fn write_capture(demo: &Demo, file: &Path) -> Result<(), Failure> {
    let mut bytes = Vec::new();
    demo.tape.to_capture().map_err(Failure::world)?.write_to(&mut bytes).map_err(Failure::world)?;
    if file.is_file() {
        std::fs::remove_file(file).map_err(|error| about(file, "cannot be replaced", error))?;
    }
    write_new(file, &bytes, Secrecy::Owner)
}
