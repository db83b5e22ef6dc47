//! A–B–C: the request goes through B and comes back through B; the direct reply does not arrive.

use std::net::SocketAddr;
use std::time::Duration;

use peerbound_dtls::Discard;
use peerbound_node::{DatagramDrop, Demux, Event, FrameAction, Lock, Verdict};

use crate::support::{Net, Plan, address};

const A: usize = 0;
const B: usize = 1;
const C: usize = 2;

/// Where the record sequence number stands in a datagram: behind type, version and epoch.
const SEQUENCE: std::ops::Range<usize> = 5..11;

#[test]
fn a_request_goes_a_b_c_and_its_reply_c_b_a() {
    let mut net = Net::up(&Plan::chain_of_three());
    let (a, c) = (net.id(A), net.id(C));
    net.send(A, C, b"who is there?").unwrap();
    net.run_a_little();
    assert_eq!(net.delivered(C), [b"who is there?"]);

    net.reply(C, A, b"C").unwrap();
    net.run_a_little();

    assert_eq!(net.delivered(A), [b"C"]);
    let relayed: Vec<_> = net.events[B]
        .iter()
        .filter_map(|event| match event {
            Event::Frame(seen) => Some((seen.from, seen.action)),
            _ => None,
        })
        .collect();
    assert_eq!(relayed, [(Some(a), FrameAction::Sent(c)), (Some(c), FrameAction::Sent(a))]);
}

#[test]
fn the_same_frame_is_other_bytes_on_each_hop() {
    let mut net = Net::up(&Plan::chain_of_three());
    let payload = [b'x'; 200];
    net.send(A, C, &payload).unwrap();
    net.run_a_little();

    assert_eq!(net.delivered(C), [payload]);
    let hop = |from, to| {
        let mut on_it = net.deliveries.iter().filter(|delivery| (delivery.from, delivery.to) == (from, to));
        on_it.find(|delivery| delivery.bytes.len() > payload.len() && delivery.bytes[0] == 23).unwrap()
    };
    let (first, second) = (&hop(A, B).bytes, &hop(B, C).bytes);
    assert_eq!(first.len(), second.len(), "the same frame under the same suite");
    let same = first.iter().zip(second).skip(21).filter(|(one, other)| one == other).count();
    assert!(same < 30, "{same} of {} protected bytes are alike, chance explains some", first.len() - 21);
    assert!(!first.windows(16).chain(second.windows(16)).any(|window| window == &payload[..16]));
}

#[test]
fn a_direct_reply_finds_no_session_and_nobody_is_hurt() {
    let mut net = requested();
    let before = net.nodes[A].counters();
    let datagram = direct_reply(&mut net);

    let verdict = net.inject(address(C), A, &datagram);

    assert_eq!(verdict, Verdict::Dropped(Lock::Demux));
    let after = net.nodes[A].counters();
    assert_eq!(after.datagrams_dropped.get(&DatagramDrop::NoSession), Some(&1));
    assert_eq!(after.frames_received, before.frames_received, "no frame came of it");
    assert_eq!(after.records_discarded, before.records_discarded, "no session judged it");
    net.run_for(Duration::from_secs(3));
    assert!(net.delivered(A).is_empty() && net.delivered(B).is_empty());
    assert_still_works(&mut net);
}

#[test]
fn a_direct_reply_offered_to_every_session_does_not_verify() {
    let mut net = requested_from(Demux::EverySession);
    let datagram = direct_reply_with_a_fresh_number(&mut net);

    let verdict = net.inject(address(C), A, &datagram);

    assert_eq!(verdict, Verdict::Dropped(Lock::RecordAuth));
    assert_eq!(net.nodes[A].counters().records_discarded.get(Discard::BadMac), 1);
    assert!(!net.nodes[A].counters().datagrams_dropped.contains_key(&DatagramDrop::NoSession));
    assert!(net.delivered(A).is_empty());
    assert_still_works(&mut net);
}

#[test]
fn a_direct_reply_whose_number_the_session_has_seen_is_taken_for_a_replay() {
    let mut net = requested_from(Demux::EverySession);
    // B has sent A some records, so that A's window covers the numbers of the young session of C.
    net.restart(C);
    net.run_until(Duration::from_secs(10), |net| {
        net.is_up() && net.story(B).iter().any(|word| word == "C replaced")
    });
    net.run_a_little();
    let datagram = direct_reply(&mut net);

    let verdict = net.inject(address(C), A, &datagram);

    assert_eq!(verdict, Verdict::Dropped(Lock::Replay));
    assert!(net.delivered(A).is_empty());
    assert_still_works(&mut net);
}

#[test]
fn a_direct_reply_under_a_forged_source_address_does_not_verify() {
    let mut net = requested();
    let datagram = direct_reply_with_a_fresh_number(&mut net);

    let verdict = net.inject(address(B), A, &datagram);

    assert_eq!(verdict, Verdict::Dropped(Lock::RecordAuth));
    assert_still_works(&mut net);
}

#[test]
fn a_direct_reply_with_the_number_that_is_expected_next_does_not_verify() {
    let mut net = requested();
    let newest = net.deliveries.iter().rfind(|delivery| (delivery.from, delivery.to) == (B, A)).unwrap();
    let expected = sequence(&newest.bytes) + 1;
    let mut datagram = direct_reply(&mut net);
    datagram[SEQUENCE].copy_from_slice(&expected.to_be_bytes()[2..]);

    let verdict = net.inject(address(B), A, &datagram);

    assert_eq!(verdict, Verdict::Dropped(Lock::RecordAuth));
    assert_still_works(&mut net);
}

