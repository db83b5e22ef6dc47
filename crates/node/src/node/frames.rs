//! The part of a node that deals with frames: receives, relays, answers and sends them.

use std::time::Instant;

use peerbound_dtls::SendError as SessionSendError;
use peerbound_wire::{
    ErrorCode, ErrorMessage, Flags, FlowId, Frame, HEADER_BYTES, Header, Kind, NodeId, PacketId, Ping,
};

use crate::counters::{FrameCounts, FrameDrop};
use crate::event::{DeliveredPacket, Event, FrameAction, FrameSeen};
use crate::inner::Content;
use crate::neighbour::Neighbour;
use crate::node::copies::FrameWay;
use crate::node::traces::Traced;
use crate::node::{Ecn, Node, Sealing, SendError, Sending};
use crate::relay::Decision;
use crate::router::Router;
use crate::timed_map::TimedMap;

/// What a link adds to a frame, for those whose rate is limited: record header, explicit nonce and tag, UDP
/// and IPv4.
const DATAGRAM_OVERHEAD_BYTES: usize = 37 + 8 + 20;

/// Why a frame did not go into a link session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unsent {
    /// It does not fit; so many bytes of frame would.
    TooBig { frame_bytes_max: usize },
    /// Anything else.
    Dropped(FrameDrop),
}

/// Where a frame went that was passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Passed {
    /// Into the link session.
    Sealed,
    /// Into the queue of the neighbour.
    Waits,
}

impl Unsent {
    pub(super) fn reason(self) -> FrameDrop {
        match self {
            Self::TooBig { .. } => FrameDrop::TooBig,
            Self::Dropped(reason) => reason,
        }
    }
}

impl Node {
    /// Returns of what was counted only where frames come from, for whoever asks often.
    #[must_use]
    pub fn frame_counts(&self) -> FrameCounts {
        FrameCounts { received: self.counters.frames_received, originated: self.counters.frames_originated }
    }

    /// Sends a payload into the overlay and returns the number of its frame.
    ///
    /// # Errors
    /// Says why it did not leave. That it left does not say that it arrives.
    pub fn send(&mut self, sending: Sending<'_>, now: Instant) -> Result<PacketId, SendError> {
        if self.is_end_to_end(&sending.destination) {
            return self.send_inside(&sending, (Content::Message, Flags::default()), now);
        }
        let flags = if sending.is_reply { Flags::REPLY } else { Flags::default() };
        let header =
            Header { flow: sending.flow, flags, ..Header::new(Kind::Data, self.us, sending.destination) };
        self.send_routed(header, sending.payload, now)
    }

    /// Sends an IP packet into the overlay as [`Self::send`] does a message; at its destination it comes
    /// out of [`Self::poll_packet`].
    ///
    /// # Errors
    /// Says why it did not leave.
    pub fn send_packet(
        &mut self,
        sending: Sending<'_>,
        ecn: Ecn,
        now: Instant,
    ) -> Result<PacketId, SendError> {
        let capable = match ecn {
            Ecn::Capable => Flags::ECN_CAPABLE,
            Ecn::NotCapable => Flags::default(),
        };
        if self.is_end_to_end(&sending.destination) {
            return self.send_inside(&sending, (Content::Packet, capable), now);
        }
        let reply = if sending.is_reply { Flags::REPLY } else { Flags::default() };
        let flags = reply.with(Flags::PACKET).with(capable);
        let header =
            Header { flow: sending.flow, flags, ..Header::new(Kind::Data, self.us, sending.destination) };
        self.send_routed(header, sending.payload, now)
    }

    /// Takes the next IP packet that arrived for us, until there is none.
    pub fn poll_packet(&mut self) -> Option<DeliveredPacket> {
        self.packets.pop()
    }

    /// Takes a packet's buffer back, so that the next one need not allocate.
    pub fn recycle_packet(&mut self, bytes: Vec<u8>) {
        self.packets.recycle(bytes);
    }

    /// Asks a node to answer; its answer comes as [`Event::Pong`] with the same token.
    ///
    /// # Errors
    /// The same as [`Self::send`].
    pub fn ping(
        &mut self,
        destination: NodeId,
        flow: FlowId,
        token: u64,
        now: Instant,
    ) -> Result<PacketId, SendError> {
        self.ping_padded(destination, flow, token, 0, now)
    }

