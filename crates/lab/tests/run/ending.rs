//! The hazard that a run ends before what it claims is certain.

use std::time::Duration;

use peerbound_dtls::ContentType;
use peerbound_lab::experiment::Experiment;
use peerbound_lab::run::Backend;
use peerbound_lab::scenario::{
    Action, Bounds, Conditions, Course, EventKind, Expectation, FaultAction, FaultPlan, HandshakeMessage,
    Occasion, Path, Pattern, Routing, Step, Trigger, Which, Window,
};

use crate::support::{
    A, B, C, alive, chain, delivered, label, must_hold, next, node_mut, on, run_with, send, three_nodes,
    undelivered,
};

/// Counts the ClientHellos of A, which dials a B that is gone.
fn hellos_into_the_void(count: u64, within: Window) -> peerbound_lab::scenario::Scenario {
    let mut scenario = chain(&["A", "B"]);
    scenario.ends = Duration::from_secs(14);
    scenario.steps = vec![Step { trigger: Trigger::At(Duration::ZERO), action: Action::Crash(B) }];
    scenario.expectations = vec![Expectation::Wire {
        path: Path { from: A, to: B },
        pattern: Pattern { handshake: Some(HandshakeMessage::ClientHello), ..Pattern::default() },
        count: Bounds::exactly(count),
        within,
    }];
    scenario
}

#[test]
fn that_no_more_comes_is_certain_only_when_there_is_no_more_time() {
    let first_two_seconds = Window { until: Some(Duration::from_secs(2)), ..Window::default() };

    // At 0, 0.25, 0.75 and 1.75 s; the next one after two quiet seconds.
    must_hold(&hellos_into_the_void(4, first_two_seconds), 1);
    assert!(!run_with(&hellos_into_the_void(4, Window::default()), 1).holds);
}

#[test]
fn a_message_that_is_only_late_is_not_undelivered() {
    let mut scenario = chain(&["A", "B", "C"]);
    scenario.ends = Duration::from_secs(10);
    scenario.faults = vec![FaultPlan {
        on: Course::OneWay(Path { from: B, to: C }),
        which: Which {
            pattern: Pattern { record: Some(ContentType::ApplicationData), ..Pattern::default() },
            nth: None,
            from: Duration::from_secs(1),
            until: Some(Duration::from_millis(1200)),
        },
        action: FaultAction::Delay(Duration::from_secs(2)),
    }];
    let at = Trigger::At(Duration::from_secs(1));
    scenario.steps = vec![Step { trigger: at, action: send(A, C, "late", false) }];
    scenario.expectations = vec![undelivered("late")];

    let report = run_with(&scenario, 1);

    assert!(!report.holds);
    assert_eq!(report.outcomes[0].observed, "delivered at C by A→B→C");
}

#[test]
fn a_session_over_a_dead_link_is_not_alive_although_nobody_has_noticed() {
    let mut scenario = three_nodes();
    let cut = || Some(Conditions { is_up: false, ..Conditions::default() });
    scenario
        .steps
        .push(on(Occasion::Delivered(label("reply")), Action::Link { link: 0, forth: cut(), back: cut() }));

    let report = run_with(&scenario, 1);

    let missed: Vec<_> = report.outcomes.iter().filter(|outcome| !outcome.holds).collect();
    assert_eq!(missed.len(), 1, "{missed:#?}");
    assert_eq!(missed[0].expected, "the session A-B is alive");
    assert_eq!(report.violations, [], "the reference model claims nothing about a link that is cut");
}

#[test]
fn pings_that_try_the_sessions_are_no_pongs_of_the_scenario() {
    let mut scenario = three_nodes();
    scenario.ends = Duration::from_secs(5);
    scenario.expectations.push(Expectation::Event {
        kind: EventKind::Pong,
        at: A,
        count: Bounds { at_least: 1, at_most: None },
        within: Window::default(),
    });

    let report = run_with(&scenario, 1);

    let missed: Vec<_> = report.outcomes.iter().filter(|outcome| !outcome.holds).collect();
    assert_eq!(missed.len(), 1, "{missed:#?}");
    assert_eq!(missed[0].observed, "never");
}

#[test]
fn a_report_names_the_file_that_it_came_from() {
    let experiment = Experiment::new("my three.toml", three_nodes(), 1, Backend::Sim);

    let report = experiment.run().expect("it can be run");

    assert_eq!(report.replay, "peerbound sim replay 'my three.toml' --seed 1");
    assert_eq!(run_with(&three_nodes(), 1).replay, "peerbound sim replay three-nodes --seed 1");
}

#[test]
fn a_step_that_was_never_taken_is_told() {
    let mut scenario = three_nodes();
    scenario.ends = Duration::from_secs(5);
    scenario.steps.push(on(Occasion::LinkDown([A, B]), send(A, C, "late", false)));

    let report = run_with(&scenario, 1);

    let missed: Vec<_> = report.outcomes.iter().filter(|outcome| !outcome.holds).collect();
    assert_eq!(missed.len(), 1, "{missed:#?}");
    assert!(missed[0].expected.starts_with("step 3 is taken"), "{missed:#?}");
    assert!(missed[0].observed.contains("A has lost B"), "{missed:#?}");
}

#[test]
fn a_message_that_is_expected_by_another_path_does_not_hold() {
    let mut scenario = three_nodes();
    scenario.expectations.push(delivered("request", &[A, C]));

    let report = run_with(&scenario, 1);

    let missed: Vec<_> = report.outcomes.iter().filter(|outcome| !outcome.holds).collect();
    assert_eq!(missed.len(), 1, "{missed:#?}");
    assert_eq!(missed[0].observed, "delivered at C by A→B→C");
}

#[test]
fn a_restarted_neighbour_has_a_new_session_and_not_the_old_one() {
    let mut scenario = three_nodes();
    scenario.steps.push(on(Occasion::Delivered(label("reply")), Action::Crash(B)));
    scenario.steps.push(next(Action::Wait(Duration::from_secs(3))));
    scenario.steps.push(next(Action::Restart(B)));
    scenario.steps.push(on(Occasion::LinkUp([A, B]), send(A, C, "again", false)));
    let mut renewed = scenario.clone();
    let fresh = |one, other| Expectation::Session {
        between: [one, other],
        fate: peerbound_lab::scenario::SessionFate::New,
    };
    renewed.expectations = vec![fresh(A, B), fresh(B, C)];

    must_hold(&renewed, 1);
    assert!(scenario.expectations.contains(&alive(A, B)));
    assert!(!run_with(&scenario, 1).holds);
}

#[test]
fn nobody_has_a_route_to_everybody_where_routes_are_set_or_a_node_is_gone() {
    let mut set = chain(&["A", "B", "C"]);
    set.ends = Duration::from_secs(20);
    set.expectations = vec![Expectation::ReachableAll];
    let mut found = set.clone();
    for host in [A, B, C] {
        node_mut(&mut found, host).routing = Routing::Dynamic;
    }
    let mut bereft = found.clone();
    bereft.steps = vec![on(Occasion::Converged, Action::Crash(C))];

    must_hold(&found, 1);
    assert!(!run_with(&set, 1).holds);
    assert!(!run_with(&bereft, 1).holds);
}
