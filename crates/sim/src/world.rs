//! A world: hosts, the paths between them, and what is due next. One thread, virtual time.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use peerbound_node::Event;

use crate::conditions::{Conditions, Directions};
use crate::fault::ArmedFault;
use crate::flight::{FlightId, Flights};
use crate::hooks::{self, HookError};
use crate::host::{Host, Power};
use crate::ids::{HostId, NatId, SocketId, index, next};
use crate::nat::Nat;
use crate::observation::{Observation, Observe, Observed, SocketError};
use crate::path::Path;
use crate::queue::Queue;
use crate::socket::Socket;
use crate::tap::ArmedTap;
use crate::time::VirtualTime;
use crate::world::sending::Stage;

mod arriving;
pub(crate) mod attacker;
mod faults;
mod nats;
mod nodes;
mod sending;
mod sockets;

/// What a world is made from.
#[derive(Debug, Clone, PartialEq)]
pub struct WorldConfig {
    /// The seed of all chance in it.
    pub seed: u64,
    /// The path between two hosts that have none of their own.
    pub network: Conditions,
    /// How much it tells.
    pub observe: Observe,
}

impl WorldConfig {
    /// Takes a perfect network, and tells everything.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { seed, network: Conditions::default(), observe: Observe::Everything }
    }
}

/// A world in virtual time.
///
/// Nothing happens in it but by [`Self::step`] and the calls built on it, and what a call of the
/// caller sets off at once: a datagram that is sent is on its way when the call returns.
#[derive(Debug)]
pub struct World {
    seed: u64,
    network: Conditions,
    observe: Observe,
    base: Instant,
    now: VirtualTime,
    queue: Queue<Due>,
    hosts: Vec<Host>,
    /// The hosts by address, on the inside of each NAT and outside of all.
    by_ip: BTreeMap<(Option<NatId>, IpAddr), HostId>,
    nats: Vec<Nat>,
    nats_by_ip: BTreeMap<IpAddr, NatId>,
    sockets: Vec<Socket>,
    paths: Vec<Path<FlightId>>,
    faults: Vec<ArmedFault>,
    taps: Vec<ArmedTap>,
    flights: Flights,
    next_datagram: u64,
    observations: Vec<Observation>,
    /// Events of a node between two places of the code; kept for its memory.
    events: Vec<Event>,
}

/// What is due at some moment.
#[derive(Debug)]
enum Due {
    /// A datagram arrives.
    Arrive(FlightId),
    /// A datagram that was held up goes on.
    Proceed { flight: FlightId, stage: Stage },
    /// A node wants its timers to run.
    Wake(HostId),
    /// Datagrams that nobody overtook have waited long enough.
    ReleaseHeld { path: u32 },
    /// A host is told by ICMP of a datagram that seems to be its own.
    Tell(Box<Icmp>),
}

/// An ICMP message about a datagram, by its addresses.
#[derive(Debug)]
struct Icmp {
    to: HostId,
    error: SocketError,
    source: SocketAddr,
    destination: SocketAddr,
}

impl World {
    /// Makes an empty world, after the canary has found OpenSSL under the hooks.
    ///
    /// # Errors
    /// Says which hook is not in force.
    pub fn new(config: WorldConfig) -> Result<Self, HookError> {
        hooks::canary()?;
        Ok(Self {
            seed: config.seed,
            network: config.network,
            observe: config.observe,
            base: hooks::anchor(),
            now: VirtualTime::ZERO,
            queue: Queue::new(),
            hosts: Vec::new(),
            by_ip: BTreeMap::new(),
            nats: Vec::new(),
            nats_by_ip: BTreeMap::new(),
            sockets: Vec::new(),
            paths: Vec::new(),
            faults: Vec::new(),
            taps: Vec::new(),
            flights: Flights::default(),
            next_datagram: 0,
            observations: Vec::new(),
            events: Vec::new(),
        })
    }

    /// Adds a host. Of two hosts with one address only the later one is reached by it.
    pub fn add_host(&mut self, name: &str, ip: IpAddr) -> HostId {
        let id = HostId(next(&self.hosts));
        self.hosts.push(Host::new(name, ip));
        self.by_ip.insert((None, ip), id);
        id
    }

    /// Sets what the path between two hosts is like, from here on.
    pub fn set_link(&mut self, one: HostId, other: HostId, directions: Directions, conditions: Conditions) {
        if directions != Directions::Back {
            self.path_between(one, other).1.set_conditions(conditions.clone());
        }
        if directions != Directions::Forth {
            self.path_between(other, one).1.set_conditions(conditions);
        }
    }

