//! Holds ratios of benchmarks to what `bench/ratios.toml` says. It runs each benchmark that is named there, reads
//! the lines of JSON that it prints, and judges each ratio by itself; a benchmark with a ratio that is too large is
//! run again, for a machine that others use is wrong now and then, and a regression every time.
#![forbid(unsafe_code)]

mod limits;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, ensure};
use clap::Parser;

use crate::limits::{Limits, Ratio, ratios_in};

/// Runs of one benchmark before a ratio is believed to be too large.
const RUNS_MAX: usize = 3;

/// Run benchmarks and compare their ratios with what was written down; exit with 1 on a regression
#[derive(Debug, Parser)]
#[command(version)]
struct Options {
    /// What is allowed
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../ratios.toml"))]
    limits: PathBuf,
    /// Only these ratios, by name; all, if left out
    names: Vec<String>,
}

fn main() -> ExitCode {
    match guard(&Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{}: {error:#}", env!("CARGO_PKG_NAME"));
            ExitCode::from(2)
        }
    }
}

/// Returns whether every ratio is within its limit.
fn guard(options: &Options) -> anyhow::Result<bool> {
    let text = std::fs::read_to_string(&options.limits)
        .with_context(|| format!("{} cannot be read", options.limits.display()))?;
    let limits = Limits::parse(&text).with_context(|| options.limits.display().to_string())?;
    for name in &options.names {
        ensure!(limits.ratio.iter().any(|ratio| ratio.name == *name), "no ratio is called {name}");
    }
    let is_chosen = |ratio: &&Ratio| options.names.is_empty() || options.names.contains(&ratio.name);
    let chosen: Vec<_> = limits.ratio.iter().filter(is_chosen).collect();
    let benches: BTreeSet<_> = chosen.iter().map(|ratio| (&ratio.package, &ratio.bench)).collect();
    let mut all_within = true;
    for (package, bench) in benches {
        let of_bench: Vec<_> =
            chosen.iter().filter(|ratio| (&ratio.package, &ratio.bench) == (package, bench)).collect();
        let least = least_of_runs(package, bench, &of_bench)?;
        for ratio in of_bench {
            let (value, runs) = least[&ratio.name];
            let (line, is_within) = ratio.judge(value, runs);
            println!("{line}");
            all_within &= is_within;
        }
    }
    Ok(all_within)
}

/// Runs a benchmark until every ratio was within its limit once, or it has been run often enough; returns the least
/// of each, and after how many runs.
fn least_of_runs(
    package: &str,
    bench: &str,
    ratios: &[&&Ratio],
) -> anyhow::Result<BTreeMap<String, (f64, usize)>> {
    let mut least: BTreeMap<String, (f64, usize)> = BTreeMap::new();
    for run in 1..=RUNS_MAX {
        let found = ratios_in(&output_of(package, bench)?);
        for ratio in ratios {
            let value = *found
                .get(&ratio.name)
                .with_context(|| format!("{package}, {bench}: says nothing of {}", ratio.name))?;
            let entry = least.entry(ratio.name.clone()).or_insert((value, run));
            if value < entry.0 {
                *entry = (value, run);
            }
        }
        if ratios.iter().all(|ratio| ratio.is_within(least[&ratio.name].0)) {
            break;
        }
    }
    Ok(least)
}

fn output_of(package: &str, bench: &str) -> anyhow::Result<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["bench", "--quiet", "--locked", "-p", package, "--bench", bench, "--", "--ratios"]);
    let output = command.stderr(Stdio::inherit()).output().context("cargo cannot be run")?;
    ensure!(output.status.success(), "the benchmark {bench} of {package} failed");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
