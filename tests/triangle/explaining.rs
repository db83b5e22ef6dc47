//! A running node says which way a frame goes, and who it was whose datagram it refused.

use std::net::UdpSocket;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{DEADLINE, Finished, Program, peerbound};
use crate::topology::Topology;

#[test]
fn a_trace_shows_each_hop_out_and_back_and_that_both_are_one_way() {
    let topology = Topology::new();
    let _nodes = start(&topology);

    let traced = ask(&topology, &["trace", "C"]);

    let names = |leg: &str| {
        let hops = traced[leg].as_array().unwrap().iter();
        hops.map(|hop| hop["node"]["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let us = names("out").remove(0);
    assert_eq!(names("out"), [&us, "B", "C"], "{traced:#}");
    assert_eq!(names("back"), ["C", "B", &us], "{traced:#}");
    assert_eq!((&traced["is_answered"], &traced["is_symmetric"]), (&Value::Bool(true), &Value::Bool(true)));
    let relay = &traced["out"][1];
    assert_eq!(relay["describes_itself"], true);
    assert!(relay["frame_bytes_max"].as_u64().unwrap() > 1000, "{relay:#}");
    assert!(relay["session_age_ms"].is_u64(), "{relay:#}");

    let route = ask(&topology, &["explain", "route", "C"]);
    let said = sentences(&route);
    assert!(said.contains("Frames to C leave by B: a route in our file says so."), "{said}");
    assert!(said.contains("The way back is the way out, the other way round."), "{said}");
}

#[test]
fn a_direct_reply_is_explained_by_whose_it_is_and_by_which_way_his_replies_come() {
    let topology = Topology::new();
    let mut nodes = start(&topology);
    let [a_port, _, c_port] = topology.ports();

    drop(nodes.pop()); // C is killed, and its own socket is free: what leaves from there is C's
    let of_c = UdpSocket::bind(("127.0.0.1", c_port)).unwrap();
    of_c.send_to(&direct_reply(), ("127.0.0.1", a_port)).unwrap();

    let stray = stray(&topology);
    assert_eq!((&stray["lock"], &stray["reason"]), (&Value::from("demux"), &Value::from("no-session")));
    assert_eq!(
        (&stray["who"]["node"]["name"], &stray["who"]["by"]["name"]),
        (&Value::from("C"), &Value::from("B"))
    );
    let said = sentences(&stray);
    for expected in [
        "93 bytes from 127.0.0.1:",
        "a record of application data of DTLS 1.2, epoch 1, number 7",
        "Dropped at the lock demux, counted as no-session: no session here belongs to that address",
        &format!("127.0.0.1:{c_port} is C: its neighbour B "),
        "C has no session with us: it is no neighbour of ours.",
        "Replies of C come through B: frames to C leave by B",
    ] {
        assert!(said.contains(expected), "{expected:?} is not in {said}");
    }
}

#[test]
fn a_datagram_of_nobody_is_explained_as_far_as_is_known() {
    let topology = Topology::new();
    let _nodes = start(&topology);
    let stranger = UdpSocket::bind("127.0.0.2:0").unwrap();
    stranger.send_to(b"no record", ("127.0.0.1", topology.a_port)).unwrap();

    let said = sentences(&stray(&topology));

    assert!(said.contains("begin with no DTLS record (first byte 0x6e)"), "{said}");
    assert!(said.contains("is unknown: none of our neighbours is or was there; 1 neighbour asked"), "{said}");
}

#[test]
fn a_frame_without_a_way_is_explained_where_it_was_dropped() {
    let topology = Topology::new();
    let mut nodes = start(&topology);
    nodes[2].terminate();
    nodes[1].wait_for_neighbour("neighbour_down", "C");
    let traced = of(&topology, "A", &["trace", "C", "--wait", "60000"]);
    assert_eq!(traced.code, Some(1), "{traced:?}");

    let answer = of(&topology, "B", &["explain", "drop"]).json().remove(0);

    let said = sentences(&answer["drops"][0]);
    assert!(said.contains("a trace frame of A to C"), "{said}");
    assert!(said.contains("Dropped as no-route"), "{said}");
}

#[test]
fn a_capture_with_its_secrets_is_decrypted_by_others() {
    let topology = Topology::new();
    let _nodes = start(&topology);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("wire.pcapng").display().to_string();

    let capture = ["pcap", &file, "--datagrams", "--secrets", "-c", &topology.file("A"), "--json"];
    let capture = peerbound(capture).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_until_replaced(&topology, "B");
    // The child is not reaped yet, so its number is still its own.
    let told = Command::new("kill").args(["-INT", &capture.id().to_string()]).status().unwrap();
    assert!(told.success(), "{told}");
    let written = Finished::from(capture.wait_with_output().unwrap()).json().remove(0);
    assert_eq!(written["ended_by"], "signal", "{written:#}");
    assert!(written["sessions"].as_u64() >= Some(1), "{written:#}");

    let frames = folder.path().join("frames.pcapng").display().to_string();
    let written = of(&topology, "A", &["pcap", &frames, "--count", "4"]).json().remove(0);
    assert_eq!(written["copies"], 4, "{written:#}");
    of(&topology, "A", &["pcap", &frames, "--count", "4"]).refusal(2);

    if Command::new("tshark").arg("--version").output().is_err() {
        assert!(std::env::var_os("PEERBOUND_REQUIRE_PEERS").is_none(), "tshark is not installed");
        println!("skipped: tshark is not installed (apt-get install tshark)");
        return;
    }
    // Without being told, it takes some ports for somebody else's.
    let a_port = format!("udp.port=={},dtls", topology.a_port);
    let as_dtls = ["-d", a_port.as_str()];
    let decrypted = tshark(&file, &as_dtls, "data.data");
    assert!(
        decrypted.lines().any(|data| data.starts_with("0103")),
        "no hello is decrypted:\n{}",
        tshark(&file, &as_dtls, "_ws.col.Info")
    );
    let raw = tshark(&frames, &[], "frame.len");
    assert_eq!(raw.lines().count(), 4, "{raw}");
}

/// A, B and C as programs that only run, with every link up.
fn start(topology: &Topology) -> Vec<Program> {
    let b = topology.start_run("B");
    let mut nodes = vec![topology.start_run("A"), b, topology.start_run("C")];
    nodes[0].wait_for_neighbour("neighbour_up", "B");
    nodes[2].wait_for_neighbour("neighbour_up", "B");
    nodes[1].wait_for_neighbour("neighbour_up", "A");
    nodes[1].wait_for_neighbour("neighbour_up", "C");
    nodes
}

/// Waits until A has exchanged some records in a session that came up after this call.
fn wait_until_replaced(topology: &Topology, neighbour: &str) {
    let begun = Instant::now();
    loop {
        let sessions = ask(topology, &["sessions"]);
        let of_neighbour = |session: &&Value| session["name"] == neighbour;
        let session = sessions["link"].as_array().unwrap().iter().find(of_neighbour);
        if session.is_some_and(|session| {
            let number = |key: &str| session[key].as_u64().unwrap();
            u128::from(number("age_ms")) < begun.elapsed().as_millis() && number("records_received") >= 4
        }) {
            return;
        }
        assert!(begun.elapsed() < DEADLINE, "not replaced within {DEADLINE:?}: {sessions:#}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Waits for the first datagram that A refuses.
fn stray(topology: &Topology) -> Value {
    let end = Instant::now() + DEADLINE;
    loop {
        let answer = ask(topology, &["explain", "stray"]);
        if let Some(stray) = answer["strays"].as_array().unwrap().first() {
            return stray.clone();
        }
        assert!(Instant::now() < end, "A refuses nothing within {DEADLINE:?}");
    }
}

fn ask(topology: &Topology, arguments: &[&str]) -> Value {
    of(topology, "A", arguments).json().remove(0)
}

fn of(topology: &Topology, node: &str, arguments: &[&str]) -> Finished {
    let file = topology.file(node);
    Finished::of(&mut peerbound(arguments.iter().copied().chain(["-c", &file, "--json"])))
}

fn sentences(answer: &Value) -> String {
    let sentences = answer["sentences"].as_array().unwrap().iter();
    sentences.map(|sentence| sentence.as_str().unwrap()).collect::<Vec<_>>().join(" ")
}

fn tshark(file: &str, options: &[&str], field: &str) -> String {
    let mut tshark = Command::new("tshark");
    let output = tshark.args(["-r", file, "-T", "fields", "-e", field]).args(options).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// A record as C seals it for B: application data of epoch 1 that A has no key for.
fn direct_reply() -> Vec<u8> {
    let mut record = vec![23, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 7, 0, 80];
    record.extend([0x5a; 80]);
    record
}
