//! What a session says of what it was given: a datagram's end, an event, a refusal to send.

use std::fmt;

use crate::admission::Refusal;
use crate::discard::Discard;
use crate::terms::Peer;

/// What became of one datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// At least one of its records was taken.
    Accepted,
    /// No record was taken; this is why the first was not.
    Discarded(Discard),
    /// It ended the session.
    Killed,
    /// It ended the handshake, for it showed a certificate or terms that we refuse.
    Refused,
    /// The session had ended before.
    NoSession,
}

/// What a session has to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionEvent {
    /// The handshake is done, and the peer is who it may be.
    Established(Peer),
    /// The session is over.
    Closed(CloseReason),
}

/// Why a session is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CloseReason {
    /// We closed it.
    Local,
    /// The peer said close_notify.
    Peer,
    /// The peer's certificate or terms were refused.
    Refused(Refusal),
    /// OpenSSL gave it up; the text is its reason.
    Failed(String),
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local => f.write_str("closed here"),
            Self::Peer => f.write_str("closed by the peer"),
            Self::Refused(refusal) => refusal.fmt(f),
            Self::Failed(reason) => write!(f, "DTLS failed: {reason}"),
        }
    }
}

/// Why a payload was not sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// There is no established session to send it over.
    #[error("the session is not established")]
    NotEstablished,
    /// It does not fit one datagram.
    #[error("{len} bytes do not fit: this session carries at most {max} in one datagram")]
    TooLarge {
        /// Bytes that were to be sent.
        len: usize,
        /// Bytes that fit.
        max: usize,
    },
    /// OpenSSL refused; the session is over.
    #[error("the session failed while sending")]
    Failed,
}
