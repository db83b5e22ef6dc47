//! The part of a stage that moves datagrams: between hosts and the network, and into the words of the judge.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::Events;
use peerbound_daemon::{Observed as Tapped, Observer};
use peerbound_node::Event;

use crate::backend::carrier::{Datagram, Handed, Outgoing, error_name};
use crate::backend::network::{Due, Entry, Parcel};
use crate::backend::stage::{Delivered, RealStage, command_failed, failed, nanos};
use crate::judge::{Observation, Observed};
use crate::run::stage::ATTACKER_NAME;
use crate::run::{Stage, StageError};
use crate::scenario::Path;
use crate::trace::{DatagramId, HostIndex, Nanos, Way};

/// How long a turn waits for what was just handed to a host to be read there: some 100 us on a machine
/// that is at rest. What takes longer is taken in by a later turn.
pub(super) const READING_PATIENCE: Duration = Duration::from_millis(50);

/// The longest datagram that can arrive.
const DATAGRAM_BYTES_MAX: usize = 65_536;

impl RealStage {
    /// Takes in what waits everywhere, and hands over what is due.
    pub(super) fn pump(&mut self) -> Result<(), StageError> {
        loop {
            // What a node told before it sent something stands in the channel before that comes out.
            let mut outgoing = Vec::new();
            self.carrier.receive(&mut |what| outgoing.push(what))?;
            while let Ok(tapped) = self.taps.try_recv() {
                self.on_tapped(tapped);
            }
            for what in outgoing {
                self.on_outgoing(what);
            }
            self.read()?;
            let has_handed_over = self.hand_over()?;
            self.collect();
            all_were_taken(&self.observers)?;
            if !has_handed_over {
                return Ok(());
            }
        }
    }

    pub(super) fn collect(&mut self) {
        for daemon in self.daemons.values() {
            // The tap tells the same in its place.
            daemon.events().try_iter().for_each(drop);
        }
        self.seen.extend(self.network.take_observations());
    }

    pub(super) fn on_tapped(&mut self, tapped: peerbound_daemon::Observation) {
        let host = HostIndex(u32::try_from(tapped.station).unwrap_or(u32::MAX));
        let at = self.time_of(tapped.at);
        let what = match tapped.what {
            Tapped::Arrived { from, bytes, verdict, reason } => {
                let datagram = self.arrived(host, from, bytes, at);
                let reason = reason.map(|reason| reason.name().to_owned());
                Observed::Arrived { datagram, host, verdict, reason }
            }
            // What is sent is told of when it comes out of the host.
            Tapped::Sent { .. } => return,
            Tapped::Told { error } => Observed::Told { host, error: error_name(&error.into()) },
            Tapped::Event(event) => Observed::Event { host, event: self.in_scenario(event, host) },
            Tapped::Keys { peer, role, secrets } => {
                if let Ok(keys) = secrets.record_keys() {
                    self.keys.entry(host).or_default().push(keys);
                }
                Observed::Keys { host, peer, role, secrets: *secrets }
            }
        };
        self.see(what, at);
    }

    /// Finds the number of a datagram that has arrived. One that did not come through the network is
    /// somebody else's on this machine: the attacker's, for all we know.
    pub(super) fn arrived(
        &mut self,
        host: HostIndex,
        from: SocketAddr,
        bytes: Vec<u8>,
        at: Nanos,
    ) -> DatagramId {
        let source = self.carrier.named(from, host);
        if let Some(delivered) = self.take_delivered(host, source, |known| *known == bytes) {
            return delivered.parcel.id;
        }
        let datagram = Datagram { source, destination: self.address(host), bytes };
        let stray = Entry {
            from: self.attacker(),
            to: None,
            way: Way::Injected,
            label: None,
            copy_of: None,
            datagram,
        };
        let id = self.network.announce(&stray, at);
        self.collect();
        id
    }

