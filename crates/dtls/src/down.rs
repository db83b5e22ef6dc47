//! Why there is no session with an address any more, or why a candidate did not become one.

use std::fmt;

use crate::outcome::CloseReason;

/// Why an association, or a candidate, came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DownReason {
    /// The session was closed.
    Closed(CloseReason),
    /// The handshake was not done by its deadline.
    HandshakeTimeout {
        /// Whether anything at all came from the address.
        heard: bool,
        /// How the last attempt ended, if it ended by itself.
        last: Option<CloseReason>,
        /// The last alert in the clear: advice, for anyone could have sent it.
        alert: Option<u8>,
    },
    /// The candidate proved to be another peer than the live one.
    AnotherPeer {
        /// The name in its certificate.
        name: String,
    },
    /// The session reached twice its limits and could not be replaced.
    WornOut,
}

impl fmt::Display for DownReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(reason) => reason.fmt(f),
            Self::HandshakeTimeout { last: Some(reason), .. } => write!(f, "the handshake failed: {reason}"),
            Self::HandshakeTimeout { alert: Some(alert), .. } => {
                write!(f, "the handshake timed out; the peer seems to say \"{}\"", alert_name(*alert))
            }
            Self::HandshakeTimeout { heard: true, .. } => f.write_str("the handshake timed out"),
            Self::HandshakeTimeout { heard: false, .. } => f.write_str("nothing answers at its address"),
            Self::AnotherPeer { name } => write!(f, "\"{name}\" answered in its place"),
            Self::WornOut => f.write_str("the session could not be rekeyed in time"),
        }
    }
}

/// Alert descriptions a handshake can end with (RFC 5246, 7.2.2).
fn alert_name(number: u8) -> &'static str {
    match number {
        40 => "handshake failure",
        42 => "bad certificate",
        43 => "unsupported certificate",
        44 => "certificate revoked",
        45 => "certificate expired",
        46 => "certificate unknown",
        48 => "unknown CA",
        49 => "access denied",
        51 => "decrypt error",
        70 => "protocol version",
        71 => "insufficient security",
        _ => "another alert",
    }
}
