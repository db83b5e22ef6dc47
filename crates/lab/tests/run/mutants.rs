//! The hazard that the judge sees nothing: every lock that is taken away must be missed, and only then.

use std::collections::BTreeSet;
use std::time::Duration;

use peerbound_dtls::ContentType;
use peerbound_lab::run::RunReport;
use peerbound_lab::scenario::{
    Action, Course, DemuxPlan, End, ForgedBody, ForgedRecord, Invariant, NodePlan, Occasion, Path, Pattern,
    Routing, Scenario, Sequence, Switch, Version, Which,
};
use peerbound_lab::trace::HostIndex;
use peerbound_node::Lock;

use crate::support::{
    A, B, C, alive, chain, delivered, direct_reply, ends, ends_sealed_by_c, inject, label, link, must_hold,
    next, node_mut, on, run_with, send, three_nodes, undelivered,
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
    assert!(!missed.is_empty(), "{:#?}", report.violations);
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

/// A, B, D, E and F are all linked, near and far, and C hangs on B. When C is gone, whoever believes all
/// that he is told goes round in circles.
fn tail_of_a_mesh(feasibility: Switch) -> Scenario {
    let mut scenario = chain(&["A", "B", "C", "D", "E", "F"]);
    let mesh = [0, 1, 3, 4, 5];
    let pairs = mesh.iter().flat_map(|one| mesh.iter().map(move |other| (*one, *other)));
    scenario.links = pairs.filter(|(one, other)| one < other).map(|(one, other)| link(one, other)).collect();
    for (place, link) in (0..).zip(&mut scenario.links) {
        for way in [&mut link.forth, &mut link.back] {
            way.latency = Duration::from_millis(2 + 11 * place % 50);
            way.jitter = Duration::from_millis(30);
        }
    }
    scenario.links.push(link(1, 2));
    for host in (0..6).map(HostIndex) {
        let node = node_mut(&mut scenario, host);
        (node.routing, node.feasibility) = (Routing::Dynamic, feasibility);
    }
    let crash = on(Occasion::Delivered(label("while it lives")), Action::Crash(C));
    scenario.steps = vec![on(Occasion::Converged, send(A, C, "while it lives", false)), crash];
    for _ in 0..100 {
        scenario.steps.push(next(Action::Wait(Duration::from_millis(20))));
        scenario.steps.extend([0, 3, 4, 5].map(|from| next(send(HostIndex(from), C, "too late", false))));
    }
    scenario.expectations = vec![delivered("while it lives", &[A, B, C]), undelivered("too late")];
    scenario
}

#[test]
fn a_missing_feasibility_condition_is_noticed() {
    let broken = |seed| {
        let report = run_with(&tail_of_a_mesh(Switch::Off), seed);
        report.violations.into_iter().map(|violation| violation.invariant).collect::<BTreeSet<_>>()
    };

    // Whether a loop closes is a matter of who hears first; with the condition, none ever does.
    let noticed = (1..10).find(|seed| {
        must_hold(&tail_of_a_mesh(Switch::On), *seed);
        broken(*seed).contains(&Invariant::RoutingLoop)
    });

    assert!(noticed.is_some());
}
