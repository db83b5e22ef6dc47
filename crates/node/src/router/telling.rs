//! The part of a router that tells: updates, what has been heard, and what is asked.

use std::time::Instant;

use peerbound_wire::{
    Acknowledgement, AcknowledgementPacker, Metric, Path, ProofRequestsPacker, ProofsPacker, RoutingMessage,
    SeqRequestsPacker, Sync, Update, UpdatesPacker,
};

use crate::router::Router;
use crate::router::config::{FLIGHTS_MAX, FULL_UPDATE_INTERVAL, SYNC_AGAIN_MAX};
use crate::router::origins::{NO_SLOT, Row};
use crate::router::peer::{Flight, PeerLink, Telling};

impl Router {
    /// Takes note of what has arrived at a neighbour.
    pub(super) fn on_acknowledgement(&mut self, slot: u16, heard: &Acknowledgement<'_>, now: Instant) {
        let Some(link) = self.link_mut(slot) else { return };
        if link.telling.sync != Some(heard.sync) {
            return;
        }
        let mut has_room = false;
        for number in heard.numbers.iter() {
            has_room |= link.telling.on_acknowledged(number);
        }
        // What waited for that may go; what is merely to be coalesced waits on.
        if has_room && link.telling.flush_at.is_none() {
            link.telling.flush_by(now);
            self.schedule(now);
        }
    }

    /// Sends a neighbour what is due.
    pub(super) fn speak_if_due(&mut self, slot: u16, now: Instant) {
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        let Self { origins, peers, counters, .. } = self;
        let Some(link) = peers[usize::from(slot)].link.as_deref_mut() else { return };
        if is_due(link.telling.resend_at()) {
            link.telling.resend_due(now);
            counters.resent += 1;
        }
        if is_due(link.telling.full_at()) {
            link.telling.full_at = now + FULL_UPDATE_INTERVAL;
            origins.numbers().for_each(|row| link.telling.say(row, now));
        }
        let says_sync = is_due(link.hearing.sync_at);
        let asks = is_due(link.pass_on_at);
        let tells = is_due(link.telling.flush_at);
        let acknowledges = is_due(link.hearing.acknowledge_at);
        if says_sync {
            self.say_sync(slot, now);
        }
        if asks {
            self.say_seq_requests(slot);
        }
        self.say_about_proofs(slot);
        if tells {
            self.say_updates(slot, now);
        }
        if acknowledges {
            self.say_acknowledgement(slot);
        }
    }

    fn say_sync(&mut self, slot: u16, now: Instant) {
        let Some(link) = self.link_mut(slot) else { return };
        let hearing = &mut link.hearing;
        let sync = Sync { ours: hearing.sync, yours: link.telling.sync.unwrap_or(0) };
        hearing.sync_at = Some(now + hearing.sync_wait);
        hearing.sync_wait = (hearing.sync_wait * 2).min(SYNC_AGAIN_MAX);
        let mut bytes = Vec::new();
        RoutingMessage::Sync(sync).encode_into(&mut bytes);
        self.send(slot, bytes);
    }

    /// Says all that is to be said, or as much as may be on its way at a time.
    fn say_updates(&mut self, slot: u16, now: Instant) {
        let bytes_max = self.packed_bytes_max;
        loop {
            let Self { origins, peers, .. } = self;
            let Some(PeerLink { telling, .. }) = peers[usize::from(slot)].link.as_deref_mut() else { return };
            telling.flush_at = None;
            let Some(sync) = telling.sync.filter(|_| telling.flights.len() < FLIGHTS_MAX) else { return };
            let number = telling.next_number;
            let oldest = telling.flights.front().map_or(number, |flight| flight.number);
            let packer = UpdatesPacker::new(sync, number, oldest, bytes_max);
            let (bytes, rows) = pack(packer, telling, slot, |row| origins.row(row));
            if rows.is_empty() && !std::mem::take(&mut telling.owes_answer) {
                return;
            }
            telling.owes_answer = false;
            telling.next_number += 1;
            self.counters.updates_sent += rows.len() as u64;
            telling.flights.push_back(Flight { number, sent_at: now, rows });
            self.send(slot, bytes);
        }
    }

