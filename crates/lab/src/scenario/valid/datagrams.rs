//! Datagrams in the hands of a scenario: sealed, written by hand, captured, put on the wire.

use peerbound_dtls::ContentType;
use toml::Value;

use crate::scenario::error::ScenarioError;
use crate::scenario::fault::{Course, HandshakeMessage};
use crate::scenario::file::{CaptureFile, ForgeFile, InjectFile, SealFile};
use crate::scenario::place::Place;
use crate::scenario::plan::{HostPlan, Version};
use crate::scenario::step::{Action, Edit, ForgedBody, ForgedRecord, Injection, Sequence, Source};
use crate::scenario::valid::labels::Labelled;
use crate::scenario::valid::steps::payload;
use crate::scenario::valid::{REPEAT_MAX, Validation, number, only_beside, the_only, the_word, word};
use crate::scenario::values::{bytes, choices, sequence};
use crate::scenario::words::Word;
use crate::trace::HostIndex;

/// The longest body of a record: 2^14 + 2048 bytes (RFC 5246, 6.2.3).
const BODY_BYTES_MAX: i64 = 16_384 + 2048;

/// The greatest record number (RFC 6347, 4.1: 48 bits).
const SEQUENCE_MAX: i64 = (1 << 48) - 1;

/// The messages that the attacker knows how to write without any keys.
const FORGEABLE: [HandshakeMessage; 4] = [
    HandshakeMessage::HelloRequest,
    HandshakeMessage::ClientHello,
    HandshakeMessage::ServerHello,
    HandshakeMessage::HelloVerifyRequest,
];

impl Validation<'_> {
    pub(super) fn seal(&mut self, place: Place<'_>, file: &SealFile) -> Result<Action, ScenarioError> {
        let [by, to] = self.two_sealers(place, ["seal.by", "seal.to"], [&file.by, &file.to])?;
        let payload = payload(place, "seal", file.payload.as_ref(), file.payload_bytes)?;
        let keys = file.keys.as_ref().map(|keys| self.path(place, "seal.keys", keys)).transpose()?;
        if keys.is_none() && file.sequence.is_some() {
            let problem = "a node numbers its records itself: remove it, or add `keys` that were stolen";
            return Err(place.wrong("seal.sequence", problem));
        }
        if let Some(path) = keys {
            self.check_aead(place, path.from)?;
        }
        let number = sequence_of(place, "seal.sequence", file.sequence.as_ref())?;
        let label = self.labels.make(place, "seal.as", &file.label, Labelled::Sealed)?;
        if let Some(id) = &file.id {
            if self.is_node(by) || keys.is_some() {
                let problem = "ids are for hosts with a `record_model`, under keys of their own: remove it";
                return Err(place.wrong("seal.id", problem));
            }
            let id = self.path(place, "seal.id", id)?;
            return Ok(Action::SealUnder { by, to, payload, id, label });
        }
        let is_reply = file.reply;
        Ok(match keys {
            Some(keys) => Action::SealWithKeys { keys, by, to, payload, is_reply, sequence: number, label },
            None => Action::Seal { by, to, payload, is_reply, label },
        })
    }

    /// Finds two hosts that seal what they are given to send: nodes or record models, both alike.
    pub(super) fn two_sealers(
        &self,
        place: Place<'_>,
        keys: [&str; 2],
        names: [&str; 2],
    ) -> Result<[HostIndex; 2], ScenarioError> {
        let runs_model =
            |name: &str| self.hosts.iter().any(|host| host.name == name && host.seals() && !host.is_node());
        if !names.into_iter().all(runs_model) {
            return self.two_nodes(place, keys, names);
        }
        self.two(place, keys[1], names)
    }

    /// The lab seals by itself under AEAD suites only.
    fn check_aead(&self, place: Place<'_>, host: HostIndex) -> Result<(), ScenarioError> {
        let suite = self.hosts.get(host.0 as usize).and_then(HostPlan::node).and_then(|node| node.dtls.suite);
        match suite {
            Some(suite) if !suite.is_aead() => Err(place.wrong(
                "seal.keys",
                format!("nobody but a node seals under {}: choose an AEAD suite", suite.name),
            )),
            Some(_) | None => Ok(()),
        }
    }

    pub(super) fn forge(&mut self, place: Place<'_>, file: &ForgeFile) -> Result<Action, ScenarioError> {
        let bodies = [
            ("body", file.body.is_some()),
            ("random", file.random.is_some()),
            ("handshake", file.handshake.is_some()),
        ];
        let body = match the_only(place, &bodies, "a forged record")? {
            "handshake" => {
                let text = file.handshake.as_deref().unwrap_or_default();
                let message = the_word(place, "forge.handshake", text)?;
                if !FORGEABLE.contains(&message) {
                    let known: Vec<_> = FORGEABLE.map(Word::word).to_vec();
                    return Err(place.wrong(
                        "forge.handshake",
                        format!("{text} takes keys to write: {}", choices(text, &known)),
                    ));
                }
                ForgedBody::Handshake(message)
            }
            "random" => ForgedBody::Random(number(
                place,
                "forge.random",
                file.random.unwrap_or(0),
                0..=BODY_BYTES_MAX,
            )?),
            _ => {
                let text = file.body.as_deref().unwrap_or_default();
                let given = bytes(text).filter(|bytes| bytes.len() as i64 <= BODY_BYTES_MAX);
                ForgedBody::Bytes(given.ok_or_else(|| {
                    place.wrong(
                        "forge.body",
                        format!("{text:?} is no body: write bytes in hexadecimal, as in \"0228\""),
                    )
                })?)
            }
        };
        let content_type = match (&file.content_type, &body) {
            (Some(text), _) => the_word(place, "forge.type", text)?,
            (None, ForgedBody::Handshake(_)) => ContentType::Handshake,
            (None, ForgedBody::Bytes(_) | ForgedBody::Random(_)) => {
                let problem = "which type has the record? add `type = \"application-data\"`";
                return Err(place.wrong("forge", problem));
            }
        };
        let record = ForgedRecord {
            content_type,
            version: word(place, "forge.version", file.version.as_ref(), Version::Dtls12)?,
            epoch: file
                .epoch
                .map_or(Ok(0), |epoch| number(place, "forge.epoch", epoch, 0..=i64::from(u16::MAX)))?,
            sequence: sequence_of(place, "forge.sequence", file.sequence.as_ref())?,
            body,
        };
        let label = self.labels.make(place, "forge.as", &file.label, Labelled::Forged)?;
        Ok(Action::Forge { record, label })
    }

    pub(super) fn capture(&mut self, place: Place<'_>, file: &CaptureFile) -> Result<Action, ScenarioError> {
        let on: Course = self.course(place, "capture.on", &file.on)?;
        let extra = [
            ("by", file.which.by.is_some()),
            ("bit", file.which.bit.is_some()),
            ("flight", file.which.flight.is_some()),
        ];
        only_beside(place, "capture", &["handshake", "record", "epoch", "nth", "from", "until"], &extra)?;
        let mut which = self.which(place, &file.which)?;
        which.nth.get_or_insert(1);
        let label =
            self.labels.make(place, "capture.as", &file.label, Labelled::Captured { is_held: file.hold })?;
        Ok(Action::Capture { on, which, is_held: file.hold, label })
    }

    pub(super) fn inject(&mut self, place: Place<'_>, file: &InjectFile) -> Result<Injection, ScenarioError> {
        let (datagram, found) = self.labels.find(
            place,
            "inject.datagram",
            &file.datagram,
            "a datagram",
            Labelled::is_datagram,
        )?;
        let to = self.host(place, "inject.to", &file.to)?;
        let source = self.source(place, &file.source, to)?;
        let by = match file.by.as_deref() {
            Some("attacker") => self.attacker(),
            Some(name) => self.host(place, "inject.by", name)?,
            None => match source {
                Source::Host(host) | Source::ConnectedSocketOf(host) => host,
                Source::Attacker | Source::Address(_) => self.attacker(),
            },
        };
        if let Source::ConnectedSocketOf(host) = source
            && by != host
        {
            return Err(place.wrong("inject.by", "only the host itself can open a socket: remove it"));
        }
        let edits = edits(place, file)?;
        let label = match (&file.label, found.is_on_wire()) {
            (Some(name), _) => {
                self.labels.make(place, "inject.as", name, Labelled::Injected { has_message: false })?
            }
            (None, true) => {
                let problem = format!(
                    "{:?} is on the wire under this name already: name this one with `as`",
                    file.datagram
                );
                return Err(place.wrong("inject.datagram", problem));
            }
            (None, false) => {
                self.labels.put_on_wire(&datagram);
                datagram.clone()
            }
        };
        let times = file.times.map_or(Ok(1), |times| number(place, "inject.times", times, 1..=REPEAT_MAX))?;
        Ok(Injection { datagram, edits, to, source, by, times, label })
    }

    fn source(&self, place: Place<'_>, text: &str, to: HostIndex) -> Result<Source, ScenarioError> {
        if text == "attacker" {
            return Ok(Source::Attacker);
        }
        if let Ok(address) = text.parse() {
            return Ok(Source::Address(address));
        }
        let (name, is_connected) = match text.strip_suffix(" connected") {
            Some(name) => (name, true),
            None => (text, false),
        };
        let host = self.host(place, "inject.source", name)?;
        if host == to {
            return Err(place.wrong("inject.source", "nobody sends to himself: name another host"));
        }
        Ok(if is_connected { Source::ConnectedSocketOf(host) } else { Source::Host(host) })
    }
}

