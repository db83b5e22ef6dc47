//! A running node and the handle to it: start, commands, events, shutdown by a deadline.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use mio::Waker;
use peerbound_node::{Counters, Event, NeighbourView, Node, SendError};
use peerbound_wire::{FlowId, NodeId, PacketId};

use crate::clock;
use crate::config::{DaemonConfig, Transport};
use crate::crew::Workforce;
use crate::forwards::{ForwardCounters, ForwardError};
use crate::name_book::NameBook;
use crate::names::{LookUp, LookUps};
use crate::observe::Observer;
use crate::packets::{PacketCounters, PacketPort};
use crate::privileges::Privileges;
use crate::resolver::{Resolver, ResolverError};
use crate::socket::SocketCounters;
use crate::taps::{Tap, TapOptions};
use crate::tun::{HostRoutes, RouteKeeper, TunError};
use crate::watch::{self, Watch, Watcher};

mod opened;

pub use opened::OpenedDaemon;

/// Commands that may wait: 1024 payloads of 1400 bytes are 1.4 MB.
pub const COMMANDS_MAX: usize = 1024;

/// Events that may wait for their taker: 4096 payloads of 1400 bytes are 5.7 MB.
pub const EVENTS_MAX: usize = 4096;

/// How long a command may wait for its answer: the data thread answers within a turn.
const ANSWER_DEADLINE: Duration = Duration::from_secs(5);

/// What a daemon is asked to do.
#[derive(Debug)]
pub(crate) enum Command {
    Send {
        destination: NodeId,
        flow: FlowId,
        is_reply: bool,
        payload: Vec<u8>,
        outcome: Option<Sender<Result<PacketId, SendError>>>,
    },
    Ping {
        destination: NodeId,
        flow: FlowId,
        token: u64,
        outcome: Sender<Result<PacketId, SendError>>,
    },
    Rekey {
        neighbour: NodeId,
        outcome: Sender<bool>,
    },
    Renegotiate {
        neighbour: NodeId,
        outcome: Sender<Result<(), String>>,
    },
    Status {
        outcome: Sender<Status>,
    },
    Settle {
        outcome: Sender<()>,
    },
    /// Packets for others, from whoever does not live on the data thread.
    Packets(Vec<Vec<u8>>),
    Inspect(Inspection),
    Tap {
        options: TapOptions,
        outcome: Sender<Option<Tap>>,
    },
    Watch {
        watcher: Watcher,
        /// Whether there was room for it.
        outcome: Sender<bool>,
    },
    Stop,
    Abort,
}

/// Something to be done with the node on its own thread.
pub(crate) struct Inspection(Box<Act>);

type Act = dyn FnOnce(&mut Node, Instant) + Send;

impl Inspection {
    pub(crate) fn carry_out(self, node: &mut Node, now: Instant) {
        (self.0)(node, now);
    }
}

impl fmt::Debug for Inspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Inspection(..)")
    }
}

/// In what a node's start may differ from that of a deployed one, for experiments.
#[derive(Default)]
pub struct StartOptions {
    /// A socket that is bound already, with what waits in it; `listen` is then left alone.
    pub socket: Option<UdpSocket>,
    /// Who is told of everything the data thread sees and does.
    pub observer: Option<Observer>,
    /// To whom the socket is connected: the kernel drops what others send.
    pub connect: Option<SocketAddr>,
    /// Who takes the packets that arrive for this node, the first that wants one.
    pub ports: Vec<Box<dyn PacketPort>>,
    /// Who finds the addresses of a neighbour's name, given the name and the port; the system, if nobody.
    pub look_up: Option<Box<LookUp>>,
    /// What becomes of the capabilities of the thread that starts the node.
    pub privileges: Privileges,
}

/// Names for ids, as the configuration gives them.
pub type Nodes = BTreeMap<NodeId, String>;

/// A node as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Who we are.
    pub id: NodeId,
    /// Those we keep sessions with.
    pub neighbours: Vec<NeighbourView>,
    /// What the node counted.
    pub counters: Counters,
    /// What the sockets counted.
    pub socket: SocketCounters,
    /// How the work is divided.
    pub workforce: Workforce,
    /// Events that found their queue full.
    pub events_dropped: u64,
    /// What became of IP packets.
    pub packets: PacketCounters,
    /// What the forwards did; `None` where there are none.
    pub forwards: Option<ForwardCounters>,
}

