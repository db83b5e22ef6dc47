//! Copies of what passes a running node, for whoever asks for them while it runs: the datagrams as they are sent
//! and received, or the frames inside. A full channel costs the copy, never the node; a node that nobody
//! taps pays one branch.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crossbeam_channel::{Receiver, bounded};
use peerbound_node::{Event, FrameCopy, Node, Reason, SessionSeen, Transmit, Verdict};
use peerbound_wire::NodeId;

use crate::clock;
use crate::lossy::LossySender;

/// Copies that may wait for their taker: 4096 of 1400 bytes are 5.7 MB for each tap.
pub const TAPPED_MAX: usize = 4096;

/// Taps on one node at a time: 4 x 5.7 MB = 23 MB.
pub const TAPS_MAX: usize = 4;

/// What is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TapOptions {
    /// Whether frames or datagrams.
    pub of: TapOf,
    /// Whether the secrets of sessions are told, those that come up from here on. With them anyone can read
    /// these sessions and forge them.
    pub secrets: bool,
}

/// What a tap copies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TapOf {
    /// The frames that cross links, as they lie inside records.
    Frames,
    /// The datagrams, as they are sent and received.
    Datagrams,
}

/// Something that passed.
#[derive(Debug, Clone)]
pub struct Tapped {
    /// When.
    pub at: Instant,
    /// What.
    pub what: Copied,
}

/// What passed.
#[derive(Debug, Clone)]
pub enum Copied {
    /// A frame crossed a link.
    Frame(FrameCopy),
    /// A datagram arrived, and the node came to a verdict.
    Arrived {
        /// Where it came from.
        from: SocketAddr,
        /// The datagram.
        bytes: Vec<u8>,
        /// What became of it.
        verdict: Verdict,
        /// Why, where it was dropped.
        reason: Option<Reason>,
    },
    /// A datagram was given to the kernel.
    Sent {
        /// Where it goes.
        to: SocketAddr,
        /// The datagram.
        bytes: Vec<u8>,
    },
    /// A session came up.
    Secrets {
        /// Who is at its other end.
        peer: NodeId,
        /// Its line in a key log.
        keylog: String,
    },
}

/// The end of a tap where copies come out. Dropping it ends the tap.
#[derive(Debug)]
pub struct Tap {
    copies: Receiver<Tapped>,
    dropped: Arc<AtomicU64>,
}

impl Tap {
    /// Returns the queue of copies.
    #[must_use]
    pub fn copies(&self) -> &Receiver<Tapped> {
        &self.copies
    }

    /// Returns how many copies found the queue full.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

#[derive(Debug)]
struct Tapping {
    options: TapOptions,
    copies: LossySender<Tapped>,
}

/// The taps on a node.
#[derive(Debug, Default)]
pub(crate) struct Taps {
    taps: Vec<Tapping>,
    /// Whether somebody else wants to be told of sessions, too.
    owner_wants_sessions: bool,
}

impl Taps {
    pub(crate) fn new(owner_wants_sessions: bool) -> Self {
        Self { taps: Vec::new(), owner_wants_sessions }
    }

    /// Adds a tap; `None` when there are as many as there may be.
    pub(crate) fn add(&mut self, options: TapOptions, node: &mut Node) -> Option<Tap> {
        self.forget_the_gone(node);
        if self.taps.len() >= TAPS_MAX {
            return None;
        }
        let (copies, copies_out) = bounded(TAPPED_MAX);
        let copies = LossySender::new(copies);
        let dropped = copies.count();
        self.taps.push(Tapping { options, copies });
        self.tell_node(node);
        Some(Tap { copies: copies_out, dropped })
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.taps.is_empty()
    }

    pub(crate) fn want_datagrams(&self) -> bool {
        self.taps.iter().any(|tap| tap.options.of == TapOf::Datagrams)
    }

    pub(crate) fn on_arrival(
        &self,
        from: SocketAddr,
        datagram: &[u8],
        (verdict, reason): (Verdict, Option<Reason>),
    ) {
        self.put(TapOf::Datagrams, || Copied::Arrived { from, bytes: datagram.to_vec(), verdict, reason });
    }

    pub(crate) fn on_send(&self, batch: &Transmit) {
        for datagram in batch.datagrams() {
            let to = batch.destination;
            self.put(TapOf::Datagrams, || Copied::Sent { to, bytes: datagram.to_vec() });
        }
    }

    /// Takes the copies of frames that wait at the node.
    pub(crate) fn take_frames(&self, node: &mut Node) {
        while let Some(copy) = node.poll_copy() {
            self.put(TapOf::Frames, || Copied::Frame(copy.clone()));
        }
    }

    /// Takes an event that only taps asked for; returns every other.
    pub(crate) fn take_event(&self, event: Event) -> Option<Event> {
        let Event::Session(SessionSeen { peer, secrets, .. }) = &event else {
            return Some(event);
        };
        for tap in self.taps.iter().filter(|tap| tap.options.secrets) {
            tap.put(Copied::Secrets { peer: *peer, keylog: secrets.keylog_line() });
        }
        self.owner_wants_sessions.then_some(event)
    }

    /// Forgets taps whose other end is gone, and lets the node do no more than the others want.
    pub(crate) fn forget_the_gone(&mut self, node: &mut Node) {
        let before = self.taps.len();
        self.taps.retain(|tap| tap.copies.is_counted_elsewhere());
        if self.taps.len() != before {
            self.tell_node(node);
        }
    }

    fn tell_node(&self, node: &mut Node) {
        node.copy_frames(self.taps.iter().any(|tap| tap.options.of == TapOf::Frames));
        let wants_secrets = self.taps.iter().any(|tap| tap.options.secrets);
        node.observe_sessions(self.owner_wants_sessions || wants_secrets);
    }

    fn put(&self, of: TapOf, make: impl Fn() -> Copied) {
        self.taps.iter().filter(|tap| tap.options.of == of).for_each(|tap| tap.put(make()));
    }
}

impl Tapping {
    fn put(&self, what: Copied) {
        self.copies.put(Tapped { at: clock::now(), what });
    }
}
