//! What an experiment is told of a node that runs as it is deployed, and the ends it can make.

use std::net::UdpSocket;
use std::time::Instant;

use crossbeam_channel::{Receiver, bounded};
use peerbound_daemon::{Daemon, OBSERVATIONS_MAX, Observation, Observed, Observer, StartOptions};
use peerbound_dtls::{KeyOracle, Record};
use peerbound_node::{DatagramDrop, Event, Lock, Reason, Verdict};
use peerbound_wire::FlowId;

use crate::support::{DEADLINE, Members, wait_until};

const A: usize = 0;
const B: usize = 1;

/// A–B, both observed through one channel.
fn observed_pair() -> (Daemon, Daemon, Receiver<Observation>) {
    let members = Members::new(&["A", "B"]);
    let (sender, observations) = bounded(OBSERVATIONS_MAX);
    let options = |station| StartOptions {
        observer: Some(Observer::new(station, sender.clone(), None)),
        ..StartOptions::default()
    };
    let b = members.start_with(B, &[(A, None)], options(B));
    let a = members.start_with(A, &[(B, Some(b.address()))], options(A));
    (a, b, observations)
}

/// Takes observations until one fits, and returns them all.
fn take_until(
    observations: &Receiver<Observation>,
    what: &str,
    fits: impl Fn(&Observation) -> bool,
) -> Vec<Observation> {
    let end = Instant::now() + DEADLINE;
    let mut taken = Vec::new();
    loop {
        let observation =
            observations.recv_deadline(end).unwrap_or_else(|_| panic!("within {DEADLINE:?}: {what}"));
        let is_last = fits(&observation);
        taken.push(observation);
        if is_last {
            return taken;
        }
    }
}

#[test]
fn the_keys_of_a_session_are_told_before_anything_that_needs_them() {
    let (a, b, observations) = observed_pair();
    let taken = take_until(&observations, "A has B as a neighbour", |observation| {
        observation.station == A && matches!(observation.what, Observed::Event(Event::NeighbourUp { .. }))
    });

    let mut oracle = KeyOracle::default();
    let mut accepted = 0;
    for Observation { what, station, .. } in taken {
        match what {
            Observed::Keys { secrets, role, .. } => oracle.learn((station, role), &secrets).unwrap(),
            Observed::Sent { bytes, .. } | Observed::Arrived { bytes, verdict: Verdict::Accepted, .. } => {
                let (record, _) = Record::split(&bytes).unwrap();
                if record.header.epoch == 1 {
                    assert!(oracle.identify(&record).is_some(), "{station}: {record:?}");
                    accepted += 1;
                }
            }
            Observed::Arrived { .. } | Observed::Told { .. } | Observed::Event(_) => {}
        }
    }
    // Both report the one session; each has sent at least a hello under its keys.
    assert_eq!(oracle.sessions(), 2);
    assert!(accepted >= 2, "{accepted}");
    drop((a, b));
}

#[test]
fn a_stray_datagram_is_told_of_with_its_verdict_and_its_reason() {
    let (a, _b, observations) = observed_pair();
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();

    stranger.send_to(b"is anybody there?", a.address()).unwrap();

    let taken = take_until(
        &observations,
        "the stray arrives",
        |observation| matches!(&observation.what, Observed::Arrived { bytes, .. } if bytes == b"is anybody there?"),
    );
    let Some(Observed::Arrived { from, verdict, reason, .. }) = taken.last().map(|last| &last.what) else {
        unreachable!("the last one is that which was waited for");
    };
    assert_eq!(*from, stranger.local_addr().unwrap());
    assert_eq!(
        (*verdict, *reason),
        (Verdict::Dropped(Lock::Demux), Some(Reason::Datagram(DatagramDrop::NoSession)))
    );
}

