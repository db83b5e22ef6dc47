//! The part of a world that runs nodes: every call of one under the virtual clock and its own stream of
//! chance, and what it has to say taken out of it at once.

use std::time::{Duration, Instant};

use peerbound_node::{Event, Node, NodeConfig, SendError, Sending, SessionSeen};
use peerbound_wire::{FlowId, NodeId, PacketId};

use crate::chance::{Purpose, key};
use crate::flight::FlightId;
use crate::hooks;
use crate::host::{Installed, NodeBox, Power, Running, Tenant};
use crate::ids::{HostId, SocketId, index};
use crate::observation::{Observe, Observed, Way};
use crate::socket::Reader;
use crate::stream::Stream;
use crate::time::VirtualTime;
use crate::world::sending::Outgoing;
use crate::world::{Due, World};

/// The least time between two wakings of a node: OpenSSL's clock counts microseconds, so a timer that
/// is not due at one of them may be due at the next, and no earlier.
const WAKING_INTERVAL: Duration = Duration::from_micros(1);

impl World {
    /// Boots a node that reads a socket of this host, what waits in it first. One that runs there already
    /// is gone without a farewell.
    ///
    /// # Panics
    /// When the socket is closed, or that of another host.
    pub fn run_node(&mut self, host: HostId, socket: SocketId, config: NodeConfig) {
        let has_socket = self.host(host).sockets.contains(&socket);
        assert!(has_socket, "{} has no such open socket", self.host(host).name);
        self.crash(host);
        let observe_sessions = self.observe == Observe::Everything;
        let config = NodeConfig { observe_sessions, ..config };
        self.host_mut(host).boots += 1;
        let boots = self.host(host).boots;
        let place = (u64::from(host.0), u64::from(boots));
        let seed = key(self.seed, Purpose::Node, place.0, place.1);
        let mut stream = Stream::new(key(self.seed, Purpose::Openssl, place.0, place.1));
        let now = self.instant();
        let node =
            hooks::under(self.now.since_start(), &mut stream, || Node::new(config.clone(), seed, boots, now));
        let running = Running { node: NodeBox(node), socket, stream, config, wakes_at: None };
        self.host_mut(host).tenant = Tenant::Running(Box::new(running));
        self.observe(Observe::Events, || Observed::Booted { host });
        for flight in self.take_waiting(socket, Reader::Node) {
            self.give_to_node(flight, host);
        }
        // Dialling starts with the first run of the timers.
        self.with_node(host, |node, now| node.handle_timeout(now));
    }

    /// Takes a node away without a farewell. Its socket is closed: the kernel refuses what comes.
    pub fn crash(&mut self, host: HostId) {
        if self.host(host).running().is_none() {
            return;
        }
        self.observe(Observe::Events, || Observed::Crashed { host });
        self.evict(host);
    }

    /// Lets a node say farewell to its neighbours and go.
    pub fn shut_down(&mut self, host: HostId) {
        if self.with_node(host, |node, now| node.shutdown(now)).is_none() {
            return;
        }
        self.observe(Observe::Events, || Observed::ShutDown { host });
        self.evict(host);
    }

    /// Boots the node of a host again, as it was set up, on a socket as it had: on the same port, and
    /// connected if that was. One that runs is gone without a farewell. Says whether there ever was one.
    pub fn restart(&mut self, host: HostId) -> bool {
        self.crash(host);
        let Tenant::Gone(installed) = std::mem::replace(&mut self.host_mut(host).tenant, Tenant::None) else {
            return false;
        };
        self.host_mut(host).power = Power::On;
        let Installed { config, port, peer, sharing } = *installed;
        let Ok(socket) = self.bind_as(host, port, sharing) else {
            self.host_mut(host).tenant = Tenant::Gone(Box::new(Installed { config, port, peer, sharing }));
            return false;
        };
        if let Some(peer) = peer {
            self.connect(socket, peer);
        }
        self.run_node(host, socket, config);
        true
    }

