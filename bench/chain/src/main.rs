//! Measures a chain of three hosts, A–B–C: what TCP and UDP get through B, what that costs B, and how long a
//! probe takes; through peerbound and, in the same run, through other ways to relay. Only ratios within a run
//! mean anything, for machines are shared and differ.
//!
//! This file has the command line. The conductor (`conduct`) opens one subject after another, in turn in
//! every round, and lets generators (`worker`), which are this program too, send and receive.
#![forbid(unsafe_code)]

mod chain;
mod conduct;
mod figures;
mod measure;
mod plot;
mod program;
mod report;
mod search;
mod statistics;
mod subject;
mod words;
mod worker;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::chain::Offloads;
use crate::subject::Subject;
use crate::worker::Worker;

/// Measure a chain of three hosts, A-B-C, through peerbound and through other ways to relay; as root
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    options: Options,
}

/// What this program is besides.
#[derive(Debug, Subcommand)]
enum Command {
    /// Sends or receives, started by this program itself.
    #[command(hide = true)]
    Worker {
        #[command(subcommand)]
        worker: Worker,
    },
}

/// How to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// What to measure; all that is installed, if left out
    #[arg(value_enum)]
    subjects: Vec<Subject>,
    /// How many times each is measured, in turn; medians count
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Seconds of each measurement
    #[arg(long, default_value_t = 3.0, value_parser = seconds)]
    seconds: f64,
    /// One round of one second each: a first look
    #[arg(long, conflicts_with_all = ["rounds", "seconds"])]
    quick: bool,
    /// Whether the wires carry super-packets, or single ones as a plain network card does
    #[arg(long, value_enum, default_value = "on")]
    offloads: Offloads,
    /// The program to measure; the one beside this one, if left out
    #[arg(long)]
    peerbound: Option<PathBuf>,
    /// A line for the table `[node]` of each peerbound node, as "workers = 1"; may be given several times
    #[arg(long, value_name = "LINE")]
    node: Vec<String>,
    /// Write all that was measured into this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draw the medians into this file
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    /// Datagrams that the UDP sender gives the kernel at once, to be cut apart on the way
    #[arg(long, value_name = "SEGMENTS", default_value = "1", value_parser = segments)]
    udp_gso: usize,
    /// Exit with 1 when a goal is missed
    #[arg(long)]
    assert: bool,
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "write seconds as 3 or 0.5".to_owned())?;
    if (0.1..=600.0).contains(&seconds) { Ok(seconds) } else { Err("give 0.1 to 600".to_owned()) }
}

/// The kernel takes up to 64 KiB at once.
fn segments(text: &str) -> Result<usize, String> {
    let segments = text.parse().ok().filter(|segments| (1..=54).contains(segments));
    segments.ok_or_else(|| "give 1 to 54".to_owned())
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match arguments.command {
        Some(Command::Worker { worker }) => worker.run().map(|()| ExitCode::SUCCESS),
        None => conduct::conduct(arguments.options),
    };
    done.unwrap_or_else(|error| {
        eprintln!("{}: {error:#}", env!("CARGO_PKG_NAME"));
        ExitCode::from(2)
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn numbers_are_within_reason() {
        assert_eq!(seconds("0.5"), Ok(0.5));
        assert_eq!(segments("54"), Ok(54));
        assert!(segments("0").is_err() && segments("55").is_err());
        assert!(seconds("0").is_err() && seconds("nan").is_err() && seconds("x").is_err());
    }
}
