//! The sessions of one 5-tuple (RFC 6347, 4.1.1 finds them by host and port): the live one, the
//! one that may replace it, and the one it replaced.
//!
//! A hello from the address of a live neighbour does not hurt the live session: it opens a
//! candidate, and the swap happens only when the candidate is established with the same key
//! (RFC 6347, 4.2.8). Rekeying is the same thing on our own initiative: make before break.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use openssl::error::ErrorStack;

use crate::advice::advice_about;
use crate::context::Context;
use crate::discard::DiscardCounts;
use crate::doorman::VerifiedHello;
use crate::down::DownReason;
use crate::elsewhere::{Opened, Opener, Unsealed};
use crate::live::Live;
use crate::opening::{Attempts, Opening, Progress};
use crate::options::{Role, SessionOptions};
use crate::outcome::{CloseReason, Outcome, SendError, SessionEvent};
use crate::plaintexts::Plaintexts;
use crate::session::Session;
use crate::terms::Peer;

/// The longest that an opening is tried. Far below OpenSSL's own 483 s: whoever dialled has
/// something better to do, and a half-open session holds 100 kB.
pub const HANDSHAKE_DEADLINE_DEFAULT: Duration = Duration::from_secs(15);

/// Records after which a session is replaced. RFC 9325, 4.4 and RFC 8446, 5.5: some 2^24.5 full
/// records keep AES-GCM's margin.
pub const REKEY_RECORDS_DEFAULT: u64 = 1 << 24;

/// The age at which a session is replaced: an hour bounds what one stolen key opens.
pub const REKEY_AGE_DEFAULT: Duration = Duration::from_secs(3600);

/// Farewells of ended sessions that wait to be sent: an alert or a close_notify each.
const OUTBOX_DATAGRAMS_MAX: usize = 16;

/// Whose ClientHello wins when both ends dial at once. The caller decides it by comparing ids, so
/// that both ends decide alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precedence {
    /// Ours: their hello is ignored while we dial.
    Ours,
    /// Theirs: our attempt gives way to their hello.
    Theirs,
}

/// What becomes of the word of a peer that it has lost its session: see [`crate::advice_for`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Advice {
    /// Nothing: the live session goes on until its peer is missed.
    #[default]
    Ignored,
    /// A candidate is dialled beside the live session, a few times at once and then every few seconds.
    Heeded,
}

/// What an association is made from.
#[derive(Debug, Clone)]
pub struct AssociationConfig {
    /// Makes the sessions.
    pub context: Context,
    /// What they have in common.
    pub options: SessionOptions,
    /// Who wins when both dial.
    pub precedence: Precedence,
    /// How long an opening may take, all attempts together.
    pub handshake_deadline: Duration,
    /// Whether an attempt that fails or takes long is followed by another.
    pub attempts: Attempts,
    /// Records, sent and received, after which the client replaces the session.
    pub rekey_records: u64,
    /// Age at which the client replaces the session.
    pub rekey_age: Duration,
    /// What becomes of the word of the peer that it has lost the session.
    pub advice: Advice,
}

impl AssociationConfig {
    /// Takes the default deadlines and limits.
    #[must_use]
    pub fn new(context: Context, options: SessionOptions, precedence: Precedence) -> Self {
        Self {
            context,
            options,
            precedence,
            handshake_deadline: HANDSHAKE_DEADLINE_DEFAULT,
            attempts: Attempts::Fresh,
            rekey_records: REKEY_RECORDS_DEFAULT,
            rekey_age: REKEY_AGE_DEFAULT,
            advice: Advice::Ignored,
        }
    }
}

/// What an association has to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AssociationEvent {
    /// The first session is established.
    Up(Peer),
    /// Another session of the same peer has taken over: it restarted, or keys were changed.
    Replaced(Peer),
    /// An attempt to take over failed; the live session goes on.
    CandidateFailed(DownReason),
    /// There is no live session any more. The association is of no further use, unless a candidate
    /// was on its way: see [`Association::is_over`].
    Down(DownReason),
}

/// All sessions with whoever sits at one address.
#[derive(Debug)]
pub struct Association {
    config: AssociationConfig,
    slot: Slot,
    events: VecDeque<AssociationEvent>,
    outbox: VecDeque<Vec<u8>>,
    sending: Vec<u8>,
    /// What ended sessions had discarded.
    retired: DiscardCounts,
    /// The largest datagram for what is sent, where it is not that of the handshake.
    mtu: Option<u16>,
}

#[derive(Debug)]
enum Slot {
    Opening(Box<Opening>),
    Live(Box<Live>),
    Over,
}

