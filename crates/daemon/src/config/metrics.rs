//! The table `[metrics]`: where a node shows what it counts.

use std::net::SocketAddr;

use serde::Deserialize;

/// The table `[metrics]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricsFile {
    /// The address and port to answer at, over HTTP. It has no password: let it be one that only those reach
    /// who may see.
    #[serde(deserialize_with = "crate::config::file::address")]
    pub listen: SocketAddr,
}
