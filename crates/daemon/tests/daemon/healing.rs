//! Links that heal, on real sockets: a relay that is killed, a NAT that forgets, a name without an address.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use peerbound_daemon::{Daemon, Endpoint};
use peerbound_node::Event;
use peerbound_wire::FlowId;

use crate::nat::Nat;
use crate::support::{DEADLINE, Members, delivery, wait_for, wait_until};

const FLOW: FlowId = FlowId(9);
const A: usize = 0;
const B: usize = 1;
const C: usize = 2;

#[test]
fn a_relay_that_is_killed_and_started_again_carries_frames_and_nobody_saw_it_go_down() {
    let members = Members::new(&["A", "B", "C"]);
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let relay = |listen| members.start_deployed(B, listen, &[(A, None), (C, None)], &[], |_, _| {});
    let b = relay(any);
    let address = b.address();
    let a = members.start_deployed(A, any, &[(B, Some(address))], &[(C, B)], |_, _| {});
    let c = members.start_deployed(C, any, &[(B, Some(address))], &[(A, B)], |_, _| {});
    wait_until("all are up", || [&a, &b, &c].into_iter().all(is_up));

    b.abort(DEADLINE).unwrap();
    let started = Instant::now();
    let b = relay(address);
    wait_until("the relay carries frames", || {
        let _ = a.send(c.id(), FLOW, false, b"through B".to_vec());
        c.events().try_iter().any(|event| delivery(event).is_some())
    });
    eprintln!("from the start of the relay to the first frame: {:?}", started.elapsed());

    assert!(b.status().unwrap().counters.is_conserved());
    assert!(!a.events().try_iter().any(|event| matches!(event, Event::NeighbourDown { .. })));
}

#[test]
fn a_node_whose_nat_takes_another_port_moves_and_its_link_does_not_go_down() {
    let members = Members::new(&["A", "B"]);
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let b = members.start_deployed(B, any, &[(A, None)], &[], |_, _| {});
    let mut nat = Nat::before(b.address());
    let a = members.start_deployed(A, any, &[(B, Some(nat.address()))], &[], |_, _| {});
    wait_until("both are up", || [&a, &b].into_iter().all(is_up));
    let before = nat.outside();
    let settled = Instant::now() + Duration::from_secs(4);
    wait_until("the session has stood for a while", || Instant::now() > settled);

    nat.rebind();
    let rebound = Instant::now();
    let moved = wait_for(&b, "A has moved", |event| match event {
        Event::NeighbourMoved { from, to, .. } => Some((from, to)),
        Event::NeighbourDown { reason, .. } => panic!("A went down: {reason}"),
        _ => None,
    });
    eprintln!("from the new port to the move: {:?}", rebound.elapsed());

    assert_eq!(moved, (before, nat.outside()));
    wait_for(&a, "A has another session", |event| match event {
        Event::NeighbourReplaced { .. } => Some(()),
        Event::NeighbourDown { reason, .. } => panic!("B went down: {reason}"),
        _ => None,
    });
    b.send(a.id(), FLOW, false, b"are you there?".to_vec()).unwrap();
    let (_, payload) = wait_for(&a, "a frame arrives at the new port", delivery);
    assert_eq!(payload, b"are you there?");
}

#[test]
fn a_name_that_does_not_resolve_is_a_state_and_is_looked_up_again() {
    let members = Members::new(&["A", "B"]);
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let b = members.start_deployed(B, any, &[(A, None)], &[], |_, _| {});
    let (address, id) = (b.address(), b.id());
    let (is_known, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (known, asks) = (Arc::clone(&is_known), Arc::clone(&asked));

    let a = members.start_deployed(A, any, &[(B, None)], &[], |config, options| {
        config.endpoints.insert(id, vec![Endpoint::parse("relay.example.org:4433").unwrap()]);
        options.look_up = Some(Box::new(move |host, port| {
            assert_eq!((host, port), ("relay.example.org", 4433));
            asks.fetch_add(1, Ordering::Relaxed);
            let mine = "[2001:db8::1]:4433".parse().unwrap();
            if known.load(Ordering::Relaxed) {
                Ok(vec![mine, address])
            } else {
                Err(io::Error::other("no such name"))
            }
        }));
    });
    wait_until("the trouble is told", || {
        let told = a.status().unwrap().neighbours[0].last_error.clone();
        told.as_deref() == Some("its name relay.example.org does not resolve: no such name")
    });
    is_known.store(true, Ordering::Relaxed);

    wait_until("the link is up", || is_up(&a) && is_up(&b));
    assert_eq!(a.status().unwrap().neighbours[0].address, Some(address));
    assert!(asked.load(Ordering::Relaxed) >= 2);
}

#[test]
fn a_name_is_looked_up_by_the_system() {
    let members = Members::new(&["A", "B"]);
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let b = members.start_deployed(B, any, &[(A, None)], &[], |_, _| {});
    let (port, id) = (b.address().port(), b.id());

    let a = members.start_deployed(A, any, &[(B, None)], &[], |config, _| {
        config.endpoints.insert(id, vec![Endpoint::Name { host: "localhost".to_owned(), port }]);
    });

    wait_until("the link is up", || is_up(&a) && is_up(&b));
    let mtu = || a.status().unwrap().neighbours[0].mtu;
    wait_until("the link has found its size", || mtu() == Some(peerbound_dtls::MTU_DEFAULT));
}

fn is_up(daemon: &Daemon) -> bool {
    daemon.status().unwrap().neighbours.iter().all(|neighbour| neighbour.is_usable)
}
