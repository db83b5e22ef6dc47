//! A live session and its succession: a candidate beside it, the session it replaced behind it.
//! Make before break, whether the peer restarted or the keys are old.

use std::time::{Duration, Instant};

use crate::association::{AssociationConfig, AssociationEvent};
use crate::discard::DiscardCounts;
use crate::down::DownReason;
use crate::elsewhere::Opened;
use crate::opening::{Opening, Progress};
use crate::options::Role;
use crate::outcome::{CloseReason, Outcome};
use crate::plaintexts::Plaintexts;
use crate::record::{ContentType, Record};
use crate::session::Session;

/// How long a replaced session still opens what was on its way: a long round trip, and some.
const PREVIOUS_KEPT: Duration = Duration::from_secs(3);

/// How long after a failed replacement the next one is tried.
const REKEY_RETRY: Duration = Duration::from_secs(20);

/// How often the word of a peer that it has lost the session is heeded, in the long run, and how many
/// times at once: each costs a handshake, a millisecond of both, and anyone on the path can say it.
const ADVICE_INTERVAL: Duration = Duration::from_secs(5);
const ADVICE_BURST: u32 = 3;

/// Records that may have been sent since the one that advice is about: a second of a fast link.
const ADVICE_RECORDS: u64 = 1 << 17;

/// A session that could not be replaced is worn out at so many times its limits.
const WORN_OUT_FACTOR: u32 = 2;

/// The live session of an association, with the one that may replace it and the one it replaced.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) session: Session,
    pub(crate) since: Instant,
    pub(crate) candidate: Option<Opening>,
    /// The session that was replaced, and until when it is kept.
    previous: Option<(Session, Instant)>,
    /// No replacement is started before this.
    rekey_not_before: Instant,
    /// Up to when advice that was heeded is paid for.
    advice_paid: Instant,
}

impl Live {
    pub(crate) fn new(session: Session, now: Instant) -> Self {
        Self { session, since: now, candidate: None, previous: None, rekey_not_before: now, advice_paid: now }
    }

    pub(crate) fn handle_datagram(
        &mut self,
        datagram: &[u8],
        plaintexts: &mut Plaintexts,
        now: Instant,
    ) -> Outcome {
        if let (Some(candidate), true) = (&mut self.candidate, is_of_a_handshake(datagram)) {
            return candidate.handle_datagram(datagram, plaintexts, now);
        }
        // What was on its way when the keys changed. One decryption more, for three seconds.
        if let Some((previous, _)) = &mut self.previous
            && previous.recognises(datagram)
        {
            return previous.handle_datagram(datagram, plaintexts, now);
        }
        self.session.handle_datagram(datagram, plaintexts, now)
    }

    /// Takes in a record that was opened elsewhere, by the keys of the session or of the one before it.
    pub(crate) fn handle_opened(&mut self, opened: &Opened) -> Option<Outcome> {
        let of_live = self.session.handle_opened(opened);
        of_live.or_else(|| self.previous.as_mut()?.0.handle_opened(opened))
    }

    pub(crate) fn handle_timeout(
        &mut self,
        config: &AssociationConfig,
        now: Instant,
        retired: &mut DiscardCounts,
    ) {
        if self.session.poll_timeout().is_some_and(|at| at <= now) {
            self.session.handle_timeout(now);
        }
        if let Some((previous, _)) = self.previous.take_if(|(_, until)| *until <= now) {
            retired.add(previous.discards());
        }
        if let Some(candidate) = &mut self.candidate {
            candidate.handle_timeout(config, now, retired);
        } else if self.wants_rekey(config, now) {
            self.rekey(config, now);
        }
    }

    /// Dials a candidate, unless there is one; says whether there was none and there is one.
    pub(crate) fn rekey(&mut self, config: &AssociationConfig, now: Instant) -> bool {
        if self.candidate.is_some() {
            return false;
        }
        self.rekey_not_before = now + REKEY_RETRY;
        match Opening::dial(config, now) {
            Ok(opening) => self.candidate = Some(opening),
            Err(error) => tracing::warn!(%error, "No session can be made to replace the live one"),
        }
        self.candidate.is_some()
    }

    /// Dials a candidate if whoever advises it has seen a record of ours, and has not done so too often.
    /// The live session is not touched: if it works, the handshake was for nothing, and if the peer has
    /// lost it, the next one is there before it is missed.
    pub(crate) fn on_advice(&mut self, about: u64, config: &AssociationConfig, now: Instant) {
        let (sent, _) = self.session.records();
        // Numbers of epoch 1 begin with the Finished; an alert may come behind the data.
        let is_of_ours = about <= sent + 2 && about.saturating_add(ADVICE_RECORDS) >= sent;
        let is_too_often = self.advice_paid > now + ADVICE_INTERVAL * (ADVICE_BURST - 1);
        if self.candidate.is_some() || !is_of_ours || is_too_often {
            return;
        }
        self.advice_paid = self.advice_paid.max(now) + ADVICE_INTERVAL;
        self.rekey(config, now);
    }

