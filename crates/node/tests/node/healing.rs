//! Links that broke without a word, and how long it takes until they carry frames again.

use std::net::SocketAddr;
use std::time::Duration;

use peerbound_node::{Event, Healing, Lock, NodeConfig, Verdict};
use peerbound_wire::NodeId;

use crate::support::{Net, Plan, address};

const A: usize = 0;
const B: usize = 1;
const C: usize = 2;

/// What a relay that was killed and started again may take to carry frames.
const BACK_WITHIN: Duration = Duration::from_millis(500);

#[test]
fn a_relay_that_only_others_dial_carries_frames_half_a_second_after_its_start() {
    // From before anybody misses it to long after everybody has given it up.
    for (phase, away) in
        [0, 40, 170, 260, 490].into_iter().zip([0, 30, 400, 700, 1500, 2000, 5000, 20_000].repeat(2))
    {
        assert_is_back_in_time(Duration::from_millis(phase), Duration::from_millis(away));
    }
    for away in [0, 10, 100, 700, 1740, 1800, 2500, 4000, 14_900, 15_200, 60_000, 200_000] {
        assert_is_back_in_time(Duration::from_millis(130), Duration::from_millis(away));
    }
}

#[test]
fn the_session_with_a_relay_that_lost_it_is_replaced_and_the_link_never_goes_down() {
    let mut net = chain_that_heals();
    net.run_for(Duration::from_secs(3));

    net.restart(B);
    net.run_for(Duration::from_secs(5));

    assert_eq!(net.story(A), ["B up", "B replaced"]);
    assert_eq!(net.story(C), ["B up", "B replaced"]);
    assert_eq!(net.story(B).len(), 4, "A and C up, before and after: {:?}", net.story(B));
    assert!(net.nodes[B].counters().advice_given >= 2);
}

#[test]
fn advice_of_somebody_who_saw_no_record_is_not_heeded() {
    let mut net = pair_that_heals();
    net.run_for(Duration::from_secs(3));
    let hellos = hellos_from(&net, A);

    for number in [0, 1 << 20, 1 << 40, (1 << 48) - 1] {
        let verdict = net.inject(address(B), A, &advice_about(if number == 0 { 1 << 30 } else { number }));
        assert_eq!(verdict, Verdict::Dropped(Lock::Gate));
    }
    net.run_for(Duration::from_secs(5));

    assert_eq!(hellos_from(&net, A), hellos);
    assert_eq!(net.story(A), ["B up"]);
}

#[test]
fn forged_advice_costs_a_handshake_now_and_then_and_never_a_session() {
    let mut net = pair_that_heals();
    net.run_for(Duration::from_secs(3));
    let hellos = hellos_from(&net, A);

    for round in 0..2000_u64 {
        // On the path, so that it knows the numbers.
        net.inject(address(B), A, &advice_about(round % 20));
        net.run_for(Duration::from_millis(10));
        if round % 100 == 0 {
            net.send(A, B, b"still there").unwrap();
        }
    }

    // Three at once and one in five seconds, of two hellos each.
    assert!(hellos_from(&net, A) - hellos <= 2 * (3 + 4 + 1), "{}", hellos_from(&net, A) - hellos);
    assert!(net.story(A)[1..].iter().all(|word| word == "B replaced"), "{:?}", net.story(A));
    assert!(net.story(B)[1..].iter().all(|word| word == "A replaced"), "{:?}", net.story(B));
    assert_eq!(net.delivered(B).len(), 20);
}

#[test]
fn advice_that_nobody_answers_costs_no_live_session() {
    let mut net = pair_that_heals();
    net.run_for(Duration::from_secs(3));
    net.handshakes_lost = true;

    net.inject(address(B), A, &advice_about(3));
    net.run_for(Duration::from_secs(30));

    let ends = |word: &String| word.contains("down") || word.contains("replaced");
    assert!(![net.story(A), net.story(B)].concat().iter().any(ends), "{:?}", net.story(A));
    net.send(A, B, b"still there").unwrap();
    net.run_a_little();
    assert_eq!(net.delivered(B).len(), 1);
}

#[test]
fn what_strangers_send_is_answered_with_less_and_not_without_end() {
    let mut net = pair_that_heals();
    let stranger = SocketAddr::from(([198, 51, 100, 7], 1));
    let now = net.clock.now();
    let mut record = vec![23, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 9, 0, 40];
    record.resize(13 + 40, 0);

    let mut answers = Vec::new();
    for _ in 0..10_000 {
        net.nodes[B].handle_datagram(stranger, &record, now);
        while let Some(batch) = net.nodes[B].poll_transmit() {
            let of_his = batch.datagrams().filter(|_| batch.destination == stranger);
            answers.extend(of_his.map(<[u8]>::to_vec));
        }
    }

    assert_eq!(answers.len(), 100);
    assert!(answers.iter().all(|answer| answer.len() == 15 && answer.len() < record.len()));
    assert_eq!(net.nodes[B].handle_datagram(stranger, &answers[0], now), Verdict::Dropped(Lock::Demux));
    assert!(net.nodes[B].poll_transmit().is_none(), "advice is not answered");
}

