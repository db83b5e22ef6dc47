//! A certificate authority on P-256: makes itself, and issues the certificates of nodes.

use openssl::asn1::Asn1Time;
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{HasPublic, PKey, PKeyRef, Private};
use openssl::rsa::Rsa;
use openssl::symm::Cipher;
use openssl::x509::extension::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAlternativeName,
    SubjectKeyIdentifier,
};
use openssl::x509::{
    CrlNumber, X509, X509Builder, X509CrlBuilder, X509Name, X509NameRef, X509Ref, X509RevokedBuilder,
};

use crate::identity::{Identity, IdentityError, read_certificates};
use crate::request::CertificateRequest;
use crate::revocation::RevocationList;

/// The least that OpenSSL's default security level takes.
const RSA_BITS: u32 = 2048;

/// From when to when a certificate is valid, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// The first second of validity.
    pub not_before: i64,
    /// The last second of validity.
    pub not_after: i64,
}

impl Validity {
    /// Clocks of two hosts differ; a certificate made "now" must be valid on both.
    const CLOCK_SKEW_SECONDS: i64 = 3600;

    /// Starts an hour before `now`, in seconds since 1970, and lasts for `days`.
    #[must_use]
    pub fn days(now: i64, days: u32) -> Self {
        Self { not_before: now - Self::CLOCK_SKEW_SECONDS, not_after: now + i64::from(days) * 24 * 3600 }
    }
}

/// What a certificate says of its holder.
#[derive(Debug, Clone, Copy)]
pub struct Certification<'a> {
    /// Its name: the common name, and a DNS name.
    pub name: &'a str,
    /// URIs among its names: what else the authority says of it.
    pub uris: &'a [String],
    /// From when to when.
    pub validity: Validity,
}

/// A certificate that is taken back.
#[derive(Debug, Clone, Copy)]
pub struct Revoked<'a> {
    /// Its number, in hexadecimal.
    pub serial: &'a str,
    /// Since when, in seconds since 1970.
    pub at: i64,
}

/// A root certificate with its key.
#[derive(Clone)]
pub struct Authority {
    certificate: X509,
    key: PKey<Private>,
}

impl Authority {
    /// Makes an authority with a fresh P-256 key.
    ///
    /// # Errors
    /// When OpenSSL refuses, as for a name longer than 64 characters.
    pub fn generate(name: &str, validity: Validity) -> Result<Self, ErrorStack> {
        let key = p256_key()?;
        let subject = common_name(name)?;
        let mut builder = start(&subject, &subject, &key, validity)?;
        builder.append_extension(BasicConstraints::new().critical().ca().pathlen(0).build()?)?;
        builder.append_extension(KeyUsage::new().critical().key_cert_sign().crl_sign().build()?)?;
        let subject_key = SubjectKeyIdentifier::new().build(&builder.x509v3_context(None, None))?;
        builder.append_extension(subject_key)?;
        builder.sign(&key, MessageDigest::sha256())?;
        Ok(Self { certificate: builder.build(), key })
    }

    /// Reads an authority from PEM. `passphrase` opens an encrypted key and is not looked at otherwise.
    ///
    /// # Errors
    /// Says which text is wrong, or that they do not belong together.
    pub fn from_pem(
        certificate: &[u8],
        key: &[u8],
        passphrase: Option<&[u8]>,
    ) -> Result<Self, IdentityError> {
        let certificate = read_certificates(certificate)?.swap_remove(0);
        let key = PKey::private_key_from_pem_callback(key, |buffer| {
            let passphrase = passphrase.unwrap_or_default();
            let room = buffer.get_mut(..passphrase.len()).ok_or_else(ErrorStack::get)?;
            room.copy_from_slice(passphrase);
            Ok(passphrase.len())
        })
        .map_err(|_| IdentityError::WrongPassphrase)?;
        let Identity { certificate, key, .. } = Identity::new(certificate, Vec::new(), key)?;
        Ok(Self { certificate, key })
    }

