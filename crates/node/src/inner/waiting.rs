//! Payloads that wait for their inner session to open: so many bytes, for so long, and no more.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use peerbound_wire::Header;

use crate::inner::content::Content;

/// Bytes that may wait for one session: a few dozen full packets, as long as a handshake takes.
pub(crate) const WAITING_BYTES_MAX: usize = 64 * 1024;

/// Payloads that may wait for one session, for they may be empty.
pub(crate) const WAITING_PAYLOADS_MAX: usize = 256;

/// How long one may wait. Retransmissions of a handshake at 0.25, 0.75, 1.75 and 3.75 s fall into it; what is
/// older, its sender has sent again or given up.
pub(crate) const WAITING_LASTS: Duration = Duration::from_secs(5);

/// One payload that waits.
#[derive(Debug)]
pub(crate) struct Waiter {
    /// The header of its frame, which has its number.
    pub(crate) header: Header,
    pub(crate) content: Content,
    pub(crate) payload: Vec<u8>,
    since: Instant,
}

/// The payloads that wait for one session, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    waiters: VecDeque<Waiter>,
    bytes: usize,
}

impl Waiting {
    /// Lets a payload wait; says whether there was room.
    pub(crate) fn push(&mut self, header: Header, content: Content, payload: &[u8], now: Instant) -> bool {
        let bytes = self.bytes + payload.len();
        if bytes > WAITING_BYTES_MAX || self.waiters.len() >= WAITING_PAYLOADS_MAX {
            return false;
        }
        self.bytes = bytes;
        self.waiters.push_back(Waiter { header, content, payload: payload.to_vec(), since: now });
        true
    }

    /// Takes the oldest.
    pub(crate) fn pop(&mut self) -> Option<Waiter> {
        let waiter = self.waiters.pop_front()?;
        self.bytes -= waiter.payload.len();
        Some(waiter)
    }

    /// Takes the oldest, if it has waited as long as it may.
    pub(crate) fn pop_expired(&mut self, now: Instant) -> Option<Waiter> {
        if self.expires_at().is_some_and(|at| at <= now) { self.pop() } else { None }
    }

    /// Returns when the oldest will have waited as long as it may.
    pub(crate) fn expires_at(&self) -> Option<Instant> {
        self.waiters.front().map(|waiter| waiter.since + WAITING_LASTS)
    }

    pub(crate) fn len(&self) -> usize {
        self.waiters.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}
