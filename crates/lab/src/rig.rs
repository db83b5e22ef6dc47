//! Three real nodes on three real sockets, driven by one thread, so that an experiment can hold a
//! datagram in its hand between two of them and ask everybody what he saw.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token};
use peerbound_daemon::now;
use peerbound_dtls::{Direction, ErrorStack, GateMode, KeyOracle, Record, Role};
use peerbound_node::{
    Demux, Event, NeighbourConfig, Node, NodeConfig, SendError, Sending, StaticRoute, Verdict,
};
use peerbound_wire::FlowId;

use crate::cast::{Cast, Who};
use crate::tape::{Tape, Taped, since_1970};

/// How long an experiment waits for what it expects. Loopback needs milliseconds; a machine that
/// does something else may need seconds.
const PATIENCE: Duration = Duration::from_secs(20);

/// The longest datagram that can arrive.
const DATAGRAM_BYTES_MAX: usize = 65_536;

/// The flow id of every conversation here.
pub(crate) const FLOW: FlowId = FlowId(7);

/// Why an experiment could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum RigError {
    /// A socket refused.
    #[error("{what}: {source}")]
    Socket {
        /// What was tried.
        what: String,
        /// What the kernel says.
        source: io::Error,
    },
    /// Something did not come about.
    #[error("within {PATIENCE:?} it did not come about that {0}")]
    TimedOut(String),
    /// A node refused to send.
    #[error("a node refused to send: {0}")]
    Refused(#[source] SendError),
    /// OpenSSL refused to derive keys.
    #[error("the keys of a session cannot be derived: {0}")]
    Keys(#[from] ErrorStack),
    /// Something that must be there is not.
    #[error("the experiment misses {0}")]
    Missing(&'static str),
}

/// How A's socket takes datagrams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SocketMode {
    /// From anyone.
    Open,
    /// From B only: connect(2).
    ConnectedToB,
}

/// In what an experiment's set-up differs from three deployed nodes in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) a_socket: SocketMode,
    pub(crate) a_demux: Demux,
    pub(crate) a_admits_c: bool,
    pub(crate) c_dials_a: bool,
}

impl Plan {
    /// A–B–C as deployed: A and C know each other only through B.
    pub(crate) const CHAIN: Self =
        Self { a_socket: SocketMode::Open, a_demux: Demux::BySource, a_admits_c: false, c_dials_a: false };
}

/// A node with its socket.
pub(crate) struct Station {
    pub(crate) node: Node,
    pub(crate) address: SocketAddr,
    pub(crate) events: Vec<(Instant, Event)>,
    pub(crate) arrivals: Vec<Arrival>,
    socket: UdpSocket,
    is_connected: bool,
}

/// A datagram that reached a node.
#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    pub(crate) from: SocketAddr,
    pub(crate) datagram: Vec<u8>,
    pub(crate) verdict: Verdict,
}

/// The label of a session in the oracle: its client, then its server.
pub(crate) type SessionLabel = (Who, Who);

/// The three stations.
pub(crate) struct Rig<'a> {
    pub(crate) cast: &'a Cast,
    stations: [Station; 3],
    pub(crate) tape: Tape,
    poll: Poll,
}

impl<'a> Rig<'a> {
    /// Starts the three nodes and waits until A–B and B–C carry frames.
    pub(crate) fn up(cast: &'a Cast, plan: Plan) -> Result<Self, RigError> {
        let mut rig = Self::start(cast, plan)?;
        rig.run_until("A, B and C are neighbours in a row", |rig| {
            let usable = |who: Who, with: Who| rig.is_usable(who, with);
            usable(Who::A, Who::B)
                && usable(Who::B, Who::A)
                && usable(Who::B, Who::C)
                && usable(Who::C, Who::B)
        })?;
        Ok(rig)
    }

