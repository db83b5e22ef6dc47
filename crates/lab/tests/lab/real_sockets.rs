//! The same scenario on the simulator, on loopback sockets and in network namespaces, with the same
//! verdicts; and what real sockets cannot do is refused before anything starts.

use peerbound_lab::run::{Backend, RunError, RunOptions, RunReport, StageError, run};
use peerbound_lab::scenario::Scenario;

const HEAD: &str = "schema = 1\nname = \"x\"\ntitle = \"X\"\nends = \"30 s\"\n";

/// A–B–C in a row.
const CHAIN: &str = r#"
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
"#;

/// C's reply, sealed for B, in the attacker's hand.
const SEALED: &str = r#"
[[step]]
on = "up"
seal = { by = "C", to = "A", payload = "Yes, A: directly.", reply = true, as = "reply" }
"#;

fn parse(text: &str) -> Scenario {
    Scenario::parse(text, "x.toml", &[]).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn play(scenario: &Scenario, backend: Backend) -> Result<RunReport, RunError> {
    run(scenario, &RunOptions { backend, ..RunOptions::with_seed(7) })
}

/// Whether this machine makes network namespaces for us.
pub(crate) fn has_namespaces() -> bool {
    let chain = parse(&format!("{HEAD}{CHAIN}[[expect]]\nsession = \"A-B\"\nis = \"alive\"\n"));
    match play(&chain, Backend::Netns) {
        Ok(_) => true,
        Err(error) if std::env::var_os("PEERBOUND_REQUIRE_NETNS").is_none() => {
            eprintln!("skipped in namespaces: {error}");
            false
        }
        Err(error) => panic!("{error}"),
    }
}

/// Plays a scenario wherever it can be played, and asserts that it holds everywhere.
fn holds_everywhere(body: &str) {
    let scenario = parse(&format!("{HEAD}{body}"));
    let mut backends = vec![Backend::Sim, Backend::Loopback];
    if has_namespaces() {
        backends.push(Backend::Netns);
    }
    for backend in backends {
        let report = play(&scenario, backend).unwrap_or_else(|error| panic!("{backend}: {error}"));
        assert!(report.holds, "{backend}: {:#?}", report.complaints(&scenario));
    }
}

fn refusal(body: &str, backend: Backend) -> String {
    match play(&parse(&format!("{HEAD}{body}")), backend) {
        Err(RunError::Stage(refused @ StageError::Impossible { .. })) => refused.to_string(),
        other => panic!("{other:#?}"),
    }
}

#[test]
fn a_request_goes_through_b_and_its_reply_comes_back_through_b() {
    holds_everywhere(&format!(
        r#"{CHAIN}
[[step]]
on = "up"
send = {{ from = "A", to = "C", payload = "over there?", as = "request" }}
[[step]]
on = "delivered request"
send = {{ from = "C", to = "A", payload = "over here.", reply = true, as = "answer" }}
[[expect]]
message = "request"
delivered_at = "C"
path = ["A", "B", "C"]
[[expect]]
message = "answer"
delivered_at = "A"
path = ["C", "B", "A"]
[[expect]]
session = "A-B"
is = "alive"
"#
    ));
}

#[test]
fn rung_0_a_connected_socket_refuses_the_reply_and_its_sender_is_told() {
    let chain = CHAIN.replacen("name = \"A\"", "name = \"A\"\nsocket = \"connected to B\"", 1);
    holds_everywhere(&format!(
        r#"{chain}{SEALED}
[[step]]
inject = {{ datagram = "reply", to = "A", source = "C connected" }}
[[expect]]
datagram = "reply"
at = "A"
lock = "kernel"
sealed_by = "C>B"
[[expect]]
told = "C"
error = "ECONNREFUSED"
[[expect]]
session = "A-B"
is = "alive"
"#
    ));
}

#[test]
fn a_listener_beside_the_connected_socket_reads_what_that_refuses() {
    let chain = CHAIN.replacen("name = \"A\"", "name = \"A\"\nsocket = \"connected to B\"", 1);
    holds_everywhere(&format!(
        r#"{chain}
[[listener]]
on = "A"
as = "listener"
{SEALED}
[[step]]
inject = {{ datagram = "reply", to = "A", source = "C" }}
[[expect]]
datagram = "reply"
at = "A"
read_by = "listener"
[[expect]]
session = "A-B"
is = "alive"
"#
    ));
}

#[test]
fn rung_1_the_demultiplexer_has_no_session_for_c() {
    holds_everywhere(&format!(
        r#"{CHAIN}{SEALED}
[[step]]
inject = {{ datagram = "reply", to = "A", source = "C" }}
[[expect]]
datagram = "reply"
at = "A"
lock = "demux"
reason = "no-session"
sealed_by = "C>B"
[[expect]]
session = "A-B"
is = "alive"
"#
    ));
}

#[test]
fn rung_3_from_bs_address_with_bs_next_number_the_keys_do_not_fit() {
    holds_everywhere(&format!(
        r#"{CHAIN}{SEALED}
[[step]]
inject = {{ datagram = "reply", to = "A", source = "B", set_sequence = "next" }}
[[expect]]
datagram = "reply"
at = "A"
lock = "record-auth"
reason = "bad-mac"
[[expect]]
session = "A-B"
is = "alive"
"#
    ));
}

#[test]
fn a_captured_record_is_a_replay_the_second_time() {
    holds_everywhere(&format!(
        r#"{CHAIN}
[[step]]
on = "up"
capture = {{ on = "B>A", as = "old", match = {{ record = "application-data" }} }}
[[step]]
on = "captured old"
wait = "100 ms"
[[step]]
inject = {{ datagram = "old", to = "A", source = "B", as = "again" }}
[[expect]]
datagram = "again"
at = "A"
lock = "replay"
reason = "replay"
sealed_by = "B>A"
[[expect]]
session = "A-B"
is = "alive"
"#
    ));
}

#[test]
fn a_lost_server_hello_is_sent_again_after_a_timeout() {
    holds_everywhere(&format!(
        r#"{CHAIN}
[[fault]]
on = "B>A"
drop = {{ handshake = "ServerHello", nth = 1 }}
[[expect]]
wire = "B>A"
match = {{ handshake = "ServerHello" }}
at_least = 2
[[expect]]
session = "A-B"
is = "alive"
"#
    ));
}

#[test]
fn a_crashed_relay_comes_back_and_carries_again() {
    holds_everywhere(&format!(
        r#"{CHAIN}
[[step]]
on = "up"
crash = "B"
[[step]]
on = "down A-B"
restart = "B"
[[step]]
on = "up A-B"
send = {{ from = "A", to = "B", payload = "back?", as = "message" }}
[[expect]]
message = "message"
delivered_at = "B"
[[expect]]
session = "A-B"
is = "new"
"#
    ));
}

#[test]
fn a_forwarder_passes_records_on_unopened() {
    holds_everywhere(
        r#"
[[node]]
name = "A"
[[node]]
name = "C"
[[host]]
name = "B"
forwards = ["A", "C"]
[[link]]
between = ["A", "C"]
dials = "A"
through = "B"
[[step]]
on = "up"
send = { from = "A", to = "C", payload = "through B", as = "message" }
[[expect]]
message = "message"
delivered_at = "C"
[[expect]]
session = "A-C"
is = "alive"
"#,
    );
}

#[test]
fn a_path_that_loses_doubles_and_reorders_still_carries_a_session() {
    let chain = CHAIN.replacen(
        "dials = \"A\"",
        "dials = \"A\"\nloss = 0.1\nduplicate = 0.2\nreorder = 0.1\njitter = \"3 ms\"\nrate = \"10 Mbit/s\"",
        1,
    );
    holds_everywhere(&format!(
        r#"{chain}
[[step]]
on = "up A-B"
send = {{ from = "A", to = "B", payload = "x", count = 20, as = "messages" }}
[[expect]]
message = "messages"
delivered_at = "B"
at_least = 1
[[expect]]
wire = "A>B"
at_least = 20
"#
    ));
}

#[test]
fn an_address_that_nobody_has_is_spoofed_in_namespaces_and_refused_on_loopback() {
    let body = format!(
        r#"{CHAIN}
[[step]]
on = "up"
forge = {{ handshake = "ClientHello", as = "hello" }}
[[step]]
inject = {{ datagram = "hello", to = "A", source = "192.0.2.9:1" }}
[[expect]]
datagram = "hello"
at = "A"
lock = "challenged"
"#
    );

    assert_eq!(
        refusal(&body, Backend::Loopback),
        "loopback cannot spoof an address that no socket of the run owns (step 2: source 192.0.2.9:1): \
         use --on sim or --on netns"
    );
    if has_namespaces() {
        let scenario = parse(&format!("{HEAD}{body}"));
        let report = play(&scenario, Backend::Netns).unwrap();
        assert!(report.holds, "{:#?}", report.complaints(&scenario));
    }
}

#[test]
fn what_real_sockets_cannot_do_is_refused_by_name() {
    let alive = "[[expect]]\nsession = \"A-B\"\nis = \"alive\"\n";
    let nat =
        format!("{CHAIN}[[nat]]\nname = \"N\"\nin_front_of = [\"A\"]\naddress = \"203.0.113.1\"\n{alive}");
    let long = format!("{CHAIN}{alive}").replacen("ends = \"30 s\"", "ends = \"500 s\"", 1);
    let mesh =
        "[mesh]\nnodes = 100\ndegree = 4\n[nodes]\nrouting = \"dynamic\"\n[[expect]]\nreachable = \"all\"\n";

    assert!(
        refusal(&nat, Backend::Loopback).starts_with("loopback cannot translate addresses (`nat` \"N\")")
    );
    assert!(refusal(mesh, Backend::Netns).starts_with("netns cannot run a mesh of 100 nodes"));
    let long = parse(&format!("{HEAD}{long}").replacen("30 s", "500 s", 1));
    let Err(refused) = play(&long, Backend::Loopback) else { panic!("it would take 500 s") };
    assert!(refused.to_string().starts_with("loopback cannot take 500s of real time"), "{refused}");
}
