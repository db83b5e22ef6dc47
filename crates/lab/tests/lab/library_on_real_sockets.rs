//! Every shipped experiment holds on real sockets as it does on the simulator, or is refused by name
//! before anything starts; and which are refused is known.

use std::sync::Mutex;
use std::time::Duration;

use peerbound_lab::LibraryEntry;
use peerbound_lab::run::{Backend, RunError, RunOptions, StageError, run};
use peerbound_lab::scenario::Scenario;

/// Runs at once: they wait for each other's timers rather than for the processor.
const AT_ONCE: usize = 6;

/// Why a scenario asks for more than real sockets have, in the words of its file.
fn asks_for_too_much(entry: &LibraryEntry, scenario: &Scenario) -> bool {
    let words = ["[[nat]]", "record_model", "[mesh]", "routing = \"dynamic\""];
    words.iter().any(|word| entry.text.contains(word))
        || scenario.ends > Duration::from_secs(60)
        || entry.name == "round-trip-near-timeout"
}

/// Plays the library; returns what is wrong, a line each.
fn play_all(backend: Backend) -> Vec<String> {
    let entries = Mutex::new(peerbound_lab::library().iter());
    let wrong = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let Some(entry) = entries.lock().unwrap().next() else { return };
                    let found = play(entry, backend);
                    wrong.lock().unwrap().extend(found.map(|what| format!("{}: {what}", entry.name)));
                }
            });
        }
    });
    wrong.into_inner().unwrap()
}

fn play(entry: &LibraryEntry, backend: Backend) -> Option<String> {
    let scenario = entry.scenario(&[]).unwrap();
    let is_too_much = asks_for_too_much(entry, &scenario);
    match run(&scenario, &RunOptions { backend, ..RunOptions::with_seed(7) }) {
        Err(RunError::Stage(StageError::Impossible { .. })) if is_too_much => None,
        Err(error) => Some(error.to_string()),
        Ok(_) if is_too_much => Some("it should have been refused".to_owned()),
        Ok(report) if report.holds => None,
        Ok(report) => Some(format!("{:#?}", report.complaints(&scenario))),
    }
}

#[test]
fn the_library_holds_on_loopback_or_is_refused_by_name() {
    let wrong = play_all(Backend::Loopback);

    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_library_holds_in_namespaces_or_is_refused_by_name() {
    if !crate::real_sockets::has_namespaces() {
        return;
    }

    let wrong = play_all(Backend::Netns);

    assert!(wrong.is_empty(), "{wrong:#?}");
}
