//! The second stage: every name means someone, every file is there, every certificate is good.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;

use peerbound_dtls::{Context, ContextConfig, Identity, KeyHash, X509, read_certificates};
use peerbound_node::{NeighbourConfig, NodeConfig, StaticRoute, node_id};
use peerbound_wire::NodeId;

use crate::config::error::ConfigError;
use crate::config::file::{ConfigFile, NeighbourFile};

/// The least MTU: OpenSSL's own least for DTLS, with room for a frame header and some payload.
const MTU_MIN: u16 = 256;

/// The greatest: the payload of the largest UDP datagram over IPv4.
const MTU_MAX: u16 = 65_507;

/// Neighbours of one node: 1024 x 200 kB = 200 MB at worst.
const NEIGHBOURS_MAX: usize = 1024;

/// What a daemon is started with.
#[derive(Debug, Clone)]
pub struct DaemonConfig {
    /// What the node is told.
    pub node: NodeConfig,
    /// Where it listens.
    pub listen: SocketAddr,
    /// What people call the nodes it knows of.
    pub names: BTreeMap<NodeId, String>,
}

impl DaemonConfig {
    /// Reads a file and everything it names. `unix_seconds` is the time by which certificates are
    /// judged.
    ///
    /// # Errors
    /// One sentence that names the file, the key and the fix.
    pub fn load(path: &Path, unix_seconds: i64) -> Result<Self, ConfigError> {
        Validation { path, base: path.parent().unwrap_or(Path::new(".")), unix_seconds }
            .validate(&ConfigFile::read(path)?)
    }

    /// Finds a node by its name or id.
    #[must_use]
    pub fn find(&self, text: &str) -> Option<NodeId> {
        find(&self.names, text)
    }
}

fn find(names: &BTreeMap<NodeId, String>, text: &str) -> Option<NodeId> {
    names.iter().find(|(_, name)| *name == text).map(|(id, _)| *id).or_else(|| text.parse().ok())
}

struct Validation<'a> {
    path: &'a Path,
    base: &'a Path,
    unix_seconds: i64,
}

