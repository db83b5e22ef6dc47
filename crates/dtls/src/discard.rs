//! Why a record went no further. OpenSSL is silent about what it discards; we are not.

use std::collections::BTreeMap;
use std::fmt;

/// The reason for which one record was discarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Discard {
    /// It cannot be a record of this session: the gate refused it before OpenSSL saw it.
    Malformed(Malformation),
    /// It belongs to an epoch whose keys are not in use (RFC 6347, 4.1).
    WrongEpoch,
    /// Its number was received before (RFC 6347, 4.1.2.6).
    Replay,
    /// Its number is 64 or more behind the newest (RFC 6347, 4.1.2.6).
    TooOld,
    /// It does not verify under the session's keys (RFC 6347, 4.1.2.7).
    BadMac,
}

/// What is wrong with the form of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Malformation {
    /// The datagram is empty.
    Empty,
    /// The datagram ends before the record does.
    Truncated,
    /// No content type has this number.
    UnknownType,
    /// The version is not the session's.
    Version,
    /// The length is more than a record may have.
    TooLong,
    /// The body is too short to hold what the cipher suite adds. Some releases of OpenSSL, as 3.0.19
    /// and 3.6.3, end a live session over such a record.
    ShortBody,
    /// An alert in the clear: before the handshake is done anyone could have sent it, so it is
    /// advice and no more.
    UnprotectedAlert,
    /// Application data in the clear.
    UnprotectedData,
    /// Epoch 1 before the handshake is done, and not of the shape of a Finished message.
    NotFinished,
    /// More Finished-shaped records than any handshake sends.
    FinishedBudget,
    /// A handshake fragment that claims more than a message may have, or lies outside its message.
    HandshakeFragment,
}

impl Discard {
    /// Returns the reason as one short word, as counters and traces name it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Malformed(malformation) => malformation.name(),
            Self::WrongEpoch => "wrong-epoch",
            Self::Replay => "replay",
            Self::TooOld => "too-old",
            Self::BadMac => "bad-mac",
        }
    }
}

impl Malformation {
    /// Returns the malformation as one short word, as counters and traces name it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Truncated => "truncated",
            Self::UnknownType => "unknown-type",
            Self::Version => "version",
            Self::TooLong => "too-long",
            Self::ShortBody => "short-body",
            Self::UnprotectedAlert => "unprotected-alert",
            Self::UnprotectedData => "unprotected-data",
            Self::NotFinished => "not-finished",
            Self::FinishedBudget => "finished-budget",
            Self::HandshakeFragment => "handshake-fragment",
        }
    }
}

impl fmt::Display for Discard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Malformation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl std::error::Error for Malformation {}

impl From<Malformation> for Discard {
    fn from(malformation: Malformation) -> Self {
        Self::Malformed(malformation)
    }
}

/// How often each reason occurred. Bounded: there are as many entries as reasons.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DiscardCounts {
    counts: BTreeMap<Discard, u64>,
}

impl DiscardCounts {
    /// Adds one record to a reason.
    pub fn count(&mut self, discard: Discard) {
        *self.counts.entry(discard).or_default() += 1;
    }

    /// Returns how many records were discarded for this reason.
    #[must_use]
    pub fn get(&self, discard: Discard) -> u64 {
        self.counts.get(&discard).copied().unwrap_or(0)
    }

    /// Returns how many records were discarded in all.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.values().sum()
    }

    /// Adds what another session counted.
    pub fn add(&mut self, other: &Self) {
        for (discard, count) in &other.counts {
            *self.counts.entry(*discard).or_default() += count;
        }
    }

    /// Lists the reasons that occurred, in a fixed order.
    pub fn iter(&self) -> impl Iterator<Item = (Discard, u64)> + '_ {
        self.counts.iter().map(|(discard, count)| (*discard, *count))
    }
}
