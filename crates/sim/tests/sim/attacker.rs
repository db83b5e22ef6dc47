//! The attacker: sees, holds, takes, delays and changes what passes his places, and speaks for anyone.

use std::sync::Arc;
use std::time::Duration;

use peerbound_dtls::ContentType;
use peerbound_node::{Lock, Sending, Verdict};
use peerbound_sim::{
    Captured, Content, DatagramId, DatagramMatch, HandshakeType, Injection, Observed, PathMatch, Stand, Tap,
    TapAction, TapId, Way,
};

use crate::support::{A, B, C, FLOW, Triangle, address, id};

const DATA: Content = Content::Record { content_type: Some(ContentType::ApplicationData), epoch: None };

fn tap(triangle: &mut Triangle, from: usize, to: usize, nth: Option<u64>, action: TapAction) -> TapId {
    let on = PathMatch::OneWay { from: triangle.hosts[from], to: triangle.hosts[to] };
    let matching = DatagramMatch { content: DATA, nth, ..DatagramMatch::default() };
    triangle.world.add_tap(Tap { on, matching, action })
}

fn verdict_of(triangle: &Triangle, of: DatagramId) -> Option<(Verdict, Option<&'static str>)> {
    let mut verdicts = triangle.story(|what| match what {
        Observed::Arrived { datagram, verdict, reason, .. } if *datagram == of => {
            Some((*verdict, reason.map(|reason| reason.name())))
        }
        _ => None,
    });
    assert!(verdicts.len() < 2);
    verdicts.pop()
}

fn copy_from(triangle: &mut Triangle, source: usize, to: usize, captured: &Captured) -> DatagramId {
    let injection = Injection {
        from: Stand::At(triangle.hosts[C]),
        source: address(source),
        destination: address(to),
        bytes: captured.bytes.to_vec(),
        label: Some(Arc::from("replay")),
        copy_of: Some(captured.datagram),
    };
    triangle.world.inject(injection)
}

#[test]
fn what_is_captured_and_sent_again_is_held_up_at_the_replay_lock() {
    let mut triangle = Triangle::up(1);
    let place = tap(&mut triangle, A, B, Some(1), TapAction::Capture);
    triangle.send(A, C, b"once", false);
    triangle.run_for(Duration::from_millis(5));
    let captured = triangle.world.captured(place)[0].clone();

    let replay = copy_from(&mut triangle, A, B, &captured);
    triangle.run_for(Duration::from_millis(5));

    assert_eq!((captured.source, captured.destination), (address(A), address(B)));
    assert_eq!(verdict_of(&triangle, replay), Some((Verdict::Dropped(Lock::Replay), Some("replay"))));
    assert_eq!(triangle.delivered(C), [b"once"]);
    let told = triangle.story(|what| match what {
        Observed::Sent { datagram, by, way: Way::Injected, label, copy_of, .. } if *datagram == replay => {
            Some((*by, label.clone(), *copy_of))
        }
        _ => None,
    });
    assert_eq!(told, [(triangle.hosts[C], Some("replay".into()), Some(captured.datagram))]);
}

#[test]
fn a_record_of_one_session_is_no_record_of_another_whatever_its_source_address() {
    let mut triangle = Triangle::up(2);
    let place = tap(&mut triangle, C, B, Some(1), TapAction::Capture);
    triangle.send(C, B, b"for B", false);
    triangle.run_for(Duration::from_millis(5));
    let captured = triangle.world.captured(place)[0].clone();

    let from_c = copy_from(&mut triangle, C, A, &captured);
    let from_b = copy_from(&mut triangle, B, A, &captured);
    triangle.run_for(Duration::from_millis(5));

    assert_eq!(verdict_of(&triangle, from_c), Some((Verdict::Dropped(Lock::Demux), Some("no-session"))));
    // By its number it may as well be a replay of B's own: the mirror asks before any cryptography.
    let (verdict, _) = verdict_of(&triangle, from_b).unwrap();
    assert!(matches!(verdict, Verdict::Dropped(Lock::RecordAuth | Lock::Replay)), "{verdict}");
}

