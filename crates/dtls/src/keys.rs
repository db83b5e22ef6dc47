//! The record keys of an established session, derived from its secrets (RFC 5246, 5 and 6.3), and
//! the protection of single records with them: for attribution, for the key oracle and for
//! experiments. A live session seals and opens in `direct.rs`, or lets OpenSSL do it.

use openssl::cipher_ctx::CipherCtx;
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::memcmp;
use openssl::pkey::PKey;
use openssl::sign::Signer;

use crate::gate::VERSION_DTLS_1_0;
use crate::record::{ContentType, RECORD_HEADER_BYTES, Record, RecordHeader, RecordNumber};
use crate::suite::{Mac, Prf, Protection, Suite};

/// Everything from which the record keys of a session follow. Whoever holds it can read the
/// session and speak for both of its ends.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionSecrets {
    /// The negotiated version as on the wire.
    pub version: u16,
    /// The negotiated suite.
    pub suite: Suite,
    /// The client's random, 32 bytes.
    pub client_random: [u8; 32],
    /// The server's random, 32 bytes.
    pub server_random: [u8; 32],
    /// The master secret, 48 bytes.
    pub master_secret: [u8; 48],
}

impl std::fmt::Debug for SessionSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionSecrets").field("suite", &self.suite.name).finish_non_exhaustive()
    }
}

/// Which end of a session wrote a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// Written by the client.
    ClientToServer,
    /// Written by the server.
    ServerToClient,
}

impl SessionSecrets {
    /// Returns the line that Wireshark reads (the NSS key log format), without a line end.
    #[must_use]
    pub fn keylog_line(&self) -> String {
        format!("CLIENT_RANDOM {} {}", hex(&self.client_random), hex(&self.master_secret))
    }

    /// Derives the keys of both directions (RFC 5246, 6.3).
    ///
    /// # Errors
    /// When OpenSSL refuses a primitive, as MD5 under FIPS rules for DTLS 1.0.
    pub fn record_keys(&self) -> Result<RecordKeys, ErrorStack> {
        let (mac_bytes, key_bytes, iv_bytes) = self.suite.key_block_parts();
        let seed = [&b"key expansion"[..], &self.server_random, &self.client_random].concat();
        let length = 2 * (mac_bytes + key_bytes + iv_bytes);
        let block = if self.version == VERSION_DTLS_1_0 {
            prf_md5_sha1(&self.master_secret, &seed, length)?
        } else {
            let digest = match self.suite.prf {
                Prf::Sha256 => MessageDigest::sha256(),
                Prf::Sha384 => MessageDigest::sha384(),
            };
            p_hash(digest, &self.master_secret, &seed, length)?
        };
        let (macs, rest) = block.split_at(2 * mac_bytes);
        let (keys, ivs) = rest.split_at(2 * key_bytes);
        let part = |bytes: &[u8], each: usize, index: usize| bytes[index * each..][..each].to_vec();
        let direction = |index| DirectionKeys {
            version: self.version,
            suite: self.suite,
            mac_key: part(macs, mac_bytes, index),
            key: part(keys, key_bytes, index),
            iv: part(ivs, iv_bytes, index),
        };
        Ok(RecordKeys { client: direction(0), server: direction(1) })
    }
}

/// The write keys of both ends of a session.
#[derive(Clone)]
pub struct RecordKeys {
    client: DirectionKeys,
    server: DirectionKeys,
}

impl RecordKeys {
    /// Returns the keys of one direction.
    #[must_use]
    pub fn of(&self, direction: Direction) -> &DirectionKeys {
        match direction {
            Direction::ClientToServer => &self.client,
            Direction::ServerToClient => &self.server,
        }
    }

    /// Says which end sealed `record`, if it was either.
    #[must_use]
    pub fn direction_of(&self, record: &Record<'_>) -> Option<Direction> {
        [Direction::ClientToServer, Direction::ServerToClient]
            .into_iter()
            .find(|direction| self.of(*direction).open(record).is_some())
    }
}

