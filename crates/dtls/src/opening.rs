//! A session on its way to being established, as often as it takes until a deadline.
//!
//! During a handshake one forged record can end the attempt whatever the gate does: a bogus
//! ServerHello looks like a real one. So an attempt that dies is followed by a fresh one.

use std::time::{Duration, Instant};

use openssl::error::ErrorStack;

use crate::association::AssociationConfig;
use crate::discard::DiscardCounts;
use crate::doorman::VerifiedHello;
use crate::down::DownReason;
use crate::options::{Repeats, Role};
use crate::outcome::{CloseReason, Outcome, SessionEvent};
use crate::plaintexts::Plaintexts;
use crate::session::Session;

/// How long the first attempt may take before a fresh one replaces it: OpenSSL's retransmissions at
/// 0.25, 0.75, 1.75 and 3.75 s fall into it. A server that lost its half of the handshake answers
/// only a fresh hello. The next attempts last twice as long: a handshake takes three round trips, and
/// the path may be a slow one.
const ATTEMPT_LASTS: Duration = Duration::from_millis(4000);

/// How long an attempt lasts whose hello is sent again at a steady pace and that nobody has answered:
/// OpenSSL gives up the thirteenth copy, and a fresh hello does as well.
const UNHEARD_LASTS: Duration = Duration::from_millis(2500);

/// The longest that a later attempt may take: three round trips of 2.6 s.
const ATTEMPT_LASTS_MAX: Duration = Duration::from_millis(8000);

/// The least time between two attempts; doubles with each, so that neither a hopeless certificate
/// nor a flood of forgeries makes us send hellos without end.
const ATTEMPT_SPACING: Duration = Duration::from_millis(100);

/// Where the doubling stops.
const ATTEMPT_SPACING_MAX: Duration = Duration::from_secs(2);

/// Whether a client's attempt that fails or takes long is followed by another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Attempts {
    /// It is, until the deadline of the opening: as on every node.
    #[default]
    Fresh,
    /// One handshake runs to its own end, as OpenSSL has it: 12 retransmissions, or 483 s from a first
    /// timeout of 1 s. For experiments.
    One,
}

/// A handshake in progress, over one or more sessions.
#[derive(Debug)]
pub(crate) struct Opening {
    role: Role,
    attempts: Attempts,
    session: Option<Session>,
    /// When everything is given up.
    until: Instant,
    attempt_started: Instant,
    spacing: Duration,
    /// How long the running attempt may take.
    lasts: Duration,
    repeats: Repeats,
    heard: bool,
    failure: Option<CloseReason>,
    alert_heard: Option<u8>,
}

/// How far an opening has come.
#[derive(Debug)]
pub(crate) enum Progress {
    Waiting,
    Established(Box<Session>),
    Failed,
}

impl Opening {
    pub(crate) fn dial(config: &AssociationConfig, now: Instant) -> Result<Self, ErrorStack> {
        let session = Session::connect(&config.context, &config.options, now)?;
        Ok(Self::new(Role::Client, session, config, now))
    }

    pub(crate) fn accept(
        config: &AssociationConfig,
        hello: &VerifiedHello,
        now: Instant,
    ) -> Result<Self, ErrorStack> {
        let session = Session::accept(&config.context, &config.options, hello, now)?;
        Ok(Self { heard: true, ..Self::new(Role::Server, session, config, now) })
    }

    fn new(role: Role, session: Session, config: &AssociationConfig, now: Instant) -> Self {
        Self {
            role,
            attempts: config.attempts,
            session: Some(session),
            until: now + config.handshake_deadline,
            attempt_started: now,
            spacing: ATTEMPT_SPACING,
            lasts: ATTEMPT_LASTS,
            repeats: config.options.repeats,
            heard: false,
            failure: None,
            alert_heard: None,
        }
    }

    pub(crate) fn role(&self) -> Role {
        self.role
    }

    /// Returns whether anything has come from the address.
    pub(crate) fn has_heard(&self) -> bool {
        self.heard
    }

    pub(crate) fn attempt_started(&self) -> Instant {
        self.attempt_started
    }

    pub(crate) fn session_mut(&mut self) -> Option<&mut Session> {
        self.session.as_mut()
    }

    /// Returns whether this opening already answers the hello.
    pub(crate) fn answers(&self, hello: &VerifiedHello) -> bool {
        self.session.as_ref().is_some_and(|session| session.answers(hello))
    }

    pub(crate) fn handle_datagram(
        &mut self,
        datagram: &[u8],
        plaintexts: &mut Plaintexts,
        now: Instant,
    ) -> Outcome {
        self.heard = true;
        let Some(session) = &mut self.session else {
            return Outcome::NoSession;
        };
        session.handle_datagram(datagram, plaintexts, now)
    }

