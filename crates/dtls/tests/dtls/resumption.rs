//! Coming back without a full handshake: only where it is on, and never past a changed rule.

use peerbound_dtls::{
    Admission, Context, ContextConfig, Refusal, ResumableSession, Resumption, Session, SessionOptions,
};

use crate::support::{Ended, World, assert_alive, drain, exchange, verified_hello};
use crate::vclock::VirtualClock;

fn world_with(resumption: Resumption) -> World {
    let world = World::new();
    let server = Context::new(ContextConfig { resumption, ..world.config("server") }).unwrap();
    World { server, ..world }
}

/// Establishes a session, ends it, and returns what a client keeps of it.
fn earlier_session(world: &World, clock: &VirtualClock) -> ResumableSession {
    let (mut client, mut server) = world.establish(clock);
    let earlier = client.resumable().expect("an established session leaves something to resume");
    client.close();
    exchange(&mut client, &mut server, clock);
    earlier
}

/// Comes back with an earlier session, to a server that admits by `admission`.
fn come_back(
    world: &World,
    earlier: &ResumableSession,
    admission: Admission,
    clock: &VirtualClock,
) -> (Session, Session) {
    let mut client = Session::resume(&world.client, &world.options, earlier, clock.now()).unwrap();
    let hello = verified_hello(&mut client, clock);
    let options = SessionOptions { admission, ..world.options.clone() };
    let mut server = Session::accept(&world.server, &options, &hello, clock.now()).unwrap();
    exchange(&mut client, &mut server, clock);
    (client, server)
}

#[test]
fn a_resumed_session_has_the_same_peer_and_secret_but_other_record_keys() {
    let clock = VirtualClock::start();
    let world = world_with(Resumption::ServerCache);
    let (first, mut first_server) = world.establish(&clock);
    let earlier = first.resumable().expect("established");
    first_server.close();

    let (mut client, mut server) = come_back(&world, &earlier, Admission::AnyTrusted, &clock);

    let peer = client.peer().expect("established").clone();
    assert!(peer.resumed && server.peer().expect("established").resumed);
    assert_eq!(peer.key, world.server.key_hash());
    let (old, new) = (first.secrets().expect("established"), client.secrets().expect("established"));
    assert_eq!(old.master_secret, new.master_secret);
    assert_ne!(old.server_random, new.server_random);
    assert_alive(&mut client, &mut server, &clock);
}

#[test]
fn a_session_that_was_dropped_without_a_farewell_can_be_resumed() {
    let clock = VirtualClock::start();
    let world = world_with(Resumption::ServerCache);
    let (client, server) = world.establish(&clock);
    let earlier = client.resumable().expect("established");
    drop((client, server));

    let (client, _) = come_back(&world, &earlier, Admission::AnyTrusted, &clock);

    assert!(client.peer().expect("established").resumed);
}

#[test]
fn where_resumption_is_off_the_handshake_is_full() {
    let clock = VirtualClock::start();
    let world = world_with(Resumption::Off);
    let earlier = earlier_session(&world, &clock);

    let (mut client, mut server) = come_back(&world, &earlier, Admission::AnyTrusted, &clock);

    assert!(!client.peer().expect("established").resumed);
    assert!(!server.peer().expect("established").resumed);
    assert_alive(&mut client, &mut server, &clock);
}

#[test]
fn a_client_that_is_admitted_no_more_cannot_resume() {
    // A resumed handshake shows no certificate, so the callback that asks for admission never runs.
    let clock = VirtualClock::start();
    let world = world_with(Resumption::ServerCache);
    let earlier = earlier_session(&world, &clock);

    let nobody = Admission::OneOf(std::sync::Arc::default());
    let (_, mut server) = come_back(&world, &earlier, nobody, &clock);

    let ended = Ended::of(&mut server);
    assert!(!ended.was_up);
    let refusal = Refusal::NotAdmitted { name: "client".into(), key: world.client.key_hash() };
    assert_eq!(ended.refusal(), Some(&refusal));
}

#[test]
fn a_server_that_we_admit_no_more_cannot_resume() {
    let clock = VirtualClock::start();
    let world = world_with(Resumption::ServerCache);
    let earlier = earlier_session(&world, &clock);
    let options =
        SessionOptions { admission: Admission::only(world.client.key_hash()), ..SessionOptions::default() };

    let mut client = Session::resume(&world.client, &options, &earlier, clock.now()).unwrap();
    let hello = verified_hello(&mut client, &clock);
    let mut server = Session::accept(&world.server, &world.options, &hello, clock.now()).unwrap();
    exchange(&mut client, &mut server, &clock);

    assert!(matches!(Ended::of(&mut client).refusal(), Some(Refusal::NotAdmitted { .. })));
}

#[test]
fn a_resumed_handshake_takes_fewer_bytes_than_a_full_one() {
    let clock = VirtualClock::start();
    let world = world_with(Resumption::ServerCache);
    let (_, mut full) = world.open(&clock);
    let full_flight: usize = drain(&mut full).iter().map(Vec::len).sum();
    let earlier = earlier_session(&world, &clock);

    let mut client = Session::resume(&world.client, &world.options, &earlier, clock.now()).unwrap();
    let hello = verified_hello(&mut client, &clock);
    let mut server = Session::accept(&world.server, &world.options, &hello, clock.now()).unwrap();
    let resumed_flight: usize = drain(&mut server).iter().map(Vec::len).sum();

    assert!(resumed_flight * 3 < full_flight, "{resumed_flight} against {full_flight} bytes");
}
