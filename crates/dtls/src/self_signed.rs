//! Certificates that their own key signs: for nodes whose keys are pinned, which need no authority.

use openssl::error::ErrorStack;
use openssl::x509::{X509, X509Ref};

use crate::authority::{Certification, Issuer, certify, p256_key};
use crate::identity::{Identity, IdentityError};

impl Identity {
    /// Makes a fresh P-256 key and lets it sign a certificate for itself.
    ///
    /// # Errors
    /// When OpenSSL refuses, as for a name longer than 64 characters.
    pub fn self_signed(what: &Certification<'_>) -> Result<Self, IdentityError> {
        let key = p256_key()?;
        let certificate = certify(what, &key, &Issuer { certificate: None, key: &key })?;
        Self::new(certificate, Vec::new(), key)
    }

    /// Lets the key sign another certificate for itself: whoever is named by its key keeps its name.
    ///
    /// # Errors
    /// When OpenSSL refuses.
    pub fn renew_self_signed(&self, what: &Certification<'_>) -> Result<X509, ErrorStack> {
        certify(what, &self.key, &Issuer { certificate: None, key: &self.key })
    }
}

/// Returns whether a certificate is signed by its own key.
#[must_use]
pub fn is_self_signed(certificate: &X509Ref) -> bool {
    // What cannot be read is signed by nobody. The names alone would not do: anybody writes them.
    certificate.public_key().and_then(|key| certificate.verify(&key)).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authority::{Authority, Validity};

    const TODAY: Validity = Validity { not_before: 1_700_000_000, not_after: 1_700_086_400 };

    #[test]
    fn a_key_vouches_for_itself_and_goes_on_to_when_its_certificate_is_renewed() {
        let first =
            Identity::self_signed(&Certification { name: "left", uris: &[], validity: TODAY }).unwrap();
        let longer = Validity { not_after: TODAY.not_after + 86_400, ..TODAY };

        let renewed =
            first.renew_self_signed(&Certification { name: "left", uris: &[], validity: longer }).unwrap();

        assert!(is_self_signed(first.certificate()) && is_self_signed(&renewed));
        assert_eq!(crate::KeyHash::of(&renewed).unwrap(), first.key_hash());
        assert_ne!(renewed.not_after().to_string(), first.certificate().not_after().to_string());
    }

    #[test]
    fn what_an_authority_issued_is_not_self_signed() {
        let authority = Authority::generate("left", TODAY).unwrap();

        let issued = authority.issue("left", TODAY).unwrap();

        assert!(!is_self_signed(issued.certificate()) && is_self_signed(authority.certificate()));
    }
}
