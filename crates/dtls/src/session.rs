//! One DTLS session without I/O: datagrams and time go in, datagrams, plaintexts and events come out.
//!
//! After any input: take [`Session::poll_transmit`] until it is `None`, then
//! [`Session::poll_event`] until it is `None`, then read [`Session::poll_timeout`].

use std::collections::VecDeque;
use std::fmt;
use std::sync::Mutex;
use std::time::Instant;

use openssl::error::ErrorStack;

use crate::admission::Refusal;
use crate::context::{Context, PerSession, per_session};
use crate::direct::{self, DirectRecords, RecordLayer};
use crate::discard::{Discard, DiscardCounts, Malformation};
use crate::doorman::VerifiedHello;
use crate::elsewhere::{Opened, Opener, Unsealed};
use crate::ffi::{Engine, PLAINTEXT_BYTES_MAX, Step};
use crate::gate::{Gate, GateMode, HANDSHAKE_MESSAGE_BYTES_MAX};
use crate::keys::SessionSecrets;
use crate::options::{ResumableSession, Role, SessionOptions};
use crate::outcome::{CloseReason, Outcome, SendError, SessionEvent};
use crate::plaintexts::Plaintexts;
use crate::record::{ContentType, Record, Records};
use crate::terms::{self, Established, Peer, Strictness};
use crate::transport::Shape;

/// Early records of the peer's Finished that are remembered until their keys are known.
/// As many as the gate lets through; each is at most 117 bytes.
const EARLY_RECORDS_MAX: usize = 16;

/// One DTLS session. See the module's words for the order of calls.
pub struct Session {
    engine: Engine,
    role: Role,
    gate: Gate,
    mtu: u16,
    strictness: Strictness,
    hello_random: Option<[u8; 32]>,
    /// The number of the last record in the clear that OpenSSL was given.
    clear_records: u64,
    state: State,
    events: VecDeque<SessionEvent>,
    deadline: Option<Instant>,
    /// Whether OpenSSL was given something since its timer was last asked.
    deadline_is_stale: bool,
    /// Whether the records are to be taken over once the session is established.
    wants_records: bool,
    /// Seals and opens the records, where OpenSSL does not. It outlives `state`: there may be last words.
    direct: Option<Box<DirectRecords>>,
    discards: DiscardCounts,
    alert_heard: Option<u8>,
}

enum State {
    Handshaking { early: Vec<Vec<u8>> },
    Established(Box<Established>),
    Closed,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Handshaking { .. } => "handshaking",
            State::Established(_) => "established",
            State::Closed => "closed",
        };
        f.debug_struct("Session").field("role", &self.role).field("state", &state).finish_non_exhaustive()
    }
}

impl Session {
    /// Starts a handshake as the client; its first flight waits in [`Self::poll_transmit`].
    ///
    /// # Errors
    /// When OpenSSL cannot make a session.
    pub fn connect(context: &Context, options: &SessionOptions, now: Instant) -> Result<Self, ErrorStack> {
        Self::start_client(context, options, None, now)
    }

    /// Starts as [`Self::connect`], and offers the server to resume an earlier session.
    ///
    /// # Errors
    /// When OpenSSL cannot make a session.
    pub fn resume(
        context: &Context,
        options: &SessionOptions,
        earlier: &ResumableSession,
        now: Instant,
    ) -> Result<Self, ErrorStack> {
        Self::start_client(context, options, Some(earlier), now)
    }

    /// Answers a ClientHello that the doorman verified.
    ///
    /// # Errors
    /// When OpenSSL cannot make a session.
    pub fn accept(
        context: &Context,
        options: &SessionOptions,
        hello: &VerifiedHello,
        now: Instant,
    ) -> Result<Self, ErrorStack> {
        let mut session = Self::make(context, options, Role::Server, hello.cookie.clone())?;
        session.engine.ssl_mut().set_accept_state();
        session.hello_random = Some(hello.random);
        session.clear_records = hello.record_number();
        session.engine.transport().feed(&hello.record);
        let step = session.engine.listen();
        session.engine.transport().forget_inbound();
        match step {
            Step::Done => session.advance_handshake(now),
            Step::Pending | Step::Closed => {
                session.close_with(CloseReason::Failed("the hello was not taken".into()));
            }
            Step::Failed(reason) => session.close_with(CloseReason::Failed(reason)),
        }
        Ok(session)
    }

