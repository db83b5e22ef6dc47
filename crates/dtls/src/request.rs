//! A key that its holder made, and the request to certify it (PKCS #10, RFC 2986): the private key never
//! leaves the one who made it.

use std::fmt;

use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private, Public};
use openssl::x509::{X509, X509Req};

use crate::authority::{common_name, p256_key};
use crate::identity::{Identity, IdentityError};

/// A key that is not certified yet.
pub struct NewKey(PKey<Private>);

/// A request whose signature was verified: whoever made it has the key.
pub struct CertificateRequest(X509Req);

/// Why some bytes are no request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// They cannot be read.
    #[error("it is no certificate request")]
    Unreadable,
    /// The request is not signed with the key in it, so its sender may not have that key.
    #[error("the request is not signed with the key that it is for")]
    NotSigned,
}

impl NewKey {
    /// Makes a P-256 key.
    ///
    /// # Errors
    /// When OpenSSL cannot.
    pub fn generate() -> Result<Self, ErrorStack> {
        p256_key().map(Self)
    }

    /// Reads an unencrypted key from PEM.
    ///
    /// # Errors
    /// When there is none.
    pub fn from_pem(key: &[u8]) -> Result<Self, IdentityError> {
        PKey::private_key_from_pem_callback(key, |_| Ok(0)).map(Self).map_err(|_| IdentityError::NoKey)
    }

    /// Asks for a certificate, in DER.
    ///
    /// # Errors
    /// When OpenSSL refuses the name.
    pub fn request(&self, name: &str) -> Result<Vec<u8>, ErrorStack> {
        let mut builder = X509Req::builder()?;
        builder.set_version(0)?;
        builder.set_subject_name(common_name(name)?.as_ref())?;
        builder.set_pubkey(&self.0)?;
        builder.sign(&self.0, MessageDigest::sha256())?;
        builder.build().to_der()
    }

    /// Writes the private key as unencrypted PKCS#8 PEM.
    ///
    /// # Errors
    /// When OpenSSL cannot encode.
    pub fn to_pem(&self) -> Result<Vec<u8>, ErrorStack> {
        self.0.private_key_to_pem_pkcs8()
    }

    /// Joins it with its certificate.
    ///
    /// # Errors
    /// [`IdentityError::KeyMismatch`] when the certificate is for another key.
    pub fn certified(self, certificate: X509) -> Result<Identity, IdentityError> {
        Identity::new(certificate, Vec::new(), self.0)
    }
}

impl CertificateRequest {
    /// Reads a request from DER and verifies that its sender has the key.
    ///
    /// # Errors
    /// [`RequestError`] for anything else.
    pub fn from_der(der: &[u8]) -> Result<Self, RequestError> {
        let read = X509Req::from_der(der).and_then(|request| Ok((request.public_key()?, request)));
        let verified = read.map(|(key, request)| (request.verify(&key).unwrap_or(false), request));
        // What does not verify leaves its reasons in this thread's error queue.
        drop(ErrorStack::get());
        match verified {
            Ok((true, request)) => Ok(Self(request)),
            Ok((false, _)) => Err(RequestError::NotSigned),
            Err(_) => Err(RequestError::Unreadable),
        }
    }

    /// Returns the public key in DER (SubjectPublicKeyInfo).
    ///
    /// # Errors
    /// When OpenSSL cannot encode it.
    pub fn key_der(&self) -> Result<Vec<u8>, ErrorStack> {
        self.key()?.public_key_to_der()
    }

    pub(crate) fn key(&self) -> Result<PKey<Public>, ErrorStack> {
        self.0.public_key()
    }
}

impl fmt::Debug for NewKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NewKey(..)")
    }
}

impl fmt::Debug for CertificateRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CertificateRequest(..)")
    }
}
