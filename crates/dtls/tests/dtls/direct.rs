//! Records that we seal and open ourselves are those that OpenSSL would have made and taken, and no number and no
//! nonce is used twice, whoever wrote the record.

use std::collections::BTreeSet;
use std::time::Duration;

use peerbound_dtls::{
    ContentType, Context, ContextConfig, Direction, GateMode, Outcome, Plaintexts, Profile, Record,
    RecordLayer, Records, ReplayMirror, Session, SessionOptions, Teaching,
};
use proptest::prelude::*;

use crate::support::{World, assert_alive, deliver, drain, exchange, receive, seal};
use crate::vclock::VirtualClock;

const AEAD_SUITES: [&str; 3] =
    ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305"];

/// A world whose sessions have this suite and whose ends have these record layers. A client that learns takes what
/// suite it is told; its records are OpenSSL's.
fn world_of(suite: &str, client: RecordLayer) -> World {
    let world = World::new();
    let profile = match client {
        RecordLayer::Direct => Profile::Node,
        RecordLayer::Openssl => Profile::Teaching(Teaching::with_suites(suite)),
    };
    let config = ContextConfig { profile, ..world.config("client") };
    World { client: Context::new(config).unwrap(), ..world }
}

fn options(record_layer: RecordLayer) -> SessionOptions {
    SessionOptions { record_layer, ..SessionOptions::default() }
}

fn layers(client: &Session, server: &Session) -> [Option<RecordLayer>; 2] {
    [client.record_layer(), server.record_layer()]
}

/// The numbers and explicit nonces of the protected records in some datagrams.
fn numbers_of(datagrams: &[Vec<u8>]) -> Vec<(u64, u64)> {
    let records = datagrams.iter().flat_map(|datagram| Records::of(datagram)).map(Result::unwrap);
    let protected = records.filter(|record| record.header.epoch == 1);
    let nonce = |record: &Record<'_>| u64::from_be_bytes(*record.body().first_chunk().unwrap());
    protected.map(|record| (record.header.sequence, nonce(&record))).collect()
}

#[test]
fn either_layer_opens_what_the_other_sealed_under_each_suite() {
    let clock = VirtualClock::start();
    for suite in AEAD_SUITES {
        let (mut client, mut server) = world_of(suite, RecordLayer::Openssl).establish(&clock);

        assert_eq!(layers(&client, &server), [Some(RecordLayer::Openssl), Some(RecordLayer::Direct)]);
        assert_eq!(server.peer().unwrap().suite.name, suite);
        for length in [1, 15, 16, 17, 1000, 1363] {
            let payload = vec![0x5a; length];
            let there = seal(&mut client, &payload);
            assert_eq!(receive(&mut server, &there, &clock), [&payload[..]], "{suite}");
            let back = seal(&mut server, &payload);
            assert_eq!(receive(&mut client, &back, &clock), [&payload[..]], "{suite}");
        }
        server.close();
        exchange(&mut client, &mut server, &clock);
        assert!(client.is_closed(), "the farewell that OpenSSL wrote is numbered as the other expects");
    }
}

#[test]
fn a_record_has_the_bytes_that_openssl_gives_it_under_the_same_number_and_nonce() {
    let clock = VirtualClock::start();
    for suite in AEAD_SUITES {
        let (_, mut server) = world_of(suite, RecordLayer::Openssl).establish(&clock);
        let keys = server.secrets().unwrap().record_keys().unwrap();
        for length in [1, 64, 1363] {
            let payload: Vec<_> = (0..length).map(|index| u8::try_from(index % 251).unwrap()).collect();

            let ours = seal(&mut server, &payload);

            let record = Record::split(&ours).unwrap().0;
            let explicit = *record.body().first_chunk().unwrap();
            let theirs = keys.of(Direction::ServerToClient).seal(
                ContentType::ApplicationData,
                record.header.sequence,
                explicit,
                &payload,
            );
            assert_eq!(ours, theirs.unwrap(), "{suite}");
        }
    }
}

