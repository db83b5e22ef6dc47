//! A node of which everything is opened and nothing runs: the last moment at which privileges are of use.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded};
use peerbound_node::{Event, Node, Routing};
use peerbound_wire::NodeId;

use crate::clock;
use crate::config::{DaemonConfig, Endpoints, Transport};
use crate::crew::{Crew, SharedPort, WORKERS_MAX};
use crate::daemon::{
    COMMANDS_MAX, Daemon, EVENTS_MAX, NodeHandle, Nodes, Report, StartError, StartOptions, fix_for,
};
use crate::data_thread::{DataThread, Equipment, Favour};
use crate::forwards::Prepared;
use crate::lane::{self, Lane};
use crate::name_book::NameBook;
use crate::names::{LookUp, LookUps, ask_the_system};
use crate::packets::{PacketPort, PacketSwitch};
use crate::privileges::{self, Privileges};
use crate::resolver::OpenedResolver;
use crate::socket::BatchSocket;
use crate::tun::{HostRoutes, Interface, Queues, RouteKeeper, RouteRule, Tun};

/// Everything that a node needs of the system: its sockets, its interface, what it listens on for others. What
/// else the process wants to open with its privileges, it opens before [`Self::start`].
pub struct OpenedDaemon {
    id: NodeId,
    address: SocketAddr,
    names: Nodes,
    handle: NodeHandle,
    events: Receiver<Event>,
    data: DataThread,
    forwards: Option<Prepared>,
    resolver: Option<OpenedResolver>,
    endpoints: Endpoints,
    look_up: Box<LookUp>,
    /// What sets routes while the node runs, where any are to be set.
    keeping: Option<(Interface, RouteRule)>,
    host_routes: Option<HostRoutes>,
    privileges: Privileges,
    favour: Favour,
}

impl OpenedDaemon {
    pub(super) fn open(config: DaemonConfig, options: StartOptions) -> Result<Self, StartError> {
        let DaemonConfig {
            node,
            listen,
            services,
            names,
            tun,
            resolver,
            endpoints,
            workers,
            sharing,
            favour,
            ..
        } = config;
        let StartOptions { socket, observer, connect, mut ports, look_up, privileges } = options;
        // Whoever brings a socket or connects one wants to see what comes to that.
        let helpers =
            if socket.is_none() && connect.is_none() { workers.clamp(1, WORKERS_MAX) - 1 } else { 0 };
        let bind_error =
            |source: std::io::Error| StartError::Bind { address: listen, fix: fix_for(&source), source };
        let socket =
            socket.map_or_else(|| BatchSocket::bind(listen), BatchSocket::over).map_err(bind_error)?;
        let address = socket.local_address().map_err(bind_error)?;
        if let Some(peer) = connect {
            socket.connect(peer).map_err(|source| StartError::Connect { peer, source })?;
        }
        let seed = clock::seed().map_err(StartError::Chance)?;
        let boot_epoch = clock::boot_epoch().map_err(StartError::Chance)?;
        // Where ways are not learned, nobody announces anything.
        let learns_ways = matches!(node.routing, Routing::Dynamic(_));
        let node = Node::new(node, seed, boot_epoch, clock::now());
        let id = node.id();
        let (commands, commands_in) = bounded(COMMANDS_MAX);
        let (events_out, events) = bounded(EVENTS_MAX);
        let packet_bytes_max = tun.as_ref().map(|tun| usize::from(tun.mtu));
        let host_routes = tun.as_ref().map(|tun| HostRoutes::of(tun.name.clone()));
        let rule = tun.as_ref().map(|tun| tun.routes.clone());
        let queues = if helpers > 0 { Queues::Several } else { Queues::One };
        let (tun, interface) = tun.map(|tun| Tun::open(&tun, queues, id.address())).transpose()?.unzip();
        let keeping = interface.zip(rule).filter(|(_, rule)| learns_ways && *rule != RouteRule::None);
        let has_tun = tun.is_some();
        let (poll, waker) = lane::poller().map_err(StartError::Thread)?;
        let shares = Arc::new(AtomicBool::new(false));
        let mut port = tun.as_ref().map(|tun: &Tun| SharedPort::new(tun.port(), Arc::clone(&shares)));
        let lanes = lanes_beside(&socket, tun.as_ref(), helpers, node.mtu());
        let crew = Crew::new(lanes, port.as_mut(), (Arc::clone(&waker), shares), sharing);
        let crew = crew.map_err(StartError::Thread)?;
        // Last: it takes whatever nobody else wants.
        ports.extend(port.map(|port| Box::new(port) as Box<dyn PacketPort>));
        let packets = PacketSwitch::new(ports, packet_bytes_max);
        let packets = if queues == Queues::Several { packets.with_queues() } else { packets };
        let lane = Lane::new(0, socket, tun, node.mtu());
        let equipment = Equipment { poll, lane, crew, packets, favour, observer };
        let data = DataThread::new(node, commands_in, events_out, equipment).map_err(StartError::Thread)?;
        let handle = NodeHandle { commands, waker };
        let forwards = if services.is_empty() {
            None
        } else {
            let chance = clock::seed().map_err(StartError::Chance)?;
            Some(Prepared::new(id, &services, has_tun, chance)?)
        };
        // After the interface: it may answer at its address.
        let resolver = resolver.map(OpenedResolver::open).transpose()?;
        Ok(Self {
            id,
            address,
            names,
            handle,
            events,
            data,
            forwards,
            resolver,
            endpoints,
            look_up: look_up.unwrap_or_else(|| Box::new(ask_the_system)),
            keeping,
            host_routes,
            privileges,
            favour,
        })
    }

