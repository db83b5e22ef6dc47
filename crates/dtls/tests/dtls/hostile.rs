//! Datagrams meant to harm an established session: each is discarded for its own reason, counted,
//! and the session lives.

use std::collections::BTreeSet;

use peerbound_dtls::{
    ContentType, Discard, Malformation, Outcome, Plaintexts, Record, RecordHeader, Records, Session,
};

use crate::chance::{Chance, Seed};
use crate::support::{World, assert_alive, deliver, drain, receive, record, seal};
use crate::vclock::VirtualClock;

const GCM: &str = "ECDHE-ECDSA-AES128-GCM-SHA256";
const CHACHA20: &str = "ECDHE-ECDSA-CHACHA20-POLY1305";

/// Attacks the server of an established pair.
struct Target {
    clock: VirtualClock,
    client: Session,
    server: Session,
}

impl Target {
    fn new() -> Self {
        Self::of(&World::new())
    }

    fn of(world: &World) -> Self {
        let clock = VirtualClock::start();
        let (client, server) = world.establish(&clock);
        Self { clock, client, server }
    }

    fn genuine(&mut self) -> Vec<u8> {
        seal(&mut self.client, b"a genuine payload")
    }

    fn hit(&mut self, datagram: &[u8]) -> Outcome {
        self.server.handle_datagram(datagram, &mut Plaintexts::new(), self.clock.now())
    }

    /// Shows that a datagram is discarded for this reason, is counted, draws no answer, and leaves
    /// the session alive.
    #[track_caller]
    fn shrugs_off(&mut self, datagram: &[u8], reason: impl Into<Discard>) {
        let reason = reason.into();
        let before = self.server.discards().get(reason);
        assert_eq!(self.hit(datagram), Outcome::Discarded(reason));
        assert_eq!(self.server.discards().get(reason), before + 1);
        assert!(drain(&mut self.server).is_empty(), "an answer would tell the attacker something");
        assert_alive(&mut self.client, &mut self.server, &self.clock);
    }
}

fn with_sequence(datagram: &[u8], sequence: u64) -> Vec<u8> {
    let (record, _) = Record::split(datagram).unwrap();
    let header = RecordHeader { sequence, ..record.header };
    [&header.encode()[..], record.body()].concat()
}

fn sequence_of(datagram: &[u8]) -> u64 {
    Record::split(datagram).unwrap().0.header.sequence
}

#[test]
fn a_forged_record_with_the_right_header_is_discarded() {
    let mut target = Target::new();

    for content_type in [ContentType::ApplicationData, ContentType::Alert, ContentType::Handshake] {
        target.shrugs_off(&record(content_type, 1, 1000, &[0xab; 40]), Discard::BadMac);
    }
}

#[test]
fn a_flipped_bit_anywhere_in_a_genuine_record_is_discarded() {
    for suite in [GCM, CHACHA20] {
        let mut target = Target::of(&World::with_suites(suite));
        let length = target.genuine().len();
        for bit in 0..length * 8 {
            let _seed = Seed(format!("{suite}, bit {bit}"));
            let mut bent = target.genuine();
            bent[bit / 8] ^= 1 << (bit % 8);

            let outcome = target.hit(&bent);

            assert!(matches!(outcome, Outcome::Discarded(_)), "{outcome:?}");
        }
        assert_alive(&mut target.client, &mut target.server, &target.clock);
    }
}

#[test]
fn a_body_too_short_for_gcm_never_reaches_openssl() {
    // OpenSSL 3.6 ends a live session over a body of 1 to 23 bytes.
    let mut target = Target::of(&World::with_suites(GCM));
    for length in 0..24 {
        let short = record(ContentType::ApplicationData, 1, 500, &vec![0; length]);

        target.shrugs_off(&short, Malformation::ShortBody);
    }
    target.shrugs_off(&record(ContentType::ApplicationData, 1, 500, &[0; 24]), Discard::BadMac);
}

#[test]
fn a_body_too_short_for_chacha20_never_reaches_openssl() {
    let mut target = Target::of(&World::with_suites(CHACHA20));
    for length in 0..16 {
        let short = record(ContentType::ApplicationData, 1, 500, &vec![0; length]);

        target.shrugs_off(&short, Malformation::ShortBody);
    }
    target.shrugs_off(&record(ContentType::ApplicationData, 1, 500, &[0; 16]), Discard::BadMac);
}

