//! The name by which a receiver finds a session whatever address a record comes from.

use std::fmt;

/// The longest id that the extension can agree on (RFC 9146, 3: `opaque cid<0..2^8-1>`).
const BYTES_MAX: usize = 255;

/// A Connection ID of at least one byte. That none was negotiated (RFC 9146, 3: "a zero-length CID")
/// is an `Option` wherever it can be.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConnectionId(Vec<u8>);

impl ConnectionId {
    /// Makes an id of these bytes.
    ///
    /// # Errors
    /// When there are none, or more than 255.
    pub fn new(bytes: &[u8]) -> Result<Self, ConnectionIdError> {
        match bytes.len() {
            1..=BYTES_MAX => Ok(Self(bytes.to_vec())),
            len => Err(ConnectionIdError { len }),
        }
    }

    /// Returns its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the one byte that stands for its length in what is authenticated.
    pub(crate) fn length_byte(&self) -> u8 {
        u8::try_from(self.0.len()).expect("an id has at most 255 bytes")
    }
}

impl fmt::Debug for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConnectionId(")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(")")
    }
}

/// Why bytes are no Connection ID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a Connection ID has 1 to {BYTES_MAX} bytes, not {len}")]
pub struct ConnectionIdError {
    /// How many there are.
    pub len: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_to_255_bytes() {
        assert_eq!(ConnectionId::new(&[]), Err(ConnectionIdError { len: 0 }));
        assert!(ConnectionId::new(&[7]).is_ok());
        assert_eq!(ConnectionId::new(&[0; 255]).unwrap().length_byte(), 255);
        assert_eq!(ConnectionId::new(&[0; 256]), Err(ConnectionIdError { len: 256 }));
    }
}
