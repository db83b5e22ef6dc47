//! What a finished handshake agreed on, with whom, and whether a session may accept that.

use openssl::error::ErrorStack;

use crate::admission::Refusal;
use crate::context::per_session;
use crate::ffi::{Engine, PLAINTEXT_BYTES_MAX};
use crate::gate::{VERSION_DTLS_1_0, VERSION_DTLS_1_2};
use crate::identity::{KeyHash, common_name};
use crate::keys::{Direction, DirectionKeys, RecordKeys, SessionSecrets};
use crate::options::Role;
use crate::outcome::CloseReason;
use crate::record::{ContentType, RECORD_HEADER_BYTES, Record};
use crate::suite::Suite;

/// Who is at the other end of an established session, and on what terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// The hash of its key.
    pub key: KeyHash,
    /// The common name in its certificate.
    pub name: String,
    /// The suite that protects the records.
    pub suite: Suite,
    /// Whether an earlier session was resumed.
    pub resumed: bool,
}

/// An established session's terms, keys and counts.
pub(crate) struct Established {
    pub(crate) peer: Peer,
    pub(crate) secrets: SessionSecrets,
    keys: RecordKeys,
    pub(crate) payload_bytes_max: usize,
    pub(crate) records_sent: u64,
    pub(crate) records_received: u64,
}

/// Whose rules a session keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Strictness {
    /// Those of a node: AEAD suites and the extended master secret, or no session.
    Node,
    /// None but OpenSSL's.
    Teaching,
}

/// Finds out what was agreed with whom, and refuses what a node must not agree to. Admission is
/// asked again: a resumed handshake shows no certificate to the callback.
pub(crate) fn agreed(engine: &Engine, mtu: u16, strictness: Strictness) -> Result<Established, CloseReason> {
    let failed = |reason: &str| CloseReason::Failed(reason.to_owned());
    let openssl = |_: ErrorStack| failed("OpenSSL cannot name the terms of the session");
    if strictness == Strictness::Node && !engine.has_extended_master_secret() {
        return Err(CloseReason::Refused(Refusal::NoExtendedMasterSecret));
    }
    let ssl = engine.ssl();
    let certificate = ssl.peer_certificate().ok_or_else(|| failed("the peer showed no certificate"))?;
    let key = KeyHash::of(&certificate).map_err(openssl)?;
    let name = common_name(&certificate);
    let index = per_session().map_err(openssl)?;
    if !ssl.ex_data(index).is_some_and(|session| session.admission.admits(&key)) {
        return Err(CloseReason::Refused(Refusal::NotAdmitted { name, key }));
    }
    let suite = ssl
        .current_cipher()
        .and_then(|cipher| Suite::by_name(cipher.name()))
        .ok_or_else(|| failed("the suite is not one of ours"))?;
    let version = match ssl.version_str() {
        "DTLSv1" => VERSION_DTLS_1_0,
        _ => VERSION_DTLS_1_2,
    };
    let mut secrets = SessionSecrets {
        version,
        suite,
        client_random: [0; 32],
        server_random: [0; 32],
        master_secret: [0; 48],
    };
    ssl.client_random(&mut secrets.client_random);
    ssl.server_random(&mut secrets.server_random);
    ssl.session().ok_or_else(|| failed("there is no session"))?.master_key(&mut secrets.master_secret);
    let keys = secrets.record_keys().map_err(openssl)?;
    Ok(Established {
        peer: Peer { key, name, suite, resumed: ssl.session_reused() },
        payload_bytes_max: payload_bytes_max(mtu, suite),
        secrets,
        keys,
        records_sent: 0,
        records_received: 0,
    })
}

/// Returns the largest payload for one datagram of `mtu` bytes. OpenSSL refuses one that is longer than a
/// record, and the refusal ends the session.
pub(crate) fn payload_bytes_max(mtu: u16, suite: Suite) -> usize {
    usize::from(mtu).saturating_sub(suite.overhead_bytes_max()).min(PLAINTEXT_BYTES_MAX)
}

impl Established {
    pub(crate) fn read_keys(&self, role: Role) -> &DirectionKeys {
        self.write_keys(match role {
            Role::Client => Role::Server,
            Role::Server => Role::Client,
        })
    }

    pub(crate) fn write_keys(&self, role: Role) -> &DirectionKeys {
        self.keys.of(match role {
            Role::Client => Direction::ClientToServer,
            Role::Server => Direction::ServerToClient,
        })
    }

    /// Says whether a record that gave no plaintext was genuine all the same. Application data of
    /// more than the least length would have given some, which spares a flood of forgeries a
    /// second decryption each.
    pub(crate) fn verifies(&self, record: &Record<'_>, role: Role) -> bool {
        let silent_by_nature = record.header.content_type != ContentType::ApplicationData
            || record.bytes.len() <= RECORD_HEADER_BYTES + self.peer.suite.body_bytes_min();
        silent_by_nature && record.header.epoch == 1 && self.read_keys(role).open(record).is_some()
    }
}
