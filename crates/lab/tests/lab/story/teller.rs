//! Writes a trace down while real sessions talk to each other.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use peerbound_dtls::{
    Authority, Context, ContextConfig, Direction, Discard, Doorman, KeyOracle, Outcome, Plaintexts, Record,
    Screening, Session, SessionOptions, Validity,
};
use peerbound_lab::trace::{
    DatagramId, Entry, Happening, HostIndex, HostLabel, Nanos, SealedBy, SessionIndex, SessionLabel, Trace,
    Way,
};
use peerbound_node::{Lock, Verdict};
use peerbound_wire::NodeId;

const HOP_NANOS: u64 = 1_000_000;

/// One session, and who has which end of it.
pub(crate) struct Link {
    client: HostIndex,
    server: HostIndex,
    of_client: Session,
    of_server: Session,
}

impl Link {
    pub(crate) fn end_at(&mut self, host: HostIndex) -> &mut Session {
        if host == self.client { &mut self.of_client } else { &mut self.of_server }
    }

    fn other(&self, host: HostIndex) -> HostIndex {
        if host == self.client { self.server } else { self.client }
    }
}

/// One datagram that leaves.
pub(crate) struct Sending {
    pub(crate) by: HostIndex,
    pub(crate) way: Way,
    pub(crate) source: SocketAddr,
    pub(crate) destination: SocketAddr,
    pub(crate) bytes: Vec<u8>,
    pub(crate) label: Option<String>,
    pub(crate) copy_of: Option<DatagramId>,
}

impl Sending {
    pub(crate) fn by(by: HostIndex, to: HostIndex, bytes: Vec<u8>) -> Self {
        let (source, destination) = (address(by), address(to));
        Self { by, way: Way::Socket, source, destination, bytes, label: None, copy_of: None }
    }

    pub(crate) fn called(self, label: &str) -> Self {
        Self { label: Some(label.to_owned()), ..self }
    }
}

pub(crate) fn address(host: HostIndex) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, u8::try_from(host.0 + 1).expect("few hosts")], 4433))
}

pub(crate) struct Teller {
    authority: Authority,
    validity: Validity,
    now: Instant,
    at: Nanos,
    oracle: KeyOracle<SessionIndex>,
    seals: BTreeMap<DatagramId, Option<SealedBy>>,
    steps: usize,
    trace: Trace,
}

impl Teller {
    pub(crate) fn new(title: &str, names: &[&str]) -> Result<Self> {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let validity = Validity::days(i64::try_from(since_1970.as_secs())?, 1);
        let host = |(index, name): (u32, &&str)| HostLabel {
            name: (*name).to_owned(),
            address: address(HostIndex(index)),
            id: (*name != "attacker").then(|| NodeId::new([u8::try_from(index).unwrap_or(0); 16])),
        };
        Ok(Self {
            authority: Authority::generate("story root", validity)?,
            validity,
            now: Instant::now(),
            at: Nanos(0),
            oracle: KeyOracle::default(),
            seals: BTreeMap::new(),
            steps: 0,
            trace: Trace {
                scenario: "story".to_owned(),
                title: title.to_owned(),
                backend: "sim",
                seed: 1,
                began_unix_nanos: 1_767_225_600_000_000_000,
                hosts: (0..).zip(names).map(host).collect(),
                sessions: Vec::new(),
                entries: Vec::new(),
            },
        })
    }

    pub(crate) fn finish(self) -> Trace {
        self.trace
    }

    pub(crate) fn name(&self, host: HostIndex) -> &str {
        self.trace.name_of(host)
    }

    pub(crate) fn wait_millis(&mut self, millis: u64) {
        self.at.0 += millis * 1_000_000;
    }

    pub(crate) fn happen(&mut self, what: Happening) {
        self.at.0 += HOP_NANOS;
        self.trace.entries.push(Entry { at: self.at, what });
    }

    pub(crate) fn step(&mut self, text: &str) {
        self.steps += 1;
        self.happen(Happening::Step { number: self.steps, text: text.to_owned() });
    }

    pub(crate) fn event(&mut self, host: HostIndex, kind: &'static str, text: &str) {
        self.happen(Happening::Event { host, kind, text: text.to_owned() });
    }

    pub(crate) fn send(&mut self, sending: Sending) -> DatagramId {
        let datagram = DatagramId(u64::try_from(self.seals.len()).expect("few datagrams"));
        let sealed_by = self.seal_of(&sending.bytes);
        self.seals.insert(datagram, sealed_by);
        let Sending { by, way, source, destination, bytes, label, copy_of } = sending;
        let bytes = Arc::from(bytes);
        self.happen(Happening::Sent {
            datagram,
            by,
            way,
            source,
            destination,
            bytes,
            label,
            copy_of,
            sealed_by,
        });
        datagram
    }

    pub(crate) fn lost(&mut self, datagram: DatagramId, why: &str) {
        self.happen(Happening::Lost { datagram, why: why.to_owned() });
    }

    pub(crate) fn judged(
        &mut self,
        datagram: DatagramId,
        host: HostIndex,
        verdict: Verdict,
        reason: Option<&str>,
    ) {
        let clause = match verdict {
            Verdict::Accepted | Verdict::Dropped(Lock::Demux) => "RFC 6347, 4.1.1",
            Verdict::Challenged => "RFC 6347, 4.2.1",
            Verdict::Dropped(Lock::Replay) => "RFC 6347, 4.1.2.6",
            Verdict::Dropped(_) | Verdict::Killed => "RFC 6347, 4.1.2.7",
        };
        let sealed_by = self.seals[&datagram];
        let reason = reason.map(str::to_owned);
        self.happen(Happening::Arrived { datagram, host, verdict, reason, clause, sealed_by });
    }

