//! Looks up the names of neighbours, on a thread of its own: a resolver may take half a minute to answer,
//! and the data thread must not wait for it. What it finds, the node is told.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use peerbound_wire::NodeId;

use crate::clock;
use crate::config::{Endpoint, Endpoints};
use crate::daemon::NodeHandle;

/// How often a name is looked up whatever happens: its address may change while the old one still answers.
const LOOK_UP_INTERVAL: Duration = Duration::from_secs(300);

/// How often it is looked up while its neighbour cannot be reached.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);

/// How often it is seen to who cannot be reached.
const TURN: Duration = Duration::from_secs(1);

/// Finds the addresses of a name.
pub(crate) type LookUp = dyn Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send;

/// Asks the system, as every program does: a hosts file, DNS, or what else it is set up for.
pub(crate) fn ask_the_system(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    Ok((host, port).to_socket_addrs()?.collect())
}

/// The names of a node's neighbours, and when each was looked up.
pub(crate) struct Names {
    handle: NodeHandle,
    listen: SocketAddr,
    look_up: Box<LookUp>,
    neighbours: Endpoints,
    looked_up: BTreeMap<NodeId, Instant>,
}

impl Names {
    /// Starts a thread if there is a name among the endpoints. It ends when the sender is dropped, or after
    /// the look-up that it is in: it is not waited for.
    pub(crate) fn start(
        handle: NodeHandle,
        listen: SocketAddr,
        endpoints: Endpoints,
        look_up: Box<LookUp>,
    ) -> io::Result<Option<Sender<()>>> {
        let is_name = |endpoint: &Endpoint| endpoint.address().is_none();
        let neighbours: BTreeMap<_, _> =
            endpoints.into_iter().filter(|(_, endpoints)| endpoints.iter().any(is_name)).collect();
        if neighbours.is_empty() {
            return Ok(None);
        }
        let (stop, stopped) = bounded(0);
        let names = Self { handle, listen, look_up, neighbours, looked_up: BTreeMap::new() };
        std::thread::Builder::new().name("names".to_owned()).spawn(move || names.run(&stopped))?;
        Ok(Some(stop))
    }

    fn run(mut self, stopped: &Receiver<()>) {
        loop {
            let now = clock::now();
            let Some(due) = self.due(now) else {
                return; // the node is gone
            };
            for id in due {
                self.look_up(id);
                self.looked_up.insert(id, clock::now());
            }
            if !matches!(stopped.recv_timeout(TURN), Err(RecvTimeoutError::Timeout)) {
                return;
            }
        }
    }

    /// Returns whose names are to be looked up; `None` when there is no node any more.
    fn due(&self, now: Instant) -> Option<Vec<NodeId>> {
        let views = self.handle.with_node(|node, _| node.neighbours()).ok()?;
        let is_due = |id: &NodeId| {
            let is_usable = views.iter().any(|view| view.id == *id && view.is_usable);
            let interval = if is_usable { LOOK_UP_INTERVAL } else { RETRY_INTERVAL };
            self.looked_up.get(id).is_none_or(|at| now >= *at + interval)
        };
        Some(self.neighbours.keys().copied().filter(is_due).collect())
    }

    fn look_up(&self, id: NodeId) {
        let mut addresses = Vec::new();
        let mut trouble = None;
        for endpoint in self.neighbours.get(&id).into_iter().flatten() {
            match endpoint {
                Endpoint::Address(address) => addresses.push(*address),
                Endpoint::Name { host, port } => match self.addresses_of(host, *port) {
                    Ok(found) => addresses.extend(found),
                    Err(reason) => trouble = Some(reason),
                },
            }
        }
        let mut seen = Vec::new();
        addresses.retain(|address| {
            !seen.contains(address) && {
                seen.push(*address);
                true
            }
        });
        let told = self.handle.with_node(move |node, now| {
            // What was found before may still be right when a resolver fails.
            if trouble.is_none() || !addresses.is_empty() {
                node.set_neighbour_addresses(id, addresses, now);
            }
            if let Some(reason) = trouble {
                node.note_neighbour_trouble(id, reason, now);
            }
        });
        if let Err(error) = told {
            tracing::debug!(%error, "The addresses of a name could not be told");
        }
    }

    fn addresses_of(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
        let found = (self.look_up)(host, port).map_err(|error| {
            tracing::debug!(%error, host, "A name does not resolve");
            format!("its name {host} does not resolve: {error}")
        })?;
        let fits = |address: &SocketAddr| {
            address.is_ipv4() == self.listen.is_ipv4()
                && *address != self.listen
                && !address.ip().is_unspecified()
        };
        let fitting: Vec<_> = found.into_iter().filter(fits).collect();
        if fitting.is_empty() {
            let version = if self.listen.is_ipv4() { "IPv4" } else { "IPv6" };
            return Err(format!("its name {host} has no {version} address that can be dialled from here"));
        }
        Ok(fitting)
    }
}
