//! An id says which session is meant. Who sealed the record, it does not say.

use peerbound_cid::{
    AddError, Dropped, Ends, Form, MoveRule, RealType, Sealing, SessionConfig, SessionNumber,
};
use peerbound_dtls::{Direction, Discard, RecordNumber};

use crate::road::{A, AB, B, MALLORY, PATIENCE, Road, data, endpoint, events, id, keys};
use crate::support::address;

const C: &str = "203.0.113.3:4433";
const BAD_MAC: Result<(), Dropped> = Err(Dropped::Discarded(Discard::BadMac));

/// A second session of B's, with C, under keys of its own.
fn add_c(road: &mut Road) -> (peerbound_cid::Endpoint, SessionNumber) {
    let keys = keys(&road.clock);
    let mut c = endpoint(3);
    let config = SessionConfig {
        keys,
        writes: Direction::ClientToServer,
        first_sequence: 1,
        own_id: Some(id(0xc1)),
        peer_id: Some(id(0xb2)),
        ends: Ends { local: address(C), remote: address(B) },
        move_rule: MoveRule::Follow,
        patience: PATIENCE,
    };
    c.add(config.clone()).unwrap();
    let at_b = SessionConfig {
        writes: Direction::ServerToClient,
        own_id: Some(id(0xb2)),
        peer_id: Some(id(0xc1)),
        ends: Ends { local: address(B), remote: address(C) },
        ..config
    };
    let number = road.b.add(at_b).unwrap();
    (c, number)
}

#[test]
fn c_with_the_id_of_a_and_b_finds_the_session_and_not_its_keys() {
    let mut road = Road::with_ids(MoveRule::Follow);
    let (mut c, _) = add_c(&mut road);
    let direct_reply = c.seal_under(SessionNumber(0), &id(0xa1), b"Yes, A: directly.").unwrap();

    assert_eq!(road.a_gets(&direct_reply, C), BAD_MAC);
    assert_eq!(road.a_gets(&direct_reply, B), BAD_MAC);

    let genuine = road.b.seal(AB, b"still there").unwrap();
    assert_eq!(road.a_gets(&genuine, B), Ok(()));
    assert_eq!(events(&mut road.a), [data("still there")]);
}

#[test]
fn an_id_that_nobody_gave_out_ends_at_the_demultiplexer() {
    let mut road = Road::with_ids(MoveRule::Follow);
    let (mut c, _) = add_c(&mut road);
    let lost = c.seal_under(SessionNumber(0), &id(0x77), b"Anybody there?").unwrap();

    assert_eq!(road.a_gets(&lost, C), Err(Dropped::NoSession));
}

#[test]
fn a_record_whose_id_was_changed_to_that_of_another_session_verifies_in_neither() {
    let mut road = Road::with_ids(MoveRule::Follow);
    let (mut c, _) = add_c(&mut road);
    let mut record = c.seal(SessionNumber(0), b"for B").unwrap();
    assert_eq!(record[11..15], [0xb2; 4]);

    record[11..15].copy_from_slice(&[0xb1; 4]);

    assert_eq!(road.b_gets(&record, C), BAD_MAC);
    record[11..15].copy_from_slice(&[0xb2; 4]);
    assert_eq!(road.b_gets(&record, C), Ok(()));
}

#[test]
fn two_sessions_are_told_apart_by_id_though_they_come_from_one_address() {
    let mut road = Road::with_ids(MoveRule::Follow);
    let (mut c, with_c) = add_c(&mut road);
    let from_a = road.a.seal(AB, b"A").unwrap();
    let from_c = c.seal(SessionNumber(0), b"C").unwrap();

    road.b_gets(&from_a, MALLORY).unwrap();
    road.b_gets(&from_c, MALLORY).unwrap();

    assert_eq!(road.b.peer(AB), Some(address(MALLORY)));
    assert_eq!(road.b.peer(with_c), Some(address(MALLORY)));
}

