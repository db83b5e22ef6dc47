//! The part of a world that knows who is reached by which address, through NATs or not.

use std::net::SocketAddr;

use crate::flight::{Flight, FlightId};
use crate::ids::{HostId, NatId, index, next};
use crate::nat::{Hairpin, Nat, NatConfig};
use crate::observation::{Loss, Observe, Observed};
use crate::world::World;

impl World {
    /// Puts hosts behind a NAT. They reach each other by their own addresses; everybody else sees the
    /// NAT's.
    pub fn add_nat(&mut self, config: NatConfig) -> NatId {
        let id = NatId(next(&self.nats));
        for host in &config.inside {
            let (ip, before) = (self.host(*host).ip, self.host(*host).nat);
            if self.by_ip.get(&(before, ip)) == Some(host) {
                self.by_ip.remove(&(before, ip));
            }
            self.host_mut(*host).nat = Some(id);
            self.by_ip.insert((Some(id), ip), *host);
        }
        self.nats_by_ip.insert(config.address, id);
        self.nats.push(Nat::new(config));
        id
    }

    /// Lets a NAT forget its mappings, as a restart does: whoever is behind it comes from other ports.
    pub fn rebind(&mut self, nat: NatId) {
        self.nats[index(nat.0)].rebind();
    }

    /// Returns the outside address that a NAT has given to an inside one, if it has.
    #[must_use]
    pub fn mapped(&self, nat: NatId, inside: SocketAddr) -> Option<SocketAddr> {
        self.nats[index(nat.0)].outside_of(inside)
    }

    /// Lets a datagram out through a NAT; ends it where that does not let it out, and returns whether it
    /// goes on.
    pub(super) fn pass_out(&mut self, flight: FlightId, nat: NatId) -> bool {
        let Flight { from, source, destination, .. } = *self.flights.get(flight);
        if self.by_ip.contains_key(&(Some(nat), destination.ip())) {
            return true; // to a neighbour on the inside
        }
        let now = self.now;
        let translator = &mut self.nats[index(nat.0)];
        if destination.ip() == translator.config.address && translator.config.hairpin == Hairpin::Off {
            self.lose(flight, Loss::NatNoHairpin);
            return false;
        }
        let Some(outside) = translator.translate_out(from, source, destination, now) else {
            self.lose(flight, Loss::NatNoMapping);
            return false;
        };
        self.flights.get_mut(flight).source = outside;
        self.tell_translation(flight, nat);
        true
    }

    /// Lets a datagram in, if a NAT stands before the host that it has come to and was meant; ends it
    /// where that does not let it in, and returns whether it goes on.
    pub(super) fn pass_in(&mut self, flight: FlightId) -> bool {
        let Flight { to, source, destination, .. } = *self.flights.get(flight);
        let Some(nat) = self.host(to).nat else {
            return true;
        };
        let now = self.now;
        let translator = &mut self.nats[index(nat.0)];
        if destination.ip() != translator.config.address {
            return true;
        }
        match translator.translate_in(destination.port(), source, now) {
            Ok((host, inside)) => {
                let flying = self.flights.get_mut(flight);
                flying.to = host;
                flying.destination = inside;
                self.tell_translation(flight, nat);
                true
            }
            Err(loss) => {
                self.lose(flight, loss);
                false
            }
        }
    }

    /// Returns the host that a datagram from `from` to this address would go to. Behind a NAT it is the
    /// one that the port leads to, or the first where it leads to none.
    pub(super) fn reached_from(&self, from: HostId, address: SocketAddr) -> Option<HostId> {
        let (realm, ip) = (self.host(from).nat, address.ip());
        let inside = realm.and_then(|_| self.by_ip.get(&(realm, ip)));
        if let Some(host) = inside.or_else(|| self.by_ip.get(&(None, ip))) {
            return Some(*host);
        }
        let nat = &self.nats[index(self.nats_by_ip.get(&ip)?.0)];
        let mapped = nat.leads_to(address.port()).map(|(host, _)| host);
        mapped.or_else(|| nat.config.inside.first().copied())
    }

    /// Returns who has this address, seen from `from`, and what it is to himself.
    pub(super) fn owner_of(&self, address: SocketAddr, from: HostId) -> Option<(HostId, SocketAddr)> {
        match self.nats_by_ip.get(&address.ip()) {
            Some(nat) => self.nats[index(nat.0)].leads_to(address.port()),
            None => Some((self.reached_from(from, address)?, address)),
        }
    }

    fn tell_translation(&mut self, flight: FlightId, nat: NatId) {
        let Flight { id: datagram, source, destination, .. } = *self.flights.get(flight);
        self.observe(Observe::Everything, || Observed::Translated { datagram, nat, source, destination });
    }
}
