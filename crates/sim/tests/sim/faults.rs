//! Faults by handshake message and count: each flight of a handshake lost, late, doubled, bent.

use std::time::Duration;

use peerbound_dtls::ContentType;
use peerbound_sim::{
    Content, DatagramMatch, Fault, FaultAction, FaultId, HandshakeType, Loss, Observed, PathMatch, Way,
    handshake_messages,
};

use crate::support::{A, B, C, Triangle};

/// Boots the triangle with one fault between A and B.
fn with_fault(action: FaultAction, content: Content, nth: u64) -> (Triangle, FaultId) {
    let mut triangle = Triangle::empty(11);
    let matching = DatagramMatch { content, nth: Some(nth), ..DatagramMatch::default() };
    let on = PathMatch::Between(triangle.hosts[A], triangle.hosts[B]);
    let fault = triangle.world.add_fault(Fault { on, matching, action });
    triangle.boot();
    (triangle, fault)
}

#[test]
fn each_message_of_a_handshake_can_be_dropped_by_its_name_and_is_sent_again() {
    use HandshakeType as Of;
    let messages = [
        Of::ClientHello,
        Of::HelloVerifyRequest,
        Of::ServerHello,
        Of::Certificate,
        Of::ServerKeyExchange,
        Of::CertificateRequest,
        Of::ServerHelloDone,
        Of::ClientKeyExchange,
        Of::CertificateVerify,
    ];
    for message in messages {
        let (mut triangle, fault) = with_fault(FaultAction::Drop, Content::Handshake(message), 1);

        triangle.run_until_up();

        let carrying = sent_between_a_and_b(&triangle, message);
        assert_eq!(triangle.world.fault_count(fault), 1, "{message:?}");
        assert_eq!(lost(&triangle), [Loss::Fault(fault)], "{message:?}");
        assert!(carrying >= 2, "{message:?} was sent {carrying} times");
        assert!(triangle.world.now().since_start() >= Duration::from_millis(250), "{message:?}");
    }
}

#[test]
fn the_sealed_finished_of_either_end_can_be_dropped_as_a_handshake_record_of_epoch_1() {
    for nth in [1, 2] {
        let finished = Content::Record { content_type: Some(ContentType::Handshake), epoch: Some(1) };
        let (mut triangle, fault) = with_fault(FaultAction::Drop, finished, nth);

        triangle.run_until_up();

        assert_eq!(lost(&triangle), [Loss::Fault(fault)]);
    }
}

#[test]
fn a_datagram_that_is_doubled_is_another_one_and_a_copy() {
    let hello = Content::Handshake(HandshakeType::ServerHello);
    let (mut triangle, _) = with_fault(FaultAction::Duplicate, hello, 1);

    triangle.run_until_up();

    let copies = triangle.story(|what| match what {
        Observed::Sent { datagram, way: Way::Duplicated, copy_of, bytes, .. } => {
            Some((*datagram, copy_of.unwrap(), bytes.clone()))
        }
        _ => None,
    });
    let [(copy, original, bytes)] = &copies[..] else { panic!("{copies:?}") };
    assert_ne!(copy, original);
    let originals = triangle.story(|what| match what {
        Observed::Sent { datagram, bytes, .. } if datagram == original => Some(bytes.clone()),
        _ => None,
    });
    assert_eq!(originals, std::slice::from_ref(bytes));
    assert_eq!(arrivals(&triangle, |datagram| [*copy, *original].contains(&datagram)), 2);
}

#[test]
fn a_datagram_that_is_bent_ends_and_another_one_goes_on_in_its_place() {
    let hello = Content::Handshake(HandshakeType::ClientHello);
    // The last bit of the message type: ClientHello, 1, becomes HelloRequest, 0.
    let (mut triangle, fault) = with_fault(FaultAction::Corrupt { bit: 7 }, hello, 1);

    triangle.run_until_up();

    assert_eq!(lost(&triangle), [Loss::Fault(fault)]);
    let bent = triangle.story(|what| match what {
        Observed::Sent { datagram, way: Way::Changed, bytes, .. } => Some((*datagram, bytes[13])),
        _ => None,
    });
    let [(datagram, 0)] = bent[..] else { panic!("{bent:?}") };
    let reasons = triangle.story(|what| match what {
        Observed::Arrived { datagram: of, reason, .. } if *of == datagram => {
            reason.map(|reason| reason.name())
        }
        _ => None,
    });
    assert_eq!(reasons, ["no-session"]);
}

#[test]
fn a_datagram_that_is_delayed_comes_that_much_later_and_one_that_is_overtaken_after_the_next() {
    let mut triangle = Triangle::up(12);
    let (a, b) = (triangle.hosts[A], triangle.hosts[B]);
    let on = PathMatch::OneWay { from: a, to: b };
    let data = Content::Record { content_type: Some(ContentType::ApplicationData), epoch: None };
    for (nth, action) in [(1, FaultAction::Reorder), (3, FaultAction::Delay(Duration::from_millis(20)))] {
        let matching = DatagramMatch { content: data, nth: Some(nth), ..DatagramMatch::default() };
        triangle.world.add_fault(Fault { on, matching, action });
    }

    for payload in [&b"one"[..], b"two", b"three", b"four"] {
        triangle.send(A, C, payload, false);
    }
    triangle.run_for(Duration::from_millis(30));

    assert_eq!(triangle.delivered(C), [&b"two"[..], b"one", b"four", b"three"]);
}

#[test]
fn what_nobody_overtakes_goes_on_after_a_while() {
    let mut triangle = Triangle::up(13);
    let on = PathMatch::OneWay { from: triangle.hosts[A], to: triangle.hosts[B] };
    let matching = DatagramMatch { nth: Some(1), ..DatagramMatch::default() };
    triangle.world.add_fault(Fault { on, matching, action: FaultAction::Reorder });

    triangle.send(A, C, b"alone", false);
    triangle.run_for(Duration::from_millis(110));

    assert_eq!(triangle.delivered(C), [b"alone"]);
}

fn sent_between_a_and_b(triangle: &Triangle, message: HandshakeType) -> usize {
    let hosts = [triangle.hosts[A], triangle.hosts[B]];
    let sent = triangle.story(|what| match what {
        Observed::Sent { by, destination, bytes, .. } if hosts.contains(by) => {
            let is_to_c = destination.ip() == crate::support::ip(C);
            (!is_to_c && handshake_messages(bytes).any(|found| found == message)).then_some(())
        }
        _ => None,
    });
    sent.len()
}

fn lost(triangle: &Triangle) -> Vec<Loss> {
    triangle.story(|what| match what {
        Observed::Lost { why, .. } => Some(*why),
        _ => None,
    })
}

fn arrivals(triangle: &Triangle, which: impl Fn(peerbound_sim::DatagramId) -> bool) -> usize {
    let arrived = triangle.story(|what| match what {
        Observed::Arrived { datagram, .. } => which(*datagram).then_some(()),
        _ => None,
    });
    arrived.len()
}
