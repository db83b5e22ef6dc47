//! What an authority remembers: which certificates it issued, and which of them it has revoked.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::anyhow;
use peerbound_daemon::unix_seconds;
use peerbound_dtls::{Authority, Revoked, Validity, X509Ref, common_name, expires_at, serial_number};
use serde::{Deserialize, Serialize};

use crate::outcome::Failure;
use crate::pki::about;
use crate::pki::files::{Secrecy, put};

/// The file of the ledger.
pub(crate) const LEDGER: &str = "ledger.json";
/// The file with the list of what is revoked.
pub(crate) const LIST: &str = "crl.pem";

/// Certificates that one authority keeps book of: 100,000 x about 200 bytes = 20 MB.
const ENTRIES_MAX: usize = 100_000;

/// The ledger of an authority.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ledger {
    /// How many lists of revoked certificates were signed.
    pub(crate) lists: u32,
    /// The certificates, in the order in which they were issued.
    pub(crate) certificates: Vec<Entry>,
}

/// One certificate.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    pub(crate) serial: String,
    pub(crate) name: String,
    /// In seconds since 1970.
    pub(crate) expires_at: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) revoked_at: Option<i64>,
}

impl Entry {
    pub(crate) fn of(certificate: &X509Ref) -> Result<Self, Failure> {
        Ok(Self {
            serial: serial_number(certificate).map_err(Failure::world)?,
            name: common_name(certificate),
            expires_at: expires_at(certificate).unwrap_or(i64::MAX),
            revoked_at: None,
        })
    }
}

impl Ledger {
    /// Reads the ledger; an authority without one has issued nothing that it knows of.
    pub(crate) fn read(dir: &Path) -> Result<Self, Failure> {
        let path = dir.join(LEDGER);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(about(&path, "cannot be read", error)),
        };
        serde_json::from_slice(&text).map_err(|error| {
            let fix = "put a copy in its place, for it says what is revoked";
            Failure::Request(anyhow!("{}: it is no ledger ({error}): {fix}", path.display()))
        })
    }

    pub(crate) fn write(&self, dir: &Path) -> Result<(), Failure> {
        let text = serde_json::to_vec_pretty(self).map_err(Failure::world)?;
        put(&dir.join(LEDGER), &text, Secrecy::Public)
    }

    /// Notes a certificate, unless it is there.
    pub(crate) fn note(&mut self, entry: Entry) -> Result<(), Failure> {
        if self.certificates.iter().any(|known| known.serial == entry.serial) {
            return Ok(());
        }
        // What has expired needs no remembering.
        if self.certificates.len() >= ENTRIES_MAX {
            let now = unix_seconds();
            self.certificates.retain(|entry| entry.expires_at >= now);
        }
        if self.certificates.len() >= ENTRIES_MAX {
            return Err(Failure::Request(anyhow!(
                "the ledger holds {ENTRIES_MAX} certificates that are valid: begin another authority"
            )));
        }
        self.certificates.push(entry);
        Ok(())
    }

    /// Revokes all certificates of a name; returns their numbers that were not revoked before.
    pub(crate) fn revoke(&mut self, name: &str, at: i64) -> Vec<String> {
        let of_name = self.certificates.iter_mut().filter(|entry| entry.name == name);
        let valid = of_name.filter(|entry| entry.revoked_at.is_none());
        valid
            .map(|entry| {
                entry.revoked_at = Some(at);
                entry.serial.clone()
            })
            .collect()
    }

    /// Returns whether the certificate with this number is revoked.
    pub(crate) fn is_revoked(&self, serial: &str) -> bool {
        self.certificates.iter().any(|entry| entry.serial == serial && entry.revoked_at.is_some())
    }

    /// Returns how many are revoked.
    pub(crate) fn revoked(&self) -> impl Iterator<Item = &Entry> {
        self.certificates.iter().filter(|entry| entry.revoked_at.is_some())
    }

    /// Signs a list of what is revoked, and puts it in place of the last one. The ledger comes first: what it
    /// says is on the next list, even when this command does not live to write it.
    pub(crate) fn publish(&mut self, dir: &Path, authority: &Authority, days: u32) -> Result<(), Failure> {
        self.lists += 1;
        self.write(dir)?;
        let revoked: Vec<_> = self
            .revoked()
            .map(|entry| Revoked { serial: &entry.serial, at: entry.revoked_at.unwrap_or_default() })
            .collect();
        let validity = Validity::days(unix_seconds(), days);
        let list = authority.revocation_list(&revoked, self.lists, validity).map_err(Failure::world)?;
        put(&dir.join(LIST), &list.to_pem().map_err(Failure::world)?, Secrecy::Public)
    }
}
