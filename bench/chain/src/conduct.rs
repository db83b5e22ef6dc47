//! Conducts a run: opens one subject after another, in turn in every round, so that each ratio is taken
//! between neighbours in time.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, ensure};
use clap::ValueEnum;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tempfile::TempDir;

use crate::Options;
use crate::chain::{Chain, Offloads};
use crate::figures::Figures;
use crate::measure::{Extent, Measurement};
use crate::plot::plot;
use crate::report::{Report, Sample};
use crate::subject::{Measured, Setting, Subject};

/// Seconds of each measurement of a first look.
const QUICK_SECONDS: f64 = 1.0;

/// How often a subject is tried in a round: a handshake may fail where the machine stalls.
const TRIES: usize = 2;

/// Measures, prints, writes, judges.
pub(crate) fn conduct(options: Options) -> anyhow::Result<ExitCode> {
    let peerbound = options.peerbound.clone().map_or_else(beside_us, Ok)?;
    ensure!(
        peerbound.is_file(),
        "{} is not there: `cargo build --release -p peerbound`, or give --peerbound",
        peerbound.display()
    );
    let measured = Measured { program: &peerbound, node: &options.node };
    let (rounds, seconds) =
        if options.quick { (1, QUICK_SECONDS) } else { (options.rounds, options.seconds) };
    let extent = Extent { seconds, segments: options.udp_gso };
    let subjects = present(&options.subjects);
    let folder = TempDir::with_prefix("bench-chain-").context("no folder for certificates can be made")?;
    remove_on_signal(folder.path().to_owned())?;
    let mut samples = Vec::new();
    for round in 1..=rounds {
        for subject in &subjects {
            eprintln!("round {round} of {rounds}: {subject}");
            let figures = measure(*subject, measured, &folder, (options.offloads, extent))
                .with_context(|| format!("{subject} cannot be measured"))?;
            samples.push(Sample { round, subject: *subject, figures });
        }
    }
    let report = Report::new(samples, options.offloads, extent);
    print!("{}", report.table());
    if let Some(path) = &options.json {
        let text = serde_json::to_string_pretty(&report)?;
        std::fs::write(path, text + "\n").with_context(|| format!("{} cannot be written", path.display()))?;
    }
    if let Some(path) = &options.plot {
        std::fs::write(path, plot(&report))
            .with_context(|| format!("{} cannot be written", path.display()))?;
    }
    let is_failed = options.assert && report.is_any_missed();
    Ok(if is_failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Finds the program that cargo built beside this one.
fn beside_us() -> anyhow::Result<PathBuf> {
    let ourselves = std::env::current_exe()?;
    Ok(ourselves.with_file_name("peerbound"))
}

/// Leaves out what is not installed, and says so.
fn present(chosen: &[Subject]) -> Vec<Subject> {
    let all = if chosen.is_empty() { Subject::value_variants() } else { chosen };
    let is_present = |subject: &&Subject| match subject.missing() {
        None => true,
        Some(reason) => {
            eprintln!("{reason}");
            false
        }
    };
    all.iter().filter(is_present).copied().collect()
}

fn measure(
    subject: Subject,
    measured: Measured<'_>,
    parent: &TempDir,
    (offloads, extent): (Offloads, Extent),
) -> anyhow::Result<Figures> {
    let mut tried = 0;
    loop {
        tried += 1;
        match measure_once(subject, measured, parent, (offloads, extent)) {
            Err(error) if tried < TRIES => eprintln!("once more, for {error:#}"),
            done => return done,
        }
    }
}

fn measure_once(
    subject: Subject,
    measured: Measured<'_>,
    parent: &TempDir,
    (offloads, extent): (Offloads, Extent),
) -> anyhow::Result<Figures> {
    let folder = TempDir::with_prefix_in("subject-", parent.path())?;
    let chain = Chain::new(offloads)?;
    let setting = Setting { measured, folder: folder.path() };
    let mut open = subject.open(&chain, &setting)?;
    Measurement::new(&chain, folder.path(), &mut open, extent).run()
}

/// Removes the folder where we are told to stop. Programs and namespaces go by themselves.
fn remove_on_signal(folder: PathBuf) -> anyhow::Result<()> {
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM])?;
    std::thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            // There is nobody left to tell.
            let _ = std::fs::remove_dir_all(&folder);
            std::process::exit(128 + signal);
        }
    });
    Ok(())
}
