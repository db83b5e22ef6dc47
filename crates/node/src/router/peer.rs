//! What a router keeps for one neighbour: what it heard from it, and what that one has been told.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use peerbound_wire::{NodeId, ProofRequest, SeqRequest, ShortId};

use crate::router::bits::Bits;
use crate::router::config::{
    COALESCE, FULL_UPDATE_INTERVAL, RESEND_AFTER, RESEND_AFTER_MAX, SEQ_REQUESTS_WAITING_MAX, SYNC_AGAIN,
};
use crate::router::proof::Proof;
use crate::router::round_trip::RoundTrip;

/// A configured neighbour.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) id: NodeId,
    pub(crate) short: ShortId,
    /// What the link costs, its round trip not counted, and counted.
    pub(crate) set_cost: u16,
    pub(crate) cost: u16,
    pub(crate) round_trip: RoundTrip,
    /// While its link carries frames.
    pub(crate) link: Option<Box<PeerLink>>,
}

/// One stay of a neighbour.
#[derive(Debug)]
pub(crate) struct PeerLink {
    pub(crate) hearing: Hearing,
    pub(crate) telling: Telling,
    pub(crate) seq_requests: Vec<SeqRequest>,
    /// Those that found no room since the last ones left.
    pub(crate) requests_without_room: u64,
    /// When these leave.
    pub(crate) pass_on_at: Option<Instant>,
    /// What leaves at once.
    pub(crate) proof_requests: Vec<ProofRequest>,
    pub(crate) proofs: Vec<(Arc<Proof>, bool)>,
    /// Proofs that it was asked for and did not send yet.
    pub(crate) asked: usize,
}

/// Our side of being told.
#[derive(Debug)]
pub(crate) struct Hearing {
    /// The number under which we want to be told.
    pub(crate) sync: u32,
    /// Whether anything has come under that number.
    pub(crate) is_answered: bool,
    pub(crate) sync_at: Option<Instant>,
    pub(crate) sync_wait: Duration,
    /// Messages with lower numbers are void.
    pub(crate) oldest: u32,
    /// What is to be acknowledged.
    pub(crate) heard: Vec<u32>,
    pub(crate) acknowledge_at: Option<Instant>,
}

/// Our side of telling.
#[derive(Debug)]
pub(crate) struct Telling {
    /// The number under which the neighbour wants to be told, once it has said so.
    pub(crate) sync: Option<u32>,
    began_at: Instant,
    pub(crate) next_number: u32,
    pub(crate) flights: VecDeque<Flight>,
    pub(crate) resend_after: Duration,
    /// Rows of which something is to be said.
    pub(crate) dirty: Bits,
    /// Rows of which something is on its way; nothing more is said of them until it has arrived, so
    /// that nothing newer can be overtaken.
    pub(crate) in_flight: Bits,
    /// Rows for which the neighbour may believe to have a way by us.
    pub(crate) announced: Bits,
    pub(crate) flush_at: Option<Instant>,
    /// Whether a message is due although there is nothing to say.
    pub(crate) owes_answer: bool,
    pub(crate) full_at: Instant,
}

/// A message with updates that has not been acknowledged.
#[derive(Debug)]
pub(crate) struct Flight {
    pub(crate) number: u32,
    pub(crate) sent_at: Instant,
    /// Its rows, and whether they were retracted.
    pub(crate) rows: Vec<(u32, bool)>,
}

impl Peer {
    pub(crate) fn new(id: NodeId, cost: u16) -> Self {
        Self { id, short: id.into(), set_cost: cost, cost, round_trip: RoundTrip::default(), link: None }
    }
}