impl Association {
    /// Starts to dial.
    ///
    /// # Errors
    /// When OpenSSL cannot make a session.
    pub fn dial(config: AssociationConfig, now: Instant) -> Result<Self, ErrorStack> {
        let opening = Opening::dial(&config, now)?;
        Ok(Self::new(config, opening))
    }

    /// Answers a stranger whose cookie was verified.
    ///
    /// # Errors
    /// When OpenSSL cannot make a session.
    pub fn accept(
        config: AssociationConfig,
        hello: &VerifiedHello,
        now: Instant,
    ) -> Result<Self, ErrorStack> {
        let opening = Opening::accept(&config, hello, now)?;
        let mut association = Self::new(config, opening);
        association.settle(now);
        Ok(association)
    }

    fn new(config: AssociationConfig, opening: Opening) -> Self {
        Self {
            config,
            slot: Slot::Opening(Box::new(opening)),
            events: VecDeque::new(),
            outbox: VecDeque::new(),
            sending: Vec::new(),
            retired: DiscardCounts::default(),
            mtu: None,
        }
    }

    /// Takes in a datagram from the association's address; hellos go to [`Self::handle_hello`].
    pub fn handle_datagram(&mut self, datagram: &[u8], plaintexts: &mut Plaintexts, now: Instant) -> Outcome {
        let outcome = match &mut self.slot {
            Slot::Opening(opening) => opening.handle_datagram(datagram, plaintexts, now),
            Slot::Live(live) => {
                let outcome = live.handle_datagram(datagram, plaintexts, now);
                if self.config.advice == Advice::Heeded
                    && let Some(about) = advice_about(datagram)
                {
                    live.on_advice(about, &self.config, now);
                }
                outcome
            }
            Slot::Over => return Outcome::NoSession,
        };
        self.settle(now);
        outcome
    }

    /// Takes in a record of the association's address that was opened elsewhere; `None` when no session here has the key,
    /// as one that was replaced some time ago.
    pub fn handle_opened(&mut self, opened: &Opened, now: Instant) -> Option<Outcome> {
        let Slot::Live(live) = &mut self.slot else {
            return None;
        };
        let outcome = live.handle_opened(opened)?;
        self.settle(now);
        Some(outcome)
    }

    /// Takes in a hello from the association's address, after the doorman verified its cookie:
    /// the peer restarted, changes keys, or dials while we do.
    ///
    /// # Errors
    /// When OpenSSL cannot make a session.
    pub fn handle_hello(&mut self, hello: &VerifiedHello, now: Instant) -> Result<(), ErrorStack> {
        let precedence = self.config.precedence;
        let gives_way = |opening: &Opening| match opening.role() {
            Role::Client => precedence == Precedence::Theirs,
            Role::Server => !opening.answers(hello),
        };
        match &mut self.slot {
            Slot::Opening(opening) if gives_way(opening) => {
                let fresh = Opening::accept(&self.config, hello, now)?;
                opening.add_discards_to(&mut self.retired);
                **opening = fresh;
            }
            Slot::Live(live)
                if !live.session.answers(hello) && live.candidate.as_ref().is_none_or(gives_way) =>
            {
                let fresh = Opening::accept(&self.config, hello, now)?;
                if let Some(older) = live.candidate.replace(fresh) {
                    older.add_discards_to(&mut self.retired);
                }
            }
            Slot::Opening(_) | Slot::Live(_) | Slot::Over => {}
        }
        self.settle(now);
        Ok(())
    }

    /// Lets every timer that is due run.
    pub fn handle_timeout(&mut self, now: Instant) {
        match &mut self.slot {
            Slot::Opening(opening) => opening.handle_timeout(&self.config, now, &mut self.retired),
            Slot::Live(live) => live.handle_timeout(&self.config, now, &mut self.retired),
            Slot::Over => {}
        }
        self.settle(now);
    }

    /// Seals `payload` into one datagram of the live session.
    ///
    /// # Errors
    /// The same as [`Session::send`].
    pub fn send(&mut self, payload: &[u8]) -> Result<(), SendError> {
        self.live_session()?.send(payload)
    }

    /// Seals `front` and `payload` as one record of the live session at the end of `datagram`.
    ///
    /// # Errors
    /// The same as [`Session::seal_into`].
    pub fn seal_into(
        &mut self,
        front: &[u8],
        payload: &[u8],
        datagram: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        self.live_session()?.seal_into(front, payload, datagram)
    }

    /// Adds a record of the live session to `datagram` and leaves the sealing to whoever gets `unsealed`.
    ///
    /// # Errors
    /// The same as [`Session::lay_into`].
    pub fn lay_into(
        &mut self,
        front: &[u8],
        payload: &[u8],
        datagram: &mut Vec<u8>,
        unsealed: &mut Unsealed,
    ) -> Result<(), SendError> {
        self.live_session()?.lay_into(front, payload, datagram, unsealed)
    }

