//! The name of a node: the first 16 bytes of SHA-256 over its public key.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Names one overlay member; derived from its key, so that it cannot be claimed without that key.
///
/// # Examples
/// ```
/// use peerbound_wire::NodeId;
///
/// let id = NodeId::from_key_hash(&[0xab; 32]);
/// assert_eq!(id.to_string(), "abababababababababababababababab");
/// assert_eq!(id.to_string().parse(), Ok(id));
/// assert!(id.address().to_string().starts_with("fdab:abab:"));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeId([u8; 16]);

impl NodeId {
    /// Wraps the 16 bytes of an id.
    #[must_use]
    pub const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Takes the first 16 bytes of a SHA-256 over the certificate's SubjectPublicKeyInfo.
    #[must_use]
    pub fn from_key_hash(hash: &[u8; 32]) -> Self {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash[..16]);
        Self(bytes)
    }

    /// Returns the 16 bytes as they stand in a frame.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Returns the overlay address: `fd` followed by bytes 1..16 of the id (RFC 4193 prefix),
    /// so that an address proves a key.
    #[must_use]
    pub fn address(&self) -> Ipv6Addr {
        let mut octets = self.0;
        octets[0] = 0xfd;
        Ipv6Addr::from(octets)
    }

    /// Returns the first eight hexadecimal digits, enough for a reader to tell nodes apart.
    #[must_use]
    pub fn short(&self) -> String {
        self.0[..4].iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeId({self})")
    }
}

/// Says that a text is not 32 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
// Debug, not Display: the text is a stranger's and must not steer a terminal or forge a log line.
#[error("{0:?} is not a node id: it takes 32 hexadecimal digits, as `peerbound pki show` prints them")]
pub struct ParseNodeIdError(String);

impl FromStr for NodeId {
    type Err = ParseNodeIdError;

    fn from_str(text: &str) -> Result<Self, ParseNodeIdError> {
        let refuse = || ParseNodeIdError(text.chars().take(64).collect());
        if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(refuse());
        }
        let number = u128::from_str_radix(text, 16).map_err(|_| refuse())?;
        Ok(Self(number.to_be_bytes()))
    }
}
