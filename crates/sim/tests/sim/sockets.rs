//! The first lock: which socket a kernel gives a datagram to, and what it says when there is none.

use std::time::Duration;

use peerbound_node::{Lock, Verdict};
use peerbound_sim::{BindError, Observed, Power, SocketError};

use crate::support::{A, B, C, Triangle, address, ip};

#[derive(Debug, PartialEq, Eq)]
enum Fate {
    Refused(bool),
    Told(usize, SocketError),
    Read(usize),
    Arrived(usize, Verdict, Option<&'static str>),
    Lost(&'static str),
}

/// Tells what became of datagrams, host by host.
fn fates(triangle: &mut Triangle) -> Vec<Fate> {
    triangle.run_for(Duration::from_millis(5));
    let hosts = triangle.hosts;
    let who = |host: &peerbound_sim::HostId| hosts.iter().position(|of| of == host).unwrap();
    triangle.story(|what| match what {
        Observed::Refused { icmp, .. } => Some(Fate::Refused(*icmp)),
        Observed::Told { host, error, .. } => Some(Fate::Told(who(host), *error)),
        Observed::Read { host, .. } => Some(Fate::Read(who(host))),
        Observed::Arrived { host, verdict, reason, .. } => {
            Some(Fate::Arrived(who(host), *verdict, reason.map(|reason| reason.name())))
        }
        Observed::Lost { why, .. } => Some(Fate::Lost(why.name())),
        _ => None,
    })
}

#[test]
fn what_comes_to_a_connected_socket_from_elsewhere_is_refused_and_a_connected_sender_is_told() {
    let mut triangle = Triangle::empty(1);
    triangle.world.connect(triangle.sockets[A], address(B));
    triangle.world.connect(triangle.sockets[C], address(A));

    triangle.world.send_raw(triangle.sockets[C], address(A), b"direct reply", None);

    let told = Fate::Told(C, SocketError::ConnectionRefused);
    assert_eq!(fates(&mut triangle), [Fate::Refused(true), told]);
}

#[test]
fn an_unconnected_sender_and_one_connected_elsewhere_are_told_nothing() {
    for connected_to in [None, Some(address(B))] {
        let mut triangle = Triangle::empty(2);
        triangle.world.close(triangle.sockets[A]);
        if let Some(peer) = connected_to {
            triangle.world.connect(triangle.sockets[C], peer);
        }

        triangle.world.send_raw(triangle.sockets[C], address(A), b"anyone?", None);

        assert_eq!(fates(&mut triangle), [Fate::Refused(true)]);
    }
}

#[test]
fn what_a_connected_socket_does_not_want_falls_through_to_a_listener_on_its_port() {
    let mut triangle = Triangle::empty(3);
    let listener = triangle.world.bind_shared(triangle.hosts[A], address(A).port()).unwrap();
    triangle.world.connect(triangle.sockets[A], address(B));
    triangle.world.listen(listener);

    triangle.world.send_raw(triangle.sockets[C], address(A), b"direct reply", None);

    assert_eq!(fates(&mut triangle), [Fate::Read(A)]);
    let read_from = triangle.story(|what| match what {
        Observed::Read { socket, .. } => Some(*socket),
        _ => None,
    });
    assert_eq!(read_from, [listener]);
}

#[test]
fn what_came_before_connect_is_still_delivered_and_the_next_lock_must_hold() {
    let mut triangle = Triangle::empty(4);
    triangle.world.send_raw(triangle.sockets[C], address(A), b"\x17\xfe\xfd\0\x01\0\0\0\0\0\0\0\x01x", None);
    triangle.run_for(Duration::from_millis(5));
    assert_eq!(triangle.world.datagrams_in_flight(), 1);
    triangle.world.connect(triangle.sockets[A], address(B));

    triangle.boot();

    let at_a = Fate::Arrived(A, Verdict::Dropped(Lock::Demux), Some("no-session"));
    assert!(fates(&mut triangle).contains(&at_a));
}

#[test]
fn an_application_reads_what_waited_and_then_what_comes() {
    let mut triangle = Triangle::empty(5);
    let socket = triangle.sockets[A];
    triangle.world.send_raw(triangle.sockets[C], address(A), b"early", None);
    triangle.run_for(Duration::from_millis(5));

    triangle.world.listen(socket);
    triangle.world.send_raw(triangle.sockets[C], address(A), b"late", None);

    assert_eq!(fates(&mut triangle), [Fate::Read(A), Fate::Read(A)]);
}

#[test]
fn a_socket_that_nobody_reads_holds_as_much_as_linux_lets_it_and_loses_it_when_it_is_closed() {
    let mut triangle = Triangle::empty(6);
    for _ in 0..220 {
        triangle.world.send_raw(triangle.sockets[C], address(A), &[0; 1000], None);
    }
    triangle.run_for(Duration::from_millis(5));
    assert_eq!(triangle.world.datagrams_in_flight(), 212);

    triangle.world.close(triangle.sockets[A]);

    assert_eq!(fates(&mut triangle), (0..220).map(|_| Fate::Lost("unread")).collect::<Vec<_>>());
}

#[test]
fn a_port_is_shared_only_by_sockets_that_both_share_it() {
    let mut triangle = Triangle::empty(7);
    let host = triangle.hosts[A];
    let in_use = |port| Err(BindError::InUse { host: "A".to_owned(), port });

    assert_eq!(triangle.world.bind(host, address(A).port()), in_use(4433));
    let alone = triangle.world.bind(host, 5000).unwrap();
    assert_eq!(triangle.world.bind_shared(host, 5000), in_use(5000));
    triangle.world.close(alone);
    assert!(triangle.world.bind_shared(host, 5000).is_ok());
}

#[test]
fn port_0_asks_for_an_ephemeral_port_and_no_two_sockets_get_the_same() {
    let mut triangle = Triangle::empty(8);

    let sockets = [0, 0, 0].map(|port| triangle.world.bind(triangle.hosts[A], port).unwrap());

    assert_eq!(sockets.map(|socket| triangle.world.address_of(socket).port()), [49_152, 49_153, 49_154]);
}

#[test]
fn a_host_without_power_says_nothing_and_one_that_nobody_knows_cannot_be_reached() {
    let mut triangle = Triangle::empty(9);
    triangle.world.connect(triangle.sockets[C], address(A));
    triangle.world.set_power(triangle.hosts[A], Power::Off);

    triangle.world.send_raw(triangle.sockets[C], address(A), b"hello?", None);
    triangle.world.send_raw(triangle.sockets[C], "10.9.9.9:1".parse().unwrap(), b"hello?", None);

    assert_eq!(fates(&mut triangle), [Fate::Lost("no-such-host"), Fate::Lost("host-down")]);
}

#[test]
fn a_crashed_node_leaves_a_closed_port_and_a_forged_source_draws_the_refusal_to_its_owner() {
    let mut triangle = Triangle::up(10);
    triangle.world.crash(triangle.hosts[A]);
    triangle.run_for(Duration::from_secs(3));
    triangle.seen.clear();
    let dialler = triangle.world.bind(triangle.hosts[B], 5000).unwrap();
    triangle.world.connect(dialler, address(A));
    let injection = peerbound_sim::Injection {
        from: peerbound_sim::Stand::At(triangle.hosts[C]),
        source: std::net::SocketAddr::new(ip(B), 5000),
        destination: address(A),
        bytes: b"from B, honestly".to_vec(),
        label: None,
        copy_of: None,
    };

    triangle.world.inject(injection);

    assert_eq!(fates(&mut triangle), [Fate::Refused(true), Fate::Told(B, SocketError::ConnectionRefused)]);
}

#[test]
fn a_refusal_does_not_come_back_over_a_path_that_carries_nothing() {
    let mut triangle = Triangle::empty(11);
    triangle.world.close(triangle.sockets[A]);
    triangle.world.connect(triangle.sockets[C], address(A));
    let cut = peerbound_sim::Conditions {
        outage: peerbound_sim::Outage::Always,
        ..peerbound_sim::Conditions::default()
    };
    let (a, c) = (triangle.hosts[A], triangle.hosts[C]);
    triangle.world.set_link(a, c, peerbound_sim::Directions::Forth, cut);

    triangle.world.send_raw(triangle.sockets[C], address(A), b"anyone?", None);

    assert_eq!(fates(&mut triangle), [Fate::Refused(true)]);
}
