//! A list without a length: it goes on to the end of the frame, and lies where it was received.

use std::fmt;
use std::marker::PhantomData;

use crate::codec::DecodeError;

/// Something that lists are made of.
pub trait Item<'a>: Sized {
    /// Takes one from the front of `bytes`, and returns it with the rest.
    ///
    /// # Errors
    /// When bytes are missing, or mean nothing.
    fn split(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), DecodeError>;

    /// Appends its bytes to `out`.
    fn write_into(&self, out: &mut Vec<u8>);
}

/// A list whose bytes have been checked.
pub struct List<'a, T> {
    bytes: &'a [u8],
    items: PhantomData<T>,
}

impl<'a, T: Item<'a>> List<'a, T> {
    /// Checks that `bytes` are such items from the first byte to the last.
    ///
    /// # Errors
    /// When the last item is cut off, or one of them means nothing.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let at = bytes.len() - rest.len();
            (_, rest) = T::split(rest).map_err(|error| match error {
                DecodeError::Truncated { needed, .. } => {
                    DecodeError::Truncated { len: bytes.len(), needed: at + needed }
                }
                other => other,
            })?;
        }
        Ok(Self { bytes, items: PhantomData })
    }

    /// Walks over the items.
    pub fn iter(&self) -> impl Iterator<Item = T> + use<'a, T> {
        let mut rest = self.bytes;
        std::iter::from_fn(move || {
            let (item, behind) = T::split(rest).ok().filter(|_| !rest.is_empty())?;
            rest = behind;
            Some(item)
        })
    }

    /// Returns the bytes of all items.
    #[must_use]
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

impl<T> Clone for List<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for List<'_, T> {}

impl<T> PartialEq for List<'_, T> {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl<T> Eq for List<'_, T> {}

impl<'a, T: Item<'a> + fmt::Debug> fmt::Debug for List<'a, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Takes `len` bytes from the front.
pub(crate) fn front(bytes: &[u8], len: usize) -> Result<(&[u8], &[u8]), DecodeError> {
    bytes.split_at_checked(len).ok_or(DecodeError::Truncated { len: bytes.len(), needed: len })
}

/// Reads big-endian numbers of four bytes; what is missing counts as zero, and nothing is.
pub(crate) fn numbers<const N: usize>(bytes: &[u8]) -> [u32; N] {
    let mut numbers = [0; N];
    for (number, chunk) in numbers.iter_mut().zip(bytes.as_chunks::<4>().0) {
        *number = u32::from_be_bytes(*chunk);
    }
    numbers
}
