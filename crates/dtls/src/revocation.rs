//! Lists of certificates that their authority has taken back (RFC 5280, 5).

use std::fmt;
use std::sync::Arc;

use openssl::error::ErrorStack;
use openssl::x509::{CrlStatus, X509Crl, X509Ref};

use crate::identity::unix_seconds_of;

/// What ends each list in a PEM file.
const PEM_END: &str = "-----END X509 CRL-----";

/// What an authority has revoked.
#[derive(Clone)]
pub struct RevocationList(Arc<X509Crl>);

/// The text holds no list that could be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it holds no readable PEM list of revoked certificates (-----BEGIN X509 CRL-----)")]
pub struct NoRevocationList;

impl RevocationList {
    pub(crate) fn new(list: X509Crl) -> Self {
        Self(Arc::new(list))
    }

    /// Reads one or more lists from PEM.
    ///
    /// # Errors
    /// When there is none, or one that cannot be read.
    pub fn from_pem(pem: &[u8]) -> Result<Vec<Self>, NoRevocationList> {
        let text = std::str::from_utf8(pem).map_err(|_| NoRevocationList)?;
        let blocks = text.split_inclusive(PEM_END).filter(|block| block.contains(PEM_END));
        let read = |block: &str| X509Crl::from_pem(block.as_bytes()).map(Self::new);
        let lists: Result<Vec<_>, _> = blocks.map(read).collect();
        let lists = lists.map_err(|_| NoRevocationList)?;
        if lists.is_empty() {
            return Err(NoRevocationList);
        }
        Ok(lists)
    }

    /// Writes it as PEM.
    ///
    /// # Errors
    /// When OpenSSL cannot encode.
    pub fn to_pem(&self) -> Result<Vec<u8>, ErrorStack> {
        self.0.to_pem()
    }

    /// Returns whether a root signed it.
    #[must_use]
    pub fn is_issued_by(&self, root: &X509Ref) -> bool {
        let verified = root.public_key().and_then(|key| self.0.verify(&key)).unwrap_or(false);
        // A signature that does not verify leaves its reason in this thread's error queue.
        drop(ErrorStack::get());
        verified
    }

    /// Returns when the next one is due, in seconds since 1970.
    #[must_use]
    pub fn next_update(&self) -> Option<i64> {
        self.0.next_update().and_then(unix_seconds_of)
    }

    /// Returns how many certificates it names.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.get_revoked().map_or(0, |revoked| revoked.len())
    }

    /// Returns whether it names none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns whether it names a certificate's number; numbers are those of one issuer.
    #[must_use]
    pub fn names(&self, certificate: &X509Ref) -> bool {
        match self.0.get_by_serial(certificate.serial_number()) {
            CrlStatus::Revoked(_) => true,
            CrlStatus::NotRevoked | CrlStatus::RemoveFromCrl(_) => false,
        }
    }
}

impl fmt::Debug for RevocationList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RevocationList").field("len", &self.len()).finish_non_exhaustive()
    }
}
