//! Steps, and the labels they make.

use toml::{Spanned, Value};

use crate::scenario::error::ScenarioError;
use crate::scenario::fault::{Course, HandshakeMessage};
use crate::scenario::file::{
    CaptureFile, ForgeFile, InjectFile, LinkChangeFile, ScenarioFile, SealFile, SendFile, StepFile, TwoFile,
};
use crate::scenario::parameters;
use crate::scenario::place::Place;
use crate::scenario::plan::{Boot, Conditions, Dials, HostPlan, Version};
use crate::scenario::step::{
    Action, Edit, ForgedBody, ForgedRecord, Injection, Label, Occasion, Repeat, SendPlan, Sequence, Source,
    Step, Trigger,
};
use crate::scenario::valid::labels::Labelled;
use crate::scenario::valid::{REPEAT_MAX, Validation, number, the_only, the_word, word};
use crate::scenario::values::{bytes, choices, sequence};
use crate::scenario::words::Word;
use crate::trace::HostIndex;

/// A payload that no datagram could carry is refused here; one that does not fit the path is refused by
/// the node, as an experiment may be about.
const PAYLOAD_BYTES_MAX: i64 = 65_507;

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

/// The first words of a step's `on`, each with what stands behind it.
const OCCASIONS: [(&str, &str); 9] = [
    ("up", "nothing, or two nodes: \"up A-B\""),
    ("down", "two nodes: \"down A-B\""),
    ("replaced", "two nodes: \"replaced A-B\""),
    ("delivered", "a message: \"delivered request\""),
    ("arrived", "a datagram: \"arrived reply\""),
    ("captured", "a datagram: \"captured old\""),
    ("dial-failed", "a node: \"dial-failed A\""),
    ("stranger-failed", "a node: \"stranger-failed A\""),
    ("converged", "nothing"),
];

impl<'a> Validation<'a> {
    pub(super) fn steps(&mut self, file: &'a ScenarioFile) -> Result<Vec<Step>, ScenarioError> {
        let mut steps = Vec::new();
        for (index, step) in file.step.iter().enumerate() {
            let place = self.whole.numbered("step", index, step);
            if !parameters::holds(&step.get_ref().when, self.chosen, place)? {
                continue;
            }
            let trigger = self.trigger(place, step, steps.is_empty())?;
            let action = self.action(place, step.get_ref())?;
            steps.push(Step { trigger, action });
        }
        self.check_boots(file, &steps)?;
        Ok(steps)
    }

    fn trigger(
        &self,
        place: Place<'_>,
        step: &Spanned<StepFile>,
        is_first: bool,
    ) -> Result<Trigger, ScenarioError> {
        let StepFile { at, on, .. } = step.get_ref();
        match (at, on) {
            (Some(_), Some(_)) => Err(place.wrong("on", "a step has `at` or `on`: remove one of them")),
            (Some(at), None) => self.time(place, "at", at).map(Trigger::At),
            (None, Some(on)) => self.occasion(place, on).map(Trigger::On),
            (None, None) if is_first && self.mesh.is_none() => Ok(Trigger::On(Occasion::Up)),
            (None, None) => Ok(Trigger::AfterPrevious),
        }
    }

    fn occasion(&self, place: Place<'_>, text: &str) -> Result<Occasion, ScenarioError> {
        let (what, rest) = text.split_once(' ').unwrap_or((text, ""));
        let rest = rest.trim();
        let Some((_, behind)) = OCCASIONS.iter().find(|(known, _)| *known == what) else {
            let known: Vec<_> = OCCASIONS.iter().map(|(known, _)| *known).collect();
            return Err(
                place.wrong("on", format!("a step cannot wait for {text:?}: {}", choices(what, &known)))
            );
        };
        let needs_nothing = what == "converged";
        if rest.is_empty() != needs_nothing && !(what == "up" && rest.is_empty()) {
            return Err(place.wrong("on", format!("behind \"{what}\" stands {behind}")));
        }
        match what {
            "up" if rest.is_empty() => Ok(Occasion::Up),
            "up" => self.session(place, "on", rest).map(Occasion::LinkUp),
            "down" => self.session(place, "on", rest).map(Occasion::LinkDown),
            "replaced" => self.session(place, "on", rest).map(Occasion::Replaced),
            "delivered" => self.message(place, "on", rest).map(Occasion::Delivered),
            "arrived" => self
                .labels
                .find(place, "on", rest, "a datagram on the wire", Labelled::is_on_wire)
                .map(|(label, _)| Occasion::Arrived(label)),
            "captured" => {
                let fits = |found| matches!(found, Labelled::Captured { .. });
                self.labels
                    .find(place, "on", rest, "a captured datagram", fits)
                    .map(|(label, _)| Occasion::Captured(label))
            }
            "dial-failed" => self.node(place, "on", rest).map(Occasion::DialFailed),
            "stranger-failed" => self.node(place, "on", rest).map(Occasion::StrangerFailed),
            _ => Ok(Occasion::Converged),
        }
    }

