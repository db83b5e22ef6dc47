//! Frames through three daemons, one by one and in bulk.

use std::collections::BTreeSet;

use peerbound_daemon::CommandError;
use peerbound_node::{Event, SendError};
use peerbound_wire::FlowId;

use crate::support::{Members, delivery, wait_for, wait_until};

const FLOW: FlowId = FlowId(9);

#[test]
fn a_request_goes_through_the_relay_and_its_reply_comes_back_through_it() {
    let members = Members::new(&["A", "B", "C"]);
    let [a, b, c] = members.chain();

    a.send(c.id(), FLOW, false, b"over there?".to_vec()).unwrap();
    let (request, payload) = wait_for(&c, "the request arrives", delivery);
    assert_eq!(payload, b"over there?");
    c.send(request.source, request.flow, true, b"over here.".to_vec()).unwrap();
    let (reply, payload) = wait_for(&a, "the reply arrives", delivery);

    assert_eq!((reply.source, &payload[..]), (c.id(), &b"over here."[..]));
    let counters = b.status().unwrap().counters;
    assert!(counters.is_conserved(), "{counters:#?}");
}

#[test]
fn a_bulk_of_frames_crosses_the_relay_in_batches_and_none_is_lost_or_doubled() {
    let members = Members::new(&["A", "B", "C"]);
    let [a, b, c] = members.chain();
    let total = 2000_u32;

    let received = std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..total {
                let payload = [&number.to_be_bytes()[..], &[0; 1000]].concat();
                loop {
                    match a.send(c.id(), FLOW, false, payload.clone()) {
                        Ok(_) => break,
                        Err(CommandError::Send(SendError::QueueFull) | CommandError::Busy) => {
                            std::thread::yield_now();
                        }
                        Err(error) => panic!("{error}"),
                    }
                }
            }
        });
        let mut received = BTreeSet::new();
        while received.len() < usize::try_from(total).unwrap() {
            let (_, payload) = wait_for(&c, "every frame arrives", delivery);
            assert!(received.insert(payload[..4].to_vec()), "a frame came twice");
        }
        received
    });

    assert_eq!(received.len(), 2000);
    let status = b.status().unwrap();
    assert!(status.counters.is_conserved(), "{:#?}", status.counters);
}

#[test]
fn a_ping_is_answered_through_the_relay() {
    let members = Members::new(&["A", "B", "C"]);
    let [a, _b, c] = members.chain();

    a.ping(c.id(), FLOW, 77).unwrap();

    let pong = wait_for(&a, "the pong arrives", |event| match event {
        Event::Pong { from, token, .. } => Some((from, token)),
        _ => None,
    });
    assert_eq!(pong, (c.id(), 77));
}

#[test]
fn a_relay_that_stops_is_missed_at_once_and_named_in_the_refusal() {
    let members = Members::new(&["A", "B", "C"]);
    let [a, b, c] = members.chain();

    b.shutdown(crate::support::DEADLINE).unwrap();
    wait_until("A misses B", || !a.status().unwrap().neighbours[0].is_usable);

    let refusal = a.send(c.id(), FLOW, false, b"hello?".to_vec()).unwrap_err().to_string();
    assert!(refusal.contains("neighbour \"node1\" is down"), "{refusal}");
}
