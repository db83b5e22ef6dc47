//! The datagrams between a session and its caller: one on its way in, a queue on its way out.
//! Boundaries are kept; nothing here is a byte stream.

use std::collections::VecDeque;
use std::time::Duration;

use crate::direct::Written;
use crate::options::Repeats;
use crate::record::RECORD_HEADER_BYTES;

/// Datagrams a session may have waiting to be sent. OpenSSL writes at most one flight at a time,
/// and a flight is some dozen datagrams; application data is collected after every `send`.
const OUTBOUND_DATAGRAMS_MAX: usize = 256;

/// The two ends of the wire under one session.
pub(crate) struct Transport {
    mtu: u16,
    first_timeout: Duration,
    repeats: Repeats,
    /// Whether anything was ever laid ready to be read.
    heard: bool,
    inbound: Vec<u8>,
    inbound_waits: bool,
    outbound: Vec<u8>,
    /// Where each outbound datagram ends in `outbound`, and in what shape it is; oldest first.
    ends: VecDeque<(usize, Shape)>,
    sent: usize,
    numbering: Numbering,
}

/// Whose numbers the protected records have that OpenSSL writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Numbering {
    /// Its own, and those so far are noted: who takes the records over begins behind them.
    Noted(Option<Written>),
    /// Its own: nobody takes them over.
    Openssl,
    /// They are not for others to see: somebody else numbers the records that are.
    HandedOver,
}

/// In what shape an outbound datagram is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// It can leave as it is.
    Ready,
    /// OpenSSL wrote it after the handover: its protected records bear numbers that are not for others to see.
    Unnumbered,
}

impl Transport {
    pub(crate) fn new(mtu: u16, first_timeout: Duration, repeats: Repeats) -> Self {
        Self {
            mtu,
            first_timeout,
            repeats,
            heard: false,
            inbound: Vec::new(),
            inbound_waits: false,
            outbound: Vec::new(),
            ends: VecDeque::new(),
            sent: 0,
            numbering: Numbering::Noted(None),
        }
    }

    pub(crate) fn mtu(&self) -> u16 {
        self.mtu
    }

    /// Returns how long the session's first flight waits for its answer.
    pub(crate) fn first_timeout(&self) -> Duration {
        self.first_timeout
    }

    /// Returns whether the flight that waits is sent again at the same interval as before: a hello that
    /// nobody has answered.
    pub(crate) fn is_steady(&self) -> bool {
        self.repeats == Repeats::Steady && !self.heard
    }

    /// Lays one datagram ready to be read. An empty one is ignored: OpenSSL would take it for the
    /// end of the file.
    pub(crate) fn feed(&mut self, datagram: &[u8]) {
        self.inbound.clear();
        self.inbound.extend_from_slice(datagram);
        self.inbound_waits = !datagram.is_empty();
        self.heard = true;
    }

    /// Lays a record ready as [`Self::feed`] does, under another record number.
    pub(crate) fn feed_renumbered(&mut self, record: &[u8], number: u64) {
        self.feed(record);
        if let Some(header) = self.inbound.first_chunk_mut::<RECORD_HEADER_BYTES>() {
            // Behind type, version and epoch come the 48 bits of the number (RFC 6347, 4.1).
            header[5..11].copy_from_slice(&number.to_be_bytes()[2..]);
        }
    }

    /// Hands out the datagram that waits, once.
    pub(crate) fn take_inbound(&mut self) -> Option<&[u8]> {
        std::mem::take(&mut self.inbound_waits).then_some(&self.inbound[..])
    }

    /// Throws away a datagram that OpenSSL did not come to read.
    pub(crate) fn forget_inbound(&mut self) {
        self.inbound_waits = false;
    }

    /// Takes a datagram that OpenSSL writes.
    pub(crate) fn write(&mut self, datagram: &[u8]) {
        let shape = match &mut self.numbering {
            Numbering::Noted(written) => {
                Written::note(written, datagram);
                Shape::Ready
            }
            Numbering::Openssl => Shape::Ready,
            Numbering::HandedOver => Shape::Unnumbered,
        };
        self.push(shape, |outbound| outbound.extend_from_slice(datagram));
    }

    /// Adds a datagram that is ready to leave.
    pub(crate) fn push_ready(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.push(Shape::Ready, write);
    }

    fn push(&mut self, shape: Shape, write: impl FnOnce(&mut Vec<u8>)) {
        if self.ends.len() >= OUTBOUND_DATAGRAMS_MAX {
            return; // as a full socket buffer would; retransmission makes it good
        }
        if self.ends.is_empty() {
            self.outbound.clear();
            self.sent = 0;
        }
        write(&mut self.outbound);
        self.ends.push_back((self.outbound.len(), shape));
    }

    /// Returns what OpenSSL wrote of protected records in the handshake.
    pub(crate) fn written(&self) -> Option<Written> {
        match self.numbering {
            Numbering::Noted(written) => written,
            Numbering::Openssl | Numbering::HandedOver => None,
        }
    }

    /// Takes in that the handshake is over: whether somebody else numbers the records from here on.
    pub(crate) fn end_handshake(&mut self, is_handed_over: bool) {
        self.numbering = if is_handed_over { Numbering::HandedOver } else { Numbering::Openssl };
    }

    /// Lends the oldest outbound datagram and forgets it.
    pub(crate) fn poll_outbound(&mut self) -> Option<(&[u8], Shape)> {
        let (end, shape) = self.ends.pop_front()?;
        let start = std::mem::replace(&mut self.sent, end);
        Some((&self.outbound[start..end], shape))
    }

    /// Takes the newest outbound datagram back and adds it to `datagram`.
    pub(crate) fn move_newest(&mut self, datagram: &mut Vec<u8>) {
        let Some((end, _)) = self.ends.pop_back() else { return };
        let start = self.ends.back().map_or(self.sent, |(end, _)| *end);
        datagram.extend_from_slice(&self.outbound[start..end]);
        self.outbound.truncate(start);
    }

    pub(crate) fn has_outbound(&self) -> bool {
        !self.ends.is_empty()
    }
}
