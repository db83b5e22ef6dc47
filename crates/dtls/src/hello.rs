//! The ClientHello as far as a stateless server must read it (RFC 6347, 4.2.1; RFC 5246, 7.4.1.2).

use crate::record::{ContentType, HANDSHAKE_HEADER_BYTES, RECORD_HEADER_BYTES, Record};

const CLIENT_HELLO: u8 = 1;

/// The parts of a ClientHello that a cookie is made from and checked against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ClientHello<'a> {
    /// The record it came in, alone.
    pub(crate) record: Record<'a>,
    pub(crate) version: [u8; 2],
    pub(crate) random: [u8; 32],
    pub(crate) session_id: &'a [u8],
    pub(crate) cookie: &'a [u8],
    /// Cipher suites, compression methods and extensions.
    pub(crate) rest: &'a [u8],
}

/// Returns whether a datagram begins with a ClientHello in the clear. A live session has no use
/// for such a datagram; whoever keeps the association decides what it means.
#[must_use]
pub fn is_client_hello(datagram: &[u8]) -> bool {
    Record::split(datagram).is_ok_and(|(record, _)| {
        record.header.epoch == 0
            && record.header.content_type == ContentType::Handshake
            && record.body().first() == Some(&CLIENT_HELLO)
    })
}

impl<'a> ClientHello<'a> {
    /// Reads a whole, unfragmented ClientHello; `None` for anything else.
    pub(crate) fn parse(datagram: &'a [u8]) -> Option<Self> {
        let (record, _) = Record::split(datagram).ok()?;
        let (header, body) = record.body().split_first_chunk::<HANDSHAKE_HEADER_BYTES>()?;
        let [_, m0, m1, m2, _, _, o0, o1, o2, f0, f1, f2] = *header;
        let whole = [o0, o1, o2] == [0; 3] && [m0, m1, m2] == [f0, f1, f2];
        let length = usize::try_from(u32::from_be_bytes([0, m0, m1, m2])).ok()?;
        if !whole || length != body.len() {
            return None;
        }
        let (version, body) = body.split_first_chunk::<2>()?;
        let (random, body) = body.split_first_chunk::<32>()?;
        let (session_id, body) = split_short_vector(body)?;
        let (cookie, rest) = split_short_vector(body)?;
        Some(Self { record, version: *version, random: *random, session_id, cookie, rest })
    }
}

fn split_short_vector(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first()?;
    rest.split_at_checked(usize::from(*length))
}

/// Writes the HelloVerifyRequest that asks the sender of `hello` to come again with `cookie`.
///
/// RFC 6347, 4.2.1: the record takes the number of the hello's record, so that a server without
/// state needs no counter; and server_version "SHOULD be DTLS 1.0 regardless of the version" that
/// will be negotiated.
pub(crate) fn hello_verify_request(hello: &ClientHello<'_>, cookie: &[u8; crate::COOKIE_BYTES]) -> Vec<u8> {
    const HELLO_VERIFY_REQUEST: u8 = 3;
    const VERSION: [u8; 2] = [0xfe, 0xff];
    const MESSAGE: u8 = 2 + 1 + 32;
    const _: () = assert!(MESSAGE as usize == 2 + 1 + crate::COOKIE_BYTES);
    const FRAGMENT: u8 = 12 + MESSAGE;
    let mut reply = Vec::with_capacity(RECORD_HEADER_BYTES + usize::from(FRAGMENT));
    reply.push(ContentType::Handshake.number());
    reply.extend(VERSION);
    reply.extend(&hello.record.bytes[3..11]);
    reply.extend([0, FRAGMENT]);
    reply.extend([HELLO_VERIFY_REQUEST, 0, 0, MESSAGE, 0, 0, 0, 0, 0, 0, 0, MESSAGE]);
    reply.extend(VERSION);
    reply.push(32);
    reply.extend(cookie);
    reply
}
