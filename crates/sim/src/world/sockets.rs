//! The part of a world that deals with sockets: bound, connected, read by an application, closed.

use std::collections::VecDeque;
use std::net::SocketAddr;

use crate::flight::FlightId;
use crate::ids::{HostId, SocketId, next};
use crate::observation::{Loss, Observe, Observed, Way};
use crate::socket::{BindError, EPHEMERAL_PORT_FIRST, Reader, Sharing, Socket};
use crate::world::World;
use crate::world::sending::Outgoing;

impl World {
    /// Binds a UDP socket to a port of a host, for itself; port 0 asks for an ephemeral one. What arrives
    /// waits until somebody reads it: a node, or an application.
    ///
    /// # Errors
    /// [`BindError::InUse`] when another socket has the port.
    pub fn bind(&mut self, host: HostId, port: u16) -> Result<SocketId, BindError> {
        self.bind_as(host, port, Sharing::Exclusive)
    }

    /// Binds a socket that shares its port with others that share it, as `SO_REUSEADDR` lets it.
    ///
    /// # Errors
    /// [`BindError::InUse`] when another socket has the port for itself.
    pub fn bind_shared(&mut self, host: HostId, port: u16) -> Result<SocketId, BindError> {
        self.bind_as(host, port, Sharing::Shared)
    }

    pub(super) fn bind_as(
        &mut self,
        host: HostId,
        port: u16,
        sharing: Sharing,
    ) -> Result<SocketId, BindError> {
        let port = if port == 0 { self.ephemeral_port(host)? } else { port };
        let may_share = |socket: &Socket| (socket.sharing, sharing) == (Sharing::Shared, Sharing::Shared);
        let is_taken = self.sockets_of(host).any(|(_, socket)| socket.port == port && !may_share(socket));
        if is_taken {
            return Err(BindError::InUse { host: self.host(host).name.clone(), port });
        }
        let id = SocketId(next(&self.sockets));
        let reader = Reader::Nobody { waiting: VecDeque::new(), bytes: 0 };
        self.sockets.push(Socket { host, port, sharing, peer: None, reader });
        self.host_mut(host).sockets.push(id);
        Ok(id)
    }

    fn ephemeral_port(&self, host: HostId) -> Result<u16, BindError> {
        let is_free = |port: &u16| self.sockets_of(host).all(|(_, socket)| socket.port != *port);
        (EPHEMERAL_PORT_FIRST..=u16::MAX)
            .find(is_free)
            .ok_or_else(|| BindError::NoPortLeft { host: self.host(host).name.clone() })
    }

    /// Connects a socket: from here on it takes only what comes from its peer. What waits in it already
    /// stays, whoever sent it.
    pub fn connect(&mut self, socket: SocketId, peer: SocketAddr) {
        self.socket_mut(socket).peer = Some(peer);
    }

    /// Lets an application read a socket, what waits in it first.
    pub fn listen(&mut self, socket: SocketId) {
        let waiting = self.take_waiting(socket, Reader::Application);
        let host = self.socket(socket).host;
        for flight in waiting {
            let datagram = self.flights.get(flight).id;
            self.flights.free(flight);
            self.observe(Observe::Everything, || Observed::Read { datagram, host, socket });
        }
    }

    /// Closes a socket; what waits in it is lost.
    pub fn close(&mut self, socket: SocketId) {
        let host = self.socket(socket).host;
        for flight in self.take_waiting(socket, Reader::Closed) {
            self.lose(flight, Loss::Unread);
        }
        self.host_mut(host).sockets.retain(|open| *open != socket);
    }

    /// Sends a datagram through a socket, as any application may.
    pub fn send_raw(&mut self, socket: SocketId, destination: SocketAddr, bytes: &[u8], label: Option<&str>) {
        let from = self.socket(socket).host;
        let source = self.address_of(socket);
        let outgoing = Outgoing {
            from,
            way: Way::Socket,
            source,
            destination,
            label: label.map(Into::into),
            copy_of: None,
        };
        self.emit(outgoing, bytes);
    }

    /// Returns the address that a socket's datagrams come from.
    #[must_use]
    pub fn address_of(&self, socket: SocketId) -> SocketAddr {
        let socket = self.socket(socket);
        SocketAddr::new(self.host(socket.host).ip, socket.port)
    }

    /// Gives a socket another reader, and returns what waits in it.
    pub(super) fn take_waiting(&mut self, socket: SocketId, reader: Reader) -> VecDeque<FlightId> {
        match std::mem::replace(&mut self.socket_mut(socket).reader, reader) {
            Reader::Nobody { waiting, .. } => waiting,
            Reader::Node | Reader::Application | Reader::Closed => VecDeque::new(),
        }
    }

    pub(super) fn sockets_of(&self, host: HostId) -> impl Iterator<Item = (SocketId, &Socket)> {
        self.host(host).sockets.iter().map(|id| (*id, self.socket(*id)))
    }
}
