//! The record keys we derive are the ones OpenSSL uses, and the oracle tells sessions apart.

use peerbound_dtls::{
    ContentType, Direction, Discard, KeyOracle, Outcome, Plaintexts, Profile, Record, Records, SealError,
    Sealed, Session, SslVersion, Teaching,
};

use crate::support::{World, assert_alive, drain, exchange, receive, seal};
use crate::vclock::VirtualClock;

fn only_record(datagram: &[u8]) -> Record<'_> {
    let (record, rest) = Record::split(datagram).unwrap();
    assert!(rest.is_empty(), "one record fills the datagram");
    record
}

/// Shows that our keys open what either end of a session in `world` seals, and nothing else.
fn assert_keys_open_both_directions(world: &World, expected_suite: &str, clock: &VirtualClock) {
    let (mut client, mut server) = world.establish(clock);
    let secrets = client.secrets().expect("established").clone();
    assert_eq!(secrets.suite.name, expected_suite);
    let keys = secrets.record_keys().unwrap();

    for length in [1, 15, 16, 17, 64, 1000] {
        let payload = vec![0x5a; length];
        let there = seal(&mut client, &payload);
        let back = seal(&mut server, &payload);
        let (c2s, s2c) = (keys.of(Direction::ClientToServer), keys.of(Direction::ServerToClient));

        assert_eq!(c2s.open(&only_record(&there)), Some(payload.clone()), "{expected_suite}");
        assert_eq!(s2c.open(&only_record(&back)), Some(payload), "{expected_suite}");
        assert_eq!(c2s.open(&only_record(&back)), None);
        assert_eq!(s2c.open(&only_record(&there)), None);
        assert_eq!(keys.direction_of(&only_record(&there)), Some(Direction::ClientToServer));
        assert_eq!(keys.direction_of(&only_record(&back)), Some(Direction::ServerToClient));
    }
    assert_alive(&mut client, &mut server, clock);
}

#[test]
fn keys_open_what_openssl_sealed_under_each_aead_suite() {
    let clock = VirtualClock::start();
    for suite in
        ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305"]
    {
        assert_keys_open_both_directions(&World::with_suites(suite), suite, &clock);
    }
}

#[test]
fn keys_open_what_openssl_sealed_under_each_rsa_aead_suite() {
    let clock = VirtualClock::start();
    for suite in ["ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-CHACHA20-POLY1305"]
    {
        let world = World::with_rsa(SslVersion::DTLS1_2, suite);
        assert_keys_open_both_directions(&world, suite, &clock);
    }
}

#[test]
fn keys_open_what_openssl_sealed_under_cbc_with_either_order_of_mac() {
    let clock = VirtualClock::start();
    for suite in [
        "ECDHE-ECDSA-AES128-SHA",
        "ECDHE-ECDSA-AES256-SHA",
        "ECDHE-ECDSA-AES128-SHA256",
        "ECDHE-ECDSA-AES256-SHA384",
    ] {
        for encrypt_then_mac in [true, false] {
            let teaching = Teaching { encrypt_then_mac, ..Teaching::with_suites(suite) };
            assert_keys_open_both_directions(&World::of(&Profile::Teaching(teaching)), suite, &clock);
        }
    }
}

#[test]
fn keys_open_what_openssl_sealed_under_the_old_notes_suite_in_both_versions() {
    let clock = VirtualClock::start();
    for (version, wire) in [(SslVersion::DTLS1, 0xfeff), (SslVersion::DTLS1_2, 0xfefd)] {
        let world = World::with_rsa(version, "ECDHE-RSA-AES256-SHA:@SECLEVEL=0");

        let (client, _) = world.establish(&clock);

        assert_eq!(client.secrets().expect("established").version, wire);
        assert_keys_open_both_directions(&world, "ECDHE-RSA-AES256-SHA", &clock);
    }
}

#[test]
fn a_record_we_sealed_is_accepted_and_the_senders_own_one_is_then_a_replay() {
    let clock = VirtualClock::start();
    for suite in
        ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305"]
    {
        let (mut client, mut server) = World::with_suites(suite).establish(&clock);
        let keys = client.secrets().expect("established").record_keys().unwrap();
        let genuine = seal(&mut client, b"genuine");
        let sequence = only_record(&genuine).header.sequence;

        let forged = keys
            .of(Direction::ClientToServer)
            .seal(ContentType::ApplicationData, sequence, [0xff; 8], b"by a thief of keys")
            .unwrap();

        assert_eq!(receive(&mut server, &forged, &clock), [b"by a thief of keys"]);
        let outcome = server.handle_datagram(&genuine, &mut Plaintexts::new(), clock.now());
        assert_eq!(outcome, Outcome::Discarded(Discard::Replay));
        assert_alive(&mut client, &mut server, &clock);
    }
}

