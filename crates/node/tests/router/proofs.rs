//! Whatever a neighbour claims: what its origin has not signed is neither used nor told on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use peerbound_node::{ProofBook, Router, RouterConfig, Signer};
use peerbound_wire::{
    Claim, List, Metric, NodeId, Path, ProofItem, ProofRequest, ProofRequestsPacker, ProofsPacker, RouteSeq,
    RoutingMessage, Update, UpdatesPacker,
};
use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::mesh::{Nursery, Toy, now};

pub(crate) const US: NodeId = NodeId::new([1; 16]);
pub(crate) const MALLORY: NodeId = NodeId::new([2; 16]);
pub(crate) const HONEST: NodeId = NodeId::new([3; 16]);
pub(crate) const ORIGIN: NodeId = NodeId::new([9; 16]);
const MESSAGE_BYTES: usize = 1300;

/// A router between an honest neighbour and another one, both played by the test.
pub(crate) struct Victim {
    pub(crate) router: Router,
    pub(crate) now: Instant,
    number: u32,
    syncs: Vec<(NodeId, u32)>,
    said: Vec<(NodeId, Vec<u8>)>,
}

impl Victim {
    pub(crate) fn new() -> Self {
        let now = now();
        let config = (&RouterConfig::default(), Arc::new(ProofBook::new(Nursery)));
        let mut chance = ChaCha8Rng::seed_from_u64(7);
        let router =
            Router::new(US, &[MALLORY, HONEST], config, Toy(US), MESSAGE_BYTES, &mut chance, now).unwrap();
        let mut victim = Self { router, now, number: 0, syncs: Vec::new(), said: Vec::new() };
        victim.greet(MALLORY);
        victim.greet(HONEST);
        victim
    }

    /// The link with a neighbour comes up, and it wants to be told everything.
    pub(crate) fn greet(&mut self, id: NodeId) {
        self.router.on_neighbour_up(id, self.now);
        let mut sync = Vec::new();
        RoutingMessage::Sync(peerbound_wire::Sync { ours: 77, yours: 0 }).encode_into(&mut sync);
        self.hear(id, &sync);
    }

    fn hear(&mut self, from: NodeId, bytes: &[u8]) {
        self.router.on_message(from, &RoutingMessage::decode(bytes).unwrap(), self.now);
        self.collect();
    }

    fn collect(&mut self) {
        while let Some((to, bytes)) = self.router.poll_transmit() {
            if let Ok(RoutingMessage::Sync(sync)) = RoutingMessage::decode(&bytes) {
                self.syncs.push((to, sync.ours));
            }
            self.said.push((to, bytes));
        }
    }

