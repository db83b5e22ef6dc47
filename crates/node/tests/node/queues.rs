//! What waits at a relay whose owner cannot take everything at once: who goes first, who is told of
//! congestion, what is dropped when the queue is full, and that the links stay alive meanwhile.

use std::time::Duration;

use peerbound_node::{Ecn, Event, FrameAction, FrameDrop, QUEUE_BYTES_MAX, QueueView, Rate, Sending};
use peerbound_wire::{ErrorCode, Flags, FlowId, Header, Kind};

use crate::support::{FLOW, Net, Plan, address};

const A: usize = 0;
const B: usize = 1;
const C: usize = 2;

/// As much as there ever is.
const ALL: usize = usize::MAX;

fn set_room(net: &mut Net, bytes: usize) {
    let now = net.clock.now();
    net.nodes[B].handle_room(bytes, now);
}

/// B's queue to C.
fn queue(net: &Net) -> QueueView {
    let to_c = net.id(C);
    net.nodes[B].queues().into_iter().find(|queue| queue.neighbour == to_c).unwrap()
}

/// Sends frames from A to C that get as far as B.
fn send(net: &mut Net, frames: usize, bytes: usize) {
    for number in 0..frames {
        let mut payload = vec![0; bytes];
        payload[..8].copy_from_slice(&(number as u64).to_be_bytes());
        net.send(A, C, &payload).unwrap();
    }
    net.run_a_little();
}

fn numbers(net: &Net) -> Vec<u64> {
    let number = |payload: &Vec<u8>| u64::from_be_bytes(payload[..8].try_into().unwrap());
    net.delivered(C).iter().map(number).collect()
}

/// Lets B's owner take one datagram every five milliseconds.
fn drain_slowly(net: &mut Net, steps: usize) {
    for _ in 0..steps {
        net.run_for(Duration::from_millis(5));
        set_room(net, 1);
        let batch = net.nodes[B].poll_transmit();
        set_room(net, 0);
        for (to, batch) in
            batch.iter().map(|batch| (if batch.destination == address(C) { C } else { A }, batch))
        {
            for datagram in batch.datagrams() {
                net.inject(address(B), to, datagram);
            }
        }
    }
}

#[test]
fn frames_wait_for_a_relay_whose_owner_takes_nothing_and_its_links_live() {
    let mut net = Net::up(&Plan::chain_of_three());
    set_room(&mut net, 0);
    send(&mut net, 50, 1000);

    net.run_for(Duration::from_secs(10));

    let waiting = queue(&net);
    assert_eq!((waiting.frames, waiting.flows), (50, 1));
    assert_eq!(waiting.bytes, 50 * (1000 + 54));
    assert!(waiting.oldest >= Duration::from_secs(9));
    assert_eq!(net.nodes[B].counters().frames_queued, 50);
    assert!(net.is_up() && net.delivered(C).is_empty());

    set_room(&mut net, ALL);
    net.run_a_little();

    assert_eq!(numbers(&net), (0..50).collect::<Vec<_>>(), "all of them, in their order");
    assert_eq!(net.nodes[B].counters().frames_queued, 0);
    assert!(net.nodes[B].queue_delay(net.id(C)).is_zero());
}

#[test]
fn a_rate_is_set_raised_and_taken_away_while_frames_wait() {
    let mut net = Net::up(&Plan::chain_of_three());
    let (to_c, to_a) = (net.id(C), net.id(A));
    let slow = Rate::from_bits_per_second(64_000);

    net.nodes[B].set_rates([(to_c, slow.unwrap()), (to_a, slow.unwrap())].into());
    send(&mut net, 50, 1000);
    assert_eq!(queue(&net).rate, slow);
    let waiting = queue(&net).frames;
    assert!(waiting >= 45, "{waiting} of 50 wait");

    net.nodes[B].set_rates([(to_a, slow.unwrap())].into());
    set_room(&mut net, ALL);
    net.run_a_little();
    assert_eq!((queue(&net).frames, queue(&net).rate), (0, None));
    assert_eq!(numbers(&net), (0..50).collect::<Vec<_>>(), "all of them, in their order");

    net.nodes[B].set_rates([].into());
    send(&mut net, 50, 1000);
    assert_eq!(net.delivered(C).len(), 100);
}

