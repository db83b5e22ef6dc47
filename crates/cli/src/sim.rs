//! `peerbound sim`: one scenario at a time, looked at closely: run, swept over seeds and parameters,
//! replayed, shrunk; and what came out of sweeps put together.

mod merge;
mod replay;
mod run;
mod shrink;
mod story;
mod summary;
mod sweep;

use std::path::Path;

use clap::Subcommand;
use peerbound_lab::experiment::{Experiment, checks};
use peerbound_lab::run::RunReport;
use peerbound_lab::trace::{ExpectationLine, RunFacts, RunSummary};

use crate::outcome::{CommandResult, Failure};
use crate::output::Output;
use crate::pki;
use crate::source::Source;

#[derive(Subcommand)]
pub(crate) enum SimCommand {
    /// Run a scenario once and tell what happened.
    Run(run::RunArguments),
    /// Run it again exactly as before, by its seed or by the summary of a run.
    Replay(replay::ReplayArguments),
    /// Run a scenario under many seeds and parameters, and count.
    Sweep(sweep::SweepArguments),
    /// Put the shards of a sweep together.
    Merge(merge::MergeArguments),
    /// Make a failing scenario as small as it can be while it fails in the same way.
    Shrink(shrink::ShrinkArguments),
}

pub(crate) fn sim(command: &SimCommand, output: &Output) -> CommandResult {
    match command {
        SimCommand::Run(arguments) => run::run(arguments, output),
        SimCommand::Replay(arguments) => replay::replay(arguments, output),
        SimCommand::Sweep(arguments) => sweep::sweep(arguments, output),
        SimCommand::Merge(arguments) => merge::merge(arguments, output),
        SimCommand::Shrink(arguments) => shrink::shrink(arguments, output),
    }
}

/// The scenario of a run, as it is kept beside its traces: whoever has the folder can replay it.
const SCENARIO_FILE: &str = "scenario.toml";

/// Writes what a run left: its traces in all forms, its summary, and the scenario itself.
pub(crate) fn keep(
    folder: &Path,
    source: &Source,
    experiment: &Experiment,
    report: &RunReport,
) -> Result<(), Failure> {
    let summary = summarise(experiment, report);
    report.trace.write_to(folder, &summary).map_err(|error| Failure::Request(error.into()))?;
    pki::replace(&folder.join(SCENARIO_FILE), source.text.as_bytes())
}

/// Sums a run up.
fn summarise(experiment: &Experiment, report: &RunReport) -> RunSummary {
    let mut parameters = experiment.scenario.parameters.clone();
    if let Some(suite) = experiment.suite {
        parameters.entry("suite".to_owned()).or_insert_with(|| format!("\"{}\"", suite.name));
    }
    let expectations = checks(&experiment.scenario, report).into_iter().map(|check| ExpectationLine {
        expected: check.expected,
        observed: check.observed,
        holds: check.holds,
    });
    report.trace.summarise(RunFacts {
        parameters,
        holds: report.holds,
        replay: experiment.replay_command(),
        expectations: expectations.collect(),
    })
}
