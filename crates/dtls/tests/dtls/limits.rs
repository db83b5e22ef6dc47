//! Ceilings: whatever a peer or a caller does, memory stays within what a constant says.

use std::time::Duration;

use allocation_counter::measure;
use peerbound_dtls::{
    Association, AssociationConfig, CloseReason, ContentType, Context, ContextConfig, GateMode, Identity,
    Malformation, Outcome, Plaintexts, Precedence, Session, SessionOptions,
};

use crate::chance::Chance;
use crate::support::{Ended, World, assert_alive, drain, exchange, record, seal, validity};
use crate::vclock::VirtualClock;

/// Datagrams a session keeps for a caller that does not collect them.
const OUTBOUND_DATAGRAMS_MAX: usize = 256;
/// Farewells an association keeps.
const OUTBOX_DATAGRAMS_MAX: usize = 16;
const PLAINTEXT_BYTES_MAX: u64 = 16_384;

#[test]
fn datagrams_that_nobody_collects_are_lost_and_not_kept_without_end() {
    let clock = VirtualClock::start();
    let (mut client, mut server) = World::new().establish(&clock);

    for _ in 0..1000 {
        client.send(b"nobody collects this").unwrap();
    }

    assert_eq!(drain(&mut client).len(), OUTBOUND_DATAGRAMS_MAX);
    assert_alive(&mut client, &mut server, &clock);
}

#[test]
fn farewells_that_nobody_collects_are_not_kept_without_end() {
    let mut clock = VirtualClock::start();
    let world = World::new();
    let config = AssociationConfig {
        handshake_deadline: Duration::from_secs(600),
        ..AssociationConfig::new(world.client, world.options, Precedence::Ours)
    };
    let mut association = Association::dial(config, clock.now()).unwrap();
    let hello =
        [&[2, 0, 0, 38, 0, 0, 0, 0, 0, 0, 0, 38, 0xfe, 0xfd][..], &[9; 32], &[0, 0x13, 1, 0]].concat();
    let bogus_server_hello = record(ContentType::Handshake, 0, 0, &hello);
    let mut killed = 0;

    for _ in 0..60 {
        let outcome = association.handle_datagram(&bogus_server_hello, &mut Plaintexts::new(), clock.now());
        killed += usize::from(outcome == Outcome::Killed);
        clock.advance_to(association.poll_timeout().expect("it dials on"));
        association.handle_timeout(clock.now());
    }

    assert!(killed > OUTBOX_DATAGRAMS_MAX, "each killed attempt leaves a hello and an alert");
    let mut left = 0;
    while association.poll_transmit().is_some() {
        left += 1;
    }
    assert!(left <= OUTBOX_DATAGRAMS_MAX + 2, "{left} datagrams");
}

#[test]
fn the_arena_of_plaintexts_grows_by_one_record_beyond_the_datagram() {
    let clock = VirtualClock::start();
    let world = World::new();
    let options = SessionOptions { mtu: 1400, ..world.options.clone() };
    let (mut client, mut server) = World { options, ..world }.establish(&clock);
    let datagram: Vec<u8> = (0..45).flat_map(|_| seal(&mut client, &[1; 1363])).collect();
    assert!(datagram.len() > 60_000);
    let mut plaintexts = Plaintexts::new();

    let used = measure(|| {
        server.handle_datagram(&datagram, &mut plaintexts, clock.now());
    });

    assert_eq!(plaintexts.len(), 45);
    // A vector that grows holds its old and its doubled self for a moment.
    let ceiling = 3 * (datagram.len() as u64 + PLAINTEXT_BYTES_MAX) + 4096;
    assert!(used.bytes_max <= ceiling, "{} bytes at worst", used.bytes_max);
}

#[test]
fn a_record_is_sealed_and_opened_without_an_allocation_of_ours() {
    let clock = VirtualClock::start();
    let (mut client, mut server) = World::new().establish(&clock);
    let mut plaintexts = Plaintexts::new();
    let mut datagram = Vec::with_capacity(1400);
    let mut round = || {
        client.send(&[5; 1300]).unwrap();
        datagram.clear();
        datagram.extend_from_slice(client.poll_transmit().expect("one datagram"));
        plaintexts.clear();
        server.handle_datagram(&datagram, &mut plaintexts, clock.now())
    };
    assert_eq!(round(), Outcome::Accepted);

    let used = measure(|| {
        for _ in 0..100 {
            assert_eq!(round(), Outcome::Accepted);
        }
    });

    assert_eq!(used.count_total, 0);
}

#[test]
fn a_flood_of_forgeries_leaves_as_many_counters_as_there_are_reasons() {
    let clock = VirtualClock::start();
    let (mut client, mut server) = World::new().establish(&clock);
    let mut chance = Chance::new(1);
    let mut plaintexts = Plaintexts::new();
    for _ in 0..3000 {
        let length = chance.index(60);
        let noise = chance.bytes(length);
        let epoch = u16::from(chance.percent(60));
        let forged = record(ContentType::ApplicationData, epoch, chance.below(1 << 47), &noise);
        server.handle_datagram(&forged, &mut plaintexts, clock.now());
        server.handle_datagram(&noise, &mut plaintexts, clock.now());
    }

    assert_eq!(server.discards().total(), 6000);
    assert!(server.discards().iter().count() <= 15);
    assert!(plaintexts.is_empty());
    assert_alive(&mut client, &mut server, &clock);
}

#[test]
fn a_certificate_chain_longer_than_a_message_may_be_is_refused_by_its_first_fragment() {
    let clock = VirtualClock::start();
    let world = world_with_a_huge_chain();
    let (mut client, mut server) = world.open(&clock);

    exchange(&mut client, &mut server, &clock);

    assert!(!client.is_established());
    assert!(client.discards().get(Malformation::HandshakeFragment.into()) > 0);
}

#[test]
fn without_the_gate_openssl_refuses_a_huge_chain_too() {
    let clock = VirtualClock::start();
    let world = world_with_a_huge_chain();
    let options = SessionOptions { gate: GateMode::Off, ..world.options.clone() };
    let (mut client, mut server): (Session, Session) = World { options, ..world }.open(&clock);

    exchange(&mut client, &mut server, &clock);

    let ended = Ended::of(&mut client);
    assert!(!ended.was_up);
    assert!(matches!(ended.reason, Some(CloseReason::Failed(_))));
}

/// A server that sends sixty certificates along with its own.
fn world_with_a_huge_chain() -> World {
    let world = World::new();
    let root = world.authority.to_root();
    let leaf = world.authority.issue("server", validity()).unwrap();
    let pem = [leaf.certificates_to_pem().unwrap(), root.to_pem().unwrap().repeat(60)].concat();
    let huge = Identity::from_pem(&pem, &leaf.key_to_pem().unwrap()).unwrap();
    let server = Context::new(ContextConfig::new(huge, vec![root])).unwrap();
    World { server, ..world }
}
