//! The key `e2e` in `[node]` and the table `[e2e]`: with whom payloads travel in inner sessions.

use std::collections::BTreeMap;

use peerbound_node::{EndToEnd, InnerConfig};
use peerbound_wire::NodeId;
use serde::Deserialize;

use crate::config::valid::{find, quoted_if_odd};

/// The least mtu for inner sessions: OpenSSL makes no datagrams of a handshake smaller than 256 bytes, and each
/// is in a frame of 54 and a record of 37.
const E2E_MTU_MIN: u16 = 256 + 54 + 37;

/// The values of `e2e`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EndToEndFile {
    /// Payloads are protected from end to end.
    #[default]
    On,
    /// Relays can read and change them.
    Off,
}

impl From<EndToEndFile> for EndToEnd {
    fn from(file: EndToEndFile) -> Self {
        match file {
            EndToEndFile::On => Self::On,
            EndToEndFile::Off => Self::Off,
        }
    }
}

/// Says what holds for whom; refuses a key and says what is wrong with it.
pub(super) fn validate(
    default: Option<EndToEndFile>,
    exceptions: &BTreeMap<String, EndToEndFile>,
    (us, mtu): (NodeId, u16),
    names: &BTreeMap<NodeId, String>,
) -> Result<InnerConfig, (String, String)> {
    let default = EndToEnd::from(default.unwrap_or_default());
    let mut found = BTreeMap::new();
    for (text, value) in exceptions {
        let key = || format!("e2e.{}", quoted_if_odd(text));
        let Some(id) = find(names, text) else {
            let problem = "nobody has this name: use a neighbour's name, one from [names], or a node id";
            return Err((key(), problem.to_owned()));
        };
        if id == us {
            return Err((key(), "this is our own id, and nothing goes from us to us: remove it".to_owned()));
        }
        if found.insert(id, EndToEnd::from(*value)).is_some() {
            return Err((key(), "the same node stands there twice: remove one".to_owned()));
        }
    }
    let config = InnerConfig { default, exceptions: found, ..InnerConfig::default() };
    if !fits(&config, usize::from(mtu)) {
        let problem = format!(
            "{mtu} bytes are too few for sessions from end to end, which take {E2E_MTU_MIN}: raise it, or write `e2e = \"off\"` in [node]"
        );
        return Err(("node.mtu".to_owned(), problem));
    }
    Ok(config)
}

/// Returns whether datagrams of this size carry the inner sessions that there are to be.
pub(crate) fn fits(config: &InnerConfig, mtu: usize) -> bool {
    let is_on = |end_to_end: &EndToEnd| *end_to_end == EndToEnd::On;
    mtu >= usize::from(E2E_MTU_MIN) || !(is_on(&config.default) || config.exceptions.values().any(is_on))
}
