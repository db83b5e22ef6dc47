//! Whom a node trusts and admits: its own certificate, roots, what is revoked, members, pinned keys.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use peerbound_dtls::{
    Context, ContextConfig, Identity, IdentityError, MemberRule, RevocationList, SelfSigned, X509,
    check_validity,
};
use peerbound_node::node_id;
use peerbound_wire::NodeId;
use serde::Deserialize;

use crate::config::error::ConfigError;
use crate::config::file::{ConfigFile, RoutingFile};
use crate::config::valid::Validation;

/// Members of one list: 16384 x about 100 bytes = 1.6 MB, as many as there are routes to.
const MEMBERS_MAX: usize = 16_384;

/// The values of `admission`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AdmissionFile {
    /// A neighbour shows a certificate that one of our roots issued.
    #[default]
    Certified,
    /// A neighbour shows any certificate: its key, by its id, is all that counts.
    Pinned,
}

/// Who we are, and whom we trust.
pub(crate) struct Trusting {
    pub(crate) identity: Identity,
    pub(crate) context: Context,
}

/// Who is on a list of members.
#[derive(Debug, Default, PartialEq, Eq)]
struct Members {
    ids: BTreeSet<NodeId>,
    names: BTreeSet<String>,
}

impl Validation<'_> {
    pub(crate) fn trusting(&self, file: &ConfigFile) -> Result<Trusting, ConfigError> {
        let certificate_path = self.base.join(&file.node.certificate);
        let identity = self.identity(file, &certificate_path)?;
        let is_pinned = file.node.admission == AdmissionFile::Pinned;
        let roots = if is_pinned { self.no_roots(file)? } else { self.roots(file, &identity)? };
        let revoked = self.revoked(file, &roots)?;
        let members = match &file.node.allow {
            Some(path) => Some(self.members(path)?),
            None => None,
        };
        let self_signed = if is_pinned { SelfSigned::WherePinned } else { SelfSigned::Refused };
        let config =
            ContextConfig { revoked, members, self_signed, ..ContextConfig::new(identity.clone(), roots) };
        let context =
            Context::new(config).map_err(|source| ConfigError::Context { file: certificate_path, source })?;
        Ok(Trusting { identity, context })
    }

    fn identity(&self, file: &ConfigFile, certificate_path: &Path) -> Result<Identity, ConfigError> {
        let key_path = self.base.join(&file.node.key);
        let certificate = self.read(&file.node.certificate, "node.certificate")?;
        let key = self.read(&file.node.key, "node.key")?;
        if is_encrypted(&key) {
            let path = key_path.display();
            let problem = format!(
                "{path} is encrypted, and a node starts without a passphrase: decrypt it with `openssl pkey`"
            );
            return Err(self.value("node.key", problem));
        }
        let identity = Identity::from_pem(&certificate, &key).map_err(|source| ConfigError::Identity {
            file: match source {
                IdentityError::NoKey | IdentityError::WrongPassphrase | IdentityError::KeyMismatch { .. } => {
                    key_path
                }
                IdentityError::NoCertificate
                | IdentityError::Expired { .. }
                | IdentityError::NotYetValid { .. }
                | IdentityError::Openssl(_) => certificate_path.to_owned(),
            },
            source,
        })?;
        identity
            .check_validity(self.unix_seconds)
            .map_err(|source| ConfigError::Identity { file: certificate_path.to_owned(), source })?;
        Ok(identity)
    }

    /// A pinned key is vouched for by our own file: what belongs to certificates means nothing beside it.
    fn no_roots(&self, file: &ConfigFile) -> Result<Vec<X509>, ConfigError> {
        let idle = [
            ("node.roots", !file.node.roots.is_empty()),
            ("node.crl", !file.node.crl.is_empty()),
            ("node.allow", file.node.allow.is_some()),
        ];
        if let Some((key, _)) = idle.iter().find(|(_, is_there)| *is_there) {
            let problem = "means nothing where keys are pinned, for the neighbours' ids decide: remove it, or write `admission = \"certified\"`";
            return Err(self.value(key, problem.to_owned()));
        }
        if file.node.routing == Some(RoutingFile::Dynamic) {
            let problem = "dynamic routing takes roots, by which nodes further away are believed: write `admission = \"certified\"`, or `routing = \"static\"`";
            return Err(self.value("node.routing", problem.to_owned()));
        }
        Ok(Vec::new())
    }

    fn roots(&self, file: &ConfigFile, identity: &Identity) -> Result<Vec<X509>, ConfigError> {
        let mut roots = Vec::new();
        for path in &file.node.roots {
            let certificates = self.certificates(path, "node.roots")?;
            for certificate in &certificates {
                check_validity(certificate, self.unix_seconds)
                    .map_err(|source| ConfigError::Identity { file: self.base.join(path), source })?;
            }
            roots.extend(certificates);
        }
        if roots.is_empty() {
            return Err(self.value("node.roots", "name at least one file with a root certificate".to_owned()));
        }
        if !roots.iter().any(|root| identity.is_issued_by(root)) {
            let problem = format!(
                "none of these roots issued our certificate {:?}, and neighbours that trust them would refuse it: add the root that did",
                identity.name()
            );
            return Err(self.value("node.roots", problem));
        }
        if file.node.routing == Some(RoutingFile::Dynamic) && identity.has_chain() {
            let problem = "dynamic routing takes a certificate that a root issued itself, and ours has others in between: have the root issue one, or write `routing = \"static\"`";
            return Err(self.value("node.routing", problem.to_owned()));
        }
        Ok(roots)
    }

    /// A list that is past its next update goes on to count, and is warned of: a mesh must not end because
    /// somebody was on holiday.
    fn revoked(&self, file: &ConfigFile, roots: &[X509]) -> Result<Vec<RevocationList>, ConfigError> {
        let mut lists = Vec::new();
        for path in &file.node.crl {
            let named = self.base.join(path);
            let shown = named.display();
            let of_file = RevocationList::from_pem(&self.read(path, "node.crl")?)
                .map_err(|error| self.value("node.crl", format!("{shown}: {error}")))?;
            for list in of_file {
                if !roots.iter().any(|root| list.is_issued_by(root)) {
                    let problem = format!(
                        "{shown} is of none of our roots: name the list of an authority that stands in `roots`"
                    );
                    return Err(self.value("node.crl", problem));
                }
                if list.next_update().is_some_and(|due| due < self.unix_seconds) {
                    tracing::warn!(file = %shown, "The next list of revoked certificates is overdue");
                }
                lists.push(list);
            }
        }
        Ok(lists)
    }

    fn members(&self, path: &PathBuf) -> Result<MemberRule, ConfigError> {
        let bytes = self.read(path, "node.allow")?;
        let shown = self.base.join(path);
        let members = Members::parse(&String::from_utf8_lossy(&bytes))
            .map_err(|problem| self.value("node.allow", format!("{}: {problem}", shown.display())))?;
        Ok(Arc::new(move |key, name| members.ids.contains(&node_id(key)) || members.names.contains(name)))
    }
}

