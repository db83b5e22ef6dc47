//! The part of a world in which datagrams and ICMP messages arrive at a host's kernel.

use crate::flight::{Flight, FlightId};
use crate::host::Power;
use crate::ids::SocketId;
use crate::observation::{Loss, Observe, Observed, SocketError};
use crate::socket::{RECEIVE_QUEUE_BYTES, Reader, Socket, look_up};
use crate::world::{Icmp, World};

impl World {
    /// Lets a datagram arrive at the end of its path.
    pub(super) fn arrive(&mut self, flight: FlightId) {
        if !self.pass_in(flight) {
            return;
        }
        let Flight { id, to: host, source, destination, .. } = *self.flights.get(flight);
        if self.host(host).power == Power::Off {
            self.lose(flight, Loss::HostDown);
            return;
        }
        match look_up(self.sockets_of(host), destination.port(), source) {
            Some(socket) => self.give_to_socket(flight, socket),
            None => {
                self.flights.free(flight);
                self.observe(Observe::Everything, || Observed::Refused { datagram: id, host, icmp: true });
                self.send_icmp(SocketError::ConnectionRefused, host, source, destination);
            }
        }
    }

    fn give_to_socket(&mut self, flight: FlightId, socket: SocketId) {
        let host = self.socket(socket).host;
        let length = self.flights.get(flight).bytes.len();
        let datagram = self.flights.get(flight).id;
        match &mut self.socket_mut(socket).reader {
            Reader::Nobody { waiting, bytes } => {
                if *bytes + length > RECEIVE_QUEUE_BYTES {
                    self.lose(flight, Loss::Unread);
                    return;
                }
                *bytes += length;
                waiting.push_back(flight);
            }
            Reader::Node => self.give_to_node(flight, host),
            Reader::Application => {
                self.flights.free(flight);
                self.observe(Observe::Everything, || Observed::Read { datagram, host, socket });
            }
            Reader::Closed => unreachable!("a closed socket is not found"),
        }
    }

    /// Gives an ICMP message to the socket that seems to have sent what it is about: one that is
    /// connected to there. An unconnected socket is not told, as a node's is not.
    pub(super) fn tell(&mut self, icmp: &Icmp) {
        let Icmp { to: host, error, source, destination } = *icmp;
        if self.host(host).power == Power::Off {
            return;
        }
        let is_sender = |socket: &Socket| socket.port == source.port() && socket.peer == Some(destination);
        let socket = self.sockets_of(host).find(|(_, socket)| is_sender(socket)).map(|(id, _)| id);
        if let Some(socket) = socket {
            self.observe(Observe::Everything, || Observed::Told { host, socket, error });
        }
    }
}
