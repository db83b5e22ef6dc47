//! `peerbound sim merge`: the shards of a sweep, put together.

use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::Args;
use peerbound_lab::sweep::{self, Insist, Summary, SweepFile};

use crate::outcome::{CommandResult, Failure, Outcome};
use crate::output::Output;
use crate::pki::about;
use crate::sim::summary;

#[derive(Args)]
pub(crate) struct MergeArguments {
    /// The files of results of all shards.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Put together what is there, though runs are missing.
    #[arg(long)]
    partial: bool,
    /// Write the results of all shards to one file.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(crate) fn merge(arguments: &MergeArguments, output: &Output) -> CommandResult {
    let read = arguments.files.iter().map(|path| Ok((path.display().to_string(), read(path)?)));
    let files = read.collect::<Result<Vec<_>, Failure>>()?;
    let insist = if arguments.partial { Insist::OnNothing } else { Insist::OnAll };
    let merged = sweep::merge(files, insist).map_err(Failure::request)?;
    if let Some(path) = &arguments.out {
        write(path, &merged)?;
    }
    let summary = Summary::of(&merged);
    let printed = output.result(&summary, || summary::tell(&summary));
    if !summary.failing.is_empty() {
        return Ok(Outcome::DidNotHold);
    }
    printed?;
    Ok(Outcome::Held)
}

fn read(path: &Path) -> Result<SweepFile, Failure> {
    let file = File::open(path).map_err(|error| about(path, "cannot be read", error))?;
    SweepFile::read(BufReader::new(file))
        .map_err(|error| Failure::Request(anyhow!("{}: {error}", path.display())))
}

fn write(path: &Path, file: &SweepFile) -> Result<(), Failure> {
    let put = || {
        let mut out = BufWriter::new(File::create_new(path)?);
        file.write(&mut out)?;
        out.flush()
    };
    put().map_err(|error| about(path, "cannot be written: name a file that is not there yet", error))
}