    /// Lets timers run: the session's, the attempt's, and the deadline of it all.
    pub(crate) fn handle_timeout(
        &mut self,
        config: &AssociationConfig,
        now: Instant,
        retired: &mut DiscardCounts,
    ) {
        let session_due = self.session.as_ref().and_then(Session::poll_timeout).is_some_and(|at| at <= now);
        if let (true, Some(session)) = (session_due, &mut self.session) {
            session.handle_timeout(now);
        }
        if self.next_attempt().is_some_and(|at| at <= now) && now < self.until {
            self.attempt_again(config, now, retired);
        }
    }

    /// Collects what the session has to say and tells how far things have come.
    pub(crate) fn progress(
        &mut self,
        now: Instant,
        outbox: &mut impl FnMut(&[u8]),
        retired: &mut DiscardCounts,
    ) -> Progress {
        let Some(session) = &mut self.session else {
            return self.waiting_or_failed(now);
        };
        self.alert_heard = session.alert_heard().or(self.alert_heard);
        let mut is_established = false;
        while let Some(event) = session.poll_event() {
            match event {
                SessionEvent::Established(_) => is_established = true,
                SessionEvent::Closed(reason) => self.failure = Some(reason),
            }
        }
        if session.is_closed() {
            while let Some(datagram) = session.poll_transmit() {
                outbox(datagram);
            }
            retired.add(session.discards());
            self.session = None;
            return self.waiting_or_failed(now);
        }
        if is_established {
            return self
                .session
                .take()
                .map_or(Progress::Failed, |session| Progress::Established(Box::new(session)));
        }
        self.waiting_or_failed(now)
    }

    /// Returns the next moment at which [`Self::handle_timeout`] has something to do.
    pub(crate) fn poll_timeout(&self) -> Instant {
        let session = self.session.as_ref().and_then(Session::poll_timeout);
        session.into_iter().chain(self.next_attempt()).fold(self.until, Instant::min)
    }

    /// Adds what the attempt in progress discarded; earlier attempts were added when they ended.
    pub(crate) fn add_discards_to(&self, counts: &mut DiscardCounts) {
        if let Some(session) = &self.session {
            counts.add(session.discards());
        }
    }

    /// Says what has gone wrong so far, if an attempt failed or an alert was heard.
    pub(crate) fn trouble(&self) -> Option<DownReason> {
        let heard = self.session.as_ref().and_then(Session::alert_heard).or(self.alert_heard);
        (self.failure.is_some() || heard.is_some()).then(|| self.down_reason())
    }

    /// Says why it failed.
    pub(crate) fn down_reason(&self) -> DownReason {
        match (self.role, &self.failure) {
            (Role::Server, Some(reason)) => DownReason::Closed(reason.clone()),
            (Role::Server | Role::Client, last) => DownReason::HandshakeTimeout {
                heard: self.heard,
                last: last.clone(),
                alert: self.alert_heard,
            },
        }
    }

    fn waiting_or_failed(&self, now: Instant) -> Progress {
        // A server waits for the client to come again, and keeps nothing meanwhile.
        let is_last = self.role == Role::Server || self.attempts == Attempts::One;
        let gone = self.session.is_none() && is_last;
        if gone || now >= self.until { Progress::Failed } else { Progress::Waiting }
    }

    /// Returns whether hellos go out at a steady pace and nothing has come back.
    fn is_calling(&self) -> bool {
        self.role == Role::Client && self.repeats == Repeats::Steady && !self.heard
    }

    /// Returns when a fresh attempt begins, if one ever does: it is the client who begins.
    fn next_attempt(&self) -> Option<Instant> {
        let wait = match (&self.session, self.is_calling()) {
            (Some(_), true) => UNHEARD_LASTS,
            (Some(_), false) => self.lasts,
            (None, _) => self.spacing,
        };
        match (self.role, self.attempts) {
            (Role::Client, Attempts::Fresh) => Some(self.attempt_started + wait),
            (Role::Client, Attempts::One) | (Role::Server, _) => None,
        }
    }

    fn attempt_again(&mut self, config: &AssociationConfig, now: Instant, retired: &mut DiscardCounts) {
        let is_calling = self.is_calling();
        if let Some(stale) = self.session.take() {
            retired.add(stale.discards());
        }
        self.attempt_started = now;
        // What nobody has answered is neither a slow path nor hopeless.
        if !is_calling {
            self.lasts = (self.lasts * 2).min(ATTEMPT_LASTS_MAX);
            self.spacing = (self.spacing * 2).min(ATTEMPT_SPACING_MAX);
        }
        match Session::connect(&config.context, &config.options, now) {
            Ok(session) => self.session = Some(session),
            Err(error) => self.failure = Some(CloseReason::Failed(error.to_string())),
        }
    }
}