    fn start(cast: &'a Cast, plan: Plan) -> Result<Self, RigError> {
        let sockets = [bind(Who::A)?, bind(Who::B)?, bind(Who::C)?];
        let address = |who: Who| {
            sockets[who.index()]
                .local_addr()
                .map_err(|source| socket_error("the address of a socket", source))
        };
        let addresses = [address(Who::A)?, address(Who::B)?, address(Who::C)?];
        if plan.a_socket == SocketMode::ConnectedToB {
            sockets[0]
                .connect(addresses[Who::B.index()])
                .map_err(|source| socket_error("A's socket cannot be connected to B", source))?;
        }
        let poll = Poll::new().map_err(|source| socket_error("no poller", source))?;
        let mut stations = Vec::new();
        for (who, mut socket) in Who::ALL.into_iter().zip(sockets) {
            poll.registry()
                .register(&mut socket, Token(who.index()), Interest::READABLE)
                .map_err(|source| socket_error("a socket cannot be polled", source))?;
            let config = node_config(cast, who, plan, &addresses);
            // Chance decides cookies and jitter here; neither is what an experiment is about.
            let seed = [who.name().as_bytes()[0]; 32];
            stations.push(Station {
                node: Node::new(config, seed, 1, now()),
                address: addresses[who.index()],
                events: Vec::new(),
                arrivals: Vec::new(),
                socket,
                is_connected: who == Who::A && plan.a_socket == SocketMode::ConnectedToB,
            });
        }
        let stations = stations.try_into().map_err(|_| RigError::Missing("a station"))?;
        Ok(Self { cast, stations, tape: Tape::default(), poll })
    }

    pub(crate) fn station(&self, who: Who) -> &Station {
        &self.stations[who.index()]
    }

    pub(crate) fn is_usable(&self, who: Who, with: Who) -> bool {
        let id = self.cast.id(with);
        self.station(who).node.neighbours().iter().any(|neighbour| neighbour.id == id && neighbour.is_usable)
    }

    /// Runs all three until `done` holds.
    pub(crate) fn run_until(&mut self, what: &str, done: impl Fn(&Self) -> bool) -> Result<(), RigError> {
        let end = now() + PATIENCE;
        let mut ready = Events::with_capacity(8);
        loop {
            for who in Who::ALL {
                self.receive(who)?;
                self.run_timers(who);
                self.flush(who)?;
            }
            if done(self) {
                return Ok(());
            }
            if now() >= end {
                return Err(RigError::TimedOut(what.to_owned()));
            }
            let due = self.stations.iter().filter_map(|station| station.node.poll_timeout()).min();
            let wait = due.unwrap_or(end).min(end).saturating_duration_since(now());
            self.poll
                .poll(&mut ready, Some(wait))
                .or_else(interrupted)
                .map_err(|e| socket_error("no poller", e))?;
        }
    }

    /// Lets a node send a payload to another by the overlay.
    pub(crate) fn send(
        &mut self,
        from: Who,
        to: Who,
        is_reply: bool,
        payload: &[u8],
    ) -> Result<(), RigError> {
        let sending = Sending { destination: self.cast.id(to), flow: FLOW, is_reply, payload };
        self.stations[from.index()].node.send(sending, now()).map_err(RigError::Refused)?;
        Ok(())
    }

    /// Lets a node seal a payload, and takes the datagram out of its hands before it is sent.
    pub(crate) fn seal(
        &mut self,
        from: Who,
        to: Who,
        is_reply: bool,
        payload: &[u8],
    ) -> Result<Vec<u8>, RigError> {
        self.flush(from)?;
        self.send(from, to, is_reply, payload)?;
        let batch =
            self.stations[from.index()].node.poll_transmit().ok_or(RigError::Missing("a sealed datagram"))?;
        Ok(batch.bytes)
    }