    pub(crate) fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.router.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.router.handle_timeout(self.now);
            self.collect();
        }
        self.now = end;
    }

    fn wait_a_little(&mut self) {
        self.wait(Duration::from_millis(50));
    }

    /// A neighbour tells of ways.
    pub(crate) fn hear_of(&mut self, from: NodeId, ways: &[(NodeId, u16, u16)]) {
        let (_, sync) = *self.syncs.iter().rev().find(|(to, _)| *to == from).unwrap();
        self.number += 1;
        let mut packer = UpdatesPacker::new(sync, self.number, self.number, 100_000);
        for (origin, seqno, metric) in ways {
            let (seqno, metric) = (RouteSeq(*seqno), Metric(*metric));
            assert!(packer.push(&Update { origin: *origin, seqno, metric, path: Path::UNKNOWN }));
        }
        self.hear(from, &packer.finish());
        self.wait_a_little();
    }

    pub(crate) fn lose(&mut self, neighbour: NodeId) {
        self.router.on_neighbour_down(neighbour, self.now);
        self.collect();
    }

    pub(crate) fn hear_proof(&mut self, from: NodeId, item: ProofItem<'_>) {
        let mut packer = ProofsPacker::new(MESSAGE_BYTES);
        assert!(packer.push(&item));
        self.hear(from, &packer.finish());
        self.wait_a_little();
    }

    pub(crate) fn hear_true_proof(&mut self, from: NodeId, origin: NodeId, seqno: u16) {
        let claim = claim(origin, seqno);
        let (certificate, signature) = signed(origin, &claim);
        self.hear_proof(from, ProofItem { claim, certificate: &certificate, signature: &signature });
    }

    pub(crate) fn next_hop(&self) -> Option<NodeId> {
        self.router.next_hop(&ORIGIN)
    }

    /// Returns the ways to the origin that a neighbour was told of.
    pub(crate) fn told(&self, to: NodeId) -> Vec<(u16, u16)> {
        let updates = self.said.iter().filter(|(other, _)| *other == to).filter_map(|(_, bytes)| {
            match RoutingMessage::decode(bytes) {
                Ok(RoutingMessage::Updates(updates)) => Some(updates.items),
                _ => None,
            }
        });
        let of_origin = updates.flat_map(|items| items.iter()).filter(|update| update.origin == ORIGIN);
        of_origin.map(|update| (update.seqno.0, update.metric.0)).collect()
    }

    fn proofs_for(&self, to: NodeId) -> usize {
        let proofs = |bytes: &Vec<u8>| match RoutingMessage::decode(bytes) {
            Ok(RoutingMessage::Proofs(proofs)) => proofs.iter().count(),
            _ => 0,
        };
        self.said.iter().filter(|(other, _)| *other == to).map(|(_, bytes)| proofs(bytes)).sum()
    }

    pub(crate) fn asked(&self, of: NodeId) -> usize {
        let asks =
            |bytes: &Vec<u8>| matches!(RoutingMessage::decode(bytes), Ok(RoutingMessage::ProofRequests(_)));
        self.said.iter().filter(|(to, bytes)| *to == of && asks(bytes)).count()
    }
}

fn claim(origin: NodeId, seqno: u16) -> Claim<'static> {
    Claim { origin, seqno: RouteSeq(seqno), prefixes: List::decode(&[]).unwrap() }
}

fn signed(by: NodeId, claim: &Claim<'_>) -> (Vec<u8>, Vec<u8>) {
    (Toy(by).certificate().unwrap(), Toy(by).sign(&claim.signed_bytes()).unwrap())
}

#[test]
fn a_way_is_neither_used_nor_told_on_before_its_proof_and_both_after() {
    let mut victim = Victim::new();

    victim.hear_of(HONEST, &[(ORIGIN, 5, 100)]);
    assert_eq!((victim.next_hop(), victim.told(MALLORY)), (None, vec![]));
    assert_eq!(victim.asked(HONEST), 1);
    victim.hear_true_proof(HONEST, ORIGIN, 5);

    assert_eq!(victim.next_hop(), Some(HONEST));
    assert_eq!(victim.told(MALLORY), [(5, 200)]);
}

#[test]
fn forged_foreign_and_borrowed_proofs_are_refused() {
    let claim = claim(ORIGIN, 5);
    let (certificate, signature) = signed(ORIGIN, &claim);
    let (mallorys, by_mallory) = signed(MALLORY, &claim);
    let mut forged = signature.clone();
    forged[3] ^= 1;
    let foreign = &certificate[1..];
    let prefix = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32];
    let greedy = Claim { prefixes: List::decode(&prefix).unwrap(), ..claim };
    let (_, greedy_signature) = signed(ORIGIN, &greedy);
    let false_proofs = [
        ("forged", ProofItem { claim, certificate: &certificate, signature: &forged }),
        ("of no root", ProofItem { claim, certificate: foreign, signature: &signature }),
        ("somebody else's", ProofItem { claim, certificate: &mallorys, signature: &by_mallory }),
        ("without a certificate", ProofItem { claim, certificate: &[], signature: &signature }),
        (
            "for prefixes",
            ProofItem { claim: greedy, certificate: &certificate, signature: &greedy_signature },
        ),
    ];
    for (what, item) in false_proofs {
        let mut victim = Victim::new();
        victim.hear_of(MALLORY, &[(ORIGIN, 5, 100)]);

        victim.hear_proof(MALLORY, item);

        assert_eq!((victim.next_hop(), victim.told(HONEST)), (None, vec![]), "{what}");
        let counters = victim.router.counters();
        let expected = if what == "for prefixes" { (0, 1) } else { (1, 0) };
        assert_eq!((counters.proofs_refused, counters.prefixes_refused), expected, "{what}");
    }
}