#[test]
fn an_exact_copy_is_a_replay() {
    let mut target = Target::new();
    let genuine = target.genuine();
    assert_eq!(target.hit(&genuine), Outcome::Accepted);

    target.shrugs_off(&genuine, Discard::Replay);
}

#[test]
fn the_peers_finished_sent_again_by_somebody_else_is_a_replay() {
    let clock = VirtualClock::start();
    let (mut client, mut server) = World::new().open(&clock);
    let to_client = drain(&mut server);
    to_client.iter().for_each(|datagram| deliver(&mut client, datagram, &clock));
    let last_flight = drain(&mut client);
    last_flight.iter().for_each(|datagram| deliver(&mut server, datagram, &clock));
    drain(&mut server).iter().for_each(|datagram| deliver(&mut client, datagram, &clock));
    let finished = last_flight
        .iter()
        .flat_map(|datagram| Records::of(datagram))
        .map(Result::unwrap)
        .find(|record| record.header.epoch == 1)
        .expect("the client's Finished");
    let mut target = Target { clock, client, server };

    target.shrugs_off(finished.bytes, Discard::Replay);
}

#[test]
fn sixty_three_behind_is_accepted_and_sixty_four_is_too_old() {
    let mut target = Target::new();
    let late: Vec<_> = (0..65).map(|_| target.genuine()).collect();
    assert_eq!(target.hit(&late[64]), Outcome::Accepted);

    assert_eq!(target.hit(&late[1]), Outcome::Accepted);
    target.shrugs_off(&late[0], Discard::TooOld);
}

#[test]
fn a_copy_under_a_fresh_number_does_not_verify() {
    let mut target = Target::new();
    let genuine = target.genuine();
    assert_eq!(target.hit(&genuine), Outcome::Accepted);

    let renumbered = with_sequence(&genuine, sequence_of(&genuine) + 7);

    target.shrugs_off(&renumbered, Discard::BadMac);
}

#[test]
fn a_forged_high_number_does_not_move_the_window() {
    let mut target = Target::new();
    let early = target.genuine();

    target.shrugs_off(&record(ContentType::ApplicationData, 1, (1 << 48) - 1, &[0; 40]), Discard::BadMac);

    assert_eq!(target.hit(&early), Outcome::Accepted);
}

#[test]
fn records_in_the_clear_are_of_another_epoch() {
    let mut target = Target::new();
    let hello = drain(&mut World::new().connect(&target.clock)).remove(0);

    target.shrugs_off(&record(ContentType::Alert, 0, 9, &[2, 40]), Discard::WrongEpoch);
    target.shrugs_off(&record(ContentType::Alert, 0, 9, &[1, 0]), Discard::WrongEpoch);
    target.shrugs_off(&record(ContentType::Handshake, 0, 9, &[0; 40]), Discard::WrongEpoch);
    target.shrugs_off(&record(ContentType::ApplicationData, 0, 9, b"clear"), Discard::WrongEpoch);
    target.shrugs_off(&record(ContentType::ChangeCipherSpec, 0, 9, &[1]), Discard::WrongEpoch);
    target.shrugs_off(&hello, Discard::WrongEpoch);
}

#[test]
fn records_of_a_future_epoch_are_not_kept() {
    let mut target = Target::new();
    for epoch in [2, 3, u16::MAX] {
        target.shrugs_off(&record(ContentType::ApplicationData, epoch, 0, &[0; 60]), Discard::WrongEpoch);
        target.shrugs_off(&record(ContentType::Handshake, epoch, 0, &[0; 60]), Discard::WrongEpoch);
    }
}

#[test]
fn another_version_is_refused() {
    let mut target = Target::new();
    for version in [0xfeff_u16, 0xfefc, 0x0303, 0, 0xffff] {
        let mut foreign = target.genuine();
        foreign[1..3].copy_from_slice(&version.to_be_bytes());

        target.shrugs_off(&foreign, Malformation::Version);
    }
}