    /// Puts a datagram on the wire from the socket of `from` to the address of `to`, lets `to` take in
    /// what waits there, and returns what it made of this datagram.
    pub(crate) fn deliver(
        &mut self,
        from: Who,
        to: Who,
        datagram: &[u8],
        comment: &str,
    ) -> Result<Verdict, RigError> {
        let destination = self.station(to).address;
        self.transmit(from, destination, datagram, Some(comment.to_owned()))?;
        let seen = self.station(to).arrivals.len();
        let end = now() + PATIENCE;
        let mut ready = Events::with_capacity(8);
        loop {
            self.receive(to)?;
            let arrival =
                self.station(to).arrivals[seen..].iter().find(|arrival| arrival.datagram == datagram);
            if let Some(arrival) = arrival {
                return Ok(arrival.verdict);
            }
            if now() >= end {
                return Err(RigError::TimedOut(format!("the datagram reaches {}", to.name())));
            }
            let wait = Some(Duration::from_millis(10));
            self.poll
                .poll(&mut ready, wait)
                .or_else(interrupted)
                .map_err(|e| socket_error("no poller", e))?;
        }
    }

    /// Shows whether A–B carries data both ways; says so by what arrived.
    pub(crate) fn a_b_is_alive(&mut self) -> bool {
        let marks = [Who::A, Who::B].map(|who| self.station(who).events.len());
        let there = self.send(Who::A, Who::B, false, b"still there?");
        let back = self.send(Who::B, Who::A, false, b"still here.");
        let delivered = |rig: &Self, who: Who, payload: &[u8]| {
            rig.station(who).events[marks[who.index()]..].iter().any(
                |(_, event)| matches!(event, Event::Delivered { payload: arrived, .. } if arrived == payload),
            )
        };
        there.is_ok()
            && back.is_ok()
            && self
                .run_until("A–B carries data", |rig| {
                    delivered(rig, Who::B, b"still there?") && delivered(rig, Who::A, b"still here.")
                })
                .is_ok()
    }

    /// Returns an oracle that knows every live session, each by its client and server.
    pub(crate) fn oracle(&self) -> Result<KeyOracle<SessionLabel>, RigError> {
        let mut oracle = KeyOracle::default();
        for (one, other) in [(Who::A, Who::B), (Who::B, Who::C), (Who::A, Who::C)] {
            let node = &self.station(one).node;
            let Some(secrets) = node.session_secrets(self.cast.id(other)) else {
                continue;
            };
            let label = match node.session_role(self.cast.id(other)) {
                Some(Role::Server) => (other, one),
                Some(Role::Client) | None => (one, other),
            };
            oracle.learn(label, secrets)?;
        }
        Ok(oracle)
    }

    /// Says in words which session sealed the first record of a datagram, by the oracle.
    pub(crate) fn sealed_by(&self, datagram: &[u8]) -> Result<Option<String>, RigError> {
        let oracle = self.oracle()?;
        let Ok((record, _)) = Record::split(datagram) else {
            return Ok(None);
        };
        Ok(oracle.identify(&record).map(|sealed| {
            let (client, server) = *sealed.session;
            let (from, to) = match sealed.direction {
                Direction::ClientToServer => (client, server),
                Direction::ServerToClient => (server, client),
            };
            let (first, second) = if client < server { (client, server) } else { (server, client) };
            format!("session {}–{}, direction {}→{}", first.name(), second.name(), from.name(), to.name())
        }))
    }

    /// Ends the experiment: keeps the secrets of the sessions with the recording.
    pub(crate) fn finish(mut self) -> Tape {
        for (one, other) in [(Who::A, Who::B), (Who::B, Who::C), (Who::A, Who::C)] {
            self.keep_secrets(one, other);
        }
        self.tape
    }

    /// Keeps the secrets of a session that is about to end.
    pub(crate) fn keep_secrets(&mut self, one: Who, other: Who) {
        if let Some(secrets) = self.station(one).node.session_secrets(self.cast.id(other)) {
            let line = secrets.keylog_line();
            self.tape.keylog.push(line);
        }
    }

    pub(crate) fn run_timers(&mut self, who: Who) {
        let station = &mut self.stations[who.index()];
        if station.node.poll_timeout().is_some_and(|at| at <= now()) {
            station.node.handle_timeout(now());
        }
    }

