//! Which frame a datagram carries. Nobody can see that on the wire; the node that sent it said so, just
//! before: "this frame goes to B", and then a datagram for B whose length is that frame's, sealed.

use std::collections::{BTreeMap, VecDeque};

use peerbound_wire::{HEADER_BYTES, Header};

use crate::trace::{Entry, Happening, HostIndex, Nanos, SealedBy, Trace, Way};

/// How long after a frame its datagram may leave. On the simulator it is no time at all; a thread of a
/// daemon that waits for a processor takes longer.
const PATIENCE: Nanos = Nanos(50_000_000);

/// What sealing adds under the suites of CBC, at least and at most: a header of 13 bytes, an IV of 16, a MAC
/// of 20 to 48, a padding of 1 to 16.
const CBC_SEAL_BYTES: (usize, usize) = (13 + 16 + 20 + 1, 13 + 16 + 48 + 16);

/// A frame on its way over one link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Carried<'a> {
    /// Its header, as its sender sealed it.
    pub header: &'a Header,
    /// Bytes of payload.
    pub payload_bytes: usize,
    /// What the scenario calls its message.
    pub label: Option<&'a str>,
}

struct Leaving<'a> {
    at: Nanos,
    frame: Carried<'a>,
}

/// Frames that were said to leave, by their sender and the one they go to, oldest first.
#[derive(Default)]
pub(crate) struct Leavings<'a> {
    of_link: BTreeMap<(HostIndex, &'a str), VecDeque<Leaving<'a>>>,
}

impl<'a> Leavings<'a> {
    /// Notes a frame that goes to a neighbour; passes over every other entry.
    pub(crate) fn note(&mut self, entry: &'a Entry) {
        let Happening::Frame { host, header, payload_bytes, action, label, .. } = &entry.what else { return };
        let Some(to) = action.strip_prefix("sent to ") else { return };
        let frame = Carried { header, payload_bytes: *payload_bytes, label: label.as_deref() };
        self.of_link.entry((*host, to)).or_default().push_back(Leaving { at: entry.at, frame });
    }

    /// Finds the frame of a datagram that leaves, and forgets those that were never sent.
    pub(crate) fn take(&mut self, trace: &'a Trace, entry: &Entry) -> Option<Carried<'a>> {
        let Happening::Sent { by, way: Way::Socket, bytes, sealed_by: Some(sealed_by), .. } = &entry.what
        else {
            return None;
        };
        let leaving = self.of_link.get_mut(&(*by, trace.name_of(sealed_by.to)))?;
        while leaving.front().is_some_and(|oldest| oldest.at.0.saturating_add(PATIENCE.0) < entry.at.0) {
            leaving.pop_front();
        }
        let (least, most) = trace.seal_bytes(*sealed_by);
        let fits = |waiting: &Leaving<'_>| {
            let frame_bytes = HEADER_BYTES + waiting.frame.payload_bytes;
            (frame_bytes + least..=frame_bytes + most).contains(&bytes.len())
        };
        let place = leaving.iter().position(fits)?;
        leaving.drain(..=place).next_back().map(|found| found.frame)
    }
}

impl Trace {
    /// Returns what sealing adds to a frame, at least and at most.
    fn seal_bytes(&self, sealed_by: SealedBy) -> (usize, usize) {
        let session = usize::try_from(sealed_by.session.0).ok().and_then(|index| self.sessions.get(index));
        match session.map_or("", |session| session.suite.as_str()) {
            suite if suite.contains("GCM") => (13 + 8 + 16, 13 + 8 + 16),
            suite if suite.contains("CHACHA20") => (13 + 16, 13 + 16),
            _ => CBC_SEAL_BYTES,
        }
    }

    /// Describes a frame: "data frame 2 from A to C, 14 bytes, flow 7, hop limit 32".
    #[must_use]
    pub fn describe_frame(&self, frame: &Carried<'_>) -> String {
        let name = |id| {
            let host = self.hosts.iter().find(|host| host.id == Some(id));
            host.map_or_else(|| id.short(), |host| host.name.clone())
        };
        let header = frame.header;
        format!(
            "{} frame {} from {} to {}, {} bytes of payload, flow {}, hop limit {}",
            format!("{:?}", header.kind).to_lowercase(),
            header.packet.0,
            name(header.source),
            name(header.destination),
            frame.payload_bytes,
            header.flow.0,
            header.hop_limit.0
        )
    }
}