/// The keys by which one end writes and the other reads.
#[derive(Clone)]
pub struct DirectionKeys {
    version: u16,
    suite: Suite,
    mac_key: Vec<u8>,
    key: Vec<u8>,
    iv: Vec<u8>,
}

impl DirectionKeys {
    /// Opens a record: its plaintext, or `None` when these keys did not seal it.
    #[must_use]
    pub fn open(&self, record: &Record<'_>) -> Option<Vec<u8>> {
        let opened = match self.suite.protection {
            Protection::Aes128Gcm | Protection::Aes256Gcm | Protection::ChaCha20Poly1305 => {
                self.open_aead(record)
            }
            Protection::Cbc { mac, .. } => self.open_cbc(record, mac),
        };
        opened.or_else(forget_errors)
    }

    /// Seals `plaintext` as the record with this type and number in epoch 1.
    /// `explicit_nonce` goes into the record of a GCM suite; ChaCha20-Poly1305 has no use for it.
    ///
    /// # Errors
    /// When the suite is no AEAD suite, or the plaintext is longer than a record's.
    pub fn seal(
        &self,
        content_type: ContentType,
        sequence: u64,
        explicit_nonce: [u8; 8],
        plaintext: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        let too_long = SealError::TooLong { len: plaintext.len() };
        let added = self.added_bytes().ok_or(SealError::NotAead)?;
        let Ok(length) = u16::try_from(added + plaintext.len()) else { return Err(too_long) };
        let header = RecordHeader { content_type, version: self.version, epoch: 1, sequence, length };
        let authenticated = additional_data(&header, plaintext.len());
        let body = self.seal_body(header.number(), explicit_nonce, &authenticated, plaintext)?;
        Ok([&header.encode()[..], &body].concat())
    }

    /// Seals `plaintext` under additional data of the caller's own making, for record formats that
    /// OpenSSL does not write. Returns the body: explicit nonce if there is one, ciphertext, tag.
    ///
    /// The caller sees to it that no number, and no explicit nonce, is used twice.
    ///
    /// # Errors
    /// When the suite is no AEAD suite.
    pub fn seal_body(
        &self,
        number: RecordNumber,
        explicit_nonce: [u8; 8],
        additional_data: &[u8],
        plaintext: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        let (nonce_bytes, tag_bytes) = self.suite.explicit_nonce_and_tag().ok_or(SealError::NotAead)?;
        let explicit = &explicit_nonce[..nonce_bytes];
        let mut context = CipherCtx::new()?;
        let nonce = nonce(&self.iv, number, explicit);
        context.encrypt_init(Some(self.suite.cipher()), Some(&self.key), Some(&nonce))?;
        context.cipher_update(additional_data, None)?;
        let mut body = explicit.to_vec();
        context.cipher_update_vec(plaintext, &mut body)?;
        context.cipher_final_vec(&mut body)?;
        let tag_at = body.len();
        body.resize(tag_at + tag_bytes, 0);
        context.tag(&mut body[tag_at..])?;
        Ok(body)
    }

    /// Opens a body that [`Self::seal_body`] would have made with the same number and additional data:
    /// its plaintext, or `None` when these keys did not seal it so.
    #[must_use]
    pub fn open_body(&self, number: RecordNumber, additional_data: &[u8], body: &[u8]) -> Option<Vec<u8>> {
        self.try_open_body(number, additional_data, body).or_else(forget_errors)
    }

    /// Returns the bytes that sealing adds to a plaintext, the header left out: 24 for GCM, 16 for
    /// ChaCha20-Poly1305; `None` when the suite is no AEAD suite.
    #[must_use]
    pub fn added_bytes(&self) -> Option<usize> {
        self.suite.explicit_nonce_and_tag().map(|(nonce, tag)| nonce + tag)
    }

