//! OpenSSL keeps its errors per thread, not per session: what one session leaves there, another
//! one finds, and takes for its own.

use openssl::error::ErrorStack;
use openssl::x509::X509;
use peerbound_dtls::{Outcome, Plaintexts, Screening, Session};

use crate::support::{CLIENT, World, address, assert_alive, doorman, drain, exchange, receive, seal};
use crate::vclock::VirtualClock;

#[test]
fn a_hello_that_openssl_refuses_harms_no_other_session_of_the_thread() {
    // A stranger with a genuine cookie sent his hello with a message number that no hello has.
    // OpenSSL's listener refuses it as "not fatal", leaves the reason in the thread's error queue,
    // and the next read of a live session of somebody else found it there and ended the session.
    let clock = VirtualClock::start();
    let world = World::new();
    let (mut client, mut server) = world.establish(&clock);

    refused_hello(&world, &clock);

    assert_alive(&mut client, &mut server, &clock);
}

#[test]
fn sessions_that_fail_in_every_way_harm_no_other_session_of_the_thread() {
    let clock = VirtualClock::start();
    let world = World::new();
    let (mut client, mut server) = world.establish(&clock);

    for failing in [refused_hello, refused_certificate, garbled_server_hello, forged_record] {
        failing(&world, &clock);

        assert!(ErrorStack::get().errors().is_empty(), "an error was left behind");
        assert_alive(&mut client, &mut server, &clock);
    }
}

#[test]
fn an_error_that_the_caller_left_behind_harms_no_session() {
    // A caller that reads some PEM by OpenSSL, on the thread of its sessions, and does not look at
    // the error queue, must not lose a neighbour by it.
    let clock = VirtualClock::start();
    let world = World::new();
    let (mut client, mut server) = world.establish(&clock);
    leave_an_error();

    let datagram = seal(&mut client, b"hello");
    assert_eq!(receive(&mut server, &datagram, &clock), [b"hello"]);

    assert_alive(&mut client, &mut server, &clock);
}

fn leave_an_error() {
    X509::from_pem(b"no certificate").expect_err("this is no PEM").put();
}

fn hello_with_cookie(client: &mut Session, clock: &VirtualClock) -> Vec<u8> {
    let first = drain(client).remove(0);
    let Ok(Screening::Challenge(challenge)) = doorman(clock).screen(&first, address(CLIENT), clock.now())
    else {
        panic!("a hello without a cookie is challenged");
    };
    client.handle_datagram(&challenge, &mut Plaintexts::new(), clock.now());
    drain(client).remove(0)
}

/// Answers a hello whose cookie is genuine and whose message number no hello has.
fn refused_hello(world: &World, clock: &VirtualClock) {
    let mut strange = hello_with_cookie(&mut world.connect(clock), clock);
    strange[18] = 3; // message_seq, low byte
    let Ok(Screening::Verified(verified)) = doorman(clock).screen(&strange, address(CLIENT), clock.now())
    else {
        panic!("the cookie does not cover the message number");
    };
    let refused = Session::accept(&world.server, &world.options, &verified, clock.now()).unwrap();
    assert!(refused.is_closed());
}

fn refused_certificate(world: &World, clock: &VirtualClock) {
    let stranger = World { client: World::new().client, ..world.clone() };
    let (mut client, mut server) = stranger.open(clock);
    exchange(&mut client, &mut server, clock);
    assert!(client.is_closed() || server.is_closed());
}

fn garbled_server_hello(world: &World, clock: &VirtualClock) {
    let (mut client, mut server) = world.open(clock);
    let mut flight = drain(&mut server).remove(0);
    flight[26] ^= 0xff;
    assert_eq!(client.handle_datagram(&flight, &mut Plaintexts::new(), clock.now()), Outcome::Killed);
}

fn forged_record(world: &World, clock: &VirtualClock) {
    let (mut client, mut server) = world.establish(clock);
    let mut datagram = seal(&mut client, b"genuine");
    datagram[30] ^= 1;
    assert!(receive(&mut server, &datagram, clock).is_empty());
}