#[test]
fn a_payload_in_two_parts_is_one_record_behind_what_is_there() {
    let clock = VirtualClock::start();
    for layer in [RecordLayer::Direct, RecordLayer::Openssl] {
        let world = World { options: options(layer), ..World::new() };
        let (mut client, mut server) = world.establish(&clock);
        assert_eq!(layers(&client, &server), [Some(layer); 2]);
        let mut datagram = b"before".to_vec();

        client.seal_into(b"fr", b"ont", &mut datagram).unwrap();
        client.seal_into(b"", b"", &mut datagram).unwrap();

        assert_eq!(&datagram[..6], b"before");
        assert_eq!(datagram.len(), 6 + client.datagram_bytes(5).unwrap());
        assert_eq!(receive(&mut server, &datagram[6..], &clock), [b"front"]);
        assert!(client.seal_into(&[0; 1000], &[0; 1000], &mut datagram).is_err());
        assert_eq!(datagram.len(), 6 + client.datagram_bytes(5).unwrap(), "as it was");
    }
}

#[test]
fn openssl_counts_its_nonces_up_and_ours_are_half_of_all_away() {
    let clock = VirtualClock::start();
    let world = World { options: options(RecordLayer::Openssl), ..World::new() };
    let (mut client, mut server) = world.open(&clock);
    let [mut from_client, _] = exchange(&mut client, &mut server, &clock);
    from_client.extend((0..5).map(|_| seal(&mut client, b"data")));
    let theirs = numbers_of(&from_client);
    let first = theirs[0].1;
    let expected: Vec<_> = (0..6).map(|number| (number, first.wrapping_add(number))).collect();
    assert_eq!(theirs, expected, "the Finished and five records of data");

    let (mut client, mut server) = World::new().open(&clock);
    let [from_client, _] = exchange(&mut client, &mut server, &clock);
    let finished = numbers_of(&from_client)[0];
    let ours = numbers_of(&[seal(&mut client, b"data"), seal(&mut client, b"data")]);

    let far = finished.1.wrapping_add(1 << 63);
    assert_eq!(ours, [(1, far), (2, far.wrapping_add(1))]);
}

/// The server is established and sends data while its last flight is lost; when the client sends its own again,
/// OpenSSL repeats the server's, which it would number as the data was numbered.
#[test]
fn a_last_flight_that_openssl_repeats_takes_numbers_of_its_own() {
    let mut clock = VirtualClock::start();
    let (mut client, mut server) = World::new().open(&clock);
    while !server.is_established() {
        let from_server = drain(&mut server);
        from_server.iter().for_each(|datagram| deliver(&mut client, datagram, &clock));
        drain(&mut client).iter().for_each(|datagram| deliver(&mut server, datagram, &clock));
    }
    let mut left = drain(&mut server);
    assert!(!left.is_empty() && !client.is_established(), "the last flight is lost");
    left.extend((0..20).map(|_| seal(&mut server, b"too early")));

    for _ in 0..8 {
        clock.advance_to(clock.now() + Duration::from_secs(1));
        client.handle_timeout(clock.now());
        drain(&mut client).iter().for_each(|datagram| deliver(&mut server, datagram, &clock));
        let again = drain(&mut server);
        again.iter().for_each(|datagram| deliver(&mut client, datagram, &clock));
        left.extend(again);
        if client.is_established() {
            break;
        }
    }

    assert_alive(&mut client, &mut server, &clock);
    server.close();
    left.extend(drain(&mut server));
    let numbers = numbers_of(&left);
    let sequences: BTreeSet<_> = numbers.iter().map(|(sequence, _)| *sequence).collect();
    let nonces: BTreeSet<_> = numbers.iter().map(|(_, nonce)| *nonce).collect();
    assert_eq!((sequences.len(), nonces.len()), (numbers.len(), numbers.len()), "{numbers:?}");
    assert!(numbers.len() >= 23, "flight, data, flight again, farewell: {numbers:?}");
}

