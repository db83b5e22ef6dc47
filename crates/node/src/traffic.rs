//! Counts the frames that a link carries.

use peerbound_dtls::Plaintexts;

/// Frames and their bytes, each way. A frame's bytes are its header and its payload, without what DTLS and
/// UDP add.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Frames that went into the link.
    pub frames_sent: u64,
    /// Their bytes.
    pub bytes_sent: u64,
    /// Frames that came out of the link.
    pub frames_received: u64,
    /// Their bytes.
    pub bytes_received: u64,
}

impl Traffic {
    pub(crate) fn send(&mut self, bytes: usize) {
        self.frames_sent += 1;
        self.bytes_sent += bytes as u64;
    }

    pub(crate) fn receive(&mut self, frames: &Plaintexts) {
        self.frames_received += frames.len() as u64;
        self.bytes_received += frames.bytes() as u64;
    }

    pub(crate) fn receive_one(&mut self, bytes: usize) {
        self.frames_received += 1;
        self.bytes_received += bytes as u64;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.frames_sent += other.frames_sent;
        self.bytes_sent += other.bytes_sent;
        self.frames_received += other.frames_received;
        self.bytes_received += other.bytes_received;
    }
}
