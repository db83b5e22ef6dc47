//! What was refused is remembered: who sent it, why it went no further, and nothing without a bound.

use std::net::SocketAddr;
use std::time::Duration;

use peerbound_dtls::{ContentType, Discard};
use peerbound_node::{DatagramDrop, FrameDrop, HEAD_BYTES, Lock, Reason, STRAYS_MAX, Stray, Verdict};
use peerbound_wire::{Header, HopLimit, Kind};

use crate::support::{Net, Plan, address};

const A: usize = 0;
const B: usize = 1;
const C: usize = 2;
const D: usize = 3;

#[test]
fn a_direct_reply_is_remembered_with_its_source_its_lock_and_its_record_number() {
    let mut net = up(&Plan::chain_of_three());
    net.run_for(Duration::from_secs(2));
    net.reply(C, A, b"directly").unwrap();
    let sealed_for_b = net.intercept(C, B).pop().unwrap();

    net.inject(address(C), A, &sealed_for_b);

    let stray = strays(&net, A).pop().unwrap();
    assert_eq!((stray.from, stray.bytes, stray.times), (address(C), sealed_for_b.len(), 1));
    assert_eq!(stray.verdict, Verdict::Dropped(Lock::Demux));
    assert_eq!(stray.reason, Some(Reason::Datagram(DatagramDrop::NoSession)));
    assert_eq!(stray.at, net.clock.now());
    let record = stray.record().unwrap();
    assert_eq!((record.content_type, record.epoch), (ContentType::ApplicationData, 1));
    assert!(record.sequence > 0);
    assert_eq!(stray.head(), &sealed_for_b[..HEAD_BYTES]);
    assert_eq!(stray.handshake_type(), None);
}

#[test]
fn every_lock_behind_the_socket_leaves_its_stray() {
    let mut net = up(&Plan::chain_of_three());
    net.send(A, B, b"once").unwrap();
    let datagram = net.intercept(A, B).pop().unwrap();
    let mut forged = datagram.clone();
    *forged.last_mut().unwrap() ^= 1;
    forged[10] = forged[10].wrapping_add(1);

    for bytes in [&datagram, &datagram, &forged] {
        net.inject(address(A), B, bytes);
    }
    net.inject(address(A), B, &[23, 0xfe]);

    let seen: Vec<_> = strays(&net, B).iter().map(|stray| (stray.verdict, stray.reason)).collect();
    assert_eq!(seen[0], (Verdict::Dropped(Lock::Replay), Some(Reason::Record(Discard::Replay))));
    assert_eq!(seen[1], (Verdict::Dropped(Lock::RecordAuth), Some(Reason::Record(Discard::BadMac))));
    assert_eq!(seen[2].0, Verdict::Dropped(Lock::Gate));
    assert_eq!(seen.len(), 3);
}

#[test]
fn one_who_is_refused_for_his_certificate_is_named() {
    let plan = Plan::chain_of_three();
    let mut net = Net::with(&plan, |index, ids, config| {
        config.strays_kept = STRAYS_MAX;
        // At B's address answers B, and A was told to expect C there.
        if index == A {
            config.neighbours[0].id = ids[C];
            config.routes.clear();
        }
    });
    net.run_for(Duration::from_secs(1));

    let strays = strays(&net, A);
    let stray = strays.iter().find(|stray| stray.verdict == Verdict::Dropped(Lock::Identity));
    let refusal = stray.and_then(|stray| stray.refusal.as_deref()).unwrap_or_default();
    assert!(refusal.contains("\"B\""), "{strays:#?}");
}

#[test]
fn a_flood_from_one_address_is_one_entry_and_one_from_many_fills_no_more_than_the_ring() {
    let mut net = up(&Plan::chain_of_three());
    for _ in 0..1000 {
        net.inject(address(C), A, &[23; 90]);
    }
    assert_eq!(strays(&net, A).iter().map(|stray| stray.times).collect::<Vec<_>>(), [1000]);

    for port in 1..=1000 {
        net.inject(SocketAddr::new(address(C).ip(), port), A, &[23; 90]);
    }
    let strays = strays(&net, A);
    assert_eq!(strays.len(), STRAYS_MAX);
    assert_eq!(strays.last().unwrap().from.port(), 1000, "the last ones are kept");
}

#[test]
fn a_node_that_was_not_asked_to_remembers_nothing() {
    let mut net = Net::up(&Plan::chain_of_three());
    net.inject(address(C), A, &[23; 90]);
    net.send(A, C, b"x").unwrap();

    assert_eq!(strays(&net, A), []);
    assert_eq!(net.nodes[A].dropped_frames().count(), 0);
}

#[test]
fn a_datagram_shorter_than_what_is_kept_is_kept_whole() {
    let mut net = up(&Plan::chain_of_three());
    net.inject(address(C), A, &[23, 0xfe]);
    net.inject(SocketAddr::new(address(C).ip(), 9), A, &[]);

    let strays = strays(&net, A);
    assert_eq!((strays[0].head(), strays[1].head()), (&[23, 0xfe][..], &[][..]));
    assert!(strays.iter().all(|stray| stray.record().is_none()));
}

#[test]
fn a_dropped_frame_is_remembered_with_its_header_and_reason() {
    let mut net = up(&Plan::chain(4));
    net.cut_both(C, D);
    net.run_until(Duration::from_secs(5), |net| !net.is_usable(C, D));
    for _ in 0..3 {
        net.send(A, D, b"to nobody").unwrap();
    }
    net.run_a_little();

    let dropped: Vec<_> = net.nodes[C].dropped_frames().cloned().collect();
    assert_eq!(dropped.len(), 1, "{dropped:#?}");
    let (header, frame) = (dropped[0].header.unwrap(), &dropped[0]);
    assert_eq!((frame.reason, frame.times, frame.from), (FrameDrop::NoRoute, 3, Some(net.id(B))));
    assert_eq!((header.source, header.destination, header.kind), (net.id(A), net.id(D), Kind::Data));
    assert_eq!(frame.payload_bytes, b"to nobody".len());
}

#[test]
fn a_frame_of_our_own_that_finds_no_way_and_one_that_is_no_frame_are_remembered_too() {
    let mut net = up(&Plan::chain_of_three());
    net.cut_both(A, B);
    net.run_until(Duration::from_secs(5), |net| !net.is_usable(A, B));
    net.send(A, C, b"nowhere").unwrap_err();

    let dropped: Vec<_> = net.nodes[A].dropped_frames().cloned().collect();
    assert_eq!((dropped[0].reason, dropped[0].from), (FrameDrop::NoRoute, None));

    let mut net = Net::with(&Plan::chain_of_three(), |_, _, config| config.strays_kept = 8);
    net.replace_by_insider(C, B);
    net.run_until(Duration::from_secs(5), |net| net.is_usable(B, C));
    net.insider(C).send(b"no frame");
    let a = net.id(A);
    let header = Header { hop_limit: HopLimit(1), ..net.insider(C).header(Kind::Routing, a) };
    net.insider(C).send_frame(header, b"");
    net.run_a_little();

    let reasons: Vec<_> =
        net.nodes[B].dropped_frames().map(|frame| (frame.reason, frame.header.is_some())).collect();
    assert_eq!(reasons, [(FrameDrop::BadFrame, false), (FrameDrop::NotFromNeighbour, true)]);
}

fn up(plan: &Plan) -> Net {
    let mut net = Net::with(plan, |_, _, config| config.strays_kept = STRAYS_MAX);
    net.run_until_up();
    net
}

fn strays(net: &Net, at: usize) -> Vec<Stray> {
    net.nodes[at].strays().cloned().collect()
}
