//! The part of a router that asks for newer sequence numbers where nothing is feasible (RFC 8966, 3.8.2),
//! and passes such requests on (3.8.1.2).

use std::time::{Duration, Instant};

use peerbound_wire::{Metric, ProofRequest, RouteSeq, SeqRequest};

use crate::router::config::{
    COALESCE_BRIEFLY, SEQ_AGAIN, SEQ_AGAIN_MAX, SEQ_FOR_SHORTER_AFTER, SEQ_HOP_LIMIT, SEQ_PASSED_ON_FOR,
};
use crate::router::origins::{Candidate, NO_SLOT, OWN_SLOT};
use crate::router::{OWN_ROW, Router};

/// A row for which a newer sequence number is asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Starving {
    at: Instant,
    wait: Duration,
    /// Whether there is a way meanwhile, only not the shortest.
    has_way: bool,
}

/// A request of a neighbour.
#[derive(Debug, Clone, Copy)]
pub(super) struct PassedOn {
    seqno: RouteSeq,
    at: Instant,
    pub(super) asker: u16,
}

impl Router {
    /// Takes note of what there is for one origin: what is feasible, and what is not.
    pub(super) fn feed_or_starve(
        &mut self,
        number: u32,
        feasible: Option<Metric>,
        infeasible: Option<Metric>,
        now: Instant,
    ) {
        let is_starving = infeasible.is_some_and(|other| feasible.is_none_or(|chosen| other < chosen));
        if !is_starving {
            if !self.starving.is_empty() {
                self.starving.remove(&number);
            }
            return;
        }
        let has_way = feasible.is_some();
        let at = now + if has_way { SEQ_FOR_SHORTER_AFTER } else { COALESCE_BRIEFLY };
        let starving = self.starving.entry(number).or_insert(Starving { at, wait: SEQ_AGAIN, has_way });
        if starving.has_way && !has_way {
            *starving = Starving { at, wait: SEQ_AGAIN, has_way };
        }
        starving.has_way = has_way;
        let at = starving.at;
        self.starving_at = Some(self.starving_at.map_or(at, |first| first.min(at)));
        self.schedule(at);
    }

    pub(super) fn ask_sequence_numbers_if_due(&mut self, now: Instant) {
        if self.starving_at.is_none_or(|at| at > now) {
            return;
        }
        let due: Vec<_> =
            self.starving.iter().filter(|(_, starving)| starving.at <= now).map(|(row, _)| *row).collect();
        for number in due {
            let wanted = self.origins.row(number).said.seqno.next();
            if self.is_claimed(number, wanted) {
                self.want_proof(number, now);
            } else {
                self.ask_sequence_number(number, now);
            }
            if let Some(starving) = self.starving.get_mut(&number) {
                starving.at = now + starving.wait;
                starving.wait = (starving.wait * 2).min(SEQ_AGAIN_MAX);
            }
        }
        self.starving_at = self.starving.values().map(|starving| starving.at).min();
    }

    /// Asks everybody who has a way that is not feasible: whoever is nearest to the origin may have lost
    /// his own in this moment.
    fn ask_sequence_number(&mut self, number: u32, now: Instant) {
        let row = self.origins.row(number);
        let request = SeqRequest { origin: row.id, seqno: row.said.seqno.next(), hop_limit: SEQ_HOP_LIMIT };
        let next = row.next;
        for (slot, peer) in (0_u16..).zip(&mut self.peers) {
            let has_way = !self.origins.candidate(number, slot).metric.is_infinite();
            if let Some(link) = peer.link.as_deref_mut().filter(|_| has_way && slot != next) {
                link.pass_on(request, now);
            }
        }
    }