    /// Issues a node certificate with a fresh P-256 key.
    ///
    /// # Errors
    /// When OpenSSL refuses, as for a name longer than 64 characters.
    pub fn issue(&self, name: &str, validity: Validity) -> Result<Identity, IdentityError> {
        self.issue_as(&Certification { name, uris: &[], validity })
    }

    /// Issues a certificate with a fresh P-256 key that says more than a name.
    ///
    /// # Errors
    /// When OpenSSL refuses, as for a name longer than 64 characters.
    pub fn issue_as(&self, what: &Certification<'_>) -> Result<Identity, IdentityError> {
        let key = p256_key()?;
        Identity::new(self.certify(what, &key)?, Vec::new(), key)
    }

    /// Issues a certificate with a fresh RSA key of 2048 bits, as the suites of the old note need it.
    ///
    /// # Errors
    /// When OpenSSL refuses, as for a name longer than 64 characters.
    pub fn issue_rsa(&self, name: &str, validity: Validity) -> Result<Identity, IdentityError> {
        let key = PKey::from_rsa(Rsa::generate(RSA_BITS)?)?;
        Identity::new(self.certify(&Certification { name, uris: &[], validity }, &key)?, Vec::new(), key)
    }

    /// Certifies the key of another certificate once more: whoever is named by its key keeps its name.
    ///
    /// # Errors
    /// When OpenSSL refuses.
    pub fn renew(&self, former: &X509Ref, what: &Certification<'_>) -> Result<X509, ErrorStack> {
        let key = former.public_key()?;
        self.certify(what, &key)
    }

    /// Certifies the key of a request. What the request says of itself is not looked at: `what` says it.
    ///
    /// # Errors
    /// When OpenSSL refuses.
    pub fn grant(&self, request: &CertificateRequest, what: &Certification<'_>) -> Result<X509, ErrorStack> {
        let key = request.key()?;
        self.certify(what, &key)
    }

    /// Signs the list of what is revoked. Numbers grow from list to list (RFC 5280, 5.2.3).
    ///
    /// # Errors
    /// When a number is no hexadecimal number, or OpenSSL refuses.
    pub fn revocation_list(
        &self,
        revoked: &[Revoked<'_>],
        number: u32,
        validity: Validity,
    ) -> Result<RevocationList, ErrorStack> {
        let mut builder = X509CrlBuilder::new()?;
        builder.set_issuer_name(self.certificate.subject_name())?;
        builder.set_last_update(Asn1Time::from_unix(validity.not_before)?.as_ref())?;
        builder.set_next_update(Asn1Time::from_unix(validity.not_after)?.as_ref())?;
        let empty = X509::builder()?;
        let context = empty.x509v3_context(Some(&self.certificate), None);
        builder.append_extension(AuthorityKeyIdentifier::new().keyid(true).build(&context)?)?;
        builder.append_extension(CrlNumber::new(BigNum::from_u32(number)?)?.build()?)?;
        for Revoked { serial, at } in revoked {
            let mut entry = X509RevokedBuilder::new()?;
            entry.set_serial_number(BigNum::from_hex_str(serial)?.to_asn1_integer()?.as_ref())?;
            entry.set_revocation_date(Asn1Time::from_unix(*at)?.as_ref())?;
            builder.add_revoked(entry.build())?;
        }
        builder.sort()?;
        builder.sign(&self.key, MessageDigest::sha256())?;
        Ok(RevocationList::new(builder.build()?))
    }

    fn certify<T: HasPublic>(&self, what: &Certification<'_>, key: &PKeyRef<T>) -> Result<X509, ErrorStack> {
        certify(what, key, &Issuer { certificate: Some(&self.certificate), key: &self.key })
    }

    /// Returns the root certificate.
    #[must_use]
    pub fn certificate(&self) -> &X509Ref {
        &self.certificate
    }

    /// Returns the root certificate for a context to trust.
    #[must_use]
    pub fn to_root(&self) -> X509 {
        self.certificate.clone()
    }

    /// Writes the root certificate as PEM.
    ///
    /// # Errors
    /// When OpenSSL cannot encode.
    pub fn certificate_to_pem(&self) -> Result<Vec<u8>, ErrorStack> {
        self.certificate.to_pem()
    }

    /// Writes the key as PKCS#8 PEM, encrypted with AES-256 when a passphrase is given.
    ///
    /// # Errors
    /// When OpenSSL cannot encode.
    pub fn key_to_pem(&self, passphrase: Option<&[u8]>) -> Result<Vec<u8>, ErrorStack> {
        match passphrase {
            Some(passphrase) => {
                self.key.private_key_to_pem_pkcs8_passphrase(Cipher::aes_256_cbc(), passphrase)
            }
            None => self.key.private_key_to_pem_pkcs8(),
        }
    }
}

/// Who signs a certificate.
pub(crate) struct Issuer<'a> {
    /// Its own certificate; none where the holder signs for himself.
    pub(crate) certificate: Option<&'a X509Ref>,
    pub(crate) key: &'a PKeyRef<Private>,
}

