//! The part of a node that holds inner sessions: opens them on demand, carries their datagrams in frames, and
//! lets payloads wait meanwhile. An inner session is bound to two node ids and to nothing on the way, so
//! neither another route nor another address of a neighbour touches it.

use std::time::Instant;

use peerbound_dtls::{Outcome, is_client_hello};
use peerbound_wire::{ErrorCode, ErrorMessage, Flags, HEADER_BYTES, Header, Kind, NodeId, PacketId};

use crate::counters::FrameDrop;
use crate::event::{Event, FrameAction};
use crate::inner::{CONTENT_BYTES, Content, EndToEnd, InnerView, Waiter, Way};
use crate::node::frames::Unsent;
use crate::node::{Node, SendError, Sending};

mod course;
mod opening;
mod reports;

/// What a record adds, while the suite is not known: that of AES-GCM, which is the most.
const RECORD_OVERHEAD_BYTES: usize = 37;

/// A payload that waited while so many frames of ours were numbered gets another number: the window in which
/// others know duplicates looks back on 8192.
const NUMBER_LASTS: u64 = 4096;

impl Node {
    /// Lists the inner sessions as they stand, in order of their peers' ids, and after them the last end of
    /// those that are gone.
    #[must_use]
    pub fn inner_sessions(&self) -> Vec<InnerView> {
        self.inner.views(&self.path_mtus)
    }

    /// Starts to replace the inner session with a node by one with other keys, as its age would. Says whether
    /// there is one, and none already on its way to replace it.
    pub fn rekey_inner(&mut self, peer: NodeId, now: Instant) -> bool {
        let Some(session) = self.inner.sessions.get_mut(&peer) else { return false };
        let started = session.association.rekey(now);
        self.settle_inner(peer, now);
        started
    }

    /// Returns whether payloads between us and a node travel in an inner session.
    pub(super) fn is_end_to_end(&self, node: &NodeId) -> bool {
        self.config.inner.with(node) == EndToEnd::On && *node != self.us
    }

    /// Sends a payload in the inner session with its destination, or lets it wait for one.
    pub(super) fn send_inside(
        &mut self,
        sending: &Sending<'_>,
        (content, marks): (Content, Flags),
        now: Instant,
    ) -> Result<PacketId, SendError> {
        let Sending { destination, flow, is_reply, payload } = *sending;
        let reply = if is_reply { Flags::REPLY } else { Flags::default() };
        let flags = Flags::INNER.with(reply).with(marks);
        let header = self.originate(Header { flow, flags, ..Header::new(Kind::Data, self.us, destination) });
        let Some(next) = self.next_for(&header, now) else {
            self.drop_own(&header, payload.len(), FrameDrop::NoRoute);
            return Err(self.explain_no_route(destination));
        };
        let max = self.inside_bytes_max(destination, next, now);
        if payload.len() > max {
            self.drop_own(&header, payload.len(), FrameDrop::TooBig);
            return Err(SendError::TooLarge { len: payload.len(), max });
        }
        if self.inner.sessions.get(&destination).is_some_and(|session| session.association.is_live()) {
            self.seal_inside(header, (content, payload), next, now)?;
            return Ok(header.packet);
        }
        if let Err(refusal) = self.see_to_opening(&header, now) {
            self.drop_own(&header, payload.len(), FrameDrop::InnerQueueFull);
            return Err(refusal);
        }
        let session = self.inner.sessions.get_mut(&destination);
        if session.is_some_and(|session| session.waiting.push(header, content, payload, now)) {
            Ok(header.packet)
        } else {
            self.drop_own(&header, payload.len(), FrameDrop::InnerQueueFull);
            Err(SendError::InnerQueueFull)
        }
    }

    /// Deals with a frame of an inner session that is for us.
    pub(super) fn on_inner_frame(&mut self, from: NodeId, header: &Header, payload: &[u8], now: Instant) {
        let source = header.source;
        if !self.is_end_to_end(&source) {
            let why = (FrameDrop::InnerRefused, ErrorCode::InnerRefused);
            return self.refuse(from, header, payload, why, now);
        }
        if header.kind == Kind::InnerHandshake && is_client_hello(payload) && !self.is_shut_down {
            return self.on_inner_hello(from, header, payload, now);
        }
        let mut plaintexts = std::mem::take(&mut self.inner.plaintexts);
        plaintexts.clear();
        let Some(session) = self.inner.sessions.get_mut(&source) else {
            self.inner.plaintexts = plaintexts;
            return self.on_unknown_session(from, header, payload, now);
        };
        let outcome = session.association.handle_datagram(payload, &mut plaintexts, now);
        let contents = || plaintexts.iter().filter_map(Content::read);
        let is_garbage = !plaintexts.is_empty() && contents().next().is_none();
        for (content, payload) in contents() {
            session.last_used = now;
            session.bytes_received += payload.len() as u64;
            match content {
                Content::Message => {
                    self.events.push_back(Event::Delivered { header: *header, payload: payload.to_vec() });
                }
                Content::Packet => {
                    self.packets.push(header, payload);
                }
            }
        }
        self.inner.plaintexts = plaintexts;
        match outcome {
            Outcome::Accepted if is_garbage => {
                self.refuse_delivery(from, header, payload, FrameDrop::BadFrame);
            }
            Outcome::Accepted => {
                self.note_way(header, now);
                self.count_delivery(from, header, payload);
            }
            Outcome::Killed | Outcome::Refused => self.count_delivery(from, header, payload),
            Outcome::Discarded(_) => self.refuse_delivery(from, header, payload, FrameDrop::InnerRecord),
            Outcome::NoSession => self.refuse_delivery(from, header, payload, FrameDrop::NoInnerSession),
        }
        self.settle_inner(source, now);
    }

