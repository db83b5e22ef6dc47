//! Who a session speaks for and with: a certificate with its key, and the hash of a key as its name.

use std::fmt;

use openssl::asn1::{Asn1Time, Asn1TimeRef};
use openssl::error::ErrorStack;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::sha::sha256;
use openssl::x509::{X509, X509NameRef, X509Ref};

use crate::spki::subject_public_key_info;

/// Characters of a common name that are shown: as many as it may have (RFC 5280, appendix A.1). OpenSSL
/// reads longer ones, too.
const NAME_CHARACTERS_MAX: usize = 64;

/// SHA-256 over a certificate's SubjectPublicKeyInfo: the name of a key, whoever certifies it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyHash(pub [u8; 32]);

impl KeyHash {
    /// Hashes the public key of a certificate.
    ///
    /// # Errors
    /// When OpenSSL cannot encode the key.
    pub fn of(certificate: &X509Ref) -> Result<Self, ErrorStack> {
        let der = certificate.to_der()?;
        let digest = match subject_public_key_info(&der) {
            Some(info) => sha256(info),
            None => sha256(&certificate.public_key()?.public_key_to_der()?),
        };
        Ok(Self(digest))
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyHash({})", crate::keys::hex(&self.0))
    }
}

/// Returns the common name of a certificate, for people to read; it proves nothing.
#[must_use]
pub fn common_name(certificate: &X509Ref) -> String {
    common_name_in(certificate.subject_name())
}

/// Returns the common name of whoever issued a certificate, for people to read.
#[must_use]
pub fn issuer_name(certificate: &X509Ref) -> String {
    common_name_in(certificate.issuer_name())
}

/// A stranger may have written anything into his own certificate: what is shown of it neither steers a
/// terminal, nor forges a line, nor fills a page.
fn common_name_in(name: &X509NameRef) -> String {
    let text = name.entries_by_nid(Nid::COMMONNAME).next().and_then(|entry| entry.data().to_string().ok());
    let text = text.unwrap_or_else(|| "(no name)".to_owned());
    let shown = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    text.chars().take(NAME_CHARACTERS_MAX).map(shown).collect()
}

/// A certificate, its private key, and the certificates between it and the root.
#[derive(Clone)]
pub struct Identity {
    pub(crate) certificate: X509,
    pub(crate) chain: Vec<X509>,
    pub(crate) key: PKey<Private>,
    key_hash: KeyHash,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("name", &self.name())
            .field("key_hash", &self.key_hash)
            .finish_non_exhaustive()
    }
}

/// Why some PEM text is no usable identity or set of roots.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The text holds no certificate that could be read.
    #[error("it holds no readable PEM certificate")]
    NoCertificate,
    /// The text holds no private key that could be read without a passphrase.
    #[error("it holds no readable PEM private key (node keys must not be encrypted)")]
    NoKey,
    /// The passphrase does not open the key.
    #[error("the key cannot be decrypted: the passphrase is wrong, or missing")]
    WrongPassphrase,
    /// Certificate and key are not of one pair.
    #[error("the private key does not belong to the certificate of \"{name}\"")]
    KeyMismatch {
        /// The certificate's common name.
        name: String,
    },
    /// The certificate is not valid any more.
    #[error("the certificate of \"{name}\" expired on {not_after}: issue another one")]
    Expired {
        /// The certificate's common name.
        name: String,
        /// When it expired.
        not_after: String,
    },
    /// The certificate is not valid yet.
    #[error("the certificate of \"{name}\" is not valid before {not_before}: check the clock")]
    NotYetValid {
        /// The certificate's common name.
        name: String,
        /// When it becomes valid.
        not_before: String,
    },
    /// OpenSSL refused something else.
    #[error("OpenSSL refused")]
    Openssl(#[from] ErrorStack),
}

impl Identity {
    /// Joins a certificate and its key.
    ///
    /// # Errors
    /// [`IdentityError::KeyMismatch`] when they are not of one pair.
    pub fn new(certificate: X509, chain: Vec<X509>, key: PKey<Private>) -> Result<Self, IdentityError> {
        if !certificate.public_key()?.public_eq(&key) {
            return Err(IdentityError::KeyMismatch { name: common_name(&certificate) });
        }
        let key_hash = KeyHash::of(&certificate)?;
        Ok(Self { certificate, chain, key, key_hash })
    }

    /// Reads an identity from PEM: the leaf certificate first, then its chain; and an unencrypted key.
    ///
    /// # Errors
    /// Says which of the two texts is wrong, or that they do not belong together.
    pub fn from_pem(certificates: &[u8], key: &[u8]) -> Result<Self, IdentityError> {
        let mut certificates = read_certificates(certificates)?.into_iter();
        let leaf = certificates.next().ok_or(IdentityError::NoCertificate)?;
        // The callback answers "no passphrase", or OpenSSL would ask for one on the terminal.
        let key = PKey::private_key_from_pem_callback(key, |_| Ok(0)).map_err(|_| IdentityError::NoKey)?;
        Self::new(leaf, certificates.collect(), key)
    }

