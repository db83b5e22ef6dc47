//! Proofs that origins have announced themselves, each verified once and stored once.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use peerbound_dtls::{Context, ErrorStack};
use peerbound_wire::{Claim, List, NodeId, ProofItem, RouteSeq};

use crate::fifo_map::FifoMap;

/// Proofs that a book remembers: 16384 x about 1 kB = 16 MB. Routers hold those they use themselves; what
/// is forgotten here is verified again when it comes again.
const PROOFS_MAX: usize = 16_384;

/// One origin's word that it has announced itself, verified.
#[derive(Debug, PartialEq, Eq)]
pub struct Proof {
    /// Who.
    pub origin: NodeId,
    /// How often it had announced itself anew.
    pub seqno: RouteSeq,
    pub(crate) certificate: Arc<[u8]>,
    pub(crate) signature: Box<[u8]>,
}

impl Proof {
    /// Makes the message part of it.
    pub(crate) fn item(&self, with_certificate: bool) -> ProofItem<'_> {
        let certificate: &[u8] = if with_certificate { &self.certificate } else { &[] };
        ProofItem { claim: claim(self.origin, self.seqno), certificate, signature: &self.signature }
    }
}

/// Returns what an origin says of itself: without prefixes, since certificates carry none yet.
pub(crate) fn claim(origin: NodeId, seqno: RouteSeq) -> Claim<'static> {
    let prefixes = List::decode(&[]).expect("nothing is a list of nothing");
    Claim { origin, seqno, prefixes }
}

/// Judges signatures. A node's [`Context`] does, by its roots.
pub trait Trust: Send + Sync {
    /// Returns whose key signed the message, when the certificate is that key's and is trusted.
    fn signer_of(&self, certificate: &[u8], message: &[u8], signature: &[u8]) -> Option<NodeId>;
}

/// Signs for one node. A node's [`Context`] does.
pub trait Signer: Send {
    /// Returns our certificate in DER.
    ///
    /// # Errors
    /// When OpenSSL cannot encode it.
    fn certificate(&self) -> Result<Vec<u8>, ErrorStack>;

    /// Signs a message.
    ///
    /// # Errors
    /// When OpenSSL refuses the key.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, ErrorStack>;
}

impl Trust for Context {
    fn signer_of(&self, certificate: &[u8], message: &[u8], signature: &[u8]) -> Option<NodeId> {
        self.signed_by(certificate, message, signature).map(|key| crate::node_id(&key))
    }
}

impl Signer for Context {
    fn certificate(&self) -> Result<Vec<u8>, ErrorStack> {
        self.certificate_der()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, ErrorStack> {
        Context::sign(self, message)
    }
}

/// Verifies proofs and remembers the good ones. A signature is good or is not, whoever asks: so nodes that
/// trust the same roots may share a book, and decide as they would with one each. Nodes that trust
/// different roots must not.
pub struct ProofBook {
    trust: Box<dyn Trust>,
    memo: Mutex<Memo>,
}

struct Memo {
    proofs: FifoMap<(NodeId, u16), Arc<Proof>>,
    certificates: FifoMap<NodeId, Arc<[u8]>>,
    verified: u64,
}

impl ProofBook {
    /// Makes a book whose verdicts are those of `trust`.
    #[must_use]
    pub fn new(trust: impl Trust + 'static) -> Self {
        let proofs = FifoMap::with_max(PROOFS_MAX);
        let certificates = FifoMap::with_max(PROOFS_MAX);
        Self { trust: Box::new(trust), memo: Mutex::new(Memo { proofs, certificates, verified: 0 }) }
    }

    /// Returns how many signatures were verified rather than remembered.
    #[must_use]
    pub fn verified(&self) -> u64 {
        self.memo().verified
    }

    /// Returns the proof if it is one. An origin that claims prefixes is refused: no certificate says yet
    /// which ones it may claim.
    pub(crate) fn verify(&self, item: &ProofItem<'_>) -> Option<Arc<Proof>> {
        let Claim { origin, seqno, prefixes } = item.claim;
        if !prefixes.as_bytes().is_empty() {
            return None;
        }
        let is_same = |proof: &&Arc<Proof>| {
            *proof.certificate == *item.certificate && *proof.signature == *item.signature
        };
        if let Some(known) = self.memo().proofs.get(&(origin, seqno.0)).filter(is_same) {
            return Some(Arc::clone(known));
        }
        let signer = self.trust.signer_of(item.certificate, &item.claim.signed_bytes(), item.signature);
        let mut memo = self.memo();
        memo.verified += 1;
        if signer != Some(origin) {
            return None;
        }
        Some(memo.keep(item))
    }

    fn memo(&self) -> MutexGuard<'_, Memo> {
        // Nothing in it can be half done: every change is one insertion.
        self.memo.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Memo {
    fn keep(&mut self, item: &ProofItem<'_>) -> Arc<Proof> {
        let Claim { origin, seqno, .. } = item.claim;
        let certificate = self.certificates.get_or_insert_with(origin, || item.certificate.into());
        if **certificate != *item.certificate {
            *certificate = item.certificate.into();
        }
        let certificate = Arc::clone(certificate);
        let proof = Arc::new(Proof { origin, seqno, certificate, signature: item.signature.into() });
        *self.proofs.get_or_insert_with((origin, seqno.0), || Arc::clone(&proof)) = Arc::clone(&proof);
        proof
    }
}

impl fmt::Debug for ProofBook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProofBook").field("verified", &self.verified()).finish_non_exhaustive()
    }
}
