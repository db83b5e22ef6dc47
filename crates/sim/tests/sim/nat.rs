//! Hosts behind a NAT: reached and not, rebound, let back in, told of errors.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use peerbound_node::{Event, Healing};
use peerbound_sim::{
    Dependence, Hairpin, Injection, Loss, NatConfig, NatId, Observed, SocketError, SocketId, Stand,
};

use crate::support::{A, B, C, PORT, Triangle, address};

const OUTSIDE: [u8; 4] = [203, 0, 113, 1];

fn nat(triangle: &mut Triangle, inside: &[usize], filtering: Dependence, hairpin: Hairpin) -> NatId {
    triangle.world.add_nat(NatConfig {
        address: IpAddr::from(OUTSIDE),
        inside: inside.iter().map(|who| triangle.hosts[*who]).collect(),
        mapping: Dependence::EndpointIndependent,
        filtering,
        hairpin,
        timeout: Duration::from_secs(30),
    })
}

fn outside(port: u16) -> SocketAddr {
    SocketAddr::from((OUTSIDE, port))
}

/// Three hosts whose sockets an application reads, A behind a NAT.
fn applications(inside: &[usize], filtering: Dependence, hairpin: Hairpin) -> (Triangle, NatId) {
    let mut triangle = Triangle::empty(1);
    let id = nat(&mut triangle, inside, filtering, hairpin);
    triangle.sockets.iter().for_each(|socket| triangle.world.listen(*socket));
    (triangle, id)
}

fn fates(triangle: &mut Triangle) -> (Vec<SocketId>, Vec<Loss>, Vec<SocketError>) {
    triangle.run_for(Duration::from_millis(5));
    let (mut read, mut lost, mut told) = (Vec::new(), Vec::new(), Vec::new());
    for observation in triangle.seen.drain(..) {
        match observation.what {
            Observed::Read { socket, .. } => read.push(socket),
            Observed::Lost { why, .. } => lost.push(why),
            Observed::Told { error, .. } => told.push(error),
            _ => {}
        }
    }
    (read, lost, told)
}

#[test]
fn nobody_outside_reaches_a_host_behind_a_nat_before_it_has_spoken() {
    let (mut triangle, _) = applications(&[A], Dependence::AddressAndPortDependent, Hairpin::Off);
    let [a, b, c] = triangle.sockets;

    triangle.world.send_raw(b, address(A), b"by its own address", None);
    triangle.world.send_raw(b, outside(PORT), b"by the NAT's", None);
    assert_eq!(fates(&mut triangle), (vec![], vec![Loss::NoSuchHost, Loss::NatNoMapping], vec![]));

    triangle.world.send_raw(a, address(B), b"hello", None);
    triangle.run_for(Duration::from_millis(5));
    triangle.world.send_raw(b, outside(PORT), b"hello yourself", None);
    triangle.world.send_raw(c, outside(PORT), b"me too", None);

    assert_eq!(fates(&mut triangle), (vec![b, a], vec![Loss::NatFiltered], vec![]));
}

#[test]
fn hosts_behind_one_nat_reach_each_other_directly_and_by_its_outside_only_over_a_hairpin() {
    for (hairpin, by_outside) in [(Hairpin::Off, Err(Loss::NatNoHairpin)), (Hairpin::On, Ok(()))] {
        let (mut triangle, id) = applications(&[A, C], Dependence::EndpointIndependent, hairpin);
        let [a, _, c] = triangle.sockets;
        triangle.world.send_raw(c, address(B), b"opens a mapping", None);
        triangle.world.send_raw(a, address(C), b"directly", None);
        triangle.run_for(Duration::from_millis(5));
        triangle.seen.clear();
        let of_c = triangle.world.mapped(id, address(C)).unwrap();

        triangle.world.send_raw(a, of_c, b"by the outside", None);

        let expected = match by_outside {
            Ok(()) => (vec![c], vec![], vec![]),
            Err(loss) => (vec![], vec![loss], vec![]),
        };
        assert_eq!(fates(&mut triangle), expected);
    }
}

#[test]
fn over_a_hairpin_the_sender_is_seen_by_his_outside_address() {
    let (mut triangle, id) = applications(&[A, C], Dependence::EndpointIndependent, Hairpin::On);
    let [a, _, c] = triangle.sockets;
    triangle.world.send_raw(c, address(B), b"opens a mapping", None);
    let of_c = triangle.world.mapped(id, address(C)).unwrap();
    triangle.world.send_raw(a, of_c, b"by the outside", None);
    triangle.run_for(Duration::from_millis(5));

    let last_translation = triangle.story(|what| match what {
        Observed::Translated { source, destination, .. } => Some((*source, *destination)),
        _ => None,
    });

    let of_a = triangle.world.mapped(id, address(A)).unwrap();
    assert_eq!(of_a.ip(), IpAddr::from(OUTSIDE));
    assert_eq!(last_translation.last(), Some(&(of_a, address(C))));
}

