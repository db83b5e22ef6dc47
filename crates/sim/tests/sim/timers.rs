//! Virtual time under OpenSSL: when it sends again, when it gives up, and what that costs.

use std::time::Duration;

use peerbound_dtls::Attempts;
use peerbound_node::{Event, NodeConfig};
use peerbound_sim::{
    Conditions, Content, DatagramMatch, Directions, Fault, FaultAction, HandshakeType, Observed, Outage,
    PathMatch, VirtualTime, handshake_messages,
};

use crate::support::{A, B, C, Triangle, config};

/// Boots A alone, with OpenSSL's own timers, before a path that carries nothing.
fn black_hole() -> Triangle {
    let mut triangle = Triangle::empty(1);
    let nothing = Conditions { outage: Outage::Always, ..Conditions::default() };
    triangle.world.set_link(triangle.hosts[A], triangle.hosts[B], Directions::Both, nothing);
    let patient = NodeConfig {
        first_timeout: Duration::from_secs(1),
        handshake_deadline: Duration::from_secs(1000),
        attempts: Attempts::One,
        ..config(A)
    };
    triangle.world.run_node(triangle.hosts[A], triangle.sockets[A], patient);
    triangle
}

/// Returns when hellos were sent, in milliseconds.
fn hellos(triangle: &Triangle) -> Vec<u128> {
    let is_hello = |what: &Observed| match what {
        Observed::Sent { bytes, .. } => {
            handshake_messages(bytes).any(|message| message == HandshakeType::ClientHello)
        }
        _ => false,
    };
    let hellos = triangle.seen.iter().filter(|seen| is_hello(&seen.what));
    hellos.map(|seen| seen.at.since_start().as_millis()).collect()
}

#[test]
fn a_black_hole_is_given_up_after_twelve_retransmissions_and_483_seconds() {
    let mut triangle = black_hole();

    triangle.world.run_until(VirtualTime::after(Duration::from_secs(484)));
    triangle.look();

    let expected = [0, 1, 3, 7, 15, 31, 63, 123, 183, 243, 303, 363, 423];
    let seconds: Vec<_> = hellos(&triangle).into_iter().map(|millis| (millis + 20) / 1000).take(13).collect();
    assert_eq!(seconds, expected);
    let failed = triangle
        .seen
        .iter()
        .find(|seen| matches!(&seen.what, Observed::Event { event: Event::DialFailed { .. }, .. }));
    let failed_at = failed.expect("it gave up").at.since_start();
    assert!((482.0..484.0).contains(&failed_at.as_secs_f64()), "{failed_at:?}");
}

#[test]
fn a_node_of_its_own_accord_tries_afresh_and_gives_up_after_fifteen_seconds() {
    let mut triangle = Triangle::empty(2);
    let nothing = Conditions { outage: Outage::Always, ..Conditions::default() };
    triangle.world.set_link(triangle.hosts[A], triangle.hosts[B], Directions::Both, nothing);
    triangle.world.run_node(triangle.hosts[A], triangle.sockets[A], config(A));

    triangle.run_for(Duration::from_millis(15_050));

    let failed = triangle.events(A).filter(|event| matches!(event, Event::DialFailed { .. })).count();
    let hellos = hellos(&triangle);
    assert_eq!(failed, 1);
    assert_eq!(hellos[..4].iter().map(|at| (at + 20) / 50 * 50).collect::<Vec<_>>(), [0, 250, 750, 1750]);
    assert!(hellos.iter().any(|at| (3990..4010).contains(at)), "a fresh attempt after 4 s: {hellos:?}");
}

#[test]
fn a_round_trip_longer_than_the_first_timeout_draws_a_spurious_copy_and_a_shorter_one_none() {
    // With 1 s and the 15 ms by which OpenSSL rounds: 984 ms are in time, 986 ms are not.
    for (round_trip, hellos_expected) in [(970, 2), (1010, 4)] {
        let mut triangle = Triangle::empty(3);
        let slow = Conditions { latency: Duration::from_micros(round_trip * 500), ..Conditions::default() };
        triangle.world.set_link(triangle.hosts[A], triangle.hosts[B], Directions::Both, slow);
        let patient = |who| NodeConfig {
            first_timeout: Duration::from_secs(1),
            attempts: Attempts::One,
            ..config(who)
        };
        for who in [A, B] {
            triangle.world.run_node(triangle.hosts[who], triangle.sockets[who], patient(who));
        }
        let hosts = triangle.hosts;
        let up = |world: &peerbound_sim::World| {
            !world.node(hosts[A]).is_some_and(|node| node.neighbours()[0].is_usable)
        };

        assert!(triangle.world.run_while(VirtualTime::after(Duration::from_secs(60)), up));
        triangle.look();

        assert_eq!(hellos(&triangle).len(), hellos_expected, "{round_trip} ms");
    }
}

#[test]
fn a_world_in_which_nothing_is_due_stands_still_and_time_passes_all_the_same() {
    let mut triangle = Triangle::empty(4);

    assert_eq!(triangle.world.step(), None);
    triangle.world.run_until(VirtualTime::after(Duration::from_secs(7)));

    assert_eq!(triangle.world.now(), VirtualTime::after(Duration::from_secs(7)));
    assert!(triangle.world.node(triangle.hosts[C]).is_none());
}

#[test]
fn a_timer_that_is_set_earlier_than_the_one_awaited_is_not_slept_over() {
    let mut triangle = Triangle::up(5);
    let on = PathMatch::OneWay { from: triangle.hosts[A], to: triangle.hosts[B] };
    let content = Content::Handshake(HandshakeType::ClientHello);
    let matching = DatagramMatch { content, nth: Some(1), ..DatagramMatch::default() };
    triangle.world.add_fault(Fault { on, matching, action: FaultAction::Drop });
    // Behind a hello of the link the next waking is half a second away, a handshake's a quarter.
    triangle.run_for(Duration::from_millis(600));
    let a = triangle.hosts[A];
    while triangle.seen.last().is_none_or(|seen| !matches!(seen.what, Observed::Sent { by, .. } if by == a)) {
        triangle.world.step();
        triangle.look();
    }
    triangle.seen.clear();

    triangle.world.with_node(a, |node, now| node.rekey(crate::support::id(B), now));
    triangle.run_for(Duration::from_millis(260));

    let hellos = hellos(&triangle);
    let waited = hellos[1] - hellos[0];
    assert!((230..=250).contains(&waited), "{waited} ms");
}
