//! One overlay message as it lies in a datagram's plaintext: header, then payload, borrowed.

use crate::codec::DecodeError;
use crate::header::{HEADER_BYTES, Header};

/// A decoded frame; the payload stays where it was received.
///
/// # Examples
/// ```
/// use peerbound_wire::{Frame, Header, Kind, NodeId};
///
/// let header = Header::new(Kind::Data, NodeId::new([1; 16]), NodeId::new([3; 16]));
/// let mut bytes = Vec::new();
/// Frame { header, payload: b"over the hills" }.encode_into(&mut bytes);
///
/// let frame = Frame::decode(&bytes)?;
/// assert_eq!((frame.header, frame.payload), (header, &b"over the hills"[..]));
/// # Ok::<(), peerbound_wire::DecodeError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The routing part.
    pub header: Header,
    /// The rest of the frame, never copied to be decoded.
    pub payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Takes a frame apart without copying its payload.
    ///
    /// # Errors
    /// The same as [`Header::decode`]; any payload is accepted here.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let (header, payload) = Header::decode(bytes)?;
        Ok(Self { header, payload })
    }

    /// Appends the frame's bytes to `out`.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        out.reserve(HEADER_BYTES + self.payload.len());
        out.extend_from_slice(&self.header.encode());
        out.extend_from_slice(self.payload);
    }
}
