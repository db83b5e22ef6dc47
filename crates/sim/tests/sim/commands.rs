//! What a scenario may ask of a node in a world: other keys, a renegotiation, a mutant's weaknesses.

use std::time::Duration;

use peerbound_dtls::{ContextConfig, GateMode, Profile, Renegotiation, ReplayMirror, Teaching};
use peerbound_node::{Event, NodeConfig};
use peerbound_sim::{
    DatagramMatch, Injection, Observe, Observed, PathMatch, Stand, Tap, TapAction, WorldConfig,
};

use crate::support::{A, B, C, Triangle, address, cast, config, id};

#[test]
fn a_node_that_is_told_to_changes_its_keys_and_loses_nothing() {
    for who in [A, B] {
        let peer = if who == A { B } else { A };
        let mut triangle = Triangle::up(1);
        triangle.seen.clear();

        let started = triangle.world.with_node(triangle.hosts[who], |node, now| node.rekey(id(peer), now));
        for _ in 0..20 {
            triangle.send(A, C, b"steady", false);
            triangle.run_for(Duration::from_millis(1));
        }
        triangle.run_for(Duration::from_millis(50));

        let keys = triangle.story(|what| match what {
            Observed::Keys { host, .. } => Some(*host),
            _ => None,
        });
        assert_eq!(started, Some(true));
        assert_eq!(keys.len(), 2);
        assert_eq!(triangle.delivered(C).len(), 20);
        assert!(triangle.events(A).any(|event| matches!(event, Event::NeighbourReplaced { .. })));
    }
}

#[test]
fn a_second_change_of_keys_waits_for_the_first_and_a_stranger_has_none_to_change() {
    let mut triangle = Triangle::up(2);
    let a = triangle.hosts[A];

    let answers = [id(B), id(B), id(C)]
        .map(|peer| triangle.world.with_node(a, |node, now| node.rekey(peer, now)).unwrap());

    assert_eq!(answers, [true, false, false]);
}

/// Boots A and B with OpenSSL's own idea of renegotiation and no gate before it.
fn renegotiating(renegotiation: Renegotiation) -> Triangle {
    let mut triangle = Triangle::empty(3);
    for who in [A, B, C] {
        let cast = cast();
        let teaching = Teaching { renegotiation, ..Teaching::with_suites("ECDHE-ECDSA-AES128-GCM-SHA256") };
        let profile = Profile::Teaching(teaching);
        let roots = vec![cast.authority.to_root()];
        let context = ContextConfig { profile, ..ContextConfig::new(cast.identities[who].clone(), roots) };
        let context = peerbound_dtls::Context::new(context).unwrap();
        let config = NodeConfig { context, gate: GateMode::Off, ..config(who) };
        triangle.world.run_node(triangle.hosts[who], triangle.sockets[who], config);
    }
    triangle.run_until_up();
    triangle
}

#[test]
fn a_renegotiation_is_refused_where_it_is_off_and_asked_for_where_it_is_not() {
    for (renegotiation, hellos) in [(Renegotiation::Off, 0), (Renegotiation::Allowed, 1)] {
        let mut triangle = renegotiating(renegotiation);
        triangle.seen.clear();

        let asked = triangle.world.with_node(triangle.hosts[A], |node, now| node.renegotiate(id(B), now));
        triangle.look();

        let sealed_handshakes = triangle.story(|what| match what {
            Observed::Sent { bytes, .. } => (bytes[0] == 22 && bytes[4] == 1).then_some(()),
            _ => None,
        });
        assert_eq!(asked.unwrap().is_ok(), renegotiation == Renegotiation::Allowed);
        assert_eq!(sealed_handshakes.len(), hellos);
    }
}

#[test]
fn with_its_mirror_off_a_node_takes_a_replay_for_a_forgery_and_still_delivers_nothing_twice() {
    for (mirror, expected) in [(ReplayMirror::On, "replay"), (ReplayMirror::Off, "bad-mac")] {
        let mut triangle = Triangle::empty(4);
        for who in [A, B, C] {
            let config = NodeConfig { replay_mirror: mirror, ..config(who) };
            triangle.world.run_node(triangle.hosts[who], triangle.sockets[who], config);
        }
        triangle.run_until_up();
        let on = PathMatch::OneWay { from: triangle.hosts[A], to: triangle.hosts[B] };
        let place = triangle.world.add_tap(Tap {
            on,
            matching: DatagramMatch::default(),
            action: TapAction::Capture,
        });
        triangle.send(A, C, b"once", false);
        triangle.run_for(Duration::from_millis(5));
        let bytes = triangle.world.captured(place)[0].bytes.to_vec();

        let replay = triangle.world.inject(Injection {
            from: Stand::OnPathFrom(triangle.hosts[A]),
            source: address(A),
            destination: address(B),
            bytes,
            label: None,
            copy_of: None,
        });
        triangle.run_for(Duration::from_millis(5));

        let reasons = triangle.story(|what| match what {
            Observed::Arrived { datagram, reason, .. } if *datagram == replay => {
                reason.map(|reason| reason.name())
            }
            _ => None,
        });
        assert_eq!(reasons, [expected]);
        assert_eq!(triangle.delivered(C), [b"once"]);
    }
}

#[test]
fn a_world_that_tells_nothing_goes_the_same_way_as_one_that_tells_everything() {
    let run = |observe| {
        let mut triangle = Triangle::with(WorldConfig { observe, ..WorldConfig::new(5) });
        triangle.boot();
        triangle.run_until_up();
        (triangle.world.now(), triangle.seen.len())
    };

    let (everything, events, nothing) =
        (run(Observe::Everything), run(Observe::Events), run(Observe::Nothing));

    assert_eq!((everything.0, everything.0), (events.0, nothing.0));
    assert!(everything.1 > events.1 && events.1 > 0);
    assert_eq!(nothing.1, 0);
}
