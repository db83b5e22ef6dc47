//! `peerbound sim replay`: the same run once more, and whether it was the same.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::anyhow;
use clap::Args;
use peerbound_lab::run::Backend;
use peerbound_lab::scenario::Word;
use peerbound_lab::trace::{RunSummary, SUMMARY_SCHEMA};

use crate::outcome::{CommandResult, Failure, Outcome};
use crate::output::{Output, complain};
use crate::pki::about;
use crate::sim::SCENARIO_FILE;
use crate::sim::run::{Choice, Telling, carry_out};
use crate::source::{self, Source};
use crate::words;

/// The longest summary that is read. It lists 10,000 datagrams at most, of 200 bytes each.
const SUMMARY_BYTES_MAX: u64 = 16 * 1024 * 1024;

#[derive(Args)]
pub(crate) struct ReplayArguments {
    /// A scenario of the library, a file, or the summary.json of a run.
    #[arg(value_name = "SCENARIO")]
    scenario: String,
    #[command(flatten)]
    choice: Choice,
    /// The hash that the trace must have; taken from a summary.
    #[arg(long, value_name = "HASH", value_parser = hash)]
    expect_hash: Option<String>,
    #[command(flatten)]
    telling: Telling,
}

pub(crate) fn replay(arguments: &ReplayArguments, output: &Output) -> CommandResult {
    let mut expected = arguments.expect_hash.clone();
    let experiment;
    let source;
    if arguments.scenario.ends_with(".json") {
        let path = Path::new(&arguments.scenario);
        let summary = read(path)?;
        source = source_of(path, &summary)?;
        expected = expected.or_else(|| (summary.backend == "sim").then(|| summary.trace_hash.clone()));
        experiment = choice_of(path, &summary, &source, arguments)?.experiment(&source)?;
    } else {
        source = source::one(&arguments.scenario)?;
        experiment = arguments.choice.experiment(&source)?;
    }
    if expected.is_some() && experiment.backend != Backend::Sim {
        return Err(Failure::Request(anyhow!(
            "--expect-hash: only the simulator repeats a run to the byte: leave it out, or run --on sim"
        )));
    }
    let (outcome, summary) = carry_out(&source, &experiment, &arguments.telling, output)?;
    match expected {
        Some(expected) if expected != summary.trace_hash => {
            complain(format!(
                "the trace is another one: its hash is {}, and {expected} was expected; another OpenSSL or version of peerbound gives other bytes",
                summary.trace_hash
            ));
            Ok(Outcome::DidNotHold)
        }
        Some(_) | None => Ok(outcome),
    }
}

/// Reads a summary.
fn read(path: &Path) -> Result<RunSummary, Failure> {
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(SUMMARY_BYTES_MAX).read_to_string(&mut text))
        .map_err(|error| about(path, "cannot be read", error))?;
    let summary: RunSummary = serde_json::from_str(&text).map_err(|error| {
        Failure::Request(anyhow!(
            "{}: is no summary of a run ({error}): `peerbound sim run --out DIR` writes one",
            path.display()
        ))
    })?;
    if summary.schema != SUMMARY_SCHEMA {
        return Err(Failure::Request(anyhow!(
            "{}: its schema is {}, and this program reads {SUMMARY_SCHEMA}: run it again with this one",
            path.display(),
            summary.schema
        )));
    }
    Ok(summary)
}

/// Finds the scenario of a summary: kept beside it, else the one of the library that has its name.
fn source_of(path: &Path, summary: &RunSummary) -> Result<Source, Failure> {
    let beside = path.with_file_name(SCENARIO_FILE);
    if beside.exists() {
        return source::of_file(&beside);
    }
    source::one(&summary.scenario).map_err(|_| {
        Failure::Request(anyhow!(
            "{}: its scenario {:?} is not in the library, and there is no {SCENARIO_FILE} beside it: put it there",
            path.display(),
            summary.scenario
        ))
    })
}

/// Takes from a summary what the command line leaves open.
fn choice_of(
    path: &Path,
    summary: &RunSummary,
    source: &Source,
    arguments: &ReplayArguments,
) -> Result<Choice, Failure> {
    let given = &arguments.choice;
    let wrong = |what: &str| {
        Failure::Request(anyhow!("{}: {what}: it was changed since it was written", path.display()))
    };
    let own = source.parse(&[])?.parameters;
    let (mut set, mut suite) = (Vec::new(), given.suite);
    for (name, value) in &summary.parameters {
        if own.contains_key(name) {
            set.push((name.clone(), value.clone()));
        } else if name == "suite" {
            let known = words::suite(value.trim_matches('"')).map_err(|problem| wrong(&problem))?;
            suite = suite.or(Some(known));
        } else {
            return Err(wrong(&format!("the scenario has no parameter {name:?}")));
        }
    }
    // What is given later counts.
    set.extend(given.set.iter().cloned());
    let on = Backend::from_word(&summary.backend).ok_or_else(|| wrong("it names no backend"))?;
    Ok(Choice { seed: Some(given.seed.unwrap_or(summary.seed)), on, set, suite })
}

fn hash(text: &str) -> Result<String, String> {
    let is_hash = text.len() == 64 && text.chars().all(|letter| letter.is_ascii_hexdigit());
    if is_hash { Ok(text.to_ascii_lowercase()) } else { Err("a hash has 64 hexadecimal digits".to_owned()) }
}