    /// Finds two nodes between which there may be a session.
    pub(super) fn session(
        &self,
        place: Place<'_>,
        key: &str,
        text: &str,
    ) -> Result<[HostIndex; 2], ScenarioError> {
        let pair = self.pair(place, key, text)?;
        let has_session = |index: usize| self.links[index].dials != Dials::Nobody;
        if self.mesh.is_some() || self.link_between(pair).is_some_and(has_session) {
            return Ok(pair);
        }
        Err(place
            .wrong(key, format!("no session is to be between {text:?}: add a [[link]] over which one dials")))
    }

    fn message(&self, place: Place<'_>, key: &str, name: &str) -> Result<Label, ScenarioError> {
        self.labels.find(place, key, name, "a message", Labelled::is_message).map(|(label, _)| label)
    }

    fn action(&mut self, place: Place<'_>, step: &StepFile) -> Result<Action, ScenarioError> {
        the_only(place, &step.actions(), "a step")?;
        if let Some(send) = &step.send {
            return self.send(place, send).map(Action::Send);
        }
        if let Some(ping) = &step.ping {
            let [from, to] = self.two_nodes(place, ["ping.from", "ping.to"], [&ping.from, &ping.to])?;
            let label = self.some_label(place, "ping.as", ping.label.as_ref(), Labelled::Message)?;
            return Ok(Action::Ping { from, to, label });
        }
        if let Some(talk) = &step.talk {
            let pairs = number(place, "talk.pairs", talk.pairs, 1..=REPEAT_MAX)?;
            let tries =
                talk.tries.map_or(Ok(1), |tries| number(place, "talk.tries", tries, 1..=REPEAT_MAX))?;
            let label = self.labels.make(place, "talk.as", &talk.label, Labelled::Talk)?;
            return Ok(Action::Talk { pairs, tries, label });
        }
        if let Some(seal) = &step.seal {
            return self.seal(place, seal);
        }
        if let Some(forge) = &step.forge {
            return self.forge(place, forge);
        }
        if let Some(capture) = &step.capture {
            return self.capture(place, capture);
        }
        if let Some(name) = &step.release {
            let is_held = |found| found == Labelled::Captured { is_held: true };
            let (label, _) =
                self.labels.find(place, "release", name, "a captured datagram that is held", is_held)?;
            return Ok(Action::Release(label));
        }
        if let Some(inject) = &step.inject {
            return self.inject(place, inject).map(Action::Inject);
        }
        self.action_on_the_world(place, step)
    }

    fn action_on_the_world(&self, place: Place<'_>, step: &StepFile) -> Result<Action, ScenarioError> {
        let node = |key, name: &String| self.node(place, key, name);
        let two = |key: &str, two: &TwoFile| {
            let pair = self.two_nodes(place, [key, key], [&two.by, &two.with])?;
            self.session(place, key, &format!("{}-{}", two.by, two.with)).map(|_| pair)
        };
        match step {
            StepFile { boot: Some(name), .. } => node("boot", name).map(Action::Boot),
            StepFile { crash: Some(name), .. } => node("crash", name).map(Action::Crash),
            StepFile { restart: Some(name), .. } => node("restart", name).map(Action::Restart),
            StepFile { shutdown: Some(name), .. } => node("shutdown", name).map(Action::ShutDown),
            StepFile { rebind: Some(name), .. } => {
                let found = self.nats.iter().position(|nat| nat.name == *name);
                let known: Vec<_> = self.nats.iter().map(|nat| nat.name.as_str()).collect();
                found.map(Action::Rebind).ok_or_else(|| {
                    place.wrong("rebind", format!("there is no NAT {name:?}: {}", choices(name, &known)))
                })
            }
            StepFile { link: Some(change), .. } => self.link_change(place, change),
            StepFile { renegotiate: Some(pair), .. } => {
                two("renegotiate", pair).map(|[by, with]| Action::Renegotiate { by, with })
            }
            StepFile { rekey: Some(pair), .. } => {
                two("rekey", pair).map(|[by, with]| Action::Rekey { by, with })
            }
            StepFile { wait: Some(text), .. } => self.time(place, "wait", text).map(Action::Wait),
            _ => Err(place.wrong("", "nothing is asked for")),
        }
    }

