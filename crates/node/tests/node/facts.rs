//! What a node knows of its neighbours, for people to read.

use std::time::Duration;

use peerbound_dtls::Role;
use peerbound_node::{DEAD_AFTER, Direction, NeighbourPhase, NeighbourView};

use crate::support::{FAIR, Net, Plan};

const A: usize = 0;
const B: usize = 1;

#[test]
fn a_link_tells_who_dialled_what_protects_it_and_since_when_it_is_up() {
    let mut net = Net::new(&pair());
    assert_eq!(view(&net, A).phase, NeighbourPhase::Away);
    assert_eq!(view(&net, B).phase, NeighbourPhase::Awaited);

    net.run_until_up();
    let up = net.clock.now();
    net.run_for(Duration::from_secs(1));

    let (at_a, at_b) = (view(&net, A), view(&net, B));
    assert_eq!((at_a.role, at_b.role), (Some(Role::Client), Some(Role::Server)));
    assert_eq!(at_a.phase, NeighbourPhase::Up);
    assert!(at_a.suite.is_some() && at_a.suite == at_b.suite, "{:?}", at_a.suite);
    assert!(at_a.up_since.is_some_and(|since| since <= up) && at_a.up_since >= at_a.session_since);
    assert_eq!(at_a.last_error, None);
    let now = net.clock.now();
    assert_eq!((at_a.hears(now), at_a.is_heard(now)), (Direction::Works, Direction::Works));
}

#[test]
fn the_frames_of_a_link_are_counted_alike_at_both_ends() {
    let mut net = Net::up(&pair());
    for _ in 0..10 {
        net.send(A, B, &[7; 100]).unwrap();
    }
    net.run_a_little();

    let (at_a, at_b) = (view(&net, A).traffic, view(&net, B).traffic);
    assert_eq!((at_a.frames_sent, at_a.bytes_sent), (at_b.frames_received, at_b.bytes_received));
    assert_eq!((at_a.frames_received, at_a.bytes_received), (at_b.frames_sent, at_b.bytes_sent));
    assert!(at_a.frames_sent >= 10 && at_a.bytes_sent >= 10 * (100 + 54), "{at_a:?}");
}

#[test]
fn what_was_counted_stays_when_the_session_is_lost() {
    let mut net = Net::up(&pair());
    net.send(A, B, b"counted").unwrap();
    net.run_a_little();
    let datagram = net.deliveries.iter().rev().find(|delivery| delivery.to == B).unwrap().bytes.clone();
    net.inject(crate::support::address(A), B, &datagram);
    let before = view(&net, B);
    assert!(before.discards.total() >= 1);

    net.cut_both(A, B);
    net.run_until(Duration::from_secs(5), |net| !net.is_usable(B, A));

    let after = view(&net, B);
    assert!(after.traffic.frames_received >= before.traffic.frames_received);
    assert_eq!(after.discards.total(), before.discards.total());
}

#[test]
fn a_direction_that_falls_silent_is_told_before_the_link_ends_and_after() {
    let mut net = Net::up(&pair());
    net.run_for(Duration::from_secs(2));
    net.cut.insert((B, A));
    net.farewells_lost.insert((A, B));

    net.run_for(DEAD_AFTER - Duration::from_millis(300));
    let (now, at_a) = (net.clock.now(), view(&net, A));
    assert!(at_a.is_usable);
    assert_eq!(at_a.hears(now), Direction::Silent, "two hellos were missed");
    assert_eq!(view(&net, B).hears(now), Direction::Works);

    net.run_until(Duration::from_secs(5), |net| !net.is_usable(A, B) && !net.is_usable(B, A));
    let now = net.clock.now();
    let at_b = view(&net, B);
    assert_eq!((at_b.hears(now), at_b.is_heard(now)), (Direction::Works, Direction::Silent));
    assert!(at_b.last_error.is_some() && at_b.last_error_at.is_some_and(|at| at <= now));
}

#[test]
fn an_error_is_remembered_with_its_time_when_the_link_is_up_again() {
    let mut net = Net::up(&pair());
    net.cut_both(A, B);
    net.run_until(Duration::from_secs(5), |net| !net.is_usable(A, B));
    let lost = net.clock.now();
    net.cut.clear();
    net.run_until_up();

    let view = view(&net, A);
    assert_eq!(view.phase, NeighbourPhase::Up);
    assert_eq!(view.last_error.as_deref(), Some("three hellos in a row were missed"));
    assert!(view.last_error_at.is_some_and(|at| at <= lost && Some(at) < view.up_since));
}

#[test]
fn round_trips_are_measured_where_it_is_wanted_and_nowhere_else() {
    for is_wanted in [true, false] {
        let mut net = Net::with(&pair(), |_, _, config| config.measure_round_trips = is_wanted);
        net.run_until_up();
        net.run_for(Duration::from_secs(20));

        let measured = view(&net, A).round_trip;
        assert_eq!(measured, is_wanted.then_some(FAIR.latency * 2));
    }
}

#[test]
fn a_round_trip_follows_a_link_that_becomes_slower() {
    let mut net = Net::with(&pair(), |_, _, config| config.measure_round_trips = true);
    net.run_until_up();
    net.run_for(Duration::from_secs(10));
    net.slow.insert((A, B), Duration::from_millis(80));

    net.run_for(Duration::from_secs(60));

    let measured = view(&net, A).round_trip.unwrap();
    let slow = FAIR.latency * 2 + Duration::from_millis(80);
    assert!(measured <= slow && measured > slow * 9 / 10, "{measured:?} of {slow:?}");
}

fn view(net: &Net, at: usize) -> NeighbourView {
    net.nodes[at].neighbours().remove(0)
}

fn pair() -> Plan {
    Plan { nodes: 2, links: vec![(A, B)], routes: Vec::new() }
}
