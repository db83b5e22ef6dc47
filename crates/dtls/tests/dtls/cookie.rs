//! No state before the cookie (RFC 6347, 4.2.1), and never an answer longer than the question.

use std::net::SocketAddr;
use std::time::Duration;

use peerbound_dtls::{
    ContentType, Doorman, Plaintexts, RecordHeader, Screening, Session, SessionOptions, is_client_hello,
};

use crate::support::{CLIENT, SERVER, World, address, doorman, drain, exchange};
use crate::vclock::VirtualClock;

/// Where a ClientHello of ours keeps its parts: record header 13, handshake header 12.
const MESSAGE_SEQUENCE: usize = 17;
const FRAGMENT_OFFSET: usize = 19;
const RANDOM: usize = 27;
const COOKIE_LENGTH: usize = 60;
const COOKIE: usize = 61;

const CHALLENGE_BYTES: usize = 60;

/// The first and, once challenged, the second hello of a client.
struct Hellos {
    client: Session,
    first: Vec<u8>,
    second: Vec<u8>,
}

impl Hellos {
    fn of(world: &World, doorman: &Doorman, clock: &VirtualClock) -> Self {
        let mut client = world.connect(clock);
        let first = drain(&mut client).remove(0);
        let challenge = challenge(doorman, &first, clock);
        client.handle_datagram(&challenge, &mut Plaintexts::new(), clock.now());
        let second = drain(&mut client).remove(0);
        Self { client, first, second }
    }
}

fn screen(doorman: &Doorman, hello: &[u8], clock: &VirtualClock) -> Screening {
    screen_from(doorman, hello, address(CLIENT), clock)
}

fn screen_from(doorman: &Doorman, hello: &[u8], source: SocketAddr, clock: &VirtualClock) -> Screening {
    doorman.screen(hello, source, clock.now()).unwrap()
}

fn challenge(doorman: &Doorman, hello: &[u8], clock: &VirtualClock) -> Vec<u8> {
    match screen(doorman, hello, clock) {
        Screening::Challenge(challenge) => challenge,
        other => panic!("not challenged: {other:?}"),
    }
}

/// Makes a hello of `length` bytes in all, with the cookie it is to carry.
fn hello_of(length: usize, cookie: &[u8]) -> Vec<u8> {
    let body = length - 13;
    let message = body - 12;
    let header = RecordHeader {
        content_type: ContentType::Handshake,
        version: 0xfefd,
        epoch: 0,
        sequence: 0,
        length: u16::try_from(body).unwrap(),
    };
    let mut hello = header.encode().to_vec();
    let message_bytes = u32::try_from(message).unwrap().to_be_bytes();
    hello.push(1);
    hello.extend(&message_bytes[1..]);
    hello.extend([0; 5]);
    hello.extend(&message_bytes[1..]);
    hello.extend([0xfe, 0xfd]);
    hello.extend([5; 32]);
    hello.push(0);
    hello.push(u8::try_from(cookie.len()).unwrap());
    hello.extend(cookie);
    hello.resize(length, 0);
    hello
}

#[test]
fn a_hello_without_a_cookie_draws_sixty_bytes_and_no_session() {
    let clock = VirtualClock::start();
    let hello = drain(&mut World::new().connect(&clock)).remove(0);

    let challenge = challenge(&doorman(&clock), &hello, &clock);

    assert_eq!(challenge.len(), CHALLENGE_BYTES);
    assert!(challenge.len() <= hello.len());
    assert!(!is_client_hello(&challenge));
    assert_eq!(challenge[3..11], hello[3..11], "RFC 6347, 4.2.1: the number of the hello's record");
}

#[test]
fn the_cookie_brings_a_session_about() {
    let clock = VirtualClock::start();
    let world = World::new();
    let doorman = doorman(&clock);
    let mut hellos = Hellos::of(&world, &doorman, &clock);

    let Screening::Verified(hello) = screen(&doorman, &hellos.second, &clock) else {
        panic!("the cookie comes back");
    };
    let mut server = Session::accept(&world.server, &SessionOptions::default(), &hello, clock.now()).unwrap();
    exchange(&mut hellos.client, &mut server, &clock);

    assert!(hellos.client.is_established() && server.is_established());
}

#[test]
fn every_bit_of_the_cookie_counts() {
    let clock = VirtualClock::start();
    let doorman = doorman(&clock);
    let hellos = Hellos::of(&World::new(), &doorman, &clock);
    assert_eq!(hellos.second[COOKIE_LENGTH], 32);

    for bit in 0..32 * 8 {
        let mut wrong = hellos.second.clone();
        wrong[COOKIE + bit / 8] ^= 1 << (bit % 8);

        assert_eq!(challenge(&doorman, &wrong, &clock).len(), CHALLENGE_BYTES, "bit {bit}");
    }
}

