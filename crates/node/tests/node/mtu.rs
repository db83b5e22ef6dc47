//! How large a frame may be: what a link carries, and what the path behind it does.

use std::time::{Duration, Instant};

use peerbound_node::{EndToEnd, PathMtu, SendError};

use crate::support::{Net, Plan};

const A: usize = 0;
const B: usize = 1;
const C: usize = 2;

/// What AES-GCM and the frame header take of a datagram.
const OVERHEAD: usize = 37 + 54;

#[test]
fn a_link_starts_at_1200_bytes_and_is_at_its_mtu_a_round_trip_later() {
    let mut net = Net::with(&pair(), |_, _, config| config.path_mtu = PathMtu::Probed);
    net.run_until(Duration::from_secs(1), |net| net.nodes[A].neighbours()[0].mtu == Some(1200));

    net.run_until(Duration::from_secs(1), |net| mtus(net) == [Some(1400); 2]);

    assert!(net.clock.elapsed() < Duration::from_millis(100), "{:?}", net.clock.elapsed());
    net.send(A, B, &[7; 1400 - OVERHEAD]).unwrap();
    net.run_a_little();
    assert_eq!(net.delivered(B).len(), 1);
}

#[test]
fn a_narrow_link_carries_what_fits_it_and_each_direction_has_its_own_size() {
    let mut net = Net::with(&pair(), |_, _, config| config.path_mtu = PathMtu::Probed);
    net.narrow.insert((A, B), 1300);
    net.run_until_up();

    net.run_for(Duration::from_secs(30));

    let [there, back] = mtus(&net).map(Option::unwrap);
    assert!((1285..=1300).contains(&there) && back == 1400, "{there} {back}");
    let Err(SendError::TooLarge { max, .. }) = net.send(A, B, &[7; 1300]) else { panic!("it was sent") };
    assert_eq!(max, usize::from(there) - OVERHEAD);
    net.send(A, B, &vec![7; max]).unwrap();
    net.run_a_little();
    assert_eq!(net.delivered(B).len(), 1);
    assert_eq!(fits_at(&net, A, B, net.clock.now()), max);
}

#[test]
fn a_path_that_shrinks_without_a_word_is_a_black_hole_for_some_seconds_only() {
    let mut net = Net::with(&pair(), |_, _, config| config.path_mtu = PathMtu::Probed);
    net.run_until_up();
    net.run_for(Duration::from_secs(5));
    net.narrow.extend([((A, B), 1250), ((B, A), 1250)]);

    net.run_until(Duration::from_secs(9), |net| mtus(net) == [Some(1200); 2]);
    net.send(A, B, &[7; 1200 - OVERHEAD]).unwrap();
    net.run_for(Duration::from_secs(30));

    assert_eq!(net.delivered(B).len(), 1);
    assert!(mtus(&net).iter().all(|mtu| (1235..=1250).contains(&mtu.unwrap())), "{:?}", mtus(&net));
    assert_eq!(net.story(A), ["B up"], "hellos are short: the link never went down");
}

#[test]
fn a_handshake_fits_a_path_that_carries_1200_bytes() {
    let mut net = Net::with(&pair(), |_, _, config| {
        config.path_mtu = PathMtu::Probed;
        config.mtu = 9000;
    });
    net.narrow.extend([((A, B), 1200), ((B, A), 1200)]);

    net.run_until(Duration::from_secs(2), Net::is_up);
    net.run_for(Duration::from_secs(60));

    assert!(mtus(&net).iter().all(|mtu| *mtu == Some(1200)), "{:?}", mtus(&net));
}

#[test]
fn an_error_from_a_relay_is_remembered_and_the_next_send_is_refused_at_the_origin() {
    let mut net = Net::with(&Plan::chain_of_three(), |_, _, config| config.path_mtu = PathMtu::Probed);
    net.narrow.insert((B, C), 1250);
    net.run_until_up();
    net.run_for(Duration::from_secs(30));
    let now = net.clock.now();
    assert_eq!(fits_at(&net, A, C, now), 1400 - OVERHEAD, "nobody has told A yet");

    net.send(A, C, &[7; 1400 - OVERHEAD]).unwrap();
    net.run_a_little();

    assert_eq!(net.errors(A).len(), 1);
    let now = net.clock.now();
    let fits = fits_at(&net, A, C, now);
    assert!((1235 - OVERHEAD..=1250 - OVERHEAD).contains(&fits), "{fits}");
    let refused = net.send(A, C, &vec![7; fits + 1]);
    assert_eq!(refused, Err(SendError::TooLarge { len: fits + 1, max: fits }));
    net.send(A, C, &vec![7; fits]).unwrap();
    net.run_a_little();
    assert_eq!(net.delivered(C).len(), 1);
    let later = now + Duration::from_secs(2);
    assert_eq!(fits_at(&net, A, C, later), 1400 - OVERHEAD, "what is old holds nothing back");
}

