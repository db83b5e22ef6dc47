//! Datagrams meant to end a handshake that is on its way, and what they can do where a rule of the
//! node is taken out.

use std::time::Duration;

use peerbound_dtls::{
    ContentType, Discard, GateMode, Malformation, Outcome, Plaintexts, Profile, Record, Records, Session,
    SessionOptions, Teaching,
};

use crate::chance::{Chance, Seed};
use crate::network::{LATENCY, Network, Side, perfect_road};
use crate::support::{World, assert_alive, deliver, drain, exchange, record, seal};
use crate::vclock::VirtualClock;

/// Bytes of a sealed Finished under AES-GCM: 8 nonce, 24 message, 16 tag.
const FINISHED_BODY_BYTES: usize = 48;
/// What the gate lets through of that shape in one attempt.
const FINISHED_BUDGET: usize = 16;

/// A handshake message header with whatever it claims.
fn fragment(kind: u8, message_bytes: u32, sequence: u16, offset: u32, payload: &[u8]) -> Vec<u8> {
    let mut body = vec![kind];
    body.extend(&message_bytes.to_be_bytes()[1..]);
    body.extend(sequence.to_be_bytes());
    body.extend(&offset.to_be_bytes()[1..]);
    body.extend(&u32::try_from(payload.len()).unwrap().to_be_bytes()[1..]);
    body.extend(payload);
    record(ContentType::Handshake, 0, 3, &body)
}

fn fatal_alert() -> Vec<u8> {
    record(ContentType::Alert, 0, 5, &[2, 40])
}

fn finished_shaped(sequence: u64) -> Vec<u8> {
    record(ContentType::Handshake, 1, sequence, &[0xee; FINISHED_BODY_BYTES])
}

/// A ServerHello of the right form that picks a suite nobody offered.
fn bogus_server_hello() -> Vec<u8> {
    let body = [&[0xfe, 0xfd][..], &[9; 32], &[0, 0x13, 0x01, 0]].concat();
    fragment(2, u32::try_from(body.len()).unwrap(), 1, 0, &body)
}

fn hit(session: &mut Session, datagram: &[u8], clock: &VirtualClock) -> Outcome {
    session.handle_datagram(datagram, &mut Plaintexts::new(), clock.now())
}

/// Lets `attack` loose on both ends before every step of a handshake, which completes all the same.
#[track_caller]
fn is_shrugged_off(attack: &[u8], reason: impl Into<Discard>) -> (Session, Session) {
    let reason = reason.into();
    let clock = VirtualClock::start();
    let world = World::new();
    let mut client = world.connect(&clock);
    assert_eq!(hit(&mut client, attack, &clock), Outcome::Discarded(reason));
    let hello = crate::support::verified_hello(&mut client, &clock);
    let mut server = Session::accept(&world.server, &world.options, &hello, clock.now()).unwrap();
    while !(client.is_established() && server.is_established()) {
        let (to_server, to_client) = (drain(&mut client), drain(&mut server));
        assert!(!(to_server.is_empty() && to_client.is_empty()), "the handshake stands still");
        for (session, datagrams) in [(&mut server, to_server), (&mut client, to_client)] {
            for datagram in datagrams {
                if !session.is_established() {
                    assert_eq!(hit(session, attack, &clock), Outcome::Discarded(reason));
                }
                deliver(session, &datagram, &clock);
            }
        }
    }
    assert_alive(&mut client, &mut server, &clock);
    (client, server)
}

#[test]
fn a_forged_fatal_alert_is_heard_and_decides_nothing() {
    let (client, server) = is_shrugged_off(&fatal_alert(), Malformation::UnprotectedAlert);

    assert_eq!((client.alert_heard(), server.alert_heard()), (Some(40), Some(40)));
}

#[test]
fn forged_warning_alerts_decide_nothing() {
    is_shrugged_off(&record(ContentType::Alert, 0, 5, &[1, 0]), Malformation::UnprotectedAlert);
    is_shrugged_off(&record(ContentType::Alert, 0, 5, &[1, 90]), Malformation::UnprotectedAlert);
}

#[test]
fn an_alert_of_no_length_is_no_alert_heard() {
    let (client, _) = is_shrugged_off(&record(ContentType::Alert, 0, 5, &[]), Malformation::UnprotectedAlert);

    assert_eq!(client.alert_heard(), None);
}