    /// Returns what the path from one host to another is like.
    #[must_use]
    pub fn conditions(&self, from: HostId, to: HostId) -> &Conditions {
        let paths = &self.host(from).paths;
        match paths.binary_search_by_key(&to, |(to, _)| *to) {
            Ok(at) => self.paths[index(paths[at].1)].conditions(),
            Err(_) => &self.network,
        }
    }

    /// Gives a host power, or takes it away. Without power its node is gone without a farewell.
    pub fn set_power(&mut self, host: HostId, power: Power) {
        if power == Power::Off {
            self.crash(host);
        }
        self.host_mut(host).power = power;
    }

    /// Lets the next thing happen, whenever it is due, and returns when that was; `None` when nothing
    /// ever will.
    pub fn step(&mut self) -> Option<VirtualTime> {
        let (at, due) = self.queue.pop()?;
        self.now = self.now.max(at);
        match due {
            Due::Arrive(flight) => self.arrive(flight),
            Due::Proceed { flight, stage } => self.meet(flight, stage),
            Due::Wake(host) => self.wake(host, at),
            Due::ReleaseHeld { path } => self.release_held(path),
            Due::Tell(icmp) => self.tell(&icmp),
        }
        Some(self.now)
    }

    /// Lets everything happen that is due by then, and time pass until then.
    pub fn run_until(&mut self, end: VirtualTime) {
        while self.queue.next_at().is_some_and(|at| at <= end) {
            self.step();
        }
        self.now = self.now.max(end);
    }

    /// Lets things happen as long as `goes_on` holds, and no longer than until `end`; returns whether it
    /// stopped holding.
    pub fn run_while(&mut self, end: VirtualTime, mut goes_on: impl FnMut(&Self) -> bool) -> bool {
        loop {
            if !goes_on(self) {
                return true;
            }
            if self.queue.next_at().is_none_or(|at| at > end) {
                self.now = self.now.max(end);
                return false;
            }
            self.step();
        }
    }

    /// Returns when the next thing is due.
    #[must_use]
    pub fn next_at(&self) -> Option<VirtualTime> {
        self.queue.next_at()
    }

    /// Takes what happened since this was asked last, in order.
    pub fn take_observations(&mut self) -> Vec<Observation> {
        std::mem::take(&mut self.observations)
    }

    /// Returns what time it is.
    #[must_use]
    pub fn now(&self) -> VirtualTime {
        self.now
    }

    /// Returns how many datagrams are on their way, held back, or wait to be read.
    #[must_use]
    pub fn datagrams_in_flight(&self) -> usize {
        self.flights.len()
    }

    /// Returns how many hosts there are.
    #[must_use]
    pub fn hosts(&self) -> u32 {
        next(&self.hosts)
    }

    /// Returns what people call a host.
    #[must_use]
    pub fn host_name(&self, host: HostId) -> &str {
        &self.host(host).name
    }

    /// Returns a host's address.
    #[must_use]
    pub fn host_ip(&self, host: HostId) -> IpAddr {
        self.host(host).ip
    }

    fn host(&self, id: HostId) -> &Host {
        &self.hosts[index(id.0)]
    }

    fn host_mut(&mut self, id: HostId) -> &mut Host {
        &mut self.hosts[index(id.0)]
    }

    fn socket(&self, id: SocketId) -> &Socket {
        &self.sockets[index(id.0)]
    }

    fn socket_mut(&mut self, id: SocketId) -> &mut Socket {
        &mut self.sockets[index(id.0)]
    }

    /// Returns one direction between two hosts, made when it is first asked for.
    fn path_between(&mut self, from: HostId, to: HostId) -> (u32, &mut Path<FlightId>) {
        let number = match self.host(from).paths.binary_search_by_key(&to, |(to, _)| *to) {
            Ok(at) => self.host(from).paths[at].1,
            Err(at) => {
                let number = next(&self.paths);
                let place = (u64::from(from.0), u64::from(to.0));
                self.paths.push(Path::new(self.network.clone(), self.seed, place));
                self.host_mut(from).paths.insert(at, (to, number));
                number
            }
        };
        (number, &mut self.paths[index(number)])
    }

    /// Returns what time it is, as the nodes of this world are told it.
    #[must_use]
    pub fn instant(&self) -> Instant {
        self.base + self.now.since_start()
    }

    fn virtual_time(&self, instant: Instant) -> VirtualTime {
        VirtualTime::after(instant.saturating_duration_since(self.base))
    }

    /// Notes what happened, if that much is told.
    fn observe(&mut self, least: Observe, what: impl FnOnce() -> Observed) {
        if self.observe >= least {
            self.observations.push(Observation { at: self.now, what: what() });
        }
    }
}
