//! Bytes from anybody: nothing panics, and nothing that was changed is accepted.

use peerbound_cid::{Form, INNER_BYTES_MAX, MoveRule, RealType, Sealing, WireRecord};
use peerbound_dtls::{Direction, RecordNumber, SealError};
use proptest::collection::vec;
use proptest::prelude::{any, prop_oneof};
use proptest::strategy::{Just, Strategy};
use proptest::test_runner::{Config, TestRunner};

use crate::road::{A, AB, Road, events, id, transmits};
use crate::support::address;

/// Bytes that begin as a record of either form does, or do not.
fn datagrams() -> impl Strategy<Value = Vec<u8>> {
    let header = (
        prop_oneof![Just(25), Just(23), Just(27), any::<u8>()],
        prop_oneof![Just([0xfe, 0xfd]), any::<[u8; 2]>()],
        prop_oneof![Just([0, 1]), any::<[u8; 2]>()],
        any::<[u8; 6]>(),
        prop_oneof![Just([0xb1; 4]), any::<[u8; 4]>()],
        vec(any::<u8>(), 0..120),
    );
    let shaped = header.prop_map(|(outer, version, epoch, sequence, id, body)| {
        let length = u16::try_from(body.len()).unwrap().to_be_bytes();
        [&[outer][..], &version, &epoch, &sequence, &id, &length, &body].concat()
    });
    prop_oneof![shaped, vec(any::<u8>(), 0..200)]
}

#[test]
fn no_bytes_make_the_splitter_panic_or_a_record_longer_than_its_datagram() {
    let strategy = (datagrams(), 0..300_usize);
    TestRunner::new(Config::with_cases(4096))
        .run(&strategy, |(datagram, id_bytes)| {
            if let Ok((record, rest)) = WireRecord::split(&datagram, id_bytes) {
                assert_eq!(record.bytes.len() + rest.len(), datagram.len());
                assert!(record.bytes.ends_with(record.body));
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn no_bytes_of_a_stranger_are_accepted_answered_or_remembered() {
    let road = std::cell::RefCell::new(Road::with_ids(MoveRule::BasicCheck));
    TestRunner::new(Config::with_cases(2048))
        .run(&datagrams(), |datagram| {
            let road = &mut *road.borrow_mut();
            assert!(road.b_gets(&datagram, "192.0.2.9:9").is_err());
            assert_eq!((transmits(&mut road.b), events(&mut road.b)), (vec![], vec![]));
            assert_eq!(road.b_sends_to(), address(A));
            Ok(())
        })
        .unwrap();
    let road = &mut *road.borrow_mut();
    let genuine = road.a.seal(AB, b"still there").unwrap();
    assert_eq!(road.b_gets(&genuine, A), Ok(()));
}

#[test]
fn every_single_bit_of_a_record_with_an_id_is_protected() {
    let mut road = Road::with_ids(MoveRule::Follow);
    let genuine = road.a.seal(AB, b"every bit").unwrap();

    for bit in 0..genuine.len() * 8 {
        let mut flipped = genuine.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(road.b_gets(&flipped, A).is_err(), "bit {bit}");
    }

    assert_eq!(road.b_gets(&genuine, A), Ok(()));
}

#[test]
fn every_shorter_record_is_dropped() {
    let mut road = Road::with_ids(MoveRule::Follow);
    let genuine = road.a.seal(AB, b"every byte").unwrap();

    for length in 0..genuine.len() {
        assert!(road.b_gets(&genuine[..length], A).is_err(), "{length} bytes");
    }
}

#[test]
fn no_content_or_padding_is_longer_than_the_rfc_allows() {
    let road = Road::with_ids(MoveRule::Follow);
    let number = RecordNumber { epoch: 1, sequence: 1 };
    let id = id(0xb1);
    let seal = |form, content: &[u8]| {
        let explicit_nonce = Sealing::nonce_of(number);
        Sealing { real_type: RealType::ApplicationData, number, explicit_nonce, form }
            .seal(road.keys.of(Direction::ClientToServer), content)
    };
    let identified = |padding| Form::Identified { id: &id, padding };

    assert!(seal(identified(0), &vec![0; INNER_BYTES_MAX - 1]).is_ok());
    assert!(matches!(seal(identified(0), &vec![0; INNER_BYTES_MAX]), Err(SealError::TooLong { .. })));
    assert!(matches!(seal(identified(usize::MAX), b""), Err(SealError::TooLong { .. })));
    assert!(matches!(seal(Form::Plain, &vec![0; INNER_BYTES_MAX + 1]), Err(SealError::TooLong { .. })));
}