    /// Asks a node to answer, as [`Self::ping`] does, with so many bytes behind the token; they come back
    /// with the answer.
    ///
    /// # Errors
    /// The same as [`Self::send`].
    pub fn ping_padded(
        &mut self,
        destination: NodeId,
        flow: FlowId,
        token: u64,
        padding_bytes: u16,
        now: Instant,
    ) -> Result<PacketId, SendError> {
        let mut payload = Vec::new();
        Ping { token }.encode_into(&mut payload);
        payload.resize(payload.len() + usize::from(padding_bytes), 0);
        let header = Header { flow, ..Header::new(Kind::Ping, self.us, destination) };
        self.send_routed(header, &payload, now)
    }

    /// Deals with one plaintext of a link session. It lies in `bytes` and may be changed there.
    pub(super) fn on_frame(&mut self, from: NodeId, bytes: &mut [u8], now: Instant) {
        self.counters.frames_received += 1;
        self.copies.note(from, FrameWay::In, bytes);
        let Ok(Frame { header, payload }) = Frame::decode(bytes) else {
            self.counters.drop_frame(FrameDrop::BadFrame);
            self.strays.note_frame((None, bytes.len()), Some(from), FrameDrop::BadFrame, now);
            return;
        };
        if header.kind == Kind::Routing {
            self.on_routing_frame(from, &header, payload, now);
            return;
        }
        let payload_bytes = payload.len();
        let Some(header) = self.admit(&header, now) else {
            self.counters.drop_frame(FrameDrop::Codel);
            self.observe(&header, payload_bytes, Some(from), FrameAction::Dropped(FrameDrop::Codel));
            return;
        };
        // It was decoded, so there is room for flags.
        let _ = Header::write_flags_over(bytes, header.flags);
        let payload = bytes.get(HEADER_BYTES..).unwrap_or_default();
        match self.relay.decide(
            &header,
            from,
            (usable(&self.neighbours), learned(self.router.as_deref())),
            now,
        ) {
            Decision::Deliver => {
                self.deliver(from, &header, payload, now);
            }
            Decision::Forward { next, header: onward } => {
                let traced = Traced::of(&header, payload);
                let passed = self.pass_on(bytes, (onward, Some(from)), next);
                match passed {
                    // It is told of when it leaves.
                    Ok(Passed::Waits) => {}
                    Ok(Passed::Sealed) => {
                        self.observe(&header, payload_bytes, Some(from), FrameAction::Sent(next));
                    }
                    Err(unsent) => {
                        let action = FrameAction::Dropped(unsent.reason());
                        self.observe(&header, payload_bytes, Some(from), action);
                        self.counters.drop_frame(unsent.reason());
                        self.report_unsent(unsent, &header, from, now);
                    }
                }
                if let Some(traced) = traced.filter(|_| passed.is_ok()) {
                    self.tell_of_relaying(&header, traced, (from, next), now);
                }
            }
            Decision::Drop(reason) => {
                self.counters.drop_frame(reason);
                self.observe(&header, payload.len(), Some(from), FrameAction::Dropped(reason));
            }
            Decision::Refuse(reason, code) => {
                self.counters.drop_frame(reason);
                self.observe(&header, payload.len(), Some(from), FrameAction::Dropped(reason));
                self.report(ErrorMessage { code, mtu: 0, offending: header }, from, now);
            }
        }
    }

    /// Gives a header our number for it.
    pub(super) fn originate(&mut self, header: Header) -> Header {
        let packet = PacketId(self.next_packet);
        self.next_packet += 1;
        self.counters.frames_originated += 1;
        Header { boot_epoch: self.boot_epoch, packet, ..header }
    }

    /// Sends a frame of control to a neighbour, before everything that waits; one that cannot be sent is
    /// counted as dropped.
    pub(super) fn send_control(
        &mut self,
        header: Header,
        payload: &[u8],
        next: NodeId,
    ) -> Result<(), Unsent> {
        self.send_frame(header, payload, next, |node, bytes| {
            node.seal_in_place(bytes, header, next).map(|()| Passed::Sealed)
        })
    }