impl PeerLink {
    pub(crate) fn new(sync: u32, now: Instant) -> Self {
        Self {
            hearing: Hearing {
                sync,
                is_answered: false,
                sync_at: Some(now),
                sync_wait: SYNC_AGAIN,
                oldest: 0,
                heard: Vec::new(),
                acknowledge_at: None,
            },
            telling: Telling {
                sync: None,
                began_at: now,
                next_number: 1,
                flights: VecDeque::new(),
                resend_after: RESEND_AFTER,
                dirty: Bits::default(),
                in_flight: Bits::default(),
                announced: Bits::default(),
                flush_at: None,
                owes_answer: false,
                full_at: now + FULL_UPDATE_INTERVAL,
            },
            seq_requests: Vec::new(),
            requests_without_room: 0,
            pass_on_at: None,
            proof_requests: Vec::new(),
            proofs: Vec::new(),
            asked: 0,
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let Self { hearing, telling, .. } = self;
        let hearing = [hearing.sync_at, hearing.acknowledge_at];
        let telling = [telling.flush_at, telling.resend_at(), telling.full_at(), self.pass_on_at];
        hearing.into_iter().chain(telling).flatten().min()
    }

    /// Asks it for a sequence number, by `at` at the latest, if there is room.
    pub(crate) fn pass_on(&mut self, request: SeqRequest, at: Instant) {
        if self.seq_requests.len() >= SEQ_REQUESTS_WAITING_MAX {
            self.requests_without_room += 1;
            return;
        }
        self.seq_requests.push(request);
        self.pass_on_at = Some(self.pass_on_at.map_or(at, |already| already.min(at)));
    }
}

impl Hearing {
    /// Wants to be told everything anew, under another number.
    pub(crate) fn begin(&mut self, sync: u32, now: Instant) {
        self.sync = sync;
        self.is_answered = false;
        // It may have restarted, and count from 1 again; what it said before carries the old number.
        self.oldest = 0;
        self.sync_at = Some(now);
        self.sync_wait = SYNC_AGAIN;
        self.heard.clear();
        self.acknowledge_at = None;
    }
}

impl Telling {
    /// Returns whether the neighbour wants to begin afresh so soon again that it has to ask once more:
    /// beginning costs work for every row.
    pub(crate) fn has_just_begun(&self, now: Instant) -> bool {
        self.sync.is_some() && now < self.began_at + SYNC_AGAIN / 2
    }

    /// Begins to tell everything, to one who knows nothing.
    pub(crate) fn begin(&mut self, sync: u32, rows: impl Iterator<Item = u32>, now: Instant) {
        self.sync = Some(sync);
        self.began_at = now;
        self.flights.clear();
        self.in_flight.clear();
        self.announced.clear();
        rows.for_each(|row| self.dirty.insert(row));
        self.flush_by(now + COALESCE);
    }

    pub(crate) fn say(&mut self, row: u32, at: Instant) {
        if self.sync.is_some() {
            self.dirty.insert(row);
            self.flush_by(at);
        }
    }

    pub(crate) fn flush_by(&mut self, at: Instant) {
        self.flush_at = Some(self.flush_at.map_or(at, |already| already.min(at)));
    }

    pub(crate) fn resend_at(&self) -> Option<Instant> {
        self.flights.front().map(|flight| flight.sent_at + self.resend_after)
    }

    pub(crate) fn full_at(&self) -> Option<Instant> {
        self.sync.map(|_| self.full_at)
    }

    /// Takes note that a message has arrived; returns whether it was on its way.
    pub(crate) fn on_acknowledged(&mut self, number: u32) -> bool {
        let Ok(at) = self.flights.binary_search_by_key(&number, |flight| flight.number) else {
            return false;
        };
        let flight = self.flights.remove(at).expect("it was found there");
        for (row, is_retracted) in flight.rows {
            self.in_flight.remove(row);
            if is_retracted {
                self.announced.remove(row);
            }
        }
        self.resend_after = RESEND_AFTER;
        true
    }

    /// Says again what has been on its way for too long.
    pub(crate) fn resend_due(&mut self, now: Instant) {
        let mut is_late = false;
        while self.resend_at().is_some_and(|at| at <= now) {
            let Some(flight) = self.flights.pop_front() else { break };
            is_late = true;
            for (row, _) in &flight.rows {
                self.in_flight.remove(*row);
                self.dirty.insert(*row);
            }
            self.owes_answer |= flight.rows.is_empty();
        }
        if is_late {
            self.resend_after = (self.resend_after * 2).min(RESEND_AFTER_MAX);
            self.flush_by(now);
        }
    }

    /// Returns whether anything of this row is yet to be said, or to be heard of.
    pub(crate) fn concerns(&self, row: u32) -> bool {
        [&self.dirty, &self.in_flight, &self.announced].into_iter().any(|bits| bits.contains(row))
    }
}
