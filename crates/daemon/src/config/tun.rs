//! The table `[tun]`: the interface through which programs of this host use the overlay.

use peerbound_wire::Prefix;
use serde::Deserialize;

use crate::config::error::ConfigError;
use crate::config::valid::Validation;
use crate::tun::RouteRule;

/// What the kernel takes as the name of an interface, less the byte that ends it (`IFNAMSIZ`).
const NAME_BYTES_MAX: usize = 15;

/// The least MTU of a link that carries IPv6 (RFC 8200, 5).
const MTU_MIN: u16 = 1280;

/// Bytes around a packet in a datagram of the link: the record of the link session (13 of header, 8 of
/// nonce, 16 of tag), the frame header, the record of the inner session, and the byte in it that says what
/// follows.
pub(crate) const OVERHEAD_BYTES: u16 = 37 + 54 + 37 + 1;
const _: () = assert!(peerbound_wire::HEADER_BYTES == 54);

/// Prefixes that may stand in `routes`: somebody has typed them, and each is compared with what is announced.
const ROUTES_LISTED_MAX: usize = 256;

/// The table as it is typed.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TunFile {
    /// What the interface is called.
    pub name: Option<String>,
    /// The largest packet it takes, in bytes.
    pub mtu: Option<i64>,
    /// Which routes to other nodes are set.
    pub routes: Option<RoutesFile>,
    /// Whether the kernel leaves the cutting of segments to the node.
    pub offload: Option<bool>,
}

/// The values of `routes`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "expected true, false, or a list of prefixes as [\"10.0.0.0/8\"]")]
pub enum RoutesFile {
    /// All that can be set without harm, or none.
    Switch(bool),
    /// Those within these prefixes.
    Within(Vec<String>),
}

/// The interface that is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TunConfig {
    /// What it is called.
    pub name: String,
    /// The largest packet it takes, in bytes.
    pub mtu: u16,
    /// Which routes to other nodes are set.
    pub routes: RouteRule,
    /// Whether the kernel leaves the cutting of segments to the node, and takes them in one piece; where it can.
    pub offload: bool,
}

impl Validation<'_> {
    /// Checks the table, given what the datagrams of the links may have.
    pub(super) fn tun(&self, file: &TunFile, link_mtu: u16) -> Result<TunConfig, ConfigError> {
        let name = file.name.clone().unwrap_or_else(|| "peerbound0".to_owned());
        self.check_interface_name(&name)?;
        let fits = link_mtu.saturating_sub(OVERHEAD_BYTES);
        if fits < MTU_MIN {
            let problem = format!(
                "{link_mtu} bytes leave {fits} for a packet, and IPv6 takes {MTU_MIN} or more: give {} or more, here and at every node on the way",
                MTU_MIN + OVERHEAD_BYTES
            );
            return Err(self.value("node.mtu", problem));
        }
        let mtu = match file.mtu {
            None => fits,
            Some(bytes) => {
                let fitting = u16::try_from(bytes).ok().filter(|bytes| (MTU_MIN..=fits).contains(bytes));
                fitting.ok_or_else(|| {
                    let problem = format!(
                        "{bytes} bytes are out of range: with {link_mtu} as mtu of [node] give {MTU_MIN} to {fits}, or leave it out"
                    );
                    self.value("tun.mtu", problem)
                })?
            }
        };
        let routes = self.route_rule(file.routes.as_ref())?;
        Ok(TunConfig { name, mtu, routes, offload: file.offload.unwrap_or(true) })
    }

    fn route_rule(&self, file: Option<&RoutesFile>) -> Result<RouteRule, ConfigError> {
        let texts = match file {
            None | Some(RoutesFile::Switch(true)) => return Ok(RouteRule::Harmless),
            Some(RoutesFile::Switch(false)) => return Ok(RouteRule::None),
            Some(RoutesFile::Within(texts)) => texts,
        };
        if texts.len() > ROUTES_LISTED_MAX {
            let count = texts.len();
            let problem = format!(
                "{count} are more than the {ROUTES_LISTED_MAX} prefixes that may be listed: join some to a shorter one"
            );
            return Err(self.value("tun.routes", problem));
        }
        let parsed: Result<Vec<Prefix>, _> = texts.iter().map(|text| text.parse()).collect();
        parsed.map(RouteRule::Within).map_err(|error| self.value("tun.routes", error.to_string()))
    }

    fn check_interface_name(&self, name: &str) -> Result<(), ConfigError> {
        let is_plain = |character: char| character.is_ascii_graphic() && !"/:%".contains(character);
        let is_good = (1..=NAME_BYTES_MAX).contains(&name.len())
            && name.chars().all(is_plain)
            && !matches!(name, "." | ".." | "all" | "default" | "lo");
        if is_good {
            return Ok(());
        }
        let problem = format!(
            "{name:?} is no name for an interface: give 1 to {NAME_BYTES_MAX} letters, digits, - or _, or leave it out"
        );
        Err(self.value("tun.name", problem))
    }
}
