//! The hosts of a scenario that run the record-layer model of Connection IDs in place of a node: their
//! endpoints, the sessions between them, and what is on its way to them. Sends nothing by itself.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use peerbound_cid::{
    ConnectionId, Dropped, Endpoint, EndpointConfig, Ends, Event, SendError, SessionConfig, SessionNumber,
    Transmit,
};
use peerbound_dtls::{
    Context, Direction, Discard, Doorman, Plaintexts, Role, Screening, Session, SessionOptions,
    SessionSecrets,
};
use peerbound_node::{Lock, Verdict, node_id};
use peerbound_sim::hooks::with_stream;
use peerbound_wire::NodeId;

use crate::cast::CastError;
use crate::judge::Observed;
use crate::run::RunError;
use crate::run::company::{KeyKind, Papers, Signer, context_for};
use crate::run::stage::StageError;
use crate::scenario::{DtlsPlan, HostRole, Layout, NatPlan, RecordModelPlan};
use crate::trace::{DatagramId, HostIndex};

/// Bytes of every id. Real ones are drawn by chance; these can be recognised in a trace.
pub(crate) const ID_BYTES: usize = 4;

/// The first number to write with behind the handshake, whose Finished was number 0.
const FIRST_SEQUENCE: u64 = 1;

/// Keeps the handshakes' chance apart from that of everything else with the same seed.
const STREAM: u64 = 0x0063_6964;

/// All of them.
#[derive(Default)]
pub(crate) struct RecordModels {
    hosts: BTreeMap<HostIndex, Model>,
    on_its_way: BTreeMap<DatagramId, Parcel>,
    told: Vec<Observed>,
}

struct Model {
    name: String,
    id: NodeId,
    address: SocketAddr,
    /// Where its peers met it in the handshake.
    outside: SocketAddr,
    endpoint: Endpoint,
    sessions: BTreeMap<HostIndex, SessionNumber>,
}

/// A datagram, with the source address that its receiver will see.
struct Parcel {
    source: SocketAddr,
    bytes: Arc<[u8]>,
}

/// What became of a datagram at an endpoint.
pub(crate) struct Arrival {
    pub(crate) verdict: Verdict,
    pub(crate) reason: Option<String>,
}

impl RecordModels {
    /// Makes the endpoints of a scenario and lets OpenSSL shake hands for every session between them.
    pub(crate) fn cast(
        layout: &Layout<'_>,
        nats: &[NatPlan],
        seed: u64,
        now: Instant,
    ) -> Result<Self, RunError> {
        let mut models = Self::default();
        let plans: BTreeMap<HostIndex, (&str, SocketAddr, &RecordModelPlan)> = (0..)
            .map(HostIndex)
            .zip(layout.hosts.iter())
            .filter_map(|(host, plan)| match &plan.role {
                HostRole::RecordModel(model) => Some((host, (&*plan.name, plan.address, model))),
                HostRole::Node(_) | HostRole::Forwarder { .. } | HostRole::Bystander => None,
            })
            .collect();
        let mut contexts = BTreeMap::new();
        for (host, (name, address, _)) in &plans {
            let papers = Papers {
                name: (*name).to_owned(),
                signer: Signer::Trusted,
                key: KeyKind::of(&DtlsPlan::NODE),
            };
            let context = context_for(&papers, &DtlsPlan::NODE)?;
            let mut of_endpoint = [0; 32];
            of_endpoint[..8].copy_from_slice(&seed.to_be_bytes());
            of_endpoint[8..12].copy_from_slice(&host.0.to_be_bytes());
            let endpoint = Endpoint::new(&EndpointConfig { id_bytes: ID_BYTES, seed: of_endpoint });
            let id = node_id(&context.key_hash());
            let model = Model {
                name: (*name).to_owned(),
                id,
                address: *address,
                outside: outside(*host, *address, nats),
                endpoint,
                sessions: BTreeMap::new(),
            };
            models.hosts.insert(*host, model);
            contexts.insert(*host, context);
        }
        let pairs = plans.iter().flat_map(|(host, (_, _, plan))| plan.dials.iter().map(|to| [*host, *to]));
        for (index, [client, server]) in (0_u64..).zip(pairs) {
            let (Some(of_client), Some(of_server)) = (contexts.get(&client), contexts.get(&server)) else {
                return Err(
                    StageError::Failed("a record model has sessions with its like alone".to_owned()).into()
                );
            };
            let chance = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ STREAM ^ index;
            let secrets = with_stream(chance, || shake_hands(of_client, of_server, now))
                .map_err(CastError::Hook)?
                .map_err(StageError::Failed)?;
            let ends = [client, server];
            models.establish(ends, ends.map(|host| plans[&host].2), &secrets)?;
        }
        Ok(models)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.hosts.is_empty()
    }

    pub(crate) fn runs_on(&self, host: HostIndex) -> bool {
        self.hosts.contains_key(&host)
    }

