//! The part of a world that puts datagrams on their way.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::flight::{Flight, FlightId};
use crate::ids::{DatagramId, HostId, NatId, index};
use crate::observation::{Loss, Observe, Observed, SocketError, Way};
use crate::path::{HELD_AT_MOST, Transit};
use crate::world::{Due, Icmp, World};

/// A datagram on its way into the world, but for its bytes.
#[derive(Debug, Clone)]
pub(super) struct Outgoing {
    /// Where it comes into the world.
    pub(super) from: HostId,
    pub(super) way: Way,
    pub(super) source: SocketAddr,
    pub(super) destination: SocketAddr,
    pub(super) label: Option<Arc<str>>,
    pub(super) copy_of: Option<DatagramId>,
}

/// What a datagram meets next, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Taps,
    Faults,
    Path,
}

impl World {
    /// Brings a datagram into the world and on its way, through the NAT of its host if there is one.
    pub(super) fn emit(&mut self, outgoing: Outgoing, bytes: &[u8]) -> DatagramId {
        let nat = self.host(outgoing.from).nat;
        self.emit_from(outgoing, bytes, nat, Stage::Taps)
    }

    /// Brings a datagram into the world, through a NAT if there is one, and lets it meet what comes from
    /// this stage on.
    pub(super) fn emit_from(
        &mut self,
        outgoing: Outgoing,
        bytes: &[u8],
        nat: Option<NatId>,
        stage: Stage,
    ) -> DatagramId {
        let id = self.announce(&outgoing, bytes);
        let Outgoing { from, source, destination, label, .. } = outgoing;
        let flight = Flight { id, from, to: from, source, destination, bytes: Vec::new(), label };
        let flight = self.flights.keep(flight, bytes);
        if nat.is_none_or(|nat| self.pass_out(flight, nat)) {
            match self.reached_from(from, destination) {
                None => self.lose(flight, Loss::NoSuchHost),
                // To itself: over no path at all.
                Some(to) if to == from => self.queue.put(self.now, Due::Arrive(flight)),
                Some(to) => {
                    self.flights.get_mut(flight).to = to;
                    self.meet(flight, stage);
                }
            }
        }
        id
    }

    /// Lets a datagram meet what comes from this stage on.
    pub(super) fn meet(&mut self, flight: FlightId, stage: Stage) {
        match stage {
            Stage::Taps => self.meet_taps(flight),
            Stage::Faults => self.meet_faults(flight),
            Stage::Path => self.enter_path(flight),
        }
    }

    /// Gives a datagram its number and tells of it.
    fn announce(&mut self, outgoing: &Outgoing, bytes: &[u8]) -> DatagramId {
        let datagram = DatagramId(self.next_datagram);
        self.next_datagram += 1;
        let Outgoing { from, way, source, destination, label, copy_of } = outgoing;
        self.observe(Observe::Everything, || Observed::Sent {
            datagram,
            by: *from,
            way: *way,
            source: *source,
            destination: *destination,
            bytes: bytes.into(),
            label: label.clone(),
            copy_of: *copy_of,
        });
        datagram
    }

    /// Lets a datagram enter the path to where it goes.
    pub(super) fn enter_path(&mut self, flight: FlightId) {
        let Flight { from, to, source, destination, ref bytes, .. } = *self.flights.get(flight);
        let bytes = packet_bytes(destination, bytes.len());
        let now = self.now;
        let (number, path) = self.path_between(from, to);
        match path.enter(bytes, now) {
            Transit::Lost(loss) => {
                if loss == (Loss::TooBig { icmp: true }) {
                    self.send_icmp(SocketError::MessageTooLong, from, source, destination);
                }
                self.lose(flight, loss);
            }
            Transit::Held => self.hold_back(flight),
            Transit::Arrives { at, copy_at } => {
                self.queue.put(at, Due::Arrive(flight));
                if let Some(copy_at) = copy_at {
                    let copy = self.copy(flight);
                    self.queue.put(copy_at, Due::Arrive(copy));
                }
                if !self.paths[index(number)].held.is_empty() {
                    self.release_held(number);
                }
            }
        }
    }

    /// Lets the next datagram on its path overtake this one.
    pub(super) fn hold_back(&mut self, flight: FlightId) {
        let Flight { from, to, .. } = *self.flights.get(flight);
        let (number, path) = self.path_between(from, to);
        path.held.push(flight);
        self.queue.put(self.now + HELD_AT_MOST, Due::ReleaseHeld { path: number });
    }

    /// Puts other bytes into a datagram, which is another one from here on.
    pub(super) fn change(&mut self, flight: FlightId, bytes: &[u8], why: Loss) {
        let Flight { id: datagram, from, source, destination, ref label, .. } = *self.flights.get(flight);
        let outgoing = Outgoing {
            from,
            way: Way::Changed,
            source,
            destination,
            label: label.clone(),
            copy_of: Some(datagram),
        };
        self.observe(Observe::Everything, || Observed::Lost { datagram, why });
        let id = self.announce(&outgoing, bytes);
        let flying = self.flights.get_mut(flight);
        flying.id = id;
        flying.bytes.clear();
        flying.bytes.extend_from_slice(bytes);
    }

    /// Lets what was held back go on, behind what has entered the path since.
    pub(super) fn release_held(&mut self, path: u32) {
        let now = self.now;
        let path = &mut self.paths[index(path)];
        for flight in std::mem::take(&mut path.held) {
            self.queue.put(path.arrival(now), Due::Arrive(flight));
        }
    }

    /// Makes a second one of a datagram that is on its way.
    pub(super) fn copy(&mut self, flight: FlightId) -> FlightId {
        let Flight { id, from, to, source, destination, ref label, .. } = *self.flights.get(flight);
        let label = label.clone();
        let bytes = self.flights.get(flight).bytes.clone();
        let outgoing = Outgoing {
            from,
            way: Way::Duplicated,
            source,
            destination,
            label: label.clone(),
            copy_of: Some(id),
        };
        let id = self.announce(&outgoing, &bytes);
        let copy = Flight { id, from, to, source, destination, bytes: Vec::new(), label };
        self.flights.keep(copy, &bytes)
    }

    /// Ends a datagram that reaches nobody.
    pub(super) fn lose(&mut self, flight: FlightId, why: Loss) {
        let datagram = self.flights.get(flight).id;
        self.flights.free(flight);
        self.observe(Observe::Everything, || Observed::Lost { datagram, why });
    }

    /// Tells whoever seems to have sent a datagram, as an ICMP message does: back over the path from
    /// `at`, unless that carries nothing. Losses are not played out on ICMP.
    pub(super) fn send_icmp(
        &mut self,
        error: SocketError,
        at: HostId,
        source: SocketAddr,
        destination: SocketAddr,
    ) {
        let Some((to, source)) = self.owner_of(source, at) else {
            return;
        };
        let conditions = self.conditions(at, to);
        if conditions.outage.is_on(self.now) {
            return;
        }
        let arrives = if at == to { self.now } else { self.now + conditions.latency };
        self.queue.put(arrives, Due::Tell(Box::new(Icmp { to, error, source, destination })));
    }
}

/// Returns the size of the IP packet around so many bytes of UDP payload.
fn packet_bytes(destination: SocketAddr, payload_bytes: usize) -> u64 {
    const UDP_HEADER_BYTES: u64 = 8;
    let ip_header_bytes = if destination.is_ipv4() { 20 } else { 40 };
    payload_bytes as u64 + UDP_HEADER_BYTES + ip_header_bytes
}