    pub(crate) fn version(&self) -> u16 {
        self.version
    }

    pub(crate) fn suite(&self) -> Suite {
        self.suite
    }

    pub(crate) fn key_and_iv(&self) -> (&[u8], &[u8]) {
        (&self.key, &self.iv)
    }

    fn open_aead(&self, record: &Record<'_>) -> Option<Vec<u8>> {
        let plaintext_bytes = record.body().len().checked_sub(self.added_bytes()?)?;
        let authenticated = additional_data(&record.header, plaintext_bytes);
        self.try_open_body(record.header.number(), &authenticated, record.body())
    }

    fn try_open_body(&self, number: RecordNumber, additional_data: &[u8], body: &[u8]) -> Option<Vec<u8>> {
        let (nonce_bytes, tag_bytes) = self.suite.explicit_nonce_and_tag()?;
        let (explicit, rest) = body.split_at_checked(nonce_bytes)?;
        let (ciphertext, tag) = rest.split_at_checked(rest.len().checked_sub(tag_bytes)?)?;
        let mut context = CipherCtx::new().ok()?;
        let nonce = nonce(&self.iv, number, explicit);
        context.decrypt_init(Some(self.suite.cipher()), Some(&self.key), Some(&nonce)).ok()?;
        context.cipher_update(additional_data, None).ok()?;
        let mut plaintext = Vec::with_capacity(ciphertext.len());
        context.cipher_update_vec(ciphertext, &mut plaintext).ok()?;
        context.set_tag(tag).ok()?;
        context.cipher_final_vec(&mut plaintext).ok()?;
        Some(plaintext)
    }

    /// Tries encrypt-then-MAC (RFC 7366) first, then MAC-then-encrypt (RFC 5246, 6.2.3.2): which of
    /// the two a session uses, its records show.
    fn open_cbc(&self, record: &Record<'_>, mac: Mac) -> Option<Vec<u8>> {
        self.open_encrypt_then_mac(record, mac).or_else(|| self.open_mac_then_encrypt(record, mac))
    }

    fn open_encrypt_then_mac(&self, record: &Record<'_>, mac: Mac) -> Option<Vec<u8>> {
        let body = record.body();
        let (encrypted, tag) = body.split_at_checked(body.len().checked_sub(mac.bytes())?)?;
        self.verify(record, mac, encrypted, tag)?;
        let mut plaintext = self.decrypt_cbc(encrypted)?;
        strip_padding(&mut plaintext)?;
        Some(plaintext)
    }

    fn open_mac_then_encrypt(&self, record: &Record<'_>, mac: Mac) -> Option<Vec<u8>> {
        let mut plaintext = self.decrypt_cbc(record.body())?;
        strip_padding(&mut plaintext)?;
        let tag = plaintext.split_off(plaintext.len().checked_sub(mac.bytes())?);
        self.verify(record, mac, &plaintext, &tag)?;
        Some(plaintext)
    }

    /// Checks the MAC over the pseudo-header and `bytes`. Not in constant time over padding: these
    /// are the keys of an experiment, and nobody outside learns how long it took.
    fn verify(&self, record: &Record<'_>, mac: Mac, bytes: &[u8], tag: &[u8]) -> Option<()> {
        let authenticated = [&additional_data(&record.header, bytes.len())[..], bytes].concat();
        let expected = hmac(mac.digest(), &self.mac_key, &authenticated).ok()?;
        (expected.len() == tag.len() && memcmp::eq(&expected, tag)).then_some(())
    }

    fn decrypt_cbc(&self, encrypted: &[u8]) -> Option<Vec<u8>> {
        let (iv, blocks) = encrypted.split_at_checked(16)?;
        if blocks.is_empty() || blocks.len() % 16 != 0 {
            return None;
        }
        let mut context = CipherCtx::new().ok()?;
        context.decrypt_init(Some(self.suite.cipher()), Some(&self.key), Some(iv)).ok()?;
        context.set_padding(false);
        let mut plaintext = Vec::with_capacity(blocks.len());
        context.cipher_update_vec(blocks, &mut plaintext).ok()?;
        context.cipher_final_vec(&mut plaintext).ok()?;
        Some(plaintext)
    }
}