#[test]
fn data_in_the_clear_decides_nothing() {
    let data = record(ContentType::ApplicationData, 0, 5, b"hello");

    is_shrugged_off(&data, Malformation::UnprotectedData);
}

#[test]
fn records_of_no_type_or_version_decide_nothing() {
    let mut unknown = fatal_alert();
    unknown[0] = 99;
    let mut foreign = fatal_alert();
    foreign[1..3].copy_from_slice(&[3, 3]);

    is_shrugged_off(&unknown, Malformation::UnknownType);
    is_shrugged_off(&foreign, Malformation::Version);
    is_shrugged_off(&[], Malformation::Empty);
}

#[test]
fn change_cipher_spec_of_another_content_decides_nothing() {
    for body in [&[][..], &[0], &[2], &[1, 1]] {
        is_shrugged_off(&record(ContentType::ChangeCipherSpec, 0, 5, body), Malformation::ShortBody);
    }
}

#[test]
fn fragments_that_claim_more_than_a_message_has_are_refused() {
    // A kilobyte of fragments that claim 100 kB each would pin 1.2 MiB.
    is_shrugged_off(&fragment(11, 100_000, 2, 0, &[0; 10]), Malformation::HandshakeFragment);
    is_shrugged_off(&fragment(11, 16_385, 2, 0, &[0; 10]), Malformation::HandshakeFragment);
    is_shrugged_off(&fragment(11, 100, 2, 95, &[0; 10]), Malformation::HandshakeFragment);
    is_shrugged_off(&fragment(11, 100, 16, 0, &[0; 10]), Malformation::HandshakeFragment);
    is_shrugged_off(&record(ContentType::Handshake, 0, 3, &[11; 11]), Malformation::HandshakeFragment);
}

#[test]
fn records_of_epoch_one_that_are_no_finished_are_refused() {
    for length in [0, 1, 39, 41, 47, 49, 200] {
        let body = vec![0; length];
        is_shrugged_off(&record(ContentType::Handshake, 1, 0, &body), Malformation::NotFinished);
    }
    is_shrugged_off(&record(ContentType::ApplicationData, 1, 0, &[0; 48]), Malformation::NotFinished);
    is_shrugged_off(&record(ContentType::Alert, 1, 0, &[0; 48]), Malformation::NotFinished);
}

#[test]
fn a_flood_of_future_epochs_is_refused() {
    is_shrugged_off(&record(ContentType::Handshake, 2, 0, &[0; 48]), Discard::WrongEpoch);
    is_shrugged_off(&record(ContentType::ApplicationData, 7, 0, &[0; 400]), Discard::WrongEpoch);
}

#[test]
fn forged_finished_records_within_the_budget_do_not_starve_the_real_one() {
    let clock = VirtualClock::start();
    let (mut client, mut server) = World::new().open(&clock);
    for sequence in 0..FINISHED_BUDGET as u64 - 1 {
        assert_eq!(hit(&mut server, &finished_shaped(sequence), &clock), Outcome::Accepted);
        assert_eq!(hit(&mut client, &finished_shaped(sequence), &clock), Outcome::Accepted);
    }

    exchange(&mut client, &mut server, &clock);

    assert_alive(&mut client, &mut server, &clock);
}

#[test]
fn forged_finished_records_beyond_the_budget_never_reach_openssl() {
    let clock = VirtualClock::start();
    let (_, mut server) = World::new().open(&clock);
    for sequence in 0..FINISHED_BUDGET as u64 {
        assert_eq!(hit(&mut server, &finished_shaped(sequence), &clock), Outcome::Accepted);
    }

    for sequence in 100..1000 {
        let outcome = hit(&mut server, &finished_shaped(sequence), &clock);
        assert_eq!(outcome, Outcome::Discarded(Malformation::FinishedBudget.into()));
    }
}

#[test]
fn an_attempt_whose_budget_was_spent_is_followed_by_one_with_a_fresh_budget() {
    let mut network = Network::new(&World::new(), perfect_road());
    network.dial(Side::Left);
    let reached = network.run_until(Duration::from_secs(1), |network| network.right.association.is_some());
    assert!(reached);
    for sequence in 0..200 {
        network.inject(Side::Left, &finished_shaped(sequence));
        network.inject(Side::Right, &finished_shaped(sequence));
    }

    assert!(!network.run_until(Duration::from_secs(3), Network::one_session), "the first attempt is lost");
    assert!(network.run_until(Duration::from_secs(3), Network::one_session), "the second is not");
}