    /// Sends a frame of our own to a neighbour, or lets it wait in its queue.
    pub(super) fn send_data(&mut self, header: Header, payload: &[u8], next: NodeId) -> Result<(), Unsent> {
        self.send_frame(header, payload, next, |node, bytes| node.pass_on(bytes, (header, None), next))
    }

    fn send_frame(
        &mut self,
        header: Header,
        payload: &[u8],
        next: NodeId,
        pass: impl FnOnce(&mut Self, &mut [u8]) -> Result<Passed, Unsent>,
    ) -> Result<(), Unsent> {
        let mut bytes = std::mem::take(&mut self.frame);
        bytes.clear();
        Frame { header, payload }.encode_into(&mut bytes);
        let sent = self.send_encoded(&mut bytes, header, next, pass);
        self.frame = bytes;
        sent
    }

    /// Sends a frame that lies in `bytes`, with this header.
    pub(super) fn send_encoded(
        &mut self,
        bytes: &mut [u8],
        header: Header,
        next: NodeId,
        pass: impl FnOnce(&mut Self, &mut [u8]) -> Result<Passed, Unsent>,
    ) -> Result<(), Unsent> {
        let payload_bytes = bytes.len().saturating_sub(HEADER_BYTES);
        let passed = pass(self, bytes);
        let action = match passed {
            Ok(Passed::Sealed) => Some(FrameAction::Sent(next)),
            Ok(Passed::Waits) => None,
            Err(unsent) => Some(FrameAction::Dropped(unsent.reason())),
        };
        if let Some(action) = action.filter(|_| header.kind != Kind::Routing) {
            self.observe(&header, payload_bytes, None, action);
        }
        passed.map(drop).inspect_err(|unsent| self.counters.drop_frame(unsent.reason()))
    }

    pub(super) fn send_routed(
        &mut self,
        header: Header,
        payload: &[u8],
        now: Instant,
    ) -> Result<PacketId, SendError> {
        self.latest = now;
        let header = self.originate(header);
        if header.destination == self.us {
            self.deliver(self.us, &header, payload, now);
            return Ok(header.packet);
        }
        let Some(next) = self.next_for(&header, now) else {
            self.counters.drop_frame(FrameDrop::NoRoute);
            self.observe(&header, payload.len(), None, FrameAction::Dropped(FrameDrop::NoRoute));
            return Err(self.explain_no_route(header.destination));
        };
        let max = self.frame_bytes_max(header.destination, next, now).saturating_sub(HEADER_BYTES);
        if payload.len() > max {
            self.counters.drop_frame(FrameDrop::TooBig);
            self.observe(&header, payload.len(), None, FrameAction::Dropped(FrameDrop::TooBig));
            return Err(SendError::TooLarge { len: payload.len(), max });
        }
        match self.send_data(header, payload, next) {
            Ok(()) => Ok(header.packet),
            Err(Unsent::TooBig { frame_bytes_max }) => Err(SendError::TooLarge {
                len: payload.len(),
                max: frame_bytes_max.saturating_sub(HEADER_BYTES),
            }),
            Err(Unsent::Dropped(FrameDrop::QueueFull)) => Err(SendError::QueueFull),
            Err(Unsent::Dropped(_)) => Err(SendError::LinkFailed),
        }
    }

    /// Returns the neighbour to whom a frame of ours goes.
    pub(super) fn next_for(&self, header: &Header, now: Instant) -> Option<NodeId> {
        self.relay.next_hop(header, (usable(&self.neighbours), learned(self.router.as_deref())), now)
    }

    pub(super) fn explain_no_route(&self, destination: NodeId) -> SendError {
        let via = self.config.routes.iter().find(|route| route.destination == destination);
        let next = via.map_or(destination, |route| route.via);
        let reason = match self.neighbours.get(&next) {
            None => "it is no neighbour, and no route leads to it".to_owned(),
            Some(neighbour) => {
                let name = &neighbour.config.name;
                let why =
                    neighbour.last_error.clone().map(|(why, _)| why).or_else(|| self.trouble_with(neighbour));
                let why = why.unwrap_or_else(|| "its link is not established yet".to_owned());
                format!("neighbour \"{name}\" is down ({why})")
            }
        };
        SendError::NoRoute { destination, reason }
    }

