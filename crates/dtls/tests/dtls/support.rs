//! Two ends and the wire between them, for every module here.

use std::net::SocketAddr;

use peerbound_dtls::{
    Authority, Context, ContextConfig, Doorman, Identity, Plaintexts, Screening, Session, SessionOptions,
    Validity, VerifiedHello,
};

use crate::vclock::{START_UNIX, VirtualClock};

pub(crate) const CLIENT: &str = "192.0.2.1:4433";
pub(crate) const SERVER: &str = "192.0.2.2:4433";

pub(crate) fn address(text: &str) -> SocketAddr {
    text.parse().expect("a literal address")
}

/// One authority, and the contexts of two nodes it certified.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) authority: Authority,
    pub(crate) client: Context,
    pub(crate) server: Context,
    pub(crate) options: SessionOptions,
}

impl World {
    pub(crate) fn new() -> Self {
        let authority = Authority::generate("test root", validity()).unwrap();
        let context = |name| {
            Context::new(ContextConfig::new(identity(&authority, name), vec![authority.to_root()])).unwrap()
        };
        Self {
            client: context("client"),
            server: context("server"),
            options: SessionOptions::default(),
            authority,
        }
    }

    /// Makes another node of the same authority.
    pub(crate) fn context(&self, name: &str) -> Context {
        Context::new(ContextConfig::new(identity(&self.authority, name), vec![self.authority.to_root()]))
            .unwrap()
    }

    /// Starts a client whose first flight waits to be taken.
    pub(crate) fn connect(&self, clock: &VirtualClock) -> Session {
        Session::connect(&self.client, &self.options, clock.now()).unwrap()
    }

    /// Starts a client and carries it through the cookie exchange: returns it with a fresh server
    /// that has its verified hello.
    pub(crate) fn open(&self, clock: &VirtualClock) -> (Session, Session) {
        let mut client = self.connect(clock);
        let hello = verified_hello(&mut client, clock);
        let server = Session::accept(&self.server, &self.options, &hello, clock.now()).unwrap();
        (client, server)
    }

    /// Carries a whole handshake over a perfect wire.
    pub(crate) fn establish(&self, clock: &VirtualClock) -> (Session, Session) {
        let (mut client, mut server) = self.open(clock);
        exchange(&mut client, &mut server, clock);
        assert!(client.is_established() && server.is_established(), "a perfect wire completes a handshake");
        (client, server)
    }
}

pub(crate) fn validity() -> Validity {
    Validity::days(START_UNIX, 365)
}

pub(crate) fn identity(authority: &Authority, name: &str) -> Identity {
    authority.issue(name, validity()).unwrap()
}

pub(crate) fn doorman(clock: &VirtualClock) -> Doorman {
    Doorman::new([7; 32], clock.now())
}

/// Answers a client's first hello with a cookie and returns its second, verified.
pub(crate) fn verified_hello(client: &mut Session, clock: &VirtualClock) -> VerifiedHello {
    let doorman = doorman(clock);
    let first = drain(client).remove(0);
    let Screening::Challenge(challenge) = doorman.screen(&first, address(CLIENT), clock.now()).unwrap()
    else {
        panic!("a hello without a cookie is challenged");
    };
    client.handle_datagram(&challenge, &mut Plaintexts::new(), clock.now());
    let second = drain(client).remove(0);
    match doorman.screen(&second, address(CLIENT), clock.now()).unwrap() {
        Screening::Verified(hello) => hello,
        other => panic!("the cookie comes back: {other:?}"),
    }
}

/// Takes every datagram that waits to be sent.
pub(crate) fn drain(session: &mut Session) -> Vec<Vec<u8>> {
    let mut datagrams = Vec::new();
    while let Some(datagram) = session.poll_transmit() {
        datagrams.push(datagram.to_vec());
    }
    datagrams
}

/// Carries datagrams to and fro until neither end has any.
pub(crate) fn exchange(a: &mut Session, b: &mut Session, clock: &VirtualClock) {
    loop {
        let (to_b, to_a) = (drain(a), drain(b));
        if to_b.is_empty() && to_a.is_empty() {
            return;
        }
        to_b.iter().for_each(|datagram| deliver(b, datagram, clock));
        to_a.iter().for_each(|datagram| deliver(a, datagram, clock));
    }
}

fn deliver(to: &mut Session, datagram: &[u8], clock: &VirtualClock) {
    to.handle_datagram(datagram, &mut Plaintexts::new(), clock.now());
}

/// Delivers one datagram and returns what application data came out.
pub(crate) fn receive(to: &mut Session, datagram: &[u8], clock: &VirtualClock) -> Vec<Vec<u8>> {
    let mut plaintexts = Plaintexts::new();
    to.handle_datagram(datagram, &mut plaintexts, clock.now());
    plaintexts.iter().map(<[u8]>::to_vec).collect()
}

/// Seals one payload and returns its datagram.
pub(crate) fn seal(from: &mut Session, payload: &[u8]) -> Vec<u8> {
    from.send(payload).unwrap();
    let mut datagrams = drain(from);
    assert_eq!(datagrams.len(), 1, "one payload is one record is one datagram");
    datagrams.remove(0)
}

/// Shows that both directions of a session still carry data.
pub(crate) fn assert_alive(a: &mut Session, b: &mut Session, clock: &VirtualClock) {
    let there = seal(a, b"still there?");
    assert_eq!(receive(b, &there, clock), [b"still there?"]);
    let back = seal(b, b"still here.");
    assert_eq!(receive(a, &back, clock), [b"still here."]);
}
