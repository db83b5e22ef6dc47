//! Records that many others have overtaken: fair queues on the way let a sparse flow pass a busy one.

use peerbound_dtls::{Discard, Outcome, Plaintexts, Session, SessionOptions};

use crate::support::{World, assert_alive, drain, receive, seal};
use crate::vclock::VirtualClock;

const WIDTH: u64 = 4096;

fn pair(clock: &VirtualClock, late_records: u64) -> (Session, Session) {
    let world = World::new();
    let options = SessionOptions { late_records, ..world.options.clone() };
    World { options, ..world }.establish(clock)
}

/// Seals as many payloads, each of them its number.
fn sealed(from: &mut Session, count: u64) -> Vec<Vec<u8>> {
    (0..count).map(|number| seal(from, &number.to_be_bytes())).collect()
}

fn outcome(to: &mut Session, datagram: &[u8], clock: &VirtualClock) -> Outcome {
    to.handle_datagram(datagram, &mut Plaintexts::new(), clock.now())
}

#[test]
fn a_late_record_within_the_wider_window_is_opened_once() {
    let clock = VirtualClock::start();
    let (mut client, mut server) = pair(&clock, WIDTH);
    let records = sealed(&mut client, 3000);
    let (last, before) = records.split_last().unwrap();
    assert_eq!(receive(&mut server, last, &clock).len(), 1);

    for (number, record) in (0_u64..).zip(before) {
        assert_eq!(receive(&mut server, record, &clock), [number.to_be_bytes()], "late record {number}");
    }

    for record in &records {
        assert_eq!(outcome(&mut server, record, &clock), Outcome::Discarded(Discard::Replay));
    }
    assert_eq!(server.records().1, 3000);
    assert_alive(&mut client, &mut server, &clock);
}

#[test]
fn a_record_behind_the_wider_window_is_too_old() {
    let clock = VirtualClock::start();
    let (mut client, mut server) = pair(&clock, WIDTH);
    let records = sealed(&mut client, WIDTH + 10);
    receive(&mut server, records.last().unwrap(), &clock);

    let newest = records.len() - 1;
    let (oldest, behind) = (newest - 4095, newest - 4096);
    assert_eq!(outcome(&mut server, &records[behind], &clock), Outcome::Discarded(Discard::TooOld));
    assert_eq!(outcome(&mut server, &records[oldest], &clock), Outcome::Accepted);
}

#[test]
fn a_late_record_that_was_changed_is_discarded_and_the_genuine_one_still_opens() {
    let clock = VirtualClock::start();
    let (mut client, mut server) = pair(&clock, WIDTH);
    let records = sealed(&mut client, 200);
    receive(&mut server, records.last().unwrap(), &clock);

    let mut forged = records[5].clone();
    *forged.last_mut().unwrap() ^= 1;
    assert_eq!(outcome(&mut server, &forged, &clock), Outcome::Discarded(Discard::BadMac));

    assert_eq!(receive(&mut server, &records[5], &clock), [5_u64.to_be_bytes()]);
    assert_alive(&mut client, &mut server, &clock);
}

#[test]
fn without_a_wider_window_openssls_own_decides() {
    let clock = VirtualClock::start();
    let (mut client, mut server) = pair(&clock, 0);
    let records = sealed(&mut client, 200);
    receive(&mut server, records.last().unwrap(), &clock);

    assert_eq!(outcome(&mut server, &records[5], &clock), Outcome::Discarded(Discard::TooOld));
}

#[test]
fn flights_keep_to_the_mtu_of_handshakes_and_payloads_to_that_of_the_session() {
    let clock = VirtualClock::start();
    let world = World::new();
    let options = SessionOptions { handshake_mtu: Some(400), ..world.options.clone() };
    let world = World { options, ..world };
    let (mut client, mut server) = world.open(&clock);
    let mut longest = 0;
    loop {
        let datagrams = [drain(&mut client), drain(&mut server)];
        if datagrams.iter().all(Vec::is_empty) {
            break;
        }
        longest = datagrams.iter().flatten().map(Vec::len).fold(longest, usize::max);
        datagrams[0].iter().for_each(|datagram| drop(receive(&mut server, datagram, &clock)));
        datagrams[1].iter().for_each(|datagram| drop(receive(&mut client, datagram, &clock)));
    }

    assert!(client.is_established() && server.is_established());
    assert!((300..=400).contains(&longest), "{longest}");
    assert_eq!(seal(&mut client, &[7; 1363]).len(), 1400);
}
