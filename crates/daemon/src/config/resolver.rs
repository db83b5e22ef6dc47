//! The table `[resolver]`: names of nodes for programs of this host.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use peerbound_wire::NodeId;
use serde::Deserialize;

use crate::config::error::ConfigError;
use crate::config::file::some_address;
use crate::config::tun::TunConfig;
use crate::config::valid::Validation;
use crate::resolver;

/// Where names are asked for (RFC 1035, 4.2).
const PORT: u16 = 53;

/// The table as it is typed.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResolverFile {
    /// Where to answer; without it, at the node's own address.
    #[serde(default, deserialize_with = "some_address")]
    pub listen: Option<SocketAddr>,
    /// A file to keep the names in.
    pub hosts_file: Option<PathBuf>,
}

/// What is to be done about names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolverConfig {
    /// Where questions are answered, if anywhere.
    pub listen: Option<SocketAddr>,
    /// Whether others than this host itself are answered there.
    pub serves_all: bool,
    /// The file with the names, if there is to be one.
    pub hosts_file: Option<PathBuf>,
}

impl Validation<'_> {
    /// Checks the table.
    pub(super) fn resolver(
        &self,
        file: &ResolverFile,
        tun: Option<&TunConfig>,
        us: NodeId,
    ) -> Result<ResolverConfig, ConfigError> {
        let our_own = tun.map(|_| SocketAddr::new(IpAddr::V6(us.address()), PORT));
        // A file alone is enough for who has no interface; who has one is answered there besides.
        let listen = file.listen.or(our_own);
        if listen.is_none() && file.hosts_file.is_none() {
            let problem = "without [tun] there is no address of the node to answer at: give `listen`, as \"127.0.0.1:5353\", or `hosts_file`";
            return Err(self.value("resolver", problem.to_owned()));
        }
        let hosts_file = file.hosts_file.as_ref().map(|path| self.base.join(path));
        if let Some(path) = &hosts_file {
            resolver::refuse_foreign(path).map_err(|source| {
                let problem =
                    format!("{}: {source}: name a file that the node may write anew", path.display());
                self.value("resolver.hosts_file", problem)
            })?;
        }
        Ok(ResolverConfig { listen, serves_all: file.listen.is_some(), hosts_file })
    }
}