    fn two_nodes(
        &self,
        place: Place<'_>,
        keys: [&str; 2],
        names: [&str; 2],
    ) -> Result<[HostIndex; 2], ScenarioError> {
        let two = [self.node(place, keys[0], names[0])?, self.node(place, keys[1], names[1])?];
        if two[0] == two[1] {
            return Err(
                place.wrong(keys[1], format!("{:?} is at both ends: name two different nodes", names[0]))
            );
        }
        Ok(two)
    }

    fn some_label(
        &mut self,
        place: Place<'_>,
        key: &str,
        name: Option<&String>,
        what: Labelled,
    ) -> Result<Option<Label>, ScenarioError> {
        name.map(|name| self.labels.make(place, key, name, what)).transpose()
    }

    fn send(&mut self, place: Place<'_>, file: &SendFile) -> Result<SendPlan, ScenarioError> {
        let [from, to] = self.two_sealers(place, ["send.from", "send.to"], [&file.from, &file.to])?;
        let payload = payload(place, "send", file.payload.as_ref(), file.payload_bytes)?;
        let repeat = match (&file.until_past, file.records, file.count) {
            (Some(name), records, None) => {
                let (datagram, _) =
                    self.labels.find(place, "send.until_past", name, "a datagram", Labelled::is_datagram)?;
                let records = records
                    .map_or(Ok(1), |records| number(place, "send.records", records, 1..=REPEAT_MAX))?;
                Repeat::UntilPast { datagram, records }
            }
            (Some(_), _, Some(_)) => {
                return Err(place.wrong("send.count", "there is an `until_past`, too: remove one of them"));
            }
            (None, Some(_), _) => {
                return Err(
                    place.wrong("send.records", "it goes with `until_past`: add that, or write `count`")
                );
            }
            (None, None, count) => Repeat::Times(
                count.map_or(Ok(1), |count| number(place, "send.count", count, 1..=REPEAT_MAX))?,
            ),
        };
        // What a record model sends is a datagram; it has no frames.
        let kind =
            if self.is_node(from) { Labelled::Message } else { Labelled::Injected { has_message: false } };
        let label = self.some_label(place, "send.as", file.label.as_ref(), kind)?;
        Ok(SendPlan { from, to, payload, is_reply: file.reply, repeat, label })
    }