    /// Returns the name that the host's certificate gives it.
    pub(crate) fn id(&self, host: HostIndex) -> Option<NodeId> {
        self.hosts.get(&host).map(|model| model.id)
    }

    /// Takes what there is to tell.
    pub(crate) fn take_told(&mut self) -> Vec<Observed> {
        std::mem::take(&mut self.told)
    }

    pub(crate) fn on_sent(&mut self, datagram: DatagramId, source: SocketAddr, bytes: Arc<[u8]>) {
        self.on_its_way.insert(datagram, Parcel { source, bytes });
    }

    /// A NAT has put another source address on a datagram.
    pub(crate) fn on_translated(&mut self, datagram: DatagramId, source: SocketAddr) {
        if let Some(parcel) = self.on_its_way.get_mut(&datagram) {
            parcel.source = source;
        }
    }

    /// A datagram will reach nobody, or somebody else.
    pub(crate) fn forget(&mut self, datagram: DatagramId) {
        self.on_its_way.remove(&datagram);
    }

    /// Lets a host's endpoint have the datagram that its socket read.
    pub(crate) fn handle_datagram(
        &mut self,
        host: HostIndex,
        datagram: DatagramId,
        now: Instant,
    ) -> Option<Arrival> {
        let parcel = self.on_its_way.remove(&datagram)?;
        let model = self.hosts.get_mut(&host)?;
        let ends = Ends { local: model.address, remote: parcel.source };
        let arrival = match model.endpoint.handle_datagram(&parcel.bytes, ends, now) {
            Ok(()) => Arrival { verdict: Verdict::Accepted, reason: None },
            Err(dropped) => {
                let reason = Some(dropped.name().to_owned());
                Arrival { verdict: Verdict::Dropped(lock_of(dropped)), reason }
            }
        };
        self.tell(host);
        Some(arrival)
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.hosts.values().filter_map(|model| model.endpoint.poll_timeout()).min()
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        let hosts: Vec<_> = self.hosts.keys().copied().collect();
        for host in hosts {
            if let Some(model) = self.hosts.get_mut(&host) {
                model.endpoint.handle_timeout(now);
            }
            self.tell(host);
        }
    }

    /// Returns the next datagram that a host wants to send.
    pub(crate) fn poll_transmit(&mut self) -> Option<(HostIndex, Transmit)> {
        self.hosts.iter_mut().find_map(|(host, model)| Some((*host, model.endpoint.poll_transmit()?)))
    }

    /// Sends a payload to the peer of this id, or keeps it while his path is checked.
    pub(crate) fn send(&mut self, from: HostIndex, to: NodeId, payload: &[u8]) -> Result<(), StageError> {
        let (model, session) = self.session(from, to)?;
        model.endpoint.send(session, payload).map_err(failed)
    }

    /// Seals a payload for the peer of this id.
    pub(crate) fn seal(&mut self, by: HostIndex, to: NodeId, payload: &[u8]) -> Result<Vec<u8>, StageError> {
        let (model, session) = self.session(by, to)?;
        model.endpoint.seal(session, payload).map_err(failed)
    }

    /// Seals a payload for the peer of this id, under the id that `owner` gave to `user`.
    pub(crate) fn seal_under(
        &mut self,
        by: HostIndex,
        to: NodeId,
        (user, owner): (HostIndex, HostIndex),
        payload: &[u8],
    ) -> Result<Vec<u8>, StageError> {
        let (model, session) = self.session(by, to)?;
        model.endpoint.seal_under(session, &id_for(owner, user), payload).map_err(failed)
    }

    fn session(&mut self, host: HostIndex, peer: NodeId) -> Result<(&mut Model, SessionNumber), StageError> {
        let peer = self.hosts.iter().find(|(_, model)| model.id == peer).map(|(host, _)| *host);
        let no_session = || StageError::Failed("there is no session to send it in".to_owned());
        let model = self.hosts.get_mut(&host).ok_or_else(no_session)?;
        let session = peer.and_then(|peer| model.sessions.get(&peer).copied()).ok_or_else(no_session)?;
        Ok((model, session))
    }

    fn establish(
        &mut self,
        [client, server]: [HostIndex; 2],
        [of_client, of_server]: [&RecordModelPlan; 2],
        secrets: &SessionSecrets,
    ) -> Result<(), RunError> {
        let keys = secrets.record_keys()?;
        let sides = [
            (client, server, of_client, of_server, Direction::ClientToServer, Role::Client),
            (server, client, of_server, of_client, Direction::ServerToClient, Role::Server),
        ];
        for (host, peer, own, other, writes, role) in sides {
            let (Some(remote), Some(peer_name)) = (self.outside(peer), self.id(peer)) else { continue };
            let Some(model) = self.hosts.get_mut(&host) else { continue };
            let config = SessionConfig {
                keys: keys.clone(),
                writes,
                first_sequence: FIRST_SEQUENCE,
                own_id: own.asks_for_id.then(|| id_for(host, peer)),
                peer_id: other.asks_for_id.then(|| id_for(peer, host)),
                ends: Ends { local: model.address, remote },
                move_rule: own.move_rule,
                patience: own.patience,
            };
            let session =
                model.endpoint.add(config).map_err(|error| StageError::Failed(error.to_string()))?;
            model.sessions.insert(peer, session);
            self.told.push(Observed::Keys { host, peer: peer_name, role, secrets: secrets.clone() });
        }
        Ok(())
    }