#[test]
fn where_the_owner_takes_everything_nothing_waits() {
    let mut net = Net::up(&Plan::chain_of_three());

    send(&mut net, 500, 1000);

    assert_eq!(net.delivered(C).len(), 500);
    assert_eq!(queue(&net).passed, 0);
}

#[test]
fn a_ping_overtakes_the_frames_of_another_flow() {
    let mut net = Net::up(&Plan::chain_of_three());
    set_room(&mut net, 0);
    send(&mut net, 100, 1000);
    let (to, now) = (net.id(C), net.clock.now());
    net.nodes[A].ping(to, FlowId(77), 5, now).unwrap();
    net.run_a_little();

    set_room(&mut net, ALL);
    net.run_a_little();

    let delivered = net.events[C].iter().filter_map(|event| match event {
        Event::Frame(seen) if seen.action == FrameAction::Delivered => Some(seen.header.kind),
        _ => None,
    });
    let at = delivered.into_iter().position(|kind| kind == Kind::Ping).unwrap();
    assert!(at <= 2, "{at} frames of 100 went before it");
}

#[test]
fn a_queue_that_stands_drops_frames_and_tells_by_which_reason() {
    let mut net = Net::up(&Plan::chain_of_three());
    set_room(&mut net, 0);
    send(&mut net, 300, 1000);

    drain_slowly(&mut net, 200);

    let (view, dropped) = (queue(&net), net.dropped(B, FrameDrop::Codel));
    assert!(dropped > 5, "{view:?}");
    assert_eq!(view.dropped, [(FrameDrop::Codel, dropped)].into());
    assert!(view.sojourn > Duration::from_millis(500), "{view:?}");
    assert_eq!(net.nodes[B].queue_delay(net.id(C)), view.sojourn);
    let told = net.events[B].iter().filter(
        |event| matches!(event, Event::Frame(seen) if seen.action == FrameAction::Dropped(FrameDrop::Codel)),
    );
    assert_eq!(told.count() as u64, dropped);
    assert!(net.is_up());
}

#[test]
fn frames_of_a_sender_who_heeds_marks_are_marked_and_not_dropped() {
    let mut net = Net::new(&Plan::chain_of_three());
    net.replace_by_insider(A, B);
    net.run_until_up();
    set_room(&mut net, 0);
    let destination = net.id(C);
    for _ in 0..200 {
        let header = net.insider(A).header(Kind::Data, destination);
        net.insider(A).send_frame(Header { flow: FLOW, flags: Flags::ECN_CAPABLE, ..header }, &[7; 1000]);
    }
    net.run_a_little();

    drain_slowly(&mut net, 150);
    set_room(&mut net, ALL);
    net.run_a_little();

    let delivered = net.deliveries_at(C);
    let is_marked = |header: &Header| header.flags.contains(Flags::CONGESTION);
    let marked = delivered.iter().filter(|(header, _)| is_marked(header)).count();
    assert_eq!(delivered.len(), 200, "none is dropped");
    assert!(delivered.iter().all(|(header, _)| header.flags.contains(Flags::ECN_CAPABLE)));
    assert!((5..100).contains(&marked), "{marked}");
    assert_eq!(queue(&net).marked, marked as u64);
}

#[test]
fn a_link_with_a_rate_carries_so_much_and_the_rest_waits() {
    let rate = Rate::from_bits_per_second(8_000_000).unwrap();
    let mut net = Net::with(&Plan::chain_of_three(), |index, ids, config| {
        if index == B {
            config.rates.insert(ids[C], rate);
        }
    });
    net.run_until_up();
    let start = net.clock.elapsed();
    for _ in 0..100 {
        net.send(A, C, &[7; 1000]).unwrap();
    }

    net.run_until(Duration::from_secs(5), |net| net.delivered(C).len() == 100);

    // 1000 of payload, 54 of header, 37 of the record, 28 of UDP and IP: a byte each microsecond.
    let took = net.clock.elapsed() - start;
    assert!(took > Duration::from_micros(100 * 1119 - 6000), "{took:?}");
    assert!(took < Duration::from_micros(100 * 1119 + 6000), "{took:?}");
    assert_eq!(queue(&net).rate, Some(rate));
}