    /// Gives a datagram to a session and writes down what it says.
    pub(crate) fn received(
        &mut self,
        datagram: DatagramId,
        host: HostIndex,
        bytes: &[u8],
        session: &mut Session,
    ) {
        let (verdict, reason) = match session.handle_datagram(bytes, &mut Plaintexts::new(), self.now) {
            Outcome::Accepted => (Verdict::Accepted, None),
            Outcome::Killed => (Verdict::Killed, None),
            Outcome::Refused => (Verdict::Dropped(Lock::Identity), Some("peer-refused")),
            Outcome::NoSession => (Verdict::Dropped(Lock::Demux), Some("no-session")),
            Outcome::Discarded(discard) => (Verdict::Dropped(lock_of(discard)), Some(discard.name())),
        };
        self.judged(datagram, host, verdict, reason);
    }

    /// Seals a payload at one end of a session, and takes the datagram out of its hands.
    pub(crate) fn seal(&mut self, link: &mut Link, by: HostIndex, payload: &[u8]) -> Result<Vec<u8>> {
        let session = link.end_at(by);
        session.send(payload)?;
        Ok(session.poll_transmit().context("a sealed payload is one datagram")?.to_vec())
    }

    /// Seals a payload at one end of a session and lets the other end take it.
    pub(crate) fn pass(
        &mut self,
        link: &mut Link,
        by: HostIndex,
        payload: &[u8],
        label: Option<&str>,
    ) -> Result<()> {
        let bytes = self.seal(link, by, payload)?;
        let to = link.other(by);
        let sending = Sending::by(by, to, bytes.clone());
        let datagram = self.send(Sending { label: label.map(str::to_owned), ..sending });
        self.received(datagram, to, &bytes, link.end_at(to));
        Ok(())
    }

    /// Carries a whole handshake.
    pub(crate) fn connect(&mut self, client: HostIndex, server: HostIndex) -> Result<Link> {
        let options = SessionOptions::default();
        let mut of_client = Session::connect(&self.context(client)?, &options, self.now)?;
        let doorman = Doorman::new([7; 32], self.now);
        let source = address(client);
        let (_, first) = self.take(&mut of_client, client, server).context("a first hello")?;
        let Screening::Challenge(challenge) = doorman.screen(&first, source, self.now)? else {
            bail!("a hello without a cookie is not challenged");
        };
        self.judged(self.newest(), server, Verdict::Challenged, None);
        let datagram = self.send(Sending::by(server, client, challenge.clone()));
        self.received(datagram, client, &challenge, &mut of_client);
        let (second_id, second) = self.take(&mut of_client, client, server).context("a second hello")?;
        let Screening::Verified(hello) = doorman.screen(&second, source, self.now)? else {
            bail!("the cookie does not come back");
        };
        self.judged(second_id, server, Verdict::Accepted, None);
        let of_server = Session::accept(&self.context(server)?, &options, &hello, self.now)?;
        let mut link = Link { client, server, of_client, of_server };
        while self.flight(&mut link, server) + self.flight(&mut link, client) > 0 {}
        let secrets = link.of_client.secrets().context("the handshake is not done")?;
        let index = SessionIndex(u32::try_from(self.trace.sessions.len())?);
        self.oracle.learn(index, secrets)?;
        self.trace.sessions.push(SessionLabel {
            client,
            server,
            since: self.at,
            suite: secrets.suite.name.to_owned(),
            keylog: secrets.keylog_line(),
        });
        Ok(link)
    }

    /// Returns the first datagram of somebody who begins a handshake.
    pub(crate) fn first_flight(&mut self) -> Result<Vec<u8>> {
        let mut session =
            Session::connect(&self.context(HostIndex(0))?, &SessionOptions::default(), self.now)?;
        Ok(session.poll_transmit().context("a first hello")?.to_vec())
    }

    fn flight(&mut self, link: &mut Link, by: HostIndex) -> usize {
        let to = link.other(by);
        let mut datagrams = 0;
        while let Some((datagram, bytes)) = self.take(link.end_at(by), by, to) {
            self.received(datagram, to, &bytes, link.end_at(to));
            datagrams += 1;
        }
        datagrams
    }

    fn take(&mut self, from: &mut Session, by: HostIndex, to: HostIndex) -> Option<(DatagramId, Vec<u8>)> {
        let bytes = from.poll_transmit()?.to_vec();
        Some((self.send(Sending::by(by, to, bytes.clone())), bytes))
    }

    fn newest(&self) -> DatagramId {
        self.seals.last_key_value().map_or(DatagramId(0), |(datagram, _)| *datagram)
    }

    fn seal_of(&self, bytes: &[u8]) -> Option<SealedBy> {
        let (record, _) = Record::split(bytes).ok()?;
        let sealed = self.oracle.identify(&record)?;
        let session = *sealed.session;
        let label = &self.trace.sessions[usize::try_from(session.0).ok()?];
        let (from, to) = match sealed.direction {
            Direction::ClientToServer => (label.client, label.server),
            Direction::ServerToClient => (label.server, label.client),
        };
        Some(SealedBy { session, from, to })
    }

    fn context(&self, host: HostIndex) -> Result<Context> {
        let identity = self.authority.issue(self.name(host), self.validity)?;
        Ok(Context::new(ContextConfig::new(identity, vec![self.authority.to_root()]))?)
    }
}

fn lock_of(discard: Discard) -> Lock {
    match discard {
        Discard::Malformed(_) | Discard::WrongEpoch => Lock::Gate,
        Discard::Replay | Discard::TooOld => Lock::Replay,
        Discard::BadMac => Lock::RecordAuth,
    }
}
