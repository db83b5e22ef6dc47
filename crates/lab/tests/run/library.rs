//! The library holds: every scenario of it, with every choice of its parameters.

use std::collections::{BTreeSet, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;

use peerbound_lab::run::{RunOptions, run};
use peerbound_lab::scenario::{Parameters, Scenario};
use peerbound_lab::{LibraryEntry, library};

/// Two seeds for each point: what holds with one by luck seldom holds with another.
const SEEDS: [u64; 2] = [1, 7];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/scenarios")
}

fn with(entry: &LibraryEntry, parameters: &Parameters) -> Scenario {
    let overrides: Vec<_> = parameters.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    entry.scenario(&overrides).unwrap_or_else(|error| panic!("{error}"))
}

/// Runs one point, and says what does not hold.
fn complaints(scenario: &Scenario, seed: u64) -> Vec<String> {
    match run(scenario, &RunOptions::with_seed(seed)) {
        Ok(report) if report.holds => Vec::new(),
        Ok(report) => {
            let complaints = report.complaints(scenario).into_iter();
            complaints.map(|complaint| format!("{}: {complaint}", report.replay)).collect()
        }
        Err(error) => vec![format!("{} with seed {seed}: {error}", scenario.name)],
    }
}

#[test]
fn every_scenario_of_the_library_holds_on_the_simulator() {
    let only = std::env::var("PEERBOUND_SCENARIO").unwrap_or_default();
    // A thousand nodes take minutes where our own code is not optimised.
    let is_quick = |entry: &&LibraryEntry| !cfg!(debug_assertions) || entry.name != "mesh-1000";
    let chosen = library().iter().filter(|entry| entry.name.contains(&only)).filter(is_quick);
    let points: VecDeque<_> = chosen
        .flat_map(|entry| {
            let choices = entry.scenario(&[]).unwrap_or_else(|error| panic!("{error}")).sweep.choices();
            choices.into_iter().flat_map(move |choice| SEEDS.map(|seed| (entry, choice.clone(), seed)))
        })
        .collect();
    assert!(!points.is_empty());
    let points = Mutex::new(points);
    let found = Mutex::new(Vec::new());

    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let next = points.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                    let Some((entry, choice, seed)) = next else { break };
                    let complaints = complaints(&with(entry, &choice), seed);
                    found.lock().unwrap_or_else(PoisonError::into_inner).extend(complaints);
                }
            });
        }
    });

    let found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_library_has_every_file_of_its_folder_and_no_other() {
    let entries = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let files: BTreeSet<_> = entries
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();

    let listed: Vec<_> = library().iter().map(|entry| entry.name.to_owned()).collect();

    assert_eq!(BTreeSet::from_iter(listed.clone()), files);
    assert_eq!(listed.len(), files.len(), "one stands there twice");
}

#[test]
fn every_file_is_named_after_its_scenario_and_says_what_it_is_about() {
    for entry in library() {
        let scenario = with(entry, &Parameters::new());

        assert_eq!(scenario.name, entry.name);
        for text in [&scenario.group, &scenario.clause, &scenario.meaning] {
            assert!(!text.is_empty(), "{}", entry.name);
        }
        let run = format!("`peerbound prove {}`", entry.name);
        assert!(entry.text.starts_with("# What is asked:") && entry.text.contains(&run), "{}", entry.name);
    }
}

#[test]
fn every_scenario_of_the_library_can_be_written_and_read_again() {
    for entry in library() {
        for choice in with(entry, &Parameters::new()).sweep.choices() {
            let scenario = with(entry, &choice);

            let again = Scenario::parse(&scenario.to_toml(), "again.toml", &[]);

            assert_eq!(again.unwrap_or_else(|error| panic!("{error}")), scenario.fixed(), "{}", entry.name);
        }
    }
}

#[test]
fn a_scenario_is_found_by_its_name_and_one_that_was_meant_is_named() {
    assert_eq!(LibraryEntry::find("black-hole").unwrap().name, "black-hole");

    let said = LibraryEntry::find("black-hoel").unwrap_err().to_string();

    assert_eq!(said, "the library has no scenario \"black-hoel\": did you mean \"black-hole\"?");
}
