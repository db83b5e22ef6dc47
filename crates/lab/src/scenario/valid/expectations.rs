//! What must be seen.

use toml::Value;

use crate::judge::lock_of;
use crate::run::OBSERVED_NODES_MAX;
use crate::scenario::error::ScenarioError;
use crate::scenario::expectation::{Bounds, End, Expectation, MessageFate, SealedByPlan, Window};
use crate::scenario::file::{ExpectFile, ScenarioFile};
use crate::scenario::parameters;
use crate::scenario::place::Place;
use crate::scenario::step::Label;
use crate::scenario::valid::labels::Labelled;
use crate::scenario::valid::{Validation, only_beside, the_only, the_word};
use crate::scenario::values::choices;
use crate::trace::HostIndex;

/// Errors of sockets that a scenario can expect.
const SOCKET_ERRORS: [&str; 2] = ["ECONNREFUSED", "EMSGSIZE"];

/// The subjects that need more than what nodes tell their owners.
const UNSEEN_IN_LARGE_MESHES: [&str; 5] = ["datagram", "session", "message", "wire", "ratio"];

/// The subjects of an expectation, each with the keys that have a meaning beside it.
const SUBJECTS: [(&str, &[&str]); 10] = [
    ("datagram", &["at", "lock", "read_by", "reason", "sealed_by"]),
    ("session", &["is"]),
    (
        "message",
        &[
            "delivered_at",
            "undelivered",
            "readable_by",
            "unreadable_by",
            "path",
            "count",
            "at_least",
            "at_most",
        ],
    ),
    ("talk", &["count", "at_least", "at_most"]),
    ("wire", &["match", "count", "at_least", "at_most", "from", "until"]),
    ("event", &["at", "count", "at_least", "at_most", "from", "until"]),
    ("told", &["error"]),
    ("ratio", &["at_least", "at_most"]),
    ("reachable", &[]),
    ("broken", &[]),
];

impl<'a> Validation<'a> {
    pub(super) fn expectations(&self, file: &'a ScenarioFile) -> Result<Vec<Expectation>, ScenarioError> {
        let mut expectations = Vec::new();
        for (index, expect) in file.expect.iter().enumerate() {
            let place = self.whole.numbered("expect", index, expect);
            if parameters::holds(&expect.get_ref().when, self.chosen, place)? {
                expectations.push(self.expectation(place, expect.get_ref())?);
            }
        }
        if expectations.is_empty() {
            return Err(self
                .whole
                .wrong("", "nothing is expected: add an [[expect]], or the run proves nothing"));
        }
        Ok(expectations)
    }

    fn expectation(&self, place: Place<'_>, file: &ExpectFile) -> Result<Expectation, ScenarioError> {
        let subject = the_only(place, &file.subjects(), "an expectation")?;
        let (_, allowed) =
            SUBJECTS.iter().find(|(name, _)| *name == subject).expect("both lists have the same names");
        only_beside(place, subject, allowed, &file.others())?;
        self.is_observed(place, subject)?;
        if let Some(name) = &file.datagram {
            return self.datagram(place, name, file);
        }
        if let Some(name) = &file.message {
            return self.message_expectation(place, name, file);
        }
        if let Some(text) = &file.session {
            let between = self.session(place, "session", text)?;
            let Some(fate) = &file.is else {
                return Err(place.wrong("session", "what has become of it? add `is = \"alive\"`"));
            };
            return Ok(Expectation::Session { between, fate: the_word(place, "is", fate)? });
        }
        if let Some(name) = &file.talk {
            let is_talk = |found| found == Labelled::Talk;
            let (label, _) = self.labels.find(place, "talk", name, "a talk", is_talk)?;
            return Ok(Expectation::Talked { label, pairs: needed_bounds(place, file)? });
        }
        if let Some(path) = &file.wire {
            let pattern = match &file.pattern {
                Some(pattern) => {
                    let extra = [
                        ("nth", pattern.nth.is_some()),
                        ("from", pattern.from.is_some()),
                        ("until", pattern.until.is_some()),
                        ("flight", pattern.flight.is_some()),
                        ("by", pattern.by.is_some()),
                        ("bit", pattern.bit.is_some()),
                    ];
                    only_beside(place, "match", &["handshake", "record", "epoch"], &extra)?;
                    self.pattern(place, pattern)?
                }
                None => Default::default(),
            };
            let path = self.path_of_anyone(place, "wire", path)?;
            let count = needed_bounds(place, file)?;
            return Ok(Expectation::Wire { path, pattern, count, within: self.window(place, file)? });
        }
        if let Some(kind) = &file.event {
            let kind = the_word(place, "event", kind)?;
            let at = self.at(place, file)?;
            let count = bounds(place, file)?.unwrap_or(Bounds { at_least: 1, at_most: None });
            return Ok(Expectation::Event { kind, at, count, within: self.window(place, file)? });
        }
        self.rest(place, file)
    }