    fn outside(&self, host: HostIndex) -> Option<SocketAddr> {
        self.hosts.get(&host).map(|model| model.outside)
    }

    /// Puts what an endpoint tells into words.
    fn tell(&mut self, host: HostIndex) {
        let mut told = Vec::new();
        while let Some(event) = self.hosts.get_mut(&host).and_then(|model| model.endpoint.poll_event()) {
            let name = |session| self.name_of_peer(host, session);
            let (kind, text) = match event {
                Event::Received { .. } => continue,
                Event::Challenged { session, address } => (
                    "challenged",
                    format!("{} seems to be at {address}: asks there whether it is", name(session)),
                ),
                Event::Moved { session, to, .. } => {
                    ("peer-moved", format!("{} is at {to} from here on", name(session)))
                }
                Event::Stayed { session, candidate } => {
                    ("peer-stayed", format!("{} is where it was, and not at {candidate}", name(session)))
                }
                Event::CheckFailed { session, candidate } => (
                    "check-failed",
                    format!("nobody answers at {candidate}: {} is where it was", name(session)),
                ),
            };
            told.push(Observed::Remark { host, kind, text });
        }
        self.told.extend(told);
    }

    fn name_of_peer(&self, host: HostIndex, session: SessionNumber) -> &str {
        let sessions = self.hosts.get(&host).into_iter().flat_map(|model| &model.sessions);
        let peer = sessions.filter(|(_, number)| **number == session).map(|(peer, _)| peer).next();
        peer.and_then(|peer| self.hosts.get(peer)).map_or("the peer", |model| &model.name)
    }
}

/// Where a host's first datagrams come from: its own address, or that of its NAT with the same port
/// (RFC 4787, 4.2.1: port preservation).
fn outside(host: HostIndex, address: SocketAddr, nats: &[NatPlan]) -> SocketAddr {
    let nat = nats.iter().find(|nat| nat.in_front_of.contains(&host));
    nat.map_or(address, |nat| SocketAddr::new(nat.address, address.port()))
}

fn lock_of(dropped: Dropped) -> Lock {
    match dropped {
        Dropped::NoSession => Lock::Demux,
        Dropped::WithoutId | Dropped::Discarded(Discard::Malformed(_) | Discard::WrongEpoch) => Lock::Gate,
        Dropped::Discarded(Discard::Replay | Discard::TooOld) => Lock::Replay,
        Dropped::Discarded(Discard::BadMac) => Lock::RecordAuth,
    }
}

/// The id that `owner` asks `user` to address it by: "c1d0", then both.
fn id_for(owner: HostIndex, user: HostIndex) -> ConnectionId {
    let [.., owner] = owner.0.to_be_bytes();
    let [.., user] = user.0.to_be_bytes();
    ConnectionId::new(&[0xc1, 0xd0, owner, user]).expect("four bytes")
}

fn failed(error: SendError) -> StageError {
    StageError::Failed(error.to_string())
}

/// Carries a handshake between two contexts, in memory, and returns its secrets.
fn shake_hands(client: &Context, server: &Context, now: Instant) -> Result<SessionSecrets, String> {
    let options = SessionOptions::default();
    let from = SocketAddr::from(([192, 0, 2, 1], 4433));
    let doorman = Doorman::new([0; 32], now);
    let words = |error: peerbound_dtls::ErrorStack| error.to_string();
    let mut nothing = Plaintexts::new();
    let mut client = Session::connect(client, &options, now).map_err(words)?;
    let hello = loop {
        let hello = client.poll_transmit().ok_or("a client begins with a hello")?.to_vec();
        match doorman.screen(&hello, from, now).map_err(words)? {
            Screening::Challenge(challenge) => {
                client.handle_datagram(&challenge, &mut nothing, now);
            }
            Screening::Verified(hello) => break hello,
            Screening::Refused => return Err("the hello was refused".to_owned()),
        }
    };
    let mut server = Session::accept(server, &options, &hello, now).map_err(words)?;
    loop {
        let mut is_silent = true;
        while let Some(datagram) = server.poll_transmit() {
            is_silent = false;
            client.handle_datagram(datagram, &mut nothing, now);
        }
        while let Some(datagram) = client.poll_transmit() {
            is_silent = false;
            server.handle_datagram(datagram, &mut nothing, now);
        }
        if is_silent {
            return client
                .secrets()
                .cloned()
                .ok_or_else(|| "the handshake did not come to its end".to_owned());
        }
    }
}
