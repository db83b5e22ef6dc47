//! The life of an inner session between its opening and its end.

use std::time::Instant;

use peerbound_dtls::{AssociationEvent, Context, DownReason, Peer, Role};
use peerbound_wire::NodeId;

use crate::counters::FrameDrop;
use crate::event::{Event, InnerEvent};
use crate::inner::{INNER_SESSIONS_MAX, Waiter};
use crate::node::Node;

impl Node {
    /// Lets timers of inner sessions run: theirs, those of what waits, and of what was not used for long.
    pub(in crate::node) fn run_inner_timers(&mut self, now: Instant) {
        for peer in self.inner.sessions.due(now) {
            while let Some(waiter) =
                self.inner.sessions.get_mut(&peer).and_then(|session| session.waiting.pop_expired(now))
            {
                self.drop_own(&waiter.header, waiter.payload.len(), FrameDrop::InnerExpired);
            }
            if let Some(session) = self.inner.sessions.get_mut(&peer) {
                if session.idle_at().is_some_and(|at| at <= now) {
                    session.closing = Some("no payload passed for a while");
                    session.association.close(now);
                } else {
                    session.association.handle_timeout(now);
                }
            }
            self.settle_inner(peer, now);
        }
    }

    /// Lets every inner session be judged by another context: those with nodes that it refuses end.
    pub(in crate::node) fn judge_inner_again(&mut self, context: &Context, now: Instant) {
        for peer in self.inner.sessions.keys().copied().collect::<Vec<_>>() {
            if let Some(session) = self.inner.sessions.get_mut(&peer) {
                session.association.replace_context(context, now);
            }
            self.settle_inner(peer, now);
        }
    }

    /// Says close_notify in every inner session.
    pub(in crate::node) fn close_inner(&mut self, now: Instant) {
        for peer in self.inner.sessions.keys().copied().collect::<Vec<_>>() {
            self.end_inner(peer, "this node stops", now);
        }
    }

    pub(in crate::node) fn end_inner(&mut self, peer: NodeId, reason: &'static str, now: Instant) {
        if let Some(session) = self.inner.sessions.get_mut(&peer) {
            session.closing = Some(reason);
            session.association.close(now);
        }
        self.settle_inner(peer, now);
    }

    pub(super) fn take_waiters(&mut self, peer: NodeId) -> Vec<Waiter> {
        let Some(session) = self.inner.sessions.get_mut(&peer) else { return Vec::new() };
        std::iter::from_fn(|| session.waiting.pop()).collect()
    }

    /// Takes a session away without a word. What waits for it must have been taken before.
    pub(super) fn forget_inner(&mut self, peer: NodeId) {
        if let Some(session) = self.inner.sessions.remove(&peer) {
            self.inner.retired.add(&session.association.discards());
        }
    }

    /// Draws the conclusions after any input to an inner session, and sends what it has to say.
    pub(super) fn settle_inner(&mut self, peer: NodeId, now: Instant) {
        loop {
            let Some(session) = self.inner.sessions.get_mut(&peer) else { return };
            let Some(event) = session.association.poll_event() else {
                let is_over = session.association.is_over();
                self.flush_inner(peer, now);
                if is_over {
                    self.forget_inner(peer);
                }
                return;
            };
            match event {
                AssociationEvent::Up(terms) => self.on_inner_up(peer, terms, now),
                AssociationEvent::Replaced(_) => {
                    session.first_packet = self.next_packet;
                    session.last_error = None;
                    tracing::debug!(%peer, "Inner session replaced");
                    self.events.push_back(Event::Inner(InnerEvent::Replaced { id: peer }));
                }
                AssociationEvent::CandidateFailed(reason) => {
                    session.last_error = Some(reason.to_string());
                    self.count_refusal(&reason);
                }
                AssociationEvent::Down(reason) => self.on_inner_down(peer, &reason, now),
            }
        }
    }

    pub(super) fn on_inner_up(&mut self, peer: NodeId, terms: Peer, now: Instant) {
        // What others began counts from here on.
        if self.inner.kept() > self.config.inner.sessions_max.min(INNER_SESSIONS_MAX)
            && let Some(idlest) = self.inner.idlest_but(peer)
        {
            self.end_inner(idlest, "another session needs its place", now);
        }
        let number = self.next_packet;
        let Some(session) = self.inner.sessions.get_mut(&peer) else { return };
        (session.since, session.last_used) = (now, now);
        session.is_open = true;
        session.first_packet = number;
        session.last_error = None;
        let role = session.association.session().map_or(Role::Server, |session| session.role());
        tracing::info!(%peer, suite = terms.suite.name, "Inner session opened");
        self.events.push_back(Event::Inner(InnerEvent::Opened { id: peer, role, peer: terms }));
        // The last flight of the handshake goes first.
        self.flush_inner(peer, now);
        for waiter in self.take_waiters(peer) {
            self.send_waiter(waiter, now);
        }
    }

    pub(super) fn on_inner_down(&mut self, peer: NodeId, reason: &DownReason, now: Instant) {
        self.count_refusal(reason);
        let Some(session) = self.inner.sessions.get_mut(&peer) else { return };
        let text = session.closing.map_or_else(|| reason.to_string(), str::to_owned);
        if !session.association.is_over() {
            // A candidate was on its way when the session ended: it goes on as an opening.
            session.last_error = Some(text.clone());
            (session.since, session.is_open) = (now, false);
            self.events.push_back(Event::Inner(InnerEvent::Closed { id: peer, reason: text }));
            return;
        }
        let was_open = session.is_open;
        let is_ours = session.ingress.is_none();
        let waiters = self.take_waiters(peer);
        let lost = waiters.len();
        for waiter in waiters {
            self.drop_own(&waiter.header, waiter.payload.len(), FrameDrop::InnerFailed);
        }
        // What a stranger began and did not finish is nothing to tell of: he may do so as often as he likes.
        if !was_open && (is_ours || lost > 0) {
            tracing::info!(%peer, reason = text, "Inner session failed");
            self.inner.note_end(peer, text.clone(), now);
            self.events.push_back(Event::Inner(InnerEvent::Failed { id: peer, reason: text, lost }));
        } else if was_open {
            tracing::info!(%peer, reason = text, "Inner session closed");
            self.inner.note_end(peer, text.clone(), now);
            self.events.push_back(Event::Inner(InnerEvent::Closed { id: peer, reason: text }));
        }
    }
}