    pub(super) fn take_delivered(
        &mut self,
        host: HostIndex,
        source: SocketAddr,
        is_it: impl Fn(&Vec<u8>) -> bool,
    ) -> Option<Delivered> {
        let index = self.delivered.iter().position(|delivered| {
            let Datagram { source: known, bytes, .. } = &delivered.parcel.datagram;
            delivered.parcel.to == host && *known == source && is_it(bytes)
        })?;
        self.delivered.remove(index)
    }

    pub(super) fn on_outgoing(&mut self, what: Outgoing) {
        match what {
            Outgoing::Datagram { by, datagram } => match &mut self.diverted {
                Some((whose, diverted)) if *whose == by => diverted.push(datagram),
                Some(_) | None => self.on_sent(by, datagram),
            },
            Outgoing::Refusal { by, source, quoted, packet, .. } => {
                self.on_refusal(by, source, quoted.as_deref());
                if let (Some(packet), Some(to)) = (packet, self.host_at(source)) {
                    let now = self.now();
                    self.network.enter_packet(Path { from: by, to }, packet, now);
                }
            }
            Outgoing::Told { host, error } => {
                let at = self.now();
                self.see(Observed::Told { host, error }, at);
            }
        }
    }

    pub(super) fn on_sent(&mut self, by: HostIndex, datagram: Datagram) {
        let spelled = self
            .spelled
            .iter()
            .position(|spelled| spelled.source == datagram.source && spelled.bytes == datagram.bytes);
        let spelled = spelled.map(|index| self.spelled.swap_remove(index));
        let (label, copy_of) = spelled.map_or((None, None), |spelled| (Some(spelled.label), spelled.copy_of));
        let to = self.host_at(datagram.destination);
        let now = self.now();
        self.network.enter(Entry { from: by, to, way: Way::Socket, label, copy_of, datagram }, now);
    }

    /// A kernel has refused a datagram: the one that it quotes, else the one that was handed to it last.
    pub(super) fn on_refusal(&mut self, by: HostIndex, source: SocketAddr, quoted: Option<&[u8]>) {
        let refused = match quoted {
            Some(quoted) => self.take_delivered(by, source, |bytes| bytes.starts_with(quoted)),
            None => {
                let index = self.delivered.iter().rposition(|delivered| {
                    delivered.parcel.to == by && delivered.parcel.datagram.source == source
                });
                index.and_then(|index| self.delivered.remove(index))
            }
        };
        if let Some(Delivered { parcel, .. }) = refused {
            // What was sent is told before that it was refused.
            self.collect();
            let at = self.now();
            self.see(Observed::Refused { datagram: parcel.id, host: by, icmp: true }, at);
        }
    }

    /// Lets applications read, and forwarders pass on what they have read.
    pub(super) fn read(&mut self) -> Result<(), StageError> {
        let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
        for index in 0..self.readers.len() {
            loop {
                let reader = &self.readers[index];
                let (len, from) = match reader.socket.recv_from(&mut buffer) {
                    Ok(received) => received,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => return Err(failed("an application cannot read", error)),
                };
                let (host, by, between) = (reader.host, reader.name.clone(), reader.between);
                let at = self.now();
                let source = self.carrier.named(from, host);
                let bytes = buffer[..len].to_vec();
                let datagram = self.arrived(host, from, bytes, at);
                self.see(Observed::Read { datagram, host, by }, at);
                if let Some(to) = between.and_then(|between| self.other_end(between, source)) {
                    let to = self.carrier.address_for(to, host);
                    // A forwarder is a network's part: what it cannot send is lost.
                    let _ = self.readers[index].socket.send_to(&buffer[..len], to);
                }
            }
        }
        Ok(())
    }

    pub(super) fn other_end(&self, [one, other]: [HostIndex; 2], source: SocketAddr) -> Option<HostIndex> {
        match source {
            source if source == self.address(one) => Some(other),
            source if source == self.address(other) => Some(one),
            _ => None,
        }
    }

