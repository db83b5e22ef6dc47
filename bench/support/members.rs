//! Members of an overlay that exists for a benchmark, and the size of what they send each other.

use std::time::{SystemTime, UNIX_EPOCH};

use peerbound_dtls::{Authority, Context, ContextConfig, Validity};

/// Bytes of the datagrams, all told.
pub(crate) const DATAGRAM_BYTES: usize = 1400;
/// What AES-GCM adds to a frame: record header, explicit nonce, tag.
const OVERHEAD_BYTES: usize = 37;
pub(crate) const FRAME_BYTES: usize = DATAGRAM_BYTES - OVERHEAD_BYTES;

/// Certifies so many members.
pub(crate) fn contexts(count: usize) -> Vec<Context> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let validity = Validity::days(since.cast_signed() - 3600, 2);
    let authority = Authority::generate("bench root", validity).unwrap();
    let context = |number: usize| {
        let identity = authority.issue(&format!("N{number}"), validity).unwrap();
        Context::new(ContextConfig::new(identity, vec![authority.to_root()])).unwrap()
    };
    (0..count).map(context).collect()
}
