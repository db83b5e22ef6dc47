//! One payload, one datagram; and no datagram longer than the path carries.

use peerbound_dtls::{RECORD_HEADER_BYTES, SendError, Session, SessionEvent, SessionOptions};

use crate::support::{World, assert_alive, deliver, drain, receive, seal, verified_hello};
use crate::vclock::VirtualClock;

/// The longest plaintext of a record (RFC 6347, 4.1).
const PLAINTEXT_BYTES_MAX: usize = 16_384;

fn world_with_mtu(mtu: u16) -> World {
    let world = World::new();
    World { options: SessionOptions { mtu, ..world.options.clone() }, ..world }
}

/// Carries a handshake, and returns the size of every datagram on the way.
fn handshake_sizes(world: &World, clock: &VirtualClock) -> (Session, Session, Vec<usize>) {
    let mut client = world.connect(clock);
    let hello = verified_hello(&mut client, clock);
    let mut server = Session::accept(&world.server, &world.options, &hello, clock.now()).unwrap();
    let mut sizes = Vec::new();
    loop {
        let (to_server, to_client) = (drain(&mut client), drain(&mut server));
        if to_server.is_empty() && to_client.is_empty() {
            return (client, server, sizes);
        }
        sizes.extend(to_server.iter().chain(&to_client).map(Vec::len));
        to_server.iter().for_each(|datagram| deliver(&mut server, datagram, clock));
        to_client.iter().for_each(|datagram| deliver(&mut client, datagram, clock));
    }
}

#[test]
fn gcm_adds_thirty_seven_bytes_and_chacha20_twenty_nine() {
    let clock = VirtualClock::start();
    let mtu = usize::from(SessionOptions::default().mtu);
    for (suite, overhead) in [
        ("ECDHE-ECDSA-AES128-GCM-SHA256", 37),
        ("ECDHE-ECDSA-AES256-GCM-SHA384", 37),
        ("ECDHE-ECDSA-CHACHA20-POLY1305", 29),
    ] {
        let (mut client, mut server) = World::with_suites(suite).establish(&clock);
        let max = client.payload_bytes_max().expect("established");
        assert_eq!(max, mtu - overhead);

        let datagram = seal(&mut client, &vec![7; max]);

        assert_eq!(datagram.len(), mtu);
        assert_eq!(receive(&mut server, &datagram, &clock), [vec![7; max]]);
    }
}

#[test]
fn a_cbc_payload_of_the_largest_size_still_fits() {
    let clock = VirtualClock::start();
    for suite in ["ECDHE-ECDSA-AES256-SHA", "ECDHE-ECDSA-AES128-SHA256", "ECDHE-ECDSA-AES256-SHA384"] {
        let world = World::with_suites(suite);
        let (mut client, mut server) = world.establish(&clock);
        let max = client.payload_bytes_max().expect("established");
        for length in max - 16..=max {
            let datagram = seal(&mut client, &vec![7; length]);

            assert!(datagram.len() <= usize::from(world.options.mtu), "{suite}: {length} bytes");
            assert_eq!(receive(&mut server, &datagram, &clock).len(), 1);
        }
    }
}

#[test]
fn one_byte_more_than_fits_is_an_error_that_names_the_limit_and_harms_nothing() {
    let clock = VirtualClock::start();
    let (mut client, mut server) = World::new().establish(&clock);
    let max = client.payload_bytes_max().expect("established");

    let refused = client.send(&vec![0; max + 1]);

    assert_eq!(refused, Err(SendError::TooLarge { len: max + 1, max }));
    assert_eq!(
        SendError::TooLarge { len: max + 1, max }.to_string(),
        "1364 bytes do not fit: this session carries at most 1363 in one datagram"
    );
    assert!(drain(&mut client).is_empty());
    assert_alive(&mut client, &mut server, &clock);
}

#[test]
fn five_thousand_bytes_over_a_long_path_are_one_datagram() {
    let clock = VirtualClock::start();
    let (mut client, mut server) = world_with_mtu(9000).establish(&clock);

    let datagram = seal(&mut client, &[3; 5000]);

    assert_eq!(datagram.len(), 5037);
    assert_eq!(receive(&mut server, &datagram, &clock), [[3; 5000]]);
}

#[test]
fn a_path_longer_than_a_record_carries_one_record_and_no_more() {
    // With an mtu of 65535 the largest payload was said to be 65498 bytes. OpenSSL makes no record
    // of more than 16384, and its refusal ended the session: a caller that kept to the limit lost
    // its neighbour.
    let clock = VirtualClock::start();
    let (mut client, mut server) = world_with_mtu(u16::MAX).establish(&clock);
    let max = client.payload_bytes_max().expect("established");
    assert_eq!(max, PLAINTEXT_BYTES_MAX);

    let datagram = seal(&mut client, &vec![1; max]);
    assert_eq!(receive(&mut server, &datagram, &clock), [vec![1; max]]);

    assert_eq!(client.send(&vec![1; max + 1]), Err(SendError::TooLarge { len: max + 1, max }));
    assert_alive(&mut client, &mut server, &clock);
}

#[test]
fn an_empty_payload_is_not_sent() {
    let clock = VirtualClock::start();
    let (mut client, mut server) = World::new().establish(&clock);

    assert_eq!(client.send(b""), Ok(()));

    assert!(drain(&mut client).is_empty());
    assert_alive(&mut client, &mut server, &clock);
}

#[test]
fn every_datagram_of_a_handshake_fits_the_path() {
    let clock = VirtualClock::start();
    for mtu in [256, 300, 512, 576, 1200, 1400, 9000] {
        let world = world_with_mtu(mtu);

        let (mut client, mut server, sizes) = handshake_sizes(&world, &clock);

        let longest = sizes.iter().max().copied().unwrap_or(0);
        assert!(longest <= usize::from(mtu), "{longest} bytes over a path of {mtu}");
        assert!(client.is_established() && server.is_established(), "a path of {mtu}");
        assert_alive(&mut client, &mut server, &clock);
    }
}

#[test]
fn handshake_messages_fill_the_path_they_have() {
    let clock = VirtualClock::start();

    let (_, _, sizes) = handshake_sizes(&world_with_mtu(512), &clock);

    let longest = sizes.iter().max().copied().unwrap_or(0);
    assert!(longest > 512 - 2 * RECORD_HEADER_BYTES, "fragments of {longest} bytes waste the path");
}

#[test]
fn a_path_too_short_for_dtls_fails_at_once_and_not_by_a_timeout() {
    let clock = VirtualClock::start();
    for mtu in [0, 1, 100, 207, 208, 255] {
        let world = world_with_mtu(mtu);

        let session = Session::connect(&world.client, &world.options, clock.now());

        if let Ok(mut session) = session {
            assert!(session.is_closed(), "a path of {mtu}");
            assert!(matches!(session.poll_event(), Some(SessionEvent::Closed(_))));
        }
    }
}
