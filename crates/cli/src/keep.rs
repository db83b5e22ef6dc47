//! What a demonstration leaves behind when it is asked to: certificates, key log, report.

use std::fs;
use std::path::Path;

use anyhow::anyhow;
use peerbound_lab::Demo;

use crate::outcome::Failure;
use crate::pki::{Secrecy, about, write_new};

/// Makes the folder, or finds it empty, before anything is demonstrated.
pub(crate) fn prepare(dir: &Path) -> Result<(), Failure> {
    fs::create_dir_all(dir).map_err(|error| about(dir, "cannot be made", error))?;
    let mut entries = fs::read_dir(dir).map_err(|error| about(dir, "cannot be read", error))?;
    if entries.next().is_some() {
        return Err(Failure::Request(anyhow!(
            "{}: is not empty, and nothing is replaced: name another folder",
            dir.display()
        )));
    }
    Ok(())
}

/// Writes everything into the folder that [`prepare`] made.
pub(crate) fn keep(demo: &Demo, dir: &Path) -> Result<(), Failure> {
    let root = demo.cast.authority().certificate_to_pem().map_err(Failure::world)?;
    write_new(&dir.join("ca.pem"), &root, Secrecy::Public)?;
    for identity in demo.cast.identities() {
        let name = identity.name();
        let (certificate, key) = (identity.certificates_to_pem(), identity.key_to_pem());
        write_new(&dir.join(format!("{name}.pem")), &certificate.map_err(Failure::world)?, Secrecy::Public)?;
        write_new(&dir.join(format!("{name}.key")), &key.map_err(Failure::world)?, Secrecy::Owner)?;
    }
    let keylog = demo.tape.keylog.join("\n") + "\n";
    write_new(&dir.join("keylog.txt"), keylog.as_bytes(), Secrecy::Owner)?;
    let report = serde_json::to_vec_pretty(&demo.report).map_err(Failure::world)?;
    write_new(&dir.join("report.json"), &report, Secrecy::Public)
}