/// RFC 9146, 3: a session that was promised an id takes no record without one, though the keys fit.
#[test]
fn a_record_without_an_id_is_dropped_where_one_was_agreed_on() {
    let mut road = Road::with_ids(MoveRule::Follow);
    let number = RecordNumber { epoch: 1, sequence: 5 };
    let explicit_nonce = Sealing::nonce_of(number);
    let sealing = Sealing { real_type: RealType::ApplicationData, number, explicit_nonce, form: Form::Plain };
    let record = sealing.seal(road.keys.of(Direction::ClientToServer), b"no id").unwrap();

    assert_eq!(road.b_gets(&record, A), Err(Dropped::WithoutId));
    assert_eq!(road.b_gets(&record, MALLORY), Err(Dropped::NoSession));
}

/// RFC 9146, 3: each end asks for the id that it wants, or for none.
#[test]
fn one_direction_may_have_an_id_and_the_other_none() {
    let mut road = Road::new(None, Some(id(0xb1)), MoveRule::BasicCheck);
    let there = road.a.seal(AB, b"with id").unwrap();
    let back = road.b.seal(AB, b"without").unwrap();

    assert_eq!((there[0], back[0]), (25, 23));
    assert_eq!(road.b_gets(&there, A), Ok(()));
    assert_eq!(road.a_gets(&back, B), Ok(()));
}

/// A check works where only one direction has an id: the challenge has content type 27 in the open
/// (RFC 9853, 7.2).
#[test]
fn a_check_works_towards_an_end_without_an_id() {
    let mut road = Road::new(None, Some(id(0xb1)), MoveRule::BasicCheck);
    let record = road.a.seal(AB, b"from elsewhere").unwrap();
    road.b_gets(&record, MALLORY).unwrap();
    let challenge = road.b.poll_transmit().unwrap();
    assert_eq!(challenge.bytes[0], 27);

    road.a_gets(&challenge.bytes, B).unwrap();
    let response = road.a.poll_transmit().unwrap();
    road.b_gets(&response.bytes, MALLORY).unwrap();

    assert_eq!(road.b_sends_to(), address(MALLORY));
}

#[test]
fn padding_hides_how_long_the_content_is() {
    let mut road = Road::with_ids(MoveRule::Follow);
    let id = id(0xb1);
    let keys = road.keys.clone();
    let seal = |sequence, content: &[u8]| {
        let number = RecordNumber { epoch: 1, sequence };
        let form = Form::Identified { id: &id, padding: 100 - content.len() };
        let explicit_nonce = Sealing::nonce_of(number);
        Sealing { real_type: RealType::ApplicationData, number, explicit_nonce, form }
            .seal(keys.of(Direction::ClientToServer), content)
            .unwrap()
    };

    let (yes, no) = (seal(1, b"yes"), seal(2, b"no"));

    assert_eq!(yes.len(), no.len());
    road.b_gets(&yes, A).unwrap();
    road.b_gets(&no, A).unwrap();
    assert_eq!(events(&mut road.b), [data("yes"), data("no")]);
}

#[test]
fn an_id_is_given_out_once_and_all_are_of_one_length() {
    let mut road = Road::with_ids(MoveRule::Follow);
    let config = |own_id| SessionConfig {
        keys: road.keys.clone(),
        writes: Direction::ServerToClient,
        first_sequence: 1,
        own_id: Some(own_id),
        peer_id: None,
        ends: Ends { local: address(B), remote: address(C) },
        move_rule: MoveRule::Follow,
        patience: PATIENCE,
    };
    let (taken, longer) =
        (config(id(0xb1)), config(peerbound_cid::ConnectionId::new(&[0; 5]).expect("five bytes")));

    assert_eq!(road.b.add(taken), Err(AddError::IdTaken));
    assert_eq!(road.b.add(longer), Err(AddError::IdLength { len: 5, expected: 4 }));
}
