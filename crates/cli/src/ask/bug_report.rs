//! `peerbound bugreport`: writes down all that helps to find out what is wrong with a running node.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use clap::Args;
use peerbound_daemon::control::answers::BugReport;
use serde::Serialize;

use crate::ask::{Nothing, Target, failure};
use crate::outcome::{CommandResult, Failure, Outcome};
use crate::output::Output;
use crate::pki::about;

#[derive(Args)]
#[command(
    after_help = "Examples:\n  peerbound bugreport\n  peerbound bugreport -c node.toml --out report.json\n\nThe report has addresses, names, counters, the configuration without what may be secret, and the last lines of\nthe log: read it before you send it. It has no key and nothing of what was sent."
)]
pub(crate) struct BugReportArguments {
    #[command(flatten)]
    target: Target,
    /// The file to write, which must not be there yet.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Serialize)]
struct Written {
    file: String,
    bytes: usize,
}

pub(crate) fn bug_report(arguments: &BugReportArguments, output: &Output) -> CommandResult {
    let report: BugReport = arguments.target.connect()?.ask("bugreport", &Nothing {}).map_err(failure)?;
    let path = arguments.out.clone().unwrap_or_else(|| PathBuf::from(file_name(&report)));
    let mut bytes = serde_json::to_vec_pretty(&report).map_err(Failure::world)?;
    bytes.push(b'\n');
    // Not for others' eyes: who talks with whom is in it.
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
    file.and_then(|mut file| file.write_all(&bytes))
        .map_err(|error| about(&path, "cannot be written", error))?;
    let written = Written { file: path.display().to_string(), bytes: bytes.len() };
    output.result(&written, || {
        format!("{}: {} bytes; read it before you send it", written.file, written.bytes)
    })?;
    Ok(Outcome::Held)
}

fn file_name(report: &BugReport) -> String {
    let id: String = report.status.id.chars().take(8).collect();
    format!("peerbound-{id}-{}.json", report.made_unix_seconds)
}