    pub(crate) fn poll_transmit(&mut self) -> Option<&[u8]> {
        if self.session.has_transmit() {
            return self.session.poll_transmit();
        }
        if let Some((previous, _)) = &mut self.previous
            && previous.has_transmit()
        {
            return previous.poll_transmit();
        }
        self.candidate.as_mut()?.session_mut()?.poll_transmit()
    }

    pub(crate) fn poll_timeout(&self, config: &AssociationConfig) -> Option<Instant> {
        let session = self.session.poll_timeout();
        let previous = self.previous.as_ref().map(|(_, until)| *until);
        let candidate = self.candidate.as_ref().map(Opening::poll_timeout);
        let rekey = match (self.candidate.is_some(), self.session.role()) {
            (false, Role::Client) if self.records() >= config.rekey_records => self.rekey_not_before,
            (false, Role::Client) => self.rekey_not_before.max(self.since + config.rekey_age),
            (true, _) | (_, Role::Server) => self.since + config.rekey_age * WORN_OUT_FACTOR,
        };
        let rekey = Some(rekey);
        [session, previous, candidate, rekey].into_iter().flatten().min()
    }

    /// The client of a session replaces it; the server does what the client asks.
    fn wants_rekey(&self, config: &AssociationConfig, now: Instant) -> bool {
        self.session.role() == Role::Client
            && now >= self.rekey_not_before
            && (self.records() >= config.rekey_records || now >= self.since + config.rekey_age)
    }

    pub(crate) fn is_worn_out(&self, config: &AssociationConfig, now: Instant) -> bool {
        self.records() >= config.rekey_records.saturating_mul(u64::from(WORN_OUT_FACTOR))
            || now >= self.since + config.rekey_age * WORN_OUT_FACTOR
    }

    /// Adds what all its sessions discarded.
    pub(crate) fn add_discards_to(&self, counts: &mut DiscardCounts) {
        counts.add(self.session.discards());
        if let Some((previous, _)) = &self.previous {
            counts.add(previous.discards());
        }
        if let Some(candidate) = &self.candidate {
            candidate.add_discards_to(counts);
        }
    }

    fn records(&self) -> u64 {
        let (sent, received) = self.session.records();
        sent.saturating_add(received)
    }

    pub(crate) fn settle_candidate(
        &mut self,
        config: &AssociationConfig,
        now: Instant,
        outbox: &mut impl FnMut(&[u8]),
        retired: &mut DiscardCounts,
    ) -> Option<AssociationEvent> {
        let candidate = self.candidate.as_mut()?;
        match candidate.progress(now, outbox, retired) {
            Progress::Waiting => None,
            Progress::Failed => {
                let reason = candidate.down_reason();
                candidate.add_discards_to(retired);
                self.candidate = None;
                Some(AssociationEvent::CandidateFailed(reason))
            }
            Progress::Established(mut session) => {
                self.candidate = None;
                if let Some(refusal) = session.judge_late(&config.context) {
                    let reason = DownReason::Closed(CloseReason::Refused(refusal));
                    return Some(give_up(*session, reason, outbox, retired));
                }
                Some(self.swap(*session, now, outbox, retired))
            }
        }
    }

    fn swap(
        &mut self,
        mut session: Session,
        now: Instant,
        outbox: &mut impl FnMut(&[u8]),
        retired: &mut DiscardCounts,
    ) -> AssociationEvent {
        let live_key = self.session.peer().map(|peer| peer.key);
        let Some(peer) = session.peer().cloned().filter(|peer| Some(peer.key) == live_key) else {
            let name = session.peer().map_or_else(String::new, |peer| peer.name.clone());
            session.close();
            return give_up(session, DownReason::AnotherPeer { name }, outbox, retired);
        };
        let replaced = std::mem::replace(&mut self.session, session);
        if let Some((older, _)) = self.previous.replace((replaced, now + PREVIOUS_KEPT)) {
            retired.add(older.discards());
        }
        self.since = now;
        self.rekey_not_before = now;
        AssociationEvent::Replaced(peer)
    }
}

/// Sends the last words of a session that does not take over.
fn give_up(
    mut session: Session,
    reason: DownReason,
    outbox: &mut impl FnMut(&[u8]),
    retired: &mut DiscardCounts,
) -> AssociationEvent {
    while let Some(datagram) = session.poll_transmit() {
        outbox(datagram);
    }
    retired.add(session.discards());
    AssociationEvent::CandidateFailed(reason)
}

/// Records in the clear and Finished messages belong to whoever is in a handshake.
fn is_of_a_handshake(datagram: &[u8]) -> bool {
    Record::split(datagram).is_ok_and(|(record, _)| {
        record.header.epoch == 0 || record.header.content_type == ContentType::Handshake
    })
}
