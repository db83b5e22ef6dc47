//! The certificates of one test: an authority both ends trust, one that neither does, and PEM files
//! for the programs of others.

use std::fs;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use peerbound_dtls::{Authority, Context, ContextConfig, Identity, KeyHash, Validity};
use tempfile::TempDir;

/// Who signs a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signer {
    /// The authority that both ends trust.
    Trusted,
    /// An authority that neither end knows. It has the name of the other one: a client looks for a
    /// certificate by the names its server asks for, and GnuTLS's shows none if no name fits.
    Stranger,
}

/// Two authorities and the directory their certificates are written to.
pub(crate) struct Pki {
    trusted: Authority,
    stranger: Authority,
    directory: TempDir,
}

/// What a program is told to identify itself with and whom to trust.
pub(crate) struct PeerFiles {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) roots: PathBuf,
    /// The hash of the key, by which we know it again.
    pub(crate) key_hash: KeyHash,
}

impl Pki {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            trusted: Authority::generate("interop root", validity()?)?,
            stranger: Authority::generate("interop root", validity()?)?,
            directory: tempfile::tempdir().context("no temporary directory")?,
        })
    }

    /// Makes our end: signed by `signer`, trusting the trusted authority.
    pub(crate) fn context(&self, name: &str, signer: Signer) -> Result<Context> {
        let config = ContextConfig::new(self.issue(name, signer)?, vec![self.trusted.to_root()]);
        Context::new(config).context("our own context is refused")
    }

    /// Writes the files of the other end: signed by `signer`, trusting the trusted authority.
    pub(crate) fn files(&self, name: &str, signer: Signer) -> Result<PeerFiles> {
        let identity = self.issue(name, signer)?;
        let path = |suffix: &str| self.directory.path().join(format!("{name}.{suffix}"));
        let files = PeerFiles {
            certificate: path("certificate.pem"),
            key: path("key.pem"),
            roots: path("roots.pem"),
            key_hash: identity.key_hash(),
        };
        fs::write(&files.certificate, identity.certificates_to_pem()?)?;
        fs::write(&files.key, identity.key_to_pem()?)?;
        fs::write(&files.roots, self.trusted.certificate_to_pem()?)?;
        Ok(files)
    }

    fn issue(&self, name: &str, signer: Signer) -> Result<Identity> {
        let authority = match signer {
            Signer::Trusted => &self.trusted,
            Signer::Stranger => &self.stranger,
        };
        Ok(authority.issue(name, validity()?)?)
    }
}

fn validity() -> Result<Validity> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    Ok(Validity::days(i64::try_from(now)?, 1))
}