/// What a node left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The node at its end.
    pub status: Status,
}

/// Why a daemon did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The socket could not be bound.
    #[error("{address} cannot be bound: {source}; {fix}")]
    Bind {
        /// The address from the configuration.
        address: SocketAddr,
        /// What the kernel says.
        source: std::io::Error,
        /// What to do about it.
        fix: &'static str,
    },
    /// The socket could not be connected.
    #[error("the socket cannot be connected to {peer}: {source}")]
    Connect {
        /// To whom.
        peer: SocketAddr,
        /// What the kernel says.
        source: std::io::Error,
    },
    /// The interface could not be made.
    #[error(transparent)]
    Tun(#[from] TunError),
    /// Names cannot be answered.
    #[error(transparent)]
    Resolver(#[from] ResolverError),
    /// The poller or the thread could not be made.
    #[error("the data thread cannot be started: {0}")]
    Thread(#[source] std::io::Error),
    /// Privileges could not be given up, so the node does not run with them either.
    #[error(
        "the node cannot give up its privileges: {0}; let its container or unit allow the system call capset(2)"
    )]
    Privileges(#[source] std::io::Error),
    /// A service cannot be offered.
    #[error("{0}; change it in `services`")]
    Forwards(#[from] ForwardError),
    /// The machine gave no randomness.
    #[error("the machine gives no randomness: {0}")]
    Chance(#[source] getrandom::Error),
}

/// Why a command was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// The node refused it.
    #[error(transparent)]
    Send(#[from] SendError),
    /// As many commands wait as may wait.
    #[error("the node is busy: {COMMANDS_MAX} commands wait already")]
    Busy,
    /// The data thread is gone or does not answer.
    #[error("the node does not answer any more")]
    Gone,
}

/// The data thread did not stop in time; it is left to itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the data thread did not stop within {0:?}")]
pub struct ShutdownError(pub Duration);

/// A running node. Dropping it stops the node as [`Self::shutdown`] does, and waits as long.
pub struct Daemon {
    id: NodeId,
    address: SocketAddr,
    names: Arc<NameBook>,
    handle: NodeHandle,
    events: Receiver<Event>,
    finished: Receiver<Report>,
    thread: Option<JoinHandle<()>>,
    resolver: Option<Resolver>,
    forwards: Option<JoinHandle<()>>,
    listens: Vec<(Transport, SocketAddr)>,
    routes: Option<RouteKeeper>,
    host_routes: Option<HostRoutes>,
    look_ups: LookUps,
}

impl Daemon {
    /// Binds the socket and starts the data thread.
    ///
    /// # Errors
    /// Says what the machine refused.
    pub fn start(config: DaemonConfig) -> Result<Self, StartError> {
        Self::start_with(config, StartOptions::default())
    }

    /// Starts as [`Self::start`] does, with options. Socket and data thread belong to the network
    /// namespace of the thread that calls.
    ///
    /// # Errors
    /// Says what the machine refused.
    pub fn start_with(config: DaemonConfig, options: StartOptions) -> Result<Self, StartError> {
        Self::open(config, options)?.start()
    }

    /// Opens everything that [`Self::start_with`] would, and starts nothing yet.
    ///
    /// # Errors
    /// Says what the machine refused.
    pub fn open(config: DaemonConfig, options: StartOptions) -> Result<OpenedDaemon, StartError> {
        OpenedDaemon::open(config, options)
    }

    /// Returns our id.
    #[must_use]
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// Returns the address the node listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns where names of nodes are answered, if they are.
    #[must_use]
    pub fn resolver_address(&self) -> Option<SocketAddr> {
        self.resolver.as_ref().and_then(Resolver::address)
    }

    /// Returns where this host listens for what it forwards: TCP first, each in the order of the file.
    #[must_use]
    pub fn forwards(&self) -> &[(Transport, SocketAddr)] {
        &self.listens
    }

    /// Returns what shows the routes of this host into the overlay's interface, where there is one.
    #[must_use]
    pub fn host_routes(&self) -> Option<HostRoutes> {
        self.host_routes.clone()
    }

    /// Returns what people call a node: its name from the configuration, else its short id.
    #[must_use]
    pub fn name_of(&self, id: &NodeId) -> String {
        self.names.name_of(id)
    }

    /// Returns the book of what people call the nodes that the configuration knows.
    pub(crate) fn name_book(&self) -> Arc<NameBook> {
        Arc::clone(&self.names)
    }

    /// Returns where it is said which names of neighbours are looked up.
    pub(crate) fn look_ups(&self) -> LookUps {
        self.look_ups.clone()
    }

    /// Returns a handle by which other threads reach the node.
    #[must_use]
    pub fn handle(&self) -> NodeHandle {
        self.handle.clone()
    }

    /// Returns the queue of what happens. Take from it, or events are dropped and counted.
    #[must_use]
    pub fn events(&self) -> &Receiver<Event> {
        &self.events
    }

    /// Sends a payload and waits until it has left or was refused.
    ///
    /// # Errors
    /// Says why it did not leave.
    pub fn send(
        &self,
        destination: NodeId,
        flow: FlowId,
        is_reply: bool,
        payload: Vec<u8>,
    ) -> Result<PacketId, CommandError> {
        let (outcome, answer) = bounded(1);
        self.handle.command(Command::Send {
            destination,
            flow,
            is_reply,
            payload,
            outcome: Some(outcome),
        })?;
        Ok(self.handle.wait(&answer)??)
    }

    /// Asks a node to answer and waits until the question has left; the answer is an event.
    ///
    /// # Errors
    /// Says why it did not leave.
    pub fn ping(&self, destination: NodeId, flow: FlowId, token: u64) -> Result<PacketId, CommandError> {
        let (outcome, answer) = bounded(1);
        self.handle.command(Command::Ping { destination, flow, token, outcome })?;
        Ok(self.handle.wait(&answer)??)
    }

    /// Lets the node start to replace its session with a neighbour, as the session's age would. Says
    /// whether there is one, and none already on its way to replace it.
    ///
    /// # Errors
    /// When the data thread is gone.
    pub fn rekey(&self, neighbour: NodeId) -> Result<bool, CommandError> {
        let (outcome, answer) = bounded(1);
        self.handle.command(Command::Rekey { neighbour, outcome })?;
        self.handle.wait(&answer)
    }

    /// Lets the node ask for a renegotiation of its session with a neighbour, which only an experiment
    /// wants; says why it does not.
    ///
    /// # Errors
    /// When the data thread is gone.
    pub fn renegotiate(&self, neighbour: NodeId) -> Result<Result<(), String>, CommandError> {
        let (outcome, answer) = bounded(1);
        self.handle.command(Command::Renegotiate { neighbour, outcome })?;
        self.handle.wait(&answer)
    }

    /// Waits until all that was asked before has left, as far as the kernel took it, and was told of.
    ///
    /// # Errors
    /// When the data thread is gone.
    pub fn settle(&self) -> Result<(), CommandError> {
        let (outcome, answer) = bounded(1);
        self.handle.command(Command::Settle { outcome })?;
        self.handle.wait(&answer)
    }

    /// Returns the node as it stands.
    ///
    /// # Errors
    /// When the data thread is gone.
    pub fn status(&self) -> Result<Status, CommandError> {
        self.handle.status()
    }

    /// Says farewell to all neighbours and stops the data thread.
    ///
    /// # Errors
    /// [`ShutdownError`] when it has not stopped by the deadline.
    pub fn shutdown(mut self, deadline: Duration) -> Result<Report, ShutdownError> {
        self.stop(Command::Stop, deadline)
    }

    /// Ends the data thread at once, as a crash would: no neighbour is told, and what waits to be sent
    /// is lost.
    ///
    /// # Errors
    /// [`ShutdownError`] when it has not ended by the deadline.
    pub fn abort(mut self, deadline: Duration) -> Result<Report, ShutdownError> {
        self.stop(Command::Abort, deadline)
    }

    fn stop(&mut self, command: Command, deadline: Duration) -> Result<Report, ShutdownError> {
        // Taken whatever comes of it: a thread that missed its deadline is not waited for once more.
        let thread = self.thread.take();
        self.resolver = None;
        self.routes = None;
        let started = clock::now();
        // A full queue has a reader that is awake; it finds this command or, later, no sender.
        let _ = self.handle.commands.send_timeout(command, deadline);
        let _ = self.handle.waker.wake();
        let left = deadline.saturating_sub(clock::now().saturating_duration_since(started));
        let report = self.finished.recv_timeout(left).map_err(|_| ShutdownError(deadline))?;
        if let Some(thread) = thread {
            // It has sent its last word: what is left is its return.
            let _ = thread.join();
        }
        if let Some(forwards) = self.forwards.take() {
            // They end with the data thread's end of their queue.
            let _ = forwards.join();
        }
        Ok(report)
    }
}

/// Reaches a running node from any thread; cheap to clone.
#[derive(Debug, Clone)]
pub struct NodeHandle {
    commands: Sender<Command>,
    waker: Arc<Waker>,
}

impl NodeHandle {
    /// Lets the node's own thread do something with the node, and waits for what it returns. It holds up
    /// all traffic meanwhile: look, copy, and leave the rest to this thread.
    ///
    /// # Errors
    /// When as many commands wait as may wait, or the data thread is gone.
    pub fn with_node<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Node, Instant) -> T + Send + 'static,
    ) -> Result<T, CommandError> {
        let (outcome, answer) = bounded(1);
        let act = Box::new(move |node: &mut Node, now| {
            // The asker may have given up.
            let _ = outcome.try_send(act(node, now));
        });
        self.command(Command::Inspect(Inspection(act)))?;
        self.wait(&answer)
    }

    /// Starts to copy what passes the node; `None` when there are [`crate::TAPS_MAX`] taps already.
    ///
    /// # Errors
    /// When as many commands wait as may wait, or the data thread is gone.
    pub fn tap(&self, options: TapOptions) -> Result<Option<Tap>, CommandError> {
        let (outcome, answer) = bounded(1);
        self.command(Command::Tap { options, outcome })?;
        self.wait(&answer)
    }

    /// Lets this thread hear of what happens to the node, beside the owner of its events: what `pick` makes
    /// of each event, with the time at which it happened, as long as no more than `capacity` wait. `pick` runs
    /// on the data thread: let it be quick.
    ///
    /// # Errors
    /// When as many watch or as many commands wait as may, or the data thread is gone.
    pub fn watch<T: Send + 'static>(
        &self,
        capacity: usize,
        pick: impl FnMut(&Event, Instant) -> Option<T> + Send + 'static,
    ) -> Result<Watch<T>, CommandError> {
        let (watcher, watch) = watch::watch(capacity, pick);
        let (outcome, answer) = bounded(1);
        self.command(Command::Watch { watcher, outcome })?;
        if self.wait(&answer)? { Ok(watch) } else { Err(CommandError::Busy) }
    }

    /// Returns the node as it stands.
    ///
    /// # Errors
    /// When as many commands wait as may wait, or the data thread is gone.
    pub fn status(&self) -> Result<Status, CommandError> {
        let (outcome, answer) = bounded(1);
        self.command(Command::Status { outcome })?;
        self.wait(&answer)
    }

    /// Sends IP packets into the overlay, each to the node that has its destination address. What
    /// becomes of them is counted, as in a network.
    ///
    /// # Errors
    /// When as many commands wait as may wait, or the data thread is gone; the packets are lost.
    pub fn send_packets(&self, packets: Vec<Vec<u8>>) -> Result<(), CommandError> {
        self.command(Command::Packets(packets))
    }

    fn command(&self, command: Command) -> Result<(), CommandError> {
        self.commands.try_send(command).map_err(|error| match error {
            TrySendError::Full(_) => CommandError::Busy,
            TrySendError::Disconnected(_) => CommandError::Gone,
        })?;
        self.waker.wake().map_err(|_| CommandError::Gone)
    }

    fn wait<T>(&self, answer: &Receiver<T>) -> Result<T, CommandError> {
        answer.recv_timeout(ANSWER_DEADLINE).map_err(|_| CommandError::Gone)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if self.thread.is_some()
            && let Err(error) = self.stop(Command::Stop, ANSWER_DEADLINE)
        {
            tracing::warn!(%error, "A node was left running");
        }
    }
}

fn fix_for(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::AddrInUse => "stop the program that uses the port, or choose another in `listen`",
        std::io::ErrorKind::AddrNotAvailable => "choose an address of this host in `listen`",
        std::io::ErrorKind::PermissionDenied => "choose a port above 1023 in `listen`",
        _ => "choose another address in `listen`",
    }
}
