//! A capture of real sessions, read by somebody else: tshark decrypts what a session sealed, and
//! nothing that was put in its place, although the file holds every secret there is.
//!
//! Without tshark the test says so and passes, unless `PEERBOUND_REQUIRE_PEERS=1`.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail, ensure};
use peerbound_dtls::{
    Authority, Context, ContextConfig, Doorman, Plaintexts, Screening, Session, SessionOptions, Validity,
};
use peerbound_lab::{Capture, CapturedPacket, InterfaceIndex};
use tempfile::tempdir;

use crate::tshark::read_with_tshark;

const A: &str = "192.0.2.1:7400";
const B: &str = "192.0.2.2:7400";
const C: &str = "[2001:db8::3]:7400";
/// Where C meets B: the same node, seen over the other family.
const B6: &str = "[2001:db8::2]:7400";

#[test]
fn tshark_decrypts_what_a_session_sealed_and_nothing_put_in_its_place() -> Result<()> {
    let mut tap = Tap::new()?;
    let mut a_b = tap.establish("a", A, B)?;
    let mut c_b = tap.establish("c", C, B6)?;
    tap.carry(&mut a_b.client, A, B, "request from a to b")?;
    tap.carry(&mut a_b.server, B, A, "answer from b to a")?;
    tap.carry(&mut c_b.client, C, B6, "word from c to b")?;
    // What C sealed for B, in a datagram that claims to come from B to A.
    tap.carry(&mut c_b.client, B, A, "direct reply from c to a")?;
    let directory = tempdir()?;
    let file = directory.path().join("sessions.pcapng");
    let mut out = BufWriter::new(File::create(&file)?);
    tap.capture.write_to(&mut out)?;
    out.flush()?;

    let Some(rows) = read_with_tshark(&file)? else {
        return Ok(());
    };

    let plaintext_of = |comment: &str| {
        let row = rows.iter().find(|row| row.comment == comment);
        row.map(|row| &row.plaintext[..]).with_context(|| format!("no packet \"{comment}\" in {rows:#?}"))
    };
    for comment in ["request from a to b", "answer from b to a", "word from c to b"] {
        ensure!(plaintext_of(comment)? == comment.as_bytes(), "{comment} reads {:?}", plaintext_of(comment)?);
    }
    ensure!(plaintext_of("direct reply from c to a")?.is_empty(), "a forgery was decrypted");
    for (row, number) in rows.iter().zip(0_u64..) {
        ensure!(row.packet_id == number, "packet {number} has another id: {row:?}");
        ensure!(row.interface == "tap", "{row:?} was seen elsewhere");
        ensure!(row.checksums_good, "a checksum is wrong: {row:?}");
    }
    Ok(())
}

/// Two ends of one session.
struct Pair {
    client: Session,
    server: Session,
}

/// Stands on the wire of every session and writes down what passes.
struct Tap {
    authority: Authority,
    validity: Validity,
    capture: Capture,
    interface: InterfaceIndex,
    now: Instant,
    at: Duration,
    packets: u64,
}

impl Tap {
    fn new() -> Result<Self> {
        let at = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let validity = Validity::days(i64::try_from(at.as_secs())?, 1);
        let mut capture = Capture::new();
        let interface = capture.add_interface("tap");
        let authority = Authority::generate("capture root", validity)?;
        Ok(Self { authority, validity, capture, interface, now: Instant::now(), at, packets: 0 })
    }

    /// Carries a whole handshake and puts its secrets into the capture.
    fn establish(&mut self, name: &str, from: &str, to: &str) -> Result<Pair> {
        let options = SessionOptions::default();
        let mut client = Session::connect(&self.context(name)?, &options, self.now)?;
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
        let mut server = Session::accept(&self.context("b")?, &options, &hello, self.now)?;
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
    fn carry(&mut self, session: &mut Session, from: &str, to: &str, text: &str) -> Result<()> {
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

    fn write_down(&mut self, datagram: &[u8], from: &str, to: &str, comment: &str) -> Result<()> {
        let packet = CapturedPacket {
            at: self.at,
            interface: self.interface,
            source: from.parse()?,
            destination: to.parse()?,
            payload: datagram.to_vec(),
            comment: Some(comment.to_owned()),
            packet_id: self.packets,
        };
        self.at += Duration::from_millis(1);
        self.packets += 1;
        Ok(self.capture.add_packet(packet)?)
    }

    fn context(&self, name: &str) -> Result<Context> {
        let identity = self.authority.issue(name, self.validity)?;
        Ok(Context::new(ContextConfig::new(identity, vec![self.authority.to_root()]))?)
    }
}