    /// Returns what opens the records of the live session elsewhere: see [`Session::opener`].
    #[must_use]
    pub fn opener(&self) -> Option<Opener> {
        self.session()?.opener()
    }

    /// Seals `payload` as [`Self::send`] does, whatever the ceiling is.
    ///
    /// # Errors
    /// The same as [`Session::send_probe`].
    pub fn send_probe(&mut self, payload: &[u8]) -> Result<(), SendError> {
        self.live_session()?.send_probe(payload)
    }

    fn live_session(&mut self) -> Result<&mut Session, SendError> {
        match &mut self.slot {
            Slot::Live(live) => Ok(&mut live.session),
            Slot::Opening(_) | Slot::Over => Err(SendError::NotEstablished),
        }
    }

    /// Changes the largest datagram for what is sent, in this session and in those that replace it.
    /// Handshakes keep to what the association was made with.
    pub fn set_mtu(&mut self, mtu: u16) {
        self.mtu = Some(mtu);
        if let Slot::Live(live) = &mut self.slot {
            live.session.set_mtu(mtu);
        }
    }

    /// Changes who wins when both dial: once it is known who is at the other end, both decide alike.
    pub fn set_precedence(&mut self, precedence: Precedence) {
        self.config.precedence = precedence;
    }

    /// Starts to replace the live session, as its age would: make before break. Says whether there is
    /// a live session and none on its way to replace it.
    pub fn rekey(&mut self, now: Instant) -> bool {
        let Slot::Live(live) = &mut self.slot else {
            return false;
        };
        let started = live.rekey(&self.config, now);
        self.settle(now);
        started
    }

    /// Asks for a renegotiation of the live session, which only an experiment wants.
    ///
    /// # Errors
    /// Says that there is no live session, or why OpenSSL refuses to ask.
    pub fn renegotiate(&mut self, now: Instant) -> Result<(), String> {
        let Slot::Live(live) = &mut self.slot else {
            return Err("there is no live session".to_owned());
        };
        let asked = live.session.renegotiate(now);
        self.settle(now);
        asked
    }

    /// Makes sessions with another context from here on, and judges the live one by it: one with a peer that
    /// is refused ends. An opening in progress is judged when it is established.
    pub fn replace_context(&mut self, context: &Context, now: Instant) {
        self.config.context = context.clone();
        if let Slot::Live(live) = &mut self.slot {
            live.session.judge_again(context);
        }
        self.settle(now);
    }

    /// Says close_notify and ends everything; the farewell waits in [`Self::poll_transmit`].
    pub fn close(&mut self, now: Instant) {
        match &mut self.slot {
            Slot::Opening(_) => self.end(DownReason::Closed(CloseReason::Local)),
            Slot::Live(live) => {
                if let Some(candidate) = live.candidate.take() {
                    candidate.add_discards_to(&mut self.retired);
                }
                live.session.close();
                self.settle(now);
            }
            Slot::Over => {}
        }
    }

    /// Lends the next datagram to send, until there is none.
    pub fn poll_transmit(&mut self) -> Option<&[u8]> {
        if let Some(datagram) = self.outbox.pop_front() {
            self.sending = datagram;
            return Some(&self.sending);
        }
        match &mut self.slot {
            Slot::Opening(opening) => opening.session_mut()?.poll_transmit(),
            Slot::Live(live) => live.poll_transmit(),
            Slot::Over => None,
        }
    }

    /// Returns the next event, until there is none.
    pub fn poll_event(&mut self) -> Option<AssociationEvent> {
        self.events.pop_front()
    }