#[test]
fn openssl_keeps_the_records_where_it_is_told_or_an_experiment_looks_at_it() {
    let clock = VirtualClock::start();
    let cases = [
        options(RecordLayer::Openssl),
        SessionOptions { gate: GateMode::Off, ..SessionOptions::default() },
        SessionOptions { replay_mirror: ReplayMirror::Off, ..SessionOptions::default() },
    ];
    for options in cases {
        let (client, server) = World { options, ..World::new() }.establish(&clock);
        assert_eq!(layers(&client, &server), [Some(RecordLayer::Openssl); 2]);
    }

    let cbc = World::with_suites("ECDHE-ECDSA-AES128-SHA");
    let (client, server) = cbc.establish(&clock);
    assert_eq!(layers(&client, &server), [Some(RecordLayer::Openssl); 2]);
    assert_eq!(client.datagram_bytes(100), None, "padding makes the length depend on the payload");
}

/// What becomes of the datagrams on their way.
#[derive(Debug, Clone, Copy)]
enum Deed {
    Seal { len: usize },
    Deliver { which: usize },
    Damage { which: usize, at: usize },
    Cut { which: usize, len: usize },
    Join { which: usize, other: usize },
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        3 => (1_usize..1363).prop_map(|len| Deed::Seal { len }),
        4 => (0_usize..200).prop_map(|which| Deed::Deliver { which }),
        1 => (0_usize..200, 0_usize..1400).prop_map(|(which, at)| Deed::Damage { which, at }),
        1 => (0_usize..200, 0_usize..60).prop_map(|(which, len)| Deed::Cut { which, len }),
        1 => (0_usize..200, 0_usize..200).prop_map(|(which, other)| Deed::Join { which, other }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// One client seals; two servers of the same keys would be needed to compare them record by record, so each
    /// layer has a session of its own and the same deeds are done to both.
    #[test]
    fn both_layers_make_the_same_of_whatever_arrives(deeds in proptest::collection::vec(deed(), 1..300)) {
        let clock = VirtualClock::start();
        let told = [RecordLayer::Direct, RecordLayer::Openssl].map(|layer| {
            let (mut client, mut server) = World { options: options(layer), ..World::new() }.establish(&clock);
            let mut sealed: Vec<Vec<u8>> = vec![seal(&mut client, b"first")];
            let mut told: Vec<(Outcome, Vec<(usize, u8)>)> = Vec::new();
            for deed in &deeds {
                let datagram = match *deed {
                    Deed::Seal { len } => {
                        let payload = vec![u8::try_from(len % 256).unwrap(); len];
                        sealed.push(seal(&mut client, &payload));
                        continue;
                    }
                    Deed::Deliver { which } => sealed[which % sealed.len()].clone(),
                    Deed::Damage { which, at } => {
                        let mut datagram = sealed[which % sealed.len()].clone();
                        // Another length would make a header of ciphertext, which differs between the two.
                        let at = match at % datagram.len() {
                            11 | 12 => 13,
                            at => at,
                        };
                        datagram[at] ^= 0x10;
                        datagram
                    }
                    Deed::Cut { which, len } => {
                        let datagram = &sealed[which % sealed.len()];
                        datagram[..len.min(datagram.len())].to_vec()
                    }
                    Deed::Join { which, other } => {
                        [&sealed[which % sealed.len()][..], &sealed[other % sealed.len()]].concat()
                    }
                };
                let mut plaintexts = Plaintexts::new();
                let outcome = server.handle_datagram(&datagram, &mut plaintexts, clock.now());
                told.push((outcome, plaintexts.iter().map(|plaintext| (plaintext.len(), plaintext[0])).collect()));
            }
            let is_alive = server.is_established();
            (told, (server.records(), server.discards().clone(), is_alive))
        });
        let [direct, openssl] = told;
        for (index, both) in direct.0.iter().zip(&openssl.0).enumerate() {
            prop_assert_eq!(both.0, both.1, "arrival {}", index);
        }
        prop_assert_eq!(direct.1, openssl.1);
    }
}
