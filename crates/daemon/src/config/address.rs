//! Where neighbours are dialled: `address`, one or several, each an address or a name with a port.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;

use peerbound_node::ADDRESSES_MAX;
use peerbound_wire::NodeId;
use serde::Deserialize;

use crate::config::error::ConfigError;
use crate::config::valid::Validation;

/// Characters of a name (RFC 1035, 2.3.4).
const HOST_CHARACTERS_MAX: usize = 253;

/// The key `address` of a neighbour, as it is typed. Without it we wait for the neighbour to dial us.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(
    untagged,
    expecting = "expected text like \"192.0.2.1:7001\" or \"relay.example.org:7001\", or a list of it"
)]
pub enum AddressesFile {
    /// Nothing.
    #[default]
    None,
    /// One.
    One(String),
    /// Several, tried in turn.
    Several(Vec<String>),
}

/// One place at which a neighbour may be dialled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// An address.
    Address(SocketAddr),
    /// A name that is looked up while the node runs, and the port behind it.
    Name {
        /// The name.
        host: String,
        /// The port.
        port: u16,
    },
}

/// Where each neighbour is dialled.
pub type Endpoints = BTreeMap<NodeId, Vec<Endpoint>>;

impl Endpoint {
    /// Returns the address, if no name has to be looked up for it.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Address(address) => Some(*address),
            Self::Name { .. } => None,
        }
    }

    /// Reads an address or a name with a port.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(address) = text.parse() {
            return Some(Self::Address(address));
        }
        let (host, port) = text.rsplit_once(':')?;
        let is_of_a_name =
            |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | '.' | '_');
        // What ends in a number is an address that went wrong.
        let is_name = host.len() <= HOST_CHARACTERS_MAX
            && host.chars().all(is_of_a_name)
            && !host.starts_with(['-', '.'])
            && host
                .trim_end_matches('.')
                .chars()
                .next_back()
                .is_some_and(|last| !last.is_ascii_digit() || has_letter_behind_dot(host));
        let port = port.parse().ok().filter(|_| port.chars().all(|digit| digit.is_ascii_digit()))?;
        is_name.then(|| Self::Name { host: host.to_owned(), port })
    }
}

/// Tells `node2` and `relay.site2` from `192.0.2`.
fn has_letter_behind_dot(host: &str) -> bool {
    let last = host.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    last.chars().any(|character| !character.is_ascii_digit())
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Name { host, port } => write!(f, "{host}:{port}"),
        }
    }
}

impl Validation<'_> {
    /// Checks where a neighbour is to be dialled. Names are not looked up: one that does not resolve is a
    /// state of the node, and no mistake in its file.
    pub(super) fn endpoints(
        &self,
        key: &str,
        file: &AddressesFile,
        listen: SocketAddr,
    ) -> Result<Vec<Endpoint>, ConfigError> {
        let key = format!("{key}.address");
        let typed = match file {
            AddressesFile::None => &[],
            AddressesFile::One(text) => std::slice::from_ref(text),
            AddressesFile::Several(list) => &list[..],
        };
        if matches!(file, AddressesFile::Several(list) if list.is_empty() || list.len() > ADDRESSES_MAX) {
            let problem = format!(
                "{} addresses are out of range: give 1 to {ADDRESSES_MAX}, or leave it out if the neighbour dials us",
                typed.len()
            );
            return Err(self.value(&key, problem));
        }
        let mut endpoints = Vec::new();
        for text in typed {
            let Some(endpoint) = Endpoint::parse(text) else {
                let fix =
                    "write one like \"192.0.2.1:7001\", \"[2001:db8::1]:7001\" or \"relay.example.org:7001\"";
                return Err(self.value(&key, format!("{text:?} is no address or name with a port: {fix}")));
            };
            self.check_endpoint(&key, &endpoint, listen)?;
            if endpoints.contains(&endpoint) {
                return Err(self.value(&key, format!("{endpoint} stands there twice: remove one")));
            }
            endpoints.push(endpoint);
        }
        Ok(endpoints)
    }

    fn check_endpoint(&self, key: &str, endpoint: &Endpoint, listen: SocketAddr) -> Result<(), ConfigError> {
        let problem = match endpoint {
            Endpoint::Address(address) if address.port() == 0 || address.ip().is_unspecified() => {
                "cannot be dialled: give the address and port the neighbour listens on"
            }
            Endpoint::Name { port: 0, .. } => "cannot be dialled: give the port the neighbour listens on",
            Endpoint::Address(address) if *address == listen => {
                "is where this node listens itself: give the address the neighbour listens on"
            }
            Endpoint::Address(address) if address.is_ipv4() != listen.is_ipv4() => {
                "cannot be dialled from where this node listens: let both be IPv4, or both IPv6"
            }
            Endpoint::Address(_) | Endpoint::Name { .. } => return Ok(()),
        };
        Err(self.value(key, format!("{endpoint} {problem}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_told_from_an_address_that_went_wrong() {
        let name = |text: &str| matches!(Endpoint::parse(text), Some(Endpoint::Name { .. }));
        assert!(name("relay.example.org:4433") && name("relay-2:1") && name("localhost:4433"));
        assert!(matches!(Endpoint::parse("[::1]:4433"), Some(Endpoint::Address(_))));

        for wrong in [
            "192.0.2.1",
            "192.0.2.256:1",
            "1.2.3:80",
            ":80",
            "a b:80",
            "relay:",
            "relay:+80",
            "relay:65536",
            "-x:1",
            "::1:80",
        ] {
            assert_eq!(Endpoint::parse(wrong), None, "{wrong}");
        }
    }
}
