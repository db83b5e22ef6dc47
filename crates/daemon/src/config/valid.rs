//! The second stage: every name means someone, every file is there, every certificate is good.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;

use peerbound_dtls::{Identity, KeyHash, RecordLayer, X509, read_certificates};
use peerbound_node::{
    Healing, NeighbourConfig, NodeConfig, PathMtu, Rate, ReturnPath, RouterConfig, Routing, STRAYS_MAX,
    StaticRoute, node_id,
};
use peerbound_wire::NodeId;

use crate::config::address::{Endpoint, Endpoints};
use crate::config::admission::Trusting;
use crate::config::control::ControlConfig;
use crate::config::e2e;
use crate::config::error::ConfigError;
use crate::config::file::{
    ConfigFile, FavourFile, NeighbourFile, RecordLayerFile, ReturnPathFile, RoutingFile, SharingFile,
};
use crate::config::resolver::ResolverConfig;
use crate::config::services::ServicesConfig;
use crate::config::tun::TunConfig;
use crate::config::{rate, reading};
use crate::crew::{Sharing, WORKERS_MAX};
use crate::data_thread::Favour;

/// The least MTU: OpenSSL's own least for DTLS, with room for a frame header and some payload.
const MTU_MIN: i64 = 256;

/// What is sent where the file does not say: with the headers of IPv6 and UDP 1488 bytes, which fit Ethernet
/// and PPPoE, and in an inner session of such frames a packet of 1280 bytes fits, as IPv6 demands.
const MTU_DEFAULT: u16 = 1440;

/// The greatest: the payload of the largest UDP datagram over IPv4.
const MTU_MAX: i64 = 65_507;

/// The least where ways are learned: the proof of a node with a P-256 key takes some 700 bytes, with an RSA
/// key of 2048 bits some 1200.
const DYNAMIC_MTU_MIN: i64 = 1280;

/// The greatest cost of a link: a way of 32 of them, as many as a frame crosses, is still one.
const COST_MAX: i64 = 2000;
const _: () = assert!(32 * COST_MAX < 65_535);

/// Neighbours of one node: 1024 x 200 kB = 200 MB at worst.
const NEIGHBOURS_MAX: usize = 1024;

/// Characters of a name: as many as a common name in a certificate may have (RFC 5280, appendix A.1).
const NAME_CHARACTERS_MAX: usize = 64;

/// What a daemon is started with.
#[derive(Debug, Clone)]
pub struct DaemonConfig {
    /// What the node is told.
    pub node: NodeConfig,
    /// Where it listens.
    pub listen: SocketAddr,
    /// What is carried between services of this host and of others.
    pub services: ServicesConfig,
    /// What people call the nodes it knows of.
    pub names: BTreeMap<NodeId, String>,
    /// The interface through which programs of this host use the overlay.
    pub tun: Option<TunConfig>,
    /// Names of nodes for programs of this host.
    pub resolver: Option<ResolverConfig>,
    /// Where it answers questions about itself.
    pub control: ControlConfig,
    /// Where each neighbour is dialled: addresses, which the node has already, and names to look up.
    pub endpoints: Endpoints,
    /// Where it shows what it counts, over HTTP.
    pub metrics: Option<SocketAddr>,
    /// How many threads may carry its data, of which one makes all decisions; up to [`crate::WORKERS_MAX`].
    pub workers: usize,
    /// When they do.
    pub sharing: Sharing,
    /// What matters more where both cannot be had.
    pub favour: Favour,
}

impl DaemonConfig {
    /// Takes a node as it is, without a service on this host.
    #[must_use]
    pub fn new(node: NodeConfig, listen: SocketAddr) -> Self {
        Self {
            node,
            listen,
            services: ServicesConfig::default(),
            names: BTreeMap::new(),
            tun: None,
            resolver: None,
            control: ControlConfig::default(),
            endpoints: Endpoints::new(),
            metrics: None,
            workers: 1,
            sharing: Sharing::default(),
            favour: Favour::default(),
        }
    }

    /// Reads a file and everything it names. `unix_seconds` is the time by which certificates are
    /// judged.
    ///
    /// # Errors
    /// One sentence that names the file, the key and the fix.
    pub fn load(path: &Path, unix_seconds: i64) -> Result<Self, ConfigError> {
        Self::of_file(&ConfigFile::read(path)?, path, unix_seconds)
    }

    /// Checks a file that was read from `path`, and reads everything it names.
    ///
    /// # Errors
    /// One sentence that names the file, the key and the fix.
    pub fn of_file(file: &ConfigFile, path: &Path, unix_seconds: i64) -> Result<Self, ConfigError> {
        Validation { path, base: path.parent().unwrap_or(Path::new(".")), unix_seconds }.validate(file)
    }

