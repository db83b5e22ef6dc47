//! How inner sessions begin: by a payload of ours, or by another's hello, within what may be in progress.

use std::sync::Arc;
use std::time::Instant;

use peerbound_dtls::{
    Admission, Advice, Association, AssociationConfig, ErrorStack, Screening, SessionOptions, VerifiedHello,
};
use peerbound_wire::{Flags, HEADER_BYTES, Header, Kind, NodeId};

use crate::counters::FrameDrop;
use crate::inner::{INNER_HALF_OPEN_MAX, INNER_SESSIONS_MAX, InnerSession, Way, cookie_address};
use crate::neighbour::precedence;
use crate::node::{Node, SendError};

/// The largest datagram of a handshake: what a frame carries over links of 1280-byte IPv6 packets, each 1280
/// less 48 of IPv6 and UDP, 37 of record and 54 of header. Nobody knows the way yet when a handshake begins.
const HANDSHAKE_MTU: u16 = 1280 - 48 - 37 - 54;

/// The smallest that OpenSSL makes: a way whose frames are smaller carries no inner session.
const HANDSHAKE_MTU_MIN: u16 = 256;

/// How many records a late one may be behind: fair queues let others overtake it, and a full one holds 1300
/// frames of full size, or 6500 of 100 bytes. 1 KiB for each session.
const LATE_RECORDS: u64 = 8192;

impl Node {
    /// Sees to it that a session with a node is being opened.
    pub(super) fn see_to_opening(&mut self, header: &Header, now: Instant) -> Result<(), SendError> {
        let peer = header.destination;
        if self.inner.sessions.get(&peer).is_some() {
            return Ok(());
        }
        if !self.make_room_for_session(peer, now) {
            return Err(SendError::InnerQueueFull);
        }
        self.open_inner(header, now).map_err(|error| {
            tracing::error!(%error, %peer, "No inner session could be made");
            SendError::InnerFailed
        })?;
        self.settle_inner(peer, now);
        Ok(())
    }

    pub(super) fn open_inner(&mut self, header: &Header, now: Instant) -> Result<(), ErrorStack> {
        let peer = header.destination;
        let back = header.flags.contains(Flags::REPLY).then_some(Way::Back(header.flow));
        let way = self.way_there(peer, now).or(back).unwrap_or(Way::There);
        let association = Association::dial(self.inner_config(peer, now), now)?;
        let idle = self.config.inner.idle;
        let session = InnerSession::new(association, (None, way), self.next_packet, idle, now);
        self.inner.sessions.insert(peer, session);
        Ok(())
    }

    /// Closes the idlest session where there are as many as may be; says whether there is room for one more.
    pub(super) fn make_room_for_session(&mut self, newcomer: NodeId, now: Instant) -> bool {
        let max = self.config.inner.sessions_max.min(INNER_SESSIONS_MAX);
        if self.inner.kept() < max {
            return true;
        }
        let Some(idlest) = self.inner.idlest_but(newcomer) else {
            return false;
        };
        self.end_inner(idlest, "another session needs its place", now);
        true
    }

    pub(super) fn inner_config(&self, peer: NodeId, now: Instant) -> AssociationConfig {
        let header = Header::new(Kind::InnerHandshake, self.us, peer);
        let next = self.next_for(&header, now);
        let frame = next.map_or(usize::MAX, |next| self.frame_bytes_max(peer, next, now));
        let frame = frame.min(self.path_mtus.frame_bytes_heard(&peer).map_or(usize::MAX, usize::from));
        let fits = u16::try_from(frame.saturating_sub(HEADER_BYTES)).unwrap_or(u16::MAX);
        // The certificate's key must give the id that the frames name.
        let admission = Admission::Rule(Arc::new(move |key| crate::node_id(key) == peer));
        let options = SessionOptions {
            mtu: u16::MAX,
            handshake_mtu: Some(HANDSHAKE_MTU.min(fits).max(HANDSHAKE_MTU_MIN)),
            late_records: LATE_RECORDS,
            ..self.association_config(admission, precedence(self.us, peer)).options
        };
        AssociationConfig {
            options,
            // The error *no session* does that, with a budget of its own.
            advice: Advice::Ignored,
            ..self.association_config(Admission::AnyTrusted, precedence(self.us, peer))
        }
    }

