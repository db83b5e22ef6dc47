//! What one node asks another about an origin: to be newer, or to be proved.

use crate::codec::DecodeError;
use crate::node_id::NodeId;
use crate::routing::RouteSeq;
use crate::routing::list::Item;

/// Asks for a way with a sequence number that is not older than this one (RFC 8966, 3.8.1.2). It is
/// passed on towards the origin until somebody can answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeqRequest {
    /// Whose.
    pub origin: NodeId,
    /// The oldest that will do.
    pub seqno: RouteSeq,
    /// Links that the request may still cross, the one it is on included.
    pub hop_limit: u8,
}

/// Asks a neighbour for the proof that an origin has announced itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProofRequest {
    /// Whose.
    pub origin: NodeId,
    /// The oldest sequence number that will do.
    pub seqno: RouteSeq,
    /// Whether the asker has the origin's certificate and needs the signature alone.
    pub has_certificate: bool,
}

/// Bytes of either: 16 origin, 2 sequence number, 1 hop limit or flag.
const REQUEST_BYTES: usize = 16 + 2 + 1;

fn split(bytes: &[u8]) -> Result<(NodeId, RouteSeq, u8, &[u8]), DecodeError> {
    let Some((request, rest)) = bytes.split_first_chunk::<REQUEST_BYTES>() else {
        return Err(DecodeError::Truncated { len: bytes.len(), needed: REQUEST_BYTES });
    };
    let [id @ .., high, low, last] = *request;
    Ok((NodeId::new(id), RouteSeq(u16::from_be_bytes([high, low])), last, rest))
}

fn write(origin: NodeId, seqno: RouteSeq, last: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(origin.as_bytes());
    out.extend(seqno.0.to_be_bytes());
    out.push(last);
}

impl<'a> Item<'a> for SeqRequest {
    fn split(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), DecodeError> {
        let (origin, seqno, hop_limit, rest) = split(bytes)?;
        Ok((Self { origin, seqno, hop_limit }, rest))
    }

    fn write_into(&self, out: &mut Vec<u8>) {
        write(self.origin, self.seqno, self.hop_limit, out);
    }
}

impl<'a> Item<'a> for ProofRequest {
    fn split(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), DecodeError> {
        let (origin, seqno, flag, rest) = split(bytes)?;
        let has_certificate = match flag {
            0 => false,
            1 => true,
            _ => return Err(DecodeError::Value),
        };
        Ok((Self { origin, seqno, has_certificate }, rest))
    }

    fn write_into(&self, out: &mut Vec<u8>) {
        write(self.origin, self.seqno, self.has_certificate.into(), out);
    }
}
