//! Two ends and the wire between them, for every module here.

use std::net::SocketAddr;

use openssl::asn1::Asn1Time;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::PKey;
use openssl::rsa::Rsa;
use openssl::x509::{X509, X509Name};
use peerbound_dtls::{
    Admission, Authority, CloseReason, ContentType, Context, ContextConfig, Doorman, Identity, Plaintexts,
    Profile, RecordHeader, Refusal, Screening, Session, SessionEvent, SessionOptions, SslVersion, Teaching,
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
        Self::of(&Profile::Node)
    }

    /// Both ends speak `profile`.
    pub(crate) fn of(profile: &Profile) -> Self {
        let authority = Authority::generate("test root", validity()).unwrap();
        let context = |name| {
            let config = ContextConfig::new(identity(&authority, name), vec![authority.to_root()]);
            Context::new(ContextConfig { profile: profile.clone(), ..config }).unwrap()
        };
        Self {
            client: context("client"),
            server: context("server"),
            options: SessionOptions::default(),
            authority,
        }
    }

    /// Both ends speak DTLS 1.2 with these suites, and otherwise as OpenSSL has it.
    pub(crate) fn with_suites(suites: &str) -> Self {
        Self::of(&Profile::Teaching(Teaching::with_suites(suites)))
    }

    /// Both ends have RSA keys of one certificate, and may speak DTLS 1.0.
    pub(crate) fn with_rsa(version: SslVersion, suites: &str) -> Self {
        let (identity, root) = rsa_identity("rsa");
        let context = || {
            let config = ContextConfig::new(identity.clone(), vec![root.clone()]);
            let teaching = Teaching { version, ..Teaching::with_suites(suites) };
            Context::new(ContextConfig { profile: Profile::Teaching(teaching), ..config }).unwrap()
        };
        Self { client: context(), server: context(), ..Self::new() }
    }

    /// Makes another node of the same authority.
    pub(crate) fn context(&self, name: &str) -> Context {
        Context::new(self.config(name)).unwrap()
    }

    /// Starts the configuration of another node of the same authority.
    pub(crate) fn config(&self, name: &str) -> ContextConfig {
        ContextConfig::new(identity(&self.authority, name), vec![self.authority.to_root()])
    }

    /// Carries a handshake as far as it goes, and says how each end's session ended.
    pub(crate) fn clash(&self, clock: &VirtualClock) -> (Ended, Ended) {
        let (mut client, mut server) = self.open(clock);
        exchange(&mut client, &mut server, clock);
        (Ended::of(&mut client), Ended::of(&mut server))
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

    /// Starts as [`Self::open`] does, with a rule of whom to admit for each end.
    pub(crate) fn open_admitting(
        &self,
        by_client: Admission,
        by_server: Admission,
        clock: &VirtualClock,
    ) -> (Session, Session) {
        let options = |admission| SessionOptions { admission, ..self.options.clone() };
        let mut client = Session::connect(&self.client, &options(by_client), clock.now()).unwrap();
        let hello = verified_hello(&mut client, clock);
        let server = Session::accept(&self.server, &options(by_server), &hello, clock.now()).unwrap();
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

/// What an end that has no session makes of it.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Whether it ever was established.
    pub(crate) was_up: bool,
    pub(crate) reason: Option<CloseReason>,
    pub(crate) alert: Option<u8>,
}

impl Ended {
    pub(crate) fn of(session: &mut Session) -> Self {
        let mut ended = Self { was_up: false, reason: None, alert: session.alert_heard() };
        while let Some(event) = session.poll_event() {
            match event {
                SessionEvent::Established(_) => ended.was_up = true,
                SessionEvent::Closed(reason) => ended.reason = Some(reason),
            }
        }
        ended
    }

    pub(crate) fn refusal(&self) -> Option<&Refusal> {
        match &self.reason {
            Some(CloseReason::Refused(refusal)) => Some(refusal),
            Some(CloseReason::Local | CloseReason::Peer | CloseReason::Failed(_)) | None => None,
        }
    }
}

/// Makes a self-signed RSA certificate: the authority of the crate signs P-256 keys alone.
fn rsa_identity(name: &str) -> (Identity, X509) {
    let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
    let mut subject = X509Name::builder().unwrap();
    subject.append_entry_by_nid(Nid::COMMONNAME, name).unwrap();
    let subject = subject.build();
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    builder.set_subject_name(&subject).unwrap();
    builder.set_issuer_name(&subject).unwrap();
    let Validity { not_before, not_after } = validity();
    builder.set_not_before(Asn1Time::from_unix(not_before).unwrap().as_ref()).unwrap();
    builder.set_not_after(Asn1Time::from_unix(not_after).unwrap().as_ref()).unwrap();
    builder.set_pubkey(&key).unwrap();
    builder.sign(&key, MessageDigest::sha256()).unwrap();
    let certificate = builder.build();
    (Identity::new(certificate.clone(), Vec::new(), key).unwrap(), certificate)
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

/// Carries datagrams to and fro until neither end has any; returns what each sent.
pub(crate) fn exchange(a: &mut Session, b: &mut Session, clock: &VirtualClock) -> [Vec<Vec<u8>>; 2] {
    let [mut from_a, mut from_b] = [Vec::new(), Vec::new()];
    loop {
        let (to_b, to_a) = (drain(a), drain(b));
        if to_b.is_empty() && to_a.is_empty() {
            return [from_a, from_b];
        }
        to_b.iter().for_each(|datagram| deliver(b, datagram, clock));
        to_a.iter().for_each(|datagram| deliver(a, datagram, clock));
        from_a.extend(to_b);
        from_b.extend(to_a);
    }
}

pub(crate) fn deliver(to: &mut Session, datagram: &[u8], clock: &VirtualClock) {
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

/// Makes a DTLS 1.2 record of any kind and content.
pub(crate) fn record(content_type: ContentType, epoch: u16, sequence: u64, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap();
    let header = RecordHeader { content_type, version: 0xfefd, epoch, sequence, length };
    [&header.encode()[..], body].concat()
}

/// Whether OpenSSL is older than 3.6.
pub(crate) fn openssl_is_before_3_6() -> bool {
    openssl::version::number() >> 20 < 0x306
}
