//! How inner sessions stand, for whoever asks.

use std::time::Instant;

use peerbound_dtls::Role;
use peerbound_wire::NodeId;

/// How far an inner session has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InnerState {
    /// Its handshake is in progress.
    Opening,
    /// Payloads pass.
    Established,
    /// There is none; the last one failed, or was closed.
    Gone,
}

impl InnerState {
    /// Returns the word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Opening => "opening",
            Self::Established => "established",
            Self::Gone => "gone",
        }
    }
}

/// An inner session, as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InnerView {
    /// Who is at the other end.
    pub peer: NodeId,
    /// How far it has come.
    pub state: InnerState,
    /// Which side of the handshake we were.
    pub role: Option<Role>,
    /// OpenSSL's name of the suite.
    pub suite: Option<&'static str>,
    /// Since when it stands so.
    pub since: Instant,
    /// Records of application data sealed and opened under the keys in use.
    pub records: (u64, u64),
    /// Bytes of payload sent and received since the session was opened.
    pub bytes: (u64, u64),
    /// The largest frame that had a chance when something was last heard of the way; `None` before that.
    pub path_mtu: Option<u16>,
    /// Payloads that wait for it to open, and their bytes.
    pub waiting: (usize, usize),
    /// What last went wrong.
    pub last_error: Option<String>,
}