    fn seal(&mut self, place: Place<'_>, file: &SealFile) -> Result<Action, ScenarioError> {
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
    fn two_sealers(
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

    fn forge(&mut self, place: Place<'_>, file: &ForgeFile) -> Result<Action, ScenarioError> {
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
            (None, ForgedBody::Handshake(_)) => peerbound_dtls::ContentType::Handshake,
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

    fn capture(&mut self, place: Place<'_>, file: &CaptureFile) -> Result<Action, ScenarioError> {
        let on: Course = self.course(place, "capture.on", &file.on)?;
        let extra = [
            ("by", file.which.by.is_some()),
            ("bit", file.which.bit.is_some()),
            ("flight", file.which.flight.is_some()),
        ];
        super::only_beside(
            place,
            "capture",
            &["handshake", "record", "epoch", "nth", "from", "until"],
            &extra,
        )?;
        let mut which = self.which(place, &file.which)?;
        which.nth.get_or_insert(1);
        let label =
            self.labels.make(place, "capture.as", &file.label, Labelled::Captured { is_held: file.hold })?;
        Ok(Action::Capture { on, which, is_held: file.hold, label })
    }

    fn inject(&mut self, place: Place<'_>, file: &InjectFile) -> Result<Injection, ScenarioError> {
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

    fn link_change(&self, place: Place<'_>, file: &LinkChangeFile) -> Result<Action, ScenarioError> {
        let [one, other] = &file.between;
        let pair = self.two(place, "link.between", [one, other])?;
        let Some(index) = self.link_between(pair) else {
            return Err(place.wrong("link.between", "there is no [[link]] between these two: add one"));
        };
        let link = &self.links[index];
        // `forth` is from the first that is named here, whichever the link itself has first.
        let is_turned = link.between != pair;
        let common = file.conditions();
        let change = |own: &Option<_>, base: &Conditions| match own {
            Some(own) => {
                let common = self.conditions(place, &common, base)?;
                self.conditions(place, own, &common).map(Some)
            }
            None if file.forth.is_some() || file.back.is_some() => Ok(None),
            None => self.conditions(place, &common, base).map(Some),
        };
        let (own_forth, own_back) =
            if is_turned { (&file.back, &file.forth) } else { (&file.forth, &file.back) };
        Ok(Action::Link {
            link: index,
            forth: change(own_forth, &link.forth)?,
            back: change(own_back, &link.back)?,
        })
    }

    /// A node that boots by a step has one that boots it.
    fn check_boots(&self, file: &ScenarioFile, steps: &[Step]) -> Result<(), ScenarioError> {
        for (index, (host, node)) in self.hosts.iter().zip(&file.node).enumerate() {
            let waits = host.node().is_some_and(|node| node.boot == Boot::ByStep);
            let boots = steps
                .iter()
                .filter(|step| matches!(step.action, Action::Boot(who) if who.0 as usize == index));
            let problem = match (waits, boots.count()) {
                (true, 1) | (false, 0) => continue,
                (true, 0) => "it is to boot by a step, and there is none: add `boot` to a [[step]]",
                (true, _) => "it boots more than once: use `crash` and `restart`",
                (false, _) => "it runs from the beginning: write `boot = \"by-step\"` in its [[node]]",
            };
            return Err(self.whole.numbered("node", index, node).wrong("boot", problem));
        }
        Ok(())
    }
}

impl StepFile {
    fn actions(&self) -> [(&'static str, bool); 17] {
        [
            ("send", self.send.is_some()),
            ("ping", self.ping.is_some()),
            ("talk", self.talk.is_some()),
            ("seal", self.seal.is_some()),
            ("forge", self.forge.is_some()),
            ("capture", self.capture.is_some()),
            ("release", self.release.is_some()),
            ("inject", self.inject.is_some()),
            ("boot", self.boot.is_some()),
            ("crash", self.crash.is_some()),
            ("restart", self.restart.is_some()),
            ("shutdown", self.shutdown.is_some()),
            ("rebind", self.rebind.is_some()),
            ("link", self.link.is_some()),
            ("renegotiate", self.renegotiate.is_some()),
            ("rekey", self.rekey.is_some()),
            ("wait", self.wait.is_some()),
        ]
    }
}

fn payload(
    place: Place<'_>,
    action: &str,
    text: Option<&String>,
    length: Option<i64>,
) -> Result<Vec<u8>, ScenarioError> {
    let key = format!("{action}.payload");
    match (text, length) {
        (Some(_), Some(_)) => Err(place.wrong(&key, "there is a `payload_bytes`, too: remove one of them")),
        (Some(text), None) if text.len() as i64 > PAYLOAD_BYTES_MAX => {
            Err(place.wrong(&key, format!("it has more than the {PAYLOAD_BYTES_MAX} bytes of any datagram")))
        }
        (Some(text), None) => Ok(text.clone().into_bytes()),
        (None, Some(length)) => {
            let length: usize =
                number(place, &format!("{action}.payload_bytes"), length, 0..=PAYLOAD_BYTES_MAX)?;
            Ok(vec![b'x'; length])
        }
        (None, None) => {
            Err(place.wrong(action, "what is in it? add `payload = \"hello\"`, or `payload_bytes`"))
        }
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
