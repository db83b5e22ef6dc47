//! The sessions of one address: a peer that restarts, one that is replaced by somebody else, and
//! hellos that come again.

use std::time::Duration;

use peerbound_dtls::{
    Association, AssociationEvent, CloseReason, Discard, DownReason, Malformation, Outcome, Plaintexts,
    SendError, is_client_hello,
};

use crate::network::{LATENCY, Network, Side, perfect_road};
use crate::support::World;

/// How long a replaced session still opens what was on its way.
const PREVIOUS_KEPT: Duration = Duration::from_secs(3);

fn transmits(association: &mut Association) -> Vec<Vec<u8>> {
    let mut datagrams = Vec::new();
    while let Some(datagram) = association.poll_transmit() {
        datagrams.push(datagram.to_vec());
    }
    datagrams
}

fn seal(association: &mut Association, payload: &[u8]) -> Vec<u8> {
    association.send(payload).unwrap();
    let mut datagrams = transmits(association);
    assert_eq!(datagrams.len(), 1);
    datagrams.remove(0)
}

/// Restarts the left end and dials anew; returns the association it had before.
fn restart_left(network: &mut Network) -> Association {
    let before = network.left.association.take().expect("the left end was live");
    network.left.restart();
    network.right.events.clear();
    network.dial(Side::Left);
    before
}

/// Runs until the right end has answered the verified hello, which makes a candidate there.
fn run_until_candidate(network: &mut Network) {
    let seen = network.sent.len();
    let answered = |network: &Network| {
        let answer = |(to, datagram): &(Side, Vec<u8>)| *to == Side::Left && datagram.len() > 60;
        network.sent[seen..].iter().any(answer)
    };
    assert!(network.run_until(Duration::from_secs(1), answered), "the right end answers a hello");
}

/// The hello that carried a cookie, as the right end got it first.
fn verified_hello(network: &Network) -> Vec<u8> {
    let hellos = network.sent.iter().filter(|(to, datagram)| *to == Side::Right && is_client_hello(datagram));
    hellos.map(|(_, datagram)| datagram).nth(1).expect("a hello came back with its cookie").clone()
}

fn replaced(events: &[AssociationEvent]) -> usize {
    events.iter().filter(|event| matches!(event, AssociationEvent::Replaced(_))).count()
}

#[test]
fn a_peer_that_restarts_is_replaced_without_a_gap() {
    let mut network = Network::live(&World::new());
    let before = network.right.secret();
    restart_left(&mut network);

    assert!(network.run_until(Duration::from_secs(1), Network::one_session));

    assert_ne!(network.right.secret(), before);
    assert_eq!((network.right.events.len(), replaced(&network.right.events)), (1, 1));
    network.send(Side::Right, b"welcome back");
    network.run(LATENCY);
    assert_eq!(network.left.received, [b"welcome back"]);
}

#[test]
fn the_live_session_carries_data_while_a_candidate_is_in_its_handshake() {
    let mut network = Network::live(&World::new());
    let mut before = restart_left(&mut network);
    run_until_candidate(&mut network);

    let there = seal(&mut before, b"under the old keys");
    let back = seal(network.right.link(), b"and back");

    assert_eq!(network.inject(Side::Right, &there), Some(Outcome::Accepted));
    assert_eq!(network.right.received, [b"under the old keys"]);
    let now = network.clock.now();
    assert_eq!(before.handle_datagram(&back, &mut Plaintexts::new(), now), Outcome::Accepted);
    assert!(network.right.events.is_empty(), "nothing is swapped before the candidate is proved");
}

#[test]
fn another_peer_at_the_address_fails_and_the_live_session_stays() {
    let world = World::new();
    let mut network = Network::live(&world);
    let before = network.right.secret();
    network.left.config.context = world.context("another");
    let mut honest = restart_left(&mut network);

    network.run(Duration::from_secs(1));

    let another = DownReason::AnotherPeer { name: "another".into() };
    assert_eq!(network.right.events, [AssociationEvent::CandidateFailed(another)]);
    assert_eq!(network.right.secret(), before);
    let there = seal(&mut honest, b"still me");
    assert_eq!(network.inject(Side::Right, &there), Some(Outcome::Accepted));
    let told = AssociationEvent::Down(DownReason::Closed(CloseReason::Peer));
    assert_eq!(network.left.events.last(), Some(&told));
}