    /// Refuses what nobody sees in a large mesh, of which only events are written down: that it was not
    /// seen would be said for nothing.
    fn is_observed(&self, place: Place<'_>, subject: &str) -> Result<(), ScenarioError> {
        let is_large = self.mesh.as_ref().is_some_and(|mesh| mesh.nodes > OBSERVED_NODES_MAX);
        if is_large && UNSEEN_IN_LARGE_MESHES.contains(&subject) {
            let problem = format!(
                "of a mesh of more than {OBSERVED_NODES_MAX} nodes no {subject} is observed: ask for `talk`, `event` or `reachable`, or make it smaller"
            );
            return Err(place.wrong(subject, problem));
        }
        Ok(())
    }

    fn rest(&self, place: Place<'_>, file: &ExpectFile) -> Result<Expectation, ScenarioError> {
        if let Some(name) = &file.told {
            let host = self.host(place, "told", name)?;
            let error = file.error.clone().unwrap_or_default();
            if !SOCKET_ERRORS.contains(&error.as_str()) {
                let problem =
                    format!("{error:?} is no error to be told of: {}", choices(&error, &SOCKET_ERRORS));
                return Err(place.wrong("error", problem));
            }
            return Ok(Expectation::Told { host, error });
        }
        if let Some(text) = &file.ratio {
            let Some((over, under)) = text.split_once('/') else {
                return Err(place.wrong("ratio", "it has two paths: write \"A>B / B>A\""));
            };
            let (over, under) =
                (self.path(place, "ratio", over.trim())?, self.path(place, "ratio", under.trim())?);
            let (at_least, at_most) = (
                share(place, "at_least", file.at_least.as_ref())?,
                share(place, "at_most", file.at_most.as_ref())?,
            );
            if at_least.is_none() && at_most.is_none() {
                return Err(place.wrong("ratio", "how large may it be? add `at_most = 1.0`"));
            }
            return Ok(Expectation::Ratio { over, under, at_least, at_most });
        }
        if let Some(who) = &file.reachable {
            if who != "all" {
                return Err(place.wrong("reachable", format!("{who:?} has no meaning here: write \"all\"")));
            }
            self.needs_routers(place, "reachable")?;
            return Ok(Expectation::ReachableAll);
        }
        match &file.broken {
            Some(invariant) => the_word(place, "broken", invariant).map(Expectation::Broken),
            None => Err(place.wrong("", "nothing is expected here")),
        }
    }

