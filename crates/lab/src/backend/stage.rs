//! The stage of real sockets: daemons as they are deployed, on hosts of the machine, with a network in
//! user space between them. It turns what daemons, kernels and the network report into what the judge
//! reads, and waits for what it started instead of guessing how long that takes.

mod traffic;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossbeam_channel::{Receiver, Sender, bounded};
use mio::{Interest, Poll, Token, Waker};
use peerbound_daemon::{
    CommandError, Daemon, DaemonConfig, OBSERVATIONS_MAX, Observer, StartError, StartOptions, now,
};
use peerbound_dtls::{ContentType, Direction, RecordKeys, Records};
use peerbound_node::{Counters, NodeConfig, Sending};
use peerbound_wire::{Frame, NodeId, PacketId};

use crate::backend::carrier::{Carrier, CarrierError, Datagram, Spoken};
use crate::backend::network::{Entry, Network, Parcel};
use crate::backend::stage::traffic::READING_PATIENCE;
use crate::judge::{Life, Observation, Observed};
use crate::run::casting::{Part, cast};
use crate::run::shelf::FLOW;
use crate::run::stage::{ATTACKER_NAME, FORWARDER};
use crate::run::{Backend, CaptureOrder, RunError, RunOptions, Shot, Stage, StageError, Taken};
use crate::scenario::{Boot, Conditions, HostRole, Label, Layout, Path, Scenario, SocketPlan, Source};
use crate::trace::{DatagramId, HostIndex, HostLabel, Nanos, Way};

/// How long a daemon may take to end.
const END_DEADLINE: Duration = Duration::from_secs(10);

const CARRIER: Token = Token(0);
const WAKER: Token = Token(1);

/// A datagram in a host's hands, of which nothing was heard so far.
struct Delivered {
    parcel: Parcel,
    at: Nanos,
}

/// An application with a plain socket.
struct Reader {
    host: HostIndex,
    name: String,
    socket: mio::net::UdpSocket,
    /// Between whom it passes datagrams on, if it does.
    between: Option<[HostIndex; 2]>,
}

/// What a host's fresh socket was made to send, until it comes out of the host.
struct Spelled {
    source: SocketAddr,
    bytes: Vec<u8>,
    label: String,
    copy_of: Option<DatagramId>,
}

/// The stage.
pub(crate) struct RealStage {
    backend: Backend,
    carrier: Box<dyn Carrier>,
    network: Network,
    hosts: Vec<HostLabel>,
    parts: Vec<Option<Part>>,
    /// What each host calls its neighbours' addresses in the scenario, and whose they are.
    addresses: BTreeMap<SocketAddr, HostIndex>,
    /// Each host's own socket, until something takes it over.
    sockets: BTreeMap<HostIndex, UdpSocket>,
    daemons: BTreeMap<HostIndex, Daemon>,
    readers: Vec<Reader>,
    links: Vec<[HostIndex; 2]>,
    /// The keys of every session, by whoever told of them: to find a frame among sealed datagrams.
    keys: BTreeMap<HostIndex, Vec<RecordKeys>>,
    delivered: VecDeque<Delivered>,
    spelled: Vec<Spelled>,
    /// Whose datagrams are taken out of his hands at the moment, and those that were.
    diverted: Option<(HostIndex, Vec<Datagram>)>,
    taps: Receiver<peerbound_daemon::Observation>,
    tap: Sender<peerbound_daemon::Observation>,
    /// One for each boot, those of daemons that are gone too: they count what found the channel full.
    observers: Vec<Observer>,
    waker: Arc<Waker>,
    poll: Poll,
    seen: Vec<Observation>,
    began: Instant,
    began_unix_nanos: u64,
}