    /// Says what has gone wrong so far with a neighbour that is being dialled: the whole opening takes
    /// some seconds, and whoever wants to send should not have to wait for its end.
    fn trouble_with(&self, neighbour: &Neighbour) -> Option<String> {
        let trouble = |address| Some(self.links.get(address)?.association.trouble()?.to_string());
        neighbour.opening().iter().find_map(trouble)
    }

    /// Writes hop limit and path MTU over the frame in `bytes`, seals it for `next` and batches the datagram.
    pub(super) fn seal_in_place(
        &mut self,
        bytes: &mut [u8],
        header: Header,
        next: NodeId,
    ) -> Result<(), Unsent> {
        let address = self.neighbours.get(&next).and_then(|neighbour| neighbour.address());
        let link = address.and_then(|address| Some((address, self.links.get_mut(&address)?)));
        let Some((address, link)) = link else {
            return Err(Unsent::Dropped(FrameDrop::NoRoute));
        };
        let session = link.association.session();
        let frame_bytes_max = session.and_then(|session| session.payload_bytes_max()).unwrap_or(0);
        let datagram_bytes = session.and_then(|session| session.datagram_bytes(bytes.len()));
        let path_mtu = header.path_mtu.min(u16::try_from(frame_bytes_max).unwrap_or(u16::MAX));
        if Header::write_hop_over(bytes, header.hop_limit, path_mtu).is_err() {
            return Err(Unsent::Dropped(FrameDrop::BadFrame));
        }
        // The end of a handshake leaves before what it opens the way for.
        link.flush(address, &mut self.outbound);
        let sealed = match datagram_bytes {
            Some(len) => {
                let (association, sealing) = (&mut link.association, self.sealing);
                self.outbound.write(address, len, |datagram, unsealed| match sealing {
                    Sealing::AtOnce => association.seal_into(&[], bytes, datagram),
                    Sealing::Later => association.lay_into(&[], bytes, datagram, unsealed),
                })
            }
            None => link.association.send(bytes).inspect(|()| link.flush(address, &mut self.outbound)),
        };
        match sealed {
            Ok(()) => {
                link.traffic.send(bytes.len());
                self.copies.note(next, FrameWay::Out, bytes);
                self.counters.frames_sent += 1;
                self.queues.charge(&next, bytes.len() + DATAGRAM_OVERHEAD_BYTES, self.latest);
                Ok(())
            }
            Err(SessionSendError::TooLarge { max, .. }) => Err(Unsent::TooBig { frame_bytes_max: max }),
            Err(SessionSendError::NotEstablished | SessionSendError::Failed) => {
                Err(Unsent::Dropped(FrameDrop::LinkFailed))
            }
        }
    }

    pub(super) fn deliver(&mut self, from: NodeId, header: &Header, payload: &[u8], now: Instant) {
        let event = match header.kind {
            Kind::InnerHandshake => return self.on_inner_frame(from, header, payload, now),
            Kind::Data if header.flags.contains(Flags::INNER) => {
                return self.on_inner_frame(from, header, payload, now);
            }
            Kind::Data if header.source != self.us && self.is_end_to_end(&header.source) => {
                return self.refuse(
                    from,
                    header,
                    payload,
                    (FrameDrop::ClearRefused, ErrorCode::ClearRefused),
                    now,
                );
            }
            Kind::Data if header.flags.contains(Flags::PACKET) => {
                self.count_delivery(from, header, payload);
                self.packets.push(header, payload);
                return;
            }
            Kind::Data => Event::Delivered { header: *header, payload: payload.to_vec() },
            Kind::Error => match ErrorMessage::decode(payload) {
                Ok(message) => {
                    self.note_reported_mtu(&message, now);
                    self.count_delivery(from, header, payload);
                    return self.on_error_message(header.source, message, now);
                }
                Err(_) => return self.refuse_delivery(from, header, payload, FrameDrop::BadFrame),
            },
            Kind::Ping => match Ping::decode_padded(payload) {
                Ok(_) if !header.flags.contains(Flags::REPLY) => {
                    self.count_delivery(from, header, payload);
                    return self.answer_ping(header, payload, now);
                }
                Ok((Ping { token }, _)) if self.is_measurement(header.source, token, now) => {
                    return self.count_delivery(from, header, payload);
                }
                Ok((Ping { token }, _)) => Event::Pong { from: header.source, token, header: *header },
                Err(_) => return self.refuse_delivery(from, header, payload, FrameDrop::BadFrame),
            },
            Kind::Trace => return self.on_trace(from, header, payload, now),
            // They were dealt with where they came in.
            Kind::Routing => {
                return self.refuse_delivery(from, header, payload, FrameDrop::Unsupported);
            }
        };
        self.count_delivery(from, header, payload);
        self.events.push_back(event);
    }