/// A far link fell back to 1200 bytes and was at another size a round trip later, and nobody said so to the
/// origin: it believed the error for ten minutes, and sent nothing larger. It is to ask again soon, by a frame.
#[test]
fn a_far_link_that_shrinks_without_a_word_holds_large_frames_back_for_seconds_only() {
    for inner in [EndToEnd::Off, EndToEnd::On] {
        let mut net = Net::with(&Plan::chain_of_three(), |_, _, config| {
            config.path_mtu = PathMtu::Probed;
            config.mtu = 1440;
            config.inner.default = inner;
        });
        net.run_until_up();
        net.run_for(Duration::from_secs(5));
        net.narrow.extend([((B, C), 1420), ((C, B), 1420)]);
        net.slow.extend([(B, C), (C, B)].map(|way| (way, Duration::from_millis(300))));
        let ipv6 = &[6; 1280];
        let is_back = |net: &Net| net.nodes[B].neighbours().iter().any(|view| view.mtu == Some(1409));

        while !is_back(&net) {
            let _ = net.send(A, C, ipv6);
            net.run_for(Duration::from_millis(100));
        }
        let (before, since) = (net.delivered(C).len(), net.clock.elapsed());
        while net.delivered(C).len() == before {
            let _ = net.send(A, C, ipv6);
            net.run_for(Duration::from_millis(100));
        }

        let took = net.clock.elapsed() - since;
        assert!(took < Duration::from_secs(5), "{inner:?}: {took:?}");
    }
}

#[test]
fn what_our_own_link_takes_counts_at_once_for_every_node_behind_it() {
    let mut net = Net::with(&Plan::chain_of_three(), |_, _, config| config.path_mtu = PathMtu::Probed);
    net.narrow.insert((A, B), 1250);
    net.run_until(Duration::from_secs(1), |net| net.nodes[A].neighbours()[0].mtu == Some(1200));
    net.run_until_up();
    let [b, c] = [B, C].map(|node| fits_at(&net, A, node, net.clock.now()));
    assert_eq!((b, c), (1200 - OVERHEAD, 1200 - OVERHEAD));

    // It rises to what the path carries; then that becomes less.
    net.run_until(Duration::from_secs(30), |net| net.nodes[A].neighbours()[0].mtu > Some(1200));
    let mtu = usize::from(net.nodes[A].neighbours()[0].mtu.unwrap());
    assert_eq!(fits_at(&net, A, C, net.clock.now()), mtu - OVERHEAD);
    net.narrow.insert((A, B), 1200);
    net.run_until(Duration::from_secs(30), |net| net.nodes[A].neighbours()[0].mtu == Some(1200));

    assert_eq!(fits_at(&net, A, C, net.clock.now()), 1200 - OVERHEAD);
}

#[test]
fn a_frame_that_arrives_by_a_narrow_direction_holds_nothing_back_in_the_other() {
    let mut net = Net::with(&Plan::chain_of_three(), |_, _, config| config.path_mtu = PathMtu::Probed);
    net.narrow.insert((A, B), 1250);
    net.run_until_up();
    net.run_for(Duration::from_secs(30));

    net.send(A, C, b"short").unwrap();
    net.run_a_little();

    assert_eq!(fits_at(&net, C, A, net.clock.now()), 1400 - OVERHEAD);
    net.reply(C, A, &[7; 1400 - OVERHEAD]).unwrap();
    net.run_a_little();
    assert_eq!(net.delivered(A).len(), 1);
}

#[test]
fn an_error_about_a_frame_that_was_never_sent_changes_nothing() {
    let mut net = Net::with(&Plan::chain_of_three(), |_, _, config| config.path_mtu = PathMtu::Probed);
    net.run_until_up();
    net.run_for(Duration::from_secs(1));
    let now = net.clock.now();

    // C's own frames are not A's, and what C says of them is no news of the way to C.
    net.send(C, A, b"short").unwrap();
    net.run_a_little();

    assert_eq!(fits_at(&net, A, C, now), 1400 - OVERHEAD);
}

#[test]
fn a_node_whose_mtu_is_fixed_sends_no_probe() {
    let mut net = Net::up(&pair());
    net.narrow.insert((A, B), 1250);

    net.run_for(Duration::from_secs(30));

    assert!(net.deliveries.iter().all(|seen| seen.bytes.len() < 1200));
    assert_eq!(mtus(&net), [Some(1400); 2]);
}

/// How many bytes of payload one node may send another.
fn fits_at(net: &Net, from: usize, to: usize, now: Instant) -> usize {
    net.nodes[from].payload_bytes_max(net.id(to), now).expect("there is a way")
}

fn mtus(net: &Net) -> [Option<u16>; 2] {
    [A, B].map(|index| net.nodes[index].neighbours()[0].mtu)
}

/// A dials B.
fn pair() -> Plan {
    Plan { nodes: 2, links: vec![(A, B)], routes: Vec::new() }
}
