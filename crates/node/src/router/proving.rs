//! The part of a router that proves and has proved: what origins say of themselves, ours included.

use std::sync::Arc;
use std::time::Instant;

use peerbound_wire::{List, Metric, Prefix, ProofItem, ProofRequest, ProofsPacker, RouteSeq};

use crate::router::config::{
    COALESCE_BRIEFLY, OWN_INTERVAL, PROOF_AGAIN, PROOF_AGAIN_MAX, PROOF_ATTEMPTS, PROOFS_ASKED_MAX,
};
use crate::router::feasibility::Distance;
use crate::router::origins::{Candidate, OWN_SLOT};
use crate::router::proof::{ProofRefusal, claim, encoded};
use crate::router::{OWN_ROW, Router, RouterError};

/// Rows looked at in one turn for whose proof to ask, so that a long queue is not walked again and again.
const ASK_TURN: usize = 256;

/// Sequence numbers that are alike but for their last bits form a generation: while an origin announces
/// the same prefixes it counts within one, and passes on to the next when it announces others. So whoever
/// hears of another generation fetches the proof, and of a newer number alone fetches none until it is
/// needed. Counting crosses to the next generation once in 64 times, which costs one proof too many.
const GENERATION: u16 = 64;

/// A proof that a neighbour was asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    slot: u16,
    pub(super) until: Instant,
    attempts: u8,
}

/// Returns the number that a node which announces these prefixes begins with: another one than with other
/// prefixes, in all but one of a thousand cases, so that nobody takes what it said in its last boot for what
/// it says in this one.
pub(super) fn first_of_boot(prefixes: &[u8]) -> RouteSeq {
    if prefixes.is_empty() {
        return RouteSeq(0);
    }
    // FNV-1a, folded.
    let hash = prefixes
        .iter()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    let [high, low, other_high, other_low] = hash.to_be_bytes();
    let folded = u16::from_be_bytes([high, low]) ^ u16::from_be_bytes([other_high, other_low]);
    RouteSeq(folded / GENERATION * GENERATION)
}

fn next_generation(seqno: RouteSeq) -> RouteSeq {
    RouteSeq((seqno.0 / GENERATION * GENERATION).wrapping_add(GENERATION))
}

/// Returns whether an origin may announce other prefixes under one number than under the other.
pub(super) fn is_other_generation(one: RouteSeq, other: RouteSeq) -> bool {
    one.0 / GENERATION != other.0 / GENERATION
}

impl Router {
    /// Announces other prefixes from here on, whatever we announced before.
    ///
    /// # Errors
    /// When our certificate does not carry them; then what was announced stays.
    pub fn set_prefixes(&mut self, prefixes: &[Prefix], now: Instant) -> Result<(), RouterError> {
        let former = std::mem::replace(&mut self.announced, encoded(prefixes));
        self.announce_as_another(now).inspect_err(|_| self.announced = former)
    }

    /// Announces ourselves in such a way that everybody fetches the proof.
    pub(super) fn announce_as_another(&mut self, now: Instant) -> Result<(), RouterError> {
        let announced = self.announce(next_generation(self.origins.row(OWN_ROW).seqno), now);
        self.run(now);
        announced
    }

    /// Announces ourselves with a sequence number, signed.
    pub(super) fn announce(&mut self, seqno: RouteSeq, now: Instant) -> Result<(), RouterError> {
        let announced = self.announced.clone();
        let claim = claim(self.us, seqno, &announced);
        let (certificate, signature) = (self.signer.certificate()?, self.signer.sign(&claim.signed_bytes())?);
        let item = ProofItem { claim, certificate: &certificate, signature: &signature };
        let proof = self.proofs.verify(&item).map_err(|refusal| match refusal {
            ProofRefusal::False => RouterError::NotBelieved,
            ProofRefusal::Prefixes => RouterError::PrefixesNotCarried,
        })?;
        let mut packer = ProofsPacker::new(self.message_bytes_max);
        if !packer.push(&item) {
            let (len, max) = (certificate.len() + signature.len(), self.message_bytes_max);
            return Err(RouterError::TooLong { len, max });
        }
        if self.origins.rows.is_empty() {
            let number = self.origins.add(self.us, OWN_SLOT).expect("the first row has room");
            debug_assert_eq!(number, OWN_ROW);
        }
        self.origins.prove(OWN_ROW, proof);
        let row = self.origins.row_mut(OWN_ROW);
        (row.next, row.metric, row.seqno) = (OWN_SLOT, Metric::ZERO, seqno);
        row.said = Distance { seqno, metric: Metric::ZERO };
        self.announced_at = now;
        self.counters.announced += 1;
        self.peers.iter_mut().filter_map(|peer| peer.link.as_deref_mut()).for_each(|link| {
            link.telling.say(OWN_ROW, now);
        });
        self.schedule(now);
        Ok(())
    }

    /// Announces ourselves anew as soon as that may be.
    pub(super) fn announce_soon(&mut self, now: Instant) {
        let at = *self.announce_at.get_or_insert(now.max(self.announced_at + OWN_INTERVAL));
        self.schedule(at);
    }