impl RealStage {
    /// Brings the hosts of a scenario up on a carrier, with each host's own socket, and lets its nodes boot.
    pub(crate) fn build(
        scenario: &Scenario,
        options: &RunOptions,
        carrier: Box<dyn Carrier>,
        sockets: Vec<UdpSocket>,
    ) -> Result<Self, RunError> {
        let layout = scenario.layout(options.seed);
        let parts = cast(&layout, options.observe)?;
        let poll = Poll::new().map_err(|error| failed("no poller can be made", error))?;
        let waker = Waker::new(poll.registry(), WAKER);
        let waker = Arc::new(waker.map_err(|error| failed("no waker can be made", error))?);
        let (tap, taps) = bounded(OBSERVATIONS_MAX);
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut stage = Self {
            backend: options.backend,
            network: Network::new(options.seed, scenario.network.clone()),
            hosts: labels(&layout, &parts, carrier.addresses()),
            carrier,
            parts,
            addresses: (0..).map(HostIndex).zip(layout.hosts.iter()).map(|(i, h)| (h.address, i)).collect(),
            sockets: (0..).map(HostIndex).zip(sockets).collect(),
            daemons: BTreeMap::new(),
            readers: Vec::new(),
            links: layout.links.iter().map(|link| link.between).collect(),
            keys: BTreeMap::new(),
            delivered: VecDeque::new(),
            spelled: Vec::new(),
            diverted: None,
            taps,
            tap,
            observers: Vec::new(),
            waker,
            poll,
            seen: Vec::new(),
            began: now(),
            began_unix_nanos: u64::try_from(since_1970.as_nanos()).unwrap_or(u64::MAX),
        };
        let registry = stage.poll.registry();
        stage.carrier.register(registry).map_err(|error| failed("the hosts cannot be watched", error))?;
        stage.lay_paths(scenario, &layout);
        stage.set_up_readers(scenario, &layout)?;
        for (host, plan) in (0..).map(HostIndex).zip(layout.hosts.iter()) {
            if let HostRole::Node(node) = &plan.role
                && node.boot == Boot::AtOnce
            {
                stage.boot(host)?;
            }
        }
        Ok(stage)
    }

    fn lay_paths(&mut self, scenario: &Scenario, layout: &Layout<'_>) {
        for link in layout.links.iter() {
            let [from, to] = link.between;
            self.network.set_path(Path { from, to }, &link.forth);
            self.network.set_path(Path { from: to, to: from }, &link.back);
        }
        scenario.faults.iter().for_each(|fault| self.network.add_fault(fault));
    }

    fn set_up_readers(&mut self, scenario: &Scenario, layout: &Layout<'_>) -> Result<(), StageError> {
        for (host, plan) in (0..).map(HostIndex).zip(layout.hosts.iter()) {
            if let HostRole::Forwarder { between } = &plan.role
                && let Some(socket) = self.sockets.remove(&host)
            {
                self.add_reader(host, FORWARDER, socket, Some(*between))?;
            }
        }
        for listener in &scenario.listeners {
            let socket = self.carrier.bind(listener.on)?;
            self.add_reader(listener.on, &listener.name, socket, None)?;
        }
        Ok(())
    }

    fn add_reader(
        &mut self,
        host: HostIndex,
        name: &str,
        socket: UdpSocket,
        between: Option<[HostIndex; 2]>,
    ) -> Result<(), StageError> {
        let mut socket = mio::net::UdpSocket::from_std(socket);
        let watched = self.poll.registry().register(&mut socket, CARRIER, Interest::READABLE);
        watched.map_err(|error| failed("an application's socket cannot be watched", error))?;
        self.readers.push(Reader { host, name: name.to_owned(), socket, between });
        Ok(())
    }

    fn attacker(&self) -> HostIndex {
        HostIndex(u32::try_from(self.hosts.len().saturating_sub(1)).unwrap_or(u32::MAX))
    }

    fn address(&self, host: HostIndex) -> SocketAddr {
        self.hosts[host.0 as usize].address
    }

    fn host_at(&self, address: SocketAddr) -> Option<HostIndex> {
        // Whatever the port: a host's kernel answers for those that nobody has bound.
        let known = self.hosts.iter().position(|host| host.address.ip() == address.ip());
        let exact = self.hosts.iter().position(|host| host.address == address);
        exact.or(known).and_then(|index| u32::try_from(index).ok()).map(HostIndex)
    }

    fn daemon(&self, host: HostIndex) -> Result<&Daemon, StageError> {
        self.daemons.get(&host).ok_or_else(|| StageError::Failed("no node runs there".to_owned()))
    }

