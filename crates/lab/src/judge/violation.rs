//! The standing invariants, and what is said when one of them does not hold.

use std::fmt;
use std::str::FromStr;

use crate::trace::{DatagramId, Nanos};

/// What must hold in every run, whatever its scenario is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Invariant {
    /// Nothing protected is accepted unless the key oracle names the session, in the direction to
    /// the host that accepted it.
    AcceptedWithoutOracle,
    /// No record is accepted twice (RFC 6347, 4.1.2.6).
    AcceptedTwice,
    /// No datagram that was made or changed under way ends an established session.
    ForgedDatagramEndsSession,
    /// At every node `received + originated = sent + delivered + dropped` holds for frames.
    Conservation,
    /// No frame passes a node twice.
    ForwardedTwice,
    /// No frame dies of its hop limit: it would have been in a routing loop.
    HopLimitDeath,
    /// Every drop has one reason, and the reason is one of the lock that dropped it.
    DropWithoutReason,
    /// Every datagram ends once.
    DatagramEndsTwice,
    /// At quiescence every pair that the reference model calls connected can talk.
    ConnectedPairCannotTalk,
}

impl Invariant {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::AcceptedWithoutOracle,
        Self::AcceptedTwice,
        Self::ForgedDatagramEndsSession,
        Self::Conservation,
        Self::ForwardedTwice,
        Self::HopLimitDeath,
        Self::DropWithoutReason,
        Self::DatagramEndsTwice,
        Self::ConnectedPairCannotTalk,
    ];

    /// Returns its name, as scenario files write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AcceptedWithoutOracle => "accepted-without-oracle",
            Self::AcceptedTwice => "accepted-twice",
            Self::ForgedDatagramEndsSession => "forged-datagram-ends-session",
            Self::Conservation => "conservation",
            Self::ForwardedTwice => "forwarded-twice",
            Self::HopLimitDeath => "hop-limit-death",
            Self::DropWithoutReason => "drop-without-reason",
            Self::DatagramEndsTwice => "datagram-ends-twice",
            Self::ConnectedPairCannotTalk => "connected-pair-cannot-talk",
        }
    }
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Says that a word names no invariant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no invariant is called \"{0}\"")]
pub struct UnknownInvariant(pub String);

impl FromStr for Invariant {
    type Err = UnknownInvariant;

    fn from_str(name: &str) -> Result<Self, UnknownInvariant> {
        let found = Self::ALL.into_iter().find(|invariant| invariant.name() == name);
        found.ok_or_else(|| UnknownInvariant(name.to_owned()))
    }
}

/// An invariant that did not hold, once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub invariant: Invariant,
    /// When.
    pub at: Nanos,
    /// The datagram that showed it, if one did.
    pub datagram: Option<DatagramId>,
    /// What was seen, in a sentence.
    pub text: String,
}
