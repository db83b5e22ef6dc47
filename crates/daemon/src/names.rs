//! Looks up the names of neighbours, on a thread of its own: a resolver may take half a minute to answer,
//! and the data thread must not wait for it. What it finds, the node is told.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use peerbound_wire::NodeId;

use crate::clock;
use crate::config::{Endpoint, Endpoints};
use crate::daemon::{CommandError, NodeHandle};

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

/// Says which names are looked up. The thread that does it ends when the last of these is dropped, or after
/// the look-up that it is in: it is not waited for.
#[derive(Debug, Clone)]
pub(crate) struct LookUps {
    wanted: Arc<Mutex<Endpoints>>,
    wake: Sender<()>,
}

impl LookUps {
    /// Starts the thread, in the namespace of the one that calls.
    pub(crate) fn start(
        handle: NodeHandle,
        listen: SocketAddr,
        endpoints: Endpoints,
        look_up: Box<LookUp>,
    ) -> io::Result<Self> {
        let wanted = Arc::new(Mutex::new(with_names(endpoints)));
        let (wake, woken) = bounded(1);
        let names =
            Names { handle, listen, look_up, wanted: Arc::clone(&wanted), looked_up: BTreeMap::new() };
        std::thread::Builder::new().name("names".to_owned()).spawn(move || names.run(&woken))?;
        Ok(Self { wanted, wake })
    }

    /// Looks up no more of these neighbours: what is still on its way about them is told to nobody.
    pub(crate) fn leave(&self, neighbours: &BTreeSet<NodeId>) {
        lock(&self.wanted).retain(|id, _| !neighbours.contains(id));
    }

    /// Looks up the names in these endpoints from here on, and at once those that differ.
    pub(crate) fn set(&self, endpoints: Endpoints) {
        *lock(&self.wanted) = with_names(endpoints);
        // If it is full the thread is about to look.
        let _ = self.wake.try_send(());
    }
}

fn with_names(mut endpoints: Endpoints) -> Endpoints {
    endpoints.retain(|_, endpoints| endpoints.iter().any(|endpoint| endpoint.address().is_none()));
    endpoints
}

fn lock(wanted: &Mutex<Endpoints>) -> MutexGuard<'_, Endpoints> {
    // What is in it is always whole.
    wanted.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The names of a node's neighbours, and when each was looked up.
struct Names {
    handle: NodeHandle,
    listen: SocketAddr,
    look_up: Box<LookUp>,
    /// The endpoints of those that have a name among them.
    wanted: Arc<Mutex<Endpoints>>,
    looked_up: BTreeMap<NodeId, (Instant, Vec<Endpoint>)>,
}

impl Names {
    fn run(mut self, woken: &Receiver<()>) {
        loop {
            let wanted = lock(&self.wanted).clone();
            if wanted.is_empty() {
                match woken.recv() {
                    Ok(()) => continue,
                    Err(_) => return,
                }
            }
            let Some(due) = self.due(wanted, clock::now()) else {
                return; // the node is gone
            };
            for (id, endpoints) in due {
                self.look_up(id, &endpoints);
                self.looked_up.insert(id, (clock::now(), endpoints));
            }
            match woken.recv_timeout(TURN) {
                Ok(()) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Returns whose names are to be looked up; `None` when there is no node any more.
    fn due(&mut self, wanted: Endpoints, now: Instant) -> Option<Endpoints> {
        self.looked_up.retain(|id, _| wanted.contains_key(id));
        let views = match self.handle.with_node(|node, _| node.neighbours()) {
            Ok(views) => views,
            Err(CommandError::Gone) => return None,
            // The next turn asks again.
            Err(CommandError::Busy | CommandError::Send(_)) => return Some(Endpoints::new()),
        };
        let is_due = |(id, endpoints): &(NodeId, Vec<Endpoint>)| {
            let is_usable = views.iter().any(|view| view.id == *id && view.is_usable);
            let interval = if is_usable { LOOK_UP_INTERVAL } else { RETRY_INTERVAL };
            let looked_up = self.looked_up.get(id);
            looked_up.is_none_or(|(at, former)| former != endpoints || now >= *at + interval)
        };
        Some(wanted.into_iter().filter(is_due).collect())
    }

    fn look_up(&self, id: NodeId, endpoints: &[Endpoint]) {
        let mut addresses = Vec::new();
        let mut trouble = None;
        for endpoint in endpoints {
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
        // Held until the node is told: what a reload says of this neighbour comes before or after.
        let wanted = lock(&self.wanted);
        if wanted.get(&id).is_none_or(|wanted| wanted != endpoints) {
            return;
        }
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