    /// Gives up privileges, where that was asked for, and starts the threads: what one of them has, it has
    /// from the thread that calls.
    ///
    /// # Errors
    /// When there can be no more threads, or privileges cannot be given up.
    pub fn start(self) -> Result<Daemon, StartError> {
        let Self {
            id, address, names, handle, mut data, forwards, resolver, privileges, host_routes, ..
        } = self;
        let keep = |((interface, rule), shown)| {
            RouteKeeper::start(handle.clone(), interface, rule, shown, privileges)
        };
        // First: it alone needs a privilege for as long as it runs.
        let routes = self.keeping.zip(host_routes.clone()).map(keep).transpose();
        let routes = routes.map_err(StartError::Thread)?;
        let Carrier { work, finished, thread } = Carrier::start(id, self.favour, privileges)?;
        let listens: Vec<(Transport, SocketAddr)> =
            forwards.as_ref().map_or_else(Vec::new, |prepared| prepared.listens());
        let forwards = forwards.map(|prepared| prepared.start(handle.clone())).transpose();
        let forwards = forwards.map_err(StartError::Thread)?.map(|(port, meter, thread)| {
            data.attach(port, meter);
            thread
        });
        // The thread waits for it.
        let _ = work.send(data);
        let look_ups = LookUps::start(handle.clone(), address, self.endpoints, self.look_up);
        let mut daemon = Daemon {
            id,
            address,
            names: Arc::new(NameBook::new(names)),
            handle,
            events: self.events,
            finished,
            thread: Some(thread),
            resolver: None,
            forwards,
            listens,
            routes,
            host_routes,
            look_ups: look_ups.map_err(StartError::Thread)?,
        };
        // From here on a failure stops the node again.
        let started = resolver.map(|opened| opened.start(daemon.name_book(), daemon.handle()));
        daemon.resolver = started.transpose()?;
        Ok(daemon)
    }
}

/// The thread that carries data, once it has got its work.
struct Carrier {
    work: Sender<DataThread>,
    /// Tells that it has ended.
    finished: Receiver<Report>,
    thread: JoinHandle<()>,
}

impl Carrier {
    /// Starts it and gives up, where that was asked for, what the calling thread may do beyond its user. Before others are made: this one
    /// may go on to say how its threads are scheduled, where latency is favoured.
    fn start(id: NodeId, favour: Favour, privileges: Privileges) -> Result<Self, StartError> {
        let (work, work_in) = bounded::<DataThread>(1);
        let (finished_out, finished) = bounded(1);
        let carry = move || {
            // Nothing comes where the node does not start after all.
            if let Ok(data) = work_in.recv() {
                let _ = finished_out.send(data.run());
            }
        };
        let give_up = match favour {
            Favour::Throughput => privileges::give_up_all,
            Favour::Latency => privileges::give_up_all_but_scheduling,
        };
        privileges.apply(give_up).map_err(StartError::Privileges)?;
        let thread = std::thread::Builder::new().name(format!("data-{}", id.short())).spawn(carry);
        let thread = thread.map_err(StartError::Thread)?;
        privileges.apply(privileges::give_up_all).map_err(StartError::Privileges)?;
        Ok(Self { work, finished, thread })
    }
}

/// Opens what other threads may serve: for each a socket beside ours, and a queue of the interface. Where the system gives
/// no more of them, there are fewer threads; one is enough.
fn lanes_beside(socket: &BatchSocket, tun: Option<&Tun>, helpers: usize, mtu: usize) -> Vec<Lane> {
    let lane = |number| {
        let socket = socket.bind_beside()?;
        Ok(Lane::new(number, socket, tun.map(Tun::another_queue).transpose()?, mtu))
    };
    let refused = |error: &std::io::Error| {
        tracing::warn!(%error, "The system gives no more sockets or queues: fewer threads carry data than there might");
    };
    (1..=helpers).map(lane).map_while(|lane: std::io::Result<_>| lane.inspect_err(refused).ok()).collect()
}
