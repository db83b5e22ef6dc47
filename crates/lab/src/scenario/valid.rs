//! The second stage: every name means somebody, every label is made before it is used, every number is
//! in range.

mod datagrams;
mod expectations;
mod hosts;
mod labels;
mod network;
mod steps;

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::scenario::Scenario;
use crate::scenario::error::ScenarioError;
use crate::scenario::fault::{Course, Path};
use crate::scenario::file::ScenarioFile;
use crate::scenario::place::Place;
use crate::scenario::plan::{
    Conditions, HostPlan, HostRole, LinkPlan, ListenerPlan, MeshPlan, NatPlan, Probability, Routing,
};
use crate::scenario::sweep::{Parameters, Sweep};
use crate::scenario::valid::labels::Labels;
use crate::scenario::values::{choices, duration};
use crate::scenario::words::Word;
use crate::trace::HostIndex;

/// Hosts with a table of their own: a trace has a lane for each. More are a mesh.
const HOSTS_MAX: usize = 256;

/// Nodes of a mesh: 10 000 x 6 half sessions x 80 kB = 4.8 GB.
const MESH_NODES_MAX: i64 = 10_000;

/// Neighbours of a node of a mesh, on average.
const MESH_DEGREE_MAX: i64 = 64;

/// Tables of one kind: steps, faults, expectations.
const TABLES_MAX: usize = 1000;

/// How often one step may repeat what it does.
const REPEAT_MAX: i64 = 100_000;

/// How long a run lasts that does not say when it ends.
const ENDS_DEFAULT: Duration = Duration::from_secs(30);

/// Characters of a title, and of every other text for people.
const TEXT_CHARACTERS_MAX: usize = 2000;

pub(crate) struct Validation<'a> {
    whole: Place<'a>,
    chosen: &'a Parameters,
    hosts: Vec<HostPlan>,
    links: Vec<LinkPlan>,
    network: Conditions,
    mesh: Option<MeshPlan>,
    nats: Vec<NatPlan>,
    listeners: Vec<ListenerPlan>,
    labels: Labels,
}

impl<'a> Validation<'a> {
    pub(crate) fn new(whole: Place<'a>, chosen: &'a Parameters) -> Self {
        Self {
            whole,
            chosen,
            hosts: Vec::new(),
            links: Vec::new(),
            network: Conditions::default(),
            mesh: None,
            nats: Vec::new(),
            listeners: Vec::new(),
            labels: Labels::default(),
        }
    }

    pub(crate) fn scenario(
        mut self,
        file: &'a ScenarioFile,
        sweep: Sweep,
    ) -> Result<Scenario, ScenarioError> {
        self.check_name(&file.name)?;
        self.check_texts(file)?;
        self.check_sizes(file)?;
        let ends = match &file.ends {
            Some(text) => self.time(self.whole, "ends", text)?,
            None => ENDS_DEFAULT,
        };
        if ends.is_zero() {
            return Err(self.whole.wrong("ends", "a run lasts longer than that: give it some seconds"));
        }
        self.hosts(file)?;
        self.network(file)?;
        let faults = self.faults(file)?;
        let steps = self.steps(file)?;
        let expectations = self.expectations(file)?;
        Ok(Scenario {
            name: file.name.clone(),
            title: file.title.clone(),
            group: file.group.clone(),
            clause: file.clause.clone(),
            meaning: file.meaning.clone(),
            ends,
            sweep,
            parameters: self.chosen.clone(),
            hosts: self.hosts,
            links: self.links,
            network: self.network,
            mesh: self.mesh,
            nats: self.nats,
            listeners: self.listeners,
            faults,
            steps,
            expectations,
        })
    }

    /// A scenario's name is typed, and is the name of its file and of its traces.
    fn check_name(&self, name: &str) -> Result<(), ScenarioError> {
        const NAME_CHARACTERS_MAX: usize = 64;
        let is_good = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
        if name.is_empty() || name.len() > NAME_CHARACTERS_MAX || !name.chars().all(is_good) {
            let problem = format!(
                "{name:?} is no name for a scenario: write 1 to {NAME_CHARACTERS_MAX} small letters, digits and hyphens, as in \"from-b-address\""
            );
            return Err(self.whole.wrong("name", problem));
        }
        Ok(())
    }

    fn check_texts(&self, file: &ScenarioFile) -> Result<(), ScenarioError> {
        let texts = [
            ("title", &file.title),
            ("group", &file.group),
            ("clause", &file.clause),
            ("meaning", &file.meaning),
        ];
        for (key, text) in texts {
            if text.chars().count() > TEXT_CHARACTERS_MAX || text.chars().any(char::is_control) {
                let problem = format!(
                    "it is one line of at most {TEXT_CHARACTERS_MAX} printable characters: shorten it"
                );
                return Err(self.whole.wrong(key, problem));
            }
        }
        if file.title.trim().is_empty() {
            return Err(self.whole.wrong("title", "it is empty: say in a few words what is claimed"));
        }
        Ok(())
    }