#[test]
fn what_is_held_comes_when_it_is_released_and_not_at_all_when_it_is_dropped() {
    for is_released in [true, false] {
        let mut triangle = Triangle::up(3);
        let place = tap(&mut triangle, A, B, None, TapAction::Hold);
        triangle.send(A, C, b"held", false);
        triangle.run_for(Duration::from_millis(5));
        assert_eq!((triangle.world.held(place), triangle.delivered(C).len()), (1, 0));

        let count = if is_released { triangle.world.release(place) } else { triangle.world.drop_held(place) };
        triangle.world.remove_tap(place);
        triangle.send(A, C, b"after", false);
        triangle.run_for(Duration::from_millis(5));

        assert_eq!(count, 1);
        let expected =
            if is_released { vec![b"held".to_vec(), b"after".to_vec()] } else { vec![b"after".to_vec()] };
        assert_eq!(triangle.delivered(C), expected);
    }
}

#[test]
fn what_is_taken_is_lost_and_what_is_delayed_comes_later() {
    let mut triangle = Triangle::up(4);
    let delay = TapAction::Delay(Duration::from_millis(50));
    tap(&mut triangle, A, B, Some(1), TapAction::Drop);
    tap(&mut triangle, A, B, Some(1), delay);

    for payload in [&b"one"[..], b"two", b"three"] {
        triangle.send(A, C, payload, false);
    }
    triangle.run_for(Duration::from_millis(10));
    assert_eq!(triangle.delivered(C), [b"three"]);
    triangle.run_for(Duration::from_millis(50));

    assert_eq!(triangle.delivered(C), [&b"three"[..], b"two"]);
}

#[test]
fn what_is_changed_on_the_way_does_not_verify() {
    let mut triangle = Triangle::up(5);
    let flip_last = TapAction::Rewrite(Box::new(|bytes| {
        let mut changed = bytes.to_vec();
        *changed.last_mut()? ^= 1;
        Some(changed)
    }));
    tap(&mut triangle, A, B, Some(1), flip_last);

    triangle.send(A, C, b"untrue", false);
    triangle.run_for(Duration::from_millis(5));

    let changed = triangle.story(|what| match what {
        Observed::Sent { datagram, way: Way::Changed, .. } => Some(*datagram),
        _ => None,
    });
    assert_eq!(changed.len(), 1);
    let bad = (Verdict::Dropped(Lock::RecordAuth), Some("bad-mac"));
    assert_eq!(verdict_of(&triangle, changed[0]), Some(bad));
}

#[test]
fn a_tap_that_was_removed_sees_nothing_more_and_no_tap_sees_what_the_attacker_sends() {
    let mut triangle = Triangle::up(6);
    let place = tap(&mut triangle, A, B, None, TapAction::Capture);
    triangle.send(A, C, b"one", false);
    let captured = triangle.world.captured(place)[0].clone();
    let injection = Injection {
        from: Stand::OnPathFrom(triangle.hosts[A]),
        source: captured.source,
        destination: captured.destination,
        bytes: captured.bytes.to_vec(),
        label: None,
        copy_of: None,
    };
    triangle.world.inject(injection);
    assert_eq!(triangle.world.captured(place).len(), 1);

    triangle.world.remove_tap(place);
    triangle.send(A, C, b"two", false);

    assert_eq!(triangle.world.captured(place).len(), 1);
}

#[test]
fn what_a_node_seals_into_the_callers_hands_is_not_sent_and_is_taken_once_it_is() {
    let mut triangle = Triangle::up(7);
    let sending = Sending { destination: id(C), flow: FLOW, is_reply: false, payload: b"by hand" };
    let (_, sealed) = triangle.world.seal(triangle.hosts[A], sending).unwrap();
    triangle.run_for(Duration::from_millis(5));
    assert_eq!((sealed.len(), triangle.delivered(C).len()), (1, 0));

    triangle.world.send_raw(triangle.sockets[A], address(B), &sealed[0], Some("by hand"));
    triangle.run_for(Duration::from_millis(5));

    assert_eq!(triangle.delivered(C), [b"by hand"]);
    let counters = triangle.world.node(triangle.hosts[A]).unwrap().counters();
    assert!(counters.is_conserved());
}

#[test]
fn a_hello_can_be_found_among_all_paths_at_once() {
    let mut triangle = Triangle::empty(8);
    let matching =
        DatagramMatch { content: Content::Handshake(HandshakeType::ClientHello), ..DatagramMatch::default() };
    let place = triangle.world.add_tap(Tap { on: PathMatch::Anywhere, matching, action: TapAction::Capture });

    triangle.boot();
    triangle.run_until_up();

    let from: Vec<_> = triangle.world.captured(place).iter().map(|captured| captured.from).collect();
    let [a, _, c] = triangle.hosts;
    assert_eq!(from, [a, c, a, c], "two each: without a cookie, and with one");
}
