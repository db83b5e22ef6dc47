//! The part of a node that has ways described: asks every hop, describes itself when it is asked, and says
//! who is at an address as far as it knows. Nothing is said twice to one question, and no more often than a
//! bucket allows.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use peerbound_wire::{
    Acquaintance, Flags, FlowId, Header, Kind, NodeId, PacketId, TraceLeg, TraceMessage, TraceReport,
};

use crate::bucket::TokenBucket;
use crate::counters::FrameDrop;
use crate::event::{Event, TracePlace, TraceSeen};
use crate::fifo_map::FifoMap;
use crate::index::Secret;
use crate::node::frames::{learned, usable};
use crate::node::{Node, SendError};

/// Descriptions that may be given at once, and how often one more: each is one frame of 113 bytes, so no more
/// than 50 kbit/s whoever asks.
const TRACES_BURST: u32 = 64;
const TRACES_INTERVAL: Duration = Duration::from_millis(20);

/// Questions whose answers are awaited: 64 x about 60 bytes = 4 kB.
const ASKED_MAX: usize = 64;

/// Descriptions that one question may bring: two ways of 32 links, and as many where the ways change meanwhile.
const DESCRIPTIONS_MAX: u32 = 4 * 32;

/// What is asked, and how much may be said.
#[derive(Debug)]
pub(super) struct Traces {
    /// Tokens, with how many descriptions more are taken.
    asked: FifoMap<u64, u32>,
    bucket: TokenBucket,
}

impl Traces {
    pub(super) fn new(now: Instant) -> Self {
        let bucket = TokenBucket::new(TRACES_BURST, TRACES_INTERVAL, now);
        // Tokens are our owner's.
        Self { asked: FifoMap::with_max(ASKED_MAX, Secret::NONE), bucket }
    }

    fn ask(&mut self, token: u64, answers: u32) {
        *self.asked.get_or_insert_with(token, || answers) = answers;
    }

    /// Returns whether something under this token is awaited, and counts it.
    fn takes(&mut self, token: u64) -> bool {
        let Some(left) = self.asked.get_mut(&token) else { return false };
        let Some(less) = left.checked_sub(1) else { return false };
        *left = less;
        true
    }
}

/// A frame that is traced, as a relay sees it before it passes it on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Traced {
    leg: TraceLeg,
    token: u64,
}

impl Traced {
    /// Looks whether a frame wants relays to describe themselves.
    pub(super) fn of(header: &Header, payload: &[u8]) -> Option<Self> {
        if header.kind != Kind::Trace {
            return None;
        }
        match TraceMessage::decode(payload).ok()? {
            TraceMessage::Request { token } if !header.flags.contains(Flags::REPLY) => {
                Some(Self { leg: TraceLeg::Out, token })
            }
            TraceMessage::Answer(report) if header.flags.contains(Flags::REPLY) => {
                Some(Self { leg: TraceLeg::Back, token: report.token })
            }
            TraceMessage::Request { .. } | TraceMessage::Answer(_) | TraceMessage::Report(_) => None,
            TraceMessage::WhoIs { .. } | TraceMessage::ThatIs { .. } => None,
        }
    }
}

impl Node {
    /// Asks the destination and every relay on the way to describe themselves. What they say comes as
    /// [`Event::TraceReport`] with the same token, our own description among it. A relay of an earlier version
    /// says nothing; an error about the frame comes as [`Event::Error`] with the number that is returned.
    ///
    /// # Errors
    /// The same as [`Self::send`].
    pub fn trace(
        &mut self,
        destination: NodeId,
        flow: FlowId,
        token: u64,
        now: Instant,
    ) -> Result<PacketId, SendError> {
        let header = Header { flow, ..Header::new(Kind::Trace, self.us, destination) };
        let next = self.next_hop(&header, now);
        let report = self.describe(&header, Traced { leg: TraceLeg::Out, token }, (None, next), now);
        self.traces.ask(token, DESCRIPTIONS_MAX);
        let packet = self.send_trace(header, TraceMessage::Request { token }, now)?;
        self.tell_of_hop(self.us, TracePlace::Origin, report);
        Ok(packet)
    }

