//! The cipher suites we know the record protection of: the node's AEAD suites, and the CBC suites
//! of the old note for teaching.

use openssl::cipher::{Cipher, CipherRef};
use openssl::hash::MessageDigest;

/// How one cipher suite protects a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Suite {
    /// OpenSSL's name of the suite.
    pub name: &'static str,
    pub(crate) protection: Protection,
    pub(crate) prf: Prf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protection {
    Aes128Gcm,
    Aes256Gcm,
    ChaCha20Poly1305,
    Cbc { key_bytes: usize, mac: Mac },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mac {
    Sha1,
    Sha256,
    Sha384,
}

/// The pseudorandom function that derives a session's keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Prf {
    Sha256,
    Sha384,
}

const fn aead(name: &'static str, protection: Protection, prf: Prf) -> Suite {
    Suite { name, protection, prf }
}

const fn cbc(name: &'static str, key_bytes: usize, mac: Mac, prf: Prf) -> Suite {
    Suite { name, protection: Protection::Cbc { key_bytes, mac }, prf }
}

const SUITES: [Suite; 16] = [
    aead("ECDHE-ECDSA-AES128-GCM-SHA256", Protection::Aes128Gcm, Prf::Sha256),
    aead("ECDHE-RSA-AES128-GCM-SHA256", Protection::Aes128Gcm, Prf::Sha256),
    aead("ECDHE-ECDSA-AES256-GCM-SHA384", Protection::Aes256Gcm, Prf::Sha384),
    aead("ECDHE-RSA-AES256-GCM-SHA384", Protection::Aes256Gcm, Prf::Sha384),
    aead("ECDHE-ECDSA-CHACHA20-POLY1305", Protection::ChaCha20Poly1305, Prf::Sha256),
    aead("ECDHE-RSA-CHACHA20-POLY1305", Protection::ChaCha20Poly1305, Prf::Sha256),
    cbc("ECDHE-ECDSA-AES128-SHA", 16, Mac::Sha1, Prf::Sha256),
    cbc("ECDHE-RSA-AES128-SHA", 16, Mac::Sha1, Prf::Sha256),
    cbc("ECDHE-ECDSA-AES256-SHA", 32, Mac::Sha1, Prf::Sha256),
    cbc("ECDHE-RSA-AES256-SHA", 32, Mac::Sha1, Prf::Sha256),
    cbc("AES256-SHA", 32, Mac::Sha1, Prf::Sha256),
    cbc("AES128-SHA", 16, Mac::Sha1, Prf::Sha256),
    cbc("ECDHE-ECDSA-AES128-SHA256", 16, Mac::Sha256, Prf::Sha256),
    cbc("ECDHE-RSA-AES128-SHA256", 16, Mac::Sha256, Prf::Sha256),
    cbc("ECDHE-ECDSA-AES256-SHA384", 32, Mac::Sha384, Prf::Sha384),
    cbc("ECDHE-RSA-AES256-SHA384", 32, Mac::Sha384, Prf::Sha384),
];

