//! Meets every ClientHello before any state exists for it: no cookie, no session
//! (RFC 6347, 4.2.1). Stateless but for its own secrets, which rotate.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::memcmp;

use crate::hello::{ClientHello, hello_verify_request};
use crate::keys::hmac;
use crate::record::Record;

/// Bytes of a cookie: one HMAC-SHA-256. The request for it is then 60 bytes, less than any ClientHello.
pub const COOKIE_BYTES: usize = 32;

/// How long one cookie secret is used. A cookie lives for one to two of these: a client on a bad
/// path needs some seconds to come again, a thief of cookies should not have much longer.
const SECRET_ROTATION: Duration = Duration::from_secs(60);

/// Bytes of a HelloVerifyRequest: 13 record, 12 handshake header, 2 version, 1 length, 32 cookie.
const CHALLENGE_BYTES: usize = 13 + 12 + 2 + 1 + COOKIE_BYTES;

/// Checks cookies, and asks for them.
pub struct Doorman {
    seed: [u8; 32],
    started: Instant,
}

/// What the doorman made of a datagram that begins with a ClientHello.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Screening {
    /// No cookie, or one that does not fit: send this back to where the hello came from.
    Challenge(Vec<u8>),
    /// The sender can receive at its address; a session may be made for it.
    Verified(VerifiedHello),
    /// Not a hello that a stateless server can answer: fragmented, malformed, or shorter than the answer.
    Refused,
}

/// A ClientHello whose cookie proved that its sender receives at its source address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedHello {
    pub(crate) record: Vec<u8>,
    pub(crate) cookie: Vec<u8>,
    pub(crate) random: [u8; 32],
}

impl VerifiedHello {
    /// Returns the number of the record that the hello came in.
    pub(crate) fn record_number(&self) -> u64 {
        Record::split(&self.record).map_or(0, |(record, _)| record.header.sequence)
    }
}

impl Doorman {
    /// Makes a doorman whose secrets follow from `seed`, which must be unpredictable on a real node.
    #[must_use]
    pub fn new(seed: [u8; 32], now: Instant) -> Self {
        Self { seed, started: now }
    }

    /// Looks at a datagram for which [`crate::is_client_hello`] holds.
    ///
    /// # Errors
    /// When OpenSSL refuses to compute an HMAC.
    pub fn screen(&self, datagram: &[u8], source: SocketAddr, now: Instant) -> Result<Screening, ErrorStack> {
        let Some(hello) = ClientHello::parse(datagram) else {
            return Ok(Screening::Refused);
        };
        // Never answer with more than was sent, or the node becomes an amplifier.
        if datagram.len() < CHALLENGE_BYTES {
            return Ok(Screening::Refused);
        }
        let period = self.period(now);
        let current = self.cookie(&hello, source, period)?;
        if hello.cookie.is_empty() {
            return Ok(Screening::Challenge(hello_verify_request(&hello, &current)));
        }
        let fits = |cookie: &[u8; COOKIE_BYTES]| {
            hello.cookie.len() == COOKIE_BYTES && memcmp::eq(hello.cookie, cookie)
        };
        if !fits(&current) && !fits(&self.cookie(&hello, source, period.saturating_sub(1))?) {
            return Ok(Screening::Challenge(hello_verify_request(&hello, &current)));
        }
        Ok(Screening::Verified(VerifiedHello {
            record: hello.record.bytes.to_vec(),
            cookie: hello.cookie.to_vec(),
            random: hello.random,
        }))
    }

    fn period(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.started).as_secs() / SECRET_ROTATION.as_secs()
    }

    /// RFC 6347, 4.2.1: Cookie = HMAC(Secret, Client-IP, Client-Parameters).
    fn cookie(
        &self,
        hello: &ClientHello<'_>,
        source: SocketAddr,
        period: u64,
    ) -> Result<[u8; COOKIE_BYTES], ErrorStack> {
        let secret = hmac(MessageDigest::sha256(), &self.seed, &period.to_be_bytes())?;
        let mut bytes = source.to_string().into_bytes();
        bytes.push(0);
        bytes.extend(hello.version);
        bytes.extend(hello.random);
        bytes.push(u8::try_from(hello.session_id.len()).unwrap_or(u8::MAX));
        bytes.extend(hello.session_id);
        bytes.extend(hello.rest);
        let mut cookie = [0; COOKIE_BYTES];
        cookie.copy_from_slice(&hmac(MessageDigest::sha256(), &secret, &bytes)?);
        Ok(cookie)
    }
}
