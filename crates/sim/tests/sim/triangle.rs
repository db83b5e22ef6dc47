//! The hazard that nothing works at all: a request goes A→B→C and its reply C→B→A.

use std::time::Duration;

use peerbound_node::{Event, Verdict};
use peerbound_sim::Observed;

use crate::support::{A, B, C, Triangle, id};

#[test]
fn a_request_goes_over_b_to_c_and_its_reply_comes_back_the_same_way() {
    let mut triangle = Triangle::up(1);

    triangle.send(A, C, b"request", false);
    triangle.run_for(Duration::from_millis(10));
    triangle.send(C, A, b"reply", true);
    triangle.run_for(Duration::from_millis(10));

    assert_eq!(triangle.delivered(C), [b"request"]);
    assert_eq!(triangle.delivered(A), [b"reply"]);
    assert_eq!(triangle.delivered(B), <[Vec<u8>; 0]>::default());
}

#[test]
fn everything_that_is_sent_in_a_perfect_world_arrives_and_is_accepted_or_challenged() {
    let mut triangle = Triangle::up(2);
    triangle.run_for(Duration::from_secs(2));

    let sent = triangle.story(|what| matches!(what, Observed::Sent { .. }).then_some(())).len();
    let verdicts = triangle.story(|what| match what {
        Observed::Arrived { verdict, reason, .. } => Some((*verdict, *reason)),
        _ => None,
    });

    assert_eq!(sent, verdicts.len() + triangle.world.datagrams_in_flight());
    assert!(verdicts.iter().all(|(_, reason)| reason.is_none()), "{verdicts:?}");
    assert_eq!(verdicts.iter().filter(|(verdict, _)| *verdict == Verdict::Challenged).count(), 2);
}

#[test]
fn both_ends_tell_the_same_keys_of_each_session_before_anything_sealed_by_them_is_accepted() {
    let triangle = Triangle::up(3);

    let keys = triangle.story(|what| match what {
        Observed::Keys { host, peer, secrets, .. } => Some((*host, *peer, secrets.keylog_line())),
        _ => None,
    });

    let line_at = |at: usize, peer: usize| {
        let lines = keys.iter().filter(|(host, of, _)| *host == triangle.hosts[at] && *of == id(peer));
        lines.map(|(_, _, line)| line.clone()).collect::<Vec<_>>()
    };
    assert_eq!(keys.len(), 4);
    assert_eq!(line_at(A, B), line_at(B, A));
    assert_eq!(line_at(C, B), line_at(B, C));
    assert_ne!(line_at(A, B), line_at(C, B));
}

#[test]
fn a_node_that_crashes_is_missed_and_comes_back_when_it_is_restarted() {
    let mut triangle = Triangle::up(4);
    triangle.world.crash(triangle.hosts[B]);
    triangle.run_for(Duration::from_secs(5));
    assert!(!triangle.world.node(triangle.hosts[A]).unwrap().neighbours()[0].is_usable);

    assert!(triangle.world.restart(triangle.hosts[B]));
    triangle.run_until_up();

    triangle.send(A, C, b"again", false);
    triangle.run_for(Duration::from_millis(10));
    assert_eq!(triangle.delivered(C), [b"again"]);
}

#[test]
fn a_node_that_shuts_down_says_farewell_and_is_missed_at_once() {
    let mut triangle = Triangle::up(5);

    triangle.world.shut_down(triangle.hosts[B]);
    triangle.run_for(Duration::from_millis(10));

    assert!(triangle.world.node(triangle.hosts[B]).is_none());
    for who in [A, C] {
        assert!(!triangle.world.node(triangle.hosts[who]).unwrap().neighbours()[0].is_usable);
    }
}

#[test]
fn keys_are_told_before_the_sealed_datagram_that_completes_a_handshake_has_arrived() {
    let triangle = Triangle::up(6);
    let b = triangle.hosts[B];
    let finished = triangle.story(|what| match what {
        // A packed flight ends with the sealed Finished; alone it is a handshake record of epoch 1.
        Observed::Sent { datagram, by, bytes, .. } if *by != b => peerbound_dtls::Records::of(bytes)
            .filter_map(Result::ok)
            .any(|record| record.header.epoch == 1 && record.bytes[0] == 22)
            .then_some(*datagram),
        _ => None,
    });

    let order = triangle.story(|what| match what {
        Observed::Keys { host, .. } if *host == b => Some("keys"),
        Observed::Arrived { datagram, .. } if finished.contains(datagram) => Some("finished"),
        _ => None,
    });

    assert_eq!(order, ["keys", "finished", "keys", "finished"]);
}

#[test]
fn a_node_that_was_restarted_says_so_in_its_frames() {
    let mut triangle = Triangle::up(7);
    triangle.send(A, C, b"before", false);
    triangle.run_for(Duration::from_millis(10));

    assert!(triangle.world.restart(triangle.hosts[A]));
    triangle.run_for(Duration::from_secs(5));
    triangle.send(A, C, b"after", false);
    triangle.run_for(Duration::from_millis(10));

    let boots: Vec<_> = triangle
        .events(C)
        .filter_map(|event| match event {
            Event::Delivered { header, .. } => Some(header.boot_epoch),
            _ => None,
        })
        .collect();
    assert_eq!(boots, [1, 2]);
}