    /// Forgets what a host that is gone will never read.
    fn bury(&mut self, host: HostIndex, change: Life) -> Result<(), StageError> {
        self.pump()?;
        let at = self.now();
        let (unread, rest): (VecDeque<_>, VecDeque<_>) =
            std::mem::take(&mut self.delivered).into_iter().partition(|d| d.parcel.to == host);
        self.delivered = rest;
        unread.into_iter().for_each(|d| self.network.lose(d.parcel.id, "unread".to_owned(), at));
        self.collect();
        self.see(Observed::Life { host, change }, at);
        Ok(())
    }

    fn node_config(&self, host: HostIndex, config: &NodeConfig) -> NodeConfig {
        let mut config = config.clone();
        for neighbour in &mut config.neighbours {
            let hosts = neighbour.addresses.iter().filter_map(|address| self.addresses.get(address));
            neighbour.addresses = hosts.map(|at| self.carrier.address_for(*at, host)).collect();
        }
        config
    }

    /// Finds, among datagrams, the one that carries a frame of this node, by the keys of its sessions.
    fn find_frame(&self, by: HostIndex, packet: PacketId, datagrams: &[Datagram]) -> Option<usize> {
        let id = self.parts.get(by.0 as usize)?.as_ref()?.id;
        let keys = self.keys.get(&by)?;
        datagrams.iter().position(|datagram| {
            Records::of(&datagram.bytes).map_while(Result::ok).any(|record| {
                let is_data = record.header.content_type == ContentType::ApplicationData;
                let mut directions = keys.iter().rev().flat_map(|keys| {
                    [Direction::ClientToServer, Direction::ServerToClient].map(|way| keys.of(way))
                });
                is_data
                    && directions.find_map(|keys| keys.open(&record)).is_some_and(|plaintext| {
                        Frame::decode(&plaintext)
                            .is_ok_and(|frame| frame.header.packet == packet && frame.header.source == id)
                    })
            })
        })
    }
}

impl Stage for RealStage {
    fn backend(&self) -> Backend {
        self.backend
    }

    fn hosts(&self) -> Vec<HostLabel> {
        self.hosts.clone()
    }

    fn began_unix_nanos(&self) -> u64 {
        self.began_unix_nanos
    }

    fn now(&self) -> Nanos {
        self.time_of(now())
    }

    fn advance(&mut self, until: Nanos) -> Result<(), StageError> {
        loop {
            self.pump()?;
            let now = self.now();
            let is_being_read = self.is_being_read();
            if now >= until || (!self.seen.is_empty() && !is_being_read) {
                return Ok(());
            }
            let patience = Nanos(now.0 + nanos(READING_PATIENCE));
            self.wait(if is_being_read { until.min(patience) } else { until })?;
        }
    }

    fn take_observations(&mut self) -> Vec<Observation> {
        std::mem::take(&mut self.seen)
    }

    fn counters(&self, host: HostIndex) -> Option<Counters> {
        self.daemons.get(&host)?.status().ok().map(|status| status.counters)
    }

    fn has_all_routes(&self) -> bool {
        // A daemon tells nobody its routes; scenarios that ask are refused before they start.
        false
    }

    fn send(
        &mut self,
        from: HostIndex,
        sending: Sending<'_>,
        _label: Option<&Label>,
    ) -> Result<Taken, StageError> {
        let Sending { destination, flow, is_reply, payload } = sending;
        let sent = self.daemon(from)?.send(destination, flow, is_reply, payload.to_vec());
        let taken = taken(sent)?;
        self.settle(from)?;
        Ok(taken)
    }

    fn ping(&mut self, from: HostIndex, to: NodeId, token: u64) -> Result<Taken, StageError> {
        let taken = taken(self.daemon(from)?.ping(to, FLOW, token))?;
        self.settle(from)?;
        Ok(taken)
    }

