//! The forms of a trace, made from a small one that was written by hand.

use std::net::SocketAddr;
use std::sync::Arc;

use peerbound_dtls::{ContentType, RecordHeader};
use peerbound_lab::trace::{
    DatagramId, Entry, ExpectationLine, Happening, HostIndex, HostLabel, Nanos, RunFacts, SealedBy,
    SessionIndex, SessionLabel, TRACE_FILES, Trace, Way, contents_of,
};
use peerbound_node::{Lock, Verdict};
use serde_json::Value;

const A: HostIndex = HostIndex(0);
const B: HostIndex = HostIndex(1);
const C: HostIndex = HostIndex(2);
const B_TO_C: SealedBy = SealedBy { session: SessionIndex(0), from: C, to: B };

#[test]
fn the_lines_begin_with_a_head_and_hold_one_object_for_each_entry() {
    let trace = sample("reply");

    let lines = lines_of(&trace);

    assert_eq!(lines.len(), 1 + trace.entries.len());
    assert_eq!(lines[0]["schema"], 1);
    assert_eq!(lines[0]["hosts"][2]["name"], "C");
    assert_eq!(lines[0]["sessions"][0]["suite"], "ECDHE-ECDSA-AES128-GCM-SHA256");
    assert_eq!(lines[3]["what"], "sent");
    assert_eq!(lines[3]["sealed_by"], "session B–C, direction C→B");
    assert_eq!(lines[4]["verdict"], "demux");
    assert_eq!(lines[4]["reason"], "no-session");
    assert_eq!(lines[6]["lock"], "kernel");
}

#[test]
fn no_form_but_the_capture_holds_a_secret() {
    let trace = sample("reply");
    let folder = tempfile::tempdir().unwrap();
    trace.write_to(folder.path(), &trace.summarise(RunFacts::default())).unwrap();

    for name in TRACE_FILES {
        let bytes = std::fs::read(folder.path().join(name)).unwrap();
        let has_secret = bytes.windows(6).any(|window| window == b"c0ffee");
        assert_eq!(has_secret, name == "run.pcapng", "{name}");
    }
}

#[test]
fn equal_traces_have_equal_files_and_one_byte_makes_another_hash() {
    let (one, same, other) = (sample("reply"), sample("reply"), sample("Reply"));
    let files = |trace: &Trace| {
        let folder = tempfile::tempdir().unwrap();
        trace.write_to(folder.path(), &trace.summarise(RunFacts::default())).unwrap();
        TRACE_FILES.map(|name| std::fs::read(folder.path().join(name)).unwrap())
    };

    assert!(files(&one) == files(&same));
    assert_eq!(one.hash(), same.hash());
    assert_ne!(one.hash(), other.hash());
}

#[test]
fn the_diagram_shows_what_arrived_and_crosses_what_did_not() {
    let diagram = sample("reply; #1 <b>").to_mermaid();

    assert_eq!(
        diagram,
        "sequenceDiagram\n    \
         participant h0 as A\n    \
         participant h1 as B\n    \
         participant h2 as C\n    \
         Note over h0,h2: step 1, 0.000001 s: C answers A directly\n    \
         h2-xh0: reply#59; #35;1 #lt;b#gt;: data #35;7 ✗ demux\n    \
         h2-xh0: data #35;8 ✗ kernel\n    \
         h0->>h1: ClientHello\n    \
         h1--xh0: data #35;9 ✗ lost: chance\n"
    );
}

#[test]
fn the_summary_says_how_each_datagram_ended() {
    let trace = sample("reply");
    let facts = RunFacts {
        holds: true,
        expectations: vec![ExpectationLine {
            expected: "dropped at demux".to_owned(),
            observed: "dropped at demux".to_owned(),
            holds: true,
        }],
        ..RunFacts::default()
    };

    let summary = trace.summarise(facts);

    let ends: Vec<_> = summary.datagrams.iter().map(|line| line.end.as_str()).collect();
    assert_eq!(ends, ["demux", "kernel", "accepted", "lost"]);
    assert_eq!(summary.ends["demux"], 1);
    assert_eq!(summary.trace_hash, trace.hash());
    assert_eq!(summary.datagrams[0].sealed_by.as_deref(), Some("session B–C, direction C→B"));
}

#[test]
fn a_hostile_label_stays_a_text_on_the_page() {
    let hostile = "</script><img src=x onerror=alert(1)>@data@";
    let trace = Trace { title: hostile.to_owned(), ..sample(hostile) };

    let page = trace.to_page(&trace.summarise(RunFacts::default()));

    assert!(!page.contains("<img"));
    assert_eq!(page.matches("</script>").count(), 2, "the data and the script end, and nothing else does");
    assert!(page.contains("&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;@data@"));
}