    /// Returns where a neighbour is dialled, as people read it; `None` if it dials us.
    #[must_use]
    pub fn places_of(&self, id: &NodeId) -> Option<String> {
        let places: Vec<_> = self.endpoints.get(id)?.iter().map(ToString::to_string).collect();
        (!places.is_empty()).then(|| places.join(", "))
    }

    /// Finds a node by its name or id.
    #[must_use]
    pub fn find(&self, text: &str) -> Option<NodeId> {
        find(&self.names, text)
    }
}

pub(super) fn find(names: &BTreeMap<NodeId, String>, text: &str) -> Option<NodeId> {
    names.iter().find(|(_, name)| *name == text).map(|(id, _)| *id).or_else(|| text.parse().ok())
}

pub(crate) struct Validation<'a> {
    path: &'a Path,
    pub(crate) base: &'a Path,
    pub(crate) unix_seconds: i64,
}

impl Validation<'_> {
    fn validate(&self, file: &ConfigFile) -> Result<DaemonConfig, ConfigError> {
        let Trusting { identity, context } = self.trusting(file)?;
        let us = node_id(&context.key_hash());
        let mtu = file.node.mtu.map_or(Ok(MTU_DEFAULT), |mtu| self.mtu(mtu))?;
        let (neighbours, endpoints) = self.neighbours(file, us)?;
        let names = self.names(file, &neighbours)?;
        let routes = self.routes(file, us, &neighbours, &names)?;
        let routing = self.routing(file, mtu, &identity)?;
        let return_path = match file.node.return_path {
            None | Some(ReturnPathFile::AsCame) => ReturnPath::AsCame,
            Some(ReturnPathFile::Any) => ReturnPath::Any,
        };
        let record_layer = match file.node.record_layer {
            None | Some(RecordLayerFile::Direct) => RecordLayer::Direct,
            Some(RecordLayerFile::Openssl) => RecordLayer::Openssl,
        };
        let inner = e2e::validate(file.node.e2e, &file.e2e, (us, mtu), &names)
            .map_err(|(key, problem)| self.value(&key, problem))?;
        let node = NodeConfig {
            mtu,
            neighbours,
            routes,
            rates: self.rates(file)?,
            routing,
            return_path,
            record_layer,
            inner,
            measure_round_trips: true,
            strays_kept: STRAYS_MAX,
            healing: Healing::On,
            path_mtu: PathMtu::Probed,
            ..NodeConfig::new(context)
        };
        let tun = file.tun.as_ref().map(|tun| self.tun(tun, mtu)).transpose()?;
        let resolver =
            file.resolver.as_ref().map(|table| self.resolver(table, tun.as_ref(), us)).transpose()?;
        let services = self.services(file, us, &names)?;
        let control = ControlConfig::of(file.control.as_ref(), self.base)
            .map_err(|problem| self.value("control.socket", problem))?;
        Ok(DaemonConfig {
            node,
            listen: file.node.listen,
            services,
            names,
            tun,
            resolver,
            control,
            endpoints,
            metrics: file.metrics.map(|metrics| metrics.listen),
            workers: self.workers(file.node.workers)?,
            sharing: match file.node.sharing {
                None | Some(SharingFile::UnderLoad) => Sharing::UnderLoad,
                Some(SharingFile::Always) => Sharing::Always,
            },
            favour: match file.node.favour {
                None | Some(FavourFile::Throughput) => Favour::Throughput,
                Some(FavourFile::Latency) => Favour::Latency,
            },
        })
    }

    /// Returns how many threads may carry data: one for each processor, unless the file says otherwise.
    fn workers(&self, workers: Option<i64>) -> Result<usize, ConfigError> {
        let Some(workers) = workers else {
            return Ok(std::thread::available_parallelism().map_or(1, usize::from).min(WORKERS_MAX));
        };
        usize::try_from(workers).ok().filter(|workers| (1..=WORKERS_MAX).contains(workers)).ok_or_else(|| {
            let problem = format!(
                "{workers} threads are out of range: give 1 to {WORKERS_MAX}, or leave it out for one for each processor"
            );
            self.value("node.workers", problem)
        })
    }

    fn services(
        &self,
        file: &ConfigFile,
        us: NodeId,
        names: &BTreeMap<NodeId, String>,
    ) -> Result<ServicesConfig, ConfigError> {
        let Some(services) = &file.services else { return Ok(ServicesConfig::default()) };
        ServicesConfig::validate(services, us, |name| find(names, name))
            .map_err(|(key, problem)| self.value(&key, problem))
    }

    fn mtu(&self, bytes: i64) -> Result<u16, ConfigError> {
        u16::try_from(bytes).ok().filter(|_| (MTU_MIN..=MTU_MAX).contains(&bytes)).ok_or_else(|| {
            let problem =
                format!("{bytes} bytes are out of range: give {MTU_MIN} to {MTU_MAX}, or leave it out");
            self.value("node.mtu", problem)
        })
    }

    fn rates(&self, file: &ConfigFile) -> Result<BTreeMap<NodeId, Rate>, ConfigError> {
        let mut rates = BTreeMap::new();
        for neighbour in &file.neighbour {
            let Some(text) = &neighbour.rate else { continue };
            let key = format!("neighbour {:?}", neighbour.name);
            let rate = rate::parse(text).map_err(|problem| self.value(&format!("{key}.rate"), problem))?;
            rates.insert(self.neighbour_id(neighbour, &key)?, rate);
        }
        Ok(rates)
    }

    fn routing(&self, file: &ConfigFile, mtu: u16, identity: &Identity) -> Result<Routing, ConfigError> {
        let (link_cost, prefixes) = (self.link_cost(file)?, self.announced(file, identity)?);
        let mut costs = BTreeMap::new();
        for neighbour in &file.neighbour {
            let Some(cost) = neighbour.cost else { continue };
            let key = format!("neighbour {:?}", neighbour.name);
            let checked = u16::try_from(cost).ok().filter(|_| (1..=COST_MAX).contains(&cost));
            let Some(checked) = checked else {
                let problem = format!("{cost} is no cost of a link: give 1 to {COST_MAX}, or leave it out");
                return Err(self.value(&format!("{key}.cost"), problem));
            };
            costs.insert(self.neighbour_id(neighbour, &key)?, checked);
        }
        match file.node.routing {
            None | Some(RoutingFile::Static) => {
                if let Some(neighbour) = file.neighbour.iter().find(|neighbour| neighbour.cost.is_some()) {
                    let key = format!("neighbour {:?}.cost", neighbour.name);
                    let problem = "costs mean nothing where routes are static: remove it, or write `routing = \"dynamic\"` in [node]";
                    return Err(self.value(&key, problem.to_owned()));
                }
                Ok(Routing::Static)
            }
            Some(RoutingFile::Dynamic) if i64::from(mtu) < DYNAMIC_MTU_MIN => {
                let problem = format!(
                    "{mtu} bytes are too few for what nodes prove: dynamic routing takes an mtu of {DYNAMIC_MTU_MIN} or more"
                );
                Err(self.value("node.routing", problem))
            }
            Some(RoutingFile::Dynamic) => {
                Ok(Routing::Dynamic(RouterConfig { costs, link_cost, prefixes, ..RouterConfig::default() }))
            }
        }
    }

    fn neighbours(
        &self,
        file: &ConfigFile,
        us: NodeId,
    ) -> Result<(Vec<NeighbourConfig>, Endpoints), ConfigError> {
        if file.neighbour.len() > NEIGHBOURS_MAX {
            let problem = format!(
                "{} are more than the {NEIGHBOURS_MAX} a node may have: leave some to another node",
                file.neighbour.len()
            );
            return Err(self.value("neighbour", problem));
        }
        let mut ids = BTreeMap::new();
        let mut names = BTreeSet::new();
        let mut addresses = BTreeMap::new();
        let mut neighbours = Vec::new();
        let mut endpoints = BTreeMap::new();
        for neighbour in &file.neighbour {
            let key = format!("neighbour {:?}", neighbour.name);
            self.check_name(&key, &neighbour.name)?;
            let id = self.neighbour_id(neighbour, &key)?;
            if id == us {
                return Err(
                    self.value(&key, "this is our own id, and a node is no neighbour of itself".to_owned())
                );
            }
            if !names.insert(&neighbour.name) {
                return Err(self.value(&key, "another neighbour has this name, too: rename one".to_owned()));
            }
            if let Some(other) = ids.insert(id, &neighbour.name) {
                return Err(
                    self.value(&key, format!("neighbour {other:?} has the same id {id}: remove one of them"))
                );
            }
            let given = self.endpoints(&key, &neighbour.address, file.node.listen)?;
            for address in given.iter().filter_map(Endpoint::address) {
                if let Some(other) = addresses.insert(address, &neighbour.name) {
                    let key = format!("{key}.address");
                    let problem = format!("neighbour {other:?} has the same address: correct one of them");
                    return Err(self.value(&key, problem));
                }
            }
            neighbours.push(NeighbourConfig {
                id,
                name: neighbour.name.clone(),
                addresses: given.iter().filter_map(Endpoint::address).collect(),
            });
            endpoints.insert(id, given);
        }
        Ok((neighbours, endpoints))
    }

    /// A name is printed and typed: it has to be there, and must not steer a terminal.
    fn check_name(&self, key: &str, name: &str) -> Result<(), ConfigError> {
        let is_good = !name.trim().is_empty()
            && name.chars().count() <= NAME_CHARACTERS_MAX
            && !name.chars().any(char::is_control);
        if is_good {
            return Ok(());
        }
        let problem = format!("a name has 1 to {NAME_CHARACTERS_MAX} printable characters: choose another");
        Err(self.value(key, problem))
    }

    fn neighbour_id(&self, neighbour: &NeighbourFile, key: &str) -> Result<NodeId, ConfigError> {
        match (&neighbour.id, &neighbour.certificate) {
            (Some(id), None) => id.parse().map_err(|error: peerbound_wire::ParseNodeIdError| {
                self.value(&format!("{key}.id"), error.to_string())
            }),
            (None, Some(path)) => self.id_of_certificate(path, &format!("{key}.certificate")),
            (Some(_), Some(_)) | (None, None) => {
                Err(self.value(key, "give it an `id` or a `certificate`, one of the two".to_owned()))
            }
        }
    }

    fn names(
        &self,
        file: &ConfigFile,
        neighbours: &[NeighbourConfig],
    ) -> Result<BTreeMap<NodeId, String>, ConfigError> {
        let mut names: BTreeMap<_, _> =
            neighbours.iter().map(|neighbour| (neighbour.id, neighbour.name.clone())).collect();
        for (name, text) in &file.names {
            let key = format!("names.{}", quoted_if_odd(name));
            self.check_name(&key, name)?;
            let id = self.named_id(&key, text)?;
            if names.values().any(|other| other == name) {
                return Err(self.value(&key, "a neighbour has this name, too: rename one".to_owned()));
            }
            // Two names for one node would leave neither to be relied on: one would be printed, and
            // only one found.
            if let Some(other) = names.insert(id, name.clone()) {
                let problem = format!("node {id} is called {other:?} already: remove one of the names");
                return Err(self.value(&key, problem));
            }
        }
        Ok(names)
    }

    fn named_id(&self, key: &str, text: &str) -> Result<NodeId, ConfigError> {
        if let Ok(id) = text.parse() {
            return Ok(id);
        }
        if !text.is_empty() && self.base.join(text).exists() {
            return self.id_of_certificate(Path::new(text), key);
        }
        let problem =
            format!("{text:?} is neither a node id (32 hexadecimal digits) nor the file of a certificate");
        Err(self.value(key, problem))
    }

    fn routes(
        &self,
        file: &ConfigFile,
        us: NodeId,
        neighbours: &[NeighbourConfig],
        names: &BTreeMap<NodeId, String>,
    ) -> Result<Vec<StaticRoute>, ConfigError> {
        let mut destinations = BTreeSet::new();
        let mut routes = Vec::new();
        for route in &file.route {
            let key = format!("route to {:?}", route.to);
            let Some(destination) = find(names, &route.to) else {
                let problem =
                    "nobody has this name: use a neighbour's name, one from [names], or a node id".to_owned();
                return Err(self.value(&key, problem));
            };
            let via =
                find(names, &route.via).filter(|via| neighbours.iter().any(|neighbour| neighbour.id == *via));
            let Some(via) = via else {
                return Err(self
                    .value(&key, format!("via {:?} is no neighbour: name one of [[neighbour]]", route.via)));
            };
            if destination == us {
                return Err(
                    self.value(&key, "this is our own id, and a route leads to others: remove it".to_owned())
                );
            }
            if !destinations.insert(destination) {
                return Err(self.value(&key, "there are two routes to it: remove one".to_owned()));
            }
            routes.push(StaticRoute { destination, via });
        }
        Ok(routes)
    }

    fn id_of_certificate(&self, path: &Path, key: &str) -> Result<NodeId, ConfigError> {
        let certificate = self.certificates(path, key)?.swap_remove(0);
        let key = KeyHash::of(&certificate)
            .map_err(|source| ConfigError::Context { file: self.base.join(path), source })?;
        Ok(node_id(&key))
    }

    pub(crate) fn certificates(&self, path: &Path, key: &str) -> Result<Vec<X509>, ConfigError> {
        read_certificates(&self.read(path, key)?)
            .map_err(|source| ConfigError::Identity { file: self.base.join(path), source })
    }

    pub(crate) fn read(&self, path: &Path, key: &str) -> Result<Vec<u8>, ConfigError> {
        let named = self.base.join(path);
        reading::bytes(&named).map_err(|source| ConfigError::NamedUnreadable {
            file: self.path.to_owned(),
            key: key.to_owned(),
            named,
            source,
        })
    }

    pub(crate) fn value(&self, key: &str, problem: String) -> ConfigError {
        ConfigError::Value { file: self.path.to_owned(), key: key.to_owned(), problem }
    }
}

/// A key as it stands in TOML.
pub(super) fn quoted_if_odd(key: &str) -> String {
    let is_bare = |character: char| character.is_ascii_alphanumeric() || "-_".contains(character);
    if !key.is_empty() && key.chars().all(is_bare) { key.to_owned() } else { format!("{key:?}") }
}
