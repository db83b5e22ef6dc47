//! DTLS 1.2 over OpenSSL, without I/O: identity, context, session, record gate, record keys.
//!
//! Nothing here asks the clock, spawns a thread or touches a socket. A [`Session`] binds a peer;
//! an [`Association`] keeps the sessions of one 5-tuple; a [`Doorman`] meets strangers without
//! keeping state for them; a [`KeyOracle`] says who sealed a record.
#![deny(unsafe_code)]
#![warn(clippy::unwrap_used)]

mod admission;
mod advice;
mod association;
mod authority;
mod context;
mod direct;
mod discard;
mod doorman;
mod down;
mod elsewhere;
#[expect(unsafe_code, reason = "the one file that may: every block says why it is sound")]
mod ffi;
mod gate;
mod hello;
mod identity;
mod keys;
mod live;
mod opening;
mod options;
mod oracle;
mod outcome;
mod plaintexts;
mod record;
mod replay;
mod request;
mod revocation;
mod rules;
mod self_signed;
mod session;
mod signature;
mod spki;
mod suite;
mod terms;
mod transport;

pub use admission::{Admission, Refusal};
pub use advice::{ADVICE_BYTES, advice_for};
pub use association::{
    Advice, Association, AssociationConfig, AssociationEvent, HANDSHAKE_DEADLINE_DEFAULT, Precedence,
    REKEY_AGE_DEFAULT, REKEY_RECORDS_DEFAULT,
};
pub use authority::{Authority, Certification, Revoked, Validity};
pub use context::{Context, ContextConfig, KeylogSink, Profile, Renegotiation, Resumption, Teaching};
pub use direct::RecordLayer;
pub use discard::{Discard, DiscardCounts, Malformation};
pub use doorman::{COOKIE_BYTES, Doorman, Screening, VerifiedHello};
pub use down::DownReason;
pub use elsewhere::{Opened, Opener, ReadyOpener, Unsealed};
pub use ffi::openssl_version;
pub use gate::{GateMode, ReplayMirror};
pub use hello::is_client_hello;
pub use identity::{
    Identity, IdentityError, KeyHash, check_validity, common_name, expires_at, issuer_name,
    read_certificates, serial_number, uri_names,
};
pub use keys::{Direction, DirectionKeys, RecordKeys, SealError, SessionSecrets};
pub use opening::Attempts;
pub use options::{FIRST_TIMEOUT_DEFAULT, MTU_DEFAULT, Repeats, ResumableSession, Role, SessionOptions};
pub use oracle::{KeyOracle, Sealed};
pub use outcome::{CloseReason, Outcome, SendError, SessionEvent};
pub use plaintexts::Plaintexts;
pub use record::{
    ContentType, RECORD_BODY_BYTES_MAX, RECORD_HEADER_BYTES, Record, RecordHeader, RecordNumber, Records,
};
pub use replay::{REPLAY_WINDOW_RECORDS, ReplayWindow};
pub use request::{CertificateRequest, NewKey, RequestError};
pub use revocation::{NoRevocationList, RevocationList};
pub use rules::{MemberRule, SelfSigned};
pub use self_signed::is_self_signed;
pub use session::Session;
pub use suite::Suite;
pub use terms::Peer;

pub use openssl::error::ErrorStack;
pub use openssl::ssl::SslVersion;
pub use openssl::x509::{X509, X509Ref};
