//! The least that a relay must do with a record by OpenSSL's record layer: one session opens it and another one
//! seals it, with nothing between them.

use std::hint::black_box;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use peerbound_dtls::{Context, Doorman, Plaintexts, RecordLayer, Screening, Session, SessionOptions};

use crate::members::{FRAME_BYTES, contexts};
use crate::ratios::processor_time;

/// One session that opens and one that seals, with nothing between them, and their other ends.
pub(crate) struct Bare {
    origin: Session,
    opens: Session,
    seals: Session,
    now: Instant,
    plaintexts: Plaintexts,
}

impl Bare {
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        let [one, middle, other] =
            contexts(3).try_into().unwrap_or_else(|_| unreachable!("three were asked for"));
        let (origin, opens) = establish(&one, &middle, now);
        let (_, seals) = establish(&other, &middle, now);
        Self { origin, opens, seals, now, plaintexts: Plaintexts::new() }
    }

    /// Lets so many frames be opened and sealed again, and returns the processor time of that.
    pub(crate) fn run(&mut self, count: usize) -> Duration {
        let frame = [7; FRAME_BYTES];
        let mut prepared = Vec::new();
        for _ in 0..count {
            self.origin.send(&frame).unwrap();
            prepared.push(self.origin.poll_transmit().unwrap().to_vec());
        }

        let started = processor_time();
        for datagram in &prepared {
            self.plaintexts.clear();
            black_box(self.opens.handle_datagram(datagram, &mut self.plaintexts, self.now));
            for plaintext in self.plaintexts.iter() {
                self.seals.send(plaintext).unwrap();
            }
            while let Some(sealed) = self.seals.poll_transmit() {
                black_box(sealed);
            }
        }
        let took = processor_time() - started;
        assert_eq!(self.plaintexts.iter().map(<[u8]>::len).sum::<usize>(), FRAME_BYTES);
        took
    }
}

fn establish(client: &Context, server: &Context, now: Instant) -> (Session, Session) {
    let options = SessionOptions { record_layer: RecordLayer::Openssl, ..SessionOptions::default() };
    let client_address = SocketAddr::from(([192, 0, 2, 0], 4433));
    let doorman = Doorman::new([7; 32], now);
    let mut plaintexts = Plaintexts::new();
    let mut client = Session::connect(client, &options, now).unwrap();
    let hello = client.poll_transmit().unwrap().to_vec();
    let Ok(Screening::Challenge(challenge)) = doorman.screen(&hello, client_address, now) else {
        panic!("a hello without a cookie is challenged");
    };
    client.handle_datagram(&challenge, &mut plaintexts, now);
    let hello = client.poll_transmit().unwrap().to_vec();
    let Ok(Screening::Verified(hello)) = doorman.screen(&hello, client_address, now) else {
        panic!("the cookie comes back");
    };
    let mut server = Session::accept(server, &options, &hello, now).unwrap();
    while !(client.is_established() && server.is_established()) {
        let (from, to) =
            if server.has_transmit() { (&mut server, &mut client) } else { (&mut client, &mut server) };
        let datagram = from.poll_transmit().unwrap().to_vec();
        to.handle_datagram(&datagram, &mut plaintexts, now);
    }
    (client, server)
}