    fn seal(
        &mut self,
        by: HostIndex,
        sending: Sending<'_>,
    ) -> Result<(Option<PacketId>, Vec<u8>), StageError> {
        let Sending { destination, flow, is_reply, payload } = sending;
        // What the node has sent so far goes its way; what it sends now is looked at first.
        self.settle(by)?;
        self.diverted = Some((by, Vec::new()));
        let sent = self.daemon(by)?.send(destination, flow, is_reply, payload.to_vec());
        let settled = self.settle(by);
        let mut diverted = self.diverted.take().map(|(_, diverted)| diverted).unwrap_or_default();
        let found = match &sent {
            Ok(packet) => self.find_frame(by, *packet, &diverted).map(|index| diverted.remove(index)),
            Err(_) => None,
        };
        diverted.into_iter().for_each(|datagram| self.on_sent(by, datagram));
        self.pump()?;
        settled?;
        let packet =
            sent.map_err(|error| StageError::Failed(format!("the node does not seal it: {error}")))?;
        let datagram =
            found.ok_or_else(|| StageError::Failed("what the node sealed did not come out".to_owned()))?;
        Ok((Some(packet), datagram.bytes))
    }

    fn seal_under(
        &mut self,
        _by: HostIndex,
        _to: NodeId,
        _id: Path,
        _payload: &[u8],
    ) -> Result<Vec<u8>, StageError> {
        let what = "seal under a Connection ID: no daemon speaks any".to_owned();
        Err(StageError::Impossible { backend: self.backend, what })
    }

    fn inject(&mut self, shot: &Shot<'_>) -> Result<(), StageError> {
        self.pump()?;
        let destination = self.address(shot.to);
        let label = shot.label.0.clone();
        let (source, way) = match shot.source {
            Source::ConnectedSocketOf(host) => {
                let source = self.carrier.connected_socket(host, shot.to)?;
                let bytes = shot.bytes.to_vec();
                if self.carrier.speak(source, shot.bytes)? == Spoken::Already {
                    self.spelled.push(Spelled { source, bytes, label, copy_of: shot.copy_of });
                    return self.pump();
                }
                (source, Way::Socket)
            }
            Source::Host(host) if host == shot.by && shot.copy_of.is_none() => {
                (self.address(host), Way::Socket)
            }
            Source::Host(host) => (self.address(host), Way::Injected),
            Source::Attacker => (self.address(self.attacker()), Way::Injected),
            Source::Address(address) => (address, Way::Injected),
        };
        let entry = Entry {
            from: shot.by,
            to: Some(shot.to),
            way,
            label: Some(label),
            copy_of: shot.copy_of,
            datagram: Datagram { source, destination, bytes: shot.bytes.to_vec() },
        };
        let now = self.now();
        self.network.enter(entry, now);
        self.pump()
    }

    fn capture(&mut self, capture: &CaptureOrder) -> Result<(), StageError> {
        self.network.add_tap(capture.on, capture.which, capture.label.clone(), capture.is_held);
        Ok(())
    }

    fn release(&mut self, label: &Label) -> Result<(), StageError> {
        let now = self.now();
        if self.network.release(label, now) {
            return self.pump();
        }
        Err(StageError::Failed(format!("the attacker holds no datagram \"{}\"", label.0)))
    }

    fn boot(&mut self, host: HostIndex) -> Result<(), StageError> {
        if self.daemons.contains_key(&host) {
            return Err(StageError::Failed("its node runs already".to_owned()));
        }
        let part = self.parts.get(host.0 as usize).and_then(Option::as_ref);
        let part = part.ok_or_else(|| StageError::Failed("that host has no node to boot".to_owned()))?;
        let node = self.node_config(host, &part.config);
        let connect = match part.socket {
            SocketPlan::Open => None,
            SocketPlan::ConnectedTo(peer) => Some(self.carrier.address_for(peer, host)),
        };
        let socket = match self.sockets.remove(&host) {
            Some(socket) => socket,
            None => self.carrier.bind(host)?,
        };
        let observer = Observer::new(host.0 as usize, self.tap.clone(), Some(self.waker.clone()));
        self.observers.push(observer.clone());
        let config = DaemonConfig::new(node, self.address(host));
        let options = StartOptions {
            socket: Some(socket),
            observer: Some(observer),
            connect,
            ..StartOptions::default()
        };
        let at = self.now();
        self.see(Observed::Life { host, change: Life::Booted }, at);
        let daemon = Daemon::start_with(config, options).map_err(start_failed)?;
        self.daemons.insert(host, daemon);
        Ok(())
    }