#[test]
fn of_several_sessions_the_one_that_knows_most_gives_the_verdict() {
    // B asks the sessions of A and C in this order; A's knows the number, C's has not come so far.
    let mut net = requested_from(Demux::EverySession);
    for _ in 0..100 {
        net.send(A, B, b"to B alone").unwrap();
    }
    net.run_a_little();
    let newest = net.deliveries.iter().rfind(|delivery| (delivery.from, delivery.to) == (A, B)).unwrap();
    let again = newest.bytes.clone();

    let verdict = net.inject(SocketAddr::from(([10, 0, 0, 1], 1)), B, &again);

    assert_eq!(verdict, Verdict::Dropped(Lock::Replay));
    assert_eq!(net.nodes[B].counters().records_discarded.get(Discard::BadMac), 1, "C's was asked, too");
}

#[test]
fn a_genuine_record_of_b_that_is_sent_twice_is_a_replay() {
    let mut net = requested();
    let newest = net.deliveries.iter().rfind(|delivery| (delivery.from, delivery.to) == (B, A)).unwrap();
    let again = newest.bytes.clone();

    assert_eq!(net.inject(address(B), A, &again), Verdict::Dropped(Lock::Replay));
    assert_eq!(net.inject(address(C), A, &again), Verdict::Dropped(Lock::Demux));
}

#[test]
fn c_that_dials_a_is_refused_where_it_is_not_admitted() {
    let plan = Plan { links: vec![(0, 1), (2, 1), (2, 0)], ..Plan::chain_of_three() };
    let mut net = Net::with(&plan, |index, ids, config| {
        config.handshake_deadline = Duration::from_secs(3);
        if index == A {
            config.neighbours.retain(|neighbour| neighbour.id != ids[C]);
        }
    });

    net.run_until(Duration::from_secs(5), |net| {
        net.story(C).iter().any(|word| word.starts_with("A not reached"))
    });

    assert!(net.nodes[A].counters().peers_refused > 0);
    let refusal = "stranger: \"C\" has a trusted certificate but is not admitted here";
    assert!(net.story(A).iter().any(|word| word == refusal), "{:?}", net.story(A));
    let locks: Vec<_> =
        net.deliveries.iter().filter(|delivery| (delivery.from, delivery.to) == (C, A)).collect();
    assert!(locks.iter().any(|delivery| delivery.verdict == Verdict::Dropped(Lock::Identity)));
    assert!(net.is_usable(A, B) && net.is_usable(C, B), "the neighbours of B are none the worse");
    assert_still_works(&mut net);
}

#[test]
fn c_that_dials_a_has_a_session_of_its_own_where_it_is_admitted() {
    let plan = Plan { links: vec![(0, 1), (2, 1), (2, 0)], routes: Vec::new(), ..Plan::chain_of_three() };
    let mut net = Net::up(&plan);
    let c = net.id(C);

    net.reply(C, A, b"directly, and rightly so").unwrap();
    net.run_a_little();

    assert_eq!(net.delivered(A), [b"directly, and rightly so"]);
    assert!(net.story(A).contains(&"C up".to_owned()));
    let key = net.key(C);
    let is_c = |event: &Event| matches!(event, Event::NeighbourUp { id, address: at, peer, .. } if *id == c && *at == address(C) && peer.key == key);
    assert!(net.events[A].iter().any(is_c));
    assert!(net.sent_to(B, |_| true).is_empty(), "B has relayed nothing");
}

/// A–B–C in which C has received a request of A and not yet answered it.
fn requested() -> Net {
    requested_from(Demux::BySource)
}

fn requested_from(demux: Demux) -> Net {
    let mut net = Net::with(&Plan::chain_of_three(), |_, _, config| config.demux = demux);
    net.run_until_up();
    net.run_for(Duration::from_secs(5));
    net.send(A, C, b"request").unwrap();
    net.run_a_little();
    assert_eq!(net.delivered(C), [b"request"]);
    net
}

/// C's answer, sealed for B as it always is; it has not been on the wire.
fn direct_reply(net: &mut Net) -> Vec<u8> {
    net.reply(C, A, b"reply").unwrap();
    let mut datagrams = net.intercept(C, B);
    assert_eq!(datagrams.len(), 1, "one frame is one datagram");
    datagrams.remove(0)
}

/// The same, with a number that A has not seen from B: C has told B more than B has told A.
fn direct_reply_with_a_fresh_number(net: &mut Net) -> Vec<u8> {
    for _ in 0..100 {
        net.reply(C, B, b"to B alone").unwrap();
    }
    net.run_a_little();
    net.events[B].clear();
    direct_reply(net)
}

fn assert_still_works(net: &mut Net) {
    net.events.iter_mut().for_each(Vec::clear);
    net.send(A, B, b"A to B").unwrap();
    net.send(A, C, b"A to C").unwrap();
    net.run_a_little();
    net.reply(C, A, b"C to A").unwrap();
    net.run_a_little();
    assert_eq!(net.delivered(A), [b"C to A"]);
    assert_eq!(net.delivered(B), [b"A to B"]);
    assert_eq!(net.delivered(C), [b"A to C"]);
}

fn sequence(datagram: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    bytes[2..].copy_from_slice(&datagram[SEQUENCE]);
    u64::from_be_bytes(bytes)
}
