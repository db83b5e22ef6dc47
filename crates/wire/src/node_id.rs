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
// As one number and not as sixteen: the same bytes, and a header is read in less than half the time.
#[serde(from = "u128", into = "u128")]
pub struct NodeId([u8; 16]);

impl From<u128> for NodeId {
    /// Takes the bytes of a number, the most significant first.
    fn from(number: u128) -> Self {
        Self(number.to_be_bytes())
    }
}

impl From<NodeId> for u128 {
    fn from(NodeId(bytes): NodeId) -> Self {
        Self::from_be_bytes(bytes)
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    const ID: NodeId = NodeId::new([
        0x00, 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x10, 0x32, 0x54, 0x76, 0x98, 0xba, 0xdc,
    ]);

    #[test]
    fn key_hash_gives_its_first_sixteen_bytes() {
        let mut hash = [0xff; 32];
        hash[..16].copy_from_slice(ID.as_bytes());

        assert_eq!(NodeId::from_key_hash(&hash), ID);
    }

    #[test]
    fn text_keeps_leading_zeros_and_is_read_back() {
        assert_eq!(ID.to_string(), "000123456789abcdef1032547698badc");
        assert_eq!(ID.to_string().parse(), Ok(ID));
        assert_eq!(ID.short(), "00012345");
    }

    #[test]
    fn capital_digits_name_the_same_node() {
        assert_eq!("000123456789ABCDEF1032547698BADC".parse(), Ok(ID));
    }

    #[test]
    fn address_is_fd_and_the_id_without_its_first_byte() {
        assert_eq!(ID.address().octets()[0], 0xfd);
        assert_eq!(ID.address().octets()[1..], ID.as_bytes()[1..]);
        assert_eq!(ID.address().to_string(), "fd01:2345:6789:abcd:ef10:3254:7698:badc");
    }

    #[test]
    fn texts_that_are_not_32_digits_are_refused() {
        let short = "000123456789abcdef1032547698bad";
        let long = "000123456789abcdef1032547698badc0";
        // from_str_radix alone would take a sign.
        let signed = "+00123456789abcdef1032547698badc";
        let spaced = " 00123456789abcdef1032547698badc";
        let two_byte_letters = "éééééééééééééééé";

        for text in ["", short, long, signed, spaced, two_byte_letters, "fd01:2345:6789:abcd:ef10:3254:7"] {
            assert_eq!(text.parse::<NodeId>(), Err(ParseNodeIdError(text.into())), "{text:?}");
        }
    }

    #[test]
    fn refusal_quotes_at_most_64_characters() {
        let refusal = "é".repeat(10_000).parse::<NodeId>().map_err(|error| error.0);

        assert_eq!(refusal, Err("é".repeat(64)));
    }

    #[test]
    fn refusal_escapes_what_would_steer_a_terminal() {
        let refusal = "\x1b[2J\nerror".parse::<NodeId>().map_err(|error| error.to_string());

        assert!(refusal.is_err_and(|text| text.starts_with(r#""\u{1b}[2J\nerror" is not a node id"#)));
    }
}