impl Members {
    /// Reads one id or name a line; what stands behind a `#` is a remark.
    fn parse(text: &str) -> Result<Self, String> {
        let mut members = Self::default();
        for (number, line) in (1..).zip(text.lines()) {
            let member = line.split('#').next().unwrap_or_default().trim();
            if member.is_empty() {
                continue;
            }
            if member.chars().count() > 64 || member.chars().any(char::is_control) {
                return Err(format!(
                    "line {number} is no member: write an id or a name of 64 characters at most"
                ));
            }
            match member.parse() {
                Ok(id) => members.ids.insert(id),
                Err(_) => members.names.insert(member.to_owned()),
            };
            if members.ids.len() + members.names.len() > MEMBERS_MAX {
                return Err(format!(
                    "more than {MEMBERS_MAX} members: have the authority revoke others instead"
                ));
            }
        }
        Ok(members)
    }
}

/// PEM says in its first line, or in a header below it, that a key is encrypted.
fn is_encrypted(key: &[u8]) -> bool {
    let text = String::from_utf8_lossy(key);
    text.lines()
        .any(|line| line.starts_with("-----BEGIN ENCRYPTED") || line.starts_with("Proc-Type: 4,ENCRYPTED"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_members_holds_ids_names_and_remarks() {
        let text = "# the hillside\nrelay-1\n\n1150963baa2e3c0adc849a2ac56dc5f0  # the printer\n";

        let members = Members::parse(text).unwrap();

        assert_eq!(members.names, BTreeSet::from(["relay-1".to_owned()]));
        assert_eq!(members.ids.len(), 1);
    }

    #[test]
    fn a_line_that_is_no_member_is_named() {
        let error = Members::parse(&format!("relay-1\n{}\n", "x".repeat(65))).unwrap_err();

        assert!(error.starts_with("line 2 is no member"), "{error}");
    }

    #[test]
    fn there_are_no_more_members_than_there_is_room_for() {
        let text: String = (0..=MEMBERS_MAX).map(|number| format!("node-{number}\n")).collect();

        assert!(Members::parse(&text).unwrap_err().contains("more than 16384 members"));
    }
}
