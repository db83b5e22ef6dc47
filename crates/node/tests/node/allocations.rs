//! A relay in its stride asks for no memory: every buffer it needs, it has had before.

use std::time::Duration;

use allocation_counter::measure;
use peerbound_node::Verdict;

use crate::support::{Net, Plan, address};

const A: usize = 0;
const B: usize = 1;
const C: usize = 2;

/// Frames until every buffer has its size; the batches that wait go through the pool, too.
const WARM_UP: usize = 200;

#[test]
fn a_relay_in_its_stride_allocates_nothing_for_a_frame() {
    let mut net = Net::with(&Plan::chain_of_three(), |_, _, config| config.observe_frames = false);
    net.run_until_up();
    net.run_for(Duration::from_millis(100));
    for _ in 0..2 * WARM_UP {
        net.send(A, C, &[7; 1200]).unwrap();
    }
    let datagrams = net.intercept(A, B);
    assert_eq!(datagrams.len(), 2 * WARM_UP);
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
