//! A relay in its stride asks for no memory, nor do the ends of the way: every buffer they need, they have had before.

use std::time::Duration;

use allocation_counter::measure;
use peerbound_node::{Ecn, EndToEnd, Node, Sealing, Sending, Verdict};
use peerbound_wire::FlowId;

use crate::support::{Net, Plan, address};

const A: usize = 0;
const B: usize = 1;
const C: usize = 2;

/// Frames until every buffer has its size; the batches that wait go through the pool, too.
const WARM_UP: usize = 200;

#[test]
fn a_relay_in_its_stride_allocates_nothing_for_a_frame() {
    let (mut net, datagrams) = chain_with_datagrams_for_its_relay();
    let (relay, now) = (&mut net.nodes[B], net.clock.now());
    let mut pass_on = |datagrams: &[Vec<u8>]| {
        for datagram in datagrams {
            assert_eq!(relay.handle_datagram(address(A), datagram, now), Verdict::Accepted);
            let batch = relay.poll_transmit().expect("the frame goes on");
            assert_eq!((batch.destination, relay.poll_event()), (address(C), None));
            relay.recycle(batch.bytes);
            std::hint::black_box(relay.poll_timeout());
        }
    };
    pass_on(&datagrams[..WARM_UP]);

    let used = measure(|| pass_on(&datagrams[WARM_UP..]));

    assert_eq!(used.count_total, 0, "{used:?} for {WARM_UP} frames");
}

/// The same where its records are opened before they come to it, and sealed after they have left.
#[test]
fn nor_does_one_whose_records_are_opened_and_sealed_elsewhere() {
    let (mut net, datagrams) = chain_with_datagrams_for_its_relay();
    let (relay, now) = (&mut net.nodes[B], net.clock.now());
    relay.set_sealing(Sealing::Later);
    let opener = relay.opener_at(address(A)).unwrap();
    let mut plaintext = Vec::new();
    let mut pass_on = |datagrams: &[Vec<u8>]| {
        let key = opener.ready().unwrap();
        for datagram in datagrams {
            plaintext.clear();
            let opened = key.open(datagram, &mut plaintext).expect("a record of the session");
            assert_eq!(relay.handle_opened(address(A), &opened, &mut plaintext, now), Verdict::Accepted);
            let (batch, list) = relay.poll_unsealed().expect("the frame goes on").seal();
            assert_eq!((batch.destination, relay.poll_event()), (address(C), None));
            relay.recycle(batch.bytes);
            relay.recycle_list(list);
            std::hint::black_box(relay.poll_timeout());
        }
    };
    pass_on(&datagrams[..WARM_UP]);

    let used = measure(|| pass_on(&datagrams[WARM_UP..]));

    assert_eq!(used.count_total, 0, "{used:?} for {WARM_UP} frames");
}

fn chain_with_datagrams_for_its_relay() -> (Net, Vec<Vec<u8>>) {
    let mut net = Net::with(&Plan::chain_of_three(), |_, _, config| config.observe_frames = false);
    net.run_until_up();
    net.run_for(Duration::from_millis(100));
    for _ in 0..2 * WARM_UP {
        net.send(A, C, &[7; 1200]).unwrap();
    }
    let datagrams = net.intercept(A, B);
    assert_eq!(datagrams.len(), 2 * WARM_UP);
    (net, datagrams)
}

/// The same at both ends of a way: a packet of this host into an inner session, and out of one.
#[test]
fn origin_and_destination_of_packets_in_their_stride_allocate_nothing_either() {
    let mut net = Net::with(&Plan::chain_of_three(), |_, _, config| config.inner.default = EndToEnd::On);
    net.run_until_up();
    net.send(A, C, b"opens the session").unwrap();
    net.run_for(Duration::from_secs(1));
    let (destination, now) = (net.id(C), net.clock.now());
    let packet = [7; 1200];
    let mut datagrams = Vec::with_capacity(2 * WARM_UP);

    let send = |node: &mut Node, count: usize, mut take: Option<&mut Vec<Vec<u8>>>| {
        for _ in 0..count {
            let sending = Sending { destination, flow: FlowId(1), is_reply: false, payload: &packet };
            node.send_packet(sending, Ecn::NotCapable, now).unwrap();
            let batch = node.poll_transmit().expect("the packet leaves");
            if let Some(take) = &mut take {
                take.push(batch.bytes.clone());
            }
            node.recycle(batch.bytes);
            std::hint::black_box((node.poll_event(), node.poll_timeout()));
        }
    };
    send(&mut net.nodes[A], WARM_UP, None);
    let at_origin = measure(|| send(&mut net.nodes[A], WARM_UP, None));
    send(&mut net.nodes[A], 2 * WARM_UP, Some(&mut datagrams));
    let relayed: Vec<_> = datagrams
        .iter()
        .map(|datagram| {
            net.nodes[B].handle_datagram(address(A), datagram, now);
            let batch = net.nodes[B].poll_transmit().expect("the frame goes on");
            batch.bytes
        })
        .collect();
    let take_in = |node: &mut Node, datagrams: &[Vec<u8>]| {
        for datagram in datagrams {
            assert_eq!(node.handle_datagram(address(B), datagram, now), Verdict::Accepted);
            let delivered = node.poll_packet().expect("the packet is for us");
            assert_eq!(delivered.bytes, packet);
            node.recycle_packet(delivered.bytes);
            std::hint::black_box((node.poll_event(), node.poll_timeout()));
        }
    };
    take_in(&mut net.nodes[C], &relayed[..WARM_UP]);
    let at_destination = measure(|| take_in(&mut net.nodes[C], &relayed[WARM_UP..]));

    assert_eq!(at_origin.count_total, 0, "{at_origin:?} for {WARM_UP} packets");
    assert_eq!(at_destination.count_total, 0, "{at_destination:?} for {WARM_UP} packets");
}