#[test]
fn ninety_attacks_before_every_datagram_do_not_stop_a_handshake() {
    let world = World::new();
    for seed in 0..10 {
        let _seed = Seed(format!("seed {seed}"));
        let mut chance = Chance::new(seed);
        let mut network = Network::new(
            &world,
            Box::new(move |_, datagram| {
                let mut arrivals: Vec<_> = (0..90).map(|_| (LATENCY, attack(&mut chance))).collect();
                arrivals.push((LATENCY, finished_shaped(chance.below(1 << 40))));
                arrivals.push((LATENCY, datagram));
                arrivals
            }),
        );
        network.dial(Side::Left);

        let done = network.run_until(Duration::from_secs(15), Network::one_session);

        assert!(done, "left told {:?}", network.left.events);
        assert!(network.clock.elapsed() < Duration::from_secs(1), "it took {:?}", network.clock.elapsed());
    }
}

/// Any of the datagrams by which an outsider may try to end a handshake, but for those that only
/// the retry of an attempt is a remedy for.
fn attack(chance: &mut Chance) -> Vec<u8> {
    let noise = chance.index(60);
    let noise = chance.bytes(noise);
    match chance.below(9) {
        0 => fatal_alert(),
        1 => record(ContentType::Alert, 0, chance.below(9), &[1, chance.byte()]),
        2 => record(ContentType::ApplicationData, 0, chance.below(9), &noise),
        3 => [&[chance.byte() | 64][..], &noise].concat(),
        4 => fragment(11, 100_000, 2, 0, &noise),
        5 => record(ContentType::Handshake, 2, chance.below(9), &noise),
        6 => record(ContentType::ApplicationData, 1, chance.below(9), &noise),
        7 => record(ContentType::Alert, 1, chance.below(9), &noise),
        _ => Vec::new(),
    }
}

#[test]
fn a_bogus_server_hello_costs_the_association_one_attempt() {
    // It looks like what a genuine peer sends: no gate can tell, only a fresh attempt helps.
    let mut network = Network::new(&World::new(), perfect_road());
    network.dial(Side::Left);
    network.run_until(Duration::from_secs(1), |network| network.right.association.is_some());

    let outcome = network.inject(Side::Left, &bogus_server_hello());

    assert_eq!(outcome, Some(Outcome::Killed));
    assert!(network.run_until(Duration::from_secs(1), Network::one_session));
}

#[test]
fn a_change_cipher_spec_before_its_time_decides_nothing() {
    let clock = VirtualClock::start();
    let (mut client, mut server) = World::new().open(&clock);
    let early = record(ContentType::ChangeCipherSpec, 0, 40, &[1]);

    hit(&mut client, &early, &clock);
    hit(&mut server, &early, &clock);
    exchange(&mut client, &mut server, &clock);

    assert_alive(&mut client, &mut server, &clock);
}

#[test]
fn a_forged_number_in_the_clear_moves_no_window() {
    // Nothing authenticates the record numbers of epoch 0. A high one used to move OpenSSL's window
    // past every genuine record of the attempt, which then stood still until the next one.
    let mut network = Network::new(&World::new(), perfect_road());
    network.dial(Side::Left);
    network.run_until(Duration::from_secs(1), |network| network.right.association.is_some());

    network.inject(Side::Left, &record(ContentType::ChangeCipherSpec, 0, 1 << 40, &[1]));
    network.inject(Side::Right, &record(ContentType::ChangeCipherSpec, 0, (1 << 48) - 1, &[1]));

    assert!(network.run_until(Duration::from_millis(200), Network::one_session), "within the first attempt");
}

#[test]
fn a_challenge_that_an_outsider_provoked_costs_the_association_one_attempt() {
    // A hello in the client's name makes the server challenge the client for a cookie that fits
    // the outsider's hello. The client answers with it, is challenged once more, and OpenSSL takes
    // that second challenge for a copy of the first.
    let world = World::new();
    let mut network = Network::new(&world, perfect_road());
    let hello = drain(&mut world.connect(&network.clock)).remove(0);
    network.dial(Side::Left);

    network.inject(Side::Right, &hello);

    assert!(network.run_until(Duration::from_secs(10), Network::one_session));
}

