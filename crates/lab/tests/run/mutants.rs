//! The hazard that the judge sees nothing: every lock that is taken away must be missed, and only then.

use peerbound_dtls::ContentType;
use peerbound_lab::run::RunReport;
use peerbound_lab::scenario::{
    Action, Course, DemuxPlan, End, ForgedBody, ForgedRecord, Invariant, NodePlan, Occasion, Path, Pattern,
    Scenario, Sequence, Switch, Version, Which,
};
use peerbound_node::Lock;

use crate::support::{
    A, B, C, alive, delivered, direct_reply, ends, ends_sealed_by_c, inject, label, must_hold, next,
    node_mut, on, run_with, send, three_nodes,
};

/// B's data to A is captured and comes a second time.
fn exact_replay() -> Scenario {
    let mut scenario = three_nodes();
    let which = Which {
        pattern: Pattern { record: Some(ContentType::ApplicationData), ..Pattern::default() },
        nth: Some(1),
        ..Which::default()
    };
    let on_path = Course::OneWay(Path { from: B, to: A });
    let capture = Action::Capture { on: on_path, which, is_held: false, label: label("old") };
    let mut again = inject("old", B, Vec::new());
    if let Action::Inject(injection) = &mut again {
        injection.label = label("again");
    }
    scenario.steps = vec![
        on(Occasion::Up, capture),
        next(send(B, A, "data", false)),
        on(Occasion::Delivered(label("data")), again),
    ];
    scenario.expectations =
        vec![delivered("data", &[B, A]), ends("again", End::Lock(Lock::Replay), Some("replay")), alive(A, B)];
    scenario
}

/// A fatal alert that nobody vouches for comes from B's address.
fn forged_alert() -> Scenario {
    let mut scenario = three_nodes();
    let record = ForgedRecord {
        content_type: ContentType::Alert,
        version: Version::Dtls12,
        epoch: 0,
        sequence: Sequence::Newest(1),
        body: ForgedBody::Bytes(vec![2, 40]),
    };
    scenario
        .steps
        .push(on(Occasion::Delivered(label("reply")), Action::Forge { record, label: label("alert") }));
    scenario.steps.push(next(inject("alert", B, Vec::new())));
    scenario.expectations.push(ends("alert", End::Lock(Lock::Gate), Some("wrong-epoch")));
    scenario
}

fn stray() -> Scenario {
    let mut scenario = direct_reply(C, Vec::new());
    scenario.expectations.push(ends_sealed_by_c("reply", End::Lock(Lock::Demux), "no-session"));
    scenario
}

/// Runs a scenario as it is, which must hold, and with one lock of A's taken away.
fn with_mutant(scenario: &Scenario, mutate: impl Fn(&mut NodePlan)) -> RunReport {
    must_hold(scenario, 1);
    let mut mutant = scenario.clone();
    mutate(node_mut(&mut mutant, A));
    run_with(&mutant, 1)
}

#[test]
fn a_missing_gate_is_noticed() {
    let report = with_mutant(&forged_alert(), |node| node.gate = Switch::Off);

    assert!(!report.holds);
    let missed: Vec<_> = report.outcomes.iter().filter(|outcome| !outcome.holds).collect();
    assert!(missed.iter().all(|outcome| outcome.expected.contains("dropped at gate")), "{missed:#?}");
}

#[test]
fn a_missing_mirror_of_the_replay_window_is_noticed() {
    let report = with_mutant(&exact_replay(), |node| node.replay_mirror = Switch::Off);

    assert!(!report.holds);
    let broken: Vec<_> = report.violations.iter().map(|violation| violation.invariant).collect();
    assert_eq!(broken, [Invariant::DropReason], "{:#?}", report.outcomes);
}

#[test]
fn a_promiscuous_demultiplexer_is_noticed() {
    let report = with_mutant(&stray(), |node| node.demux = DemuxPlan::EverySession);

    assert!(!report.holds);
    let missed: Vec<_> = report.outcomes.iter().filter(|outcome| !outcome.holds).collect();
    assert!(missed.iter().any(|outcome| outcome.observed.contains("record-auth")), "{missed:#?}");
}
