//! What an origin signs of itself, and how the signature travels.

use crate::codec::DecodeError;
use crate::node_id::NodeId;
use crate::prefix::{PREFIX_BYTES, Prefix};
use crate::routing::RouteSeq;
use crate::routing::list::{Item, List, front};

/// What stands in front of all that is signed, so that no signature made for another purpose fits.
const DOMAIN: &[u8] = b"peerbound origin, version 1\0";

/// Prefixes that one origin may announce: a site has a handful.
pub const PREFIXES_MAX: usize = 16;

/// Bytes before the prefixes: 16 origin, 2 sequence number, 1 number of prefixes.
const FRONT_BYTES: usize = 16 + 2 + 1;

/// What an origin says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim<'a> {
    /// Who.
    pub origin: NodeId,
    /// How often it has announced itself anew.
    pub seqno: RouteSeq,
    /// The addresses it stands for besides its own; at most [`PREFIXES_MAX`].
    pub prefixes: List<'a, Prefix>,
}

impl Claim<'_> {
    /// Returns the bytes that the origin signs.
    #[must_use]
    pub fn signed_bytes(&self) -> Vec<u8> {
        let mut bytes = DOMAIN.to_vec();
        self.write_into(&mut bytes);
        bytes
    }

    fn write_into(&self, out: &mut Vec<u8>) {
        let prefixes = self.prefixes.as_bytes();
        out.extend_from_slice(self.origin.as_bytes());
        out.extend(self.seqno.0.to_be_bytes());
        // A list with more of them cannot be had: whoever decodes one refuses it.
        out.push(u8::try_from(prefixes.len() / PREFIX_BYTES).unwrap_or(u8::MAX));
        out.extend_from_slice(prefixes);
    }
}

/// A claim, the certificate of whoever made it, and the signature with that certificate's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProofItem<'a> {
    /// What is claimed.
    pub claim: Claim<'a>,
    /// The origin's certificate in DER; empty when the asker has it.
    pub certificate: &'a [u8],
    /// The signature over [`Claim::signed_bytes`].
    pub signature: &'a [u8],
}

impl<'a> Item<'a> for ProofItem<'a> {
    fn split(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), DecodeError> {
        let cut_off = |missing_from: &[u8], needed: usize| {
            let before = bytes.len() - missing_from.len();
            DecodeError::Truncated { len: bytes.len(), needed: before + needed }
        };
        let Some((head, rest)) = bytes.split_first_chunk::<FRONT_BYTES>() else {
            return Err(cut_off(bytes, FRONT_BYTES));
        };
        let [id @ .., high, low, count] = *head;
        if usize::from(count) > PREFIXES_MAX {
            return Err(DecodeError::Value);
        }
        let prefixes_len = usize::from(count) * PREFIX_BYTES;
        let (prefixes, rest) = front(rest, prefixes_len).map_err(|_| cut_off(rest, prefixes_len))?;
        let (certificate, rest) = split_counted(rest).map_err(|needed| cut_off(rest, needed))?;
        let (signature, rest) = split_counted(rest).map_err(|needed| cut_off(rest, needed))?;
        let claim = Claim {
            origin: NodeId::new(id),
            seqno: RouteSeq(u16::from_be_bytes([high, low])),
            prefixes: List::decode(prefixes)?,
        };
        Ok((Self { claim, certificate, signature }, rest))
    }

    fn write_into(&self, out: &mut Vec<u8>) {
        self.claim.write_into(out);
        write_counted(self.certificate, out);
        write_counted(self.signature, out);
    }
}

/// Takes a count of two bytes and as many bytes from the front; or says how many there must be. The
/// count is compared with what is there, and nothing is made from it.
fn split_counted(bytes: &[u8]) -> Result<(&[u8], &[u8]), usize> {
    let (count, rest) = bytes.split_first_chunk::<2>().ok_or(2_usize)?;
    let count = usize::from(u16::from_be_bytes(*count));
    rest.split_at_checked(count).ok_or(2 + count)
}

/// Writes a count and as many bytes. More than fit the count do not fit a datagram either.
fn write_counted(bytes: &[u8], out: &mut Vec<u8>) {
    let count = u16::try_from(bytes.len()).unwrap_or(0);
    out.extend(count.to_be_bytes());
    out.extend_from_slice(&bytes[..usize::from(count)]);
}
