//! What the sessions of one node have in common: identity, trust, suites, and the rules of DTLS
//! that are the same for all of them.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock};

use openssl::error::ErrorStack;
use openssl::ex_data::Index;
use openssl::ssl::{
    Ssl, SslContext, SslContextBuilder, SslMethod, SslMode, SslOptions, SslRef, SslSessionCacheMode,
    SslVerifyMode, SslVersion,
};
use openssl::stack::{Stack, StackRef};
use openssl::x509::store::X509StoreBuilder;
use openssl::x509::{X509, X509Ref, X509StoreContext, X509StoreContextRef, X509VerifyResult};

use crate::admission::{Admission, Refusal};
use crate::ffi::{certificate_rejected, lacks_an_issuer};
use crate::identity::{Identity, KeyHash, common_name, expires_at};
use crate::revocation::RevocationList;
use crate::rules::{self, MemberRule, Rules, SelfSigned};
use crate::terms::Strictness;

/// The suites of a node: forward secret, authenticated encryption, either kind of certificate.
const NODE_SUITES: &str = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:\
    ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384:\
    ECDHE-RSA-CHACHA20-POLY1305";

/// Certificates between a leaf and its root, both excluded.
const CHAIN_DEPTH_MAX: u32 = 3;

/// Sessions a server remembers for resumption, when that is on: 2 KiB each, 2 MiB at worst.
const SESSION_CACHE_MAX: i32 = 1024;

/// `SSL_OP_NO_EXTENDED_MASTER_SECRET`, which rust-openssl does not carry (ssl.h, OpenSSL 3.0 on).
const NO_EXTENDED_MASTER_SECRET: u64 = 1;
/// `SSL_OP_ALLOW_CLIENT_RENEGOTIATION` (ssl.h, OpenSSL 3.0 on).
const ALLOW_CLIENT_RENEGOTIATION: u64 = 1 << 8;
/// `SSL_MODE_NO_AUTO_CHAIN` (ssl.h).
const NO_AUTO_CHAIN: i64 = 8;
/// `SSL_OP_NO_ENCRYPT_THEN_MAC`.
const NO_ENCRYPT_THEN_MAC: u64 = 1 << 19;

/// Where key log lines go: called with one line, without its end, for each handshake.
pub type KeylogSink = Arc<dyn Fn(&str) + Send + Sync>;

/// Which DTLS a context speaks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Profile {
    /// DTLS 1.2, AEAD suites, extended master secret, no renegotiation: what every node speaks.
    #[default]
    Node,
    /// Something a node must not speak, to show why.
    Teaching(Teaching),
}

/// The departures from [`Profile::Node`] that an experiment asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Teaching {
    /// DTLS 1.0 or 1.2.
    pub version: SslVersion,
    /// Suites in OpenSSL's notation; `@SECLEVEL=0` is needed for DTLS 1.0.
    pub suites: String,
    /// Whether encrypt-then-MAC (RFC 7366) is offered to CBC suites.
    pub encrypt_then_mac: bool,
    /// Whether the extended master secret (RFC 7627) is offered; it is not required then.
    pub extended_master_secret: bool,
    /// What becomes of a wish to renegotiate.
    pub renegotiation: Renegotiation,
}

/// What becomes of a wish to renegotiate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Renegotiation {
    /// It is neither asked for nor granted, as on a node.
    #[default]
    Off,
    /// As OpenSSL 3 has it: one may ask, and a server does not grant it to a client.
    Default,
    /// A server grants it to a client, as all did before OpenSSL 3.
    Allowed,
}

impl Teaching {
    /// Starts from DTLS 1.2 with the given suites and everything else as OpenSSL has it.
    #[must_use]
    pub fn with_suites(suites: &str) -> Self {
        Self {
            version: SslVersion::DTLS1_2,
            suites: suites.to_owned(),
            encrypt_then_mac: true,
            extended_master_secret: true,
            renegotiation: Renegotiation::Off,
        }
    }
}