#[test]
fn the_page_asks_for_nothing_outside_itself() {
    let trace = sample("reply");

    let page = trace.to_page(&trace.summarise(RunFacts::default()));

    // The one address in it is the name of SVG's namespace, which nobody fetches.
    let addresses: Vec<_> =
        page.match_indices("://").map(|(at, _)| &page[at.saturating_sub(4)..at + 20]).collect();
    assert_eq!(addresses, ["http://www.w3.org/2000/s"]);
}

#[test]
fn the_contents_of_a_datagram_are_named_as_far_as_they_can_be_seen() {
    let alert =
        [record(ContentType::Alert, 0, 3, &[2, 40]), record(ContentType::ApplicationData, 1, 4, &[0; 30])];

    assert_eq!(contents_of(&client_hello()), "ClientHello");
    assert_eq!(contents_of(&alert.concat()), "alert in the clear, data #4");
    assert_eq!(contents_of(&[1, 2, 3]), "no record (3 bytes)");
    assert_eq!(contents_of(&[]), "nothing");
}

/// C's reply is dropped at demux, another by A's kernel, a hello arrives, and one datagram is lost.
fn sample(label: &str) -> Trace {
    let host = |name: &str, last: u8| HostLabel {
        name: name.to_owned(),
        address: SocketAddr::from(([10, 0, 0, last], 4433)),
        id: None,
    };
    let sent = |number, by, to, bytes: Vec<u8>, label: Option<&str>, sealed_by| Happening::Sent {
        datagram: DatagramId(number),
        by,
        way: Way::Socket,
        source: address(by),
        destination: address(to),
        bytes: Arc::from(bytes),
        label: label.map(str::to_owned),
        copy_of: None,
        sealed_by,
    };
    let data = |sequence| record(ContentType::ApplicationData, 1, sequence, &[0x5a; 40]);
    let arrived = |number, host, verdict, reason: Option<&str>| Happening::Arrived {
        datagram: DatagramId(number),
        host,
        verdict,
        reason: reason.map(str::to_owned),
        clause: "RFC 6347, 4.1.1",
        sealed_by: None,
    };
    let happenings = [
        Happening::Step { number: 1, text: "C answers A directly".to_owned() },
        Happening::Event { host: A, kind: "delivered", text: "A has it".to_owned() },
        sent(1, C, A, data(7), Some(label), Some(B_TO_C)),
        arrived(1, A, Verdict::Dropped(Lock::Demux), Some("no-session")),
        sent(2, C, A, data(8), None, None),
        Happening::Refused { datagram: DatagramId(2), host: A, icmp: true },
        sent(3, A, B, client_hello(), None, None),
        arrived(3, B, Verdict::Accepted, None),
        sent(4, B, A, data(9), None, None),
        Happening::Lost { datagram: DatagramId(4), why: "chance".to_owned() },
    ];
    // The order of the lines that the tests look at: head, step, event, then the datagrams.
    let entries = happenings.into_iter().zip(1_u64..).map(|(what, at)| Entry { at: Nanos(1000 * at), what });
    Trace {
        scenario: "sample".to_owned(),
        title: "A sample".to_owned(),
        backend: "sim",
        seed: 7,
        began_unix_nanos: 1_767_225_600_000_000_000,
        hosts: vec![host("A", 1), host("B", 2), host("C", 3)],
        sessions: vec![SessionLabel {
            client: B,
            server: C,
            since: Nanos(500),
            suite: "ECDHE-ECDSA-AES128-GCM-SHA256".to_owned(),
            keylog: format!("CLIENT_RANDOM {} {}", "ab".repeat(32), "c0ffee00".repeat(12)),
        }],
        entries: entries.collect(),
    }
}

fn address(host: HostIndex) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, u8::try_from(host.0).unwrap() + 1], 4433))
}

fn record(content_type: ContentType, epoch: u16, sequence: u64, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap();
    let header = RecordHeader { content_type, version: 0xfefd, epoch, sequence, length };
    [&header.encode()[..], body].concat()
}

/// The header of a ClientHello, and nothing in it: enough for its name.
fn client_hello() -> Vec<u8> {
    record(ContentType::Handshake, 0, 0, &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
}

fn lines_of(trace: &Trace) -> Vec<Value> {
    let mut bytes = Vec::new();
    trace.write_lines(&mut bytes).unwrap();
    String::from_utf8(bytes).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
