//! Records that are sealed and opened on other threads than the session's are the same records: the session alone gives
//! numbers and judges them.

use peerbound_dtls::{Discard, Opened, Outcome, Record, RecordLayer, Session, SessionOptions, Unsealed};
use proptest::prelude::*;

use crate::support::{World, assert_alive, receive, seal};
use crate::vclock::VirtualClock;

/// Lays out payloads side by side; returns the buffer, where each datagram ends in it, and what is to be sealed.
fn laid_out(from: &mut Session, payloads: &[Vec<u8>]) -> (Vec<u8>, Vec<usize>, Unsealed) {
    let (mut bytes, mut ends, mut unsealed) = (Vec::new(), Vec::new(), Unsealed::default());
    for payload in payloads {
        let (front, rest) = payload.split_at(payload.len() / 3);
        from.lay_into(front, rest, &mut bytes, &mut unsealed).unwrap();
        ends.push(bytes.len());
    }
    (bytes, ends, unsealed)
}

fn datagrams<'a>(bytes: &'a [u8], ends: &[usize]) -> Vec<&'a [u8]> {
    let starts = std::iter::once(0).chain(ends.iter().copied());
    starts.zip(ends).map(|(start, end)| &bytes[start..*end]).collect()
}

/// Opens a datagram as another thread would: with the key, and without the session.
fn opened(at: &Session, datagram: &[u8]) -> Option<(Opened, Vec<u8>)> {
    let mut plaintext = Vec::new();
    let opened = at.opener().unwrap().ready().unwrap().open(datagram, &mut plaintext)?;
    Some((opened, plaintext))
}

#[test]
fn what_is_sealed_later_is_what_the_session_would_have_sealed_and_in_its_numbers() {
    let clock = VirtualClock::start();
    let (mut client, mut server) = World::new().establish(&clock);
    let payloads: Vec<Vec<u8>> = (1..=40).map(|number| vec![number; 20 + usize::from(number)]).collect();
    let (mut bytes, ends, mut unsealed) = laid_out(&mut client, &payloads);
    let at_once = seal(&mut client, b"at once");
    let keys = client.secrets().unwrap().record_keys().unwrap();
    let keys = keys.of(peerbound_dtls::Direction::ClientToServer);

    std::thread::scope(|scope| {
        scope.spawn(|| unsealed.seal(&mut bytes));
    });

    assert!(unsealed.is_empty());
    for (datagram, payload) in datagrams(&bytes, &ends).into_iter().zip(&payloads) {
        let record = Record::split(datagram).unwrap().0;
        let explicit = *record.body().first_chunk().unwrap();
        let by_the_book = keys.seal(record.header.content_type, record.header.sequence, explicit, payload);
        assert_eq!(datagram, by_the_book.unwrap());
        assert_eq!(receive(&mut server, datagram, &clock), [&payload[..]]);
    }
    assert_eq!(receive(&mut server, &at_once, &clock), [b"at once"]);
    assert_eq!(client.records().0, 41);
    assert_alive(&mut client, &mut server, &clock);
}

#[test]
fn where_openssl_protects_the_records_what_is_laid_out_is_sealed_already() {
    let clock = VirtualClock::start();
    let options = SessionOptions { record_layer: RecordLayer::Openssl, ..SessionOptions::default() };
    let (mut client, mut server) = World { options, ..World::new() }.establish(&clock);

    let (bytes, _, unsealed) = laid_out(&mut client, &[b"sealed".to_vec()]);

    assert!(unsealed.is_empty());
    assert!(client.opener().is_none());
    assert_eq!(receive(&mut server, &bytes, &clock), [b"sealed"]);
}

#[test]
fn a_list_takes_the_records_of_one_session_and_those_of_another_are_sealed_at_once() {
    let clock = VirtualClock::start();
    let (mut first, _) = World::new().establish(&clock);
    let (mut second, mut other) = World::new().establish(&clock);
    let (mut bytes, _, mut unsealed) = laid_out(&mut first, &[b"first".to_vec()]);
    let end = bytes.len();

    second.lay_into(b"sec", b"ond", &mut bytes, &mut unsealed).unwrap();

    assert_eq!(receive(&mut other, &bytes[end..], &clock), [b"second"]);
}