#[test]
fn lengths_that_cannot_be_are_refused() {
    let mut target = Target::new();
    let genuine = target.genuine();
    let mut too_long = genuine.clone();
    too_long[11..13].copy_from_slice(&(16_384_u16 + 2049).to_be_bytes());
    let mut past_the_end = genuine.clone();
    past_the_end[12] += 1;

    target.shrugs_off(&too_long, Malformation::TooLong);
    target.shrugs_off(&past_the_end, Malformation::Truncated);
    for length in 1..genuine.len() {
        target.shrugs_off(&genuine[..length], Malformation::Truncated);
    }
    target.shrugs_off(&[], Malformation::Empty);
}

#[test]
fn an_unknown_type_is_refused() {
    let mut target = Target::new();
    for number in (0..=255).filter(|number| !(20..=23).contains(number)) {
        let mut unknown = target.genuine();
        unknown[0] = number;

        target.shrugs_off(&unknown, Malformation::UnknownType);
    }
}

#[test]
fn good_records_are_taken_from_among_bad_ones() {
    let mut target = Target::new();
    let (first, second) = (target.genuine(), target.genuine());
    let forged = record(ContentType::ApplicationData, 1, 900, &[1; 50]);
    let short = record(ContentType::ApplicationData, 1, 901, &[1; 5]);
    let clear = record(ContentType::Alert, 0, 0, &[2, 40]);
    let datagram =
        [&forged, &first, &short, &clear, &first, &second, &vec![99; 20]].map(Vec::as_slice).concat();

    let plaintexts = receive(&mut target.server, &datagram, &target.clock);

    assert_eq!(plaintexts, [b"a genuine payload"; 2]);
    let discards: Vec<_> = target.server.discards().iter().collect();
    assert_eq!(
        discards,
        [
            (Malformation::UnknownType.into(), 1),
            (Malformation::ShortBody.into(), 1),
            (Discard::WrongEpoch, 1),
            (Discard::Replay, 1),
            (Discard::BadMac, 1),
        ]
    );
    assert_alive(&mut target.client, &mut target.server, &target.clock);
}

#[test]
fn a_datagram_tells_why_its_first_record_was_refused() {
    let mut target = Target::new();
    let forged = record(ContentType::ApplicationData, 1, 900, &[1; 50]);
    let clear = record(ContentType::Alert, 0, 0, &[2, 40]);

    assert_eq!(target.hit(&[forged.clone(), clear.clone()].concat()), Outcome::Discarded(Discard::BadMac));
    assert_eq!(target.hit(&[clear, forged].concat()), Outcome::Discarded(Discard::WrongEpoch));
}

#[test]
fn a_record_for_the_other_direction_does_not_verify() {
    let mut target = Target::new();
    let from_server = seal(&mut target.server, b"a reply");

    target.shrugs_off(&with_sequence(&from_server, 300), Discard::BadMac);
}

#[test]
fn whatever_the_mirror_calls_fresh_openssl_opens() {
    // The mirror must agree with OpenSSL's own window, or genuine records are lost, or replays go
    // unnamed: in random order, with repeats, every record is judged as a plain set would.
    for seed in 0..40 {
        let _seed = Seed(format!("seed {seed}"));
        let mut chance = Chance::new(seed);
        let mut target = Target::new();
        let genuine: Vec<_> = (0..200).map(|_| target.genuine()).collect();
        let mut model = NaiveWindow::default();
        let mut front = 0;
        for _ in 0..400 {
            front = (front + chance.index(3)).min(genuine.len() - 1);
            let datagram = &genuine[front.saturating_sub(chance.index(90))];
            let expected = model.judge(sequence_of(datagram));

            assert_eq!(target.hit(datagram), expected);
        }
        assert_alive(&mut target.client, &mut target.server, &target.clock);
    }
}

/// RFC 6347, 4.1.2.6 in its plainest form: every number ever received, and the newest.
#[derive(Default)]
struct NaiveWindow {
    received: BTreeSet<u64>,
}

impl NaiveWindow {
    fn judge(&mut self, sequence: u64) -> Outcome {
        let newest = self.received.last().copied().unwrap_or(0);
        if sequence + 64 <= newest {
            return Outcome::Discarded(Discard::TooOld);
        }
        if !self.received.insert(sequence) {
            return Outcome::Discarded(Discard::Replay);
        }
        Outcome::Accepted
    }
}
