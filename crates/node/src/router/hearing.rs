//! The part of a router that is told of ways.

use std::time::Instant;

use peerbound_wire::{Sync, Update, Updates};

use crate::router::config::{ACKNOWLEDGE_AFTER, HEARD_MAX, SYNC_AGAIN};
use crate::router::origins::Candidate;
use crate::router::proving::is_other_generation;
use crate::router::{OWN_ROW, Router};

/// Whether there was room for what was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Room {
    Enough,
    None,
}

impl Router {
    /// A neighbour wants to be told everything. If it does not know under which number we are told, it has
    /// lost what it told us, and we begin afresh, too.
    pub(super) fn on_sync(&mut self, slot: u16, sync: Sync, now: Instant) {
        let fresh = self.next_sync();
        let Self { origins, peers, .. } = self;
        let Some(link) = peers[usize::from(slot)].link.as_deref_mut() else { return };
        if link.telling.sync == Some(sync.ours) {
            link.telling.owes_answer = true;
            link.telling.flush_by(now);
        } else if link.telling.has_just_begun(now) {
            return;
        } else {
            link.telling.begin(sync.ours, origins.numbers(), now);
            link.telling.owes_answer = true;
        }
        let forgot_us = link.hearing.is_answered && sync.yours != link.hearing.sync;
        if forgot_us {
            link.hearing.begin(fresh, now);
            self.forget_told_by(slot, now);
        } else if !link.hearing.is_answered {
            // It is there now: it may have missed our first.
            let hearing = &mut link.hearing;
            hearing.sync_at = hearing.sync_at.map(|at| at.min(now + SYNC_AGAIN));
        }
        self.schedule(now);
    }

    pub(super) fn on_updates(&mut self, slot: u16, updates: &Updates<'_>, now: Instant) {
        let Some(link) = self.link_mut(slot) else { return };
        let hearing = &mut link.hearing;
        if updates.sync != hearing.sync {
            // It tells us under a number that we have given up: it has missed that.
            hearing.sync_at.get_or_insert(now + SYNC_AGAIN);
            self.schedule(now + SYNC_AGAIN);
            return;
        }
        hearing.is_answered = true;
        hearing.sync_at = None;
        if updates.number < hearing.oldest {
            return; // what it says has been said again, or was retracted since
        }
        hearing.oldest = hearing.oldest.max(updates.oldest);
        let mut room = Room::Enough;
        for update in updates.items.iter() {
            if self.on_update(slot, &update, now) == Room::None {
                room = Room::None;
            }
        }
        if room == Room::None {
            // Without acknowledgement all of it comes again, when there may be room.
            self.counters.without_room += 1;
            return;
        }
        let Some(link) = self.link_mut(slot) else { return };
        if link.hearing.heard.len() >= HEARD_MAX {
            return; // without acknowledgement it comes again
        }
        link.hearing.heard.push(updates.number);
        let at = *link.hearing.acknowledge_at.get_or_insert(now + ACKNOWLEDGE_AFTER);
        self.schedule(at);
    }

    fn on_update(&mut self, slot: u16, update: &Update<'_>, now: Instant) -> Room {
        self.counters.updates_heard += 1;
        let number = match self.origins.find(&update.origin) {
            // Nobody knows a way to us better than we do.
            Some(OWN_ROW) => return Room::Enough,
            Some(number) => number,
            None if update.metric.is_infinite() => return Room::Enough,
            None => match self.origins.add(update.origin, slot) {
                Some(number) => number,
                None => return Room::None,
            },
        };
        let candidate = Candidate { seqno: update.seqno, metric: update.metric };
        self.origins.set_candidate(number, slot, candidate);
        self.select(number, Some((slot, update.path)), now);
        // A newer sequence number alone changes nothing until somebody needs it: a mesh in which an origin
        // announces itself anew for one node does not fetch its signature a thousand times.
        // Another generation may announce other prefixes.
        if self.is_unproved(number, candidate)
            && (self.is_needed_anew(number, now)
                || is_other_generation(candidate.seqno, self.origins.row(number).proved))
        {
            self.want_proof(number, now);
        }
        if candidate.metric.is_infinite() {
            self.on_candidate_gone(number, now);
        }
        Room::Enough
    }

    /// Forgets all that a neighbour told.
    pub(super) fn forget_told_by(&mut self, slot: u16, now: Instant) {
        let told = |number: &u32| !self.origins.candidate(*number, slot).metric.is_infinite();
        let told: Vec<_> = self.origins.numbers().filter(told).collect();
        for number in told {
            self.origins.set_candidate(number, slot, Candidate::NONE);
            self.select(number, None, now);
            self.on_candidate_gone(number, now);
        }
        self.schedule(now);
    }
}