    /// Checks that the certificate is valid at a moment, in seconds since 1970.
    ///
    /// # Errors
    /// [`IdentityError::Expired`] or [`IdentityError::NotYetValid`].
    pub fn check_validity(&self, unix_seconds: i64) -> Result<(), IdentityError> {
        check_validity(&self.certificate, unix_seconds)
    }

    /// Says whether `root` signed our certificate, or the last one of our chain.
    #[must_use]
    pub fn is_issued_by(&self, root: &X509Ref) -> bool {
        let last = self.chain.last().unwrap_or(&self.certificate);
        let verified = root.public_key().and_then(|key| last.verify(&key)).unwrap_or(false);
        // A signature that does not verify leaves its reason in this thread's error queue.
        drop(ErrorStack::get());
        verified
    }

    /// Returns whether there are certificates between ours and the root.
    #[must_use]
    pub fn has_chain(&self) -> bool {
        !self.chain.is_empty()
    }

    /// Returns the hash of the public key.
    #[must_use]
    pub fn key_hash(&self) -> KeyHash {
        self.key_hash
    }

    /// Returns the common name of the certificate.
    #[must_use]
    pub fn name(&self) -> String {
        common_name(&self.certificate)
    }

    /// Returns the certificate.
    #[must_use]
    pub fn certificate(&self) -> &X509Ref {
        &self.certificate
    }

    /// Writes the certificate and its chain as PEM.
    ///
    /// # Errors
    /// When OpenSSL cannot encode.
    pub fn certificates_to_pem(&self) -> Result<Vec<u8>, ErrorStack> {
        let mut pem = self.certificate.to_pem()?;
        for certificate in &self.chain {
            pem.extend(certificate.to_pem()?);
        }
        Ok(pem)
    }

    /// Writes the private key as unencrypted PKCS#8 PEM.
    ///
    /// # Errors
    /// When OpenSSL cannot encode.
    pub fn key_to_pem(&self) -> Result<Vec<u8>, ErrorStack> {
        self.key.private_key_to_pem_pkcs8()
    }
}

/// Checks that a certificate is valid at a moment, in seconds since 1970.
///
/// # Errors
/// [`IdentityError::Expired`] or [`IdentityError::NotYetValid`].
pub fn check_validity(certificate: &X509Ref, unix_seconds: i64) -> Result<(), IdentityError> {
    let moment = Asn1Time::from_unix(unix_seconds)?;
    let name = || common_name(certificate);
    if certificate.not_after() < moment {
        return Err(IdentityError::Expired { name: name(), not_after: certificate.not_after().to_string() });
    }
    if certificate.not_before() > moment {
        return Err(IdentityError::NotYetValid {
            name: name(),
            not_before: certificate.not_before().to_string(),
        });
    }
    Ok(())
}

/// Returns the number that its issuer gave a certificate, in hexadecimal.
///
/// # Errors
/// When OpenSSL cannot write it.
pub fn serial_number(certificate: &X509Ref) -> Result<String, ErrorStack> {
    Ok(certificate.serial_number().to_bn()?.to_hex_str()?.to_string())
}

/// Returns the last second of a certificate's validity, in seconds since 1970.
#[must_use]
pub fn expires_at(certificate: &X509Ref) -> Option<i64> {
    unix_seconds_of(certificate.not_after())
}

/// Returns the URIs among the names of a certificate's holder (subjectAltName, RFC 5280, 4.2.1.6): what the
/// authority says of it besides.
#[must_use]
pub fn uri_names(certificate: &X509Ref) -> Vec<String> {
    let names = certificate.subject_alt_names();
    names.iter().flatten().filter_map(|name| name.uri().map(str::to_owned)).collect()
}

pub(crate) fn unix_seconds_of(moment: &Asn1TimeRef) -> Option<i64> {
    let since = Asn1Time::from_unix(0).ok()?.diff(moment).ok()?;
    Some(i64::from(since.days) * 24 * 3600 + i64::from(since.secs))
}

/// Reads one or more certificates from PEM.
///
/// # Errors
/// [`IdentityError::NoCertificate`] when there is none.
pub fn read_certificates(pem: &[u8]) -> Result<Vec<X509>, IdentityError> {
    let certificates = X509::stack_from_pem(pem).map_err(|_| IdentityError::NoCertificate)?;
    if certificates.is_empty() {
        return Err(IdentityError::NoCertificate);
    }
    Ok(certificates)
}
