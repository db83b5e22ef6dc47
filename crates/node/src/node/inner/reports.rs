//! What others report of frames of inner sessions. Any of it may be invented by a relay, so none of it ends a
//! session that lives.

use std::time::Instant;

use peerbound_wire::{ErrorCode, ErrorMessage, Flags, Header, Kind, NodeId};

use crate::counters::FrameDrop;
use crate::event::Event;
use crate::node::Node;

impl Node {
    /// Takes in what a node on the way reports of a frame of ours, as far as inner sessions can do something
    /// about it, and tells our owner. Nothing that a relay may have invented ends a session that lives.
    pub(in crate::node) fn on_error_message(
        &mut self,
        reporter: NodeId,
        message: ErrorMessage,
        now: Instant,
    ) {
        let offending = &message.offending;
        let is_inner = offending.kind == Kind::InnerHandshake || offending.flags.contains(Flags::INNER);
        let is_ours = offending.source == self.us
            && offending.boot_epoch == self.boot_epoch
            && offending.packet.0 < self.next_packet;
        if !is_inner || !is_ours {
            self.events.push_back(Event::Error { reporter, message });
            return;
        }
        if offending.kind == Kind::InnerHandshake {
            return self.on_handshake_error(reporter, &message, now);
        }
        if message.code == ErrorCode::NoSession && reporter == offending.destination {
            self.on_hint(offending, now);
        }
        self.events.push_back(Event::Error { reporter, message });
    }

    /// The destination says that it has no session for a frame of ours. We open one beside ours, and ours lives
    /// on until that stands: a relay may have invented it.
    pub(super) fn on_hint(&mut self, offending: &Header, now: Instant) {
        let peer = offending.destination;
        let way = self.way_there(peer, now);
        let Some(session) = self.inner.sessions.get_mut(&peer) else { return };
        if offending.packet.0 < session.first_packet || !session.takes_hint(now) {
            return;
        }
        session.last_error = Some("it had no session with us, as after a restart".to_owned());
        // Without a route, the way by which the peer's last frame came is all there is.
        session.way = way.unwrap_or(session.way);
        session.association.rekey(now);
        self.settle_inner(peer, now);
    }

    /// A frame of a handshake went no further. While there is no session yet, nothing is lost by believing
    /// that: what waits would not get there either.
    pub(super) fn on_handshake_error(&mut self, reporter: NodeId, message: &ErrorMessage, now: Instant) {
        let peer = message.offending.destination;
        let Some(session) = self.inner.sessions.get_mut(&peer) else { return };
        if message.offending.packet.0 < session.first_packet || session.association.is_live() {
            return;
        }
        let is_ours = session.ingress.is_none();
        match message.code {
            ErrorCode::TooBig => self.open_smaller(peer, is_ours, now),
            ErrorCode::NoRoute | ErrorCode::HopLimit | ErrorCode::InnerRefused if is_ours => {
                let reason = format!("{} reports: {}", reporter.short(), words(message.code));
                self.give_opening_up(peer, reason, now);
                let waiters = self.take_waiters(peer);
                self.forget_inner(peer);
                for waiter in waiters {
                    self.drop_own(&waiter.header, waiter.payload.len(), FrameDrop::InnerFailed);
                    let message = ErrorMessage { offending: waiter.header, ..*message };
                    self.events.push_back(Event::Error { reporter, message });
                }
            }
            ErrorCode::NoRoute
            | ErrorCode::HopLimit
            | ErrorCode::NoSession
            | ErrorCode::ClearRefused
            | ErrorCode::InnerRefused => {}
        }
    }

    pub(super) fn give_opening_up(&mut self, peer: NodeId, reason: String, now: Instant) {
        tracing::debug!(%peer, reason, "Inner session given up");
        self.inner.note_end(peer, reason, now);
    }
}

fn words(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::NoRoute => "it has no way there",
        ErrorCode::HopLimit => "the way has too many relays",
        ErrorCode::TooBig => "a frame is too big",
        ErrorCode::NoSession => "it has no session with us",
        ErrorCode::ClearRefused => "it takes nothing in the clear",
        ErrorCode::InnerRefused => "e2e is off there",
    }
}