#[test]
fn a_node_that_is_not_to_heal_says_nothing_to_strangers() {
    let mut net = Net::up(&pair());
    let now = net.clock.now();
    let mut record = vec![23, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 9, 0, 40];
    record.resize(13 + 40, 0);

    net.nodes[B].handle_datagram(SocketAddr::from(([198, 51, 100, 7], 1)), &record, now);

    assert!(net.nodes[B].poll_transmit().is_none());
    assert_eq!(net.nodes[B].counters().advice_given, 0);
}

#[test]
fn whoever_gets_another_port_from_its_nat_moves_and_does_not_go_down() {
    assert_moves(A, B);
}

#[test]
fn the_one_that_was_dialled_may_move_as_well() {
    assert_moves(B, A);
}

#[test]
fn an_address_moves_only_for_whoever_can_prove_himself_there() {
    let mut net = pair_that_heals();
    net.run_for(Duration::from_secs(5));
    let thief = SocketAddr::from(([198, 51, 100, 7], 4433));
    let before = net.deliveries.len();
    net.run_for(Duration::from_secs(1));
    let records: Vec<_> =
        net.deliveries[before..].iter().filter(|seen| seen.to == B).map(|seen| seen.bytes.clone()).collect();

    for record in &records {
        assert_eq!(net.inject(thief, B, record), Verdict::Dropped(Lock::Demux), "a replay from elsewhere");
        net.inject(thief, B, &advice_about(3));
    }
    net.run_for(Duration::from_secs(5));

    assert_eq!(net.nodes[B].neighbours()[0].address, Some(address(A)));
    assert_eq!((net.story(A), net.story(B)), (vec!["B up".into()], vec!["A up".into()]));
}

#[test]
fn a_neighbour_that_restarts_behind_another_port_moves_and_begins_anew() {
    let mut net = pair_that_heals();
    net.run_for(Duration::from_secs(5));
    net.restart(A);
    net.ports[A] = 50_001;

    net.run_until(BACK_WITHIN, |net| net.story(A).len() == 2 && net.story(B).len() == 2);
    net.run_for(Duration::from_secs(5));

    assert_eq!(net.story(B), ["A up", "A moved"]);
    assert_carries(&mut net);
}

#[test]
fn a_way_that_is_lost_in_one_direction_is_withdrawn_in_both_and_comes_back() {
    for (from, to) in [(A, B), (B, A)] {
        let mut net = pair_that_heals();
        net.run_for(Duration::from_secs(3));
        net.cut.insert((from, to));
        net.farewells_lost.insert((to, from));

        net.run_until(Duration::from_secs(3), |net| !net.is_usable(A, B) && !net.is_usable(B, A));
        net.run_for(Duration::from_secs(20));
        assert!(!net.is_usable(A, B) && !net.is_usable(B, A));
        net.cut.clear();
        net.farewells_lost.clear();

        net.run_until(Duration::from_secs(5), Net::is_up);
        assert_carries(&mut net);
    }
}

#[test]
fn the_next_address_is_dialled_when_one_does_not_answer_and_the_good_one_comes_first_from_then_on() {
    let nowhere = SocketAddr::from(([203, 0, 113, 9], 4433));
    let mut net = Net::with(&pair(), |index, _, config| {
        heal(config);
        if index == A {
            config.neighbours[0].addresses = vec![nowhere, address(B)];
        }
    });

    net.run_until(Duration::from_millis(400), Net::is_up);
    assert_eq!(net.nodes[A].neighbours()[0].address, Some(address(B)));
    net.cut_both(A, B);
    net.run_until(Duration::from_secs(3), |net| !net.is_usable(A, B));
    net.cut.clear();

    net.run_until(BACK_WITHIN, Net::is_up);
    assert_carries(&mut net);
}

#[test]
fn all_addresses_that_fail_are_told_of_and_tried_again() {
    let nowhere = [9, 10].map(|last| SocketAddr::from(([203, 0, 113, last], 4433)));
    let mut net = Net::with(&pair(), |index, _, config| {
        heal(config);
        config.handshake_deadline = Duration::from_secs(2);
        if index == A {
            config.neighbours[0].addresses = nowhere.to_vec();
        }
    });

    net.run_for(Duration::from_secs(10));

    let story = net.story(A);
    assert!((6..=10).contains(&story.len()), "{story:?}");
    assert!(story.iter().all(|word| word == "B not reached: nothing answers at its address"), "{story:?}");
    for place in nowhere {
        let told = |event: &Event| matches!(event, Event::DialFailed { address, .. } if *address == place);
        assert!(net.events[A].iter().any(told), "{place}");
    }
}