#[test]
fn an_old_proof_does_not_carry_a_newer_claim() {
    let mut victim = Victim::new();
    victim.hear_of(HONEST, &[(ORIGIN, 5, 100)]);
    victim.hear_true_proof(HONEST, ORIGIN, 5);
    // A newer number would be feasible whatever the metric, and draw everything to Mallory.
    victim.hear_of(MALLORY, &[(ORIGIN, 9, 150)]);
    assert_eq!(victim.next_hop(), Some(HONEST));

    // The honest way is lost; what Mallory claims counts as far as it is proved, and there it is no better
    // than what was said before.
    victim.hear_of(HONEST, &[(ORIGIN, 5, u16::MAX)]);
    victim.hear_of(MALLORY, &[(ORIGIN, 9, 300)]);
    victim.hear_true_proof(MALLORY, ORIGIN, 5);

    assert_eq!(victim.next_hop(), None);
    victim.hear_true_proof(MALLORY, ORIGIN, 9);
    assert_eq!(victim.next_hop(), Some(MALLORY), "the origin's own word is another thing");
}

#[test]
fn a_proof_that_nobody_asked_for_is_not_verified() {
    let mut victim = Victim::new();

    victim.hear_true_proof(MALLORY, ORIGIN, 5);
    victim.hear_of(HONEST, &[(ORIGIN, 5, 100)]);
    victim.hear_true_proof(MALLORY, ORIGIN, 5);

    let counters = victim.router.counters();
    assert_eq!((counters.proofs_accepted, counters.proofs_refused), (0, 0), "the other one was asked");
    victim.hear_true_proof(HONEST, ORIGIN, 5);
    assert_eq!(victim.next_hop(), Some(HONEST));
}

#[test]
fn asking_a_hundred_times_for_one_proof_draws_it_once() {
    let mut victim = Victim::new();
    let request = ProofRequest { origin: US, seqno: RouteSeq(0), has_certificate: false };
    let mut requests = ProofRequestsPacker::new(100_000);
    (0..100).for_each(|_| assert!(requests.push(&request)));
    victim.said.clear();

    victim.hear(MALLORY, &requests.finish());
    victim.wait_a_little();

    assert_eq!(victim.proofs_for(MALLORY), 1);
}

#[test]
fn nobody_has_a_way_to_us_for_us() {
    let mut victim = Victim::new();

    victim.hear_of(MALLORY, &[(US, 700, 0)]);

    assert_eq!(victim.router.next_hop(&US), None);
    assert_eq!(victim.asked(MALLORY), 0);
    assert_eq!(victim.router.counters().announced, 1);
}

#[test]
fn a_request_for_a_far_number_of_ours_moves_us_only_with_our_own_signature() {
    let mut victim = Victim::new();
    let mut request = peerbound_wire::SeqRequestsPacker::new(MESSAGE_BYTES);
    let far = peerbound_wire::SeqRequest { origin: US, seqno: RouteSeq(300), hop_limit: 9 };
    assert!(request.push(&far));

    victim.hear(MALLORY, &request.finish());
    victim.wait(Duration::from_secs(1));
    assert_eq!(victim.router.counters().announced, 1);
    assert_eq!(victim.asked(MALLORY), 1, "to show what we signed");
    let of_us = claim(US, 299);
    let (certificate, signature) = signed(MALLORY, &of_us);
    victim.hear_proof(MALLORY, ProofItem { claim: of_us, certificate: &certificate, signature: &signature });
    assert_eq!(victim.router.counters().announced, 1);

    victim.hear_true_proof(MALLORY, US, 299);

    assert_eq!(victim.router.counters().announced, 2);
}

