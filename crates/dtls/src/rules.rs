//! Whom a context believes besides what OpenSSL verifies: what is revoked, who is on the list of members,
//! and whether a key may vouch for itself.

use std::fmt;
use std::sync::Arc;

use openssl::x509::{X509, X509Ref};

use crate::admission::Refusal;
use crate::identity::{KeyHash, common_name};
use crate::revocation::RevocationList;

/// What OpenSSL says of a revoked certificate (X509_V_ERR_CERT_REVOKED), in its words.
const REVOKED: &str = "certificate revoked";

/// Says whether the holder of a key, whose certificate has this common name, is a member.
pub type MemberRule = Arc<dyn Fn(&KeyHash, &str) -> bool + Send + Sync>;

/// What becomes of a certificate that its own key signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SelfSigned {
    /// It is refused, as every certificate that no root issued.
    #[default]
    Refused,
    /// It is accepted from whoever is admitted by his key: the keys are pinned, and no authority is asked.
    WherePinned,
}

/// The rules of one context.
#[derive(Clone)]
pub(crate) struct Rules {
    pub(crate) self_signed: SelfSigned,
    /// Each with the root that issued it.
    lists: Vec<(X509, RevocationList)>,
    members: Option<MemberRule>,
}

impl fmt::Debug for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rules")
            .field("self_signed", &self.self_signed)
            .field("lists", &self.lists.len())
            .field("has_members", &self.members.is_some())
            .finish()
    }
}

impl Rules {
    /// Keeps the lists that one of the roots issued; others say nothing.
    pub(crate) fn new(
        self_signed: SelfSigned,
        roots: &[X509],
        lists: &[RevocationList],
        members: Option<MemberRule>,
    ) -> Self {
        let issued = |list: &RevocationList| {
            let root = roots.iter().find(|root| list.is_issued_by(root))?;
            Some((root.clone(), list.clone()))
        };
        Self { self_signed, lists: lists.iter().filter_map(issued).collect(), members }
    }

    /// Returns whether a list of its issuer names a certificate. A list that is past its next update goes
    /// on to say what it said: it may lack something, and what it has was never taken back.
    pub(crate) fn is_revoked(&self, certificate: &X509Ref) -> bool {
        self.lists.iter().any(|(root, list)| list.names(certificate) && is_issuer(root, certificate))
    }

    /// Judges a trusted certificate by what is revoked, and who is a member.
    pub(crate) fn judge(&self, certificate: &X509Ref, key: &KeyHash) -> Result<(), Refusal> {
        let name = common_name(certificate);
        if self.is_revoked(certificate) {
            return Err(revoked(name));
        }
        match &self.members {
            Some(is_member) if !is_member(key, &name) => Err(Refusal::NotAMember { name, key: *key }),
            Some(_) | None => Ok(()),
        }
    }
}

pub(crate) fn revoked(name: String) -> Refusal {
    Refusal::Certificate { name, reason: REVOKED.to_owned() }
}

/// By names and key identifiers: of two authorities of one name, each revokes its own certificates.
fn is_issuer(root: &X509Ref, certificate: &X509Ref) -> bool {
    root.issued(certificate) == openssl::x509::X509VerifyResult::OK
}
