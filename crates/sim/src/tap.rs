//! The attacker's places: where he sees what passes, and what he does to it.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::flight::FlightId;
use crate::ids::{DatagramId, HostId};
use crate::matching::{DatagramMatch, Matcher, PathMatch};
use crate::time::VirtualTime;

/// Datagrams that one tap remembers, the first ones: 65,536 x at most 1.5 kB = 100 MB at worst.
const CAPTURED_MAX: usize = 65_536;

/// A place on the path at which the attacker sees every datagram before the network does anything to
/// it. What he put there himself he does not see.
#[derive(Debug)]
pub struct Tap {
    /// Where.
    pub on: PathMatch,
    /// Which datagrams he cares for.
    pub matching: DatagramMatch,
    /// What he does to them, besides remembering them.
    pub action: TapAction,
}

/// Makes another payload of one, or lets it pass as it is.
pub type Rewrite = Box<dyn FnMut(&[u8]) -> Option<Vec<u8>> + Send>;

/// What the attacker does to a datagram that he sees.
pub enum TapAction {
    /// Nothing.
    Capture,
    /// He keeps it until it is released.
    Hold,
    /// He takes it away.
    Drop,
    /// He lets it go on after a while.
    Delay(Duration),
    /// He changes its payload, if he wants to.
    Rewrite(Rewrite),
}

impl fmt::Debug for TapAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Capture => f.write_str("Capture"),
            Self::Hold => f.write_str("Hold"),
            Self::Drop => f.write_str("Drop"),
            Self::Delay(by) => f.debug_tuple("Delay").field(by).finish(),
            Self::Rewrite(_) => f.write_str("Rewrite(..)"),
        }
    }
}

/// A datagram that the attacker saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Captured {
    /// Which.
    pub datagram: DatagramId,
    /// When.
    pub at: VirtualTime,
    /// Where it came from, whatever its source address says.
    pub from: HostId,
    /// Where it goes.
    pub to: HostId,
    /// The source address in it.
    pub source: SocketAddr,
    /// The destination address in it.
    pub destination: SocketAddr,
    /// Its payload.
    pub bytes: Arc<[u8]>,
}

/// A tap, as it listens.
#[derive(Debug)]
pub(crate) struct ArmedTap {
    pub(crate) matcher: Matcher,
    pub(crate) action: TapAction,
    pub(crate) captured: Vec<Captured>,
    pub(crate) held: Vec<FlightId>,
    pub(crate) listens: Listening,
}

/// Whether a tap still sees what passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listening {
    Yes,
    No,
}

impl ArmedTap {
    pub(crate) fn new(tap: Tap) -> Self {
        Self {
            matcher: Matcher::new(tap.on, tap.matching),
            action: tap.action,
            captured: Vec::new(),
            held: Vec::new(),
            listens: Listening::Yes,
        }
    }

    pub(crate) fn remember(&mut self, captured: Captured) {
        if self.captured.len() < CAPTURED_MAX {
            self.captured.push(captured);
        }
    }
}