#[test]
fn a_cookie_of_another_length_is_challenged_and_compared_with_nothing() {
    let clock = VirtualClock::start();
    let doorman = doorman(&clock);
    for length in [1, 31, 33, 64, 255] {
        let hello = hello_of(400, &vec![9; length]);

        assert_eq!(challenge(&doorman, &hello, &clock).len(), CHALLENGE_BYTES);
    }
}

#[test]
fn a_cookie_is_worth_nothing_at_another_address_or_port() {
    let clock = VirtualClock::start();
    let doorman = doorman(&clock);
    let hellos = Hellos::of(&World::new(), &doorman, &clock);

    for thief in [SERVER, "192.0.2.1:4434", "[2001:db8::1]:4433"] {
        let screening = screen_from(&doorman, &hellos.second, address(thief), &clock);

        assert!(matches!(screening, Screening::Challenge(_)), "{thief}");
    }
}

#[test]
fn a_cookie_is_worth_nothing_with_another_hello() {
    let clock = VirtualClock::start();
    let doorman = doorman(&clock);
    let world = World::new();
    let (mine, theirs) = (Hellos::of(&world, &doorman, &clock), Hellos::of(&world, &doorman, &clock));

    let mut other_random = mine.second.clone();
    other_random[RANDOM..RANDOM + 32].copy_from_slice(&theirs.first[RANDOM..RANDOM + 32]);
    let mut other_suites = mine.second;
    *other_suites.last_mut().unwrap() ^= 1;

    assert!(matches!(screen(&doorman, &other_random, &clock), Screening::Challenge(_)));
    assert!(matches!(screen(&doorman, &other_suites, &clock), Screening::Challenge(_)));
}

#[test]
fn a_cookie_of_another_doorman_is_challenged() {
    let clock = VirtualClock::start();
    let hellos = Hellos::of(&World::new(), &doorman(&clock), &clock);

    let another = Doorman::new([8; 32], clock.now());

    assert!(matches!(screen(&another, &hellos.second, &clock), Screening::Challenge(_)));
}

#[test]
fn a_cookie_lives_for_one_to_two_minutes() {
    let mut clock = VirtualClock::start();
    let doorman = doorman(&clock);
    clock.advance_to(clock.now() + Duration::from_secs(30));
    let hellos = Hellos::of(&World::new(), &doorman, &clock);
    let fits =
        |clock: &VirtualClock| matches!(screen(&doorman, &hellos.second, clock), Screening::Verified(_));

    clock.advance_to(clock.now() + Duration::from_secs(60));
    assert!(fits(&clock), "its secret is one rotation old");
    clock.advance_to(clock.now() + Duration::from_millis(29_999));
    assert!(fits(&clock), "the last moment of that rotation");

    clock.advance_to(clock.now() + Duration::from_millis(1));

    assert!(!fits(&clock), "its secret is two rotations old");
}

#[test]
fn the_answer_is_never_longer_than_the_hello() {
    let clock = VirtualClock::start();
    let doorman = doorman(&clock);
    for length in 61..1400 {
        let hello = hello_of(length, b"");

        match screen(&doorman, &hello, &clock) {
            Screening::Challenge(challenge) => assert!(challenge.len() <= length),
            other => panic!("{length} bytes: {other:?}"),
        }
    }
}

#[test]
fn a_hello_shorter_than_the_answer_is_refused() {
    // The shortest message with version, random, session id and cookie is 61 bytes; a length of
    // less than 60 can only come from a body that is cut, and both checks must hold.
    let clock = VirtualClock::start();
    let doorman = doorman(&clock);
    let hello = hello_of(61, b"");
    for length in 0..CHALLENGE_BYTES {
        assert_eq!(screen(&doorman, &hello[..length], &clock), Screening::Refused, "{length} bytes");
    }
}

#[test]
fn a_hello_in_fragments_is_refused() {
    let clock = VirtualClock::start();
    let doorman = doorman(&clock);
    let hello = hello_of(200, b"");
    let mut behind = hello.clone();
    behind[FRAGMENT_OFFSET + 2] = 1;
    let mut partial = hello;
    partial[FRAGMENT_OFFSET + 5] -= 1;

    assert_eq!(screen(&doorman, &behind, &clock), Screening::Refused);
    assert_eq!(screen(&doorman, &partial, &clock), Screening::Refused);
}

#[test]
fn a_verified_hello_that_openssl_does_not_take_makes_a_session_that_is_over() {
    let clock = VirtualClock::start();
    let world = World::new();
    let doorman = doorman(&clock);
    let mut hellos = Hellos::of(&world, &doorman, &clock);
    hellos.second[MESSAGE_SEQUENCE + 1] = 7;
    let Screening::Verified(hello) = screen(&doorman, &hellos.second, &clock) else {
        panic!("the cookie does not cover the message number");
    };

    let mut server = Session::accept(&world.server, &SessionOptions::default(), &hello, clock.now()).unwrap();

    assert!(server.is_closed());
    assert!(drain(&mut server).is_empty(), "nothing is sent for it");
}
