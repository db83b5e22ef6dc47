//! Remembers the datagrams that were refused last, and the frames that were dropped last, so that somebody
//! may be told why. Bounded; it keeps the first bytes of a datagram, and of frames the header alone.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use peerbound_dtls::{ContentType, DownReason, RecordHeader};
use peerbound_wire::{Header, NodeId};

use crate::counters::FrameDrop;
use crate::verdict::{Lock, Reason, Verdict};

/// Datagrams, and frames, that are remembered at most: 256 x about 250 bytes = 64 kB for both.
pub const STRAYS_MAX: usize = 256;

/// Bytes of a datagram that are remembered: 13 record header, 12 handshake header, and some to look at.
pub const HEAD_BYTES: usize = 32;

/// The two memories of a node.
#[derive(Debug)]
pub(crate) struct Strays {
    max: usize,
    datagrams: VecDeque<Stray>,
    frames: VecDeque<DroppedFrame>,
    /// Why the last peer was refused, until the datagram that did it is noted.
    refusal: Option<String>,
}

/// A datagram that went no further than a lock. The same again from the same address is one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stray {
    /// When the last one came.
    pub at: Instant,
    /// When the first one came.
    pub first_at: Instant,
    /// How many came one after the other, with nothing else between them.
    pub times: u64,
    /// Where the last one came from.
    pub from: SocketAddr,
    /// What became of it.
    pub verdict: Verdict,
    /// Why.
    pub reason: Option<Reason>,
    /// Why a peer was refused, in words, where it was.
    pub refusal: Option<String>,
    /// Bytes of the last one.
    pub bytes: usize,
    head: [u8; HEAD_BYTES],
}

/// A frame that went no further. The same again from the same node is one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DroppedFrame {
    /// When the last one was dropped.
    pub at: Instant,
    /// When the first one was dropped.
    pub first_at: Instant,
    /// How many were dropped one after the other, with nothing else between them.
    pub times: u64,
    /// The header of the last one; `None` when it was no frame.
    pub header: Option<Header>,
    /// Bytes of payload of the last one, or of what was no frame.
    pub payload_bytes: usize,
    /// The neighbour it came from; `None` when it was made here.
    pub from: Option<NodeId>,
    /// Why.
    pub reason: FrameDrop,
}

impl Strays {
    pub(crate) fn with_max(max: usize) -> Self {
        let max = max.min(STRAYS_MAX);
        let (datagrams, frames) = (VecDeque::with_capacity(max), VecDeque::with_capacity(max));
        Self { max, datagrams, frames, refusal: None }
    }

    pub(crate) fn datagrams(&self) -> impl Iterator<Item = &Stray> {
        self.datagrams.iter()
    }

    pub(crate) fn frames(&self) -> impl Iterator<Item = &DroppedFrame> {
        self.frames.iter()
    }

    pub(crate) fn note_refusal(&mut self, reason: &DownReason) {
        if self.max > 0 {
            self.refusal = Some(reason.to_string());
        }
    }

    pub(crate) fn note_datagram(
        &mut self,
        from: SocketAddr,
        datagram: &[u8],
        (verdict, reason): (Verdict, Option<Reason>),
        now: Instant,
    ) {
        if self.max == 0 {
            return;
        }
        let refusal = self.refusal.take().filter(|_| verdict == Verdict::Dropped(Lock::Identity));
        let mut head = [0; HEAD_BYTES];
        head.iter_mut().zip(datagram).for_each(|(to, from)| *to = *from);
        let (times, first_at) = (1, now);
        let bytes = datagram.len();
        let stray = Stray { at: now, first_at, times, from, verdict, reason, refusal, bytes, head };
        let last = self.datagrams.back_mut();
        if let Some(last) = last.filter(|last| last.is_like(&stray)) {
            *last = Stray { first_at: last.first_at, times: last.times.saturating_add(1), ..stray };
            return;
        }
        make_room(&mut self.datagrams, self.max);
        self.datagrams.push_back(stray);
    }

    pub(crate) fn note_frame(
        &mut self,
        (header, payload_bytes): (Option<&Header>, usize),
        from: Option<NodeId>,
        reason: FrameDrop,
        now: Instant,
    ) {
        if self.max == 0 {
            return;
        }
        let (times, first_at, header) = (1, now, header.copied());
        let dropped = DroppedFrame { at: now, first_at, times, header, payload_bytes, from, reason };
        let last = self.frames.back_mut();
        if let Some(last) = last.filter(|last| last.is_like(&dropped)) {
            *last = DroppedFrame { first_at: last.first_at, times: last.times.saturating_add(1), ..dropped };
            return;
        }
        make_room(&mut self.frames, self.max);
        self.frames.push_back(dropped);
    }
}

impl Stray {
    /// Returns its first bytes, up to [`HEAD_BYTES`].
    #[must_use]
    pub fn head(&self) -> &[u8] {
        &self.head[..self.bytes.min(HEAD_BYTES)]
    }

    /// Returns the header of its first record, if it begins with one.
    #[must_use]
    pub fn record(&self) -> Option<RecordHeader> {
        RecordHeader::of(self.head())
    }

    /// Returns the type of its handshake message, where that can be read (RFC 5246, 7.4).
    #[must_use]
    pub fn handshake_type(&self) -> Option<u8> {
        let record = self.record()?;
        let is_readable = record.content_type == ContentType::Handshake && record.epoch == 0;
        self.head().get(peerbound_dtls::RECORD_HEADER_BYTES).copied().filter(|_| is_readable)
    }

    fn is_like(&self, other: &Self) -> bool {
        let kind = |stray: &Self| stray.head().first().copied();
        (self.from, self.verdict, self.reason, &self.refusal)
            == (other.from, other.verdict, other.reason, &other.refusal)
            && kind(self) == kind(other)
    }
}

impl DroppedFrame {
    fn is_like(&self, other: &Self) -> bool {
        let about = |frame: &Self| {
            frame.header.map(|header| (header.kind, header.source, header.destination, header.flow))
        };
        (self.from, self.reason, about(self)) == (other.from, other.reason, about(other))
    }
}

fn make_room<T>(ring: &mut VecDeque<T>, max: usize) {
    if ring.len() >= max {
        ring.pop_front();
    }
}
