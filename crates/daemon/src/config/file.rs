//! The first stage: TOML of the right shape. Unknown keys are refused with their line.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::config::error::ConfigError;

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
    /// Names for nodes further away: the id in hexadecimal, or the file of a certificate.
    #[serde(default)]
    pub names: BTreeMap<String, String>,
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
    pub roots: Vec<PathBuf>,
    /// The address and port to listen on.
    pub listen: SocketAddr,
    /// The largest datagram to send, in bytes of UDP payload.
    pub mtu: Option<u16>,
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
    pub address: Option<SocketAddr>,
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
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { file: path.to_owned(), source })?;
        Self::parse(&text, path)
    }

    /// Reads the text of a file; `path` is for the error.
    ///
    /// # Errors
    /// Says which line and key is wrong.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        toml::from_str(text).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start);
            let line = text.get(..start).map_or(1, |before| before.matches('\n').count() + 1);
            let problem = error.message().lines().collect::<Vec<_>>().join(", ");
            ConfigError::Syntax { file: path.to_owned(), line, problem }
        })
    }
}