    fn start_client(
        context: &Context,
        options: &SessionOptions,
        earlier: Option<&ResumableSession>,
        now: Instant,
    ) -> Result<Self, ErrorStack> {
        let mut session = Self::make(context, options, Role::Client, Vec::new())?;
        session.engine.ssl_mut().set_connect_state();
        if let Some(earlier) = earlier {
            session.engine.offer(&earlier.0)?;
        }
        session.advance_handshake(now);
        Ok(session)
    }

    fn make(
        context: &Context,
        options: &SessionOptions,
        role: Role,
        cookie: Vec<u8>,
    ) -> Result<Self, ErrorStack> {
        let handshake_mtu = options.handshake_mtu.map_or(options.mtu, |mtu| mtu.min(options.mtu));
        let timing = (options.first_timeout, options.repeats);
        let mut engine = Engine::new(context.ssl(), handshake_mtu, timing)?;
        engine.set_certificate_bytes_max(HANDSHAKE_MESSAGE_BYTES_MAX);
        let per_session_data =
            PerSession { admission: options.admission.clone(), cookie, refusal: Mutex::new(None) };
        engine.ssl_mut().set_ex_data(per_session()?, per_session_data);
        Ok(Self {
            engine,
            role,
            gate: Gate::new(options, context.strictness()),
            mtu: options.mtu,
            strictness: context.strictness(),
            hello_random: None,
            clear_records: 0,
            state: State::Handshaking { early: Vec::new() },
            events: VecDeque::new(),
            deadline: None,
            deadline_is_stale: false,
            wants_records: direct::is_wanted(options, context.strictness()),
            direct: None,
            discards: DiscardCounts::default(),
            alert_heard: None,
        })
    }

    /// Takes in one datagram; its application data is appended to `plaintexts`.
    pub fn handle_datagram(&mut self, datagram: &[u8], plaintexts: &mut Plaintexts, now: Instant) -> Outcome {
        if matches!(self.state, State::Closed) {
            return Outcome::NoSession;
        }
        if datagram.is_empty() {
            return self.discard(Malformation::Empty.into());
        }
        let mut outcome = None;
        for record in Records::of(datagram) {
            let verdict = match record {
                Ok(record) => self.on_record(&record, plaintexts, now),
                Err(malformation) => self.discard(malformation.into()),
            };
            match (verdict, outcome) {
                (Outcome::Killed | Outcome::Refused, _) => {
                    outcome = Some(verdict);
                    break;
                }
                (Outcome::NoSession, _) => break, // an earlier record of this datagram closed it
                (Outcome::Accepted, _) | (_, None) => outcome = Some(verdict),
                (Outcome::Discarded(_), Some(_)) => {}
            }
        }
        if std::mem::take(&mut self.deadline_is_stale) {
            self.read_deadline(now);
        }
        outcome.unwrap_or(Outcome::NoSession)
    }