    /// Takes in everything that waits at a station's socket.
    pub(crate) fn receive(&mut self, who: Who) -> Result<(), RigError> {
        let station = &mut self.stations[who.index()];
        let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
        loop {
            let (len, from) = match station.socket.recv_from(&mut buffer) {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                // Left behind by a datagram to someone who is not there yet.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => continue,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(socket_error("a socket cannot receive", error)),
            };
            let datagram = buffer[..len].to_vec();
            let verdict = station.node.handle_datagram(from, &datagram, now());
            self.tape.record(Taped {
                at: since_1970(),
                station: who.index(),
                source: from,
                destination: station.address,
                payload: datagram.clone(),
                verdict: Some(verdict),
                comment: None,
            });
            station.arrivals.push(Arrival { from, datagram, verdict });
            while let Some(event) = station.node.poll_event() {
                station.events.push((now(), event));
            }
        }
    }

    /// Sends everything a node has to send.
    pub(crate) fn flush(&mut self, who: Who) -> Result<(), RigError> {
        while let Some(batch) = self.stations[who.index()].node.poll_transmit() {
            for datagram in batch.datagrams() {
                self.transmit(who, batch.destination, datagram, None)?;
            }
        }
        let station = &mut self.stations[who.index()];
        while let Some(event) = station.node.poll_event() {
            station.events.push((now(), event));
        }
        Ok(())
    }

    fn transmit(
        &mut self,
        from: Who,
        destination: SocketAddr,
        datagram: &[u8],
        comment: Option<String>,
    ) -> Result<(), RigError> {
        let station = &self.stations[from.index()];
        self.tape.record(Taped {
            at: since_1970(),
            station: from.index(),
            source: station.address,
            destination,
            payload: datagram.to_vec(),
            verdict: None,
            comment,
        });
        let sent = if station.is_connected {
            station.socket.send(datagram)
        } else {
            station.socket.send_to(datagram, destination)
        };
        match sent {
            Ok(_) => Ok(()),
            // A full buffer or an old ICMP error: the network loses a datagram now and then.
            Err(error)
                if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::ConnectionRefused) =>
            {
                Ok(())
            }
            Err(error) => Err(socket_error("a socket cannot send", error)),
        }
    }
}

fn node_config(cast: &Cast, who: Who, plan: Plan, addresses: &[SocketAddr; 3]) -> NodeConfig {
    let neighbour = |with: Who, dials: bool| NeighbourConfig {
        id: cast.id(with),
        name: with.name().to_owned(),
        addresses: dials.then(|| addresses[with.index()]).into_iter().collect(),
    };
    let route = |to: Who, via: Who| StaticRoute { destination: cast.id(to), via: cast.id(via) };
    let (mut neighbours, mut routes) = match who {
        Who::A => (vec![neighbour(Who::B, true)], vec![route(Who::C, Who::B)]),
        Who::B => (vec![neighbour(Who::A, false), neighbour(Who::C, false)], vec![]),
        Who::C => (vec![neighbour(Who::B, true)], vec![route(Who::A, Who::B)]),
    };
    if who == Who::A && plan.a_admits_c {
        neighbours.push(neighbour(Who::C, false));
    }
    if who == Who::C && plan.c_dials_a {
        // A neighbour needs no route.
        routes.clear();
        neighbours.push(neighbour(Who::A, true));
    }
    let demux = if who == Who::A { plan.a_demux } else { Demux::BySource };
    NodeConfig {
        neighbours,
        routes,
        observe_frames: true,
        demux,
        gate: GateMode::On,
        ..NodeConfig::new(cast.context(who).clone())
    }
}

/// Linux gives a host the whole of 127.0.0.0/8, so that A, B and C can differ by address as hosts
/// do; elsewhere they differ by port.
fn bind(who: Who) -> Result<UdpSocket, RigError> {
    let host = if cfg!(target_os = "linux") { u8::try_from(who.index()).unwrap_or(0) + 1 } else { 1 };
    let address = SocketAddr::from(([127, 0, 0, host], 0));
    UdpSocket::bind(address).map_err(|source| socket_error(&format!("{address} cannot be bound"), source))
}

pub(crate) fn socket_error(what: &str, source: io::Error) -> RigError {
    RigError::Socket { what: what.to_owned(), source }
}

fn interrupted(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::Interrupted { Ok(()) } else { Err(error) }
}