#[test]
fn a_frame_that_does_not_fit_is_refused_before_it_waits() {
    let mut net =
        Net::with(&Plan::chain_of_three(), |index, _, config| config.mtu = [1400, 700, 1400][index]);
    net.run_until_up();
    set_room(&mut net, 0);

    send(&mut net, 1, 1000);

    let errors: Vec<_> = net.errors(A).into_iter().map(|(_, error)| error.code).collect();
    assert_eq!(errors, [ErrorCode::TooBig]);
    assert_eq!((net.dropped(B, FrameDrop::TooBig), queue(&net).frames), (1, 0));
}

#[test]
fn what_waits_for_a_neighbour_that_goes_away_is_dropped_and_reported() {
    let mut net = Net::up(&Plan::chain_of_three());
    set_room(&mut net, 0);
    send(&mut net, 20, 1000);
    net.cut_both(B, C);
    net.run_for(Duration::from_secs(3));
    assert!(!net.is_usable(B, C));

    set_room(&mut net, ALL);
    net.run_a_little();

    let counters = net.nodes[B].counters();
    assert_eq!(counters.frames_queued, 0);
    assert_eq!(net.dropped(B, FrameDrop::NoRoute), 20, "{counters:?}");
    assert_eq!(net.errors(A).len(), 20);
    assert!(net.errors(A).iter().all(|(_, error)| error.code == ErrorCode::NoRoute));
    assert_eq!(queue(&net).dropped, [(FrameDrop::NoRoute, 20)].into());
}

#[test]
fn a_full_queue_drops_the_oldest_of_its_fattest_flow() {
    let mut net = Net::up(&Plan::chain_of_three());
    set_room(&mut net, 0);
    let (to, now) = (net.id(C), net.clock.now());
    net.nodes[A].ping(to, FlowId(77), 5, now).unwrap();
    let frames = 2 * QUEUE_BYTES_MAX / 1300;
    send(&mut net, frames, 1300);

    let (view, dropped) = (queue(&net), net.dropped(B, FrameDrop::QueueBytes));
    assert_eq!((view.frames, view.flows), (frames + 1 - usize::try_from(dropped).unwrap(), 2));
    assert!(view.bytes <= QUEUE_BYTES_MAX && view.bytes > QUEUE_BYTES_MAX / 2, "{view:?}");
    set_room(&mut net, ALL);
    net.run_a_little();

    assert_eq!(numbers(&net), (dropped..frames as u64).collect::<Vec<_>>());
    assert!(net.events[A].iter().any(|event| matches!(event, Event::Pong { token: 5, .. })));
}

/// What waits in the kernel, because a relay has no time for it, is a queue as well: whoever fills it is told when it stands.
#[test]
fn what_waits_for_the_relay_itself_is_told_to_those_who_fill_it() {
    let mut net = Net::up(&Plan::chain_of_three());
    let mut told = [0, 0];
    for (round, flags) in [Flags::default(), Flags::ECN_CAPABLE].into_iter().enumerate() {
        net.nodes[B].handle_wait(Duration::from_millis(20));
        for _ in 0..300 {
            let ecn = if flags == Flags::default() { Ecn::NotCapable } else { Ecn::Capable };
            let sending =
                Sending { destination: net.id(C), flow: FLOW, is_reply: false, payload: &[0x60; 80] };
            let now = net.clock.now();
            net.nodes[A].send_packet(sending, ecn, now).unwrap();
            net.run_for(Duration::from_millis(2));
        }
        net.nodes[B].handle_wait(Duration::ZERO);
        let dropped = usize::try_from(net.dropped(B, FrameDrop::Codel)).unwrap();
        let arrived: Vec<_> = std::iter::from_fn(|| net.nodes[C].poll_packet()).collect();
        let marked = arrived.iter().filter(|packet| packet.header.flags.contains(Flags::CONGESTION)).count();
        told[round] = if round == 0 { dropped } else { marked };
        assert_eq!(arrived.len(), if round == 0 { 300 - dropped } else { 300 });
    }

    assert!(told.iter().all(|told| (3..60).contains(told)), "dropped and marked: {told:?}");
    assert!(net.is_up(), "and the links are not told");
}
