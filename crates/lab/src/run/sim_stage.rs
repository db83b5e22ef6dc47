//! The stage of the simulator: a world of virtual time, with the hosts of one scenario in it.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use peerbound_cid::RoutabilityMessage;
use peerbound_node::{Counters, Node, NodeConfig, SendError, Sending};
use peerbound_sim::{
    Directions, FaultId, HostId, Injection, NatId, Observed as Seen, START_UNIX_SECONDS, SocketId, Stand,
    Tap, TapAction, TapId, VirtualTime, World, WorldConfig,
};
use peerbound_wire::{NodeId, PacketId};

use crate::judge::{Observation, Observed};
use crate::run::casting::{Part, cast};
use crate::run::record_models::{Arrival, RecordModels};
use crate::run::shelf::FLOW;
use crate::run::sim_words::{datagram_match, fault_action, in_sim, nat_config, observation, path_match};
use crate::run::stage::{ATTACKER_NAME, Capture, FORWARDER, Shot, Stage, StageError, Taken};
use crate::run::{Backend, Observe, RunError, RunOptions};
use crate::scenario::{Boot, Conditions, HostRole, Label, Layout, Path, Scenario, SocketPlan, Source};
use crate::trace::{DatagramId, HostIndex, HostLabel, Nanos};

/// Where the attacker is, when he is somewhere himself: of the documentation's addresses (RFC 5737).
pub(crate) const ATTACKER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 66)), 6666);

/// A world, and what of the scenario stands for what in it. Hosts have the same numbers in both; the
/// attacker's host is behind them.
pub(crate) struct SimStage {
    world: World,
    hosts: Vec<HostLabel>,
    parts: Vec<Option<Part>>,
    sockets: Vec<SocketId>,
    /// Applications with plain sockets, by what the scenario calls them.
    readers: BTreeMap<SocketId, String>,
    /// Between which two a forwarder stands, and what is on its way to it.
    forwarders: BTreeMap<HostIndex, [SocketAddr; 2]>,
    to_forward: BTreeMap<peerbound_sim::DatagramId, (SocketAddr, Arc<[u8]>)>,
    models: RecordModels,
    links: Vec<[HostIndex; 2]>,
    nats: Vec<NatId>,
    taps: BTreeMap<Label, Waiting>,
    seen: Vec<Observation>,
}

/// A tap of the attacker's, and whether he has his datagram.
struct Waiting {
    tap: TapId,
    is_filled: bool,
}

impl SimStage {
    /// Builds the world of a scenario and lets its nodes boot.
    pub(crate) fn build(scenario: &Scenario, options: &RunOptions) -> Result<Self, RunError> {
        let layout = scenario.layout(options.seed);
        let mut world = World::new(WorldConfig {
            network: in_sim(&scenario.network),
            observe: match options.observe_in(scenario) {
                Observe::Everything => peerbound_sim::Observe::Everything,
                Observe::Events => peerbound_sim::Observe::Events,
            },
            ..WorldConfig::new(options.seed)
        })
        .map_err(crate::cast::CastError::Hook)?;
        let parts = cast(&layout, options.observe_in(scenario))?;
        let models = RecordModels::cast(&layout, &scenario.nats, options.seed, world.instant())?;
        let mut hosts: Vec<_> = (0..)
            .map(HostIndex)
            .zip(layout.hosts.iter().zip(&parts))
            .map(|(host, (plan, part))| HostLabel {
                name: plan.name.clone(),
                address: plan.address,
                id: part.as_ref().map(|part| part.id).or_else(|| models.id(host)),
            })
            .collect();
        for host in &hosts {
            world.add_host(&host.name, host.address.ip());
        }
        hosts.push(HostLabel { name: ATTACKER_NAME.to_owned(), address: ATTACKER, id: None });
        world.add_host(ATTACKER_NAME, ATTACKER.ip());
        let mut stage = Self {
            world,
            hosts,
            parts,
            sockets: Vec::new(),
            readers: BTreeMap::new(),
            forwarders: BTreeMap::new(),
            to_forward: BTreeMap::new(),
            models,
            links: layout.links.iter().map(|link| link.between).collect(),
            nats: Vec::new(),
            taps: BTreeMap::new(),
            seen: Vec::new(),
        };
        stage.bind_sockets(scenario, &layout)?;
        stage.lay_paths(scenario, &layout);
        stage.boot_all(&layout)?;
        Ok(stage)
    }

