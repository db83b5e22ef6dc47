//! The words in which all forms of a trace speak of datagrams, verdicts and sessions.

use peerbound_cid::{TLS12_CID, WireForm, WireRecord};
use peerbound_dtls::{ContentType, Record, Records};
use peerbound_node::{Lock, Verdict};
use peerbound_sim::{HandshakeType, handshake_fragments};

use crate::hexadecimal::hex;
use crate::run::ID_BYTES;
use crate::trace::{HostIndex, SealedBy, Trace};

impl Trace {
    /// Returns what people call a host.
    #[must_use]
    pub fn name_of(&self, host: HostIndex) -> &str {
        let index = usize::try_from(host.0).unwrap_or(usize::MAX);
        self.hosts.get(index).map_or("?", |host| &host.name)
    }

    /// Says which session sealed a record: "session A–B, direction B→A".
    #[must_use]
    pub fn describe_seal(&self, sealed: SealedBy) -> String {
        sealed.describe(|host| self.name_of(host))
    }
}

impl SealedBy {
    /// Says which session it was, with the hosts' names: "session A–B, direction B→A".
    pub(crate) fn describe<'a>(self, name: impl Fn(HostIndex) -> &'a str) -> String {
        let (one, other) = (self.from.min(self.to), self.from.max(self.to));
        format!("session {}–{}, direction {}→{}", name(one), name(other), name(self.from), name(self.to))
    }
}

/// Returns the one word for how a datagram ended at a node: a lock's name, or `accepted`,
/// `challenged`, `killed`.
#[must_use]
pub fn word_of(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Accepted => "accepted",
        Verdict::Challenged => "challenged",
        Verdict::Killed => "killed",
        Verdict::Dropped(lock) => match lock {
            Lock::Kernel | Lock::Demux | Lock::Gate | Lock::Replay | Lock::RecordAuth | Lock::Identity => {
                lock.name()
            }
        },
    }
}

/// Says what a datagram holds, as far as anyone can see who has no keys: "ClientHello",
/// "ServerHello, Certificate, ServerHelloDone", "application data #12".
#[must_use]
pub fn contents_of(datagram: &[u8]) -> String {
    if let Some(words) = with_id(datagram) {
        return words;
    }
    let mut words: Vec<String> = Vec::new();
    for record in Records::of(datagram) {
        match record {
            Ok(record) => words.extend(words_of(&record)),
            Err(_) if words.is_empty() => return format!("no record ({} bytes)", datagram.len()),
            Err(_) => words.push("rubbish".to_owned()),
        }
    }
    words.dedup();
    if words.is_empty() { "nothing".to_owned() } else { words.join(", ") }
}

/// Names a record with a Connection ID. What it carries is under the seal.
fn with_id(datagram: &[u8]) -> Option<String> {
    if datagram.first() != Some(&TLS12_CID) {
        return None;
    }
    let (record, _) = WireRecord::split(datagram, ID_BYTES).ok()?;
    let WireForm::Identified(id) = record.form else { return None };
    Some(format!("record #{} with id {}", record.number.sequence, hex(id)))
}

/// Names the content of one record.
fn words_of(record: &Record<'_>) -> Vec<String> {
    let header = &record.header;
    if header.epoch > 0 {
        let what = match header.content_type {
            ContentType::ChangeCipherSpec => "ChangeCipherSpec",
            ContentType::Alert => "alert",
            ContentType::Handshake => "Finished",
            ContentType::ApplicationData => "data",
        };
        return vec![format!("{what} #{}", header.sequence)];
    }
    match header.content_type {
        ContentType::ChangeCipherSpec => vec!["ChangeCipherSpec".to_owned()],
        ContentType::Alert => vec!["alert in the clear".to_owned()],
        ContentType::ApplicationData => vec!["data in the clear".to_owned()],
        ContentType::Handshake => handshake_messages(record.body()).into_iter().map(str::to_owned).collect(),
    }
}

/// Names the handshake messages in the body of a record in the clear; fragments of one once.
#[must_use]
pub fn handshake_messages(body: &[u8]) -> Vec<&'static str> {
    let mut names: Vec<_> = handshake_fragments(body).map(|(number, _)| handshake_name(number)).collect();
    names.dedup();
    names
}

/// Names a handshake message by its number. A Finished in the clear is none of a real handshake's.
fn handshake_name(number: u8) -> &'static str {
    const FINISHED: u8 = 20;
    match HandshakeType::from_number(number) {
        Some(message) => message.name(),
        None if number == FINISHED => "Finished",
        None => "unknown message",
    }
}
