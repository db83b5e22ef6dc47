//! The first stage: TOML of the right shape. Unknown keys are refused with their line.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::de::Error;
use serde::{Deserialize, Deserializer};

use crate::config::address::AddressesFile;
use crate::config::admission::AdmissionFile;
use crate::config::announce::LinkCostFile;
use crate::config::control::ControlFile;
use crate::config::e2e::EndToEndFile;
use crate::config::error::ConfigError;
use crate::config::metrics::MetricsFile;
use crate::config::reading;
use crate::config::resolver::ResolverFile;
use crate::config::services::ServicesFile;
use crate::config::tun::TunFile;

/// A configuration file as it is typed.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigFile {
    /// Who we are and where we listen.
    pub node: NodeFile,
    /// Those we keep link sessions with.
    #[serde(default)]
    pub neighbour: Vec<NeighbourFile>,
    /// Where frames go that are for none of them.
    #[serde(default)]
    pub route: Vec<RouteFile>,
    /// Where a node shows what it counts.
    pub metrics: Option<MetricsFile>,
    /// What is carried between services of this host and of others.
    pub services: Option<ServicesFile>,
    /// Names for nodes further away: the id in hexadecimal, or the file of a certificate.
    #[serde(default)]
    pub names: BTreeMap<String, String>,
    /// The interface through which programs of this host use the overlay.
    pub tun: Option<TunFile>,
    /// Names of nodes for programs of this host.
    pub resolver: Option<ResolverFile>,
    /// Where the node answers questions about itself.
    pub control: Option<ControlFile>,
    /// Nodes with whom it is otherwise than `e2e` in `[node]` says, by name or id.
    #[serde(default)]
    pub e2e: BTreeMap<String, EndToEndFile>,
}

/// The table `[node]`. Paths are relative to the file they stand in.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeFile {
    /// PEM: our certificate, then its chain.
    pub certificate: PathBuf,
    /// PEM: our private key, not encrypted.
    pub key: PathBuf,
    /// PEM: the roots we trust.
    #[serde(default)]
    pub roots: Vec<PathBuf>,
    /// Whether neighbours show certificates of these roots, or keys that are pinned.
    #[serde(default)]
    pub admission: AdmissionFile,
    /// PEM: what the roots have revoked.
    #[serde(default)]
    pub crl: Vec<PathBuf>,
    /// Ids or names, one a line: of those whom the roots certified, who is a member.
    pub allow: Option<PathBuf>,
    /// The prefixes that we announce.
    #[serde(default)]
    pub announce: Vec<String>,
    /// What links cost besides what is set.
    pub link_cost: Option<LinkCostFile>,
    /// The address and port to listen on.
    #[serde(deserialize_with = "address")]
    pub listen: SocketAddr,
    /// The largest datagram to send, in bytes of UDP payload.
    pub mtu: Option<i64>,
    /// How ways to nodes that are no neighbours are found.
    pub routing: Option<RoutingFile>,
    /// How replies find their way.
    pub return_path: Option<ReturnPathFile>,
    /// Whether payloads are protected from end to end.
    pub e2e: Option<EndToEndFile>,
    /// Who seals and opens the records of established sessions.
    pub record_layer: Option<RecordLayerFile>,
    /// How many threads may carry data.
    pub workers: Option<i64>,
    /// When they do.
    pub sharing: Option<SharingFile>,
    /// What matters more where both cannot be had.
    pub favour: Option<FavourFile>,
}

/// The values of `routing`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RoutingFile {
    /// By the routes in this file.
    Static,
    /// From the neighbours, besides the routes in this file.
    Dynamic,
}

/// The values of `return_path`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReturnPathFile {
    /// The way that the request came.
    AsCame,
    /// By the routes.
    Any,
}

/// The values of `record_layer`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecordLayerFile {
    /// The node itself, with the keys that OpenSSL agreed.
    Direct,
    /// OpenSSL.
    Openssl,
}

/// The values of `sharing`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SharingFile {
    /// As long as one thread cannot do it all.
    UnderLoad,
    /// Always.
    Always,
}

/// The values of `favour`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FavourFile {
    /// How much gets through.
    Throughput,
    /// How long it takes.
    Latency,
}

/// A table `[[neighbour]]`: exactly one of `id` and `certificate` says who it must prove to be.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NeighbourFile {
    /// What we call it.
    pub name: String,
    /// Its id in hexadecimal, as `peerbound pki show` prints it.
    pub id: Option<String>,
    /// Its certificate, from which the id follows.
    pub certificate: Option<PathBuf>,
    /// Where to dial it; without an address we wait for it to dial us.
    #[serde(default)]
    pub address: AddressesFile,
    /// What the link to it costs, where ways are learned.
    pub cost: Option<i64>,
    /// How much the link to it is to be given at most, as `20 Mbit/s`.
    pub rate: Option<String>,
}

/// A table `[[route]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteFile {
    /// The name or id of the node at the far end.
    pub to: String,
    /// The name of the neighbour that leads there.
    pub via: String,
}

impl ConfigFile {
    /// Reads a file.
    ///
    /// # Errors
    /// Says which file, line and key is wrong.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = reading::text(path)
            .map_err(|source| ConfigError::Unreadable { file: path.to_owned(), source })?;
        Self::parse(&text, path)
    }

    /// Lists the files by which it is decided whom to trust: those that may change while the node runs.
    #[must_use]
    pub fn trust_files(&self) -> Vec<&Path> {
        let Self { node: NodeFile { certificate, key, roots, crl, allow, .. }, .. } = self;
        [certificate, key].into_iter().chain(roots).chain(crl).chain(allow).map(PathBuf::as_path).collect()
    }

    /// Reads the text of a file; `path` is for the error.
    ///
    /// # Errors
    /// Says which line and key is wrong.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            let key = key_of_value(before).map(|key| format!("{key}: ")).unwrap_or_default();
            let problem = format!("{key}{}", one_line(error.message()));
            ConfigError::Syntax { file: path.to_owned(), line, problem }
        })
    }
}

/// Returns the key whose value begins where `before` ends, if one stands before it on its line.
fn key_of_value(before: &str) -> Option<&str> {
    let line = before.rsplit('\n').next()?;
    let (key, rest) = line.split_once('=')?;
    let is_key =
        key.trim().chars().all(|character| character.is_ascii_alphanumeric() || "-_.".contains(character));
    (is_key && rest.trim().is_empty()).then(|| key.trim())
}

/// Makes one line of what TOML says, whatever the file has in its keys, in words of TOML alone.
fn one_line(message: &str) -> String {
    if message.starts_with("invalid type: map, expected a sequence") {
        return "this table may stand several times: write its head in double brackets, [[..]]".to_owned();
    }
    let lines: Vec<_> = message.lines().collect();
    let line = lines.join(", ").replace("expected i64", "expected a whole number");
    let line = line.replace("expected a sequence", "expected a list in brackets, [..]");
    let line = line.replace("expected a map", "expected a table");
    let line = match line.split_once("expected struct ") {
        Some((before, _)) => format!("{before}expected a table"),
        None => line,
    };
    line.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

pub(super) fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|_| {
        let fix = "write one like \"192.0.2.1:7001\" or \"[2001:db8::1]:7001\"";
        D::Error::custom(format!("{text:?} is no IP address with a port: {fix}"))
    })
}

pub(super) fn some_address<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<SocketAddr>, D::Error> {
    address(deserializer).map(Some)
}