#[test]
fn only_aead_records_of_a_records_length_are_sealed() {
    let clock = VirtualClock::start();
    let keys = |session: &Session| session.secrets().expect("established").record_keys().unwrap();
    let (cbc, _) = World::with_suites("ECDHE-ECDSA-AES256-SHA").establish(&clock);
    let (gcm, _) = World::new().establish(&clock);
    let seal = |session: &Session, payload: &[u8]| {
        keys(session).of(Direction::ClientToServer).seal(ContentType::ApplicationData, 9, [0; 8], payload)
    };

    assert!(matches!(seal(&cbc, b"payload"), Err(SealError::NotAead)));
    assert!(matches!(seal(&gcm, &vec![0; 70_000]), Err(SealError::TooLong { len: 70_000 })));
}

#[test]
fn the_oracle_names_session_and_direction_among_three() {
    let clock = VirtualClock::start();
    let world = World::new();
    let mut oracle = KeyOracle::default();
    let mut pairs = Vec::new();
    for label in ["A-B", "B-C", "C-A"] {
        let pair = world.establish(&clock);
        oracle.learn(label, pair.0.secrets().expect("established")).unwrap();
        pairs.push((label, pair));
    }
    assert_eq!(oracle.sessions(), 3);

    for (label, (client, server)) in &mut pairs {
        let there = seal(client, b"request");
        let back = seal(server, b"answer");

        let sealed = |direction| Some(Sealed { session: &*label, direction });
        assert_eq!(oracle.identify(&only_record(&there)), sealed(Direction::ClientToServer));
        assert_eq!(oracle.identify(&only_record(&back)), sealed(Direction::ServerToClient));
    }
}

#[test]
fn the_oracle_knows_nobody_behind_a_forged_record_or_one_in_the_clear_or_of_a_stranger() {
    let clock = VirtualClock::start();
    let world = World::new();
    let (mut client, _) = world.establish(&clock);
    let (mut stranger, _) = world.establish(&clock);
    let mut oracle = KeyOracle::default();
    oracle.learn("known", client.secrets().expect("established")).unwrap();
    let mut forged = seal(&mut client, b"genuine");
    *forged.last_mut().unwrap() ^= 1;
    let hello = drain(&mut world.connect(&clock)).remove(0);

    assert_eq!(oracle.identify(&only_record(&forged)), None);
    assert_eq!(oracle.identify(&only_record(&hello)), None);
    assert_eq!(oracle.identify(&only_record(&seal(&mut stranger, b"of a stranger"))), None);
}

#[test]
fn failed_guesses_of_the_oracle_harm_no_session_of_the_thread() {
    let clock = VirtualClock::start();
    let world = World::new();
    let (mut client, mut server) = world.establish(&clock);
    let (mut stranger, _) = world.establish(&clock);
    let mut oracle = KeyOracle::default();
    oracle.learn("known", client.secrets().expect("established")).unwrap();

    assert_eq!(oracle.identify(&only_record(&seal(&mut stranger, b"unknown"))), None);

    assert!(openssl::error::ErrorStack::get().errors().is_empty());
    assert_alive(&mut client, &mut server, &clock);
}

#[test]
fn the_oracle_recognises_finished_and_farewell() {
    let clock = VirtualClock::start();
    let (mut client, mut server) = World::new().open(&clock);
    let mut seen = exchange(&mut client, &mut server, &clock).concat();
    client.close();
    seen.extend(drain(&mut client));
    let mut oracle = KeyOracle::default();
    oracle.learn("session", server.secrets().expect("established")).unwrap();

    let sealed: Vec<_> = seen
        .iter()
        .flat_map(|datagram| Records::of(datagram))
        .map(Result::unwrap)
        .filter_map(|record| Some((record.header.content_type, oracle.identify(&record)?.direction)))
        .collect();

    assert_eq!(
        sealed,
        [
            (ContentType::Handshake, Direction::ClientToServer),
            (ContentType::Handshake, Direction::ServerToClient),
            (ContentType::Alert, Direction::ClientToServer),
        ]
    );
}