    pub(super) fn count_delivery(&mut self, from: NodeId, header: &Header, payload: &[u8]) {
        self.counters.frames_delivered += 1;
        self.observe(header, payload.len(), Some(from), FrameAction::Delivered);
    }

    pub(super) fn refuse_delivery(
        &mut self,
        from: NodeId,
        header: &Header,
        payload: &[u8],
        reason: FrameDrop,
    ) {
        self.counters.drop_frame(reason);
        self.observe(header, payload.len(), Some(from), FrameAction::Dropped(reason));
    }

    /// Drops a frame that was for us, and tells its origin why.
    pub(super) fn refuse(
        &mut self,
        from: NodeId,
        header: &Header,
        payload: &[u8],
        (reason, code): (FrameDrop, ErrorCode),
        now: Instant,
    ) {
        self.refuse_delivery(from, header, payload, reason);
        self.report(ErrorMessage { code, mtu: 0, offending: *header }, from, now);
    }

    fn answer_ping(&mut self, request: &Header, payload: &[u8], now: Instant) {
        let answer = Header {
            flow: request.flow,
            flags: Flags::REPLY,
            ..Header::new(Kind::Ping, self.us, request.source)
        };
        // An answer that cannot be sent is counted where it is dropped; the asker will miss it.
        let _ = self.send_routed(answer, payload, now);
    }

    pub(super) fn report_unsent(&mut self, unsent: Unsent, offending: &Header, from: NodeId, now: Instant) {
        match unsent {
            Unsent::TooBig { frame_bytes_max } => {
                let mtu = u16::try_from(frame_bytes_max).unwrap_or(u16::MAX);
                self.report(ErrorMessage { code: ErrorCode::TooBig, mtu, offending: *offending }, from, now);
            }
            // The link was there when the decision was made: as good as no route.
            Unsent::Dropped(FrameDrop::NoRoute | FrameDrop::LinkFailed) => {
                self.report(
                    ErrorMessage { code: ErrorCode::NoRoute, mtu: 0, offending: *offending },
                    from,
                    now,
                );
            }
            Unsent::Dropped(_) => {}
        }
    }

    /// Tells the source of a frame that it went no further; the neighbour it came from leads there.
    /// Never about an error or a routing frame, and not more often than the bucket allows.
    fn report(&mut self, message: ErrorMessage, from: NodeId, now: Instant) {
        let offending = &message.offending;
        if matches!(offending.kind, Kind::Error | Kind::Routing) || !self.error_bucket.take(now) {
            return;
        }
        let header = Header {
            flow: offending.flow,
            flags: Flags::REPLY,
            ..Header::new(Kind::Error, self.us, offending.source)
        };
        let header = self.originate(header);
        let mut payload = Vec::new();
        message.encode_into(&mut payload);
        let _ = self.send_control(header, &payload, from);
    }

    pub(super) fn observe(
        &mut self,
        header: &Header,
        payload_bytes: usize,
        from: Option<NodeId>,
        action: FrameAction,
    ) {
        if let FrameAction::Dropped(reason) = action {
            let from = from.filter(|from| *from != self.us);
            self.strays.note_frame((Some(header), payload_bytes), from, reason, self.latest);
        }
        if self.config.observe_frames {
            let from = from.filter(|from| *from != self.us);
            self.events.push_back(Event::Frame(FrameSeen { header: *header, payload_bytes, from, action }));
        }
    }
}

/// Says which neighbours carry frames at this moment.
pub(super) fn usable(neighbours: &TimedMap<NodeId, Neighbour>) -> impl Fn(&NodeId) -> bool {
    |id| neighbours.get(id).is_some_and(Neighbour::is_usable)
}

/// Says which neighbour leads to a destination, as far as was learned.
pub(super) fn learned(router: Option<&Router>) -> impl Fn(&NodeId) -> Option<NodeId> {
    move |destination| router?.next_hop(destination)
}