#[test]
fn an_untrusted_stranger_at_the_address_fails_and_the_live_session_stays() {
    let mut network = Network::live(&World::new());
    let before = network.right.secret();
    network.left.config.context = World::new().client;
    restart_left(&mut network);

    network.run(Duration::from_secs(1));

    assert_eq!(network.right.secret(), before);
    assert!(network.right.events.iter().all(|event| matches!(event, AssociationEvent::CandidateFailed(_))));
}

#[test]
fn a_candidate_that_never_completes_is_reaped_at_its_deadline() {
    let mut network = Network::live(&World::new());
    let mut before = restart_left(&mut network);
    run_until_candidate(&mut network);
    network.left.association = None;
    network.lose_everything_in_flight();

    network.run(Duration::from_millis(14_900));
    assert!(network.right.events.is_empty());
    network.run(Duration::from_millis(200));

    let timed_out = DownReason::HandshakeTimeout { heard: true, last: None, alert: None };
    assert_eq!(network.right.events, [AssociationEvent::CandidateFailed(timed_out)]);
    let there = seal(&mut before, b"nothing happened");
    assert_eq!(network.inject(Side::Right, &there), Some(Outcome::Accepted));
}

#[test]
fn a_copy_of_the_hello_that_made_the_live_session_is_ignored() {
    let mut network = Network::live(&World::new());
    let hello = verified_hello(&network);
    let sent = network.sent.len();

    network.inject(Side::Right, &hello);

    assert_eq!(network.sent.len(), sent, "no flight is spent on it");
    assert!(network.one_session());
}

#[test]
fn a_copy_of_the_hello_of_an_earlier_session_harms_nothing() {
    let mut network = Network::live(&World::new());
    let hello = verified_hello(&network);
    restart_left(&mut network);
    assert!(network.run_until(Duration::from_secs(1), Network::one_session));
    network.right.events.clear();

    network.inject(Side::Right, &hello);
    for _ in 0..20 {
        network.send(Side::Left, b"ping");
        network.send(Side::Right, b"pong");
        network.run(Duration::from_secs(1));
    }

    assert_eq!((network.left.received.len(), network.right.received.len()), (20, 20));
    assert!(network.one_session());
    assert!(matches!(network.right.events[..], [AssociationEvent::CandidateFailed(_)]));
}

#[test]
fn what_was_on_its_way_under_the_old_keys_is_still_opened_for_three_seconds() {
    let mut network = Network::live(&World::new());
    let mut before = restart_left(&mut network);
    let late = seal(&mut before, b"late");
    let too_late = seal(&mut before, b"too late");
    assert!(network.run_until(Duration::from_secs(1), |network| replaced(&network.right.events) == 1));

    network.run(PREVIOUS_KEPT - Duration::from_millis(1));
    assert_eq!(network.inject(Side::Right, &late), Some(Outcome::Accepted));
    network.run(Duration::from_millis(1));

    let refused = network.inject(Side::Right, &too_late);
    assert!(matches!(refused, Some(Outcome::Discarded(_))), "{refused:?}");
    assert_eq!(network.right.received, [b"late"]);
}

#[test]
fn a_record_under_the_old_keys_is_opened_once_and_attributed_to_them() {
    // The live session was asked first, and counted every late record as forged, before the
    // replaced one opened it; and a copy of it was named BadMac where it was a replay.
    let mut network = Network::live(&World::new());
    let mut before = restart_left(&mut network);
    let late = seal(&mut before, b"late");
    assert!(network.run_until(Duration::from_secs(1), |network| replaced(&network.right.events) == 1));

    assert_eq!(network.inject(Side::Right, &late), Some(Outcome::Accepted));
    assert_eq!(network.right.link().discards().total(), 0);

    assert_eq!(network.inject(Side::Right, &late), Some(Outcome::Discarded(Discard::Replay)));
    assert_eq!(network.right.link().discards().total(), 1);
    assert_eq!(network.right.received, [b"late"]);
}