    pub(super) fn announce_if_due(&mut self, now: Instant) {
        if self.announce_at.is_none_or(|at| at > now) {
            return;
        }
        self.announce_at = None;
        let next = self.origins.row(OWN_ROW).seqno.next();
        if let Err(error) = self.announce(next, now) {
            tracing::error!(%error, "We cannot announce ourselves anew");
        }
    }

    /// Returns whether something that a neighbour says of an origin is yet to be proved.
    pub(super) fn is_unproved(&self, number: u32, candidate: Candidate) -> bool {
        let row = self.origins.row(number);
        !candidate.metric.is_infinite() && (row.proof.is_none() || candidate.seqno.is_newer_than(row.proved))
    }

    pub(super) fn want_proof(&mut self, number: u32, now: Instant) {
        if self.asked.contains_key(&number) {
            return;
        }
        let row = self.origins.row_mut(number);
        if !std::mem::replace(&mut row.is_wanted, true) {
            // Before those that have been waiting for a neighbour who does not answer.
            self.wanted.push_front((number, 0));
            let at = *self.ask_at.get_or_insert(now + COALESCE_BRIEFLY);
            self.schedule(at);
        }
    }

    pub(super) fn ask_proofs_if_due(&mut self, now: Instant) {
        self.give_up_late_proofs(now);
        if self.ask_at.is_none_or(|at| at > now) {
            return;
        }
        self.ask_at = None;
        for _ in 0..self.wanted.len().min(ASK_TURN) {
            let Some((number, attempts)) = self.wanted.pop_front() else { break };
            if !std::mem::take(&mut self.origins.row_mut(number).is_wanted) {
                continue; // the row was given up, and may have been given to another origin
            }
            self.ask_proof(number, attempts, now);
        }
    }

    /// Asks one of those who claim something that is not proved: another one at each attempt.
    fn ask_proof(&mut self, number: u32, attempts: u8, now: Instant) {
        let claims = |slot: u16| self.is_unproved(number, self.origins.candidate(number, slot));
        let claimants = (0..self.slots()).filter(|slot| claims(*slot)).count();
        if claimants == 0 {
            return;
        }
        if attempts >= PROOF_ATTEMPTS {
            return self.forget_claims(number, now);
        }
        let has_room =
            |slot: &u16| self.peer(*slot).link.as_ref().is_some_and(|link| link.asked < PROOFS_ASKED_MAX);
        let from = usize::from(attempts) % claimants;
        let around = (0..self.slots()).chain(0..self.slots()).filter(|slot| claims(*slot)).skip(from);
        let Some(slot) = around.take(claimants).find(has_room) else {
            self.origins.row_mut(number).is_wanted = true;
            self.wanted.push_back((number, attempts));
            return; // until an answer makes room
        };
        let row = self.origins.row(number);
        let seqno = self.origins.candidate(number, slot).seqno;
        // Later attempts ask for all of it: the origin may have another certificate since.
        let has_certificate = row.proof.is_some() && attempts < 2;
        let request = ProofRequest { origin: row.id, seqno, has_certificate };
        self.ask(number, slot, request, attempts, now);
    }

    fn ask(&mut self, number: u32, slot: u16, request: ProofRequest, attempts: u8, now: Instant) {
        let until = now + (PROOF_AGAIN * (1 << attempts.min(PROOF_ATTEMPTS))).min(PROOF_AGAIN_MAX);
        self.asked.insert(number, Asked { slot, until, attempts });
        self.late_at = Some(self.late_at.map_or(until, |at| at.min(until)));
        if let Some(link) = self.link_mut(slot) {
            link.asked += 1;
            link.proof_requests.push(request);
        }
    }

    fn give_up_late_proofs(&mut self, now: Instant) {
        if self.late_at.is_none_or(|at| at > now) {
            return;
        }
        let late: Vec<_> =
            self.asked.iter().filter(|(_, asked)| asked.until <= now).map(|(row, _)| *row).collect();
        for number in late {
            let attempts = self.forget_asked(number).map_or(0, |asked| asked.attempts);
            self.origins.row_mut(number).is_wanted = true;
            self.wanted.push_back((number, attempts + 1));
            self.ask_at = Some(now);
        }
        self.late_at = self.asked.values().map(|asked| asked.until).min();
    }

    /// Forgets what nobody proves. It will be told again with all the rest, if it is true.
    fn forget_claims(&mut self, number: u32, now: Instant) {
        self.counters.claims_forgotten += 1;
        for slot in 0..self.slots() {
            if self.is_unproved(number, self.origins.candidate(number, slot)) {
                self.origins.set_candidate(number, slot, Candidate::NONE);
            }
        }
        self.select(number, None, now);
        self.on_candidate_gone(number, now);
    }

    /// Forgets that a proof was asked for.
    pub(super) fn forget_asked(&mut self, number: u32) -> Option<Asked> {
        let asked = self.asked.remove(&number)?;
        if let Some(link) = self.link_mut(asked.slot) {
            link.asked = link.asked.saturating_sub(1);
        }
        Some(asked)
    }

