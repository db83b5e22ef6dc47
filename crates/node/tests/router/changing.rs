//! What is changed while a router runs: whom it believes, who is a neighbour, what links cost.

use std::sync::Arc;
use std::time::Duration;

use peerbound_node::{ProofBook, Trust};
use peerbound_wire::{NodeId, Prefix};

use crate::mesh::{Nursery, Toy};
use crate::proofs::{HONEST, MALLORY, ORIGIN, US, Victim};

/// Believes every toy but one.
struct Wary(NodeId);

impl Trust for Wary {
    fn signer_of(&self, certificate: &[u8], message: &[u8], signature: &[u8]) -> Option<NodeId> {
        Nursery.signer_of(certificate, message, signature).filter(|signer| *signer != self.0)
    }

    fn prefixes_of(&self, certificate: &[u8]) -> Vec<Prefix> {
        Nursery.prefixes_of(certificate)
    }

    fn trusts(&self, certificate: &[u8]) -> bool {
        !certificate.starts_with(self.0.as_bytes())
    }
}

#[test]
fn an_origin_that_is_trusted_no_longer_is_given_up_and_not_believed_anew() {
    let other = NodeId::new([8; 16]);
    let mut victim = Victim::new();
    victim.hear_of(HONEST, &[(ORIGIN, 0, 100), (other, 0, 100)]);
    victim.hear_true_proof(HONEST, ORIGIN, 0);
    victim.hear_true_proof(HONEST, other, 0);
    assert_eq!(victim.next_hop(), Some(HONEST));

    let book = Arc::new(ProofBook::new(Wary(ORIGIN)));
    victim.router.replace_trust(Toy(US), book, victim.now).unwrap();
    // What was told is not acknowledged by Mallory, so it is said again first.
    victim.wait(Duration::from_secs(1));

    assert_eq!((victim.next_hop(), victim.router.next_hop(&other)), (None, Some(HONEST)));
    assert_eq!(victim.router.counters().origins_disowned, 1);
    assert_eq!(victim.told(MALLORY).last(), Some(&(0, u16::MAX)), "it is retracted");
    victim.hear_of(HONEST, &[(ORIGIN, 1, 100)]);
    victim.hear_true_proof(HONEST, ORIGIN, 1);
    assert_eq!(victim.next_hop(), None);
    assert_eq!(victim.router.counters().proofs_refused, 1);
}

#[test]
fn a_router_that_others_would_not_believe_keeps_the_trust_it_had() {
    let mut victim = Victim::new();
    victim.hear_of(HONEST, &[(ORIGIN, 0, 100)]);
    victim.hear_true_proof(HONEST, ORIGIN, 0);

    let book = Arc::new(ProofBook::new(Wary(US)));
    assert!(victim.router.replace_trust(Toy(US), book, victim.now).is_err());

    victim.hear_of(HONEST, &[(NodeId::new([8; 16]), 0, 100)]);
    victim.hear_true_proof(HONEST, NodeId::new([8; 16]), 0);
    assert_eq!((victim.next_hop(), victim.router.reachable()), (Some(HONEST), 2));
}

#[test]
fn neighbours_come_and_go_and_take_each_other_s_places() {
    let (mut victim, newcomer) = (Victim::new(), NodeId::new([4; 16]));
    victim.hear_of(MALLORY, &[(ORIGIN, 0, 10)]);
    victim.hear_true_proof(MALLORY, ORIGIN, 0);
    victim.hear_of(HONEST, &[(ORIGIN, 0, 20)]);
    assert_eq!(victim.next_hop(), Some(MALLORY));

    victim.router.remove_neighbour(MALLORY, victim.now);
    assert_ne!(victim.next_hop(), Some(MALLORY));
    for id in [newcomer, NodeId::new([5; 16]), MALLORY] {
        victim.router.add_neighbour(id, 1);
        victim.greet(id);
    }
    victim.hear_of(newcomer, &[(ORIGIN, 0, 15)]);

    assert_eq!(victim.next_hop(), Some(newcomer), "16 is better than the 110 that were said");
    victim.hear_of(HONEST, &[(ORIGIN, 0, 14)]);
    victim.router.set_cost(newcomer, 500, victim.now);
    assert_eq!(victim.next_hop(), Some(HONEST), "what it offers is feasible, and nearer than by 515");
}
