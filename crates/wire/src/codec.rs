//! The one place that names bincode: fixed-size integers, big-endian, a limit on what is read.
//! bincode accepts trailing bytes and does not limit what it writes; both are mended here.

use bincode::config::{self, BigEndian, Configuration, Fixint, Limit};
use bincode::error::DecodeError as BincodeError;
use serde::{Deserialize, Serialize};

/// The most that one decode may read: nothing we define is longer than a header or a message.
const DECODE_BYTES_MAX: usize = 64;

const _: () = assert!(crate::HEADER_BYTES <= DECODE_BYTES_MAX);
const _: () = assert!(crate::MESSAGE_BYTES_MAX <= DECODE_BYTES_MAX);

const CONFIG: Configuration<BigEndian, Fixint, Limit<DECODE_BYTES_MAX>> =
    config::standard().with_big_endian().with_fixed_int_encoding().with_limit::<DECODE_BYTES_MAX>();

/// Why some bytes are not a frame or a control message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// Fewer bytes than the fixed layout takes.
    #[error("{len} bytes are too few: at least {needed} are needed")]
    Truncated {
        /// Bytes that are there.
        len: usize,
        /// Bytes that must be there.
        needed: usize,
    },
    /// More bytes than the message takes.
    #[error("{extra} bytes are left over behind the message")]
    Trailing {
        /// Bytes left over.
        extra: usize,
    },
    /// Another version of the protocol.
    #[error("protocol version {0} is not ours, {version}", version = crate::VERSION)]
    Version(u8),
    /// A kind that has no meaning in this version.
    #[error("no frame kind has the number {0}")]
    Kind(u8),
    /// An error code that has no meaning in this version.
    #[error("no error code has the number {0}")]
    ErrorCode(u8),
    /// A field that holds a value without a meaning.
    #[error("a field holds a value without a meaning")]
    Value,
}

/// Writes `value` to the front of `out` and returns how many bytes that took.
///
/// # Panics
/// When `out` is too short: every caller hands in the fixed size of what it encodes.
pub(crate) fn encode(value: &impl Serialize, out: &mut [u8]) -> usize {
    bincode::serde::encode_into_slice(value, out, CONFIG)
        .expect("the buffer is sized for the fixed layout of the value")
}

/// Appends a message of fixed size to `out`.
pub(crate) fn append(value: &impl Serialize, out: &mut Vec<u8>) {
    let mut bytes = [0; crate::MESSAGE_BYTES_MAX];
    let written = encode(value, &mut bytes);
    out.extend_from_slice(&bytes[..written]);
}

/// Reads a value that fills `bytes` to the last byte.
pub(crate) fn decode_exact<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, DecodeError> {
    let (value, consumed) = bincode::serde::borrow_decode_from_slice(bytes, CONFIG)
        .map_err(|error| explain(&error, bytes.len()))?;
    match bytes.len() - consumed {
        0 => Ok(value),
        extra => Err(DecodeError::Trailing { extra }),
    }
}

fn explain(error: &BincodeError, len: usize) -> DecodeError {
    match error {
        BincodeError::UnexpectedEnd { additional } => {
            DecodeError::Truncated { len, needed: len + additional }
        }
        _ => DecodeError::Value,
    }
}
