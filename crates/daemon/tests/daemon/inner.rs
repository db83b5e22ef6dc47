//! Sessions from end to end between daemons on real sockets.

use peerbound_node::{EndToEnd, Event, InnerEvent, InnerState};
use peerbound_wire::{ErrorCode, Flags, FlowId};

use crate::support::{DEADLINE, Members, delivery, wait_for, wait_until};

const FLOW: FlowId = FlowId(9);

#[test]
fn payloads_cross_the_relay_sealed_and_a_restart_of_the_far_end_is_mended() {
    let members = Members::new(&["A", "B", "C"]);
    let b = members.start_end_to_end(1, &[(0, None), (2, None)], &[], EndToEnd::On);
    let a = members.start_end_to_end(0, &[(1, Some(b.address()))], &[(2, 1)], EndToEnd::On);
    let start_c = || members.start_end_to_end(2, &[(1, Some(b.address()))], &[(0, 1)], EndToEnd::On);
    let c = start_c();
    for daemon in [&a, &b, &c] {
        wait_until("all neighbours are up", || {
            daemon.status().unwrap().neighbours.iter().all(|neighbour| neighbour.is_usable)
        });
    }

    a.send(c.id(), FLOW, false, b"over there?".to_vec()).unwrap();
    let (request, payload) = wait_for(&c, "the request arrives", delivery);
    assert_eq!((&payload[..], request.flags), (&b"over there?"[..], Flags::INNER));
    c.send(request.source, request.flow, true, b"over here.".to_vec()).unwrap();
    assert_eq!(wait_for(&a, "the reply arrives", delivery).1, b"over here.");

    let far_end = c.id();
    c.abort(DEADLINE).unwrap();
    let c = start_c();
    wait_until("C is back", || b.status().unwrap().neighbours.iter().all(|neighbour| neighbour.is_usable));
    wait_until("a payload arrives again", || {
        let _ = a.send(far_end, FLOW, false, b"again".to_vec());
        c.events().try_iter().filter_map(delivery).any(|(_, payload)| payload == b"again")
    });

    let views = a.handle().with_node(|node, _| node.inner_sessions()).unwrap();
    assert_eq!((views[0].peer, views[0].state), (far_end, InnerState::Established));
    for daemon in [a, b, c] {
        let counters = daemon.status().unwrap().counters;
        assert!(counters.is_conserved(), "{counters:#?}");
    }
}

#[test]
fn a_far_end_with_e2e_off_is_heard_to_say_so() {
    let members = Members::new(&["A", "B", "C"]);
    let b = members.start_end_to_end(1, &[(0, None), (2, None)], &[], EndToEnd::On);
    let a = members.start_end_to_end(0, &[(1, Some(b.address()))], &[(2, 1)], EndToEnd::On);
    let c = members.start_end_to_end(2, &[(1, Some(b.address()))], &[(0, 1)], EndToEnd::Off);
    for daemon in [&a, &b, &c] {
        wait_until("all neighbours are up", || {
            daemon.status().unwrap().neighbours.iter().all(|neighbour| neighbour.is_usable)
        });
    }

    let packet = a.send(c.id(), FLOW, false, b"sealed".to_vec()).unwrap();

    let (reporter, message) = wait_for(&a, "the refusal", |event| match event {
        Event::Error { reporter, message } => Some((reporter, message)),
        Event::Inner(InnerEvent::Opened { .. }) => panic!("no session opens"),
        _ => None,
    });
    assert_eq!((reporter, message.code), (c.id(), ErrorCode::InnerRefused));
    assert_eq!(message.offending.packet, packet);
}