/// Whether a client may come back without a full handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Resumption {
    /// Every handshake is full.
    #[default]
    Off,
    /// The server remembers up to 1024 sessions (RFC 5246, 7.3: by session id, no tickets).
    ServerCache,
}

/// What a [`Context`] is made from.
pub struct ContextConfig {
    /// Who we are.
    pub identity: Identity,
    /// Whose signatures we trust.
    pub roots: Vec<X509>,
    /// Which DTLS to speak.
    pub profile: Profile,
    /// Whether clients may resume.
    pub resumption: Resumption,
    /// Where key log lines go, if anywhere.
    pub keylog: Option<KeylogSink>,
    /// What the roots have revoked; lists of others say nothing.
    pub revoked: Vec<RevocationList>,
    /// Who is a member, of those that a root certified; without a rule all are.
    pub members: Option<MemberRule>,
    /// What becomes of certificates that no root issued.
    pub self_signed: SelfSigned,
}

impl ContextConfig {
    /// Takes the node's profile, no resumption and no key log; nothing is revoked, and all are members.
    #[must_use]
    pub fn new(identity: Identity, roots: Vec<X509>) -> Self {
        Self {
            identity,
            roots,
            profile: Profile::Node,
            resumption: Resumption::Off,
            keylog: None,
            revoked: Vec::new(),
            members: None,
            self_signed: SelfSigned::Refused,
        }
    }
}

/// Makes sessions; cheap to clone.
#[derive(Clone)]
pub struct Context {
    ssl: SslContext,
    key_hash: KeyHash,
    strictness: Strictness,
    rules: Arc<Rules>,
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("key_hash", &self.key_hash)
            .field("strictness", &self.strictness)
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}

/// What the callbacks of one session need to know, and what they found out.
pub(crate) struct PerSession {
    pub(crate) admission: Admission,
    /// The cookie the doorman verified; empty for a client.
    pub(crate) cookie: Vec<u8>,
    pub(crate) refusal: Mutex<Option<Refusal>>,
}

impl PerSession {
    pub(crate) fn refuse(&self, refusal: Refusal) {
        if let Ok(mut slot) = self.refusal.lock() {
            slot.get_or_insert(refusal);
        }
    }
}

pub(crate) fn per_session() -> Result<Index<Ssl, PerSession>, ErrorStack> {
    static INDEX: OnceLock<Index<Ssl, PerSession>> = OnceLock::new();
    if let Some(index) = INDEX.get() {
        return Ok(*index);
    }
    let index = Ssl::new_ex_index()?;
    Ok(*INDEX.get_or_init(|| index))
}

impl Context {
    /// Makes a context.
    ///
    /// # Errors
    /// When OpenSSL refuses the certificate, the roots, or the suites.
    pub fn new(config: ContextConfig) -> Result<Self, ErrorStack> {
        let mut builder = SslContext::builder(SslMethod::dtls())?;
        set_identity(&mut builder, &config)?;
        set_rules(&mut builder, &config)?;
        let lists = &config.revoked;
        let rules = Arc::new(Rules::new(config.self_signed, &config.roots, lists, config.members));
        set_callbacks(&mut builder, &rules)?;
        if let Some(sink) = config.keylog {
            builder.set_keylog_callback(move |_, line| sink(line));
        }
        let strictness = match config.profile {
            Profile::Node => Strictness::Node,
            Profile::Teaching(_) => Strictness::Teaching,
        };
        Ok(Self { ssl: builder.build(), key_hash: config.identity.key_hash(), strictness, rules })
    }

    /// Returns the hash of our own key.
    #[must_use]
    pub fn key_hash(&self) -> KeyHash {
        self.key_hash
    }

    /// Returns the last second of our certificate's validity, in seconds since 1970.
    #[must_use]
    pub fn certificate_expires_at(&self) -> Option<i64> {
        self.ssl.certificate().and_then(expires_at)
    }

