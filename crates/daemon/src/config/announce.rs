//! What a node announces besides its own address, and what links cost besides what is set.

use peerbound_dtls::Identity;
use peerbound_node::{LinkCost, certified_prefixes};
use peerbound_wire::{PREFIXES_MAX, Prefix};
use serde::Deserialize;

use crate::config::error::ConfigError;
use crate::config::file::{ConfigFile, RoutingFile};
use crate::config::valid::Validation;

/// The values of `link_cost`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LinkCostFile {
    /// What is set for the neighbour, and no more.
    Static,
    /// Its round trip besides, in coarse steps.
    RoundTrip,
}

impl Validation<'_> {
    pub(crate) fn link_cost(&self, file: &ConfigFile) -> Result<LinkCost, ConfigError> {
        match (file.node.link_cost, file.node.routing) {
            (None | Some(LinkCostFile::Static), _) => Ok(LinkCost::Static),
            (Some(LinkCostFile::RoundTrip), Some(RoutingFile::Dynamic)) => Ok(LinkCost::RoundTrip),
            (Some(LinkCostFile::RoundTrip), None | Some(RoutingFile::Static)) => {
                let problem = "round trips decide nothing where routes are static: remove it, or write `routing = \"dynamic\"`";
                Err(self.value("node.link_cost", problem.to_owned()))
            }
        }
    }

    pub(crate) fn announced(
        &self,
        file: &ConfigFile,
        identity: &Identity,
    ) -> Result<Vec<Prefix>, ConfigError> {
        let refused = |problem: String| Err(self.value("node.announce", problem));
        let texts = &file.node.announce;
        if texts.is_empty() {
            return Ok(Vec::new());
        }
        if file.node.routing != Some(RoutingFile::Dynamic) {
            return refused(
                "prefixes are told of where ways are learned: write `routing = \"dynamic\"`, or remove it"
                    .to_owned(),
            );
        }
        if texts.len() > PREFIXES_MAX {
            let count = texts.len();
            return refused(format!(
                "{count} are more than the {PREFIXES_MAX} prefixes that a node may announce: join some to a shorter one"
            ));
        }
        let carried = certified_prefixes(identity.certificate());
        let mut prefixes = Vec::new();
        for text in texts {
            let prefix: Prefix = match text.parse() {
                Ok(prefix) => prefix,
                Err(error) => return refused(format!("{error}")),
            };
            if !carried.iter().any(|carried| carried.covers(&prefix)) {
                let name = identity.name();
                return refused(format!(
                    "our certificate {name:?} does not carry {prefix}, and others would refuse it: have it issued with `--prefix {prefix}`"
                ));
            }
            if prefixes.contains(&prefix) {
                return refused(format!("{prefix} stands there twice: remove one"));
            }
            prefixes.push(prefix);
        }
        Ok(prefixes)
    }
}
