//! Three daemons on free loopback ports, and the waiting for what they do.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use peerbound_daemon::{Daemon, DaemonConfig, ServicesConfig, StartOptions};
use peerbound_dtls::{Authority, Context, ContextConfig, Identity, KeylogSink, Validity};
use peerbound_node::{EndToEnd, Event, Healing, NeighbourConfig, NodeConfig, PathMtu, StaticRoute, node_id};
use peerbound_wire::NodeId;

/// Generous: shared machines stall.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) struct Members {
    pub(crate) ids: Vec<NodeId>,
    authority: Authority,
    identities: Vec<Identity>,
}

impl Members {
    pub(crate) fn new(names: &[&str]) -> Self {
        let validity = Validity::days(peerbound_daemon::unix_seconds(), 1);
        let authority = Authority::generate("test root", validity).unwrap();
        let identities: Vec<_> = names.iter().map(|name| authority.issue(name, validity).unwrap()).collect();
        let ids = identities.iter().map(|identity| node_id(&identity.key_hash())).collect();
        Self { ids, authority, identities }
    }

    fn context(&self, index: usize, keylog: Option<KeylogSink>) -> Context {
        let config = ContextConfig::new(self.identities[index].clone(), vec![self.authority.to_root()]);
        Context::new(ContextConfig { keylog, ..config }).unwrap()
    }

    pub(crate) fn start(
        &self,
        index: usize,
        neighbours: &[(usize, Option<SocketAddr>)],
        routes: &[(usize, usize)],
    ) -> Daemon {
        self.start_in(self.context(index, None), neighbours, routes)
    }

    /// Starts a node with or without sessions from end to end.
    pub(crate) fn start_end_to_end(
        &self,
        index: usize,
        neighbours: &[(usize, Option<SocketAddr>)],
        routes: &[(usize, usize)],
        end_to_end: EndToEnd,
    ) -> Daemon {
        let mut config = self.config_in(self.context(index, None), neighbours, routes);
        config.node.inner.default = end_to_end;
        Daemon::start(config).unwrap()
    }

    /// Starts a node that gives its data thread to `sink` in every handshake.
    pub(crate) fn start_with_keylog(
        &self,
        index: usize,
        neighbours: &[(usize, Option<SocketAddr>)],
        sink: KeylogSink,
    ) -> Daemon {
        self.start_in(self.context(index, Some(sink)), neighbours, &[])
    }

    /// Starts a node with options that a deployed one has not.
    pub(crate) fn start_with(
        &self,
        index: usize,
        neighbours: &[(usize, Option<SocketAddr>)],
        options: StartOptions,
    ) -> Daemon {
        let mut config = self.config_in(self.context(index, None), neighbours, &[]);
        config.node.observe_sessions = options.observer.is_some();
        Daemon::start_with(config, options).unwrap()
    }

    /// Starts a node as a deployed one is, on a given address.
    pub(crate) fn start_deployed(
        &self,
        index: usize,
        listen: SocketAddr,
        neighbours: &[(usize, Option<SocketAddr>)],
        routes: &[(usize, usize)],
        change: impl FnOnce(&mut DaemonConfig, &mut StartOptions),
    ) -> Daemon {
        let mut config = self.config_in(self.context(index, None), neighbours, routes);
        let mut options = StartOptions::default();
        config.listen = listen;
        config.node.healing = Healing::On;
        config.node.path_mtu = PathMtu::Probed;
        change(&mut config, &mut options);
        Daemon::start_with(config, options).unwrap()
    }

    fn start_in(
        &self,
        context: Context,
        neighbours: &[(usize, Option<SocketAddr>)],
        routes: &[(usize, usize)],
    ) -> Daemon {
        Daemon::start(self.config_in(context, neighbours, routes)).unwrap()
    }

    /// A node that is not started yet.
    pub(crate) fn config_of(
        &self,
        index: usize,
        neighbours: &[(usize, Option<SocketAddr>)],
        routes: &[(usize, usize)],
    ) -> DaemonConfig {
        self.config_in(self.context(index, None), neighbours, routes)
    }

    fn config_in(
        &self,
        context: Context,
        neighbours: &[(usize, Option<SocketAddr>)],
        routes: &[(usize, usize)],
    ) -> DaemonConfig {
        let neighbours = neighbours.iter().map(|(index, address)| NeighbourConfig {
            id: self.ids[*index],
            name: format!("node{index}"),
            addresses: address.iter().copied().collect(),
        });
        let routes =
            routes.iter().map(|(to, via)| StaticRoute { destination: self.ids[*to], via: self.ids[*via] });
        let node = NodeConfig {
            neighbours: neighbours.collect(),
            routes: routes.collect(),
            ..NodeConfig::new(context)
        };
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        DaemonConfig::new(node, listen)
    }

    /// A–B–C in a row, where A and C offer services, up and running.
    pub(crate) fn chain_with(&self, of_a: ServicesConfig, of_c: ServicesConfig) -> [Daemon; 3] {
        let b = self.start(1, &[(0, None), (2, None)], &[]);
        let start = |index: usize, routes: &[(usize, usize)], services| {
            let config = self.config_in(self.context(index, None), &[(1, Some(b.address()))], routes);
            Daemon::start(DaemonConfig { services, ..config }).unwrap()
        };
        let a = start(0, &[(2, 1)], of_a);
        let c = start(2, &[(0, 1)], of_c);
        wait_until_linked([&a, &b, &c]);
        [a, b, c]
    }

    /// A node alone, on a given address.
    pub(crate) fn config(&self, index: usize, listen: SocketAddr) -> DaemonConfig {
        DaemonConfig::new(NodeConfig::new(self.context(index, None)), listen)
    }

    /// A–B–C in a row, up and running.
    pub(crate) fn chain(&self) -> [Daemon; 3] {
        let b = self.start(1, &[(0, None), (2, None)], &[]);
        let a = self.start(0, &[(1, Some(b.address()))], &[(2, 1)]);
        let c = self.start(2, &[(1, Some(b.address()))], &[(0, 1)]);
        wait_until_linked([&a, &b, &c]);
        [a, b, c]
    }
}

fn wait_until_linked(daemons: [&Daemon; 3]) {
    for daemon in daemons {
        wait_until("all neighbours are up", || {
            daemon.status().unwrap().neighbours.iter().all(|neighbour| neighbour.is_usable)
        });
    }
}

pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < end, "within {DEADLINE:?}: {what}");
        std::thread::yield_now();
    }
}

/// Takes events until one fits.
pub(crate) fn wait_for<T>(daemon: &Daemon, what: &str, fits: impl Fn(Event) -> Option<T>) -> T {
    let end = Instant::now() + DEADLINE;
    loop {
        let event =
            daemon.events().recv_deadline(end).unwrap_or_else(|_| panic!("within {DEADLINE:?}: {what}"));
        if let Some(found) = fits(event) {
            return found;
        }
    }
}

pub(crate) fn delivery(event: Event) -> Option<(peerbound_wire::Header, Vec<u8>)> {
    match event {
        Event::Delivered { header, payload } => Some((header, payload)),
        _ => None,
    }
}
