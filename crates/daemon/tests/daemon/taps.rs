//! What passes a node is copied for whoever asks, and the node does no less for that.

use peerbound_daemon::{Copied, TAPPED_MAX, TAPS_MAX, Tap, TapOf, TapOptions};
use peerbound_node::{FrameWay, Verdict};
use peerbound_wire::{FlowId, Frame, Kind};

use crate::support::{DEADLINE, Members, delivery, wait_for, wait_until};

const FLOW: FlowId = FlowId(5);
const FRAMES: TapOptions = TapOptions { of: TapOf::Frames, secrets: false };

#[test]
fn the_frames_of_a_relay_are_copied_as_they_come_in_and_go_out() {
    let members = Members::new(&["A", "B", "C"]);
    let [a, b, c] = members.chain();
    let tap = b.handle().tap(FRAMES).unwrap().unwrap();

    a.send(c.id(), FLOW, false, b"over the hills".to_vec()).unwrap();
    wait_for(&c, "it arrives", delivery);

    let seen = |way, neighbour| {
        move |copied: &Copied| match copied {
            Copied::Frame(copy) if copy.way == way && copy.neighbour == neighbour => {
                let frame = Frame::decode(&copy.bytes).expect("a copy is a whole frame");
                (frame.header.kind == Kind::Data && frame.payload == b"over the hills")
                    .then_some(frame.header.hop_limit)
            }
            _ => None,
        }
    };
    let came_in = next(&tap, "it came in", seen(FrameWay::In, a.id()));
    let went_out = next(&tap, "it went out", seen(FrameWay::Out, c.id()));
    assert_eq!((came_in.0, went_out.0), (32, 31));
    assert_eq!(tap.dropped(), 0);
}

#[test]
fn datagrams_are_copied_with_their_verdicts_and_sessions_with_their_secrets() {
    let members = Members::new(&["A", "B", "C"]);
    let [a, b, _c] = members.chain();
    let tap = b.handle().tap(TapOptions { of: TapOf::Datagrams, secrets: true }).unwrap().unwrap();

    assert!(b.rekey(a.id()).unwrap());

    let (peer, keylog) = next(&tap, "the session is told of", |copied| match copied {
        Copied::Secrets { peer, keylog } => Some((*peer, keylog.clone())),
        _ => None,
    });
    assert_eq!(peer, a.id());
    assert!(keylog.starts_with("CLIENT_RANDOM "), "{keylog}");
    next(&tap, "A is heard", |copied| match copied {
        Copied::Arrived { from, bytes, verdict: Verdict::Accepted, reason: None } => {
            (*from == a.address() && !bytes.is_empty()).then_some(())
        }
        _ => None,
    });
    next(&tap, "A is spoken to", |copied| {
        matches!(copied, Copied::Sent { to, .. } if *to == a.address()).then_some(())
    });
    assert!(
        b.events().try_iter().all(|event| !matches!(event, peerbound_node::Event::Session(_))),
        "the owner did not ask"
    );
}

#[test]
fn taps_have_a_ceiling_and_one_that_is_dropped_makes_room() {
    let members = Members::new(&["A", "B", "C"]);
    let [_a, b, _c] = members.chain();
    let mut taps: Vec<_> = (0..TAPS_MAX).map(|_| b.handle().tap(FRAMES).unwrap().unwrap()).collect();

    assert!(b.handle().tap(FRAMES).unwrap().is_none());
    taps.pop();
    assert!(b.handle().tap(FRAMES).unwrap().is_some());
}

#[test]
fn a_tap_that_nobody_empties_loses_copies_and_counts_them_and_traffic_goes_on() {
    let members = Members::new(&["A", "B", "C"]);
    let [a, b, c] = members.chain();
    let tap = b.handle().tap(FRAMES).unwrap().unwrap();

    for _ in 0..TAPPED_MAX {
        while a.send(c.id(), FLOW, false, vec![7; 10]).is_err() {
            std::thread::yield_now();
        }
    }
    wait_until("copies are lost", || tap.dropped() > 0);

    assert_eq!(tap.copies().len(), TAPPED_MAX);
    assert!(b.status().unwrap().counters.is_conserved());
}

#[test]
fn a_node_makes_no_copies_when_the_last_tap_is_gone() {
    let members = Members::new(&["A", "B", "C"]);
    let [_a, b, _c] = members.chain();
    let tap = b.handle().tap(TapOptions { of: TapOf::Frames, secrets: true }).unwrap().unwrap();
    assert!(b.handle().with_node(|node, _| node.observes_sessions()).unwrap());

    drop(tap);

    wait_until("nobody is told of sessions", || {
        !b.handle().with_node(|node, _| node.observes_sessions()).unwrap()
    });
}

fn next<T>(tap: &Tap, what: &str, fits: impl Fn(&Copied) -> Option<T>) -> T {
    let end = peerbound_daemon::now() + DEADLINE;
    loop {
        let tapped =
            tap.copies().recv_deadline(end).unwrap_or_else(|_| panic!("within {DEADLINE:?}: {what}"));
        if let Some(found) = fits(&tapped.what) {
            return found;
        }
    }
}
