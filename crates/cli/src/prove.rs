//! `peerbound prove`: carries out experiments and shows what was expected beside what was observed.
//! Made for continuous integration: quiet, stable, and over in seconds.

mod junit;
mod matrix;
mod page;
#[cfg(test)]
mod samples;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::Args;
use peerbound_dtls::{Suite, openssl_version};
use peerbound_lab::experiment::Experiment;
use peerbound_lab::prove::{PROOF_SCHEMA, Proof, ProofReport, Totals};
use peerbound_lab::run::Backend;
use peerbound_lab::{run_all, workers_of_this_machine};
use serde::Serialize;

use crate::columns::{WIDTH, cell, paragraph, short};
use crate::groups::grouped;
use crate::outcome::{CommandResult, Failure, Outcome};
use crate::output::Output;
use crate::progress::Progress;
use crate::source::{self, Source};
use crate::words::{backend, suite};
use crate::{pki, sim};

use matrix::Detail;

#[derive(Args)]
pub(crate) struct ProveArguments {
    /// Scenarios: names, groups or patterns of the library, or files; all of the library without any.
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Where to run: sim, loopback, or netns (as root).
    #[arg(long, value_name = "BACKEND", default_value = "sim", value_parser = backend())]
    on: Backend,
    /// The seed of chance.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// The cipher suite for all nodes whose scenario leaves it open.
    #[arg(long, value_name = "SUITE", value_parser = suite)]
    suite: Option<Suite>,
    /// Say which scenarios there are, and run none.
    #[arg(long)]
    list: bool,
    /// Show everything that was expected, not only what tells most.
    #[arg(long)]
    checks: bool,
    /// How many to run at once; the number of processors on sim, one on loopback and netns.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
    /// Write the results as JUnit XML.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Write the results as one HTML page.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Keep the traces of each run in a folder of its own below this one.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// A scenario of the list.
#[derive(Serialize)]
struct Listed<'a> {
    name: &'a str,
    group: &'a str,
    title: &'a str,
    clause: &'a str,
    meaning: &'a str,
}

pub(crate) fn prove(arguments: &ProveArguments, output: &Output) -> CommandResult {
    let sources = source::all(&arguments.names)?;
    if arguments.list {
        return list(&sources, output);
    }
    let mut jobs = Vec::new();
    for source in &sources {
        jobs.extend(experiments(source, arguments)?);
    }
    // Before anything is run, for a run may be long.
    for file in [&arguments.junit, &arguments.html].into_iter().flatten() {
        pki::replace(file, b"")?;
    }
    let report = carry_out(arguments, &jobs, output)?;
    if let Some(file) = &arguments.junit {
        pki::replace(file, junit::to_xml(&report).map_err(Failure::world)?.as_bytes())?;
    }
    if let Some(file) = &arguments.html {
        pki::replace(file, page::to_html(&report).as_bytes())?;
    }
    let detail = if arguments.checks { Detail::Checks } else { Detail::Lines };
    let printed = output.result(&report, || matrix::tell(&report, detail));
    if report.totals.are_all_refused() {
        return Err(Failure::Request(anyhow!(
            "nothing was run, so nothing is proved: all that was asked for was refused"
        )));
    }
    if !report.holds {
        return Ok(Outcome::DidNotHold);
    }
    printed?;
    Ok(Outcome::Held)
}