#[test]
fn a_neighbour_without_an_address_is_dialled_once_it_is_given_one() {
    let mut net = Net::with(&pair(), |index, _, config| {
        heal(config);
        if index == A {
            config.neighbours[0].addresses.clear();
        }
    });
    net.run_for(Duration::from_secs(2));
    assert!(!net.is_up());
    let (b, now) = (net.id(B), net.clock.now());

    assert!(net.nodes[A].set_neighbour_addresses(b, vec![address(B)], now));

    net.run_until(Duration::from_millis(100), Net::is_up);
    assert!(!net.nodes[A].set_neighbour_addresses(NodeId::new([7; 16]), vec![address(B)], now));
}

#[test]
fn another_address_is_dialled_beside_one_that_does_not_answer() {
    let nowhere = SocketAddr::from(([203, 0, 113, 9], 4433));
    let mut net = Net::with(&pair(), |index, _, config| {
        heal(config);
        if index == A {
            config.neighbours[0].addresses = vec![nowhere];
        }
    });
    net.run_for(Duration::from_secs(2));
    let (b, now) = (net.id(B), net.clock.now());

    net.nodes[A].set_neighbour_addresses(b, vec![address(B)], now);

    net.run_until(Duration::from_millis(200), Net::is_up);
}

/// Takes the relay away for a while, and holds it to its time when it is back.
fn assert_is_back_in_time(phase: Duration, away: Duration) {
    let mut net = chain_that_heals();
    net.run_for(Duration::from_secs(3) + phase);
    net.cut_both(A, B);
    net.cut_both(B, C);
    net.run_for(away);
    net.cut.clear();
    net.restart(B);
    let started = net.clock.elapsed();

    while net.delivered(C).is_empty() {
        let _ = net.send(A, C, b"through B");
        net.run_for(Duration::from_millis(10));
        let took = net.clock.elapsed() - started;
        assert!(took <= BACK_WITHIN, "after {away:?} at {phase:?}: {:?}, {:?}", net.story(A), net.story(B));
    }
}

/// Lets one of two move while both send, and looks whether anything is lost.
fn assert_moves(mover: usize, other: usize) {
    let mut net = pair_that_heals();
    net.run_for(Duration::from_secs(5));
    let elsewhere = SocketAddr::new(address(mover).ip(), 50_001);
    net.ports[mover] = 50_001;

    // Frames are lost between the move and the end of the handshake: two round trips after the next hello.
    net.run_until(BACK_WITHIN, |net| net.story(other).len() == 2 && net.story(mover).len() == 2);
    assert_eq!(net.nodes[other].neighbours()[0].address, Some(elsewhere));
    for index in 0..100_u8 {
        net.send(A, B, &[index]).unwrap();
        net.send(B, A, &[index]).unwrap();
        net.run_for(Duration::from_millis(50));
    }

    let (name_of_mover, name_of_other) = (["A", "B"][mover], ["A", "B"][other]);
    assert_eq!(net.story(other), [format!("{name_of_mover} up"), format!("{name_of_mover} moved")]);
    assert_eq!(net.story(mover), [format!("{name_of_other} up"), format!("{name_of_other} replaced")]);
    assert_eq!((net.delivered(A).len(), net.delivered(B).len()), (100, 100));
    let moved = |event: &Event| matches!(event, Event::NeighbourMoved { from, to, .. } if *from == address(mover) && *to == elsewhere);
    assert!(net.events[other].iter().any(moved));
}

fn assert_carries(net: &mut Net) {
    let before = (net.delivered(A).len(), net.delivered(B).len());
    net.send(A, B, b"there").unwrap();
    net.send(B, A, b"and back").unwrap();
    net.run_for(Duration::from_millis(600));
    assert_eq!((net.delivered(A).len(), net.delivered(B).len()), (before.0 + 1, before.1 + 1));
}

fn hellos_from(net: &Net, from: usize) -> usize {
    let is_hello = |bytes: &[u8]| peerbound_dtls::is_client_hello(bytes);
    net.deliveries.iter().filter(|seen| seen.from == from && is_hello(&seen.bytes)).count()
}

/// The advice of somebody who claims to have seen the record with this number.
fn advice_about(number: u64) -> Vec<u8> {
    let mut record = vec![23, 0xfe, 0xfd, 0, 1];
    record.extend(&number.to_be_bytes()[2..]);
    record.extend([0, 24]);
    record.resize(13 + 24, 0);
    peerbound_dtls::advice_for(&record).unwrap().to_vec()
}

/// A dials B.
fn pair() -> Plan {
    Plan { nodes: 2, links: vec![(A, B)], routes: Vec::new() }
}

fn heal(config: &mut NodeConfig) {
    config.healing = Healing::On;
}

fn pair_that_heals() -> Net {
    let mut net = Net::with(&pair(), |_, _, config| heal(config));
    net.run_until_up();
    net
}

/// A and C dial B, and reach each other through it.
fn chain_that_heals() -> Net {
    let plan = Plan { links: vec![(A, B), (C, B)], ..Plan::chain_of_three() };
    let mut net = Net::with(&plan, |_, _, config| heal(config));
    net.run_until_up();
    net
}