    fn bind_sockets(&mut self, scenario: &Scenario, layout: &Layout<'_>) -> Result<(), StageError> {
        for (index, label) in (0..).zip(self.hosts.clone()) {
            let is_shared = scenario.listeners.iter().any(|listener| listener.on == HostIndex(index));
            let socket = if is_shared {
                self.world.bind_shared(HostId(index), label.address.port())
            } else {
                self.world.bind(HostId(index), label.address.port())
            };
            let socket = socket.map_err(|error| StageError::Failed(error.to_string()))?;
            self.sockets.push(socket);
            let role = layout.hosts.get(index as usize).map(|plan| &plan.role);
            match role {
                Some(HostRole::Node(_)) | Some(HostRole::Bystander) => {}
                Some(HostRole::RecordModel(_)) => self.world.listen(socket),
                Some(HostRole::Forwarder { between }) => {
                    let ends = between
                        .map(|end| self.hosts.get(end.0 as usize).map_or(ATTACKER, |host| host.address));
                    self.forwarders.insert(HostIndex(index), ends);
                    self.world.listen(socket);
                    self.readers.insert(socket, FORWARDER.to_owned());
                }
                None => {
                    self.world.listen(socket);
                    self.readers.insert(socket, ATTACKER_NAME.to_owned());
                }
            }
        }
        for listener in &scenario.listeners {
            let port = self.address(listener.on).port();
            let socket = self.world.bind_shared(HostId(listener.on.0), port);
            let socket = socket.map_err(|error| StageError::Failed(error.to_string()))?;
            self.world.listen(socket);
            self.readers.insert(socket, listener.name.clone());
        }
        Ok(())
    }

    fn lay_paths(&mut self, scenario: &Scenario, layout: &Layout<'_>) {
        for link in layout.links.iter() {
            let [one, other] = link.between.map(|end| HostId(end.0));
            self.world.set_link(one, other, Directions::Forth, in_sim(&link.forth));
            self.world.set_link(one, other, Directions::Back, in_sim(&link.back));
        }
        self.nats = scenario.nats.iter().map(|nat| self.world.add_nat(nat_config(nat))).collect();
        for fault in &scenario.faults {
            let on = path_match(fault.on);
            let matching = datagram_match(&fault.which);
            let action = fault_action(fault.action);
            let _: FaultId = self.world.add_fault(peerbound_sim::Fault { on, matching, action });
        }
    }

    fn boot_all(&mut self, layout: &Layout<'_>) -> Result<(), StageError> {
        for (index, plan) in (0..).map(HostIndex).zip(layout.hosts.iter()) {
            if let HostRole::Node(node) = &plan.role
                && node.boot == Boot::AtOnce
            {
                self.boot(index)?;
            }
        }
        Ok(())
    }

    fn address(&self, host: HostIndex) -> SocketAddr {
        self.hosts.get(host.0 as usize).map_or(ATTACKER, |host| host.address)
    }

    fn socket(&self, host: HostIndex) -> Result<SocketId, StageError> {
        self.sockets
            .get(host.0 as usize)
            .copied()
            .ok_or_else(|| StageError::Failed("there is no such host".to_owned()))
    }

    /// Translates what the world has told, and lets forwarders do their work on the way.
    fn collect(&mut self) {
        for told in self.world.take_observations() {
            if !self.models.is_empty() && self.watch_models(&told) {
                continue;
            }
            match &told.what {
                Seen::Sent { datagram, source, destination, bytes, .. }
                    if self.is_forwarder(*destination) =>
                {
                    self.to_forward.insert(*datagram, (*source, bytes.clone()));
                }
                Seen::Read { datagram, host, .. } => {
                    if let Some((source, bytes)) = self.to_forward.remove(datagram) {
                        self.forward(HostIndex(host.0), source, &bytes);
                    }
                }
                _ => {}
            }
            self.seen.push(observation(told, &self.readers));
        }
        self.look_into_taps();
        self.let_models_speak(None);
    }