    /// Lets the retransmission timer run; call it when [`Self::poll_timeout`] has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        if matches!(self.state, State::Closed) {
            return;
        }
        if let Step::Failed(reason) = self.engine.handle_timeout() {
            self.close_with(CloseReason::Failed(reason));
        }
        self.read_deadline(now);
    }

    /// Seals `payload` into one datagram, which waits in [`Self::poll_transmit`].
    ///
    /// # Errors
    /// [`SendError::TooLarge`] names the limit; the session lives on. An empty payload is sent as
    /// an empty record would be: not at all.
    pub fn send(&mut self, payload: &[u8]) -> Result<(), SendError> {
        let max = self.established().ok_or(SendError::NotEstablished)?.payload_bytes_max;
        self.send_up_to(payload, max)
    }

    /// Seals `payload` as [`Self::send`] does, whatever the ceiling is: to find out whether a datagram
    /// of that size arrives.
    ///
    /// # Errors
    /// [`SendError::TooLarge`] where it is longer than a record may be.
    pub fn send_probe(&mut self, payload: &[u8]) -> Result<(), SendError> {
        self.send_up_to(payload, PLAINTEXT_BYTES_MAX)
    }

    /// Seals `front` and `payload`, one behind the other, as one record at the end of `datagram`, past the queue
    /// of [`Self::poll_transmit`].
    ///
    /// # Errors
    /// The same as [`Self::send`]; `datagram` is then as it was, and so it is without any payload.
    pub fn seal_into(
        &mut self,
        front: &[u8],
        payload: &[u8],
        datagram: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        let max = self.established().ok_or(SendError::NotEstablished)?.payload_bytes_max;
        let len = front.len() + payload.len();
        if len > max {
            return Err(SendError::TooLarge { len, max });
        }
        if len == 0 {
            return Ok(());
        }
        if let (Some(direct), State::Established(established)) = (&mut self.direct, &mut self.state) {
            established.records_sent += 1;
            let sealed = direct.seal(ContentType::ApplicationData, [front, payload], datagram);
            return sealed.map_err(|_| SendError::Failed);
        }
        if front.is_empty() {
            self.send_up_to(payload, max)?;
        } else {
            self.send_up_to(&[front, payload].concat(), max)?;
        }
        self.engine.transport().move_newest(datagram);
        Ok(())
    }

    /// Adds a record to `datagram` as [`Self::seal_into`] does, but for the sealing, which is left to whoever gets
    /// `unsealed`. Where OpenSSL protects the records, or what is unsealed there is of another session, it is sealed at
    /// once.
    ///
    /// # Errors
    /// The same as [`Self::seal_into`].
    pub fn lay_into(
        &mut self,
        front: &[u8],
        payload: &[u8],
        datagram: &mut Vec<u8>,
        unsealed: &mut Unsealed,
    ) -> Result<(), SendError> {
        let (Some(direct), State::Established(established)) = (&mut self.direct, &mut self.state) else {
            return self.seal_into(front, payload, datagram);
        };
        let (len, max) = (front.len() + payload.len(), established.payload_bytes_max);
        if len == 0 || len > max || !unsealed.takes(direct.write_key()) {
            return self.seal_into(front, payload, datagram);
        }
        established.records_sent += 1;
        let at = direct.lay_out(ContentType::ApplicationData, [front, payload], datagram);
        unsealed.add(direct.write_key(), at.map_err(|_| SendError::Failed)?, datagram.len());
        Ok(())
    }

    /// Returns what opens the records of this session elsewhere, where OpenSSL does not protect them.
    #[must_use]
    pub fn opener(&self) -> Option<Opener> {
        self.established()?;
        self.direct.as_ref().map(|direct| Opener::of(direct.read_key()))
    }

    /// Takes in a record that was opened elsewhere; `None` when it is of another session. Its number is judged here, and
    /// only here.
    pub fn handle_opened(&mut self, opened: &Opened) -> Option<Outcome> {
        if self.direct.as_ref()?.read_key().id() != opened.key {
            return None;
        }
        let State::Established(established) = &mut self.state else {
            return Some(Outcome::NoSession);
        };
        if let Err(discard) = self.gate.check_opened(&opened.header) {
            return Some(self.discard(discard));
        }
        established.records_received += u64::from(opened.plaintext_bytes > 0);
        self.gate.mark(opened.header.sequence);
        Some(Outcome::Accepted)
    }

    fn send_up_to(&mut self, payload: &[u8], max: usize) -> Result<(), SendError> {
        let State::Established(established) = &mut self.state else {
            return Err(SendError::NotEstablished);
        };
        if payload.len() > max {
            return Err(SendError::TooLarge { len: payload.len(), max });
        }
        if payload.is_empty() {
            return Ok(());
        }
        if let Some(direct) = &mut self.direct {
            let mut sealed = Ok(());
            self.engine.transport().push_ready(|datagram| {
                sealed = direct.seal(ContentType::ApplicationData, [payload, &[]], datagram);
            });
            established.records_sent += 1;
            return sealed.map_err(|_| SendError::Failed);
        }
        match self.engine.write(payload) {
            Step::Done => {
                established.records_sent += 1;
                Ok(())
            }
            // Without renegotiation a write never waits for the peer.
            Step::Pending | Step::Closed => Err(SendError::Failed),
            Step::Failed(reason) => {
                self.close_with(CloseReason::Failed(reason));
                Err(SendError::Failed)
            }
        }
    }

    /// Says close_notify and ends the session.
    pub fn close(&mut self) {
        if matches!(self.state, State::Established(_)) {
            self.engine.shutdown();
        }
        if !matches!(self.state, State::Closed) {
            self.close_with(CloseReason::Local);
        }
    }

    /// Judges the peer by the rules of another context, as when something was revoked since; a session with
    /// one who is refused says close_notify and ends.
    pub fn judge_again(&mut self, context: &Context) {
        if !self.is_established() {
            return;
        }
        let admission = || {
            let peer = self.peer()?;
            let index = per_session().ok()?;
            let admits = self.engine.ssl().ex_data(index)?.admission.admits(&peer.key);
            (!admits).then(|| Refusal::NotAdmitted { name: peer.name.clone(), key: peer.key })
        };
        let judged = context.judge_peer(self.engine.ssl());
        if let Some(refusal) = judged.err().or_else(admission) {
            self.engine.shutdown();
            self.close_with(CloseReason::Refused(refusal));
        }
    }

    /// Judges the peer by a context that took the place of the one this session was made with, if one did;
    /// returns why the session ended.
    pub(crate) fn judge_late(&mut self, context: &Context) -> Option<Refusal> {
        if std::ptr::eq(self.engine.ssl().ssl_context(), &**context.ssl()) {
            return None;
        }
        self.judge_again(context);
        match self.events.pop_back()? {
            SessionEvent::Closed(CloseReason::Refused(refusal)) => Some(refusal),
            other => {
                self.events.push_back(other);
                None
            }
        }
    }

    /// Lends the next datagram to send, until there is none.
    pub fn poll_transmit(&mut self) -> Option<&[u8]> {
        match (self.engine.transport().poll_outbound()?, &mut self.direct) {
            ((datagram, Shape::Unnumbered), Some(direct)) => direct.renumber(datagram),
            ((datagram, Shape::Ready | Shape::Unnumbered), _) => Some(datagram),
        }
    }

    /// Returns whether [`Self::poll_transmit`] has something.
    pub fn has_transmit(&mut self) -> bool {
        self.engine.transport().has_outbound()
    }

    /// Returns the next event, until there is none.
    pub fn poll_event(&mut self) -> Option<SessionEvent> {
        self.events.pop_front()
    }

    /// Returns when [`Self::handle_timeout`] wants to be called next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadline
    }

    /// Returns which side of the handshake we are.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// Returns who is at the other end, once that is proved.
    #[must_use]
    pub fn peer(&self) -> Option<&Peer> {
        self.established().map(|established| &established.peer)
    }

    /// Returns whether data can be sent.
    #[must_use]
    pub fn is_established(&self) -> bool {
        self.established().is_some()
    }

    /// Returns whether the session is over.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    /// Returns who protects the records, once the session is established.
    #[must_use]
    pub fn record_layer(&self) -> Option<RecordLayer> {
        self.established()?;
        Some(if self.direct.is_some() { RecordLayer::Direct } else { RecordLayer::Openssl })
    }

    /// Returns the largest payload that fits one datagram, in bytes, once the suite is known.
    #[must_use]
    pub fn payload_bytes_max(&self) -> Option<usize> {
        self.established().map(|established| established.payload_bytes_max)
    }

    /// Returns how long the datagram around a payload of so many bytes is; `None` before the suite is known, and for
    /// suites that pad.
    #[must_use]
    pub fn datagram_bytes(&self, payload_bytes: usize) -> Option<usize> {
        let suite = self.established().map(|established| established.peer.suite)?;
        suite.is_aead().then(|| payload_bytes + suite.overhead_bytes_max())
    }

    /// Changes the largest datagram for what is sent from here on; the handshake keeps to what the session
    /// was started with.
    pub fn set_mtu(&mut self, mtu: u16) {
        self.mtu = mtu;
        if let State::Established(established) = &mut self.state {
            established.payload_bytes_max = terms::payload_bytes_max(mtu, established.peer.suite);
        }
    }

    /// Returns the largest payload that would fit a datagram of `mtu` bytes, once the suite is known.
    #[must_use]
    pub fn payload_bytes_in(&self, mtu: u16) -> Option<usize> {
        self.established().map(|established| terms::payload_bytes_max(mtu, established.peer.suite))
    }

    /// Returns how many records of application data were sealed and opened.
    #[must_use]
    pub fn records(&self) -> (u64, u64) {
        self.established()
            .map_or((0, 0), |established| (established.records_sent, established.records_received))
    }

    /// Returns what was discarded, by reason.
    #[must_use]
    pub fn discards(&self) -> &DiscardCounts {
        &self.discards
    }

    /// Returns the secrets of the session, with which anyone can read it and forge it.
    #[must_use]
    pub fn secrets(&self) -> Option<&SessionSecrets> {
        self.established().map(|established| &established.secrets)
    }

    /// Returns the last alert that came in the clear, by its number (RFC 5246, 7.2). Anyone could
    /// have sent it: it explains, and decides nothing.
    #[must_use]
    pub fn alert_heard(&self) -> Option<u8> {
        self.alert_heard
    }

    /// Fills `out` with keying material bound to this session (RFC 5705).
    ///
    /// # Errors
    /// [`SendError::NotEstablished`] before the handshake is done.
    pub fn export_keying_material(
        &self,
        label: &str,
        context: &[u8],
        out: &mut [u8],
    ) -> Result<(), SendError> {
        if !self.is_established() {
            return Err(SendError::NotEstablished);
        }
        self.engine.ssl().export_keying_material(out, label, Some(context)).map_err(|_| SendError::Failed)
    }

    /// Returns what a later client session needs to resume this one.
    #[must_use]
    pub fn resumable(&self) -> Option<ResumableSession> {
        self.established()?;
        self.engine.ssl().session().map(|session| ResumableSession(session.to_owned()))
    }

    /// Asks for a renegotiation, to show that it does not happen.
    ///
    /// # Errors
    /// The reason for which OpenSSL refuses to ask.
    pub fn renegotiate(&mut self, now: Instant) -> Result<(), String> {
        match self.engine.renegotiate() {
            Step::Done | Step::Pending | Step::Closed => {
                // The hello leaves with the next call that may write.
                let step = self.engine.handshake();
                self.read_deadline(now);
                match step {
                    Step::Failed(reason) => Err(reason),
                    Step::Done | Step::Pending | Step::Closed => Ok(()),
                }
            }
            Step::Failed(reason) => Err(reason),
        }
    }

    /// Returns whether this session answers the hello with this random.
    pub(crate) fn answers(&self, hello: &VerifiedHello) -> bool {
        self.hello_random == Some(hello.random)
    }

    /// Returns whether the peer sealed the first record of a datagram under the keys of this session.
    pub(crate) fn recognises(&self, datagram: &[u8]) -> bool {
        let (Some(established), Ok((record, _))) = (self.established(), Record::split(datagram)) else {
            return false;
        };
        record.header.epoch == 1
            && match &self.direct {
                Some(direct) => direct.recognises(&record),
                None => established.read_keys(self.role).open(&record).is_some(),
            }
    }

    fn established(&self) -> Option<&Established> {
        match &self.state {
            State::Established(established) => Some(established),
            State::Handshaking { .. } | State::Closed => None,
        }
    }

    fn discard(&mut self, discard: Discard) -> Outcome {
        self.discards.count(discard);
        tracing::trace!(%discard, "Record discarded");
        Outcome::Discarded(discard)
    }

    fn on_record(&mut self, record: &Record<'_>, plaintexts: &mut Plaintexts, now: Instant) -> Outcome {
        if let Err(discard) = self.gate.check(record) {
            if discard == Discard::Malformed(Malformation::UnprotectedAlert) {
                self.alert_heard = record.body().get(1).copied();
            }
            let late = Some(record).filter(|_| discard == Discard::TooOld);
            let opened = late.and_then(|record| self.open_late(record, plaintexts));
            return opened.unwrap_or_else(|| self.discard(discard));
        }
        if record.header.content_type == ContentType::ApplicationData && self.direct.is_some() {
            return self.open_directly(record, plaintexts);
        }
        self.feed(record);
        let outcome = match &mut self.state {
            State::Handshaking { early } => {
                if record.header.epoch == 1 && early.len() < EARLY_RECORDS_MAX {
                    early.push(record.bytes.to_vec());
                }
                self.advance_handshake(now);
                match self.state {
                    State::Closed if self.has_refused() => Outcome::Refused,
                    State::Closed => Outcome::Killed,
                    State::Handshaking { .. } | State::Established(_) => Outcome::Accepted,
                }
            }
            State::Established(_) => self.open(record, plaintexts),
            State::Closed => Outcome::NoSession,
        };
        self.engine.transport().forget_inbound();
        outcome
    }

    /// Lays a record ready for OpenSSL. In the clear nothing vouches for a record's number, and one
    /// forged number would move OpenSSL's replay window past every genuine record of the attempt.
    /// So records of epoch 0 are numbered as they come; which messages are copies, the handshake
    /// knows by their own numbers (RFC 6347, 4.2.2).
    fn feed(&mut self, record: &Record<'_>) {
        self.deadline_is_stale = true;
        if record.header.epoch != 0 || self.gate.mode() == GateMode::Off {
            self.engine.transport().feed(record.bytes);
            return;
        }
        self.clear_records += 1;
        self.engine.transport().feed_renumbered(record.bytes, self.clear_records);
    }

    /// Reads what OpenSSL made of a record, and attributes the record by what came out of it.
    fn open(&mut self, record: &Record<'_>, plaintexts: &mut Plaintexts) -> Outcome {
        let mut opened = 0;
        let end = loop {
            match self.engine.read(plaintexts.room()) {
                Ok(count) => {
                    plaintexts.commit(count);
                    opened += 1;
                    // One record was fed, and its plaintext is out. Asking OpenSSL for more, only to
                    // hear that it wants another datagram, costs as much as opening a short record.
                    if !self.engine.has_pending() {
                        break Step::Pending;
                    }
                }
                Err(step) => break step,
            }
        };
        let State::Established(established) = &mut self.state else {
            return Outcome::NoSession;
        };
        established.records_received += opened;
        match end {
            Step::Failed(reason) => {
                self.close_with(CloseReason::Failed(reason));
                return Outcome::Killed;
            }
            Step::Closed => {
                // RFC 5246, 7.2.1: answer with a close_notify of our own.
                self.engine.shutdown();
                self.close_with(CloseReason::Peer);
                return Outcome::Accepted;
            }
            Step::Done | Step::Pending => {}
        }
        if opened > 0 || established.verifies(record, self.role) {
            self.gate.mark(record.header.sequence);
            return Outcome::Accepted;
        }
        self.discard(Discard::BadMac)
    }

    /// Opens a record that OpenSSL need not see: the gate knows its form and its number.
    fn open_directly(&mut self, record: &Record<'_>, plaintexts: &mut Plaintexts) -> Outcome {
        let (State::Established(established), Some(direct)) = (&mut self.state, &self.direct) else {
            return Outcome::NoSession;
        };
        let Some(len) = direct.open(record, plaintexts.room()) else {
            return self.discard(Discard::BadMac);
        };
        if len > 0 {
            established.records_received += 1;
            plaintexts.commit(len);
        }
        self.gate.mark(record.header.sequence);
        Outcome::Accepted
    }

    /// Opens a record that OpenSSL's window is too narrow for, with the keys of the session: reading asks for
    /// no nonce of ours, and the wider window sees to it that nothing is read twice. `None` where there is no
    /// wider window.
    fn open_late(&mut self, record: &Record<'_>, plaintexts: &mut Plaintexts) -> Option<Outcome> {
        if let Err(discard) = self.gate.check_late(&record.header)? {
            return Some(self.discard(discard));
        }
        if self.direct.is_some() {
            return Some(self.open_directly(record, plaintexts));
        }
        let State::Established(established) = &mut self.state else {
            return None;
        };
        let Some(plaintext) = established.read_keys(self.role).open(record) else {
            return Some(self.discard(Discard::BadMac));
        };
        if !plaintext.is_empty() {
            established.records_received += 1;
            plaintexts.append(&plaintext);
        }
        self.gate.mark(record.header.sequence);
        Some(Outcome::Accepted)
    }

    /// Returns whether it was the peer's certificate, or its terms, that closed the session just now.
    fn has_refused(&self) -> bool {
        matches!(self.events.back(), Some(SessionEvent::Closed(CloseReason::Refused(_))))
    }

    fn advance_handshake(&mut self, now: Instant) {
        match self.engine.handshake() {
            Step::Done => self.on_established(),
            Step::Pending => {}
            Step::Closed => self.close_with(CloseReason::Peer),
            Step::Failed(reason) => {
                let refusal = self.refusal();
                self.close_with(refusal.map_or(CloseReason::Failed(reason), CloseReason::Refused));
            }
        }
        self.read_deadline(now);
    }

    fn refusal(&self) -> Option<Refusal> {
        let index = per_session().ok()?;
        self.engine.ssl().ex_data(index)?.refusal.lock().ok()?.clone()
    }

    fn on_established(&mut self) {
        let State::Handshaking { early } = &mut self.state else {
            return;
        };
        let early = std::mem::take(early);
        match terms::agreed(&self.engine, self.mtu, self.strictness) {
            Ok(established) => {
                self.gate.establish(established.secrets.version, established.peer.suite);
                // The peer's Finished has taken a number of epoch 1, and OpenSSL's window knows it.
                let keys = established.read_keys(self.role);
                for record in
                    early.iter().filter_map(|bytes| Record::split(bytes).ok()).map(|(record, _)| record)
                {
                    if keys.open(&record).is_some() {
                        self.gate.mark(record.header.sequence);
                    }
                }
                let transport = self.engine.transport();
                if self.wants_records {
                    let keys = (established.read_keys(self.role), established.write_keys(self.role));
                    self.direct = DirectRecords::take_over(keys, transport.written()).map(Box::new);
                }
                transport.end_handshake(self.direct.is_some());
                self.events.push_back(SessionEvent::Established(established.peer.clone()));
                self.state = State::Established(Box::new(established));
            }
            Err(reason) => {
                self.engine.shutdown();
                self.close_with(reason);
            }
        }
    }

    fn close_with(&mut self, reason: CloseReason) {
        let established = matches!(self.state, State::Established(_));
        if established && !matches!(reason, CloseReason::Failed(_)) {
            self.engine.keep_resumable();
        }
        tracing::debug!(%reason, role = ?self.role, "Session closed");
        self.state = State::Closed;
        self.deadline = None;
        self.events.push_back(SessionEvent::Closed(reason));
    }

    fn read_deadline(&mut self, now: Instant) {
        self.deadline = match self.state {
            State::Handshaking { .. } | State::Established(_) => self.engine.timeout().map(|left| now + left),
            State::Closed => None,
        };
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.is_established() {
            // OpenSSL strikes a session from its cache when it is freed without a shutdown.
            self.engine.keep_resumable();
        }
    }
}
