//! What a node signs with the key of its certificate, and whether somebody else signed something: the
//! same keys and the same roots as those of sessions.

use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::pkey::{HasParams, HasPrivate, HasPublic, Id, PKeyRef};
use openssl::sign::{Signer, Verifier};
use openssl::stack::Stack;
use openssl::x509::{X509, X509StoreContext};

use crate::context::Context;
use crate::identity::KeyHash;

impl Context {
    /// Returns our certificate in DER.
    ///
    /// # Errors
    /// When OpenSSL cannot encode it.
    pub fn certificate_der(&self) -> Result<Vec<u8>, ErrorStack> {
        self.ssl().certificate().ok_or_else(ErrorStack::get)?.to_der()
    }

    /// Signs a message with the key of our certificate. The message must say what the signature is for,
    /// or one made for one purpose would serve another.
    ///
    /// # Errors
    /// When OpenSSL refuses the key.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, ErrorStack> {
        let key = self.ssl().private_key().ok_or_else(ErrorStack::get)?;
        signer(key)?.sign_oneshot_to_vec(message)
    }

    /// Returns the name of the key that signed a message, if it is that of this certificate and one of
    /// our roots issued the certificate and has not revoked it; `None` for anything else.
    #[must_use]
    pub fn signed_by(&self, certificate: &[u8], message: &[u8], signature: &[u8]) -> Option<KeyHash> {
        let key = self.check_signed(certificate, message, signature);
        // What does not verify leaves its reasons in this thread's error queue.
        drop(ErrorStack::get());
        key.ok().flatten()
    }

    /// Returns whether one of our roots issued this certificate and has not revoked it, and its holder is
    /// a member.
    #[must_use]
    pub fn trusts(&self, certificate: &[u8]) -> bool {
        let trusted = self.check_trusted(certificate);
        drop(ErrorStack::get());
        matches!(trusted, Ok(Some(_)))
    }

    fn check_signed(
        &self,
        der: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<Option<KeyHash>, ErrorStack> {
        let Some((certificate, signer)) = self.check_trusted(der)? else {
            return Ok(None);
        };
        let key = certificate.public_key()?;
        Ok(verifier(&key)?.verify_oneshot(signature, message)?.then_some(signer))
    }

    fn check_trusted(&self, der: &[u8]) -> Result<Option<(X509, KeyHash)>, ErrorStack> {
        let certificate = X509::from_der(der)?;
        // OpenSSL overlooks bytes behind the certificate; one certificate has one form.
        if certificate.to_der()? != der {
            return Ok(None);
        }
        let chain = Stack::new()?;
        let is_trusted =
            X509StoreContext::new()?
                .init(self.ssl().cert_store(), &certificate, &chain, |store| store.verify_cert())?;
        let key = KeyHash::of(&certificate)?;
        let is_good = is_trusted && self.rules().judge(&certificate, &key).is_ok();
        Ok(is_good.then_some((certificate, key)))
    }
}

fn signer<T: HasPrivate>(key: &PKeyRef<T>) -> Result<Signer<'_>, ErrorStack> {
    if signs_without_digest(key.id()) {
        return Signer::new_without_digest(key);
    }
    Signer::new(MessageDigest::sha256(), key)
}

fn verifier<T: HasPublic + HasParams>(key: &PKeyRef<T>) -> Result<Verifier<'_>, ErrorStack> {
    if signs_without_digest(key.id()) {
        return Verifier::new_without_digest(key);
    }
    Verifier::new(MessageDigest::sha256(), key)
}

/// RFC 8032: Ed25519 and Ed448 hash for themselves.
fn signs_without_digest(id: Id) -> bool {
    id == Id::ED25519 || id == Id::ED448
}