#[test]
fn without_the_gate_one_forged_alert_kills_the_attempt() {
    let world = World::new();
    let options = SessionOptions { gate: GateMode::Off, ..world.options.clone() };
    let clock = VirtualClock::start();
    let (mut client, mut server) = World { options, ..world }.open(&clock);

    assert_eq!(hit(&mut client, &fatal_alert(), &clock), Outcome::Killed);
    assert_eq!(hit(&mut server, &fatal_alert(), &clock), Outcome::Killed);
    assert_eq!(hit(&mut server, &fatal_alert(), &clock), Outcome::NoSession);
}

#[test]
fn without_the_gate_a_warning_alert_kills_the_attempt() {
    let world = World::new();
    let options = SessionOptions { gate: GateMode::Off, ..world.options.clone() };
    let clock = VirtualClock::start();
    let (mut client, _server) = World { options, ..world }.open(&clock);
    let warning = |number| record(ContentType::Alert, 0, number, &[1, 90]);

    // One is enough for OpenSSL 3.0, five for 3.6.
    let killed = (5..11).any(|number| hit(&mut client, &warning(number), &clock) == Outcome::Killed);

    assert!(killed);
}

#[test]
fn without_the_gate_it_is_up_to_openssls_patch_level_whether_a_short_record_kills_a_live_session() {
    // A body shorter than what AES-GCM adds is an internal error to some releases (CVE-2026-75806):
    // 3.0.19 and 3.6.3 end the session, 3.0.22 drops the record, and distributions patch without a
    // new number. So either is right here; with the gate it never gets that far: see `hostile`.
    let world = World::new();
    let options = SessionOptions { gate: GateMode::Off, ..world.options.clone() };
    let clock = VirtualClock::start();
    let (mut client, mut server) = World { options, ..world }.establish(&clock);
    let short = record(ContentType::ApplicationData, 1, 9, &[0; 5]);

    match hit(&mut server, &short, &clock) {
        Outcome::Killed => assert!(server.is_closed()),
        outcome => {
            assert_eq!(outcome, Outcome::Discarded(Discard::BadMac));
            assert_alive(&mut client, &mut server, &clock);
        }
    }
}

#[test]
fn without_aead_and_with_encrypt_then_mac_one_forged_record_kills_a_live_session() {
    let clock = VirtualClock::start();
    let (mut client, mut server) = World::with_suites("ECDHE-ECDSA-AES256-SHA").establish(&clock);
    let mut forged = seal(&mut client, b"genuine");
    *forged.last_mut().unwrap() ^= 1;

    assert_eq!(hit(&mut server, &forged, &clock), Outcome::Killed);

    assert!(server.is_closed());
}

#[test]
fn without_aead_and_with_mac_then_encrypt_a_forged_record_is_discarded() {
    let clock = VirtualClock::start();
    let teaching = Teaching { encrypt_then_mac: false, ..Teaching::with_suites("ECDHE-ECDSA-AES256-SHA") };
    let (mut client, mut server) = World::of(&Profile::Teaching(teaching)).establish(&clock);
    let mut forged = seal(&mut client, b"genuine");
    *forged.last_mut().unwrap() ^= 1;

    assert_eq!(hit(&mut server, &forged, &clock), Outcome::Discarded(Discard::BadMac));

    assert_alive(&mut client, &mut server, &clock);
}

#[test]
fn a_finished_that_overtakes_its_change_cipher_spec_is_kept() {
    let clock = VirtualClock::start();
    let (mut client, mut server) = World::new().open(&clock);
    drain(&mut server).iter().for_each(|datagram| deliver(&mut client, datagram, &clock));
    let flight = drain(&mut client);
    let mut records: Vec<Record<'_>> =
        flight.iter().flat_map(|datagram| Records::of(datagram)).map(Result::unwrap).collect();
    records.rotate_right(1);

    records.iter().for_each(|record| deliver(&mut server, record.bytes, &clock));
    exchange(&mut client, &mut server, &clock);

    assert_alive(&mut client, &mut server, &clock);
    let finished = records[0];
    assert_eq!(finished.header.epoch, 1);
    assert_eq!(hit(&mut server, finished.bytes, &clock), Outcome::Discarded(Discard::Replay));
}