impl Suite {
    /// Finds a suite by OpenSSL's name for it.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        SUITES.into_iter().find(|suite| suite.name == name)
    }

    /// Lists the suites by OpenSSL's names for them.
    pub fn names() -> impl Iterator<Item = &'static str> {
        SUITES.into_iter().map(|suite| suite.name)
    }

    /// Returns whether the suite authenticates and encrypts in one step, as the node requires.
    #[must_use]
    pub fn is_aead(self) -> bool {
        self.explicit_nonce_and_tag().is_some()
    }

    /// Returns the bytes that sealing adds to a payload, record header included: 37 for GCM,
    /// 29 for ChaCha20-Poly1305, for CBC the most that padding can make of it.
    #[must_use]
    pub fn overhead_bytes_max(self) -> usize {
        let added = match self.protection {
            Protection::Aes128Gcm | Protection::Aes256Gcm => 8 + 16,
            Protection::ChaCha20Poly1305 => 16,
            // An IV, the MAC, and one to sixteen bytes of padding.
            Protection::Cbc { mac, .. } => 16 + mac.bytes() + 16,
        };
        crate::RECORD_HEADER_BYTES + added
    }

    /// Returns the shortest body a record of this suite can have, that of an empty payload.
    pub(crate) fn body_bytes_min(self) -> usize {
        match self.protection {
            Protection::Aes128Gcm | Protection::Aes256Gcm => 8 + 16,
            Protection::ChaCha20Poly1305 => 16,
            // An IV and one block: MAC-then-encrypt of SHA-1 needs 20 + 1 bytes, hence two blocks.
            Protection::Cbc { .. } => 16 + 16 + 16,
        }
    }

    /// For an AEAD suite, the bytes of nonce that travel in the record, and of its tag.
    pub(crate) fn explicit_nonce_and_tag(self) -> Option<(usize, usize)> {
        match self.protection {
            Protection::Aes128Gcm | Protection::Aes256Gcm => Some((8, 16)),
            Protection::ChaCha20Poly1305 => Some((0, 16)),
            Protection::Cbc { .. } => None,
        }
    }

    pub(crate) fn cipher(self) -> &'static CipherRef {
        match self.protection {
            Protection::Aes128Gcm => Cipher::aes_128_gcm(),
            Protection::Aes256Gcm => Cipher::aes_256_gcm(),
            Protection::ChaCha20Poly1305 => Cipher::chacha20_poly1305(),
            Protection::Cbc { key_bytes: 16, .. } => Cipher::aes_128_cbc(),
            Protection::Cbc { .. } => Cipher::aes_256_cbc(),
        }
    }

    /// Bytes of MAC key, cipher key and fixed IV for each direction (RFC 5246, 6.3).
    pub(crate) fn key_block_parts(self) -> (usize, usize, usize) {
        match self.protection {
            Protection::Aes128Gcm => (0, 16, 4),
            Protection::Aes256Gcm => (0, 32, 4),
            Protection::ChaCha20Poly1305 => (0, 32, 12),
            Protection::Cbc { key_bytes, mac } => (mac.bytes(), key_bytes, 0),
        }
    }
}

impl Mac {
    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
        }
    }

    pub(crate) fn digest(self) -> MessageDigest {
        match self {
            Self::Sha1 => MessageDigest::sha1(),
            Self::Sha256 => MessageDigest::sha256(),
            Self::Sha384 => MessageDigest::sha384(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gcm_adds_thirty_seven_bytes_and_chacha20_twenty_nine() {
        for suite in SUITES.into_iter().filter(|suite| suite.is_aead()) {
            let (nonce_bytes, tag_bytes) = suite.explicit_nonce_and_tag().unwrap();
            let expected = if suite.name.contains("GCM") { 37 } else { 29 };

            assert_eq!(suite.overhead_bytes_max(), expected, "{}", suite.name);
            assert_eq!(13 + nonce_bytes + tag_bytes, expected, "{}", suite.name);
            assert_eq!(suite.body_bytes_min(), expected - 13, "{}", suite.name);
        }
    }

    #[test]
    fn every_name_is_one_of_openssl_and_found_once() {
        for suite in SUITES {
            assert_eq!(Suite::by_name(suite.name), Some(suite));
            assert_eq!(SUITES.into_iter().filter(|other| other.name == suite.name).count(), 1);
        }
        assert_eq!(Suite::by_name("NULL-SHA"), None);
    }

    #[test]
    fn the_key_block_has_the_parts_its_primitives_take() {
        for suite in SUITES {
            let (mac_bytes, key_bytes, iv_bytes) = suite.key_block_parts();

            assert_eq!(key_bytes, suite.cipher().key_length(), "{}", suite.name);
            assert_eq!(suite.is_aead(), mac_bytes == 0, "{}", suite.name);
            let nonce_bytes = suite.explicit_nonce_and_tag().map_or(0, |(nonce, _)| nonce);
            let expected = if suite.is_aead() { 12 } else { 0 };
            assert_eq!(iv_bytes + nonce_bytes, expected, "{}", suite.name);
        }
    }
}
