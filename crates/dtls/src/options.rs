//! What a session is started with: its role, its options, and perhaps an earlier session to resume.

use std::fmt;

use openssl::ssl::SslSession;

use crate::admission::Admission;
use crate::gate::GateMode;

/// The datagram size that fits an Ethernet path with room for tunnels, in bytes of UDP payload.
pub const MTU_DEFAULT: u16 = 1400;

/// Which side of the handshake we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// We sent the ClientHello.
    Client,
    /// We answered it.
    Server,
}

/// What one session may differ in from its siblings.
#[derive(Debug, Clone)]
pub struct SessionOptions {
    /// The largest datagram to send, in bytes of UDP payload.
    pub mtu: u16,
    /// Whom to admit.
    pub admission: Admission,
    /// Whether the gate stands before OpenSSL.
    pub gate: GateMode,
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self { mtu: MTU_DEFAULT, admission: Admission::AnyTrusted, gate: GateMode::On }
    }
}

/// What a client keeps of a session in order to resume it.
#[derive(Clone)]
pub struct ResumableSession(pub(crate) SslSession);

impl fmt::Debug for ResumableSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResumableSession(..)")
    }
}
