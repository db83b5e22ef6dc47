//! A node whose records are opened and sealed on other threads than its own is the same node.

use std::time::Duration;

use peerbound_node::{Counters, DatagramDrop, EndToEnd, Lock, Sealing, Verdict};

use crate::support::{Conditions, FAIR, Net, Plan, Weather, address};

const A: usize = 0;
const B: usize = 1;
const C: usize = 2;

/// What each node of a chain counted, and what arrived at its far end, after some traffic in bad weather.
fn story_of_a_chain(elsewhere: bool, end_to_end: EndToEnd) -> (Vec<Counters>, Vec<Vec<u8>>) {
    let mut net = Net::with(&Plan::chain_of_three(), |_, _, config| config.inner.default = end_to_end);
    net.elsewhere = elsewhere;
    net.run_until_up();
    net.send(A, C, b"opens the session").unwrap();
    net.run_for(Duration::from_secs(1));
    let before: Vec<_> = net.nodes.iter().map(|node| node.counters().datagrams_received).collect();
    let jitter = Duration::from_millis(3);
    net.weather = Weather::new(Conditions { loss: 3, twice: 20, jitter, ..FAIR }, 7);
    for number in 0..300_u32 {
        net.send(A, C, &[&number.to_be_bytes()[..], &[7; 900]].concat()).unwrap();
        net.reply(C, A, &number.to_be_bytes()).unwrap();
        if number % 16 == 0 {
            net.run_for(Duration::from_millis(4));
        }
    }
    net.run_for(Duration::from_millis(100));
    let count = |(node, before): (&peerbound_node::Node, u64)| {
        let mut counters = node.counters();
        counters.datagrams_received -= before;
        counters
    };
    (net.nodes.iter().zip(before).map(count).collect(), net.delivered(C))
}

#[test]
fn it_counts_drops_and_delivers_the_same_in_the_same_weather() {
    for end_to_end in [EndToEnd::Off, EndToEnd::On] {
        let (counters, delivered) = story_of_a_chain(true, end_to_end);
        let (counters_alone, delivered_alone) = story_of_a_chain(false, end_to_end);

        assert!(counters[B].records_discarded.total() > 0, "copies were refused");
        assert!(delivered.len() > 200, "{}", delivered.len());
        assert_eq!(delivered, delivered_alone);
        assert_eq!(counters, counters_alone);
    }
}

#[test]
fn keys_change_under_way_and_nothing_is_lost() {
    let mut net = Net::with(&Plan::chain_of_three(), |_, _, config| config.rekey_records = 50);
    net.elsewhere = true;
    net.run_until_up();

    for number in 0..400_u32 {
        net.send(A, C, &number.to_be_bytes()).unwrap();
        net.run_for(Duration::from_millis(3));
    }
    net.run_for(Duration::from_millis(100));

    assert!(net.story(B).iter().filter(|word| word.ends_with("replaced")).count() >= 5, "{:?}", net.story(B));
    let expected: Vec<_> = (0..400_u32).map(|number| number.to_be_bytes().to_vec()).collect();
    assert!(net.delivered(C) == expected, "{} of 400 arrived", net.delivered(C).len());
}

/// A thread opened a record, and before the node came to see it the session was over.
#[test]
fn what_was_opened_for_a_session_that_is_over_is_dropped_as_any_for_none() {
    let mut net = Net::up(&Plan::chain_of_three());
    net.send(A, B, b"late").unwrap();
    let datagram = net.intercept(A, B).pop().unwrap();
    let (relay, now) = (&mut net.nodes[B], net.clock.now());
    let mut plaintext = Vec::new();
    let opener = relay.opener_at(address(A)).unwrap();
    let opened = opener.ready().unwrap().open(&datagram, &mut plaintext).unwrap();

    relay.shutdown(now);

    let verdict = relay.handle_opened(address(A), &opened, &mut plaintext, now);
    assert_eq!(verdict, Verdict::Dropped(Lock::Demux));
    assert_eq!(relay.counters().datagrams_dropped[&DatagramDrop::NoSession], 1);
    assert!(opener.ready().is_none(), "and its key is gone");
}

/// Frames that wait for room keep their order and are sealed in it, whoever seals them.
#[test]
fn what_waited_leaves_in_order_with_its_numbers_in_order() {
    let mut net = Net::up(&Plan::chain_of_three());
    net.nodes[B].set_sealing(Sealing::Later);
    net.nodes[B].handle_room(0, net.clock.now());
    for number in 0..50_u32 {
        net.send(A, C, &number.to_be_bytes()).unwrap();
    }
    net.run_for(Duration::from_millis(50));
    assert!(net.delivered(C).is_empty());

    net.elsewhere = true;
    net.nodes[B].handle_room(usize::MAX, net.clock.now());
    net.run_for(Duration::from_millis(50));

    let expected: Vec<_> = (0..50_u32).map(|number| number.to_be_bytes().to_vec()).collect();
    assert_eq!(net.delivered(C), expected);
}