    /// A neighbour asks for a sequence number: it is told, or somebody nearer to the origin is asked.
    pub(super) fn on_seq_request(&mut self, from: u16, request: SeqRequest, now: Instant) {
        let SeqRequest { origin, seqno, hop_limit } = request;
        let Some(number) = self.origins.find(&origin) else { return };
        if number == OWN_ROW {
            return self.on_own_seq_request(from, seqno, now);
        }
        let row = self.origins.row(number);
        if row.next < OWN_SLOT && row.next != from && !seqno.is_newer_than(row.seqno) {
            // It knows, or will in a moment; once more does no harm.
            if let Some(link) = self.link_mut(from) {
                link.telling.say(number, now + COALESCE_BRIEFLY);
                self.schedule(now + COALESCE_BRIEFLY);
            }
            return;
        }
        let is_first = self.is_first_request(from, request, now);
        if self.is_claimed(number, seqno) {
            // Somebody has said that it is there, and was not asked for the proof until it was needed.
            return self.want_proof(number, now);
        }
        if hop_limit <= 1 || !is_first {
            return;
        }
        let at = now + COALESCE_BRIEFLY;
        let onward = SeqRequest { hop_limit: hop_limit - 1, ..request };
        let next = self.origins.row(number).next;
        if let Some(slot) = Some(next).filter(|next| *next != from && *next != NO_SLOT) {
            if let Some(link) = self.link_mut(slot) {
                link.pass_on(onward, at);
            }
        } else {
            for (slot, peer) in (0_u16..).zip(&mut self.peers) {
                let has_way = !self.origins.candidate(number, slot).metric.is_infinite();
                if let Some(link) = peer.link.as_deref_mut().filter(|_| has_way && slot != from) {
                    link.pass_on(onward, at);
                }
            }
        }
        self.schedule(at);
    }

    /// Somebody needs us to announce ourselves anew. One step is granted. More than one says that we have
    /// been further in another boot: whoever asks can prove that by our own signature.
    fn on_own_seq_request(&mut self, from: u16, seqno: RouteSeq, now: Instant) {
        let own = self.origins.row(OWN_ROW).seqno;
        if seqno == own.next() {
            self.announce_soon(now);
        } else if seqno.is_newer_than(own) {
            let before = RouteSeq(seqno.0.wrapping_sub(1));
            let request = ProofRequest { origin: self.us, seqno: before, has_certificate: false };
            if let Some(link) = self.link_mut(from).filter(|link| link.proof_requests.is_empty()) {
                link.proof_requests.push(request);
                self.schedule(now);
            }
        } else if let Some(link) = self.link_mut(from) {
            link.telling.say(OWN_ROW, now);
            self.schedule(now);
        }
    }

    /// Returns whether a neighbour has a way that is new enough, if what it says can be proved.
    fn is_claimed(&self, number: u32, seqno: RouteSeq) -> bool {
        let is_new = |candidate: &Candidate| {
            !seqno.is_newer_than(candidate.seqno) && self.is_unproved(number, *candidate)
        };
        self.origins.candidates(number).iter().any(is_new)
    }

    /// Returns whether a newer sequence number of this origin is of use to us or to others.
    pub(super) fn is_needed_anew(&self, number: u32, now: Instant) -> bool {
        self.starving.contains_key(&number)
            || !self.origins.row(number).is_reachable()
            || self.is_asked_for(number, now)
    }

    fn is_first_request(&mut self, asker: u16, request: SeqRequest, now: Instant) -> bool {
        let SeqRequest { origin, seqno, .. } = request;
        let this = PassedOn { seqno, at: now, asker };
        let mut is_first = false;
        let newest = self.passed_on.get_or_insert_with(origin, || {
            is_first = true;
            this
        });
        if seqno.is_newer_than(newest.seqno) || now.saturating_duration_since(newest.at) >= SEQ_PASSED_ON_FOR
        {
            *newest = this;
            is_first = true;
        }
        is_first
    }

    /// Returns whether somebody asked for a newer sequence number of this origin a moment ago.
    pub(super) fn is_asked_for(&self, number: u32, now: Instant) -> bool {
        let id = self.origins.row(number).id;
        let asked_at = self.passed_on.get(&id).map(|request| request.at);
        asked_at.is_some_and(|at| now.saturating_duration_since(at) < 4 * SEQ_AGAIN)
    }
}
