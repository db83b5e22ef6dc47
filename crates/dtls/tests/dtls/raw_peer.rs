//! A client that is OpenSSL and nothing of ours: what a stranger with other rules would send.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::rc::Rc;

use openssl::ssl::{
    HandshakeError, MidHandshakeSslStream, Ssl, SslContextBuilder, SslOptions, SslStream, SslVerifyMode,
};

#[derive(Debug, Default)]
struct Queues {
    inbound: VecDeque<Vec<u8>>,
    outbound: VecDeque<Vec<u8>>,
}

#[derive(Debug, Clone, Default)]
struct Pipe(Rc<RefCell<Queues>>);

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let datagram = self.0.borrow_mut().inbound.pop_front().ok_or(ErrorKind::WouldBlock)?;
        buffer[..datagram.len()].copy_from_slice(&datagram);
        Ok(datagram.len())
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().outbound.push_back(bytes.to_vec());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Debug)]
enum Handshake {
    Under(MidHandshakeSslStream<Pipe>),
    Done(SslStream<Pipe>),
    Failed,
}

/// A client of plain OpenSSL that trusts everyone.
#[derive(Debug)]
pub(crate) struct RawClient {
    pipe: Pipe,
    handshake: Handshake,
}

impl RawClient {
    pub(crate) fn connect(mut context: SslContextBuilder) -> Self {
        context.set_options(SslOptions::NO_QUERY_MTU);
        context.set_verify(SslVerifyMode::NONE);
        let mut ssl = Ssl::new(&context.build()).unwrap();
        ssl.set_mtu(1400).unwrap();
        let pipe = Pipe::default();
        let handshake = outcome(ssl.connect(pipe.clone()));
        Self { pipe, handshake }
    }

    pub(crate) fn handle_datagram(&mut self, datagram: &[u8]) {
        self.pipe.0.borrow_mut().inbound.push_back(datagram.to_vec());
        self.handshake = match std::mem::replace(&mut self.handshake, Handshake::Failed) {
            Handshake::Under(stream) => outcome(stream.handshake()),
            Handshake::Done(mut stream) => {
                // Its application wants nothing; OpenSSL gets to see the datagram.
                drop(stream.read(&mut [0; 16_384]));
                Handshake::Done(stream)
            }
            Handshake::Failed => Handshake::Failed,
        };
    }

    pub(crate) fn drain(&mut self) -> Vec<Vec<u8>> {
        self.pipe.0.borrow_mut().outbound.drain(..).collect()
    }
}

fn outcome(result: Result<SslStream<Pipe>, HandshakeError<Pipe>>) -> Handshake {
    match result {
        Ok(stream) => Handshake::Done(stream),
        Err(HandshakeError::WouldBlock(stream)) => Handshake::Under(stream),
        Err(HandshakeError::Failure(_) | HandshakeError::SetupFailure(_)) => Handshake::Failed,
    }
}