impl Validation<'_> {
    fn validate(&self, file: &ConfigFile) -> Result<DaemonConfig, ConfigError> {
        let context = self.context(file)?;
        let us = node_id(&context.key_hash());
        let mtu = file.node.mtu.unwrap_or(peerbound_dtls::MTU_DEFAULT);
        if !(MTU_MIN..=MTU_MAX).contains(&mtu) {
            return Err(self.value("node.mtu", format!("{mtu} is not between {MTU_MIN} and {MTU_MAX}")));
        }
        let neighbours = self.neighbours(file, us)?;
        let names = self.names(file, &neighbours)?;
        let routes = self.routes(file, us, &neighbours, &names)?;
        let node = NodeConfig { mtu, neighbours, routes, ..NodeConfig::new(context) };
        Ok(DaemonConfig { node, listen: file.node.listen, names })
    }

    fn context(&self, file: &ConfigFile) -> Result<Context, ConfigError> {
        let certificate_path = self.base.join(&file.node.certificate);
        let key_path = self.base.join(&file.node.key);
        let (certificate, key) = (self.read(&file.node.certificate)?, self.read(&file.node.key)?);
        let identity = Identity::from_pem(&certificate, &key).map_err(|source| ConfigError::Identity {
            file: match source {
                peerbound_dtls::IdentityError::NoKey | peerbound_dtls::IdentityError::KeyMismatch { .. } => {
                    key_path
                }
                _ => certificate_path.clone(),
            },
            source,
        })?;
        identity
            .check_validity(self.unix_seconds)
            .map_err(|source| ConfigError::Identity { file: certificate_path.clone(), source })?;
        let mut roots = Vec::new();
        for path in &file.node.roots {
            roots.extend(self.certificates(path)?);
        }
        if roots.is_empty() {
            return Err(self.value("node.roots", "name at least one file with a root certificate".to_owned()));
        }
        if !roots.iter().any(|root| identity.is_issued_by(root)) {
            let problem = format!(
                "none of these roots issued our certificate \"{}\": neighbours that trust the same roots would refuse it",
                identity.name()
            );
            return Err(self.value("node.roots", problem));
        }
        Context::new(ContextConfig::new(identity, roots))
            .map_err(|source| ConfigError::Context { file: certificate_path, source })
    }

    fn neighbours(&self, file: &ConfigFile, us: NodeId) -> Result<Vec<NeighbourConfig>, ConfigError> {
        if file.neighbour.len() > NEIGHBOURS_MAX {
            let problem = format!("{} neighbours are more than {NEIGHBOURS_MAX}", file.neighbour.len());
            return Err(self.value("neighbour", problem));
        }
        let mut ids = BTreeSet::new();
        let mut names = BTreeSet::new();
        let mut neighbours = Vec::new();
        for neighbour in &file.neighbour {
            let key = format!("neighbour \"{}\"", neighbour.name);
            let id = self.neighbour_id(neighbour, &key)?;
            if id == us {
                return Err(
                    self.value(&key, "this is our own id: a node is no neighbour of itself".to_owned())
                );
            }
            if !ids.insert(id) {
                return Err(
                    self.value(&key, format!("id {id} stands in another [[neighbour]], too: remove one"))
                );
            }
            if !names.insert(&neighbour.name) {
                return Err(self.value(&key, "another neighbour has this name, too: rename one".to_owned()));
            }
            if let Some(address) = neighbour.address {
                self.check_address(&key, address)?;
            }
            neighbours.push(NeighbourConfig { id, name: neighbour.name.clone(), address: neighbour.address });
        }
        Ok(neighbours)
    }

    fn neighbour_id(&self, neighbour: &NeighbourFile, key: &str) -> Result<NodeId, ConfigError> {
        match (&neighbour.id, &neighbour.certificate) {
            (Some(id), None) => id.parse().map_err(|error: peerbound_wire::ParseNodeIdError| {
                self.value(&format!("{key}.id"), error.to_string())
            }),
            (None, Some(path)) => self.id_of_certificate(path),
            (Some(_), Some(_)) | (None, None) => {
                Err(self.value(key, "give it an `id` or a `certificate`, one of the two".to_owned()))
            }
        }
    }

    fn check_address(&self, key: &str, address: SocketAddr) -> Result<(), ConfigError> {
        if address.port() == 0 || address.ip().is_unspecified() {
            let problem =
                format!("{address} cannot be dialled: give the address and port the neighbour listens on");
            return Err(self.value(&format!("{key}.address"), problem));
        }
        Ok(())
    }

    fn names(
        &self,
        file: &ConfigFile,
        neighbours: &[NeighbourConfig],
    ) -> Result<BTreeMap<NodeId, String>, ConfigError> {
        let mut names: BTreeMap<_, _> =
            neighbours.iter().map(|neighbour| (neighbour.id, neighbour.name.clone())).collect();
        for (name, text) in &file.names {
            let id = match text.parse() {
                Ok(id) => id,
                Err(_) if self.base.join(text).exists() => self.id_of_certificate(Path::new(text))?,
                Err(_) => {
                    let problem = format!(
                        "\"{text}\" is neither a node id (32 hexadecimal digits) nor a certificate file"
                    );
                    return Err(self.value(&format!("names.{name}"), problem));
                }
            };
            if names.values().any(|other| other == name) {
                return Err(self.value(
                    &format!("names.{name}"),
                    "this name is taken by a neighbour: rename it".to_owned(),
                ));
            }
            names.insert(id, name.clone());
        }
        Ok(names)
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
            let key = format!("route to \"{}\"", route.to);
            let Some(destination) = find(names, &route.to) else {
                let problem =
                    "nobody has this name: use a neighbour's name, one from [names], or a node id".to_owned();
                return Err(self.value(&key, problem));
            };
            let via =
                find(names, &route.via).filter(|via| neighbours.iter().any(|neighbour| neighbour.id == *via));
            let Some(via) = via else {
                return Err(self.value(
                    &key,
                    format!("via \"{}\" is no neighbour: name one of [[neighbour]]", route.via),
                ));
            };
            if destination == us {
                return Err(self.value(&key, "this is our own id: a route leads to others".to_owned()));
            }
            if !destinations.insert(destination) {
                return Err(self.value(&key, "there are two routes to it: remove one".to_owned()));
            }
            routes.push(StaticRoute { destination, via });
        }
        Ok(routes)
    }

    fn id_of_certificate(&self, path: &Path) -> Result<NodeId, ConfigError> {
        let certificate = self.certificates(path)?.swap_remove(0);
        let key = KeyHash::of(&certificate)
            .map_err(|source| ConfigError::Context { file: self.base.join(path), source })?;
        Ok(node_id(&key))
    }

    fn certificates(&self, path: &Path) -> Result<Vec<X509>, ConfigError> {
        read_certificates(&self.read(path)?)
            .map_err(|source| ConfigError::Identity { file: self.base.join(path), source })
    }

    fn read(&self, path: &Path) -> Result<Vec<u8>, ConfigError> {
        let file = self.base.join(path);
        std::fs::read(&file).map_err(|source| ConfigError::Unreadable { file, source })
    }

    fn value(&self, key: &str, problem: String) -> ConfigError {
        ConfigError::Value { file: self.path.to_owned(), key: key.to_owned(), problem }
    }
}
