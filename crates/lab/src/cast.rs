//! Who takes part: a throw-away authority, and A, B and C with a certificate each.

use peerbound_daemon::unix_seconds;
use peerbound_dtls::{
    Authority, Context, ContextConfig, ErrorStack, Identity, IdentityError, Profile, SslVersion, Teaching,
    Validity,
};
use peerbound_node::node_id;
use peerbound_wire::NodeId;

/// One of the three.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Who {
    A,
    B,
    C,
}

impl Who {
    pub(crate) const ALL: [Self; 3] = [Self::A, Self::B, Self::C];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::B => "B",
            Self::C => "C",
        }
    }

    pub(crate) fn index(self) -> usize {
        match self {
            Self::A => 0,
            Self::B => 1,
            Self::C => 2,
        }
    }
}

/// Why the cast could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CastError {
    /// OpenSSL refused a key, a certificate or a context.
    #[error("OpenSSL refused to make the certificates of the experiment: {0}")]
    Openssl(#[from] ErrorStack),
    /// The simulator's hooks are not in force.
    #[error(transparent)]
    Hook(#[from] peerbound_sim::HookError),
    /// A certificate could not be issued.
    #[error("a certificate of the experiment could not be issued: {0}")]
    Identity(#[from] IdentityError),
}

/// The suite of the old note.
pub(crate) const NOTE_SUITE: &str = "ECDHE-RSA-AES256-SHA";

/// Days that throw-away certificates are valid: longer than any run.
const CERTIFICATE_DAYS: u32 = 2;

/// The authority and the three identities.
pub struct Cast {
    authority: Authority,
    identities: [Identity; 3],
    contexts: [Context; 3],
}

impl Cast {
    /// Makes the cast of a deployed mesh: P-256 certificates, the node's DTLS profile.
    ///
    /// # Errors
    /// When OpenSSL refuses.
    pub fn of_nodes() -> Result<Self, CastError> {
        Self::make(&Profile::Node, Authority::issue)
    }

    /// Makes the cast of the old note: RSA certificates, a CBC suite, encrypt-then-MAC.
    ///
    /// # Errors
    /// When OpenSSL refuses.
    pub fn of_the_old_note() -> Result<Self, CastError> {
        let teaching = Teaching { version: SslVersion::DTLS1_2, ..Teaching::with_suites(NOTE_SUITE) };
        Self::make(&Profile::Teaching(teaching), Authority::issue_rsa)
    }

    fn make(
        profile: &Profile,
        issue: impl Fn(&Authority, &str, Validity) -> Result<Identity, IdentityError>,
    ) -> Result<Self, CastError> {
        let validity = Validity::days(unix_seconds(), CERTIFICATE_DAYS);
        let authority = Authority::generate("peerbound demo CA (throw-away)", validity)?;
        let identity = |who: Who| issue(&authority, who.name(), validity);
        let identities = [identity(Who::A)?, identity(Who::B)?, identity(Who::C)?];
        let context = |who: Who| {
            Context::new(ContextConfig {
                profile: profile.clone(),
                ..ContextConfig::new(identities[who.index()].clone(), vec![authority.to_root()])
            })
        };
        let contexts = [context(Who::A)?, context(Who::B)?, context(Who::C)?];
        Ok(Self { authority, identities, contexts })
    }

    /// Returns the authority.
    #[must_use]
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Lists the three identities: A, B, C.
    #[must_use]
    pub fn identities(&self) -> &[Identity; 3] {
        &self.identities
    }

    pub(crate) fn context(&self, who: Who) -> &Context {
        &self.contexts[who.index()]
    }

    pub(crate) fn id(&self, who: Who) -> NodeId {
        node_id(&self.contexts[who.index()].key_hash())
    }

    /// Returns who has this id.
    pub(crate) fn who(&self, id: &NodeId) -> Option<Who> {
        Who::ALL.into_iter().find(|who| self.id(*who) == *id)
    }
}
