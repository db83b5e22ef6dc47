//! The control messages of fixed size: what stands in the payload of error and ping frames, and the
//! hello. They hold no collections, so nothing can claim a length.

use serde::{Deserialize, Serialize};

use crate::codec::{self, DecodeError};
use crate::header::{HEADER_BYTES, Header};

/// The longest control message of fixed size: an [`ErrorMessage`] of 1 + 2 + 54 bytes, rounded up.
pub const MESSAGE_BYTES_MAX: usize = 64;

/// Bytes of an [`ErrorMessage`] before its header: 1 code, 2 MTU.
const ERROR_FRONT_BYTES: usize = 1 + 2;
const ERROR_BYTES: usize = ERROR_FRONT_BYTES + HEADER_BYTES;

const _: () = assert!(ERROR_BYTES <= MESSAGE_BYTES_MAX);

/// Shows a neighbour that both directions of a link carry frames (after RFC 8966, 3.4.1 and 3.4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Counts the sender's hellos on this session, from 1.
    pub sequence: u32,
    /// The sequence of the newest hello the sender heard from the receiver; 0 for none.
    pub heard: u32,
}

/// Why a frame went no further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(into = "u8")]
pub enum ErrorCode {
    /// The reporter knows no way to the destination.
    NoRoute,
    /// The hop limit was used up at the reporter.
    HopLimit,
    /// The frame does not fit the reporter's next link; `mtu` says what would.
    TooBig,
    /// The destination has no inner session with the origin that the frame could belong to.
    NoSession,
    /// The destination takes payloads of the origin inside an inner session only.
    ClearRefused,
    /// The destination holds no inner sessions with the origin.
    InnerRefused,
}

impl From<ErrorCode> for u8 {
    fn from(code: ErrorCode) -> Self {
        match code {
            ErrorCode::NoRoute => 1,
            ErrorCode::HopLimit => 2,
            ErrorCode::TooBig => 3,
            ErrorCode::NoSession => 4,
            ErrorCode::ClearRefused => 5,
            ErrorCode::InnerRefused => 6,
        }
    }
}

impl TryFrom<u8> for ErrorCode {
    type Error = UnknownErrorCode;

    fn try_from(byte: u8) -> Result<Self, UnknownErrorCode> {
        match byte {
            1 => Ok(Self::NoRoute),
            2 => Ok(Self::HopLimit),
            3 => Ok(Self::TooBig),
            4 => Ok(Self::NoSession),
            5 => Ok(Self::ClearRefused),
            6 => Ok(Self::InnerRefused),
            other => Err(UnknownErrorCode(other)),
        }
    }
}

/// Says that no error has this number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no error code has the number {0}")]
pub struct UnknownErrorCode(pub u8);

/// Tells the origin of a frame that it went no further; the frame's source is the reporter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ErrorMessage {
    /// Why.
    pub code: ErrorCode,
    /// For [`ErrorCode::TooBig`] the largest frame the next link takes, in bytes; else 0.
    pub mtu: u16,
    /// The header of the frame in question, as the reporter received it.
    pub offending: Header,
}

/// Asks for an answer, or is one; which of the two, the header's reply flag says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ping {
    /// Chosen by the asker, returned unchanged.
    pub token: u64,
}

/// Bytes of a [`Ping`] without padding.
const PING_BYTES: usize = 8;

impl Ping {
    /// Reads a ping and returns the padding behind it: whatever the asker put there comes back with the
    /// answer, so that a ping can have any size.
    ///
    /// # Errors
    /// When bytes of the token are missing.
    pub fn decode_padded(bytes: &[u8]) -> Result<(Self, &[u8]), DecodeError> {
        let Some((token, padding)) = bytes.split_first_chunk::<PING_BYTES>() else {
            return Err(DecodeError::Truncated { len: bytes.len(), needed: PING_BYTES });
        };
        Ok((Self::decode(token)?, padding))
    }
}

impl ErrorMessage {
    /// Reads a message that fills `bytes` to the last byte.
    ///
    /// # Errors
    /// When bytes are missing, left over, or name an error code, a version or a kind we do not know.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let Some(([code, mtu @ ..], rest)) =
            bytes.split_first_chunk::<ERROR_FRONT_BYTES>().filter(|(_, rest)| rest.len() >= HEADER_BYTES)
        else {
            return Err(DecodeError::Truncated { len: bytes.len(), needed: ERROR_BYTES });
        };
        let code = ErrorCode::try_from(*code).map_err(|unknown| DecodeError::ErrorCode(unknown.0))?;
        // The header within gets the checks of the header in front: an origin compares it with what it
        // sent, and a version of its own would give the bytes behind it another meaning.
        let (offending, trailing) = Header::decode(rest)?;
        match trailing.len() {
            0 => Ok(Self { code, mtu: u16::from_be_bytes(*mtu), offending }),
            extra => Err(DecodeError::Trailing { extra }),
        }
    }
}

macro_rules! encode {
    ($($name:ident),*) => {$(
        impl $name {
            /// Appends the message's bytes to `out`.
            pub fn encode_into(&self, out: &mut Vec<u8>) {
                codec::append(self, out);
            }
        }
    )*};
}

macro_rules! decode {
    ($($name:ident),*) => {$(
        impl $name {
            /// Reads a message that fills `bytes` to the last byte.
            ///
            /// # Errors
            /// When bytes are missing, left over, or name something unknown.
            pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
                codec::decode_exact(bytes)
            }
        }
    )*};
}

encode!(ErrorMessage, Ping);
decode!(Ping);