    /// Asks a node who is at an address, as far as it knows; its answer comes as [`Event::WhoIs`] with the
    /// same token.
    ///
    /// # Errors
    /// The same as [`Self::send`].
    pub fn who_is(
        &mut self,
        (node, address): (NodeId, SocketAddr),
        flow: FlowId,
        token: u64,
        now: Instant,
    ) -> Result<PacketId, SendError> {
        let header = Header { flow, ..Header::new(Kind::Trace, self.us, node) };
        self.traces.ask(token, 1);
        self.send_trace(header, TraceMessage::WhoIs { token, address }, now)
    }

    /// Returns which of our neighbours is at an address, and how we know.
    #[must_use]
    pub fn known_at(&self, address: SocketAddr) -> Option<(NodeId, Acquaintance)> {
        self.known_at_but(address, self.us)
    }

    fn known_at_but(&self, address: SocketAddr, asker: NodeId) -> Option<(NodeId, Acquaintance)> {
        let others = || self.neighbours.iter().filter(|(id, _)| **id != asker);
        let session = others().find(|(_, neighbour)| neighbour.address() == Some(address));
        if let Some((id, _)) = session {
            return Some((*id, Acquaintance::Session));
        }
        if let Some((id, _)) = others().find(|(_, neighbour)| neighbour.was_at(address)) {
            return Some((*id, Acquaintance::Before));
        }
        let is_of_host = |at: SocketAddr| at.ip() == address.ip();
        let mut of_host = others().filter(|(_, neighbour)| neighbour.address().is_some_and(is_of_host));
        // Of several on one host none can be told from the other.
        match (of_host.next(), of_host.next()) {
            (Some((id, _)), None) => Some((*id, Acquaintance::SameHost)),
            (Some(_), Some(_)) | (None, _) => None,
        }
    }

    /// Tells the origin of a trace who passed its frame on. Its sender leads to the origin of a request, and
    /// whoever the frame went to leads to that of an answer.
    pub(super) fn tell_of_relaying(
        &mut self,
        header: &Header,
        traced: Traced,
        (from, next): (NodeId, NodeId),
        now: Instant,
    ) {
        if !self.traces.bucket.take(now) {
            return;
        }
        let report = self.describe(header, traced, (Some(from), Some(next)), now);
        let (origin, towards) = match traced.leg {
            TraceLeg::Out => (header.source, from),
            TraceLeg::Back => (header.destination, next),
        };
        let flags = Flags::REPLY;
        let told = Header { flow: header.flow, flags, ..Header::new(Kind::Trace, self.us, origin) };
        let told = self.originate(told);
        let mut payload = Vec::new();
        TraceMessage::Report(report).encode_into(&mut payload);
        let _ = self.send_data(told, &payload, towards);
    }