    fn evict(&mut self, host: HostId) {
        let Tenant::Running(running) = std::mem::replace(&mut self.host_mut(host).tenant, Tenant::None)
        else {
            return;
        };
        let Running { node, socket, mut stream, config, .. } = *running;
        // OpenSSL asks the clock when it drops a session, too.
        hooks::under(self.now.since_start(), &mut stream, || drop(node));
        let (port, peer, sharing) = {
            let socket = self.socket(socket);
            (socket.port, socket.peer, socket.sharing)
        };
        self.close(socket);
        self.host_mut(host).tenant = Tenant::Gone(Box::new(Installed { config, port, peer, sharing }));
    }

    /// Sends a payload from a node into the overlay.
    ///
    /// # Errors
    /// What the node says, or that none runs there.
    pub fn send(&mut self, host: HostId, sending: Sending<'_>) -> Result<PacketId, SendError> {
        let sent = self.with_node(host, |node, now| node.send(sending, now));
        sent.unwrap_or_else(|| Err(no_node(sending.destination)))
    }

    /// Asks a node of the overlay to answer.
    ///
    /// # Errors
    /// What the asking node says, or that none runs there.
    pub fn ping(
        &mut self,
        host: HostId,
        destination: NodeId,
        flow: FlowId,
        token: u64,
    ) -> Result<PacketId, SendError> {
        let sent = self.with_node(host, |node, now| node.ping(destination, flow, token, now));
        sent.unwrap_or_else(|| Err(no_node(destination)))
    }

    /// Lets a node seal a payload for its next hop, and takes the datagrams out of its hands: they are
    /// never sent, unless the caller does. The node believes that they were.
    ///
    /// # Errors
    /// What the node says, or that none runs there.
    pub fn seal(
        &mut self,
        host: HostId,
        sending: Sending<'_>,
    ) -> Result<(PacketId, Vec<Vec<u8>>), SendError> {
        let sealed = self.call(host, |node, now| {
            let packet = node.send(sending, now)?;
            let mut datagrams = Vec::new();
            while let Some(batch) = node.poll_transmit() {
                datagrams.extend(batch.datagrams().map(<[u8]>::to_vec));
            }
            Ok((packet, datagrams))
        });
        self.drain(host);
        sealed.unwrap_or_else(|| Err(no_node(sending.destination)))
    }

    /// Returns the socket that the node of a host reads, while one runs.
    #[must_use]
    pub fn node_socket(&self, host: HostId) -> Option<SocketId> {
        self.host(host).running().map(|running| running.socket)
    }

    /// Returns the node of a host, while one runs.
    #[must_use]
    pub fn node(&self, host: HostId) -> Option<&Node> {
        self.host(host).running().map(|running| &running.node.0)
    }

    /// Gives a command to a node, at this moment, and puts on the way what it has to say; `None` where
    /// none runs.
    pub fn with_node<T>(&mut self, host: HostId, command: impl FnOnce(&mut Node, Instant) -> T) -> Option<T> {
        let result = self.call(host, command)?;
        self.drain(host);
        Some(result)
    }

    /// Gives a datagram to the node of a host.
    pub(super) fn give_to_node(&mut self, flight: FlightId, host: HostId) {
        // The buffer leaves its slot while the node reads it, for the node may send meanwhile.
        let bytes = std::mem::take(&mut self.flights.get_mut(flight).bytes);
        let (datagram, source) = (self.flights.get(flight).id, self.flights.get(flight).source);
        let result = self.call(host, |node, now| {
            let verdict = node.handle_datagram(source, &bytes, now);
            (verdict, node.last_reason())
        });
        self.flights.get_mut(flight).bytes = bytes;
        self.flights.free(flight);
        if let Some((verdict, reason)) = result {
            self.take_events(host);
            self.tell_of_sessions(host);
            self.observe(Observe::Everything, || Observed::Arrived { datagram, host, verdict, reason });
            self.drain(host);
        }
    }

