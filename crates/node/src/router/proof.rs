//! Proofs that origins have announced themselves, each verified once and stored once.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use peerbound_dtls::{Context, ErrorStack, X509};
use peerbound_wire::{Claim, Item, List, NodeId, PREFIXES_MAX, Prefix, ProofItem, RouteSeq};

use crate::certified::certified_prefixes;
use crate::fifo_map::FifoMap;
use crate::index::Secret;

/// Proofs that a book remembers: 16384 x about 1 kB = 16 MB, and 4 MB more if each announces as much as it may. Routers hold those they use themselves; what
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
    /// What it announces besides its own address, as it is signed.
    prefixes: Box<[u8]>,
}

impl Proof {
    /// Makes the message part of it.
    pub(crate) fn item(&self, with_certificate: bool) -> ProofItem<'_> {
        let certificate: &[u8] = if with_certificate { &self.certificate } else { &[] };
        let claim = claim(self.origin, self.seqno, &self.prefixes);
        ProofItem { claim, certificate, signature: &self.signature }
    }

    /// Walks over the prefixes that the origin announces.
    pub(crate) fn prefixes(&self) -> impl Iterator<Item = Prefix> {
        list(&self.prefixes).iter()
    }

    /// Returns whether it announces these prefixes and no others.
    pub(crate) fn announces(&self, prefixes: &[u8]) -> bool {
        *self.prefixes == *prefixes
    }
}

/// Returns what an origin says of itself.
pub(crate) fn claim(origin: NodeId, seqno: RouteSeq, prefixes: &[u8]) -> Claim<'_> {
    Claim { origin, seqno, prefixes: list(prefixes) }
}

fn list(prefixes: &[u8]) -> List<'_, Prefix> {
    List::decode(prefixes).expect("prefixes were decoded, or encoded here")
}

/// Writes prefixes as they are signed.
pub(crate) fn encoded(prefixes: &[Prefix]) -> Box<[u8]> {
    let mut bytes = Vec::new();
    prefixes.iter().take(PREFIXES_MAX).for_each(|prefix| prefix.write_into(&mut bytes));
    bytes.into()
}

/// Why a proof is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProofRefusal {
    /// The origin has not signed it, or nobody vouches for the origin.
    False,
    /// The origin has signed it, and its certificate does not carry what it announces.
    Prefixes,
}

/// Judges signatures. A node's [`Context`] does, by its roots.
pub trait Trust: Send + Sync {
    /// Returns whose key signed the message, when the certificate is that key's and is trusted.
    fn signer_of(&self, certificate: &[u8], message: &[u8], signature: &[u8]) -> Option<NodeId>;

    /// Returns the prefixes that the holder of a certificate may announce: none, unless a certificate can
    /// carry some. Asked after [`Self::signer_of`] alone.
    fn prefixes_of(&self, certificate: &[u8]) -> Vec<Prefix> {
        let _ = certificate;
        Vec::new()
    }

    /// Returns whether a certificate that was trusted once is trusted still.
    fn trusts(&self, certificate: &[u8]) -> bool {
        let _ = certificate;
        true
    }
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

    fn prefixes_of(&self, certificate: &[u8]) -> Vec<Prefix> {
        X509::from_der(certificate)
            .map_or_else(|_| Vec::new(), |certificate| certified_prefixes(&certificate))
    }

    fn trusts(&self, certificate: &[u8]) -> bool {
        Context::trusts(self, certificate)
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
        // What goes in here has been verified.
        let proofs = FifoMap::with_max(PROOFS_MAX, Secret::NONE);
        let certificates = FifoMap::with_max(PROOFS_MAX, Secret::NONE);
        Self { trust: Box::new(trust), memo: Mutex::new(Memo { proofs, certificates, verified: 0 }) }
    }

    /// Returns how many signatures were verified rather than remembered.
    #[must_use]
    pub fn verified(&self) -> u64 {
        self.memo().verified
    }

    /// Returns the proof if it is one: signed by the origin, whose certificate carries every prefix that it
    /// announces.
    pub(crate) fn verify(&self, item: &ProofItem<'_>) -> Result<Arc<Proof>, ProofRefusal> {
        let Claim { origin, seqno, prefixes } = item.claim;
        let is_same = |proof: &&Arc<Proof>| {
            *proof.certificate == *item.certificate
                && *proof.signature == *item.signature
                && proof.announces(prefixes.as_bytes())
        };
        if let Some(known) = self.memo().proofs.get(&(origin, seqno.0)).filter(is_same) {
            return Ok(Arc::clone(known));
        }
        let signer = self.trust.signer_of(item.certificate, &item.claim.signed_bytes(), item.signature);
        let is_carried = prefixes.as_bytes().is_empty() || {
            let carried = self.trust.prefixes_of(item.certificate);
            prefixes.iter().all(|prefix| carried.iter().any(|carried| carried.covers(&prefix)))
        };
        let mut memo = self.memo();
        memo.verified += 1;
        match (signer == Some(origin), is_carried) {
            (false, _) => Err(ProofRefusal::False),
            (true, false) => Err(ProofRefusal::Prefixes),
            (true, true) => Ok(memo.keep(item)),
        }
    }

    /// Returns whether the certificate behind a proof is trusted still.
    pub(crate) fn still_trusts(&self, proof: &Proof) -> bool {
        self.trust.trusts(&proof.certificate)
    }

    fn memo(&self) -> MutexGuard<'_, Memo> {
        // Nothing in it can be half done: every change is one insertion.
        self.memo.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Memo {
    fn keep(&mut self, item: &ProofItem<'_>) -> Arc<Proof> {
        let Claim { origin, seqno, prefixes } = item.claim;
        let certificate = self.certificates.get_or_insert_with(origin, || item.certificate.into());
        if **certificate != *item.certificate {
            *certificate = item.certificate.into();
        }
        let certificate = Arc::clone(certificate);
        let (signature, prefixes) = (item.signature.into(), prefixes.as_bytes().into());
        let proof = Arc::new(Proof { origin, seqno, certificate, signature, prefixes });
        *self.proofs.get_or_insert_with((origin, seqno.0), || Arc::clone(&proof)) = Arc::clone(&proof);
        proof
    }
}

impl fmt::Debug for ProofBook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProofBook").field("verified", &self.verified()).finish_non_exhaustive()
    }
}
