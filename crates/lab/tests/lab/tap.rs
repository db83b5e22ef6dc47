//! Real sessions, and a tap on their wire that writes down what passes.

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use peerbound_dtls::{
    Authority, Context, ContextConfig, Doorman, Plaintexts, Profile, Screening, Session, SessionOptions,
    Validity,
};
use peerbound_lab::{Capture, CapturedPacket, InterfaceIndex};

/// Two ends of one session.
pub(crate) struct Pair {
    pub(crate) client: Session,
    pub(crate) server: Session,
}

/// Stands on the wire of every session and writes down what passes.
pub(crate) struct Tap {
    authority: Authority,
    validity: Validity,
    pub(crate) capture: Capture,
    interface: InterfaceIndex,
    now: Instant,
    at: Duration,
    packets: u64,
    /// How what is written down differs from what passes.
    pub(crate) retouch: fn(&[u8]) -> Vec<u8>,
}

impl Tap {
    pub(crate) fn new() -> Result<Self> {
        let at = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let validity = Validity::days(i64::try_from(at.as_secs())?, 1);
        let mut capture = Capture::new();
        let interface = capture.add_interface("tap");
        let authority = Authority::generate("capture root", validity)?;
        Ok(Self {
            authority,
            validity,
            capture,
            interface,
            now: Instant::now(),
            at,
            packets: 0,
            retouch: <[u8]>::to_vec,
        })
    }

    /// Carries a whole handshake and puts its secrets into the capture.
    pub(crate) fn establish(&mut self, name: &str, from: &str, to: &str) -> Result<Pair> {
        self.establish_with(&Profile::Node, name, from, to)
    }

    /// The same with another profile.
    pub(crate) fn establish_with(
        &mut self,
        profile: &Profile,
        name: &str,
        from: &str,
        to: &str,
    ) -> Result<Pair> {
        let options = SessionOptions::default();
        let mut client = Session::connect(&self.context(name, profile)?, &options, self.now)?;
        let doorman = Doorman::new([7; 32], self.now);
        let source: SocketAddr = from.parse()?;

        let first = self.pass_on(&mut client, from, to, "hello")?;
        let Screening::Challenge(challenge) = doorman.screen(&first[0], source, self.now)? else {
            bail!("a hello without a cookie is not challenged");
        };
        self.write_down(&challenge, to, from, "cookie")?;
        client.handle_datagram(&challenge, &mut Plaintexts::new(), self.now);
        let second = self.pass_on(&mut client, from, to, "hello with cookie")?;
        let Screening::Verified(hello) = doorman.screen(&second[0], source, self.now)? else {
            bail!("the cookie does not come back");
        };
        let mut server = Session::accept(&self.context("b", profile)?, &options, &hello, self.now)?;
        loop {
            let to_client = self.pass_on(&mut server, to, from, "handshake")?;
            let to_server = self.pass_on(&mut client, from, to, "handshake")?;
            if to_client.is_empty() && to_server.is_empty() {
                break;
            }
            for datagram in to_client {
                client.handle_datagram(&datagram, &mut Plaintexts::new(), self.now);
            }
            for datagram in to_server {
                server.handle_datagram(&datagram, &mut Plaintexts::new(), self.now);
            }
        }
        let secrets = client.secrets().context("the handshake is not done")?;
        self.capture.add_secrets([secrets.keylog_line()])?;
        Ok(Pair { client, server })
    }

    /// Seals a text and writes its datagram down with these addresses, whoever sealed it.
    pub(crate) fn carry(&mut self, session: &mut Session, from: &str, to: &str, text: &str) -> Result<()> {
        session.send(text.as_bytes())?;
        self.pass_on(session, from, to, text).map(drop)
    }

    fn pass_on(
        &mut self,
        session: &mut Session,
        from: &str,
        to: &str,
        comment: &str,
    ) -> Result<Vec<Vec<u8>>> {
        let mut datagrams = Vec::new();
        while let Some(datagram) = session.poll_transmit() {
            self.write_down(datagram, from, to, comment)?;
            datagrams.push(datagram.to_vec());
        }
        Ok(datagrams)
    }

    pub(crate) fn write_down(&mut self, datagram: &[u8], from: &str, to: &str, comment: &str) -> Result<()> {
        let packet = CapturedPacket {
            at: self.at,
            interface: self.interface,
            source: from.parse()?,
            destination: to.parse()?,
            payload: (self.retouch)(datagram),
            comment: Some(comment.to_owned()),
            packet_id: self.packets,
        };
        self.at += Duration::from_millis(1);
        self.packets += 1;
        Ok(self.capture.add_packet(packet)?)
    }

    fn context(&self, name: &str, profile: &Profile) -> Result<Context> {
        let identity = self.authority.issue(name, self.validity)?;
        let config = ContextConfig::new(identity, vec![self.authority.to_root()]);
        Ok(Context::new(ContextConfig { profile: profile.clone(), ..config })?)
    }
}