#[test]
fn a_half_open_association_says_so_until_it_is_live() {
    let mut network = Network::new(&World::new(), perfect_road());
    network.dial(Side::Left);
    assert!(!network.left.link().is_half_open(), "whom we dialled is no stranger");

    network.run_until(Duration::from_secs(1), |network| network.right.association.is_some());
    assert!(network.right.link().is_half_open());
    assert_eq!(network.right.link().send(b"early"), Err(SendError::NotEstablished));

    assert!(network.run_until(Duration::from_secs(1), Network::one_session));
    assert!(!network.right.link().is_half_open());
}

#[test]
fn a_half_open_association_ends_at_its_deadline() {
    let mut network = Network::new(&World::new(), perfect_road());
    network.dial(Side::Left);
    network.run_until(Duration::from_secs(1), |network| network.right.association.is_some());
    network.left.association = None;

    network.run(Duration::from_secs(16));

    assert!(network.right.link().is_over());
    assert!(network.right.is_down());
}

#[test]
fn closing_says_farewell_and_ends_both_ends() {
    let mut network = Network::live(&World::new());
    let now = network.clock.now();

    network.left.link().close(now);
    network.run(LATENCY);

    let ended = |reason| Some(AssociationEvent::Down(DownReason::Closed(reason)));
    assert_eq!(network.left.events.last().cloned(), ended(CloseReason::Local));
    assert_eq!(network.right.events.last().cloned(), ended(CloseReason::Peer));
    assert!(network.left.link().is_over() && network.right.link().is_over());
    assert_eq!(network.right.link().poll_timeout(), None);
}

#[test]
fn a_peer_that_dials_again_before_it_says_farewell_comes_up_again() {
    let mut network = Network::live(&World::new());
    let mut before = restart_left(&mut network);
    run_until_candidate(&mut network);
    before.close(network.clock.now());

    for farewell in transmits(&mut before) {
        network.inject(Side::Right, &farewell);
    }
    assert!(matches!(network.right.events[..], [AssociationEvent::Down(_)]));
    assert!(!network.right.link().is_over(), "the candidate goes on");

    assert!(network.run_until(Duration::from_secs(1), Network::one_session));
    assert!(matches!(network.right.events[..], [AssociationEvent::Down(_), AssociationEvent::Up(_)]));
}

#[test]
fn what_an_opening_discarded_is_counted_while_it_lasts_and_after() {
    // Attacks on a handshake were counted only if it ended by itself: while it lasted, and when it
    // reached its deadline or gave way to another hello, they were in no sum.
    let alert = Malformation::UnprotectedAlert;
    let forged = crate::support::record(peerbound_dtls::ContentType::Alert, 0, 9, &[2, 40]);
    let counted = |network: &mut Network, side| network.end(side).link().discards().get(alert.into());
    let mut network = Network::new(&World::new(), perfect_road());
    network.dial(Side::Left);
    network.run_until(Duration::from_secs(1), |network| network.right.association.is_some());

    let outcome = network.inject(Side::Right, &forged);
    assert_eq!(outcome, Some(Outcome::Discarded(Discard::Malformed(alert))));
    assert_eq!(counted(&mut network, Side::Right), 1, "while the handshake lasts");

    network.left.association = None;
    network.lose_everything_in_flight();
    network.dial(Side::Left);
    run_until_candidate(&mut network);
    assert_eq!(counted(&mut network, Side::Right), 1, "after it gave way to another hello");

    network.inject(Side::Right, &forged);
    network.left.association = None;
    network.run(Duration::from_secs(20));
    assert!(network.right.link().is_over());
    assert_eq!(counted(&mut network, Side::Right), 2, "after its deadline");
}

#[test]
fn what_a_candidate_discarded_is_counted_when_it_fails() {
    let mut network = Network::live(&World::new());
    restart_left(&mut network);
    run_until_candidate(&mut network);
    let forged = crate::support::record(peerbound_dtls::ContentType::Alert, 0, 9, &[2, 40]);

    network.inject(Side::Right, &forged);
    network.left.association = None;
    network.run(Duration::from_secs(20));

    let counts = network.right.link().discards();
    assert_eq!(counts.get(Malformation::UnprotectedAlert.into()), 1);
}
