//! Connection IDs on the simulator: the files of the library hold, and would not if the model were not
//! what they say it is.

use std::path::Path;

use peerbound_cid::MoveRule;
use peerbound_lab::run::{RunOptions, RunReport, run};
use peerbound_lab::scenario::{HostRole, RecordModelPlan, Scenario};
use peerbound_lab::trace::{Happening, HostIndex};

use crate::support::B;

const FILES: [&str; 7] = [
    "cid-rebinding-without-ids",
    "cid-rebinding",
    "cid-old-record-from-elsewhere",
    "cid-newest-record-stolen",
    "cid-newest-record-stolen-and-checked",
    "cid-of-another-session",
    "cid-forwarder-and-enhanced-check",
];

fn read(name: &str) -> Scenario {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/scenarios");
    Scenario::read(&folder.join(format!("{name}.toml")), &[]).unwrap()
}

fn play(scenario: &Scenario, seed: u64) -> RunReport {
    run(scenario, &RunOptions::with_seed(seed)).unwrap()
}

fn model_mut(scenario: &mut Scenario, host: HostIndex) -> &mut RecordModelPlan {
    match &mut scenario.hosts[host.0 as usize].role {
        HostRole::RecordModel(model) => model,
        HostRole::Node(_) | HostRole::Forwarder { .. } | HostRole::Bystander => panic!("{host:?} runs none"),
    }
}

#[test]
fn every_file_about_connection_ids_holds() {
    for name in FILES {
        let scenario = read(name);
        for seed in [1, 2, 77] {
            let report = play(&scenario, seed);
            assert!(report.holds, "{name}, seed {seed}: {:#?}", report.complaints(&scenario));
        }
    }
}

#[test]
fn a_file_comes_back_as_it_was_written_down() {
    for name in FILES {
        let scenario = read(name);

        let again = Scenario::parse(&scenario.to_toml(), name, &[]).unwrap();

        assert_eq!(again.hosts, scenario.hosts, "{name}");
        assert_eq!(again.steps, scenario.steps, "{name}");
    }
}

#[test]
fn the_same_seed_gives_the_same_records() {
    let scenario = read("cid-rebinding");
    let (first, second, other) = (play(&scenario, 5), play(&scenario, 5), play(&scenario, 6));

    assert_eq!(first.trace, second.trace);
    assert_ne!(first.trace.sessions[0].keylog, other.trace.sessions[0].keylog);
}

#[test]
fn without_the_check_the_thief_of_the_checked_file_wins() {
    let mut scenario = read("cid-newest-record-stolen-and-checked");
    model_mut(&mut scenario, B).move_rule = MoveRule::Follow;

    assert!(!play(&scenario, 1).holds);
}

#[test]
fn with_a_basic_check_alone_the_old_address_is_not_asked() {
    let mut scenario = read("cid-forwarder-and-enhanced-check");
    model_mut(&mut scenario, B).move_rule = MoveRule::BasicCheck;

    assert!(!play(&scenario, 1).holds);
}

#[test]
fn without_ids_the_rebound_peer_is_not_found() {
    let mut scenario = read("cid-rebinding");
    model_mut(&mut scenario, B).asks_for_id = false;

    assert!(!play(&scenario, 1).holds);
}

#[test]
fn a_trace_tells_when_an_address_moves() {
    let report = play(&read("cid-rebinding"), 1);

    let told = report.trace.entries.iter().filter_map(|entry| match &entry.what {
        Happening::Event { host, kind, .. } => Some((*host, *kind)),
        _ => None,
    });
    assert_eq!(told.collect::<Vec<_>>(), [(B, "challenged"), (B, "peer-moved")]);
}

#[test]
fn a_model_and_a_node_have_no_session() {
    let text = r#"
        schema = 1
        name = "mixed"
        title = "mixed"
        [[node]]
        name = "B"
        [[host]]
        name = "A"
        record_model = { dials = ["B"] }
    "#;

    let refused = Scenario::parse(text, "mixed.toml", &[]).unwrap_err().to_string();

    assert!(refused.contains("record_model.dials") && refused.contains("record models alone"), "{refused}");
}