    /// Deals with a trace frame that is for us.
    pub(super) fn on_trace(&mut self, from: NodeId, header: &Header, payload: &[u8], now: Instant) {
        let Ok(message) = TraceMessage::decode(payload) else {
            return self.refuse_delivery(from, header, payload, FrameDrop::BadFrame);
        };
        let is_reply = header.flags.contains(Flags::REPLY);
        match message {
            TraceMessage::Request { token } if !is_reply => {
                self.count_delivery(from, header, payload);
                self.answer_trace(header, token, from, now);
            }
            TraceMessage::WhoIs { token, address } if !is_reply => {
                self.count_delivery(from, header, payload);
                self.answer_who_is(header, token, address, now);
            }
            TraceMessage::Answer(report) if is_reply && self.traces.takes(report.token) => {
                self.count_delivery(from, header, payload);
                self.tell_of_hop(header.source, TracePlace::Destination, report);
                let back = Traced { leg: TraceLeg::Back, token: report.token };
                let end = self.describe(header, back, (self.other(from), None), now);
                self.tell_of_hop(self.us, TracePlace::End, end);
            }
            TraceMessage::Report(report) if is_reply && self.traces.takes(report.token) => {
                self.count_delivery(from, header, payload);
                self.tell_of_hop(header.source, TracePlace::Relay, report);
            }
            TraceMessage::ThatIs { token, address, who } if is_reply && self.traces.takes(token) => {
                self.count_delivery(from, header, payload);
                self.events.push_back(Event::WhoIs { from: header.source, token, address, who });
            }
            TraceMessage::Request { .. }
            | TraceMessage::Answer(_)
            | TraceMessage::Report(_)
            | TraceMessage::WhoIs { .. }
            | TraceMessage::ThatIs { .. } => {
                self.refuse_delivery(from, header, payload, FrameDrop::Unasked);
            }
        }
    }

    fn answer_trace(&mut self, request: &Header, token: u64, from: NodeId, now: Instant) {
        if !self.traces.bucket.take(now) {
            return;
        }
        let answer = answer_to(request);
        let next = self.next_hop(&answer, now);
        let traced = Traced { leg: TraceLeg::Out, token };
        let report = self.describe(request, traced, (self.other(from), next), now);
        // An answer that cannot be sent is counted where it is dropped; the asker will miss it.
        let _ = self.send_trace(answer, TraceMessage::Answer(report), now);
    }

    fn answer_who_is(&mut self, request: &Header, token: u64, address: SocketAddr, now: Instant) {
        if !self.traces.bucket.take(now) {
            return;
        }
        let who = self.known_at_but(address, request.source);
        let _ = self.send_trace(answer_to(request), TraceMessage::ThatIs { token, address, who }, now);
    }

    fn send_trace(
        &mut self,
        header: Header,
        message: TraceMessage,
        now: Instant,
    ) -> Result<PacketId, SendError> {
        let mut payload = Vec::new();
        message.encode_into(&mut payload);
        self.send_routed(header, &payload, now)
    }

    fn describe(
        &self,
        header: &Header,
        traced: Traced,
        (ingress, egress): (Option<NodeId>, Option<NodeId>),
        now: Instant,
    ) -> TraceReport {
        let link = egress.and_then(|egress| self.link_of(egress));
        let session = link.and_then(|link| link.association.session());
        let frame_bytes_max = session.and_then(|session| session.payload_bytes_max()).unwrap_or(0);
        TraceReport {
            leg: traced.leg,
            hop_limit: header.hop_limit,
            path_mtu: header.path_mtu,
            token: traced.token,
            ingress,
            egress,
            frame_bytes_max: u16::try_from(frame_bytes_max).unwrap_or(u16::MAX),
            round_trip: egress.and_then(|egress| self.round_trip(egress)),
            queue_delay: egress.map(|egress| self.queue_delay(egress)),
            session_age: link
                .and_then(|link| link.association.live_since())
                .map(|since| now.saturating_duration_since(since)),
        }
    }

    fn next_hop(&self, header: &Header, now: Instant) -> Option<NodeId> {
        if header.destination == self.us {
            return None;
        }
        self.relay.next_hop(header, (usable(&self.neighbours), learned(self.router.as_deref())), now)
    }

    /// Returns the neighbour that a frame came from; `None` when it was made here.
    fn other(&self, from: NodeId) -> Option<NodeId> {
        (from != self.us).then_some(from)
    }

    fn tell_of_hop(&mut self, reporter: NodeId, place: TracePlace, report: TraceReport) {
        self.events.push_back(Event::TraceReport(TraceSeen { reporter, place, report }));
    }
}

fn answer_to(request: &Header) -> Header {
    Header {
        flow: request.flow,
        flags: Flags::REPLY,
        ..Header::new(Kind::Trace, request.destination, request.source)
    }
}