/// A failed tag leaves an error in this thread's queue; a session must not find it there.
fn forget_errors<T>() -> Option<T> {
    drop(ErrorStack::get());
    None
}

/// Why a record could not be sealed.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// Only AEAD records are made here.
    #[error("the suite is no AEAD suite")]
    NotAead,
    /// The plaintext does not fit a record.
    #[error("{len} bytes of plaintext do not fit one record")]
    TooLong {
        /// Bytes of plaintext.
        len: usize,
    },
    /// OpenSSL refused.
    #[error("OpenSSL refused to seal the record")]
    Openssl(#[from] ErrorStack),
}

/// RFC 5288, 3: fixed IV and explicit nonce side by side; RFC 7905, 2: IV xor record number.
pub(crate) fn nonce(iv: &[u8], number: RecordNumber, explicit: &[u8]) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[..iv.len()].copy_from_slice(iv);
    if explicit.is_empty() {
        nonce[4..].iter_mut().zip(number.to_be_bytes()).for_each(|(byte, digit)| *byte ^= digit);
    } else {
        nonce[4..].copy_from_slice(explicit);
    }
    nonce
}

/// RFC 6347, 4.1.2.1 and RFC 5246, 6.2.3.3: epoch and number, type, version, length of plaintext.
pub(crate) fn additional_data(header: &RecordHeader, plaintext_bytes: usize) -> [u8; RECORD_HEADER_BYTES] {
    let mut bytes = [0; RECORD_HEADER_BYTES];
    bytes[..8].copy_from_slice(&header.number().to_be_bytes());
    bytes[8] = header.content_type.number();
    bytes[9..11].copy_from_slice(&header.version.to_be_bytes());
    let length = u16::try_from(plaintext_bytes).unwrap_or(u16::MAX);
    bytes[11..].copy_from_slice(&length.to_be_bytes());
    bytes
}

fn strip_padding(plaintext: &mut Vec<u8>) -> Option<()> {
    let padding = *plaintext.last()?;
    let kept = plaintext.len().checked_sub(usize::from(padding) + 1)?;
    plaintext[kept..].iter().all(|byte| *byte == padding).then(|| plaintext.truncate(kept))
}

pub(crate) fn hmac(digest: MessageDigest, key: &[u8], bytes: &[u8]) -> Result<Vec<u8>, ErrorStack> {
    let key = PKey::hmac(key)?;
    Signer::new(digest, &key)?.sign_oneshot_to_vec(bytes)
}

/// `P_hash` (RFC 5246, 5).
fn p_hash(digest: MessageDigest, secret: &[u8], seed: &[u8], length: usize) -> Result<Vec<u8>, ErrorStack> {
    let mut output = Vec::with_capacity(length + 64);
    let mut chained = seed.to_vec();
    while output.len() < length {
        chained = hmac(digest, secret, &chained)?;
        output.extend(hmac(digest, secret, &[&chained[..], seed].concat())?);
    }
    output.truncate(length);
    Ok(output)
}

/// The PRF of TLS 1.1 and DTLS 1.0 (RFC 4346, 5): MD5 over one half of the secret, SHA-1 over the
/// other, xored.
fn prf_md5_sha1(secret: &[u8], seed: &[u8], length: usize) -> Result<Vec<u8>, ErrorStack> {
    let (first, second) = secret.split_at(secret.len() / 2);
    let mut output = p_hash(MessageDigest::md5(), first, seed, length)?;
    let other = p_hash(MessageDigest::sha1(), second, seed, length)?;
    output.iter_mut().zip(other).for_each(|(byte, mask)| *byte ^= mask);
    Ok(output)
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
