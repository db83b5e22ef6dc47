//! The files of the nodes: certificates by a throw-away authority, and a configuration for each.

use std::fs;
use std::path::{Path, PathBuf};

use peerbound_daemon::unix_seconds;
use peerbound_dtls::{Authority, Validity};
use peerbound_lab::topology::Topology;
use peerbound_node::node_id;
use peerbound_wire::NodeId;
use tempfile::TempDir;

use crate::outcome::Failure;
use crate::pki::{Secrecy, about, write_new};

/// Days that the certificates are valid: longer than anybody leaves a topology running by hand.
const CERTIFICATE_DAYS: u32 = 90;

/// Where the files of a run are: in a folder that goes with it, or one that stays.
pub(super) enum Folder {
    /// It goes with the run.
    Temporary(TempDir),
    /// Somebody wants to keep it.
    Kept(PathBuf),
}

impl Folder {
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Temporary(folder) => folder.path(),
            Self::Kept(path) => path,
        }
    }
}

/// Writes everything that the nodes read; returns the id of each.
pub(super) fn write(topology: &Topology, folder: &Path) -> Result<Vec<NodeId>, Failure> {
    let pki = folder.join(Topology::PKI_FOLDER);
    fs::create_dir(&pki).map_err(|error| about(&pki, "cannot be made", error))?;
    let validity = Validity::days(unix_seconds(), CERTIFICATE_DAYS);
    let name = format!("{} (throw-away)", topology.name);
    // A common name has 64 characters at most, and that of a scenario may have as many.
    let name: String = name.chars().take(64).collect();
    let authority = Authority::generate(&name, validity).map_err(Failure::world)?;
    let root = authority.certificate_to_pem().map_err(Failure::world)?;
    write_new(&pki.join("ca.pem"), &root, Secrecy::Public)?;
    let key = authority.key_to_pem(None).map_err(Failure::world)?;
    write_new(&pki.join("ca.key"), &key, Secrecy::Owner)?;
    let mut ids = Vec::new();
    for node in &topology.nodes {
        let identity = authority.issue(&node.name, validity).map_err(Failure::world)?;
        let certificate = identity.certificates_to_pem().map_err(Failure::world)?;
        let key = identity.key_to_pem().map_err(Failure::world)?;
        write_new(&pki.join(format!("{}.pem", node.name)), &certificate, Secrecy::Public)?;
        write_new(&pki.join(format!("{}.key", node.name)), &key, Secrecy::Owner)?;
        let config = topology.config_of(node);
        write_new(&folder.join(node.config_file()), config.as_bytes(), Secrecy::Public)?;
        ids.push(node_id(&identity.key_hash()));
    }
    Ok(ids)
}