    /// Returns our own certificate.
    #[must_use]
    pub fn certificate(&self) -> Option<&X509Ref> {
        self.ssl.certificate()
    }

    /// Returns whose rules the sessions keep.
    pub(crate) fn strictness(&self) -> Strictness {
        self.strictness
    }

    pub(crate) fn ssl(&self) -> &SslContext {
        &self.ssl
    }

    pub(crate) fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Judges by the rules of this context who is at the other end of a session, whichever context that
    /// was made with.
    pub(crate) fn judge_peer(&self, ssl: &SslRef) -> Result<(), Refusal> {
        let nameless = |reason: &str| Refusal::Certificate { name: "(none)".into(), reason: reason.into() };
        let certificate = ssl.peer_certificate().ok_or_else(|| nameless("it has shown none"))?;
        let name = common_name(&certificate);
        let refused = |reason: String| Refusal::Certificate { name: name.clone(), reason };
        let key = KeyHash::of(&certificate).map_err(|_| refused("its key cannot be read".to_owned()))?;
        if self.rules.self_signed == SelfSigned::Refused {
            self.verify_chain(&certificate, ssl.peer_cert_chain()).map_err(refused)?;
            for above in ssl.peer_cert_chain().into_iter().flatten() {
                if self.rules.is_revoked(above) {
                    return Err(rules::revoked(name));
                }
            }
        }
        self.rules.judge(&certificate, &key)
    }

    /// Verifies that a chain leads to one of our roots, and that nothing in it has expired.
    fn verify_chain(&self, certificate: &X509Ref, chain: Option<&StackRef<X509>>) -> Result<(), String> {
        let openssl = |error: ErrorStack| error.to_string();
        let nobody = Stack::new().map_err(openssl)?;
        let mut context = X509StoreContext::new().map_err(openssl)?;
        let verified = context.init(self.ssl.cert_store(), certificate, chain.unwrap_or(&nobody), |store| {
            Ok((store.verify_cert()?, store.error()))
        });
        // What does not verify leaves its reasons in this thread's error queue.
        let (is_trusted, error) = verified.map_err(openssl)?;
        drop(ErrorStack::get());
        if is_trusted { Ok(()) } else { Err(error.error_string().to_owned()) }
    }
}

fn set_identity(builder: &mut SslContextBuilder, config: &ContextConfig) -> Result<(), ErrorStack> {
    // The security level comes with the suites, and OpenSSL checks certificates against it.
    if let Profile::Teaching(teaching) = &config.profile {
        builder.set_cipher_list(&teaching.suites)?;
    }
    builder.set_certificate(&config.identity.certificate)?;
    builder.set_private_key(&config.identity.key)?;
    for certificate in &config.identity.chain {
        builder.add_extra_chain_cert(certificate.clone())?;
    }
    let mut store = X509StoreBuilder::new()?;
    for root in &config.roots {
        store.add_cert(root.clone())?;
        builder.add_client_ca(root)?;
    }
    builder.set_cert_store(store.build());
    builder.set_verify_depth(CHAIN_DEPTH_MAX);
    Ok(())
}

