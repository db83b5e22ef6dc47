//! Datagrams have the names of the messages in them: the nodes that sent them said which they are.

use peerbound_lab::run::{RunOptions, run};
use peerbound_lab::scenario::Scenario;
use peerbound_lab::trace::{DatagramId, Entry, Happening, HostIndex, Nanos, Trace, Way};

use crate::story;

/// C answers once the way the request came, and once directly.
const TRIANGLE: &str = r#"
schema = 1
name = "named"
title = "Messages lend datagrams their names"
group = "ladder"
clause = "RFC 6347, 4.1.1"
meaning = "What a relay seals anew is another record, and the same message."

[[node]]
name = "A"

[[node]]
name = "B"

[[node]]
name = "C"

[[link]]
between = ["A", "B"]
dials = "A"

[[link]]
between = ["C", "B"]
dials = "C"

[[step]]
send = { from = "A", to = "C", payload = "Are you there?", as = "request" }

[[step]]
on = "delivered request"
send = { from = "C", to = "A", payload = "Yes.", reply = true, as = "reply" }

[[step]]
on = "delivered reply"
seal = { by = "C", to = "A", payload = "Yes, A: directly.", reply = true, as = "direct" }

[[step]]
inject = { datagram = "direct", to = "A", source = "C" }

[[expect]]
datagram = "direct"
at = "A"
lock = "demux"
"#;

#[test]
fn every_hop_of_a_message_has_its_name() {
    let scenario = Scenario::parse(TRIANGLE, "named.toml", &[]).unwrap();
    let trace = run(&scenario, &RunOptions::with_seed(1)).unwrap().trace;

    let mut named = Vec::new();
    for journey in trace.journeys().iter().filter(|journey| journey.title().is_some_and(|it| it != "ping")) {
        let to = journey.end.as_ref().and_then(|end| end.host).map_or("nobody", |host| trace.name_of(host));
        named.push(format!("{} {}→{to}", journey.title().unwrap(), trace.name_of(journey.by)));
    }

    assert_eq!(named, ["request A→B", "request B→C", "reply C→B", "reply B→A", "direct C→A"]);
    let described: Vec<_> = trace.journeys().iter().filter_map(|journey| journey.carries).collect();
    assert!(trace.describe_frame(&described[0]).starts_with("data frame 2 from A to C, 14 bytes of payload"));
}

#[test]
fn a_frame_that_was_never_sent_lends_its_name_to_nothing_later() {
    let trace = story::triangle().unwrap();
    let scenario = Scenario::parse(TRIANGLE, "named.toml", &[]).unwrap();
    let run = run(&scenario, &RunOptions::with_seed(1)).unwrap().trace;
    let frame = run.entries.iter().find_map(|entry| match &entry.what {
        frame @ Happening::Frame { label: Some(_), .. } => Some(frame.clone()),
        _ => None,
    });
    let frame = Entry { at: Nanos(0), what: frame.unwrap() };
    // The same story, in which A said once, long before, that it sends a frame to B.
    let entries = [vec![frame], trace.entries.clone()].concat();

    let named = Trace { entries, ..trace };

    assert!(named.journeys().iter().all(|journey| journey.carries.is_none()));
}

#[test]
fn handshakes_in_many_datagrams_become_one_note() {
    let mut trace = story::triangle().unwrap();
    let hello = trace.entries.iter().find_map(|entry| match &entry.what {
        Happening::Sent { bytes, .. } => Some(bytes.clone()),
        _ => None,
    });
    let hello = hello.unwrap();
    let (source, destination) = (trace.hosts[0].address, trace.hosts[1].address);
    let verdict = peerbound_node::Verdict::Challenged;
    for number in 1000..1020 {
        let (datagram, at) = (DatagramId(number), Nanos(9_000_000_000));
        let (bytes, by, way) = (hello.clone(), HostIndex(0), Way::Socket);
        let (label, copy_of, sealed_by) = (None, None, None);
        let sent =
            Happening::Sent { datagram, by, way, source, destination, bytes, label, copy_of, sealed_by };
        let (host, reason, clause) = (HostIndex(1), None, "");
        let arrived = Happening::Arrived { datagram, host, verdict, reason, clause, sealed_by };
        trace.entries.extend([sent, arrived].map(|what| Entry { at, what }));
    }

    let diagram = trace.to_mermaid();

    // Six of the handshake and twenty hellos between A and B; C's handshake with B is drawn.
    assert!(
        diagram.contains("    Note over h0,h1: handshakes in 26 datagrams, all went well\n"),
        "{diagram}"
    );
    assert_eq!(diagram.matches("ClientHello").count(), 2 + 1, "C's two, and the stranger's: {diagram}");
}
