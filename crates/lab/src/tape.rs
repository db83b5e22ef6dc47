//! What went over the wires of an experiment, in order, for a capture file.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use peerbound_node::Verdict;

use crate::cast::Who;
use crate::pcapng::{Capture, CaptureError, CapturedPacket};

/// Datagrams that one demonstration may record: it sends some hundreds.
const TAPED_MAX: usize = 100_000;

/// One datagram, as one end of its wire saw it.
#[derive(Debug, Clone)]
pub struct Taped {
    /// When, since 1970.
    pub at: Duration,
    /// At whose end: 0, 1, 2 for A, B, C.
    pub station: usize,
    /// Where it came from.
    pub source: SocketAddr,
    /// Where it went.
    pub destination: SocketAddr,
    /// The datagram.
    pub payload: Vec<u8>,
    /// What its receiver made of it; `None` at its sender.
    pub verdict: Option<Verdict>,
    /// What the experiment says about it.
    pub comment: Option<String>,
}

/// A recording, and the key log of every session in it.
#[derive(Debug, Clone, Default)]
pub struct Tape {
    /// The datagrams in order.
    pub datagrams: Vec<Taped>,
    /// One key log line for each session.
    pub keylog: Vec<String>,
}

impl Tape {
    pub(crate) fn record(&mut self, taped: Taped) {
        if self.datagrams.len() < TAPED_MAX {
            self.datagrams.push(taped);
        }
    }

    /// Makes a capture of it: one interface for each node, the secrets of every session, and the
    /// verdict of its receiver beside each datagram. The two ends of a datagram have one packet id.
    ///
    /// # Errors
    /// When there is more than a capture holds.
    pub fn to_capture(&self) -> Result<Capture, CaptureError> {
        let mut capture = Capture::new();
        let interfaces = Who::ALL.map(|who| capture.add_interface(who.name()));
        capture.add_secrets(&self.keylog)?;
        let mut ids = BTreeMap::new();
        for taped in &self.datagrams {
            let Some((who, interface)) = Who::ALL.get(taped.station).zip(interfaces.get(taped.station))
            else {
                continue;
            };
            let next_id = ids.len() as u64;
            let verdict = taped.verdict.map(|verdict| format!("at {}: {verdict}", who.name()));
            capture.add_packet(CapturedPacket {
                at: taped.at,
                interface: *interface,
                source: taped.source,
                destination: taped.destination,
                payload: taped.payload.clone(),
                comment: taped.comment.clone().or(verdict),
                packet_id: *ids.entry(&taped.payload).or_insert(next_id),
            })?;
        }
        Ok(capture)
    }

    pub(crate) fn append(&mut self, mut other: Self) {
        other.datagrams.into_iter().for_each(|taped| self.record(taped));
        self.keylog.append(&mut other.keylog);
    }
}

pub(crate) fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
