//! Changing keys: make before break, so that nobody waits and nothing is lost.

use std::time::Duration;

use peerbound_dtls::{AssociationEvent, CloseReason, DownReason, is_client_hello};

use crate::chance::{Chance, Seed};
use crate::network::{LATENCY, Network, Side};
use crate::support::World;

const NEVER: u64 = 1 << 40;

fn live_with(rekey_records: u64, rekey_age: Duration) -> Network {
    let mut network = Network::new(&World::new(), crate::network::perfect_road());
    for end in [&mut network.left, &mut network.right] {
        end.config.rekey_records = rekey_records;
        end.config.rekey_age = rekey_age;
    }
    network.go_live();
    network
}

fn count(events: &[AssociationEvent], wanted: impl Fn(&AssociationEvent) -> bool) -> usize {
    events.iter().filter(|event| wanted(event)).count()
}

fn replaced(events: &[AssociationEvent]) -> usize {
    count(events, |event| matches!(event, AssociationEvent::Replaced(_)))
}

/// Sends numbered payloads both ways at a steady pace, and shows that each arrived, in order.
#[track_caller]
fn exchange_steadily(network: &mut Network, payloads: u32, pace: Duration) {
    for number in 0..payloads {
        network.send(Side::Left, &number.to_be_bytes());
        network.send(Side::Right, &number.to_be_bytes());
        network.run(pace);
    }
    network.run(LATENCY * 2);
    let expected: Vec<_> = (0..payloads).map(|number| number.to_be_bytes().to_vec()).collect();
    assert!(network.left.received == expected, "{} of {payloads} arrived", network.left.received.len());
    assert!(network.right.received == expected, "{} of {payloads} arrived", network.right.received.len());
}

#[test]
fn keys_change_by_record_count_and_nothing_is_lost() {
    let mut network = live_with(100, Duration::from_secs(3600));

    exchange_steadily(&mut network, 400, Duration::from_millis(3));

    assert!(replaced(&network.left.events) >= 5, "{:?}", network.left.events.len());
    assert_eq!(replaced(&network.left.events), replaced(&network.right.events));
    assert!(network.one_session());
}

#[test]
fn keys_change_by_age_and_nothing_is_lost() {
    let mut network = live_with(NEVER, Duration::from_secs(10));

    exchange_steadily(&mut network, 500, Duration::from_millis(100));

    assert_eq!((replaced(&network.left.events), replaced(&network.right.events)), (4, 4));
    assert!(network.one_session());
}

#[test]
fn an_idle_session_changes_keys_by_age_too() {
    let mut network = live_with(NEVER, Duration::from_secs(10));
    let before = network.left.secret();

    network.run(Duration::from_secs(11));

    assert!(network.one_session());
    assert_ne!(network.left.secret(), before);
}

#[test]
fn the_client_of_a_session_stays_its_client() {
    let mut network = live_with(NEVER, Duration::from_secs(10));

    network.run(Duration::from_secs(35));

    let role =
        |end: &crate::network::End| end.association.as_ref()?.session().map(peerbound_dtls::Session::role);
    assert_eq!(role(&network.left), Some(peerbound_dtls::Role::Client));
    assert_eq!(role(&network.right), Some(peerbound_dtls::Role::Server));
}

#[test]
fn a_failed_change_leaves_the_live_session_alone_and_is_tried_again() {
    let mut network = live_with(NEVER, Duration::from_secs(60));
    network.run(Duration::from_secs(59));
    network.road = Box::new(|_, datagram| {
        let cut = is_client_hello(&datagram);
        if cut { Vec::new() } else { vec![(LATENCY, datagram)] }
    });

    network.run(Duration::from_secs(17));
    assert_eq!(count(&network.left.events, |event| matches!(event, AssociationEvent::CandidateFailed(_))), 1);
    network.send(Side::Left, b"meanwhile");
    network.road = crate::network::perfect_road();
    network.run(Duration::from_secs(6));

    assert_eq!(network.right.received, [b"meanwhile"]);
    assert_eq!(replaced(&network.left.events), 1);
    assert!(network.one_session());
}

#[test]
fn keys_change_over_a_bad_road_and_both_ends_agree_in_the_end() {
    for seed in 0..10 {
        let _seed = Seed(format!("seed {seed}"));
        let mut network = live_with(NEVER, Duration::from_secs(10));
        let mut chance = Chance::new(seed);
        network.road = Box::new(
            move |_, datagram| {
                if chance.percent(20) { Vec::new() } else { vec![(LATENCY, datagram)] }
            },
        );

        network.run(Duration::from_secs(45));
        network.road = crate::network::perfect_road();
        network.run(Duration::from_secs(25));

        assert!(replaced(&network.left.events) >= 2);
        assert!(network.one_session());
        assert!(!network.left.is_down() && !network.right.is_down());
    }
}

#[test]
fn a_session_that_could_not_be_replaced_is_worn_out_at_twice_its_age() {
    let mut network = live_with(NEVER, Duration::from_secs(3600));
    network.right.config.rekey_age = Duration::from_secs(10);
    restart_right_limits(&mut network);

    network.run(Duration::from_millis(19_900));
    assert!(!network.right.is_down());
    network.run(Duration::from_millis(200));

    let worn_out = AssociationEvent::Down(DownReason::WornOut);
    assert_eq!(network.right.events.last(), Some(&worn_out));
    let told = AssociationEvent::Down(DownReason::Closed(CloseReason::Peer));
    assert_eq!(network.left.events.last(), Some(&told), "the farewell is sent");
}

#[test]
fn a_session_that_could_not_be_replaced_is_worn_out_at_twice_its_records() {
    let mut network = live_with(NEVER, Duration::from_secs(3600));
    network.right.config.rekey_records = 50;
    restart_right_limits(&mut network);
    for _ in 0..99 {
        network.send(Side::Left, b"one more");
        network.run(LATENCY);
    }
    assert!(!network.right.is_down());

    network.send(Side::Left, b"the last straw");
    network.run(LATENCY);

    assert_eq!(network.right.events.last(), Some(&AssociationEvent::Down(DownReason::WornOut)));
    assert_eq!(network.right.received.len(), 100, "what wore it out is still delivered");
}

/// The limits of an association are those it was made with: both ends start again.
fn restart_right_limits(network: &mut Network) {
    network.left.restart();
    network.right.restart();
    network.lose_everything_in_flight();
    network.go_live();
}
