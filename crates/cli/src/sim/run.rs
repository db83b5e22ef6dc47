//! `peerbound sim run`: one run, told as it went.

use std::path::PathBuf;

use anyhow::anyhow;
use clap::Args;
use peerbound_dtls::Suite;
use peerbound_lab::experiment::{Experiment, checks};
use peerbound_lab::prove::Check;
use peerbound_lab::run::{Backend, RunError, RunReport, StageError};
use peerbound_lab::trace::RunSummary;

use crate::columns::paragraph;
use crate::outcome::{CommandResult, Failure, Outcome};
use crate::output::Output;
use crate::sim::story::{self, Detail};
use crate::sim::{keep, summarise};
use crate::source::{self, Source, parameter};
use crate::words::{backend, suite};

#[derive(Args)]
pub(crate) struct RunArguments {
    /// A scenario of the library, or a file.
    #[arg(value_name = "SCENARIO")]
    scenario: String,
    #[command(flatten)]
    choice: Choice,
    #[command(flatten)]
    telling: Telling,
}

/// Under what a scenario is run.
#[derive(Args)]
pub(crate) struct Choice {
    /// The seed of chance; the first of the scenario's without it.
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Where to run: sim, loopback, or netns (as root).
    #[arg(long, value_name = "BACKEND", default_value = "sim", value_parser = backend())]
    pub(crate) on: Backend,
    /// A parameter of the scenario and its value, as loss=0.2; may be given several times.
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = parameter)]
    pub(crate) set: Vec<(String, String)>,
    /// The cipher suite for all nodes whose scenario leaves it open.
    #[arg(long, value_name = "SUITE", value_parser = suite)]
    pub(crate) suite: Option<Suite>,
}

/// What is told of a run, and what is kept.
#[derive(Args)]
pub(crate) struct Telling {
    /// Tell every datagram, with its addresses, its seal and the clause that decides on it.
    #[arg(long)]
    pub(crate) explain: bool,
    /// Keep the traces here: run.pcapng, run.mmd, run.jsonl, run.html, summary.json, scenario.toml.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
}

pub(crate) fn run(arguments: &RunArguments, output: &Output) -> CommandResult {
    let source = source::one(&arguments.scenario)?;
    let experiment = arguments.choice.experiment(&source)?;
    let (outcome, _) = carry_out(&source, &experiment, &arguments.telling, output)?;
    Ok(outcome)
}

impl Choice {
    /// Makes the experiment that is chosen.
    pub(crate) fn experiment(&self, source: &Source) -> Result<Experiment, Failure> {
        let scenario = source.parse(&self.set)?;
        let seed = self.seed.unwrap_or_else(|| scenario.sweep.seeds.first().copied().unwrap_or(1));
        let experiment = Experiment::new(&source.name, scenario, seed, self.on);
        match self.suite {
            None => Ok(experiment),
            Some(suite) => experiment
                .with_suite(suite)
                .map_err(|error| Failure::Request(anyhow!("{}: {error}: leave --suite out", source.file))),
        }
    }
}

/// Runs, tells, keeps.
pub(crate) fn carry_out(
    source: &Source,
    experiment: &Experiment,
    telling: &Telling,
    output: &Output,
) -> Result<(Outcome, RunSummary), Failure> {
    let report = experiment.run().map_err(|error| not_run(source, error))?;
    if let Some(folder) = &telling.out {
        keep(folder, source, experiment, &report)?;
    }
    let summary = summarise(experiment, &report);
    let detail = if telling.explain { Detail::Explained } else { Detail::Told };
    let printed = output.result(&summary, || tell(experiment, &report, &summary, detail));
    if !report.holds {
        return Ok((Outcome::DidNotHold, summary));
    }
    printed?;
    Ok((Outcome::Held, summary))
}

/// What a backend cannot do was a wrong request; everything else is the world's fault.
pub(crate) fn not_run(source: &Source, error: RunError) -> Failure {
    let sentence = anyhow!("{}: {error}", source.file);
    match error {
        RunError::Stage(StageError::Impossible { .. }) | RunError::Step { .. } => Failure::Request(sentence),
        RunError::Stage(StageError::Failed(_))
        | RunError::Cast(_)
        | RunError::Keys(_)
        | RunError::Seal(_) => Failure::World(sentence),
    }
}

fn tell(experiment: &Experiment, report: &RunReport, summary: &RunSummary, detail: Detail) -> String {
    let scenario = &experiment.scenario;
    let parameters: Vec<_> =
        summary.parameters.iter().map(|(name, value)| format!(", {name} = {value}")).collect();
    let mut lines = paragraph("", 0, &scenario.title);
    lines.push(format!(
        "{} on {}, seed {}{}",
        scenario.name,
        report.backend,
        report.seed,
        parameters.concat()
    ));
    lines.push(String::new());
    lines.extend(story::tell(&report.trace, detail));
    lines.push(String::new());
    for check in checks(scenario, report) {
        lines.extend(expectation(&check));
    }
    if !scenario.meaning.is_empty() {
        lines.push(String::new());
        lines.extend(paragraph("", 0, &format!("{} [{}]", scenario.meaning, scenario.clause)));
    }
    lines.push(String::new());
    lines.push(format!("trace {}", summary.trace_hash));
    lines.push(if report.holds {
        "Everything is as expected.".to_owned()
    } else {
        "NOT everything is as expected. Again:".to_owned()
    });
    if !report.holds {
        lines.push(format!("  {}", summary.replay));
    }
    lines.join("\n")
}

fn expectation(check: &Check) -> Vec<String> {
    if check.holds {
        return paragraph("  as expected   ", 16, &check.expected);
    }
    let mut lines = paragraph("  NOT EXPECTED  ", 16, &check.expected);
    lines.extend(paragraph("      observed  ", 16, &check.observed));
    lines
}
