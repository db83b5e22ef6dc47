//! `peerbound sim shrink`: a failing scenario, made as small as it can be while it fails alike.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::anyhow;
use clap::Args;
use peerbound_lab::experiment::{Experiment, checks};
use peerbound_lab::prove::Check;
use peerbound_lab::run::RunError;
use peerbound_lab::scenario::Scenario;
use peerbound_lab::shrink::{SHRINK_RUNS, ShrinkError, Shrunk, Size, Tried, settle, shrink as make_smaller};
use serde::Serialize;

use crate::columns::paragraph;
use crate::outcome::{CommandResult, Failure, Outcome};
use crate::output::Output;
use crate::pki;
use crate::progress::Progress;
use crate::sim::run::{Choice, not_run};
use crate::source::{self, Source};

#[derive(Args)]
pub(crate) struct ShrinkArguments {
    /// The scenario that fails: one of the library, or a file.
    #[arg(value_name = "SCENARIO")]
    scenario: String,
    #[command(flatten)]
    choice: Choice,
    /// Where the smaller scenario goes; standard output without it.
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// How many candidates to run at most.
    #[arg(long, value_name = "N", default_value_t = SHRINK_RUNS)]
    runs: usize,
}

/// Columns of the comment at the head of a file.
const HEAD_COLUMNS: usize = 96;

/// What came of it.
#[derive(Serialize)]
struct Report {
    scenario: String,
    seed: u64,
    fails: String,
    from: Size,
    to: Size,
    runs: usize,
    is_minimal: bool,
    file: Option<String>,
    text: String,
    replay: String,
}

pub(crate) fn shrink(arguments: &ShrinkArguments, output: &Output) -> CommandResult {
    let source = source::one(&arguments.scenario)?;
    let original = arguments.choice.experiment(&source)?;
    let fails = failures(&original).map_err(|error| not_run(&source, error))?;
    let Some(telling) = fails.first() else {
        let run = original.replay_command();
        return Err(Failure::Request(anyhow!(
            "{}: it does not fail with seed {}, so there is nothing to shrink: see `{run}`",
            source.file,
            original.seed
        )));
    };
    if let Some(out) = &arguments.out {
        // Before the work, not after it.
        pki::replace(out, b"")?;
    }
    let progress = Progress::of(arguments.runs as u64, "candidates", output.is_json());
    let attempt = |text: &str| {
        let tried = attempt(text, &source, &original, telling);
        if tried != Tried::Invalid {
            progress.advance("");
        }
        tried
    };
    let settled = settle(&source.text, &original.scenario.parameters, original.seed)
        .map_err(|error| wrong(&source, error))?;
    let text = settled.into_iter().find(|text| attempt(text) == Tried::FailsAlike);
    let shrunk = make_smaller(text.as_deref().unwrap_or(&source.text), arguments.runs, attempt);
    progress.finish();
    let shrunk = shrunk.map_err(|error| wrong(&source, error))?;
    report(arguments, &source, &original, telling, shrunk, output)
}

/// Lists what does not hold in an experiment.
fn failures(experiment: &Experiment) -> Result<Vec<Check>, RunError> {
    let report = experiment.run()?;
    Ok(checks(&experiment.scenario, &report).into_iter().filter(|check| !check.holds).collect())
}

fn attempt(text: &str, source: &Source, original: &Experiment, telling: &Check) -> Tried {
    let candidate = Source { text: text.to_owned(), ..source.clone() };
    let Ok(scenario) = candidate.parse(&[]) else { return Tried::Invalid };
    let experiment = Experiment::new(&source.name, scenario, original.seed, original.backend);
    let experiment = match original.suite {
        None => experiment,
        Some(suite) => match experiment.with_suite(suite) {
            Ok(experiment) => experiment,
            Err(_) => return Tried::Invalid,
        },
    };
    match failures(&experiment) {
        Ok(failures) if failures.iter().any(|check| check.failure() == telling.failure()) => {
            Tried::FailsAlike
        }
        Ok(_) => Tried::Otherwise,
        Err(_) => Tried::Invalid,
    }
}

fn report(
    arguments: &ShrinkArguments,
    source: &Source,
    original: &Experiment,
    telling: &Check,
    shrunk: Shrunk,
    output: &Output,
) -> CommandResult {
    let seed = original.seed;
    let mut head =
        format!("# Shrunk from {} by `peerbound sim shrink`. Fails with seed {seed}:\n", source.name);
    let fails = telling.to_sentence();
    for line in textwrap::wrap(&fails, HEAD_COLUMNS) {
        head += &format!("#   {line}\n");
    }
    let text = head + &shrunk.text;
    let file = arguments.out.as_ref().map(|out| out.display().to_string());
    let replay = Experiment {
        source: file.clone().unwrap_or_else(|| "FILE".to_owned()),
        scenario: Scenario { parameters: BTreeMap::new(), ..original.scenario.clone() },
        ..original.clone()
    };
    if let Some(out) = &arguments.out {
        pki::replace(out, text.as_bytes())?;
    }
    let Shrunk { from, to, runs, is_minimal, .. } = shrunk;
    let replay = replay.replay_command();
    let report =
        Report { scenario: source.name.clone(), seed, fails, from, to, runs, is_minimal, file, text, replay };
    output.result(&report, || tell(&report))?;
    Ok(Outcome::Held)
}

fn tell(report: &Report) -> String {
    let Some(file) = &report.file else { return report.text.trim_end().to_owned() };
    let how =
        if report.is_minimal { "nothing more can go" } else { "the runs were used up: --runs allows more" };
    let mut lines = paragraph("from  ", 6, &report.from.to_string());
    lines.extend(paragraph("to    ", 6, &report.to.to_string()));
    lines.push(format!("{} candidates run, {how}.", report.runs));
    lines.push(format!("{file} fails in the same way:"));
    lines.extend(paragraph("  ", 4, &report.fails));
    lines.push(format!("  {}", report.replay));
    lines.join("\n")
}

fn wrong(source: &Source, error: ShrinkError) -> Failure {
    Failure::Request(anyhow!("{}: {error}", source.file))
}