#[test]
fn a_node_that_is_aborted_says_no_farewell_and_its_neighbour_finds_out_by_silence() {
    let (a, b, observations) = observed_pair();
    take_until(&observations, "B has A as a neighbour", |observation| {
        observation.station == B && matches!(observation.what, Observed::Event(Event::NeighbourUp { .. }))
    });

    b.abort(DEADLINE).unwrap();

    let taken = take_until(&observations, "A misses B", |observation| {
        observation.station == A && matches!(observation.what, Observed::Event(Event::NeighbourDown { .. }))
    });
    let Some(Observed::Event(Event::NeighbourDown { reason, .. })) = taken.last().map(|last| &last.what)
    else {
        unreachable!("the last one is that which was waited for");
    };
    assert!(!reason.contains("closed by the peer"), "{reason}");
    drop(a);
}

#[test]
fn a_node_on_a_connected_socket_hears_its_peer_and_nobody_else() {
    let members = Members::new(&["A", "B"]);
    let (sender, observations) = bounded(OBSERVATIONS_MAX);
    let b = members.start_with(B, &[(A, None)], StartOptions::default());
    let observer = Some(Observer::new(A, sender, None));
    let options = StartOptions { observer, connect: Some(b.address()), ..StartOptions::default() };
    let a = members.start_with(A, &[(B, Some(b.address()))], options);
    wait_until("A and B are neighbours", || a.status().unwrap().neighbours[0].is_usable);
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    stranger.connect(a.address()).unwrap();
    stranger.set_read_timeout(Some(DEADLINE)).unwrap();

    stranger.send(b"is anybody there?").unwrap();
    let refusal = stranger.recv(&mut [0; 1]).unwrap_err();

    assert_eq!(refusal.kind(), std::io::ErrorKind::ConnectionRefused);
    // What A sends to itself through B comes after the stray would have.
    b.send(a.id(), FlowId(1), false, b"after it".to_vec()).unwrap();
    let taken = take_until(
        &observations,
        "B's frame arrives",
        |observation| matches!(&observation.what, Observed::Event(Event::Delivered { payload, .. }) if payload == b"after it"),
    );
    let strays = taken.iter().filter(
        |observation| matches!(observation.what, Observed::Arrived { from, .. } if from != b.address()),
    );
    assert_eq!(strays.count(), 0);
}

#[test]
fn an_observer_that_does_not_keep_up_costs_observations_and_not_the_node() {
    let members = Members::new(&["A", "B"]);
    let (sender, _kept) = bounded(1);
    let observer = Observer::new(A, sender, None);
    let b = members.start_with(B, &[(A, None)], StartOptions::default());
    let options = StartOptions { observer: Some(observer.clone()), ..StartOptions::default() };
    let a = members.start_with(A, &[(B, Some(b.address()))], options);

    wait_until("A and B are neighbours", || a.status().unwrap().neighbours[0].is_usable);

    assert!(observer.dropped() > 0);
}

#[test]
fn what_waits_in_a_socket_that_was_bound_before_is_read_though_the_node_connects_it() {
    let members = Members::new(&["A", "B"]);
    let (sender, observations) = bounded(OBSERVATIONS_MAX);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let [stranger, peer] = [(), ()].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());

    stranger.send_to(b"before", address).unwrap();
    let options = StartOptions {
        socket: Some(socket),
        observer: Some(Observer::new(A, sender, None)),
        connect: Some(peer.local_addr().unwrap()),
        ..StartOptions::default()
    };
    let a = members.start_with(A, &[], options);

    assert_eq!(a.address(), address);
    take_until(
        &observations,
        "the datagram arrives",
        |observation| matches!(&observation.what, Observed::Arrived { bytes, .. } if bytes == b"before"),
    );
}

#[test]
fn a_session_is_replaced_on_demand_and_a_node_refuses_to_renegotiate() {
    let (a, b, observations) = observed_pair();
    take_until(&observations, "A has B as a neighbour", |observation| {
        observation.station == A && matches!(observation.what, Observed::Event(Event::NeighbourUp { .. }))
    });

    assert!(a.renegotiate(b.id()).unwrap().is_err());
    assert!(a.rekey(b.id()).unwrap());

    take_until(&observations, "another session takes over", |observation| {
        observation.station == A
            && matches!(observation.what, Observed::Event(Event::NeighbourReplaced { .. }))
    });
}
