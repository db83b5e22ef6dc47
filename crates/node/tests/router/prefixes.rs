//! What origins announce besides themselves: as much as their certificates carry, and whoever tells of more
//! is refused and costs little.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use peerbound_node::Signer;
use peerbound_wire::{Claim, Item, List, NodeId, Prefix, ProofItem, RouteSeq};

use crate::mesh::Landed;
use crate::proofs::{HONEST, MALLORY, ORIGIN, Victim};

fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

fn address(text: &str) -> Ipv6Addr {
    match text.parse().unwrap() {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

fn id(number: u32) -> NodeId {
    NodeId::new((u128::from(number + 1) << 64).to_be_bytes())
}

/// Lets an origin prove that it announces something, whatever its certificate carries.
fn prove(
    victim: &mut Victim,
    by: NodeId,
    origin: NodeId,
    seqno: u16,
    announced: &[Prefix],
    carried: &[Prefix],
) {
    let signer = Landed(origin, carried.to_vec());
    let mut prefixes = Vec::new();
    announced.iter().for_each(|prefix| prefix.write_into(&mut prefixes));
    let claim = Claim { origin, seqno: RouteSeq(seqno), prefixes: List::decode(&prefixes).unwrap() };
    let (certificate, signature) =
        (signer.certificate().unwrap(), signer.sign(&claim.signed_bytes()).unwrap());
    victim.hear_proof(by, ProofItem { claim, certificate: &certificate, signature: &signature });
}

#[test]
fn the_longest_announced_prefix_wins_then_the_nearest_and_then_the_smallest_id() {
    let mut victim = Victim::new();
    victim.hear_of(HONEST, &[(id(1), 0, 100), (id(2), 0, 300), (id(3), 0, 100), (id(4), 0, 500)]);
    let tens = [prefix("10.0.0.0/8")];
    for origin in [1, 2, 3] {
        prove(&mut victim, HONEST, id(origin), 0, &tens, &tens);
    }
    prove(
        &mut victim,
        HONEST,
        id(4),
        0,
        &[prefix("10.7.0.0/16"), prefix("fd12::/48")],
        &[tens[0], prefix("fd00::/8")],
    );

    let announcer = |text: &str| victim.router.announcer_of(address(text));

    assert_eq!(announcer("10.7.3.4"), Some(id(4)), "a longer prefix beats a shorter way");
    assert_eq!(announcer("10.8.3.4"), Some(id(1)), "as near as the third, and smaller");
    assert_eq!(announcer("fd12::7"), Some(id(4)));
    assert_eq!(announcer("192.0.2.1"), None);
    assert!(victim.router.announces(&id(4), address("10.7.3.4")));
    assert!(!victim.router.announces(&id(4), address("10.8.3.4")), "it has not announced what it might");
}

#[test]
fn an_address_goes_to_whoever_has_a_way_when_the_nearest_is_lost() {
    let mut victim = Victim::new();
    let tens = [prefix("10.0.0.0/8")];
    victim.hear_of(HONEST, &[(id(1), 0, 100), (id(2), 0, 300)]);
    prove(&mut victim, HONEST, id(1), 0, &tens, &tens);
    prove(&mut victim, HONEST, id(2), 0, &tens, &tens);

    victim.hear_of(HONEST, &[(id(1), 0, u16::MAX)]);

    assert_eq!(victim.router.announcer_of(address("10.1.1.1")), Some(id(2)));
    assert!(victim.router.announces(&id(1), address("10.1.1.1")), "what is on its way from it may come in");
}

#[test]
fn prefixes_of_others_are_listed_once_the_shortest_first_and_only_while_there_is_a_way() {
    let mut victim = Victim::new();
    let (tens, seven) = (prefix("10.0.0.0/8"), prefix("10.7.0.0/16"));
    victim.hear_of(HONEST, &[(id(1), 0, 100), (id(2), 0, 300), (id(3), 0, 100)]);
    for (origin, announced) in [(1, [seven]), (2, [tens]), (3, [tens])] {
        prove(&mut victim, HONEST, id(origin), 0, &announced, &[tens]);
    }
    let of_others = |victim: &Victim, max| victim.router.announced_prefixes(max).of_others;

    assert_eq!(of_others(&victim, 9), [tens, seven]);
    assert_eq!(of_others(&victim, 1), [tens]);
    victim.hear_of(HONEST, &[(id(1), 0, u16::MAX), (id(2), 0, u16::MAX)]);

    assert_eq!(of_others(&victim, 9), [tens], "the third is still there");
    assert!(victim.router.announced_prefixes(9).ours.is_empty());
}

#[test]
fn a_prefix_that_the_certificate_does_not_carry_is_refused_under_its_own_reason() {
    let carried = [prefix("10.7.0.0/16")];
    for greedy in ["10.0.0.0/8", "10.8.0.0/16", "0.0.0.0/0", "::/0", "fd12::/48"] {
        let mut victim = Victim::new();
        victim.hear_of(MALLORY, &[(ORIGIN, 0, 100)]);

        prove(&mut victim, MALLORY, ORIGIN, 0, &[carried[0], prefix(greedy)], &carried);

        let counters = victim.router.counters();
        assert_eq!((counters.prefixes_refused, counters.proofs_refused), (1, 0), "{greedy}");
        assert_eq!(victim.next_hop(), None, "{greedy}");
        assert_eq!(victim.router.announcer_of(address("10.7.0.1")), None, "{greedy}");
    }
}

#[test]
fn a_hundred_thousand_prefixes_that_no_certificate_carries_leave_nothing_behind() {
    let mut victim = Victim::new();
    victim.hear_of(HONEST, &[(ORIGIN, 0, 100)]);
    prove(&mut victim, HONEST, ORIGIN, 0, &[prefix("10.7.0.0/16")], &[prefix("10.7.0.0/16")]);
    for origin in 0..6250_u32 {
        let prefixes: Vec<_> = (0..16)
            .map(|index| {
                Prefix::around(Ipv6Addr::from_bits(u128::from(origin * 16 + index) << 96).into(), 32)
            })
            .map(Option::unwrap)
            .collect();
        victim.hear_of(MALLORY, &[(id(origin), 0, 1)]);
        prove(&mut victim, MALLORY, id(origin), 0, &prefixes, &[]);
    }

    let routes = victim.router.routes();
    let kept: usize = routes.iter().map(|route| route.prefixes.len()).sum();
    assert_eq!(kept, 1, "the honest one");
    assert!(routes.len() <= 4097, "{}", routes.len());
    assert!(victim.router.counters().prefixes_refused > 0);
    assert_eq!(victim.router.announcer_of(address("10.7.0.1")), Some(ORIGIN));
}

#[test]
fn a_hundred_thousand_prefixes_that_certificates_carry_go_when_their_teller_goes() {
    let mut victim = Victim::new();
    for origin in 0..6250_u32 {
        let prefixes: Vec<_> = (0..16)
            .map(|index| {
                Prefix::around(Ipv6Addr::from_bits(u128::from(origin * 16 + index) << 96).into(), 32)
            })
            .map(Option::unwrap)
            .collect();
        victim.hear_of(MALLORY, &[(id(origin), 0, 1)]);
        prove(&mut victim, MALLORY, id(origin), 0, &prefixes, &prefixes);
    }
    let routes = victim.router.routes();
    assert_eq!(routes.iter().map(|route| route.prefixes.len()).sum::<usize>(), 100_000);
    assert_eq!(victim.router.announcer_of(Ipv6Addr::from_bits(77_777 << 96)), Some(id(77_777 / 16)));

    victim.lose(MALLORY);
    assert_eq!(victim.router.announcer_of(Ipv6Addr::from_bits(77_777 << 96)), None);
    // Whoever was told of them and does not answer would have them kept for retraction.
    victim.lose(HONEST);
    victim.wait(Duration::from_secs(600));

    assert!(victim.router.routes().is_empty());
}

#[test]
fn who_announces_something_else_is_asked_for_the_proof_without_need() {
    let mut victim = Victim::new();
    let (former, latter) = ([prefix("10.7.0.0/16")], [prefix("10.8.0.0/16")]);
    victim.hear_of(HONEST, &[(ORIGIN, 0, 100)]);
    prove(&mut victim, HONEST, ORIGIN, 0, &former, &former);
    let asked = victim.asked(HONEST);

    victim.hear_of(HONEST, &[(ORIGIN, 1, 100)]);
    assert_eq!(victim.asked(HONEST), asked, "a newer number alone is needed by nobody");
    victim.hear_of(HONEST, &[(ORIGIN, 64, 100)]);
    assert_eq!(victim.asked(HONEST), asked + 1);
    prove(&mut victim, HONEST, ORIGIN, 64, &latter, &latter);

    assert_eq!(victim.router.announcer_of(address("10.7.0.1")), None);
    assert_eq!(victim.router.announcer_of(address("10.8.0.1")), Some(ORIGIN));
}

/// What happened: an origin withdrew a prefix, and nodes behind its neighbours sent packets there for up to a
/// quarter of an hour. A relay kept a newer sequence number to itself as long as the metric stayed, since nobody
/// needs it, and the number is how others learn that there is another proof to fetch. Asserted is that
/// another generation is passed on at once, and a mere number is not.
#[test]
fn a_relay_passes_on_that_an_origin_announces_something_else() {
    let mut victim = Victim::new();
    let former = [prefix("10.7.0.0/16")];
    victim.hear_of(HONEST, &[(ORIGIN, 0, 100)]);
    prove(&mut victim, HONEST, ORIGIN, 0, &former, &former);
    victim.hear_of(HONEST, &[(ORIGIN, 1, 100)]);
    prove(&mut victim, HONEST, ORIGIN, 1, &former, &former);
    victim.wait(Duration::from_secs(2));
    assert!(victim.told(MALLORY).iter().all(|(seqno, _)| *seqno == 0), "{:?}", victim.told(MALLORY));

    victim.hear_of(HONEST, &[(ORIGIN, 64, 100)]);
    prove(&mut victim, HONEST, ORIGIN, 64, &[], &former);
    victim.wait(Duration::from_secs(2));

    assert_eq!(victim.told(MALLORY).last().map(|(seqno, _)| *seqno), Some(64));
}
