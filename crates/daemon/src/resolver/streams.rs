//! Questions over TCP (RFC 7766): each with its length in front, from a few who do not take long.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};

use crate::resolver::answer::MESSAGE_BYTES_MAX;

/// Connections at a time: 8 x 1.2 kB. Others wait in the kernel.
const STREAMS_MAX: usize = 8;

/// How long one may last, whatever it is used for.
const LASTS_FOR: Duration = Duration::from_secs(2);

/// Bytes of the length before a message.
const LENGTH_BYTES: usize = 2;

struct Stream {
    stream: TcpStream,
    ends_at: Instant,
    received: Vec<u8>,
}

/// The listener and its connections.
pub(crate) struct Streams {
    listener: TcpListener,
    places: [Option<Stream>; STREAMS_MAX],
    first_token: usize,
}

impl Streams {
    /// Listens; the connections have the tokens from `first_token + 1` on.
    pub(crate) fn bind(address: SocketAddr, registry: &Registry, first_token: usize) -> io::Result<Self> {
        let mut listener = TcpListener::bind(address)?;
        registry.register(&mut listener, Token(first_token), Interest::READABLE)?;
        Ok(Self { listener, places: Default::default(), first_token })
    }

    /// Takes in who waits, as long as there are places.
    pub(crate) fn accept(
        &mut self,
        registry: &Registry,
        is_served: impl Fn(SocketAddr) -> bool,
        now: Instant,
    ) {
        for (place, token) in self.places.iter_mut().zip(self.first_token + 1..) {
            while place.is_none() {
                let Ok((mut stream, from)) = self.listener.accept() else { return };
                if is_served(from) && registry.register(&mut stream, Token(token), Interest::READABLE).is_ok()
                {
                    *place = Some(Stream { stream, ends_at: now + LASTS_FOR, received: Vec::new() });
                }
            }
        }
    }

    /// Answers what has come in over a connection.
    pub(crate) fn serve(&mut self, token: Token, answer: impl FnMut(&[u8]) -> Option<Vec<u8>>) {
        let place = token.0.checked_sub(self.first_token + 1).and_then(|place| self.places.get_mut(place));
        let Some(place) = place else { return };
        if place.as_mut().is_some_and(|stream| stream.serve(answer).is_err()) {
            *place = None;
        }
    }

    /// Closes connections that have lasted long enough.
    pub(crate) fn close_late(&mut self, now: Instant) {
        for place in &mut self.places {
            let _ = place.take_if(|stream| stream.ends_at <= now);
        }
    }

    /// Returns when the next connection is to be closed.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.places.iter().flatten().map(|stream| stream.ends_at).min()
    }
}

impl Stream {
    /// Answers whole questions until there is nothing more to read; an error ends the connection.
    fn serve(&mut self, mut answer: impl FnMut(&[u8]) -> Option<Vec<u8>>) -> io::Result<()> {
        let mut buffer = [0; LENGTH_BYTES + MESSAGE_BYTES_MAX];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(len) => self.received.extend(&buffer[..len]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
            while let Some(question) = self.take_question()? {
                let answer = answer(&question).ok_or(io::ErrorKind::InvalidData)?;
                let len = u16::try_from(answer.len()).map_err(io::Error::other)?;
                // Whoever does not read its answers has no further ones.
                self.stream.write_all(&[&len.to_be_bytes(), &answer[..]].concat())?;
            }
        }
    }

    fn take_question(&mut self) -> io::Result<Option<Vec<u8>>> {
        let Some(len) = self.received.first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
        let len = usize::from(u16::from_be_bytes(*len));
        if len > MESSAGE_BYTES_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
        if self.received.len() < LENGTH_BYTES + len {
            return Ok(None);
        }
        let question = self.received[LENGTH_BYTES..LENGTH_BYTES + len].to_vec();
        self.received.drain(..LENGTH_BYTES + len);
        Ok(Some(question))
    }
}
