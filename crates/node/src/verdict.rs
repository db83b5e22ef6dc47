//! Where a datagram ended: the words that the whole project uses for it.

use std::fmt;

use peerbound_dtls::{Discard, Outcome};

use crate::counters::DatagramDrop;
use crate::reasons;

reasons! {
    /// What held a datagram up.
    pub enum Lock {
        /// The socket's own filter: it never reached the node.
        Kernel => "kernel",
        /// No session belongs to its source address (RFC 6347, 4.1.1).
        Demux => "demux",
        /// It is no record that the session could have received.
        Gate => "gate",
        /// Its record number was seen, or is too old (RFC 6347, 4.1.2.6).
        Replay => "replay",
        /// It does not verify under the session's keys (RFC 6347, 4.1.2.7).
        RecordAuth => "record-auth",
        /// The certificate is not that of someone we admit.
        Identity => "identity",
    }
}

impl From<Discard> for Lock {
    /// Names the lock that a discarded record ended at.
    fn from(discard: Discard) -> Self {
        match discard {
            Discard::Malformed(_) | Discard::WrongEpoch => Self::Gate,
            Discard::Replay | Discard::TooOld => Self::Replay,
            Discard::BadMac => Self::RecordAuth,
        }
    }
}

impl fmt::Display for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why one datagram went no further: finer than its [`Lock`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// It came to no session's judgement.
    Datagram(DatagramDrop),
    /// A session discarded its first record.
    Record(Discard),
    /// It brought a certificate, or terms, that were refused.
    PeerRefused,
}

impl Reason {
    /// Returns the reason as counters name it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Datagram(reason) => reason.name(),
            Self::Record(discard) => discard.name(),
            Self::PeerRefused => "peer-refused",
        }
    }

    pub(crate) fn of(outcome: Outcome) -> Option<Self> {
        match outcome {
            Outcome::Accepted | Outcome::Killed => None,
            Outcome::Refused => Some(Self::PeerRefused),
            Outcome::Discarded(discard) => Some(Self::Record(discard)),
            Outcome::NoSession => Some(Self::Datagram(DatagramDrop::NoSession)),
        }
    }
}

/// What became of one datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// A session took it.
    Accepted,
    /// It is a ClientHello and was answered with a demand for a cookie; no state was made.
    Challenged,
    /// It was dropped at this lock.
    Dropped(Lock),
    /// It ended a session.
    Killed,
}

impl Verdict {
    pub(crate) fn of(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Accepted => Self::Accepted,
            Outcome::Killed => Self::Killed,
            Outcome::Refused => Self::Dropped(Lock::Identity),
            Outcome::NoSession => Self::Dropped(Lock::Demux),
            Outcome::Discarded(discard) => Self::Dropped(discard.into()),
        }
    }

    /// Ranks where several sessions judged the same datagram: the farther it came, the more is said
    /// about it. A session that knows the number as one of its own says more than one whose keys
    /// do not fit; one that ended says the most.
    pub(crate) fn depth(self) -> u8 {
        match self {
            Self::Dropped(Lock::Kernel) | Self::Challenged => 0,
            Self::Dropped(Lock::Demux) => 1,
            Self::Dropped(Lock::Gate) => 2,
            Self::Dropped(Lock::RecordAuth) => 3,
            Self::Dropped(Lock::Replay) => 4,
            Self::Dropped(Lock::Identity) => 5,
            Self::Killed => 6,
            Self::Accepted => 7,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accepted => f.write_str("accepted"),
            Self::Challenged => f.write_str("challenged"),
            Self::Dropped(lock) => write!(f, "dropped at {lock}"),
            Self::Killed => f.write_str("session killed"),
        }
    }
}