    /// Notes the way that frames from a node take, for handshakes that go there.
    fn note_way(&mut self, header: &Header, now: Instant) {
        self.path_mtus.on_arrival(header.source, header.path_mtu, now);
        if let Some(session) = self.inner.sessions.get_mut(&header.source) {
            session.way = Way::answering(header);
        }
    }

    /// A frame of a session that we do not have: we restarted, or closed it. Its origin is told, so that it
    /// opens another; about the remains of a handshake there is nothing to tell.
    fn on_unknown_session(&mut self, from: NodeId, header: &Header, payload: &[u8], now: Instant) {
        if header.kind == Kind::Data {
            let why = (FrameDrop::NoInnerSession, ErrorCode::NoSession);
            self.refuse(from, header, payload, why, now);
        } else {
            self.refuse_delivery(from, header, payload, FrameDrop::NoInnerSession);
        }
    }

    /// Sends a payload that has waited. Much may have happened meanwhile, so the rules are asked again.
    fn send_waiter(&mut self, waiter: Waiter, now: Instant) {
        let Waiter { mut header, content, payload, .. } = waiter;
        if self.next_packet - header.packet.0 > NUMBER_LASTS {
            header.packet = PacketId(self.next_packet);
            self.next_packet += 1;
        }
        let Some(next) = self.next_for(&header, now) else {
            return self.drop_own(&header, payload.len(), FrameDrop::NoRoute);
        };
        if payload.len() > self.inside_bytes_max(header.destination, next, now) {
            self.drop_own(&header, payload.len(), FrameDrop::TooBig);
            let fits = self.frame_bytes_max(header.destination, next, now);
            let mtu = u16::try_from(fits).unwrap_or(u16::MAX);
            let message = ErrorMessage { code: ErrorCode::TooBig, mtu, offending: header };
            self.events.push_back(Event::Error { reporter: self.us, message });
            return;
        }
        // Whoever sent it is gone: it is counted where it ends.
        let _ = self.seal_inside(header, (content, &payload), next, now);
    }

    /// Seals a payload in the live session with its destination, in its frame, and sends that.
    fn seal_inside(
        &mut self,
        header: Header,
        (content, payload): (Content, &[u8]),
        next: NodeId,
        now: Instant,
    ) -> Result<(), SendError> {
        let peer = header.destination;
        let mut frame = std::mem::take(&mut self.frame);
        frame.clear();
        frame.extend_from_slice(&header.encode());
        let sealed = self.inner.sessions.get_mut(&peer).is_some_and(|session| {
            session.last_used = now;
            session.bytes_sent += payload.len() as u64;
            session.association.seal_into(&content.front(), payload, &mut frame).is_ok()
        });
        let sent = sealed.then(|| {
            let pass = |node: &mut Self, bytes: &mut [u8]| node.pass_on(bytes, (header, None), next);
            self.send_encoded(&mut frame, header, next, pass)
        });
        self.frame = frame;
        let Some(sent) = sent else {
            self.drop_own(&header, payload.len(), FrameDrop::InnerFailed);
            self.settle_inner(peer, now);
            return Err(SendError::InnerFailed);
        };
        sent.map_err(|unsent| inside_error(unsent, payload.len()))
    }

    /// Sends what a session has to send of its own accord, in frames of the handshake.
    fn flush_inner(&mut self, peer: NodeId, now: Instant) {
        let mut datagram = std::mem::take(&mut self.inner.datagram);
        while let Some(session) = self.inner.sessions.get_mut(&peer) {
            let way = session.way;
            let Some(bytes) = session.association.poll_transmit() else { break };
            datagram.clear();
            datagram.extend_from_slice(bytes);
            let header = self.originate(way.header(self.us, peer));
            // One that does not leave is sent again by the handshake's own timer.
            let _ = self.send_inner_frame(header, &datagram, now);
        }
        self.inner.datagram = datagram;
    }

    fn send_inner_frame(&mut self, header: Header, payload: &[u8], now: Instant) -> Result<(), SendError> {
        let Some(next) = self.next_for(&header, now) else {
            self.drop_own(&header, payload.len(), FrameDrop::NoRoute);
            return Err(self.explain_no_route(header.destination));
        };
        self.send_data(header, payload, next).map_err(|unsent| inside_error(unsent, payload.len()))
    }

    /// Returns how many bytes of payload fit an inner record on the way to a node that begins with `next`.
    pub(super) fn inside_bytes_max(&self, destination: NodeId, next: NodeId, now: Instant) -> usize {
        let session = self.inner.sessions.get(&destination).and_then(|session| session.association.session());
        let suite = session.and_then(|session| session.peer()).map(|peer| peer.suite);
        let overhead = suite.map_or(RECORD_OVERHEAD_BYTES, |suite| suite.overhead_bytes_max());
        let around = HEADER_BYTES + overhead + CONTENT_BYTES;
        self.frame_bytes_max(destination, next, now).saturating_sub(around)
    }

    /// Drops a frame of our own.
    fn drop_own(&mut self, header: &Header, payload_bytes: usize, reason: FrameDrop) {
        self.counters.drop_frame(reason);
        self.observe(header, payload_bytes, None, FrameAction::Dropped(reason));
    }
}

/// Says why a payload of so many bytes did not leave in its record.
fn inside_error(unsent: Unsent, len: usize) -> SendError {
    match unsent {
        Unsent::TooBig { frame_bytes_max } => {
            let around = HEADER_BYTES + RECORD_OVERHEAD_BYTES + CONTENT_BYTES;
            SendError::TooLarge { len, max: frame_bytes_max.saturating_sub(around) }
        }
        Unsent::Dropped(FrameDrop::QueueFull) => SendError::QueueFull,
        Unsent::Dropped(_) => SendError::LinkFailed,
    }
}
