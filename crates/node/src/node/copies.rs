//! The part of a node that gives copies of its frames to whoever asked for them, as they lie inside records.

use std::collections::VecDeque;

use peerbound_wire::NodeId;

use crate::node::Node;

/// Bytes of frames that may wait to be taken. They are taken after every input, which is one batch at most:
/// 32 buffers of 64 KiB received, and as much sent.
const COPIES_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A frame as it crossed a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameCopy {
    /// The neighbour at the other end.
    pub neighbour: NodeId,
    /// Which way it went.
    pub way: FrameWay,
    /// The whole frame.
    pub bytes: Vec<u8>,
}

/// Which way a frame crossed a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FrameWay {
    /// It came out of the link.
    In,
    /// It went into the link.
    Out,
}

/// The copies that wait to be taken.
#[derive(Debug, Default)]
pub(super) struct Copies {
    is_on: bool,
    waiting: VecDeque<FrameCopy>,
    bytes: usize,
    lost: u64,
}

impl Copies {
    pub(super) fn note(&mut self, neighbour: NodeId, way: FrameWay, bytes: &[u8]) {
        if !self.is_on {
            return;
        }
        if self.bytes + bytes.len() > COPIES_BYTES_MAX {
            self.lost += 1;
            return;
        }
        self.bytes += bytes.len();
        self.waiting.push_back(FrameCopy { neighbour, way, bytes: bytes.to_vec() });
    }
}

impl Node {
    /// Starts or stops to make copies of all frames; what waits is forgotten when it stops.
    pub fn copy_frames(&mut self, is_on: bool) {
        if self.copies.is_on != is_on {
            self.copies = Copies { is_on, ..Copies::default() };
        }
    }

    /// Takes the next copy of a frame, until there is none.
    pub fn poll_copy(&mut self) -> Option<FrameCopy> {
        let copy = self.copies.waiting.pop_front()?;
        self.copies.bytes -= copy.bytes.len();
        Some(copy)
    }

    /// Returns how many copies were not made because too many waited.
    #[must_use]
    pub fn copies_lost(&self) -> u64 {
        self.copies.lost
    }

    /// Returns whether every session that comes up is told of.
    #[must_use]
    pub fn observes_sessions(&self) -> bool {
        self.config.observe_sessions
    }

    /// Starts or stops to tell of every session that comes up, with its secrets: what
    /// [`crate::NodeConfig::observe_sessions`] says at the start.
    pub fn observe_sessions(&mut self, is_on: bool) {
        self.config.observe_sessions = is_on;
    }
}
