//! The part of a router that takes in what its owner changes while it runs: neighbours, costs, and whom to
//! believe.

use std::sync::Arc;
use std::time::Instant;

use peerbound_wire::NodeId;

use crate::router::origins::OWN_SLOT;
use crate::router::peer::Peer;
use crate::router::proof::{ProofBook, Signer};
use crate::router::{OWN_ROW, Router, RouterError};

/// Certificates that are judged again in one turn, 100 us each: 6 ms in which nothing else is done.
const REJUDGED_IN_A_TURN: u32 = 64;

impl Router {
    /// Takes in one more neighbour, whose link is down yet. It gets the slot of one that was removed, or
    /// another one.
    pub fn add_neighbour(&mut self, id: NodeId, cost: u16) {
        if self.slots_by_id.contains_key(&id) {
            return;
        }
        let peer = Peer::new(id, cost.max(1));
        let vacant = (0_u16..).zip(&self.peers).find(|(slot, peer)| !self.holds(*slot, peer));
        let vacant = vacant.map(|(slot, _)| slot);
        let slot = match vacant {
            Some(slot) => {
                *self.peer_mut(slot) = peer;
                slot
            }
            None if self.slots() < OWN_SLOT => {
                let slot = self.slots();
                self.peers.push(peer);
                self.origins.add_slot();
                slot
            }
            None => return,
        };
        self.slots_by_id.insert(id, slot);
    }

    fn holds(&self, slot: u16, peer: &Peer) -> bool {
        self.slots_by_id.get(&peer.id) == Some(&slot)
    }

    /// Forgets a neighbour, and what it told.
    pub fn remove_neighbour(&mut self, id: NodeId, now: Instant) {
        self.on_neighbour_down(id, now);
        self.slots_by_id.remove(&id);
    }

    /// Sets what the link to a neighbour costs, its round trip not counted, and chooses anew.
    pub fn set_cost(&mut self, id: NodeId, cost: u16, now: Instant) {
        let Some(slot) = self.slot_of(&id) else { return };
        let peer = self.peer_mut(slot);
        peer.set_cost = cost.max(1);
        peer.cost = peer.set_cost.saturating_add(peer.round_trip.cost());
        self.select_among_told(slot, now);
    }

    /// Chooses anew for every origin that a neighbour tells of.
    pub(super) fn select_among_told(&mut self, slot: u16, now: Instant) {
        let told = |number: &u32| !self.origins.candidate(*number, slot).metric.is_infinite();
        let told: Vec<_> = self.origins.numbers().filter(told).collect();
        told.into_iter().for_each(|number| self.select(number, None, now));
        self.run(now);
    }

    /// Believes and signs by other rules from here on. We announce ourselves anew, with the certificate that
    /// the signer has, and origins whose certificates are trusted no longer are given up, some at a time.
    ///
    /// # Errors
    /// When others would not believe us by these rules; then everything stays as it was.
    pub fn replace_trust(
        &mut self,
        signer: impl Signer + 'static,
        proofs: Arc<ProofBook>,
        now: Instant,
    ) -> Result<(), RouterError> {
        let former_signer = std::mem::replace(&mut self.signer, Box::new(signer));
        let former_proofs = std::mem::replace(&mut self.proofs, proofs);
        if let Err(error) = self.announce_as_another(now) {
            (self.signer, self.proofs) = (former_signer, former_proofs);
            return Err(error);
        }
        self.rejudging = Some(0);
        self.schedule(now);
        self.run(now);
        Ok(())
    }

    pub(super) fn rejudge_some(&mut self, now: Instant) {
        let Some(from) = self.rejudging.take() else { return };
        let end = from + REJUDGED_IN_A_TURN;
        let fallen = self.origins.numbers().skip_while(|number| *number < from);
        let fallen = fallen.take_while(|number| *number < end).filter(|number| {
            let proof = self.origins.row(*number).proof.as_ref();
            *number != OWN_ROW && proof.is_some_and(|proof| !self.proofs.still_trusts(proof))
        });
        for number in fallen.collect::<Vec<_>>() {
            let next = self.origins.row(number).next;
            self.origins.disown(number);
            self.starving.remove(&number);
            self.forget_asked(number);
            self.on_changed(number, next, true, now);
            self.on_candidate_gone(number, now);
            self.counters.origins_disowned += 1;
        }
        if usize::try_from(end).is_ok_and(|end| end < self.origins.rows.len()) {
            self.rejudging = Some(end);
        }
    }
}