    fn datagram(
        &self,
        place: Place<'_>,
        name: &str,
        file: &ExpectFile,
    ) -> Result<Expectation, ScenarioError> {
        let (label, _) =
            self.labels.find(place, "datagram", name, "a datagram on the wire", Labelled::is_on_wire)?;
        let at = match &file.at {
            Some(name) => self.anyone(place, "at", name)?,
            None => self.at(place, file)?,
        };
        let end = match (&file.lock, &file.read_by) {
            (Some(word), None) => {
                let known: Vec<_> = End::WORDS.iter().map(|(word, _)| *word).collect();
                let found = End::WORDS.iter().find(|(known, _)| known == word).map(|(_, end)| end.clone());
                found.ok_or_else(|| {
                    place.wrong("lock", format!("{word:?} is no lock: {}", choices(word, &known)))
                })?
            }
            (None, Some(listener)) => self.listener(place, listener, at)?,
            (Some(_), Some(_)) => {
                return Err(place.wrong("read_by", "there is a `lock`, too: remove one of them"));
            }
            (None, None) => {
                return Err(
                    place.wrong("datagram", "where does it end? add `lock`, or `read_by` with a listener")
                );
            }
        };
        if let (Some(reason), End::Lock(lock)) = (&file.reason, &end)
            && lock_of(reason) != Some(*lock)
        {
            let problem =
                format!("the lock {lock} counts no {reason:?}: docs/SCENARIOS.md lists the reasons");
            return Err(place.wrong("reason", problem));
        }
        let sealed_by = match file.sealed_by.as_deref() {
            None => None,
            Some("nobody") => Some(SealedByPlan::Nobody),
            Some(path) => Some(SealedByPlan::Path(self.path(place, "sealed_by", path)?)),
        };
        Ok(Expectation::Datagram { label, at, end, reason: file.reason.clone(), sealed_by })
    }

    fn listener(&self, place: Place<'_>, name: &str, at: HostIndex) -> Result<End, ScenarioError> {
        let on_host = self.listeners.iter().filter(|listener| listener.on == at);
        let known: Vec<_> = on_host.map(|listener| listener.name.as_str()).collect();
        if known.contains(&name) || (name == "attacker" && at == self.attacker()) {
            return Ok(End::ReadBy(name.to_owned()));
        }
        Err(place
            .wrong("read_by", format!("no [[listener]] there is called {name:?}: {}", choices(name, &known))))
    }

    fn at(&self, place: Place<'_>, file: &ExpectFile) -> Result<HostIndex, ScenarioError> {
        match &file.at {
            Some(name) => self.host(place, "at", name),
            None => Err(place.wrong("", "at whom? add `at = \"A\"`")),
        }
    }

    fn message_expectation(
        &self,
        place: Place<'_>,
        name: &str,
        file: &ExpectFile,
    ) -> Result<Expectation, ScenarioError> {
        let (label, _) = self.labels.find(place, "message", name, "a message", Labelled::is_message)?;
        let fates = [
            ("delivered_at", file.delivered_at.is_some()),
            ("undelivered", file.undelivered.is_some()),
            ("readable_by", file.readable_by.is_some()),
            ("unreadable_by", file.unreadable_by.is_some()),
        ];
        let fate = the_only(place, &fates, "a message")?;
        if fate != "delivered_at" {
            let extra = [
                ("path", file.path.is_some()),
                ("count", file.count.is_some()),
                ("at_least", file.at_least.is_some()),
                ("at_most", file.at_most.is_some()),
            ];
            only_beside(place, fate, &[], &extra)?;
        }
        let readable = |label: Label, by: &String, is_readable| {
            let by = self.node(place, fate, by)?;
            Ok(Expectation::Readable { label, by, is_readable })
        };
        match (&file.delivered_at, &file.readable_by, &file.unreadable_by) {
            (Some(at), ..) => {
                let at = self.node(place, "delivered_at", at)?;
                let way = |names: &Vec<String>| -> Result<Vec<_>, _> {
                    names.iter().map(|name| self.node(place, "path", name)).collect()
                };
                let path = file.path.as_ref().map(way).transpose()?;
                if path.as_ref().is_some_and(|path| path.len() < 2 || path.last() != Some(&at)) {
                    return Err(place.wrong(
                        "path",
                        "it begins where the message was sent and ends where it is delivered",
                    ));
                }
                let fate = MessageFate::Delivered { at, path, count: bounds(place, file)? };
                Ok(Expectation::Message { label, fate })
            }
            (None, Some(by), _) => readable(label, by, true),
            (None, None, Some(by)) => readable(label, by, false),
            (None, None, None) if file.undelivered == Some(true) => {
                Ok(Expectation::Message { label, fate: MessageFate::Undelivered })
            }
            (None, None, None) => Err(place.wrong("undelivered", "write `true`, or `delivered_at = \"C\"`")),
        }
    }

