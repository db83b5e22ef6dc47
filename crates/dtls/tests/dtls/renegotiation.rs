//! A session is never negotiated a second time, whoever asks (RFC 5746, CVE-2009-3555).

use peerbound_dtls::{
    CloseReason, ContentType, Context, ContextConfig, Outcome, Plaintexts, Profile, Records, Renegotiation,
    Teaching,
};

use crate::support::{Ended, World, assert_alive, drain, exchange, receive, seal};
use crate::vclock::VirtualClock;

/// A profile that lets clients renegotiate, with a suite that a node takes.
fn willing() -> Profile {
    let suites = Teaching::with_suites("ECDHE-ECDSA-AES128-GCM-SHA256");
    Profile::Teaching(Teaching { renegotiation: Renegotiation::Allowed, ..suites })
}

fn context_of(world: &World, name: &str, profile: Profile) -> Context {
    Context::new(ContextConfig { profile, ..world.config(name) }).unwrap()
}

fn content_types(datagrams: &[Vec<u8>]) -> Vec<ContentType> {
    datagrams
        .iter()
        .flat_map(|datagram| Records::of(datagram))
        .map(|record| record.unwrap().header.content_type)
        .collect()
}

#[test]
fn a_node_does_not_ask_as_client() {
    let clock = VirtualClock::start();
    let (mut client, mut server) = World::new().establish(&clock);

    let asked = client.renegotiate(clock.now());

    assert_eq!(asked, Err("no renegotiation".to_owned()));
    assert!(drain(&mut client).is_empty());
    assert_alive(&mut client, &mut server, &clock);
}

#[test]
fn a_node_does_not_ask_as_server() {
    let clock = VirtualClock::start();
    let (mut client, mut server) = World::new().establish(&clock);

    let asked = server.renegotiate(clock.now());

    assert_eq!(asked, Err("no renegotiation".to_owned()));
    assert!(drain(&mut server).is_empty());
    assert_alive(&mut client, &mut server, &clock);
}

#[test]
fn a_client_that_asks_a_node_changes_nothing_there() {
    let clock = VirtualClock::start();
    let world = World::new();
    let client = context_of(&world, "client", willing());
    let (mut client, mut server) = World { client, ..world }.establish(&clock);
    client.renegotiate(clock.now()).unwrap();
    let asked = drain(&mut client);
    assert!(!asked.is_empty(), "a hello under the session's keys");

    for datagram in asked {
        let outcome = server.handle_datagram(&datagram, &mut Plaintexts::new(), clock.now());
        assert_eq!(outcome, Outcome::Accepted);
    }

    assert!(server.is_established());
    assert_eq!(content_types(&drain(&mut server)), [ContentType::Alert], "no_renegotiation, a warning");
    seal(&mut server, b"still the first session");
}

#[test]
fn a_server_that_asks_a_node_changes_nothing_there() {
    let clock = VirtualClock::start();
    let world = World::new();
    let server = context_of(&world, "server", willing());
    let (mut client, mut server) = World { server, ..world }.establish(&clock);
    server.renegotiate(clock.now()).unwrap();
    let asked = drain(&mut server);
    assert!(!asked.is_empty(), "a HelloRequest under the session's keys");

    for datagram in asked {
        let outcome = client.handle_datagram(&datagram, &mut Plaintexts::new(), clock.now());
        assert_eq!(outcome, Outcome::Accepted);
    }

    assert!(client.is_established());
    assert_eq!(content_types(&drain(&mut client)), [ContentType::Alert], "no_renegotiation, a warning");
    seal(&mut client, b"still the first session");
}

#[test]
fn a_peer_that_asks_and_is_refused_ends_the_session_itself() {
    // OpenSSL takes the refusal for fatal and says so under the session's keys: the genuine word of
    // a genuine peer, which nothing here should overrule.
    let clock = VirtualClock::start();
    let world = World::new();
    let client = context_of(&world, "client", willing());
    let (mut client, mut server) = World { client, ..world }.establish(&clock);
    client.renegotiate(clock.now()).unwrap();

    exchange(&mut client, &mut server, &clock);

    assert!(client.is_closed() && server.is_closed());
    assert!(matches!(Ended::of(&mut client).reason, Some(CloseReason::Failed(_))));
}

#[test]
fn data_still_reaches_a_node_after_it_refused_to_renegotiate() {
    let clock = VirtualClock::start();
    let world = World::new();
    let client = context_of(&world, "client", willing());
    let (mut client, mut server) = World { client, ..world }.establish(&clock);
    let sealed_before = seal(&mut client, b"on its way");
    client.renegotiate(clock.now()).unwrap();

    for datagram in drain(&mut client) {
        server.handle_datagram(&datagram, &mut Plaintexts::new(), clock.now());
    }

    assert_eq!(receive(&mut server, &sealed_before, &clock), [b"on its way"]);
}