    /// Lets the timers of a node run that asked to be woken at this moment.
    pub(super) fn wake(&mut self, host: HostId, at: VirtualTime) {
        let base = self.base;
        let now = self.now;
        let Some(running) = self.host_mut(host).running_mut() else {
            return;
        };
        // An earlier waking has taken this one's place, or it belongs to a node that is gone.
        if running.wakes_at != Some(at) {
            return;
        }
        running.wakes_at = None;
        let is_due = running.node.0.poll_timeout().is_some_and(|due| due <= base + now.since_start());
        if is_due {
            self.call(host, |node, now| node.handle_timeout(now));
            self.drain_not_before(host, now + WAKING_INTERVAL);
        } else {
            self.schedule(host, now);
        }
    }

    /// Calls a node under the hooks.
    fn call<T>(&mut self, host: HostId, act: impl FnOnce(&mut Node, Instant) -> T) -> Option<T> {
        let (elapsed, now) = (self.now.since_start(), self.instant());
        let running = self.hosts[index(host.0)].running_mut()?;
        let node = &mut running.node.0;
        Some(hooks::under(elapsed, &mut running.stream, || act(node, now)))
    }

    /// Takes out of a node what it has to tell and to send, and sees to it that it is woken in time.
    fn drain(&mut self, host: HostId) {
        self.drain_not_before(host, self.now);
    }

    fn drain_not_before(&mut self, host: HostId, wake_not_before: VirtualTime) {
        self.take_events(host);
        self.tell_of_sessions(host);
        let mut events = std::mem::take(&mut self.events);
        for event in events.drain(..) {
            self.observe(Observe::Events, || Observed::Event { host, event });
        }
        self.events = events;
        self.send_batches(host);
        self.schedule(host, wake_not_before);
    }

    fn take_events(&mut self, host: HostId) {
        let Some(running) = self.hosts[index(host.0)].running_mut() else {
            return;
        };
        while let Some(event) = running.node.0.poll_event() {
            self.events.push(event);
        }
    }

    /// Tells of new sessions before anything else: the datagram that completed one may have been sealed
    /// under its keys.
    fn tell_of_sessions(&mut self, host: HostId) {
        if self.events.iter().all(|event| !matches!(event, Event::Session(_))) {
            return;
        }
        let mut events = std::mem::take(&mut self.events);
        for event in events.drain(..) {
            match event {
                Event::Session(SessionSeen { peer, role, secrets, .. }) => {
                    self.observe(Observe::Everything, || Observed::Keys { host, peer, role, secrets });
                }
                other => self.events.push(other),
            }
        }
    }

    fn send_batches(&mut self, host: HostId) {
        loop {
            let Some(running) = self.hosts[index(host.0)].running_mut() else {
                return;
            };
            let Some(batch) = running.node.0.poll_transmit() else {
                return;
            };
            let source = self.address_of(self.host(host).running().map_or(SocketId(0), |r| r.socket));
            let outgoing = Outgoing {
                from: host,
                way: Way::Socket,
                source,
                destination: batch.destination,
                label: None,
                copy_of: None,
            };
            for datagram in batch.datagrams() {
                self.emit(outgoing.clone(), datagram);
            }
            if let Some(running) = self.hosts[index(host.0)].running_mut() {
                running.node.0.recycle(batch.bytes);
            }
        }
    }

    /// Puts the node's next waking into the queue, unless one is there that comes early enough: when it
    /// comes, it looks again.
    fn schedule(&mut self, host: HostId, not_before: VirtualTime) {
        let Some(due) = self.host(host).running().and_then(|running| running.node.0.poll_timeout()) else {
            return;
        };
        let at = self.virtual_time(due).max(not_before);
        let Some(running) = self.host_mut(host).running_mut() else {
            return;
        };
        if running.wakes_at.is_none_or(|earlier| at < earlier) {
            running.wakes_at = Some(at);
            self.queue.put(at, Due::Wake(host));
        }
    }
}

fn no_node(destination: NodeId) -> SendError {
    SendError::NoRoute { destination, reason: "no node runs on this host".to_owned() }
}