    fn window(&self, place: Place<'_>, file: &ExpectFile) -> Result<Window, ScenarioError> {
        let from = self.some_time(place, "from", file.from.as_ref())?.unwrap_or_default();
        let until = self.some_time(place, "until", file.until.as_ref())?;
        if until.is_some_and(|until| until <= from) {
            return Err(place.wrong("until", "it ends before it begins: give a later time than `from`"));
        }
        Ok(Window { from, until })
    }
}

impl ExpectFile {
    fn subjects(&self) -> [(&'static str, bool); 10] {
        [
            ("datagram", self.datagram.is_some()),
            ("session", self.session.is_some()),
            ("message", self.message.is_some()),
            ("talk", self.talk.is_some()),
            ("wire", self.wire.is_some()),
            ("event", self.event.is_some()),
            ("told", self.told.is_some()),
            ("ratio", self.ratio.is_some()),
            ("reachable", self.reachable.is_some()),
            ("broken", self.broken.is_some()),
        ]
    }

    fn others(&self) -> [(&'static str, bool); 18] {
        [
            ("at", self.at.is_some()),
            ("lock", self.lock.is_some()),
            ("read_by", self.read_by.is_some()),
            ("reason", self.reason.is_some()),
            ("sealed_by", self.sealed_by.is_some()),
            ("is", self.is.is_some()),
            ("delivered_at", self.delivered_at.is_some()),
            ("undelivered", self.undelivered.is_some()),
            ("readable_by", self.readable_by.is_some()),
            ("unreadable_by", self.unreadable_by.is_some()),
            ("path", self.path.is_some()),
            ("match", self.pattern.is_some()),
            ("count", self.count.is_some()),
            ("at_least", self.at_least.is_some()),
            ("at_most", self.at_most.is_some()),
            ("from", self.from.is_some()),
            ("until", self.until.is_some()),
            ("error", self.error.is_some()),
        ]
    }
}

fn needed_bounds(place: Place<'_>, file: &ExpectFile) -> Result<Bounds, ScenarioError> {
    bounds(place, file)?.ok_or_else(|| place.wrong("", "how many? add `count`, `at_least` or `at_most`"))
}

fn bounds(place: Place<'_>, file: &ExpectFile) -> Result<Option<Bounds>, ScenarioError> {
    let whole = |key, value: i64| u64::try_from(value).map_err(|_| place.wrong(key, "a count is 0 or more"));
    let some = |key, value: &Option<Value>| match value {
        Some(Value::Integer(value)) => whole(key, *value).map(Some),
        Some(_) => Err(place.wrong(key, "a count is a whole number")),
        None => Ok(None),
    };
    let (at_least, at_most) = (some("at_least", &file.at_least)?, some("at_most", &file.at_most)?);
    match (file.count, at_least, at_most) {
        (Some(_), Some(_), _) | (Some(_), _, Some(_)) => {
            Err(place.wrong("count", "there are `at_least` or `at_most`, too: remove them or `count`"))
        }
        (Some(count), None, None) => whole("count", count).map(|count| Some(Bounds::exactly(count))),
        (None, None, None) => Ok(None),
        (None, Some(least), Some(most)) if least > most => {
            Err(place.wrong("at_most", "it is less than `at_least`: correct one of them"))
        }
        (None, at_least, at_most) => Ok(Some(Bounds { at_least: at_least.unwrap_or(0), at_most })),
    }
}

fn share(place: Place<'_>, key: &str, value: Option<&Value>) -> Result<Option<f64>, ScenarioError> {
    let number = match value {
        None => return Ok(None),
        Some(Value::Float(number)) => *number,
        Some(Value::Integer(number)) => f64::from(i32::try_from(*number).unwrap_or(-1)),
        Some(_) => -1.0,
    };
    if number.is_finite() && number >= 0.0 {
        return Ok(Some(number));
    }
    Err(place.wrong(key, "a ratio is a number, 0 or more"))
}
