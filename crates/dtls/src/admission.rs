//! Whom a session admits, asked inside the handshake and once more after it.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use crate::identity::KeyHash;

/// Whose certificate a session accepts, on top of the chain of trust.
#[derive(Clone, Default)]
pub enum Admission {
    /// Everyone whose certificate a trusted root signed.
    #[default]
    AnyTrusted,
    /// The holders of these keys.
    OneOf(Arc<BTreeSet<KeyHash>>),
    /// Whoever the caller's rule names, by the hash of the key.
    Rule(Arc<dyn Fn(&KeyHash) -> bool + Send + Sync>),
}

impl Admission {
    /// Admits one key and no other.
    #[must_use]
    pub fn only(key: KeyHash) -> Self {
        Self::OneOf(Arc::new(BTreeSet::from([key])))
    }

    pub(crate) fn admits(&self, key: &KeyHash) -> bool {
        match self {
            Self::AnyTrusted => true,
            Self::OneOf(keys) => keys.contains(key),
            Self::Rule(rule) => rule(key),
        }
    }
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AnyTrusted => f.write_str("AnyTrusted"),
            Self::OneOf(keys) => f.debug_tuple("OneOf").field(keys).finish(),
            Self::Rule(_) => f.write_str("Rule(..)"),
        }
    }
}

/// Why a peer's certificate was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The chain does not verify; the text is OpenSSL's reason.
    Certificate {
        /// The common name the certificate claims.
        name: String,
        /// As "certificate has expired".
        reason: String,
    },
    /// The certificate is trusted, and its holder is not admitted.
    NotAdmitted {
        /// The common name in the certificate.
        name: String,
        /// The hash of its key.
        key: KeyHash,
    },
    /// The certificate is trusted, and its holder is not on the list of members.
    NotAMember {
        /// The common name in the certificate.
        name: String,
        /// The hash of its key.
        key: KeyHash,
    },
    /// The peer did not agree to the extended master secret (RFC 7627).
    NoExtendedMasterSecret,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certificate { name, reason } => {
                write!(f, "the certificate of \"{name}\" is refused: {reason}")
            }
            Self::NotAdmitted { name, .. } => {
                write!(f, "\"{name}\" has a trusted certificate but is not admitted here")
            }
            Self::NotAMember { name, .. } => {
                write!(f, "\"{name}\" has a trusted certificate and is not on the list of members")
            }
            Self::NoExtendedMasterSecret => {
                f.write_str("the peer does not do extended master secret (RFC 7627)")
            }
        }
    }
}