    fn check_sizes(&self, file: &ScenarioFile) -> Result<(), ScenarioError> {
        let sizes = [
            ("[[node]]", file.node.len() + file.host.len(), HOSTS_MAX),
            ("[[link]]", file.link.len(), TABLES_MAX),
            ("[[nat]]", file.nat.len(), HOSTS_MAX),
            ("[[listener]]", file.listener.len(), HOSTS_MAX),
            ("[[fault]]", file.fault.len(), TABLES_MAX),
            ("[[step]]", file.step.len(), TABLES_MAX),
            ("[[expect]]", file.expect.len(), TABLES_MAX),
        ];
        for (name, count, max) in sizes {
            if count > max {
                return Err(self
                    .whole
                    .wrong("", format!("{name}: {count} are more than the {max} there may be")));
            }
        }
        Ok(())
    }

    /// Finds a host by its name.
    fn host(&self, place: Place<'_>, key: &str, name: &str) -> Result<HostIndex, ScenarioError> {
        if let Some(mesh) = &self.mesh {
            let number = name.strip_prefix('N').and_then(|digits| digits.parse::<u32>().ok());
            return number
                .filter(|number| *number < mesh.nodes && format!("N{number}") == name)
                .map(HostIndex)
                .ok_or_else(|| {
                    let problem =
                        format!("there is no host {name:?}: those of the mesh are N0 to N{}", mesh.nodes - 1);
                    place.wrong(key, problem)
                });
        }
        let found = self.hosts.iter().position(|host| host.name == name);
        found.and_then(|index| u32::try_from(index).ok()).map(HostIndex).ok_or_else(|| {
            let known: Vec<_> = self.hosts.iter().map(|host| host.name.as_str()).collect();
            place.wrong(key, format!("there is no host {name:?}: {}", choices(name, &known)))
        })
    }

    /// Finds a host by its name, or the attacker.
    fn anyone(&self, place: Place<'_>, key: &str, name: &str) -> Result<HostIndex, ScenarioError> {
        if name == "attacker" { Ok(self.attacker()) } else { self.host(place, key, name) }
    }

    /// Finds a node by its name.
    fn node(&self, place: Place<'_>, key: &str, name: &str) -> Result<HostIndex, ScenarioError> {
        let host = self.host(place, key, name)?;
        if self.is_node(host) {
            return Ok(host);
        }
        Err(place.wrong(key, format!("{name:?} runs no node: name one of [[node]]")))
    }

    fn is_node(&self, host: HostIndex) -> bool {
        self.mesh.is_some() || self.hosts.get(host.0 as usize).is_some_and(HostPlan::is_node)
    }

    /// Refuses a question for routes where not every node finds its own: nobody could answer it.
    fn needs_routers(&self, place: Place<'_>, key: &str) -> Result<(), ScenarioError> {
        let of_hosts = self.hosts.iter().filter_map(|host| match &host.role {
            HostRole::Node(node) => Some(node.routing),
            HostRole::RecordModel(_) | HostRole::Forwarder { .. } | HostRole::Bystander => None,
        });
        let mut routings = self.mesh.iter().map(|mesh| mesh.node.routing).chain(of_hosts).peekable();
        if routings.peek().is_some() && routings.all(|routing| routing == Routing::Dynamic) {
            return Ok(());
        }
        Err(place.wrong(
            key,
            "routes are set, and no node says whether it has them all: make `routing = \"dynamic\"` in [nodes]",
        ))
    }

    fn attacker(&self) -> HostIndex {
        let hosts = self.mesh.as_ref().map_or(self.hosts.len(), |mesh| mesh.nodes as usize);
        HostIndex(u32::try_from(hosts).expect("hosts have a ceiling far below"))
    }

    /// Reads "A>B".
    fn path(&self, place: Place<'_>, key: &str, text: &str) -> Result<Path, ScenarioError> {
        match text.split_once('>') {
            Some((from, to)) => {
                self.two(place, key, [from.trim(), to.trim()]).map(|[from, to]| Path { from, to })
            }
            None => Err(place.wrong(key, format!("{text:?} is no path: write one like \"A>B\""))),
        }
    }

    /// Reads "A>B", where one of the two may be the attacker.
    fn path_of_anyone(&self, place: Place<'_>, key: &str, text: &str) -> Result<Path, ScenarioError> {
        match text.split_once('>').map(|(from, to)| (from.trim(), to.trim())) {
            Some((from, to)) if from != to && (from == "attacker" || to == "attacker") => {
                Ok(Path { from: self.anyone(place, key, from)?, to: self.anyone(place, key, to)? })
            }
            Some(_) | None => self.path(place, key, text),
        }
    }