    pub(super) fn on_inner_hello(&mut self, from: NodeId, header: &Header, payload: &[u8], now: Instant) {
        let source = header.source;
        match self.inner.doorman.screen(payload, cookie_address(source), now) {
            Ok(Screening::Challenge(challenge)) => {
                self.counters.hellos_challenged += 1;
                self.count_delivery(from, header, payload);
                let answer = self.originate(Way::answering(header).header(self.us, source));
                // One that does not leave is asked for again.
                let _ = self.send_inner_frame(answer, &challenge, now);
            }
            Ok(Screening::Refused) => self.refuse_delivery(from, header, payload, FrameDrop::BadFrame),
            Ok(Screening::Verified(hello)) => self.on_verified_hello(from, header, (payload, &hello), now),
            Err(error) => {
                tracing::error!(%error, "A cookie could not be computed");
                self.refuse_delivery(from, header, payload, FrameDrop::InnerThrottled);
            }
        }
    }

    pub(super) fn on_verified_hello(
        &mut self,
        from: NodeId,
        header: &Header,
        (payload, hello): (&[u8], &VerifiedHello),
        now: Instant,
    ) {
        let source = header.source;
        let is_known = self.inner.sessions.get(&source).is_some();
        let has_room = self.inner.budget.take(from, now) && (is_known || self.make_room_for_guest(from, now));
        if !has_room {
            return self.refuse_delivery(from, header, payload, FrameDrop::InnerThrottled);
        }
        self.count_delivery(from, header, payload);
        let made = if let Some(session) = self.inner.sessions.get_mut(&source) {
            session.ingress = Some(from);
            session.association.handle_hello(hello, now)
        } else {
            let config = self.inner_config(source, now);
            let (number, idle) = (self.next_packet, self.config.inner.idle);
            Association::accept(config, hello, now).map(|association| {
                let began = (Some(from), Way::answering(header));
                self.inner.sessions.insert(source, InnerSession::new(association, began, number, idle, now));
            })
        };
        if let Err(error) = made {
            tracing::error!(%error, %source, "No inner session could be made for a hello");
        }
        self.note_way(header, now);
        self.settle_inner(source, now);
    }

    /// Sees to it that one more handshake that others began can be in progress.
    pub(super) fn make_room_for_guest(&mut self, ingress: NodeId, now: Instant) -> bool {
        if self.inner.half_open() < INNER_HALF_OPEN_MAX {
            return true;
        }
        let Some(oldest) = self.inner.half_open_in_favour_of(ingress) else {
            return false;
        };
        self.end_inner(oldest, "another handshake needs its place", now);
        true
    }

    /// Returns the way of a handshake that we begin, if there is a route.
    pub(super) fn way_there(&self, peer: NodeId, now: Instant) -> Option<Way> {
        self.next_for(&Way::There.header(self.us, peer), now).map(|_| Way::There)
    }

    /// Begins the handshake anew with datagrams that fit the way. Where the other end began it, and nothing of ours waits
    /// for it, its next hello finds no session and makes one.
    pub(super) fn open_smaller(&mut self, peer: NodeId, is_ours: bool, now: Instant) {
        let has_waiters = self.inner.sessions.get(&peer).is_some_and(|session| session.waiting.len() > 0);
        if !is_ours && !has_waiters {
            return self.forget_inner(peer);
        }
        let config = self.inner_config(peer, now);
        match Association::dial(config, now) {
            Ok(association) => {
                if let Some(session) = self.inner.sessions.get_mut(&peer) {
                    let replaced = std::mem::replace(&mut session.association, association);
                    session.first_packet = self.next_packet;
                    self.inner.retired.add(&replaced.discards());
                }
            }
            Err(error) => tracing::error!(%error, %peer, "No inner session could be made"),
        }
        self.settle_inner(peer, now);
    }
}
