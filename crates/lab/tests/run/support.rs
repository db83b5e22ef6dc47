//! Scenarios written as values, for what the files of the library do not say.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use peerbound_lab::run::{RunOptions, RunReport, run};
use peerbound_lab::scenario::{
    Action, Conditions, Dials, Edit, End, Expectation, HostPlan, HostRole, Injection, Label, LinkPlan,
    MessageFate, NodePlan, Occasion, Path, Repeat, Scenario, SealedByPlan, SendPlan, SessionFate, Source,
    Step, Sweep, Trigger,
};
use peerbound_lab::trace::HostIndex;

pub(crate) const A: HostIndex = HostIndex(0);
pub(crate) const B: HostIndex = HostIndex(1);
pub(crate) const C: HostIndex = HostIndex(2);

/// Makes a scenario of nodes in a chain, without steps and expectations.
pub(crate) fn chain(names: &[&str]) -> Scenario {
    let hosts = names.iter().enumerate().map(|(index, name)| host(index, name)).collect();
    let links = (1..names.len()).map(|index| link(index - 1, index)).collect();
    Scenario {
        name: "made-by-a-test".to_owned(),
        title: "Made by a test".to_owned(),
        group: "tests".to_owned(),
        clause: String::new(),
        meaning: String::new(),
        ends: Duration::from_secs(60),
        sweep: Sweep::default(),
        parameters: BTreeMap::new(),
        hosts,
        links,
        network: Conditions::default(),
        mesh: None,
        nats: Vec::new(),
        listeners: Vec::new(),
        faults: Vec::new(),
        steps: Vec::new(),
        expectations: Vec::new(),
    }
}

pub(crate) fn host(index: usize, name: &str) -> HostPlan {
    let last = u8::try_from(index + 1).expect("few hosts");
    HostPlan {
        name: name.to_owned(),
        address: SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, last)), 4433),
        role: HostRole::Node(Box::default()),
    }
}

pub(crate) fn link(one: usize, other: usize) -> LinkPlan {
    let end = |index| HostIndex(u32::try_from(index).expect("few hosts"));
    LinkPlan {
        between: [end(one), end(other)],
        dials: Dials::First,
        admits: [true, true],
        through: None,
        forth: Conditions::default(),
        back: Conditions::default(),
    }
}

/// A–B–C, and a request that B relays from A to C.
pub(crate) fn three_nodes() -> Scenario {
    let mut scenario = chain(&["A", "B", "C"]);
    scenario.name = "three-nodes".to_owned();
    scenario.steps = vec![
        on(Occasion::Up, send(A, C, "request", false)),
        on(Occasion::Delivered(label("request")), send(C, A, "reply", true)),
    ];
    scenario.expectations =
        vec![delivered("request", &[A, B, C]), delivered("reply", &[C, B, A]), alive(A, B), alive(B, C)];
    scenario
}

/// C's reply, sealed for B, comes to A directly, from this address.
pub(crate) fn direct_reply(source: HostIndex, edits: Vec<Edit>) -> Scenario {
    let mut scenario = three_nodes();
    scenario.name = "direct-reply".to_owned();
    scenario.steps[1] = on(Occasion::Delivered(label("request")), seal(C, A, "reply"));
    scenario.steps.push(next(inject("reply", source, edits)));
    scenario.expectations.remove(1);
    scenario
}

pub(crate) fn node_mut(scenario: &mut Scenario, host: HostIndex) -> &mut NodePlan {
    match &mut scenario.hosts[host.0 as usize].role {
        HostRole::Node(node) => node,
        HostRole::RecordModel(_) | HostRole::Forwarder { .. } | HostRole::Bystander => {
            panic!("{host:?} is no node")
        }
    }
}

pub(crate) fn label(text: &str) -> Label {
    Label(text.to_owned())
}

pub(crate) fn on(occasion: Occasion, action: Action) -> Step {
    Step { trigger: Trigger::On(occasion), action }
}

pub(crate) fn next(action: Action) -> Step {
    Step { trigger: Trigger::AfterPrevious, action }
}

pub(crate) fn send(from: HostIndex, to: HostIndex, text: &str, is_reply: bool) -> Action {
    Action::Send(SendPlan {
        from,
        to,
        payload: text.as_bytes().to_vec(),
        is_reply,
        repeat: Repeat::Times(1),
        label: Some(label(text)),
    })
}

pub(crate) fn seal(by: HostIndex, to: HostIndex, text: &str) -> Action {
    Action::Seal { by, to, payload: text.as_bytes().to_vec(), is_reply: true, label: label(text) }
}

/// Puts a datagram on the wire to A: C's own hand with C's own address, or a spoofer's.
pub(crate) fn inject(datagram: &str, source: HostIndex, edits: Vec<Edit>) -> Action {
    Action::Inject(Injection {
        datagram: label(datagram),
        edits,
        to: A,
        source: Source::Host(source),
        by: C,
        times: 1,
        label: label(datagram),
    })
}

pub(crate) fn delivered(text: &str, path: &[HostIndex]) -> Expectation {
    let at = *path.last().expect("a path has an end");
    Expectation::Message {
        label: label(text),
        fate: MessageFate::Delivered { at, path: Some(path.to_vec()), count: None },
    }
}

pub(crate) fn undelivered(text: &str) -> Expectation {
    Expectation::Message { label: label(text), fate: MessageFate::Undelivered }
}

pub(crate) fn alive(one: HostIndex, other: HostIndex) -> Expectation {
    Expectation::Session { between: [one, other], fate: SessionFate::Alive }
}

pub(crate) fn ends(text: &str, end: End, reason: Option<&str>) -> Expectation {
    Expectation::Datagram {
        label: label(text),
        at: A,
        end,
        reason: reason.map(str::to_owned),
        sealed_by: None,
    }
}

pub(crate) fn ends_sealed_by_c(text: &str, end: End, reason: &str) -> Expectation {
    Expectation::Datagram {
        label: label(text),
        at: A,
        end,
        reason: Some(reason.to_owned()),
        sealed_by: Some(SealedByPlan::Path(Path { from: C, to: B })),
    }
}

/// Runs a scenario; the seed and the command stand in what a failing test prints.
pub(crate) fn run_with(scenario: &Scenario, seed: u64) -> RunReport {
    match run(scenario, &RunOptions::with_seed(seed)) {
        Ok(report) => report,
        Err(error) => panic!("seed {seed}: {error}"),
    }
}

/// Runs a scenario and insists that all is as it was to be.
pub(crate) fn must_hold(scenario: &Scenario, seed: u64) -> RunReport {
    let report = run_with(scenario, seed);
    let complaints = report.complaints(scenario);
    assert!(report.holds, "seed {seed}: {complaints:#?}\n{}", report.replay);
    assert!(complaints.is_empty(), "seed {seed}: it holds, and complains: {complaints:#?}");
    report
}