#[test]
fn invented_origins_find_an_end_and_room_comes_back() {
    let mut victim = Victim::new();
    for part in 0..100_u32 {
        let invented =
            |index: u32| (NodeId::new((u128::from(part * 100 + index + 1) << 64).to_be_bytes()), 1, 100);
        let ways: Vec<_> = (0..100).map(invented).collect();
        victim.hear_of(MALLORY, &ways);
    }
    let known = victim.router.routes().len();
    assert!(known <= 4096, "{known}");
    assert!(victim.router.counters().without_room > 0);

    // 4096 claims, 20 at a time, each given up after 24 s: an hour and 22 minutes.
    victim.wait(Duration::from_secs(2 * 3600));

    assert_eq!(victim.router.routes().len(), 0);
    victim.hear_of(HONEST, &[(ORIGIN, 5, 100)]);
    victim.hear_true_proof(HONEST, ORIGIN, 5);
    assert_eq!(victim.next_hop(), Some(HONEST));
}

/// Messages of every number, of few origins and small numbers, so that they mean something together.
fn messages() -> impl Strategy<Value = Vec<u8>> {
    let origin = (1_u8..12).prop_map(|byte| [byte; 16].to_vec());
    let number = || {
        prop_oneof![
            (0_u32..4).prop_map(|number| number.to_be_bytes().to_vec()),
            any::<[u8; 4]>().prop_map(Vec::from)
        ]
    };
    let small = || prop_oneof![(0_u16..4), any::<u16>()].prop_map(|number| number.to_be_bytes().to_vec());
    let update = (origin.clone(), small(), small())
        .prop_map(|(id, seqno, metric)| [id, seqno, metric, vec![0]].concat());
    let request = (origin, small(), 0_u8..2).prop_map(|(id, seqno, last)| [id, seqno, vec![last]].concat());
    let list =
        |items: BoxedStrategy<Vec<u8>>| prop::collection::vec(items, 0..8).prop_map(|items| items.concat());
    let front = |kind: u32| kind.to_be_bytes().to_vec();
    prop_oneof![
        (number(), number()).prop_map(move |(a, b)| [front(1), a, b].concat()),
        // The sync number stands open: the test writes the right one there half of the time.
        (number(), number(), list(update.boxed())).prop_map(move |(a, b, items)| [
            front(2),
            vec![0xee; 4],
            a,
            b,
            items
        ]
        .concat()),
        (number(), list(number().boxed())).prop_map(move |(a, items)| [front(3), a, items].concat()),
        list(request.clone().boxed()).prop_map(move |items| [front(4), items].concat()),
        list(request.boxed()).prop_map(move |items| [front(5), items].concat()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn no_story_that_a_neighbour_makes_up_harms_a_router(
        story in prop::collection::vec((messages(), any::<bool>(), 0_u64..500, 1_u16..12), 0..120),
    ) {
        let mut victim = Victim::new();
        victim.hear_of(HONEST, &[(ORIGIN, 0, 10)]);
        victim.hear_true_proof(HONEST, ORIGIN, 0);

        for (mut message, is_right, millis, proved) in story {
            if message.starts_with(&[0, 0, 0, 2]) && is_right {
                let (_, sync) = *victim.syncs.iter().rev().find(|(to, _)| *to == MALLORY).unwrap();
                message[4..8].copy_from_slice(&sync.to_be_bytes());
            }
            victim.hear(MALLORY, &message);
            if is_right {
                let id = NodeId::new([u8::try_from(proved).unwrap(); 16]);
                victim.hear_true_proof(MALLORY, id, proved % 3);
            }
            victim.wait(Duration::from_millis(millis));
        }

        // The honest way is 110 from us; Mallory can only offer shorter ones, by lying about metrics.
        let route = victim.router.routes().into_iter().find(|route| route.destination == ORIGIN).unwrap();
        prop_assert!(route.next_hop.is_some());
    }
}