#[test]
fn a_refusal_finds_its_way_back_through_the_nat() {
    let (mut triangle, _) = applications(&[A], Dependence::EndpointIndependent, Hairpin::Off);
    let nobody = SocketAddr::new(address(B).ip(), 1);
    triangle.world.connect(triangle.sockets[A], nobody);

    triangle.world.send_raw(triangle.sockets[A], nobody, b"anyone?", None);

    assert_eq!(fates(&mut triangle), (vec![], vec![], vec![SocketError::ConnectionRefused]));
}

#[test]
fn nodes_talk_through_a_nat_and_when_it_is_rebound_the_link_is_made_anew_from_another_port() {
    let mut triangle = Triangle::empty(2);
    let id = nat(&mut triangle, &[A], Dependence::AddressAndPortDependent, Hairpin::Off);
    triangle.boot();
    triangle.run_until_up();
    let before = triangle.world.mapped(id, address(A)).unwrap();
    triangle.send(A, C, b"before", false);
    triangle.run_for(Duration::from_millis(10));

    triangle.world.rebind(id);
    triangle.run_for(Duration::from_secs(10));
    let after = triangle.world.mapped(id, address(A)).unwrap();
    triangle.send(A, C, b"after", false);
    triangle.run_for(Duration::from_millis(10));

    assert_eq!((before, before == after), (outside(PORT), false));
    assert_eq!(triangle.delivered(C), [&b"before"[..], b"after"]);
    let comings = triangle.events(B).filter(|event| matches!(event, Event::NeighbourUp { .. })).count();
    assert_eq!(comings, 3, "A, C, and A again");
}

#[test]
fn nodes_that_heal_move_with_their_nat_and_the_link_never_goes_down() {
    let mut triangle = Triangle::empty(2);
    let id = nat(&mut triangle, &[A], Dependence::AddressAndPortDependent, Hairpin::Off);
    triangle.boot_with(|config| config.healing = Healing::On);
    triangle.run_until_up();
    triangle.run_for(Duration::from_secs(5));

    triangle.world.rebind(id);
    triangle.run_for(Duration::from_millis(500));
    triangle.send(A, C, b"after", false);
    triangle.send(C, A, b"and back", false);
    triangle.run_for(Duration::from_millis(50));

    let after = triangle.world.mapped(id, address(A)).unwrap();
    assert_eq!(
        (triangle.delivered(C), triangle.delivered(A)),
        (vec![b"after".to_vec()], vec![b"and back".to_vec()])
    );
    let moves: Vec<_> = triangle
        .events(B)
        .filter_map(|event| match event {
            Event::NeighbourMoved { from, to, .. } => Some((*from, *to)),
            _ => None,
        })
        .collect();
    assert_eq!(moves, [(outside(PORT), after)]);
    assert!(!triangle.events(B).any(|event| matches!(event, Event::NeighbourDown { .. })));
    assert!(!triangle.events(A).any(|event| matches!(event, Event::NeighbourDown { .. })));
}

#[test]
fn a_mapping_that_nothing_goes_out_by_ends_and_what_comes_in_does_not_keep_it() {
    let (mut triangle, _) = applications(&[A], Dependence::AddressDependent, Hairpin::Off);
    let [a, b, _] = triangle.sockets;
    triangle.world.send_raw(a, address(B), b"hello", None);
    triangle.run_for(Duration::from_secs(29));
    triangle.seen.clear();

    triangle.world.send_raw(b, outside(PORT), b"still there?", None);
    assert_eq!(fates(&mut triangle), (vec![a], vec![], vec![]));
    triangle.run_for(Duration::from_secs(1));
    triangle.world.send_raw(b, outside(PORT), b"and now?", None);

    assert_eq!(fates(&mut triangle), (vec![], vec![Loss::NatNoMapping], vec![]));
}

#[test]
fn an_attacker_on_the_path_writes_the_source_he_likes_and_one_behind_the_nat_is_translated() {
    for (from_behind, source_seen) in [(true, 1), (false, 0)] {
        let (mut triangle, _) = applications(&[A], Dependence::EndpointIndependent, Hairpin::Off);
        let from =
            if from_behind { Stand::At(triangle.hosts[A]) } else { Stand::OnPathFrom(triangle.hosts[A]) };
        triangle.world.inject(Injection {
            from,
            source: address(C),
            destination: address(B),
            bytes: b"from C, honestly".to_vec(),
            label: None,
            copy_of: None,
        });
        triangle.run_for(Duration::from_millis(5));

        let translated = triangle.story(|what| matches!(what, Observed::Translated { .. }).then_some(()));
        let (read, lost, _) = fates(&mut triangle);
        assert_eq!((translated.len(), lost), (source_seen, vec![]));
        assert_eq!(read, [triangle.sockets[B]]);
    }
}
