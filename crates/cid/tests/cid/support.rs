//! Established sessions of real OpenSSL, for their keys and their records.

use std::net::SocketAddr;

use peerbound_dtls::{
    Authority, Context, ContextConfig, Doorman, Plaintexts, Profile, Screening, Session, SessionOptions,
    SessionSecrets, Teaching, Validity,
};

use crate::vclock::{START_UNIX, VirtualClock};

/// The suites that the model knows, one for each AEAD.
pub(crate) const SUITES: [&str; 3] =
    ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305"];

pub(crate) fn address(text: &str) -> SocketAddr {
    text.parse().expect("a literal address")
}

/// Both ends of an established session.
pub(crate) struct Pair {
    pub(crate) client: Session,
    pub(crate) server: Session,
    /// What crossed the wire in the handshake behind the cookie, from the client and from the server.
    pub(crate) from_client: Vec<Vec<u8>>,
    pub(crate) from_server: Vec<Vec<u8>>,
}

impl Pair {
    pub(crate) fn establish(suite: &str, clock: &VirtualClock) -> Self {
        let validity = Validity::days(START_UNIX, 365);
        let authority = Authority::generate("test root", validity).unwrap();
        let context = |name| {
            let identity = authority.issue(name, validity).unwrap();
            let config = ContextConfig::new(identity, vec![authority.to_root()]);
            let profile = Profile::Teaching(Teaching::with_suites(suite));
            Context::new(ContextConfig { profile, ..config }).unwrap()
        };
        let options = SessionOptions::default();
        let now = clock.now();
        let from = address("192.0.2.1:4433");
        let doorman = Doorman::new([7; 32], now);
        let mut client = Session::connect(&context("client"), &options, now).unwrap();
        let hello = loop {
            let hello = client.poll_transmit().expect("a client begins with a hello").to_vec();
            match doorman.screen(&hello, from, now).unwrap() {
                Screening::Challenge(challenge) => {
                    client.handle_datagram(&challenge, &mut Plaintexts::new(), now);
                }
                Screening::Verified(hello) => break hello,
                Screening::Refused => panic!("a fresh cookie is accepted"),
            }
        };
        let server = Session::accept(&context("server"), &options, &hello, now).unwrap();
        let mut pair = Self { client, server, from_client: Vec::new(), from_server: Vec::new() };
        pair.exchange(clock);
        assert!(pair.client.is_established() && pair.server.is_established());
        pair
    }

    pub(crate) fn secrets(&self) -> &SessionSecrets {
        self.client.secrets().expect("established")
    }

    fn exchange(&mut self, clock: &VirtualClock) {
        loop {
            let (to_server, to_client) = (drain(&mut self.client), drain(&mut self.server));
            if to_server.is_empty() && to_client.is_empty() {
                return;
            }
            for datagram in &to_server {
                self.server.handle_datagram(datagram, &mut Plaintexts::new(), clock.now());
            }
            for datagram in &to_client {
                self.client.handle_datagram(datagram, &mut Plaintexts::new(), clock.now());
            }
            self.from_client.extend(to_server);
            self.from_server.extend(to_client);
        }
    }
}

pub(crate) fn drain(session: &mut Session) -> Vec<Vec<u8>> {
    let mut datagrams = Vec::new();
    while let Some(datagram) = session.poll_transmit() {
        datagrams.push(datagram.to_vec());
    }
    datagrams
}

/// Lets OpenSSL seal one payload.
pub(crate) fn seal(from: &mut Session, payload: &[u8]) -> Vec<u8> {
    from.send(payload).unwrap();
    let mut datagrams = drain(from);
    assert_eq!(datagrams.len(), 1, "one payload is one record is one datagram");
    datagrams.remove(0)
}

/// Gives OpenSSL one datagram and returns the application data in it.
pub(crate) fn receive(to: &mut Session, datagram: &[u8], clock: &VirtualClock) -> Vec<Vec<u8>> {
    let mut plaintexts = Plaintexts::new();
    to.handle_datagram(datagram, &mut plaintexts, clock.now());
    plaintexts.iter().map(<[u8]>::to_vec).collect()
}
