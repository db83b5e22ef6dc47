//! Steps, and the labels they make.

use toml::Spanned;

use crate::scenario::error::ScenarioError;
use crate::scenario::file::{LinkChangeFile, ScenarioFile, SendFile, StepFile, TwoFile};
use crate::scenario::parameters;
use crate::scenario::place::Place;
use crate::scenario::plan::{Boot, Conditions, Dials};
use crate::scenario::step::{Action, Label, Occasion, Repeat, SendPlan, Step, Trigger};
use crate::scenario::valid::labels::Labelled;
use crate::scenario::valid::{REPEAT_MAX, Validation, number, the_only};
use crate::scenario::values::choices;
use crate::trace::HostIndex;

/// A payload that no datagram could carry is refused here; one that does not fit the path is refused by
/// the node, as an experiment may be about.
const PAYLOAD_BYTES_MAX: i64 = 65_507;

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
            _ => self.needs_routers(place, "on").map(|()| Occasion::Converged),
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

    pub(super) fn two_nodes(
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

    fn link_change(&self, place: Place<'_>, file: &LinkChangeFile) -> Result<Action, ScenarioError> {
        let [one, other] = &file.between.0;
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

pub(super) fn payload(
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