    /// Asks others for what a neighbour that is gone was asked for.
    pub(super) fn forget_asked_of(&mut self, slot: u16, now: Instant) {
        let of_it: Vec<_> =
            self.asked.iter().filter(|(_, asked)| asked.slot == slot).map(|(row, _)| *row).collect();
        for number in of_it {
            self.asked.remove(&number);
            self.want_proof(number, now);
        }
    }

    /// Hands out proofs. Whoever asks for one that we do not have hears nothing, and asks another, or again.
    pub(super) fn on_proof_requests(&mut self, from: u16, requests: &List<'_, ProofRequest>, now: Instant) {
        for request in requests.iter() {
            let Some(number) = self.origins.find(&request.origin) else { continue };
            let row = self.origins.row(number);
            let Some(proof) = row.proof.clone().filter(|_| !request.seqno.is_newer_than(row.proved)) else {
                self.ask_asker(number, from, request, now);
                continue;
            };
            // Who asks for more than we would, or twice for one, does not draw more bytes than he sends.
            if let Some(link) = self.link_mut(from)
                && link.proofs.len() < PROOFS_ASKED_MAX
                && !link.proofs.iter().any(|(waiting, _)| Arc::ptr_eq(waiting, &proof))
            {
                link.proofs.push((proof, !request.has_certificate));
            }
        }
        self.schedule(now);
    }

    /// Asks for a proof the one for whom we asked for a sequence number: an origin that has restarted asks
    /// whoever passed that request on to it, and only its author need have the proof.
    fn ask_asker(&mut self, number: u32, from: u16, request: ProofRequest, now: Instant) {
        let Some(slot) = self.passed_on.get(&request.origin).map(|request| request.asker) else { return };
        if slot == from || self.asked.contains_key(&number) {
            return;
        }
        let has_certificate = self.origins.row(number).proof.is_some();
        self.ask(number, slot, ProofRequest { has_certificate, ..request }, 0, now);
    }

    pub(super) fn on_proofs(&mut self, from: u16, proofs: &List<'_, ProofItem<'_>>, now: Instant) {
        for item in proofs.iter() {
            match self.origins.find(&item.claim.origin) {
                None => {}
                Some(OWN_ROW) => self.on_own_proof(&item, now),
                Some(number) => self.on_proof(number, from, &item, now),
            }
        }
        if !self.wanted.is_empty() {
            let at = *self.ask_at.get_or_insert(now + COALESCE_BRIEFLY);
            self.schedule(at);
        }
    }

    /// Takes in a proof, if it is the one that this neighbour was asked for.
    fn on_proof(&mut self, number: u32, from: u16, item: &ProofItem<'_>, now: Instant) {
        if self.asked.get(&number).is_none_or(|asked| asked.slot != from) {
            return;
        }
        let row = self.origins.row(number);
        let held = row.proof.as_ref().map(|proof| Arc::clone(&proof.certificate));
        let certificate = match &held {
            Some(held) if item.certificate.is_empty() => held,
            _ => item.certificate,
        };
        let is_news = row.proof.is_none() || item.claim.seqno.is_newer_than(row.proved);
        let whole = ProofItem { certificate, ..*item };
        let verified = if is_news { self.proofs.verify(&whole) } else { Err(ProofRefusal::False) };
        let proof = match verified {
            Ok(proof) => proof,
            // Its place stays taken until the answer is late.
            Err(refusal) => return self.count_refusal(refusal),
        };
        self.counters.proofs_accepted += 1;
        self.forget_asked(number);
        self.origins.prove(number, proof);
        let is_behind =
            (0..self.slots()).any(|slot| self.is_unproved(number, self.origins.candidate(number, slot)));
        if is_behind && (self.is_needed_anew(number, now) || self.is_of_other_generation(number)) {
            self.want_proof(number, now);
        }
        self.select(number, None, now);
    }

    /// Learns from our own signature how far we were before we restarted, and goes on from there.
    fn on_own_proof(&mut self, item: &ProofItem<'_>, now: Instant) {
        let own = self.origins.row(OWN_ROW).seqno;
        if !item.claim.seqno.is_newer_than(own) {
            return;
        }
        if let Err(refusal) = self.proofs.verify(item) {
            return self.count_refusal(refusal);
        }
        // What we announce may be other than it was then.
        let announced_the_same = item.claim.prefixes.as_bytes() == &*self.announced;
        let next = if announced_the_same { RouteSeq::next } else { next_generation };
        if let Err(error) = self.announce(next(item.claim.seqno), now) {
            tracing::error!(%error, "We cannot announce ourselves anew");
        }
    }

    /// Returns whether a neighbour tells of a generation of an origin that is yet to be proved.
    fn is_of_other_generation(&self, number: u32) -> bool {
        let row = self.origins.row(number);
        let is_other = |candidate: &Candidate| {
            self.is_unproved(number, *candidate) && is_other_generation(candidate.seqno, row.proved)
        };
        self.origins.candidates(number).iter().any(is_other)
    }

    fn count_refusal(&mut self, refusal: ProofRefusal) {
        match refusal {
            ProofRefusal::False => self.counters.proofs_refused += 1,
            ProofRefusal::Prefixes => self.counters.prefixes_refused += 1,
        }
    }
}