    /// Hands over what is due; says whether there was something.
    pub(super) fn hand_over(&mut self) -> Result<bool, StageError> {
        let mut is_any = false;
        while let Some(due) = self.network.poll_due(self.now()) {
            is_any = true;
            match due {
                Due::Packet { to, packet } => self.carrier.deliver_packet(to, &packet)?,
                Due::Arrival(parcel) => self.deliver(parcel)?,
            }
        }
        for too_big in self.network.take_too_big() {
            is_any |= self.carrier.tell_too_big(&too_big.datagram, too_big.mtu)?;
        }
        Ok(is_any)
    }

    pub(super) fn deliver(&mut self, parcel: Parcel) -> Result<(), StageError> {
        let at = self.now();
        if parcel.to == self.attacker() {
            self.collect();
            let (datagram, host) = (parcel.id, parcel.to);
            self.see(Observed::Read { datagram, host, by: ATTACKER_NAME.to_owned() }, at);
            return Ok(());
        }
        let (id, to, datagram) = (parcel.id, parcel.to, parcel.datagram.clone());
        self.delivered.push_back(Delivered { parcel, at });
        if self.carrier.deliver(to, &datagram)? == Handed::NoRoom {
            self.delivered.pop_back();
            self.network.lose(id, "no-room".to_owned(), at);
        }
        Ok(())
    }

    /// Returns whether something was handed to a running node that it has not read yet.
    pub(super) fn is_being_read(&self) -> bool {
        let horizon = Nanos(self.now().0.saturating_sub(nanos(READING_PATIENCE)));
        self.delivered
            .iter()
            .any(|delivered| delivered.at >= horizon && self.daemons.contains_key(&delivered.parcel.to))
    }

    pub(super) fn wait(&mut self, until: Nanos) -> Result<(), StageError> {
        let until = self.network.poll_timeout().map_or(until, |at| at.min(until));
        let wait = Duration::from_nanos(until.0.saturating_sub(self.now().0));
        let mut ready = Events::with_capacity(64);
        match self.poll.poll(&mut ready, Some(wait)) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(failed("the poller failed", error)),
        }
    }

    /// Waits until a node has sent all that it was asked to, and takes it in.
    pub(super) fn settle(&mut self, host: HostIndex) -> Result<(), StageError> {
        self.daemon(host)?.settle().map_err(command_failed)?;
        self.pump()
    }

    /// Turns the addresses that a daemon saw into those of the hosts.
    pub(super) fn in_scenario(&self, event: Event, host: HostIndex) -> Event {
        let named = |address| self.carrier.named(address, host);
        match event {
            Event::NeighbourUp { id, address, role, peer } => {
                Event::NeighbourUp { id, address: named(address), role, peer }
            }
            Event::NeighbourMoved { id, from, to } => {
                Event::NeighbourMoved { id, from: named(from), to: named(to) }
            }
            Event::DialFailed { id, address, reason } => {
                Event::DialFailed { id, address: named(address), reason }
            }
            Event::StrangerFailed { address, reason } => {
                Event::StrangerFailed { address: named(address), reason }
            }
            other => other,
        }
    }

    pub(super) fn see(&mut self, what: Observed, at: Nanos) {
        self.seen.push(Observation { at, what });
    }

    pub(super) fn time_of(&self, at: Instant) -> Nanos {
        Nanos(nanos(at.saturating_duration_since(self.began)))
    }
}

/// Fails a run of which something was not seen: a judge who misses an arrival would call it lost.
fn all_were_taken(observers: &[Observer]) -> Result<(), StageError> {
    let dropped: u64 = observers.iter().map(Observer::dropped).sum();
    if dropped > 0 {
        return Err(StageError::Failed(format!(
            "{dropped} observations of the nodes were lost, for they came faster than they could be taken in: \
             let the scenario send less at once"
        )));
    }
    Ok(())
}
