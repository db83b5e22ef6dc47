//! What a joining host and its authority say to each other, inside TLS 1.3: one question, one answer, each a
//! length of four bytes and JSON.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::enrol::invites::Invited;

/// The longest message: a certificate takes 1 kB, a list of 1000 revoked ones 40 kB.
const MESSAGE_BYTES_MAX: usize = 256 * 1024;

/// The longest question, from one of whom nothing is known yet.
const QUESTION_BYTES_MAX: usize = 8 * 1024;

/// How long all of it may take.
const EXCHANGE_DEADLINE: Duration = Duration::from_secs(10);

/// What the joining host asks.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Question {
    /// The secret of the token, base64.
    pub(super) secret: String,
    /// The request for a certificate (PKCS #10, DER), base64.
    pub(super) request: String,
}

/// What the authority answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub(super) enum Answer {
    Welcome(Welcome),
    Refused { why: String },
}

/// All that a node needs besides its key.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Welcome {
    /// PEM.
    pub(super) certificate: String,
    /// PEM.
    pub(super) root: String,
    /// PEM.
    pub(super) revoked: Option<String>,
    pub(super) prefixes: Vec<String>,
    pub(super) neighbours: Vec<Invited>,
}

pub(super) fn say(stream: &mut impl Write, message: &impl Serialize) -> io::Result<()> {
    let text = serde_json::to_vec(message)?;
    let length = u32::try_from(text.len()).map_err(io::Error::other)?;
    stream.write_all(&length.to_be_bytes())?;
    stream.write_all(&text)?;
    stream.flush()
}

pub(super) fn hear_question(stream: &mut impl Read) -> io::Result<Question> {
    hear(stream, QUESTION_BYTES_MAX)
}

pub(super) fn hear_answer(stream: &mut impl Read) -> io::Result<Answer> {
    hear(stream, MESSAGE_BYTES_MAX)
}

/// Reads a message. Room is made for what comes, not for what is claimed.
fn hear<T: DeserializeOwned>(stream: &mut impl Read, bytes_max: usize) -> io::Result<T> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = u64::from(u32::from_be_bytes(length));
    if length > bytes_max as u64 {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the message is too long"));
    }
    let mut text = Vec::new();
    stream.take(length).read_to_end(&mut text)?;
    Ok(serde_json::from_slice(&text)?)
}

/// A connection that ends when its time is up, however slowly the other side speaks.
#[derive(Debug)]
pub(super) struct Timed {
    stream: TcpStream,
    until: Instant,
}

impl Timed {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, until: Instant::now() + EXCHANGE_DEADLINE }
    }

    fn left(&self) -> io::Result<Option<Duration>> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(Some(left)) }
    }
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(self.left()?)?;
        self.stream.read(buffer)
    }
}

impl Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(self.left()?)?;
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

impl Drop for Timed {
    fn drop(&mut self) {
        // It may be closed already.
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_that_claim_too_much_or_stop_short_are_refused() {
        let long = u32::MAX.to_be_bytes();
        let short = [&20_u32.to_be_bytes()[..], b"{}"].concat();
        let other = [&2_u32.to_be_bytes()[..], b"{}"].concat();

        for bytes in [&long[..], &short, &other, &[]] {
            assert!(hear_question(&mut &*bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn what_was_said_is_heard() {
        let mut bytes = Vec::new();
        say(&mut bytes, &Question { secret: "s".into(), request: "r".into() }).unwrap();

        assert_eq!(hear_question(&mut &bytes[..]).unwrap().request, "r");
    }
}
