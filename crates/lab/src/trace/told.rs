//! Which of the datagrams of a trace a story is about. Nodes say hello twice a second; whoever looks
//! for one reply among a hundred of them does not see it.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use peerbound_node::{Lock, Verdict};

use crate::trace::journey::{Fate, Journey};
use crate::trace::{HostIndex, Trace};

/// What tells a liveness datagram from the rest: the length of a protected routing hello. Its contents
/// are sealed, and the length is what an onlooker has, too.
#[derive(Debug)]
pub(crate) struct Told {
    hello_lengths: BTreeSet<usize>,
}

/// Bytes of a hello before it is sealed: 54 of header, 4 of variant, 4 sequence, 4 heard.
const HELLO_FRAME_BYTES: usize = 54 + 4 + 4 + 4;

/// What the cipher suites add to a frame: 13 of record header and 24 (GCM) or 16 (ChaCha20-Poly1305); for
/// CBC a padding to whole blocks and a MAC of 20 or 32 bytes, besides the IV of 16.
const SEAL_BYTES: [usize; 4] = [13 + 24, 13 + 16, 13 + 16 + 20 + 10, 13 + 16 + 32 + 14];

impl Told {
    /// Returns whether a datagram belongs to the story: everything that is no hello of a node's, and every
    /// hello that did not arrive as it should.
    pub(crate) fn is_told(&self, journey: &Journey<'_>) -> bool {
        journey.title().is_some()
            || journey.carries.is_some()
            || !journey.went_well()
            || !self.is_liveness(journey)
    }

    /// Returns whether an event belongs to it.
    pub(crate) fn is_event(&self, kind: &str) -> bool {
        kind != "delivered"
    }

    pub(crate) fn is_liveness(&self, journey: &Journey<'_>) -> bool {
        journey.contents.starts_with("data #") && self.hello_lengths.contains(&journey.bytes.len())
    }
}

impl Journey<'_> {
    /// Returns whether it did what it was sent for: a session took it, or a cookie answered it.
    pub(crate) fn went_well(&self) -> bool {
        matches!(
            self.end.as_ref().map(|end| &end.fate),
            Some(Fate::Judged { verdict: Verdict::Accepted | Verdict::Challenged, .. })
        )
    }

    /// Returns whether it carries a handshake and nothing else.
    pub(crate) fn is_handshake(&self) -> bool {
        self.bytes.first() == Some(&22) || self.bytes.first() == Some(&20)
    }

    /// Returns the lock that stopped it, if one did.
    #[must_use]
    pub fn lock(&self) -> Option<Lock> {
        match &self.end.as_ref()?.fate {
            Fate::Refused { .. } => Some(Lock::Kernel),
            Fate::Judged { verdict: Verdict::Dropped(lock), .. } => Some(*lock),
            Fate::Judged { .. } | Fate::Lost(_) | Fate::Read(_) => None,
        }
    }
}

impl Trace {
    pub(crate) fn told(&self) -> Told {
        Told { hello_lengths: SEAL_BYTES.iter().map(|seal| HELLO_FRAME_BYTES + seal).collect() }
    }

    /// Returns whose address this is.
    pub(crate) fn host_at(&self, address: SocketAddr) -> Option<HostIndex> {
        let index = self.hosts.iter().position(|host| host.address == address)?;
        Some(HostIndex(u32::try_from(index).unwrap_or(u32::MAX)))
    }
}