    /// Returns when [`Self::handle_timeout`] wants to be called next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match &self.slot {
            Slot::Opening(opening) => Some(opening.poll_timeout()),
            Slot::Live(live) => live.poll_timeout(&self.config),
            Slot::Over => None,
        }
    }

    /// Returns the live session.
    #[must_use]
    pub fn session(&self) -> Option<&Session> {
        match &self.slot {
            Slot::Live(live) => Some(&live.session),
            Slot::Opening(_) | Slot::Over => None,
        }
    }

    /// Returns since when there is the live session.
    #[must_use]
    pub fn live_since(&self) -> Option<Instant> {
        match &self.slot {
            Slot::Live(live) => Some(live.since),
            Slot::Opening(_) | Slot::Over => None,
        }
    }

    /// Says what has gone wrong so far with an opening that is still being tried.
    #[must_use]
    pub fn trouble(&self) -> Option<DownReason> {
        match &self.slot {
            Slot::Opening(opening) => opening.trouble(),
            Slot::Live(_) | Slot::Over => None,
        }
    }

    /// Returns whether a session is on its way to replace the live one.
    #[must_use]
    pub fn is_being_replaced(&self) -> bool {
        matches!(&self.slot, Slot::Live(live) if live.candidate.is_some())
    }

    /// Returns whether anything has come from the address of an opening; a live session has been heard.
    #[must_use]
    pub fn has_heard(&self) -> bool {
        match &self.slot {
            Slot::Opening(opening) => opening.has_heard(),
            Slot::Live(_) => true,
            Slot::Over => false,
        }
    }

    /// Returns whether data can be sent.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.session().is_some()
    }

    /// Returns whether the association is of no further use.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.slot, Slot::Over)
    }

    /// Returns whether a handshake from a stranger is in progress, which holds memory for him.
    #[must_use]
    pub fn is_half_open(&self) -> bool {
        self.half_open_since().is_some()
    }

    /// Returns when the handshake of a stranger began, while it is in progress.
    #[must_use]
    pub fn half_open_since(&self) -> Option<Instant> {
        match &self.slot {
            Slot::Opening(opening) if opening.role() == Role::Server => Some(opening.attempt_started()),
            Slot::Opening(_) | Slot::Live(_) | Slot::Over => None,
        }
    }

    /// Sums up what all sessions of this association discarded.
    #[must_use]
    pub fn discards(&self) -> DiscardCounts {
        let mut counts = self.retired.clone();
        match &self.slot {
            Slot::Live(live) => live.add_discards_to(&mut counts),
            Slot::Opening(opening) => opening.add_discards_to(&mut counts),
            Slot::Over => {}
        }
        counts
    }

    /// Draws the conclusions after any input: who is established, who is gone.
    fn settle(&mut self, now: Instant) {
        match &mut self.slot {
            Slot::Opening(opening) => {
                let outbox = &mut self.outbox;
                let progress =
                    opening.progress(now, &mut |datagram| keep(outbox, datagram), &mut self.retired);
                match progress {
                    Progress::Waiting => {}
                    Progress::Established(session) => self.go_live(*session, now),
                    Progress::Failed => {
                        let reason = opening.down_reason();
                        self.end(reason);
                    }
                }
            }
            Slot::Live(_) => self.settle_live(now),
            Slot::Over => {}
        }
    }

    fn go_live(&mut self, mut session: Session, now: Instant) {
        if let Some(refusal) = session.judge_late(&self.config.context) {
            while let Some(datagram) = session.poll_transmit() {
                keep(&mut self.outbox, datagram);
            }
            self.retired.add(session.discards());
            self.end(DownReason::Closed(CloseReason::Refused(refusal)));
            return;
        }
        if let Some(mtu) = self.mtu {
            session.set_mtu(mtu);
        }
        if let Some(peer) = session.peer() {
            self.events.push_back(AssociationEvent::Up(peer.clone()));
        }
        self.slot = Slot::Live(Box::new(Live::new(session, now)));
    }

    fn settle_live(&mut self, now: Instant) {
        let Slot::Live(live) = &mut self.slot else {
            return;
        };
        let outbox = &mut self.outbox;
        let mut keep = |datagram: &[u8]| keep(outbox, datagram);
        if let Some(event) = live.settle_candidate(&self.config, now, &mut keep, &mut self.retired) {
            self.events.push_back(event);
            if let Some(mtu) = self.mtu {
                live.session.set_mtu(mtu);
            }
        }
        let mut closed = None;
        while let Some(event) = live.session.poll_event() {
            match event {
                SessionEvent::Established(_) => {}
                SessionEvent::Closed(reason) => closed = Some(reason),
            }
        }
        if live.is_worn_out(&self.config, now) && closed.is_none() {
            live.session.close();
            self.end(DownReason::WornOut);
            return;
        }
        let Some(reason) = closed else {
            return;
        };
        // One who is refused is not waited for in another session.
        let is_refused = matches!(reason, CloseReason::Refused(_));
        let candidate = live.candidate.take().filter(|_| !is_refused);
        self.end(DownReason::Closed(reason));
        if let Some(candidate) = candidate {
            self.slot = Slot::Opening(Box::new(candidate));
        }
    }

    fn end(&mut self, reason: DownReason) {
        if let Slot::Live(live) = &mut self.slot {
            while let Some(datagram) = live.session.poll_transmit() {
                keep(&mut self.outbox, datagram);
            }
        }
        self.retired = self.discards();
        self.slot = Slot::Over;
        self.events.push_back(AssociationEvent::Down(reason));
    }
}

fn keep(outbox: &mut VecDeque<Vec<u8>>, datagram: &[u8]) {
    if outbox.len() < OUTBOX_DATAGRAMS_MAX {
        outbox.push_back(datagram.to_vec());
    }
}