    /// Keeps what is on its way to record models, and lets them have what they read; returns whether
    /// that is all there is to tell of it.
    fn watch_models(&mut self, told: &peerbound_sim::Observation) -> bool {
        let id_of = |datagram: peerbound_sim::DatagramId| DatagramId(datagram.0);
        match &told.what {
            Seen::Sent { datagram, source, bytes, .. } => {
                self.models.on_sent(id_of(*datagram), *source, bytes.clone());
            }
            Seen::Translated { datagram, source, .. } => self.models.on_translated(id_of(*datagram), *source),
            Seen::Lost { datagram, .. } | Seen::Refused { datagram, .. } => {
                self.models.forget(id_of(*datagram));
            }
            Seen::Read { datagram, host, .. } => {
                let (at, host, datagram) = (Nanos(told.at.0), HostIndex(host.0), id_of(*datagram));
                let arrival = self.models.handle_datagram(host, datagram, self.world.instant());
                if let Some(Arrival { verdict, reason }) = arrival {
                    self.seen.push(Observation {
                        at,
                        what: Observed::Arrived { datagram, host, verdict, reason },
                    });
                    return true;
                }
            }
            _ => {}
        }
        false
    }

    /// Sends what record models want to send, under a label if there is one, and passes on what they tell.
    fn let_models_speak(&mut self, label: Option<&Label>) {
        let at = Nanos(self.world.now().0);
        self.seen.extend(self.models.take_told().into_iter().map(|what| Observation { at, what }));
        while let Some((host, transmit)) = self.models.poll_transmit() {
            if let Some(socket) = self.sockets.get(host.0 as usize) {
                let says = transmit.says.map(RoutabilityMessage::name);
                let label = says.or(label.map(|label| label.0.as_str()));
                self.world.send_raw(*socket, transmit.ends.remote, &transmit.bytes, label);
            }
        }
    }

    /// Returns when the next thing is due, in the world or at a record model.
    fn next_at(&self) -> Option<VirtualTime> {
        let now = self.world.instant();
        let of_models = self.models.poll_timeout().map(|due| {
            VirtualTime::after(self.world.now().since_start() + due.saturating_duration_since(now))
        });
        [self.world.next_at(), of_models].into_iter().flatten().min()
    }

    fn is_forwarder(&self, address: SocketAddr) -> bool {
        self.forwarders.keys().any(|forwarder| self.address(*forwarder) == address)
    }

    /// Passes a datagram on as it is: what comes from one of the two goes to the other.
    fn forward(&mut self, forwarder: HostIndex, source: SocketAddr, bytes: &[u8]) {
        let Some([one, other]) = self.forwarders.get(&forwarder).copied() else {
            return;
        };
        let to = match source {
            source if source == one => other,
            source if source == other => one,
            _ => return,
        };
        if let Ok(socket) = self.socket(forwarder) {
            self.world.send_raw(socket, to, bytes, None);
        }
    }

    fn look_into_taps(&mut self) {
        for (label, waiting) in self.taps.iter_mut().filter(|(_, waiting)| !waiting.is_filled) {
            if let Some(first) = self.world.captured(waiting.tap).first() {
                waiting.is_filled = true;
                let (at, datagram, label) = (first.at, first.datagram, label.0.clone());
                self.seen.push(crate::run::sim_words::captured(at, datagram, label));
            }
        }
    }

    fn with_node<T>(
        &mut self,
        host: HostIndex,
        command: impl FnOnce(&mut Node, std::time::Instant) -> T,
    ) -> Result<T, StageError> {
        let done = self.world.with_node(HostId(host.0), command);
        done.ok_or_else(|| StageError::Failed("no node runs there".to_owned()))
    }
}

impl Stage for SimStage {
    fn backend(&self) -> Backend {
        Backend::Sim
    }