#[test]
fn what_was_opened_elsewhere_is_taken_once() {
    let clock = VirtualClock::start();
    let (mut client, mut server) = World::new().establish(&clock);
    let datagram = seal(&mut client, b"once");
    let (first, plaintext) = opened(&server, &datagram).unwrap();

    assert_eq!(plaintext, b"once");
    assert_eq!(server.handle_opened(&first), Some(Outcome::Accepted));
    assert_eq!(server.handle_opened(&first), Some(Outcome::Discarded(Discard::Replay)));
    assert!(receive(&mut server, &datagram, &clock).is_empty(), "nor from the wire");
    assert_eq!(server.records().1, 1);

    let second = seal(&mut client, b"from the wire");
    let (again, _) = opened(&server, &second).unwrap();
    assert_eq!(receive(&mut server, &second, &clock), [b"from the wire"]);
    assert_eq!(server.handle_opened(&again), Some(Outcome::Discarded(Discard::Replay)));
}

#[test]
fn a_record_too_old_for_the_window_is_refused_and_the_wider_window_takes_it() {
    let clock = VirtualClock::start();
    for (late_records, expected) in [(0, Outcome::Discarded(Discard::TooOld)), (4096, Outcome::Accepted)] {
        let options = SessionOptions { late_records, ..SessionOptions::default() };
        let (mut client, mut server) = World { options, ..World::new() }.establish(&clock);
        let old = seal(&mut client, b"old");
        let (old, _) = opened(&server, &old).unwrap();
        for _ in 0..100 {
            let datagram = seal(&mut client, b"newer");
            receive(&mut server, &datagram, &clock);
        }

        assert_eq!(server.handle_opened(&old), Some(expected));
    }
}

#[test]
fn what_the_key_of_one_session_opened_is_nothing_to_another() {
    let clock = VirtualClock::start();
    let (mut client, server) = World::new().establish(&clock);
    let (_, mut other) = World::new().establish(&clock);
    let datagram = seal(&mut client, b"for one");

    assert!(opened(&other, &datagram).is_none(), "another key");
    let (of_one, _) = opened(&server, &datagram).unwrap();
    assert_eq!(other.handle_opened(&of_one), None);
}

#[test]
fn with_a_session_its_key_is_gone() {
    let clock = VirtualClock::start();
    let (mut client, server) = World::new().establish(&clock);
    let datagram = seal(&mut client, b"too late");
    let opener = server.opener().unwrap();
    assert!(opener.ready().unwrap().open(&datagram, &mut Vec::new()).is_some());

    drop(server);

    assert!(opener.ready().is_none());
}

#[test]
fn alerts_handshakes_and_more_than_one_record_are_left_to_the_session() {
    let clock = VirtualClock::start();
    let (mut client, mut server) = World::new().establish(&clock);
    let two = [seal(&mut client, b"one"), seal(&mut client, b"two")].concat();
    assert!(opened(&server, &two).is_none());
    assert_eq!(receive(&mut server, &two, &clock), [b"one", b"two"]);

    client.close();
    let farewell = client.poll_transmit().unwrap().to_vec();

    assert!(opened(&server, &farewell).is_none());
    receive(&mut server, &farewell, &clock);
    assert!(server.is_closed());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_changed_record_is_opened_nowhere_and_nothing_is_added(at in 0_usize..60, change in 1_u8..) {
        let clock = VirtualClock::start();
        let (mut client, server) = World::new().establish(&clock);
        let mut datagram = seal(&mut client, b"a payload of some bytes");
        let at = at % datagram.len();
        datagram[at] ^= change;
        let mut plaintexts = b"before".to_vec();

        let opened = server.opener().unwrap().ready().unwrap().open(&datagram, &mut plaintexts);

        prop_assert!(opened.is_none());
        prop_assert_eq!(plaintexts, b"before");
    }
}
