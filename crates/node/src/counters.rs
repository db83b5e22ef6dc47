//! What a node counts. Every drop has a reason, and at every moment
//! `received + originated = sent + delivered + queued + Σ dropped` holds for frames.

use std::collections::BTreeMap;

use peerbound_dtls::DiscardCounts;

use crate::reasons;

reasons! {
    /// Why a frame went no further.
    pub enum FrameDrop {
        /// The plaintext of the record is no frame, or its payload not what its kind says.
        BadFrame => "bad-frame",
        /// It was seen before.
        Duplicate => "duplicate",
        /// There is no way to its destination.
        NoRoute => "no-route",
        /// It has passed as many relays as it may.
        HopLimit => "hop-limit",
        /// It does not fit the next link.
        TooBig => "too-big",
        /// One of our own: as much waits to be sent as may wait, and most of it is of the same flow.
        QueueFull => "queue-full",
        /// It stood too long in a queue that did not get shorter (RFC 8289).
        Codel => "codel",
        /// It was the oldest of the flow that took most of a queue that was full.
        QueueBytes => "queue-bytes",
        /// A routing frame that is not from the neighbour itself, or not for us.
        NotFromNeighbour => "not-from-neighbour",
        /// Its kind has no meaning at its destination in this version.
        Unsupported => "unsupported",
        /// The next link's session failed while sealing.
        LinkFailed => "link-failed",
        /// An answer to a question that was not asked, or more of them than it may have.
        Unasked => "unasked",
        /// A payload in the clear from a node with which we speak in inner sessions only.
        ClearRefused => "clear-refused",
        /// A frame of an inner session from a node with which we hold none.
        InnerRefused => "inner-refused",
        /// A frame of an inner session that is not there.
        NoInnerSession => "no-inner-session",
        /// Its inner session discarded the record; [`Counters::inner_discarded`] knows why.
        InnerRecord => "inner-record",
        /// A hello of an inner session for which there is no budget.
        InnerThrottled => "inner-throttled",
        /// More waits for an inner session to open than may wait, or too many sessions are being opened.
        InnerQueueFull => "inner-queue-full",
        /// It waited for an inner session that could not be opened.
        InnerFailed => "inner-failed",
        /// It waited for an inner session for too long.
        InnerExpired => "inner-expired",
    }
}

reasons! {
    /// Why a datagram was dropped before any session judged its records, or before it was sent.
    pub enum DatagramDrop {
        /// No session belongs to its source address.
        NoSession => "no-session",
        /// A hello that a stateless server cannot answer.
        HelloRefused => "hello-refused",
        /// More verified hellos than a prefix may send.
        HelloThrottled => "hello-throttled",
        /// As many half-open handshakes as there may be, and no site has more of them than this one.
        HalfOpenFull => "half-open-full",
        /// One of ours, of a handshake or to a stranger: as much waits to be sent as may wait.
        QueueFull => "queue-full",
    }
}

/// The counters of one node. Bounded: there are as many entries as reasons.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    /// Datagrams that arrived.
    pub datagrams_received: u64,
    /// ClientHellos answered with a demand for a cookie.
    pub hellos_challenged: u64,
    /// Datagrams of sessions unknown here that were answered with advice.
    pub advice_given: u64,
    /// Datagrams dropped before a session.
    pub datagrams_dropped: BTreeMap<DatagramDrop, u64>,
    /// Records discarded by link sessions that are over; the living count their own.
    pub records_discarded: DiscardCounts,
    /// Records discarded by inner sessions.
    pub inner_discarded: DiscardCounts,
    /// Peers whose certificate was refused.
    pub peers_refused: u64,
    /// Frames that came out of link sessions.
    pub frames_received: u64,
    /// Frames that were made here.
    pub frames_originated: u64,
    /// Frames that went into link sessions.
    pub frames_sent: u64,
    /// Frames that found their end here.
    pub frames_delivered: u64,
    /// Frames that wait here at this moment.
    pub frames_queued: u64,
    /// Frames dropped, by reason.
    pub frames_dropped: BTreeMap<FrameDrop, u64>,
}

/// Frames that began here or came here, since the node was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FrameCounts {
    /// Those that came out of link sessions.
    pub received: u64,
    /// Those that were made here.
    pub originated: u64,
}

impl Counters {
    /// Returns whether no frame was lost count of.
    #[must_use]
    pub fn is_conserved(&self) -> bool {
        let dropped: u64 = self.frames_dropped.values().sum();
        self.frames_received + self.frames_originated
            == self.frames_sent + self.frames_delivered + self.frames_queued + dropped
    }

    pub(crate) fn drop_frame(&mut self, reason: FrameDrop) {
        *self.frames_dropped.entry(reason).or_default() += 1;
    }

    pub(crate) fn drop_datagram(&mut self, reason: DatagramDrop) {
        *self.datagrams_dropped.entry(reason).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_too_many_or_too_few_is_noticed() {
        let mut counters =
            Counters { frames_received: 3, frames_originated: 2, frames_sent: 2, ..Counters::default() };
        counters.frames_delivered = 1;
        counters.drop_frame(FrameDrop::NoRoute);
        assert!(!counters.is_conserved());

        counters.drop_frame(FrameDrop::Duplicate);
        assert!(counters.is_conserved());

        counters.frames_queued += 1;
        assert!(!counters.is_conserved());

        counters.frames_received += 1;
        assert!(counters.is_conserved());

        counters.frames_sent += 1;
        assert!(!counters.is_conserved());
    }
}
