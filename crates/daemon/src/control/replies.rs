//! What goes back to a client: whole lines, each within a time, to whoever reads them.

use std::io::{self, Write};
use std::mem::MaybeUninit;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use socket2::SockRef;

use crate::clock;
use crate::control::Stop;
use crate::control::protocol::Response;

/// How long a response may wait for its reader: a slow one loses its connection, and nothing else.
const WRITE_TIME_MAX: Duration = Duration::from_secs(10);

/// Writes one response.
pub(crate) fn write(stream: &mut UnixStream, response: &Response) -> io::Result<()> {
    let line = response.to_line();
    let end = clock::now() + WRITE_TIME_MAX;
    let mut rest = &line[..];
    // By the clock: a reader that takes a byte now and then would start each wait anew.
    while !rest.is_empty() {
        let left = end.saturating_duration_since(clock::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_write_timeout(Some(left))?;
        match stream.write(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => rest = rest.get(written..).unwrap_or_default(),
            Err(error) if is_no_failure(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn is_no_failure(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// The responses to one request that come before its last.
pub(crate) struct Replies<'a> {
    id: &'a Value,
    stream: &'a mut UnixStream,
    stop: &'a Stop,
    broken: Option<io::Error>,
}

impl<'a> Replies<'a> {
    pub(crate) fn new(id: &'a Value, stream: &'a mut UnixStream, stop: &'a Stop) -> Self {
        Self { id, stream, stop, broken: None }
    }

    /// Sends a part of the answer; more follows.
    pub(crate) fn part(&mut self, part: &impl Serialize) {
        if self.broken.is_none() {
            let part = serde_json::to_value(part).unwrap_or(Value::Null);
            let written = write(self.stream, &Response::answer(self.id, part, true));
            self.broken = written.err();
        }
    }

    /// Returns whether nobody waits for the rest any more: the client has gone, or has ended its half of
    /// the connection, or the node stops. A stream asks between two waits.
    pub(crate) fn is_over(&self) -> bool {
        self.broken.is_some() || self.stop.is_ordered() || has_ended(self.stream)
    }

    pub(crate) fn into_broken(self) -> Option<io::Error> {
        self.broken
    }
}

/// Looks, without waiting and without taking anything, whether the other end has said its last.
fn has_ended(stream: &UnixStream) -> bool {
    let mut byte = [MaybeUninit::uninit()];
    match SockRef::from(stream).recv_with_flags(&mut byte, libc::MSG_PEEK | libc::MSG_DONTWAIT) {
        Ok(count) => count == 0,
        Err(error) => !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted),
    }
}