fn carry_out(arguments: &ProveArguments, jobs: &[Job<'_>], output: &Output) -> Result<ProofReport, Failure> {
    let places = longest_first(jobs);
    let workers = arguments.jobs.map_or_else(
        || if arguments.on == Backend::Sim { workers_of_this_machine() } else { 1 },
        usize::from,
    );
    let progress = Progress::of(places.len() as u64, "experiments", output.is_json());
    let mut proofs: Vec<Option<Proof>> = vec![None; jobs.len()];
    let mut trouble = None;
    run_all(
        &places,
        workers,
        |place| jobs[*place].carry_out(arguments.out.as_deref()),
        |done, result| match result {
            Ok(proof) => {
                progress.advance(&proof.name);
                proofs[places[done]] = Some(proof);
                ControlFlow::Continue(())
            }
            Err(failure) => {
                trouble.get_or_insert(failure);
                ControlFlow::Break(())
            }
        },
    );
    progress.finish();
    if let Some(failure) = trouble {
        return Err(failure);
    }
    let proofs: Vec<Proof> = proofs.into_iter().flatten().collect();
    let totals = Totals::of(&proofs);
    Ok(ProofReport {
        schema: PROOF_SCHEMA,
        peerbound: env!("CARGO_PKG_VERSION").to_owned(),
        openssl: openssl_version().to_owned(),
        backend: arguments.on.to_string(),
        seed: arguments.seed,
        suite: arguments.suite.map(|suite| suite.name.to_owned()),
        holds: totals.hold(),
        totals,
        proofs,
    })
}

/// An experiment, or why it is none under these arguments.
struct Job<'a> {
    source: &'a Source,
    experiment: Experiment,
    refused: Option<String>,
}

impl Job<'_> {
    fn carry_out(&self, out: Option<&Path>) -> Result<Proof, Failure> {
        match (&self.refused, out) {
            (Some(reason), _) => Ok(self.experiment.refused(reason.clone())),
            (None, None) => Ok(self.experiment.prove().0),
            (None, Some(out)) => {
                let (proof, report) = self.experiment.prove();
                if let Some(report) = report {
                    let folder = out.join(proof.label().replace(['/', ' '], "_"));
                    sim::keep(&folder, self.source, &self.experiment, &report)?;
                }
                Ok(proof)
            }
        }
    }
}

/// Makes one experiment for each choice of the scenario's parameters.
fn experiments<'a>(source: &'a Source, arguments: &ProveArguments) -> Result<Vec<Job<'a>>, Failure> {
    let first = source.parse(&[])?;
    let choices = first.sweep.choices();
    let made = choices.into_iter().map(|parameters| {
        let overrides: Vec<_> = parameters.into_iter().collect();
        let scenario = if overrides.is_empty() { first.clone() } else { source.parse(&overrides)? };
        let experiment = Experiment::new(&source.name, scenario, arguments.seed, arguments.on);
        Ok(match arguments.suite {
            None => Job { source, experiment, refused: None },
            Some(suite) => match experiment.clone().with_suite(suite) {
                Ok(experiment) => Job { source, experiment, refused: None },
                Err(error) => {
                    Job { source, experiment, refused: Some(format!("{error}: run it without --suite")) }
                }
            },
        })
    });
    made.collect()
}

/// The heaviest first, so that none of them is left when all other workers are idle.
fn longest_first(jobs: &[Job<'_>]) -> Vec<usize> {
    let mut places: Vec<usize> = (0..jobs.len()).collect();
    places.sort_by_key(|place| std::cmp::Reverse(jobs[*place].experiment.weight()));
    places
}

fn list(sources: &[Source], output: &Output) -> CommandResult {
    let scenarios = sources.iter().map(|source| source.parse(&[])).collect::<Result<Vec<_>, _>>()?;
    let listed: Vec<_> = scenarios
        .iter()
        .map(|scenario| Listed {
            name: &scenario.name,
            group: &scenario.group,
            title: &scenario.title,
            clause: &scenario.clause,
            meaning: &scenario.meaning,
        })
        .collect();
    output.result(&listed, || {
        const NAME: usize = 28;
        let mut lines = Vec::new();
        for (group, members) in grouped(&listed, |one| one.group) {
            if !lines.is_empty() {
                lines.push(String::new());
            }
            lines.push(group.to_owned());
            for one in members {
                let name = format!("  {} ", cell(one.name, NAME));
                if one.name.chars().count() > NAME {
                    lines.push(format!("  {}", short(one.name, WIDTH - 2)));
                    lines.extend(paragraph(&" ".repeat(NAME + 3), NAME + 3, one.title));
                } else {
                    lines.extend(paragraph(&name, NAME + 3, one.title));
                }
            }
        }
        lines.join("\n")
    })?;
    if listed.is_empty() {
        return Err(Failure::Request(anyhow!("there are no scenarios")));
    }
    Ok(Outcome::Held)
}