    /// Reads "A>B" or "A-B".
    fn course(&self, place: Place<'_>, key: &str, text: &str) -> Result<Course, ScenarioError> {
        match text.split_once('-') {
            Some((one, other)) => {
                let [from, to] = self.two(place, key, [one.trim(), other.trim()])?;
                Ok(Course::BothWays(Path { from, to }))
            }
            None if text.contains('>') => self.path(place, key, text).map(Course::OneWay),
            None => Err(place
                .wrong(key, format!("{text:?} is no path: write \"A>B\", or \"A-B\" for both directions"))),
        }
    }

    /// Reads "A-B".
    fn pair(&self, place: Place<'_>, key: &str, text: &str) -> Result<[HostIndex; 2], ScenarioError> {
        match text.split_once('-') {
            Some((one, other)) => self.two(place, key, [one.trim(), other.trim()]),
            None => Err(place.wrong(key, format!("{text:?} names no two hosts: write them like \"A-B\""))),
        }
    }

    /// Finds two hosts that are not the same.
    fn two(&self, place: Place<'_>, key: &str, names: [&str; 2]) -> Result<[HostIndex; 2], ScenarioError> {
        let two = [self.host(place, key, names[0])?, self.host(place, key, names[1])?];
        if two[0] == two[1] {
            return Err(place.wrong(key, format!("{:?} is at both ends: name two different hosts", names[0])));
        }
        Ok(two)
    }

    /// Finds the place of the link between two hosts in the list.
    fn link_between(&self, two: [HostIndex; 2]) -> Option<usize> {
        self.links.iter().position(|link| link.between == two || link.between == [two[1], two[0]])
    }

    fn time(&self, place: Place<'_>, key: &str, text: &str) -> Result<Duration, ScenarioError> {
        duration(text).map_err(|problem| place.wrong(key, problem))
    }

    fn some_time(
        &self,
        place: Place<'_>,
        key: &str,
        text: Option<&String>,
    ) -> Result<Option<Duration>, ScenarioError> {
        text.map(|text| self.time(place, key, text)).transpose()
    }
}

/// Reads a word of a choice; the default, where there is none.
fn word<T: Word>(place: Place<'_>, key: &str, text: Option<&String>, default: T) -> Result<T, ScenarioError> {
    match text {
        Some(text) => the_word(place, key, text),
        None => Ok(default),
    }
}

fn the_word<T: Word>(place: Place<'_>, key: &str, text: &str) -> Result<T, ScenarioError> {
    T::from_word(text).ok_or_else(|| {
        let known: Vec<_> = T::WORDS.iter().map(|(word, _)| *word).collect();
        place.wrong(key, format!("{text:?} has no meaning here: {}", choices(text, &known)))
    })
}

/// Reads a whole number within a range.
fn number<T: TryFrom<i64>>(
    place: Place<'_>,
    key: &str,
    value: i64,
    range: RangeInclusive<i64>,
) -> Result<T, ScenarioError> {
    T::try_from(value).ok().filter(|_| range.contains(&value)).ok_or_else(|| {
        place.wrong(key, format!("{value} is out of range: give {} to {}", range.start(), range.end()))
    })
}

fn probability(place: Place<'_>, key: &str, value: f64) -> Result<Probability, ScenarioError> {
    Probability::new(value)
        .ok_or_else(|| place.wrong(key, format!("{value} is no probability: give a number from 0 to 1")))
}

/// Says which of several keys are there, and refuses any number of them but one.
fn the_only<'k>(place: Place<'_>, given: &[(&'k str, bool)], what: &str) -> Result<&'k str, ScenarioError> {
    let mut present = given.iter().filter(|(_, is_given)| *is_given).map(|(key, _)| *key);
    match (present.next(), present.next()) {
        (Some(key), None) => Ok(key),
        (Some(one), Some(other)) => {
            Err(place
                .wrong(other, format!("there is a `{one}`, too: {what} has one of them, so make it two")))
        }
        (None, _) => {
            let keys: Vec<_> = given.iter().map(|(key, _)| format!("`{key}`")).collect();
            Err(place.wrong("", format!("nothing is asked for: {what} has one of {}", keys.join(", "))))
        }
    }
}

/// Refuses keys that have no meaning beside another.
fn only_beside(
    place: Place<'_>,
    subject: &str,
    allowed: &[&str],
    given: &[(&str, bool)],
) -> Result<(), ScenarioError> {
    match given.iter().find(|(key, is_given)| *is_given && !allowed.contains(key)) {
        Some((key, _)) => {
            let keys: Vec<_> = allowed.iter().map(|key| format!("`{key}`")).collect();
            let fix = if keys.is_empty() {
                "remove it".to_owned()
            } else {
                format!("there go {}", keys.join(", "))
            };
            Err(place.wrong(key, format!("it has no meaning beside `{subject}`: {fix}")))
        }
        None => Ok(()),
    }
}
