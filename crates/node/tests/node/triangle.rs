//! A–B–C: the request goes through B and comes back through B; the direct reply does not arrive.

use std::time::Duration;

use peerbound_node::{Event, FrameAction, Sending};

use crate::support::{FLOW, Net, Plan};

const A: usize = 0;
const B: usize = 1;
const C: usize = 2;

#[test]
fn a_request_goes_a_b_c_and_its_reply_c_b_a() {
    let mut net = Net::up(&Plan::chain_of_three());
    let (a, c) = (net.id(A), net.id(C));
    let now = net.clock.now();
    let request = Sending { destination: c, flow: FLOW, is_reply: false, payload: b"who is there?" };
    net.nodes[A].send(request, now).unwrap();
    net.run_for(Duration::from_millis(100));
    assert_eq!(net.delivered(C), [b"who is there?"]);

    let now = net.clock.now();
    net.nodes[C].send(Sending { destination: a, flow: FLOW, is_reply: true, payload: b"C" }, now).unwrap();
    net.run_for(Duration::from_millis(100));

    assert_eq!(net.delivered(A), [b"C"]);
    let relayed: Vec<_> = net.events[B]
        .iter()
        .filter_map(|event| match event {
            Event::Frame(seen) => Some((seen.from, seen.action)),
            _ => None,
        })
        .collect();
    assert_eq!(relayed, [(Some(a), FrameAction::Sent(c)), (Some(c), FrameAction::Sent(a))]);
    net.assert_conserved();
}