/// Makes the certificate of a node.
pub(crate) fn certify<T: HasPublic>(
    what: &Certification<'_>,
    key: &PKeyRef<T>,
    issuer: &Issuer<'_>,
) -> Result<X509, ErrorStack> {
    let Certification { name, uris, validity } = what;
    let subject = common_name(name)?;
    let issued_by = issuer.certificate.map_or(&*subject, |certificate| certificate.subject_name());
    let mut builder = start(&subject, issued_by, key, *validity)?;
    builder.append_extension(BasicConstraints::new().critical().build()?)?;
    builder.append_extension(KeyUsage::new().critical().digital_signature().build()?)?;
    // Either neighbour may dial, so every node is both.
    builder.append_extension(ExtendedKeyUsage::new().server_auth().client_auth().build()?)?;
    let context = builder.x509v3_context(issuer.certificate, None);
    let mut names = SubjectAlternativeName::new();
    names.dns(name);
    uris.iter().for_each(|uri| {
        names.uri(uri);
    });
    let mut extensions = vec![SubjectKeyIdentifier::new().build(&context)?, names.build(&context)?];
    if issuer.certificate.is_some() {
        // Where the holder signs for himself it may be left out (RFC 5280, 4.2.1.1).
        extensions.insert(1, AuthorityKeyIdentifier::new().keyid(true).build(&context)?);
    }
    for extension in extensions {
        builder.append_extension(extension)?;
    }
    builder.sign(issuer.key, MessageDigest::sha256())?;
    Ok(builder.build())
}

pub(crate) fn p256_key() -> Result<PKey<Private>, ErrorStack> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
    PKey::from_ec_key(EcKey::generate(&group)?)
}

pub(crate) fn common_name(name: &str) -> Result<X509Name, ErrorStack> {
    let mut builder = X509Name::builder()?;
    builder.append_entry_by_nid(Nid::COMMONNAME, name)?;
    Ok(builder.build())
}

fn start<T: HasPublic>(
    subject: &X509NameRef,
    issuer: &X509NameRef,
    key: &PKeyRef<T>,
    validity: Validity,
) -> Result<X509Builder, ErrorStack> {
    // RFC 5280, 4.1.2.2: at most 20 octets, positive; 159 random bits with the top one set.
    let mut serial = BigNum::new()?;
    serial.rand(159, MsbOption::ONE, false)?;
    let serial = serial.to_asn1_integer()?;
    let mut builder = X509::builder()?;
    builder.set_version(2)?;
    builder.set_serial_number(&serial)?;
    builder.set_subject_name(subject)?;
    builder.set_issuer_name(issuer)?;
    builder.set_not_before(Asn1Time::from_unix(validity.not_before)?.as_ref())?;
    builder.set_not_after(Asn1Time::from_unix(validity.not_after)?.as_ref())?;
    builder.set_pubkey(key)?;
    Ok(builder)
}
