//! Both ends dial at once: whatever gets lost or overtaken, one session comes of it, and the same.

use std::time::Duration;

use peerbound_dtls::{Association, Precedence, Role, Session};

use crate::chance::{Chance, Seed};
use crate::network::{Network, Side, Weather, perfect_road};
use crate::support::World;

fn role(network: &mut Network, side: Side) -> Option<Role> {
    network.end(side).association.as_ref().and_then(Association::session).map(Session::role)
}

/// Shows that one session is left, that it stays, and that data flows over it both ways.
#[track_caller]
fn assert_settled(network: &mut Network) {
    network.road = perfect_road();
    network.run(Duration::from_secs(40));
    assert!(network.one_session(), "the ends do not hold the same session");
    assert!(!network.left.is_down() && !network.right.is_down());
    network.left.received.clear();
    network.right.received.clear();
    network.send(Side::Left, b"to the right");
    network.send(Side::Right, b"to the left");
    network.run(Duration::from_secs(1));
    assert_eq!(network.right.received, [b"to the right"]);
    assert_eq!(network.left.received, [b"to the left"]);
}

#[test]
fn the_end_with_precedence_becomes_the_client() {
    for winner in [Side::Left, Side::Right] {
        let mut network = Network::new(&World::new(), perfect_road());
        network.end(winner).config.precedence = Precedence::Ours;
        network.end(winner.other()).config.precedence = Precedence::Theirs;
        network.dial(Side::Left);
        network.dial(Side::Right);

        assert!(network.run_until(Duration::from_secs(1), Network::one_session));

        assert_eq!(role(&mut network, winner), Some(Role::Client));
        assert_eq!(role(&mut network, winner.other()), Some(Role::Server));
        assert_settled(&mut network);
    }
}

#[test]
fn any_offset_between_the_two_dials_leaves_one_session() {
    let world = World::new();
    for first in [Side::Left, Side::Right] {
        for offset in (0..60).step_by(5) {
            let _seed = Seed(format!("{first:?} first, the other {offset} ms later"));
            let mut network = Network::new(&world, perfect_road());
            network.dial(first);
            network.run(Duration::from_millis(offset));
            if network.end(first.other()).association.is_none() {
                network.dial(first.other());
            }

            assert!(network.run_until(Duration::from_secs(2), Network::one_session));

            assert_settled(&mut network);
        }
    }
}

#[test]
fn bad_weather_over_two_dials_leaves_one_session() {
    let world = World::new();
    for seed in 0..60 {
        let _seed = Seed(format!("seed {seed}"));
        let mut chance = Chance::new(seed);
        let weather = Weather {
            lost: chance.below(31),
            duplicated: chance.below(31),
            reordered: chance.below(61),
            corrupted: 0,
        };
        let mut network = Network::new(&world, weather.road(seed)).deadline(Duration::from_secs(60));
        let first = if chance.percent(50) { Side::Left } else { Side::Right };
        network.dial(first);
        network.run(Duration::from_millis(chance.below(40)));
        if network.end(first.other()).association.is_none() {
            network.dial(first.other());
        }

        let done = network.run_until(Duration::from_secs(60), Network::one_session);

        assert!(done, "{weather:?}: left {:?}, right {:?}", network.left.events, network.right.events);
        assert_settled(&mut network);
    }
}
