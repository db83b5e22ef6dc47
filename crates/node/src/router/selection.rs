//! The part of a router that chooses: the shortest way among those that are feasible and proved.

use std::time::Instant;

use peerbound_wire::{Metric, Path, SeqRequest};

use crate::router::config::{COALESCE, COALESCE_BRIEFLY, PATH_AFTER, PATH_ATTEMPTS};
use crate::router::feasibility::Distance;
use crate::router::origins::{NO_SLOT, OWN_SLOT};
use crate::router::proving::is_other_generation;
use crate::router::{RouteChange, Router};

/// The best of the ways of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Choice {
    slot: u16,
    total: Metric,
    distance: Distance,
}

/// What the neighbours offer.
#[derive(Debug, Clone, Copy, Default)]
struct Offers {
    feasible: Option<Choice>,
    infeasible: Option<Choice>,
}

impl Router {
    /// Chooses anew among the ways to one origin. `heard` is what the last update said, and whose it was.
    pub(super) fn select(&mut self, number: u32, heard: Option<(u16, Path<'_>)>, now: Instant) {
        let row = self.origins.row(number);
        if row.next == OWN_SLOT {
            return;
        }
        let before = (row.next, row.metric, row.seqno);
        let Offers { feasible, infeasible } = self.offers(number);
        self.feed_or_starve(
            number,
            feasible.map(|choice| choice.total),
            infeasible.map(|choice| choice.total),
            now,
        );
        let after = feasible.map_or((NO_SLOT, Metric::INFINITE, before.2), |choice| {
            (choice.slot, choice.total, choice.distance.seqno)
        });
        if let Some(choice) = feasible {
            self.take(number, choice, heard, now);
        } else if self.origins.row(number).proof.is_none() {
            self.keep_path(number, heard);
        } else {
            let row = self.origins.row_mut(number);
            (row.next, row.metric) = (NO_SLOT, Metric::INFINITE);
            row.forget_path();
        }
        if before != after {
            // Another generation may announce other prefixes, and the others hear of it from us alone.
            let is_news = is_other_generation(before.2, after.2)
                || (before.2 != after.2 && self.is_asked_for(number, now));
            let concerns_all = before.1 != after.1 || is_news;
            self.on_changed(number, before.0, concerns_all, now);
        }
    }

    fn offers(&self, number: u32) -> Offers {
        let mut offers = Offers::default();
        let row = self.origins.row(number);
        if row.proof.is_none() {
            return offers;
        }
        // Among equals the one in use stays, and else the smallest id wins.
        let rank = |choice: &Choice| (choice.total, choice.slot != row.next, self.peer(choice.slot).id);
        for (slot, candidate) in (0_u16..).zip(self.origins.candidates(number)) {
            if candidate.metric.is_infinite() {
                continue;
            }
            let total = candidate.metric.over(self.peer(slot).cost);
            if total.is_infinite() {
                continue;
            }
            let distance = candidate.proved_up_to(row.proved);
            let choice = Choice { slot, total, distance };
            let best = match distance.is_feasible(row.said, self.feasibility) {
                true => &mut offers.feasible,
                false => &mut offers.infeasible,
            };
            if best.as_ref().is_none_or(|best| rank(&choice) < rank(best)) {
                *best = Some(choice);
            }
        }
        offers
    }

    fn take(&mut self, number: u32, choice: Choice, heard: Option<(u16, Path<'_>)>, now: Instant) {
        let Choice { slot, total, distance } = choice;
        let next = self.peer(slot).short;
        let is_next = self.origins.row(number).next == slot;
        let has_path = is_next || self.origins.take_path_from(number) == Some(slot);
        let row = self.origins.row_mut(number);
        match heard {
            Some((teller, path)) if teller == slot => row.set_path(next, path),
            _ if has_path => {}
            // Paths of ways that were not chosen are not kept.
            _ => {
                row.forget_path();
                self.pathless.entry(number).or_insert((now + PATH_AFTER, 0));
                let at = *self.pathless_at.get_or_insert(now + PATH_AFTER);
                self.schedule(at);
            }
        }
        let row = self.origins.row_mut(number);
        (row.next, row.metric, row.seqno) = (slot, total, distance.seqno);
        // RFC 8966, 3.7.3 notes what is said when it is said; noting it when it is chosen is stricter.
        let said = Distance { seqno: distance.seqno, metric: total };
        if said.is_better_than(row.said) {
            row.said = said;
        }
    }

    /// Keeps the path of the nearest neighbour that tells of an origin, until that is proved.
    fn keep_path(&mut self, number: u32, heard: Option<(u16, Path<'_>)>) {
        let Some((slot, path)) = heard else { return };
        let total = |slot: u16| self.origins.candidate(number, slot).metric.over(self.peer(slot).cost);
        let nearest = self.origins.path_from(number).unwrap_or(slot);
        if (total(slot), self.peer(slot).id) <= (total(nearest), self.peer(nearest).id) {
            let next = self.peer(slot).short;
            self.origins.keep_path_from(number, slot);
            self.origins.row_mut(number).set_path(next, path);
        }
    }

    /// Has the next hops of ways without a path tell them again.
    pub(super) fn ask_paths_if_due(&mut self, now: Instant) {
        if self.pathless_at.is_none_or(|at| at > now) {
            return;
        }
        let due: Vec<_> =
            self.pathless.iter().filter(|(_, (at, _))| *at <= now).map(|(row, _)| *row).collect();
        for number in due {
            let row = self.origins.row(number);
            let (slot, request) = (row.next, SeqRequest { origin: row.id, seqno: row.seqno, hop_limit: 1 });
            let attempts = self.pathless.remove(&number).map_or(0, |(_, attempts)| attempts);
            if slot >= OWN_SLOT || row.path().links().is_some() || attempts >= PATH_ATTEMPTS {
                continue;
            }
            self.pathless.insert(number, (now + PATH_AFTER * (2 << attempts), attempts + 1));
            if let Some(link) = self.link_mut(slot) {
                link.pass_on(request, now);
            }
        }
        self.pathless_at = self.pathless.values().map(|(at, _)| *at).min();
    }

    /// Tells those for whom something has changed: all when the metric did, or when somebody has asked for
    /// the sequence number; and when only the next hop did, the two that do not hear of the way because it
    /// leads, or led, by them.
    pub(super) fn on_changed(&mut self, number: u32, was_next: u16, concerns_all: bool, now: Instant) {
        let row = self.origins.row(number);
        let (next, metric, seqno) = (row.next, row.metric, row.seqno);
        if let Some(changes) = &mut self.changes {
            let destination = row.id;
            let next_hop = self.peers.get(usize::from(next)).map(|peer| peer.id);
            changes.push_back(RouteChange { destination, next_hop, metric, seqno });
        }
        // What is lost does not wait for company.
        let at = match next {
            NO_SLOT => now,
            _ if self.is_asked_for(number, now) => now + COALESCE_BRIEFLY,
            _ => now + COALESCE,
        };
        for (slot, peer) in (0_u16..).zip(&mut self.peers) {
            if let Some(link) = &mut peer.link
                && (concerns_all || slot == was_next || slot == next)
            {
                link.telling.say(number, at);
            }
        }
        self.schedule(at);
    }
}
