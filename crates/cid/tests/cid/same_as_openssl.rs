//! Without an id the model is OpenSSL, byte for byte, in both directions.

use peerbound_cid::{Form, RealType, Sealing, WireRecord};
use peerbound_dtls::{Direction, DirectionKeys, RecordNumber};

use crate::support::{Pair, SUITES, drain, receive, seal};
use crate::vclock::VirtualClock;

const LENGTHS: [usize; 7] = [1, 15, 16, 17, 64, 1000, 1300];

/// Takes the one record out of a datagram.
fn only_record(datagram: &[u8]) -> WireRecord<'_> {
    let (record, rest) = WireRecord::split(datagram, 0).unwrap();
    assert!(rest.is_empty(), "one record fills the datagram");
    record
}

/// Returns what OpenSSL chose as the explicit nonce; what is returned for ChaCha20 has no use.
fn explicit_nonce(record: &WireRecord<'_>) -> [u8; 8] {
    *record.body.first_chunk().expect("a body has eight bytes")
}

/// Seals again what OpenSSL sealed, and shows that nothing differs.
fn assert_sealed_alike(theirs: &[u8], keys: &DirectionKeys) -> Vec<u8> {
    let record = only_record(theirs);
    let opened = record.open(keys).unwrap();
    let sealing = Sealing {
        real_type: opened.real_type,
        number: record.number,
        explicit_nonce: explicit_nonce(&record),
        form: Form::Plain,
    };

    let ours = sealing.seal(keys, &opened.content).unwrap();

    assert_eq!(ours, theirs);
    opened.content
}

#[test]
fn the_model_writes_the_very_bytes_that_openssl_writes() {
    let clock = VirtualClock::start();
    for suite in SUITES {
        let mut pair = Pair::establish(suite, &clock);
        let keys = pair.secrets().record_keys().unwrap();
        for length in LENGTHS {
            let payload = vec![0x5a; length];
            for direction in [Direction::ClientToServer, Direction::ServerToClient] {
                let theirs = match direction {
                    Direction::ClientToServer => seal(&mut pair.client, &payload),
                    Direction::ServerToClient => seal(&mut pair.server, &payload),
                };

                let content = assert_sealed_alike(&theirs, keys.of(direction));

                assert_eq!(content, payload, "{suite}");
            }
        }
    }
}

#[test]
fn finished_and_farewell_are_alike_too() {
    let clock = VirtualClock::start();
    for suite in SUITES {
        let mut pair = Pair::establish(suite, &clock);
        let keys = pair.secrets().record_keys().unwrap();
        pair.client.close();
        let farewell = drain(&mut pair.client).remove(0);
        let mut flight = pair.from_client.iter().flat_map(|datagram| records_of(datagram));
        let finished = flight.rfind(|record| only_record(record).number.epoch == 1);

        let finished = assert_sealed_alike(finished.expect("sent"), keys.of(Direction::ClientToServer));
        let farewell = assert_sealed_alike(&farewell, keys.of(Direction::ClientToServer));

        assert_eq!((finished[0], finished.len()), (20, 24), "{suite}: a Finished of 12 bytes");
        assert_eq!(farewell, [1, 0], "{suite}: warning, close_notify");
    }
}

#[test]
fn openssl_opens_what_the_model_sealed_without_an_id() {
    let clock = VirtualClock::start();
    for suite in SUITES {
        let mut pair = Pair::establish(suite, &clock);
        let keys = pair.secrets().record_keys().unwrap();
        for (sequence, length) in (1..).zip(LENGTHS) {
            let payload = vec![0xa5; length];
            let number = RecordNumber { epoch: 1, sequence };
            let sealing = Sealing {
                real_type: RealType::ApplicationData,
                number,
                explicit_nonce: Sealing::nonce_of(number),
                form: Form::Plain,
            };

            let to_server = sealing.seal(keys.of(Direction::ClientToServer), &payload).unwrap();
            let to_client = sealing.seal(keys.of(Direction::ServerToClient), &payload).unwrap();

            assert_eq!(receive(&mut pair.server, &to_server, &clock), [&payload[..]], "{suite}");
            assert_eq!(receive(&mut pair.client, &to_client, &clock), [&payload[..]], "{suite}");
        }
    }
}

/// The nonce of the model is the number; OpenSSL's begins by chance and counts. Both never repeat.
#[test]
fn openssl_counts_its_explicit_nonces_up_from_where_chance_began() {
    let clock = VirtualClock::start();
    let mut pair = Pair::establish("ECDHE-ECDSA-AES128-GCM-SHA256", &clock);
    let nonces = (0..4).map(|_| {
        let datagram = seal(&mut pair.client, b"payload");
        u64::from_be_bytes(explicit_nonce(&only_record(&datagram)))
    });
    let nonces: Vec<_> = nonces.collect();

    assert!(nonces.windows(2).all(|two| two[1] == two[0].wrapping_add(1)), "{nonces:x?}");
}

fn records_of(mut datagram: &[u8]) -> Vec<&[u8]> {
    let mut records = Vec::new();
    while let Ok((record, rest)) = WireRecord::split(datagram, 0) {
        records.push(record.bytes);
        datagram = rest;
    }
    records
}