    fn hosts(&self) -> Vec<HostLabel> {
        self.hosts.clone()
    }

    fn began_unix_nanos(&self) -> u64 {
        START_UNIX_SECONDS.unsigned_abs() * 1_000_000_000
    }

    fn now(&self) -> Nanos {
        Nanos(self.world.now().0)
    }

    fn advance(&mut self, until: Nanos) -> Result<(), StageError> {
        let until = VirtualTime(until.0);
        self.collect();
        while self.seen.is_empty() {
            let Some(at) = self.next_at().filter(|at| *at <= until) else {
                self.world.run_until(until);
                break;
            };
            if self.world.next_at() == Some(at) {
                self.world.step();
            } else {
                self.world.run_until(at);
                self.models.handle_timeout(self.world.instant());
            }
            self.collect();
        }
        Ok(())
    }

    fn take_observations(&mut self) -> Vec<Observation> {
        self.collect();
        std::mem::take(&mut self.seen)
    }

    fn counters(&self, host: HostIndex) -> Option<Counters> {
        self.world.node(HostId(host.0)).map(Node::counters)
    }

    fn has_all_routes(&self) -> bool {
        let nodes = || (0..).map(HostId).zip(&self.parts).filter(|(_, part)| part.is_some());
        // Where routes are set, whether they lead somewhere is not the node's to say.
        let finds_all = |node: &Node, others| node.routing_counters().is_some() && node.reachable() >= others;
        let count = nodes().count();
        let mut running = nodes().map(|(host, _)| self.world.node(host));
        count > 0 && running.all(|node| node.is_some_and(|node| finds_all(node, count - 1)))
    }

    fn send(
        &mut self,
        from: HostIndex,
        sending: Sending<'_>,
        label: Option<&Label>,
    ) -> Result<Taken, StageError> {
        if self.models.runs_on(from) {
            self.models.send(from, sending.destination, sending.payload)?;
            self.let_models_speak(label);
            return Ok(Taken::AsDatagram);
        }
        Ok(taken(self.world.send(HostId(from.0), sending)))
    }

    fn ping(&mut self, from: HostIndex, to: NodeId, token: u64) -> Result<Taken, StageError> {
        Ok(taken(self.world.ping(HostId(from.0), to, FLOW, token)))
    }

    fn seal(
        &mut self,
        by: HostIndex,
        sending: Sending<'_>,
    ) -> Result<(Option<PacketId>, Vec<u8>), StageError> {
        if self.models.runs_on(by) {
            let bytes = self.models.seal(by, sending.destination, sending.payload)?;
            return Ok((None, bytes));
        }
        let sealed = self.with_node(by, |node, now| {
            let packet = node.send(sending, now)?;
            let mut datagrams = Vec::new();
            while let Some(batch) = node.poll_transmit() {
                datagrams.extend(batch.datagrams().map(<[u8]>::to_vec));
            }
            Ok::<_, SendError>((Some(packet), datagrams.pop().unwrap_or_default()))
        })?;
        sealed.map_err(|error| StageError::Failed(format!("the node does not seal it: {error}")))
    }

    fn seal_under(
        &mut self,
        by: HostIndex,
        to: NodeId,
        id: Path,
        payload: &[u8],
    ) -> Result<Vec<u8>, StageError> {
        self.models.seal_under(by, to, (id.from, id.to), payload)
    }

    fn inject(&mut self, shot: &Shot<'_>) -> Result<(), StageError> {
        let destination = self.address(shot.to);
        let label = Some(shot.label.0.as_str());
        let source = match shot.source {
            Source::ConnectedSocketOf(host) => {
                let socket = self.world.bind(HostId(host.0), 0);
                let socket = socket.map_err(|error| StageError::Failed(error.to_string()))?;
                self.world.connect(socket, destination);
                self.world.send_raw(socket, destination, shot.bytes, label);
                return Ok(());
            }
            Source::Host(host) if host == shot.by && shot.copy_of.is_none() => {
                let socket = self.socket(host)?;
                self.world.send_raw(socket, destination, shot.bytes, label);
                return Ok(());
            }
            Source::Host(host) => self.address(host),
            Source::Attacker => ATTACKER,
            Source::Address(address) => address,
        };
        self.world.inject(Injection {
            from: Stand::At(HostId(shot.by.0)),
            source,
            destination,
            bytes: shot.bytes.to_vec(),
            label: label.map(Into::into),
            copy_of: shot.copy_of.map(|original| peerbound_sim::DatagramId(original.0)),
        });
        Ok(())
    }

