//! The invitations of an authority. Of each secret only its hash is kept, so that a copy of the file opens
//! nothing.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::anyhow;
use openssl::sha::sha256;
use peerbound_wire::Prefix;
use serde::{Deserialize, Serialize};

use crate::outcome::Failure;
use crate::pki::{Secrecy, about, put};

const INVITES: &str = "invites.json";

/// Invitations that are open at a time: x about 500 bytes = 500 kB.
const INVITES_MAX: usize = 1024;

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Invites {
    pub(super) invites: Vec<Invite>,
}

/// One invitation.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Invite {
    /// SHA-256 over the secret, in hexadecimal.
    pub(super) secret: String,
    pub(super) name: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) prefixes: Vec<String>,
    /// For how long the certificate will be valid.
    pub(super) days: u32,
    /// In seconds since 1970.
    pub(super) expires_at: i64,
    /// Neighbours for the configuration that the joining node gets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) neighbours: Vec<Invited>,
    /// SHA-256 over the request that used it up. Whoever comes again with the same key, since the answer was
    /// lost, gets it again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) used_by: Option<String>,
}

/// A neighbour of a node to come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Invited {
    pub(super) name: String,
    pub(super) id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) address: Option<std::net::SocketAddr>,
}

impl Invite {
    /// Returns the prefixes, as they were checked when it was written.
    pub(super) fn prefixes(&self) -> Vec<Prefix> {
        self.prefixes.iter().filter_map(|prefix| prefix.parse().ok()).collect()
    }
}

impl Invites {
    pub(super) fn read(dir: &Path) -> Result<Self, Failure> {
        let path = dir.join(INVITES);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(about(&path, "cannot be read", error)),
        };
        serde_json::from_slice(&text).map_err(|error| {
            let fix = "remove it, and invite anew";
            Failure::Request(anyhow!("{}: it holds no invitations ({error}): {fix}", path.display()))
        })
    }

    pub(super) fn write(&self, dir: &Path) -> Result<(), Failure> {
        let text = serde_json::to_vec_pretty(self).map_err(Failure::world)?;
        put(&dir.join(INVITES), &text, Secrecy::Owner)
    }

    /// Adds an invitation, if there is room, and forgets those that have ended.
    pub(super) fn add(&mut self, invite: Invite, now: i64) -> Result<(), Failure> {
        self.invites.retain(|invite| invite.expires_at >= now);
        if self.invites.iter().any(|open| open.name == invite.name && open.used_by.is_none()) {
            return Err(Failure::Request(anyhow!(
                "\"{}\" is invited already: wait until that invitation ends, or choose another name",
                invite.name
            )));
        }
        if self.invites.len() >= INVITES_MAX {
            return Err(Failure::Request(anyhow!("{INVITES_MAX} invitations are open: wait until some end")));
        }
        self.invites.push(invite);
        Ok(())
    }

    /// Finds the invitation that a secret opens.
    pub(super) fn find(&mut self, secret: &[u8]) -> Option<&mut Invite> {
        let hash = hash(secret);
        self.invites.iter_mut().find(|invite| invite.secret == hash)
    }
}

/// Returns SHA-256 in hexadecimal.
pub(super) fn hash(bytes: &[u8]) -> String {
    sha256(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