    fn crash(&mut self, host: HostIndex) -> Result<(), StageError> {
        self.pump()?;
        let daemon = self.daemons.remove(&host);
        let daemon = daemon.ok_or_else(|| StageError::Failed("no node runs there".to_owned()))?;
        daemon.abort(END_DEADLINE).map_err(|error| StageError::Failed(error.to_string()))?;
        self.bury(host, Life::Crashed)
    }

    fn shut_down(&mut self, host: HostIndex) -> Result<(), StageError> {
        self.pump()?;
        let daemon = self.daemons.remove(&host);
        let daemon = daemon.ok_or_else(|| StageError::Failed("no node runs there".to_owned()))?;
        daemon.shutdown(END_DEADLINE).map_err(|error| StageError::Failed(error.to_string()))?;
        self.bury(host, Life::ShutDown)
    }

    fn rebind(&mut self, _nat: usize) -> Result<(), StageError> {
        Err(StageError::Impossible { backend: self.backend, what: "rebind a NAT".to_owned() })
    }

    fn set_link(
        &mut self,
        link: usize,
        forth: Option<&Conditions>,
        back: Option<&Conditions>,
    ) -> Result<(), StageError> {
        self.pump()?;
        let ends = self.links.get(link).copied();
        let [from, to] = ends.ok_or_else(|| StageError::Failed("there is no such link".to_owned()))?;
        if let Some(forth) = forth {
            self.network.set_path(Path { from, to }, forth);
        }
        if let Some(back) = back {
            self.network.set_path(Path { from: to, to: from }, back);
        }
        Ok(())
    }

    fn renegotiate(&mut self, by: HostIndex, with: NodeId) -> Result<(), StageError> {
        // That OpenSSL refuses to ask is what an experiment wants to see.
        let _refused = self.daemon(by)?.renegotiate(with).map_err(command_failed)?;
        self.settle(by)
    }

    fn rekey(&mut self, by: HostIndex, with: NodeId) -> Result<(), StageError> {
        if !self.daemon(by)?.rekey(with).map_err(command_failed)? {
            return Err(StageError::Failed("there is no session to replace".to_owned()));
        }
        self.settle(by)
    }
}

impl Drop for RealStage {
    /// Ends the daemons without a farewell: nobody is left to hear it.
    fn drop(&mut self) {
        for (_, daemon) in std::mem::take(&mut self.daemons) {
            if let Err(error) = daemon.abort(END_DEADLINE) {
                eprintln!("a node of the experiment was left running: {error}");
            }
        }
    }
}

fn labels(layout: &Layout<'_>, parts: &[Option<Part>], addresses: &[SocketAddr]) -> Vec<HostLabel> {
    let hosts = layout.hosts.iter().zip(parts).map(|(plan, part)| {
        let id = part.as_ref().map(|part| part.id);
        (plan.name.clone(), id)
    });
    let all = hosts.chain([(ATTACKER_NAME.to_owned(), None)]);
    all.zip(addresses).map(|((name, id), address)| HostLabel { name, address: *address, id }).collect()
}

fn taken(sent: Result<PacketId, CommandError>) -> Result<Taken, StageError> {
    match sent {
        Ok(packet) => Ok(Taken::As(packet)),
        Err(CommandError::Send(refusal)) => Ok(Taken::Refused(refusal.to_string())),
        Err(error @ (CommandError::Busy | CommandError::Gone)) => Err(command_failed(error)),
    }
}

fn command_failed(error: CommandError) -> StageError {
    StageError::Failed(error.to_string())
}

fn start_failed(error: StartError) -> StageError {
    StageError::Failed(error.to_string())
}

fn failed(what: &str, error: io::Error) -> StageError {
    StageError::Failed(format!("{what}: {error}"))
}

impl From<CarrierError> for StageError {
    fn from(error: CarrierError) -> Self {
        Self::Failed(error.to_string())
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