    fn capture(&mut self, capture: &Capture) -> Result<(), StageError> {
        let mut which = capture.which;
        which.nth.get_or_insert(1);
        let action = if capture.is_held { TapAction::Hold } else { TapAction::Capture };
        let tap = Tap { on: path_match(capture.on), matching: datagram_match(&which), action };
        let tap = self.world.add_tap(tap);
        self.taps.insert(capture.label.clone(), Waiting { tap, is_filled: false });
        Ok(())
    }

    fn release(&mut self, label: &Label) -> Result<(), StageError> {
        let tap = self.taps.get(label).map(|waiting| waiting.tap);
        match tap.map(|tap| self.world.release(tap)) {
            Some(1..) => Ok(()),
            Some(0) | None => {
                Err(StageError::Failed(format!("the attacker holds no datagram \"{}\"", label.0)))
            }
        }
    }

    fn boot(&mut self, host: HostIndex) -> Result<(), StageError> {
        if self.world.restart(HostId(host.0)) {
            return Ok(());
        }
        let socket = self.socket(host)?;
        let part = self.parts.get(host.0 as usize).cloned().flatten();
        let Part { config, socket: plan, .. } =
            part.ok_or_else(|| StageError::Failed("that host has no node to boot".to_owned()))?;
        if let SocketPlan::ConnectedTo(peer) = plan {
            self.world.connect(socket, self.address(peer));
        }
        let config: NodeConfig = *config;
        self.world.run_node(HostId(host.0), socket, config);
        Ok(())
    }

    fn crash(&mut self, host: HostIndex) -> Result<(), StageError> {
        self.world.crash(HostId(host.0));
        Ok(())
    }

    fn shut_down(&mut self, host: HostIndex) -> Result<(), StageError> {
        self.world.shut_down(HostId(host.0));
        Ok(())
    }

    fn rebind(&mut self, nat: usize) -> Result<(), StageError> {
        let nat = self.nats.get(nat).copied();
        self.world.rebind(nat.ok_or_else(|| StageError::Failed("there is no such NAT".to_owned()))?);
        Ok(())
    }

    fn set_link(
        &mut self,
        link: usize,
        forth: Option<&Conditions>,
        back: Option<&Conditions>,
    ) -> Result<(), StageError> {
        let ends = self.links.get(link).copied();
        let [one, other] = ends.ok_or_else(|| StageError::Failed("there is no such link".to_owned()))?;
        let (one, other) = (HostId(one.0), HostId(other.0));
        if let Some(forth) = forth {
            self.world.set_link(one, other, Directions::Forth, in_sim(forth));
        }
        if let Some(back) = back {
            self.world.set_link(one, other, Directions::Back, in_sim(back));
        }
        Ok(())
    }

    fn renegotiate(&mut self, by: HostIndex, with: NodeId) -> Result<(), StageError> {
        // That OpenSSL refuses to ask is what an experiment wants to see.
        let _refused = self.with_node(by, |node, now| node.renegotiate(with, now))?;
        Ok(())
    }

    fn rekey(&mut self, by: HostIndex, with: NodeId) -> Result<(), StageError> {
        if self.with_node(by, |node, now| node.rekey(with, now))? {
            Ok(())
        } else {
            Err(StageError::Failed("there is no session to replace".to_owned()))
        }
    }
}

fn taken(result: Result<PacketId, SendError>) -> Taken {
    match result {
        Ok(packet) => Taken::As(packet),
        Err(error) => Taken::Refused(error.to_string()),
    }
}