    fn say_acknowledgement(&mut self, slot: u16) {
        let bytes_max = self.packed_bytes_max;
        let Some(link) = self.link_mut(slot) else { return };
        link.hearing.acknowledge_at = None;
        let mut numbers = std::mem::take(&mut link.hearing.heard);
        let sync = link.hearing.sync;
        while !numbers.is_empty() {
            let mut packer = AcknowledgementPacker::new(sync, bytes_max);
            let fitting = numbers.iter().take_while(|number| packer.push(number)).count();
            numbers.drain(..fitting.max(1));
            self.send(slot, packer.finish());
        }
    }

    fn say_seq_requests(&mut self, slot: u16) {
        let bytes_max = self.packed_bytes_max;
        let Some(link) = self.link_mut(slot) else { return };
        link.pass_on_at = None;
        let seq_requests = std::mem::take(&mut link.seq_requests);
        let without_room = std::mem::take(&mut link.requests_without_room);
        self.counters.requests_without_room += without_room;
        self.counters.seq_requests_sent += seq_requests.len() as u64;
        let mut rest = &seq_requests[..];
        while !rest.is_empty() {
            let mut packer = SeqRequestsPacker::new(bytes_max);
            let fitting = rest.iter().take_while(|request| packer.push(request)).count();
            rest = &rest[fitting.max(1)..];
            self.send(slot, packer.finish());
        }
    }

    /// Says what waits for nothing: requests for proofs, and the proofs that were asked for.
    fn say_about_proofs(&mut self, slot: u16) {
        let bytes_max = self.packed_bytes_max;
        let Some(link) = self.link_mut(slot) else { return };
        let proof_requests = std::mem::take(&mut link.proof_requests);
        let proofs = std::mem::take(&mut link.proofs);
        let mut rest = &proof_requests[..];
        while !rest.is_empty() {
            let mut packer = ProofRequestsPacker::new(bytes_max);
            let fitting = rest.iter().take_while(|request| packer.push(request)).count();
            rest = &rest[fitting.max(1)..];
            self.send(slot, packer.finish());
        }
        let mut rest = &proofs[..];
        while !rest.is_empty() {
            let mut packer = ProofsPacker::new(bytes_max);
            let fit = |packer: &mut ProofsPacker| {
                rest.iter().take_while(|(proof, certified)| packer.push(&proof.item(*certified))).count()
            };
            let mut fitting = fit(&mut packer);
            if fitting == 0 {
                // A long certificate goes alone, and needs a link that takes it.
                packer = ProofsPacker::new(self.message_bytes_max);
                let alone =
                    rest.first().is_some_and(|(proof, certified)| packer.push(&proof.item(*certified)));
                fitting = usize::from(alone);
            }
            rest = &rest[fitting.max(1)..];
            // One that does not fit any frame here cannot be handed on.
            if fitting > 0 {
                self.send(slot, packer.finish());
            }
        }
    }

    fn send(&mut self, slot: u16, bytes: Vec<u8>) {
        self.counters.messages_sent += 1;
        self.counters.bytes_sent += bytes.len() as u64;
        self.outbox.push_back((self.peer(slot).id, bytes));
    }
}

/// Fills a message with what is to be said to the neighbour at `slot`.
fn pack<'a>(
    mut packer: UpdatesPacker,
    telling: &mut Telling,
    slot: u16,
    row_at: impl Fn(u32) -> &'a Row,
) -> (Vec<u8>, Vec<(u32, bool)>) {
    let mut rows = Vec::new();
    let mut from = 0;
    while let Some(number) = telling.dirty.next_except(from, &telling.in_flight) {
        from = number + 1;
        let row = row_at(number);
        // A way is not told to whom it leads by (split horizon, RFC 8966, 3.7.4): he would not take it.
        let is_retracted = row.next == NO_SLOT || row.next == slot || row.is_free;
        if is_retracted && !telling.announced.contains(number) {
            telling.dirty.remove(number);
            continue;
        }
        let (metric, path) =
            if is_retracted { (Metric::INFINITE, Path::UNKNOWN) } else { (row.metric, row.path()) };
        if !packer.push(&Update { origin: row.id, seqno: row.seqno, metric, path }) {
            break;
        }
        telling.dirty.remove(number);
        telling.in_flight.insert(number);
        if !is_retracted {
            telling.announced.insert(number);
        }
        rows.push((number, is_retracted));
    }
    (packer.finish(), rows)
}