fn sequence_of(place: Place<'_>, key: &str, value: Option<&Value>) -> Result<Sequence, ScenarioError> {
    let read = match value {
        None => Some(Sequence::Newest(1)),
        Some(Value::Integer(number)) => {
            u64::try_from(*number).ok().filter(|_| *number <= SEQUENCE_MAX).map(Sequence::Number)
        }
        Some(Value::String(text)) => sequence(text),
        Some(_) => None,
    };
    read.ok_or_else(|| {
        place.wrong(key, "it is no record number: write one, or \"next\", \"newest\", \"+63\" or \"-69\"")
    })
}

fn edits(place: Place<'_>, file: &InjectFile) -> Result<Vec<Edit>, ScenarioError> {
    let mut edits = Vec::new();
    if file.set_sequence.is_some() {
        edits.push(Edit::SetSequence(sequence_of(place, "inject.set_sequence", file.set_sequence.as_ref())?));
    }
    if let Some(epoch) = file.set_epoch {
        edits.push(Edit::SetEpoch(number(place, "inject.set_epoch", epoch, 0..=i64::from(u16::MAX))?));
    }
    if let Some(bit) = file.flip_bit {
        let range = -8 * BODY_BYTES_MAX..=8 * BODY_BYTES_MAX - 1;
        edits.push(Edit::FlipBit(number(place, "inject.flip_bit", bit, range)?));
    }
    if let Some(bytes) = file.truncate {
        edits.push(Edit::Truncate(number(place, "inject.truncate", bytes, 0..=BODY_BYTES_MAX)?));
    }
    Ok(edits)
}
