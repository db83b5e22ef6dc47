//! The certificates and contexts of a scenario's nodes. They depend on names and suites alone, never on
//! the seed of a run: so they are made once, and a run is the same whichever runs came before it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use peerbound_dtls::{
    Authority, Context, ContextConfig, Identity, Profile, SslVersion, Teaching, Validity, X509,
};
use peerbound_sim::START_UNIX_SECONDS;
use peerbound_sim::hooks::with_stream;

use crate::cast::CastError;
use crate::scenario::{DtlsPlan, Version};

/// Days that the certificates of a scenario are valid: a hundred years from the beginning of virtual
/// time, so that the same certificates serve on real sockets, where real time judges them.
const CERTIFICATE_DAYS: u32 = 36_525;

/// Identities kept for later runs, of all threads: 8192 x about 4 KiB = 32 MiB, a mesh of 5,000 and some.
const IDENTITIES_MAX: usize = 8192;

/// Contexts kept for later runs on one thread: 64 x about 50 KiB = 3.2 MiB.
const CONTEXTS_MAX: usize = 64;

/// The suite that an experiment speaks which departs from the node's profile without naming one.
const SUITE_DEFAULT: &str = "ECDHE-ECDSA-AES128-GCM-SHA256";

/// Who signed a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Signer {
    /// The authority that all trust.
    Trusted,
    /// One that nobody trusts.
    Unknown,
}

/// Which kind of key a certificate holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum KeyKind {
    P256,
    Rsa,
}

impl KeyKind {
    pub(crate) fn of(plan: &DtlsPlan) -> Self {
        if plan.needs_rsa() { Self::Rsa } else { Self::P256 }
    }
}

/// A certificate, as scenarios ask for it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Papers {
    pub(crate) name: String,
    pub(crate) signer: Signer,
    pub(crate) key: KeyKind,
}

type ContextKey = (Papers, String);

static IDENTITIES: Mutex<BTreeMap<Papers, Identity>> = Mutex::new(BTreeMap::new());

thread_local! {
    static CONTEXTS: RefCell<BTreeMap<ContextKey, Context>> = const { RefCell::new(BTreeMap::new()) };
}

/// Returns the context of a node with these papers that speaks as the plan says.
pub(crate) fn context_for(papers: &Papers, plan: &DtlsPlan) -> Result<Context, CastError> {
    let key = (papers.clone(), format!("{plan:?}"));
    if let Some(context) = CONTEXTS.with_borrow(|contexts| contexts.get(&key).cloned()) {
        return Ok(context);
    }
    let identity = identity_of(papers)?;
    let roots = vec![trusted_root()?];
    let config = ContextConfig { profile: profile_of(plan), ..ContextConfig::new(identity, roots) };
    // A context draws keys for tickets that nobody issues; under a stream of its own they are the same
    // in every process.
    let context = with_stream(seed_of("context", papers), || Context::new(config))??;
    CONTEXTS.with_borrow_mut(|contexts| {
        if contexts.len() >= CONTEXTS_MAX {
            contexts.clear();
        }
        contexts.insert(key, context.clone());
    });
    Ok(context)
}

/// Returns the certificate and key that these papers are.
pub(crate) fn identity_of(papers: &Papers) -> Result<Identity, CastError> {
    if let Some(identity) = lock().get(papers).cloned() {
        return Ok(identity);
    }
    let authority = authority(papers.signer)?;
    // The seed leaves the signer out: a foreign certificate is one over the key that others expect.
    let seed = seed_of("identity", &Papers { signer: Signer::Trusted, ..papers.clone() });
    let issue = match papers.key {
        KeyKind::P256 => Authority::issue,
        KeyKind::Rsa => Authority::issue_rsa,
    };
    let identity = with_stream(seed, || issue(&authority, &papers.name, validity()))??;
    let mut identities = lock();
    if identities.len() >= IDENTITIES_MAX {
        identities.clear();
    }
    identities.insert(papers.clone(), identity.clone());
    Ok(identity)
}

fn lock() -> std::sync::MutexGuard<'static, BTreeMap<Papers, Identity>> {
    // Whoever panicked had put nothing half done into it.
    IDENTITIES.lock().unwrap_or_else(PoisonError::into_inner)
}

fn authority(signer: Signer) -> Result<Authority, CastError> {
    let name = match signer {
        Signer::Trusted => "peerbound scenario CA",
        Signer::Unknown => "a CA nobody trusts",
    };
    let papers = Papers { name: name.to_owned(), signer, key: KeyKind::P256 };
    let made: Result<Authority, _> =
        with_stream(seed_of("authority", &papers), || Authority::generate(name, validity()))?;
    Ok(made?)
}

fn trusted_root() -> Result<X509, CastError> {
    thread_local! {
        static ROOT: RefCell<Option<X509>> = const { RefCell::new(None) };
    }
    if let Some(root) = ROOT.with_borrow(Clone::clone) {
        return Ok(root);
    }
    let root = authority(Signer::Trusted)?.to_root();
    ROOT.set(Some(root.clone()));
    Ok(root)
}

fn validity() -> Validity {
    Validity::days(START_UNIX_SECONDS, CERTIFICATE_DAYS)
}

fn profile_of(plan: &DtlsPlan) -> Profile {
    if *plan == DtlsPlan::NODE {
        return Profile::Node;
    }
    let suite = plan.suite.map_or(SUITE_DEFAULT, |suite| suite.name);
    let (version, suites) = match plan.version {
        Version::Dtls12 => (SslVersion::DTLS1_2, suite.to_owned()),
        // RFC 8996 put it out of use, and OpenSSL with it, but at this level.
        Version::Dtls10 => (SslVersion::DTLS1, format!("{suite}:@SECLEVEL=0")),
    };
    Profile::Teaching(Teaching {
        version,
        encrypt_then_mac: plan.encrypt_then_mac,
        renegotiation: plan.renegotiation,
        ..Teaching::with_suites(&suites)
    })
}

/// Returns a number that follows from the words alone (FNV-1a): the seed of whatever they name.
fn seed_of(purpose: &str, papers: &Papers) -> u64 {
    let words = format!("{purpose} {papers:?}");
    words
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn papers(name: &str, signer: Signer) -> Papers {
        Papers { name: name.to_owned(), signer, key: KeyKind::P256 }
    }

    #[test]
    fn a_foreign_certificate_holds_the_key_that_others_expect() {
        let own = identity_of(&papers("A", Signer::Trusted)).unwrap();
        let foreign = identity_of(&papers("A", Signer::Unknown)).unwrap();

        assert_eq!(own.key_hash(), foreign.key_hash());
        assert!(own.is_issued_by(&trusted_root().unwrap()));
        assert!(!foreign.is_issued_by(&trusted_root().unwrap()));
    }

    #[test]
    fn names_make_keys_and_the_same_name_makes_the_same() {
        let first = identity_of(&papers("same", Signer::Trusted)).unwrap();
        lock().clear();
        let again = identity_of(&papers("same", Signer::Trusted)).unwrap();
        let other = identity_of(&papers("other", Signer::Trusted)).unwrap();

        assert_eq!(first.certificates_to_pem().unwrap(), again.certificates_to_pem().unwrap());
        assert_ne!(first.key_hash(), other.key_hash());
    }
}