fn set_rules(builder: &mut SslContextBuilder, config: &ContextConfig) -> Result<(), ErrorStack> {
    let mut options = SslOptions::NO_QUERY_MTU | SslOptions::NO_TICKET | SslOptions::CIPHER_SERVER_PREFERENCE;
    let version = match &config.profile {
        Profile::Node => {
            builder.set_cipher_list(NODE_SUITES)?;
            options |= SslOptions::NO_RENEGOTIATION;
            SslVersion::DTLS1_2
        }
        Profile::Teaching(teaching) => {
            options |= match teaching.renegotiation {
                Renegotiation::Off => SslOptions::NO_RENEGOTIATION,
                Renegotiation::Default => SslOptions::empty(),
                Renegotiation::Allowed => SslOptions::from_bits_retain(ALLOW_CLIENT_RENEGOTIATION),
            };
            if !teaching.extended_master_secret {
                options |= SslOptions::from_bits_retain(NO_EXTENDED_MASTER_SECRET);
            }
            if !teaching.encrypt_then_mac {
                options |= SslOptions::from_bits_retain(NO_ENCRYPT_THEN_MAC);
            }
            teaching.version
        }
    };
    // Everyone trusts the root already: OpenSSL would send it along with every certificate.
    builder.set_mode(SslMode::from_bits_retain(NO_AUTO_CHAIN));
    builder.set_min_proto_version(Some(version))?;
    builder.set_max_proto_version(Some(version))?;
    builder.set_options(options);
    match config.resumption {
        Resumption::Off => {
            builder.set_session_cache_mode(SslSessionCacheMode::OFF);
        }
        Resumption::ServerCache => {
            builder.set_session_cache_mode(SslSessionCacheMode::SERVER);
            builder.set_session_cache_size(SESSION_CACHE_MAX);
            // With client certificates OpenSSL resumes only within a named context.
            builder.set_session_id_context(b"peerbound")?;
        }
    }
    Ok(())
}

fn set_callbacks(builder: &mut SslContextBuilder, rules: &Arc<Rules>) -> Result<(), ErrorStack> {
    let rules = Arc::clone(rules);
    let index = per_session()?;
    let ssl_index = X509StoreContext::ssl_idx()?;
    builder.set_verify_callback(
        SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT,
        move |trusted, store| {
            let Some(per_session) = store.ex_data(ssl_index).and_then(|ssl| ssl.ex_data(index)) else {
                return false;
            };
            match judge(trusted, store, &per_session.admission, &rules) {
                Ok(()) => {
                    if !trusted {
                        store.set_error(X509VerifyResult::OK);
                    }
                    true
                }
                Err(refusal) => {
                    per_session.refuse(refusal);
                    if trusted {
                        // Or the peer would hear of an internal error of ours.
                        store.set_error(certificate_rejected());
                    }
                    false
                }
            }
        },
    );
    // The doorman has checked the cookie against the source address; OpenSSL asks once more, and
    // gets the answer that this cookie, and no other, is the one that was checked.
    builder.set_cookie_verify_cb(move |ssl, cookie| {
        ssl.ex_data(index).is_some_and(|session| !cookie.is_empty() && session.cookie == cookie)
    });
    // Never used: a challenge is written by the doorman, before there is a session.
    builder.set_cookie_generate_cb(|_, _| Err(ErrorStack::get()));
    Ok(())
}

fn judge(
    trusted: bool,
    store: &X509StoreContextRef,
    admission: &Admission,
    rules: &Rules,
) -> Result<(), Refusal> {
    let certificate = store.current_cert();
    // The leaf's name, even when it is a certificate above it that fails: the leaf is the peer.
    let leaf = store.chain().and_then(|chain| chain.get(0)).or(certificate);
    let name = leaf.map_or_else(|| "(none)".to_owned(), common_name);
    // Where keys are pinned, the key decides below; that it may have expired is another error, and asked
    // for by itself.
    let may_vouch_for_itself = rules.self_signed == SelfSigned::WherePinned
        && store.error_depth() == 0
        && lacks_an_issuer(store.error());
    if !trusted && !may_vouch_for_itself {
        return Err(Refusal::Certificate { name, reason: store.error().error_string().to_owned() });
    }
    if store.error_depth() > 0 {
        return match certificate {
            Some(certificate) if rules.is_revoked(certificate) => Err(rules::revoked(name)),
            Some(_) | None => Ok(()),
        };
    }
    let unreadable = || Refusal::Certificate { name: name.clone(), reason: "its key cannot be read".into() };
    let certificate = certificate.ok_or_else(unreadable)?;
    let key = KeyHash::of(certificate).map_err(|_| unreadable())?;
    rules.judge(certificate, &key)?;
    if admission.admits(&key) { Ok(()) } else { Err(Refusal::NotAdmitted { name, key }) }
}
