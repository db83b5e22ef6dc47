//! Leads a run from its beginning to its end: takes the steps when their time has come, lets the stage
//! play and the judge watch, and decides when it is over.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use peerbound_dtls::Direction;
use peerbound_node::{Event, FrameDrop, Sending};
use peerbound_wire::NodeId;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::experiment::replay_command;
use crate::judge::{Datagram, Judge, Observation, Observed, Violation};
use crate::run::claims::Facts;
use crate::run::occasion::has_come;
use crate::run::reference::Reference;
use crate::run::shelf::{FLOW, Shelf, Theft, sequence_for};
use crate::run::stage::{Capture, FORWARDER, Shot, Stage, Taken};
use crate::run::talks::{Talks, later};
use crate::run::wording::Wording;
use crate::run::{ExpectationOutcome, Observe, Probe, RunError, RunOptions, RunReport};
use crate::scenario::{
    Action, Conditions, Expectation, Invariant, Label, Layout, MessageFate, Repeat, Scenario, SendPlan,
    SessionFate, Step, Trigger, Word,
};
use crate::trace::{HostIndex, Nanos, Trace, Way};

/// How long nothing but liveness must have happened for a run to be over: longer than the longest
/// round trip that a neighbour survives, and than the first retransmissions of a handshake.
const SETTLED_AFTER: Duration = Duration::from_secs(1);

/// How often it is looked again whether everything has been seen, while nothing happens.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Payloads that `until past` may send before it gives up: the counter it waits for stands still.
const SENDS_UNTIL_PAST_MAX: u32 = 10_000;

/// Hosts up to which a step's occasion is looked for after every observation.
const WATCHED_CLOSELY_MAX: usize = 32;

/// How often it is looked for among more hosts: whether all of a thousand are up is not asked for free.
const LOOK_FROM_TIME_TO_TIME: Duration = Duration::from_millis(20);

/// Keeps the director's chance apart from that of everything else with the same seed.
const STREAM: u64 = 0x6469_7265_6374_6f72;

/// Plays a scenario on a stage and reports what came of it.
///
/// # Errors
/// When the stage cannot do what a step asks, or a step cannot be taken as it is written.
pub fn play(scenario: &Scenario, options: &RunOptions, stage: &mut dyn Stage) -> Result<RunReport, RunError> {
    let mut director = Director::new(scenario, options, stage);
    director.watch()?;
    director.run_steps()?;
    let mut outcomes = director.outcomes();
    director.try_sessions()?;
    director.look_at_sessions_again(&mut outcomes);
    director.probe()?;
    director.count_all()?;
    director.report(outcomes)
}

pub(crate) struct Director<'a> {
    scenario: &'a Scenario,
    options: &'a RunOptions,
    layout: Layout<'a>,
    pub(crate) stage: &'a mut dyn Stage,
    pub(crate) judge: Judge,
    ids: Vec<Option<NodeId>>,
    conditions: Vec<[Conditions; 2]>,
    shelf: Shelf,
    pub(crate) talks: Talks,
    /// Why nodes refused payloads of a name.
    refusals: BTreeMap<Label, Vec<String>>,
    chance: ChaCha8Rng,
    next_step: usize,
    /// Before this moment no further step is taken.
    waits_until: Nanos,
    last_activity: Nanos,
    looked_at: Nanos,
    /// Before this moment no step is looked at, where there are many hosts.
    steps_looked_at: Nanos,
    /// Before this moment it is not certain that no more comes than may.
    certain_at: Nanos,
    /// Who asked whom over a session that is expected to carry data, and had no answer.
    pub(crate) silent: BTreeSet<[HostIndex; 2]>,
}

impl<'a> Director<'a> {
    fn new(scenario: &'a Scenario, options: &'a RunOptions, stage: &'a mut dyn Stage) -> Self {
        let layout = scenario.layout(options.seed);
        let hosts = stage.hosts();
        let mut chance = ChaCha8Rng::seed_from_u64(options.seed);
        chance.set_stream(STREAM);
        Self {
            scenario,
            options,
            conditions: layout.links.iter().map(|link| [link.forth.clone(), link.back.clone()]).collect(),
            layout,
            stage,
            ids: hosts.iter().map(|host| host.id).collect(),
            judge: Judge::new(hosts),
            shelf: Shelf::default(),
            talks: Talks::default(),
            refusals: BTreeMap::new(),
            chance,
            next_step: 0,
            waits_until: Nanos(0),
            last_activity: Nanos(0),
            looked_at: Nanos(0),
            steps_looked_at: Nanos(0),
            certain_at: later(Nanos(0), certain_after(scenario)),
            silent: BTreeSet::new(),
        }
    }

    /// Plays until all steps are taken and everything is seen, or the scenario's time is up.
    fn run_steps(&mut self) -> Result<(), RunError> {
        let end = later(Nanos(0), self.scenario.ends);
        loop {
            self.take_steps()?;
            self.ask()?;
            let now = self.stage.now();
            if now >= end || self.is_over(now) {
                return Ok(());
            }
            let until = self.next_look(now).min(end);
            self.stage.advance(until)?;
            self.watch()?;
        }
    }

    /// Returns until when the stage may play without us, if nothing is observed.
    fn next_look(&self, now: Nanos) -> Nanos {
        let by_step = self.scenario.steps.get(self.next_step).map(|step| match &step.trigger {
            Trigger::At(at) => later(Nanos(0), *at).max(self.waits_until),
            Trigger::AfterPrevious | Trigger::On(_) => self.waits_until,
        });
        let settled = later(self.last_activity, SETTLED_AFTER);
        let look_again = later(self.looked_at.max(self.last_activity), LOOK_AGAIN);
        let certain = Some(self.certain_at);
        [by_step, self.talks.next_at(), self.talks.waits_until(), Some(settled), Some(look_again), certain]
            .into_iter()
            .flatten()
            .filter(|at| *at > now)
            .min()
            .unwrap_or_else(|| later(now, LOOK_AGAIN))
    }

    fn is_over(&mut self, now: Nanos) -> bool {
        let is_quiet = now >= later(self.last_activity, SETTLED_AFTER);
        if self.next_step < self.scenario.steps.len() || now < self.waits_until || !is_quiet {
            return false;
        }
        if !self.talks.are_over(now) || now < self.certain_at {
            return false;
        }
        let is_fresh = self.looked_at > self.last_activity && now < later(self.looked_at, LOOK_AGAIN);
        if is_fresh {
            return false;
        }
        self.looked_at = now;
        self.assess().iter().all(|outcome| outcome.holds)
    }

    fn assess(&self) -> Vec<ExpectationOutcome> {
        let facts = Facts {
            scenario: self.scenario,
            judge: &self.judge,
            talks: &self.talks,
            refusals: &self.refusals,
            silent: &self.silent,
            has_all_routes: &|| self.stage.has_all_routes(),
        };
        facts.assess()
    }

    /// Says what was seen beside what was to be seen; steps that were never taken among it.
    fn outcomes(&self) -> Vec<ExpectationOutcome> {
        let untaken = self.scenario.steps.iter().enumerate().skip(self.next_step);
        let wording = Wording { judge: &self.judge };
        let mut outcomes: Vec<_> = untaken
            .map(|(index, step)| ExpectationOutcome {
                number: 0,
                expected: format!("step {} is taken: {}", index + 1, wording.step(step)),
                observed: format!(
                    "never, within {:?}: {}",
                    self.scenario.ends,
                    wording.waiting_for(&step.trigger)
                ),
                holds: false,
            })
            .collect();
        outcomes.extend(self.assess());
        outcomes
    }

    /// Says of the sessions, once they were tried, what has become of them. Of everything else stands what
    /// was seen before: our own questions and their answers are none of the scenario's.
    fn look_at_sessions_again(&self, outcomes: &mut [ExpectationOutcome]) {
        let is_of_session = |outcome: &ExpectationOutcome| {
            let place = outcome.number.checked_sub(1);
            let expectation = place.and_then(|place| self.scenario.expectations.get(place));
            matches!(expectation, Some(Expectation::Session { .. }))
        };
        for tried in self.assess().into_iter().filter(is_of_session) {
            if let Some(outcome) = outcomes.iter_mut().find(|outcome| outcome.number == tried.number) {
                *outcome = tried;
            }
        }
    }

    /// Takes what the stage has seen, and lets the judge see it.
    pub(crate) fn watch(&mut self) -> Result<(), RunError> {
        let mut touched = BTreeSet::new();
        for observation in self.stage.take_observations() {
            if is_activity(&observation.what) {
                self.last_activity = observation.at;
            }
            match &observation.what {
                Observed::Arrived { host, .. } => {
                    touched.insert(*host);
                }
                Observed::Event { host, event } => {
                    touched.insert(*host);
                    if let Event::Pong { token, .. } = event {
                        self.talks.on_pong(*token, observation.at);
                    }
                }
                _ => {}
            }
            self.judge.observe(observation)?;
        }
        if self.options.observe_in(self.scenario) == Observe::Everything {
            for host in touched {
                self.count(host)?;
            }
        }
        Ok(())
    }

    fn count(&mut self, host: HostIndex) -> Result<(), RunError> {
        if let Some(counters) = self.stage.counters(host) {
            self.tell(Observed::Counters { host, counters })?;
        }
        Ok(())
    }

    /// Looks at every node's counters; where frames were not observed, a loop shows in them.
    fn count_all(&mut self) -> Result<(), RunError> {
        let are_frames_observed = self.options.observe_in(self.scenario) == Observe::Everything;
        for host in (0..).map(HostIndex).take(self.ids.len()) {
            self.count(host)?;
            let counters = self.stage.counters(host).filter(|_| !are_frames_observed);
            let dropped = counters.map_or(0, |counters| {
                let of = |reason| counters.frames_dropped.get(&reason).copied().unwrap_or(0);
                of(FrameDrop::HopLimit) + of(FrameDrop::Duplicate)
            });
            if dropped > 0 {
                let name = self.judge.name(host).to_owned();
                self.judge.report(Violation {
                    invariant: Invariant::RoutingLoop,
                    at: self.stage.now(),
                    datagram: None,
                    text: format!("{name} dropped {dropped} frames that went in a circle"),
                });
            }
        }
        Ok(())
    }

    fn tell(&mut self, what: Observed) -> Result<(), RunError> {
        self.judge.observe(Observation { at: self.stage.now(), what })?;
        Ok(())
    }

    /// Asks every question that is due.
    pub(crate) fn ask(&mut self) -> Result<(), RunError> {
        while let Some(question) = self.talks.poll_question(self.stage.now()) {
            let Some(to) = self.id(question.to) else { continue };
            // A node that refuses has no route yet; the question comes again.
            let _ = self.stage.ping(question.from, to, question.token)?;
            self.watch()?;
        }
        Ok(())
    }

    fn take_steps(&mut self) -> Result<(), RunError> {
        let scenario = self.scenario;
        let now = self.stage.now();
        if self.layout.hosts.len() > WATCHED_CLOSELY_MAX && now < self.steps_looked_at {
            return Ok(());
        }
        self.steps_looked_at = later(now, LOOK_FROM_TIME_TO_TIME);
        while let Some(step) = scenario.steps.get(self.next_step).filter(|step| self.is_due(step)) {
            self.next_step += 1;
            self.take_step(self.next_step, step)?;
        }
        Ok(())
    }

    fn is_due(&self, step: &Step) -> bool {
        let now = self.stage.now();
        now >= self.waits_until
            && match &step.trigger {
                Trigger::AfterPrevious => true,
                Trigger::At(at) => now >= later(Nanos(0), *at),
                Trigger::On(occasion) => {
                    let has_all_routes = || self.stage.has_all_routes();
                    has_come(occasion, &self.judge, &self.talks, &self.layout.links, has_all_routes)
                }
            }
    }

    fn take_step(&mut self, number: usize, step: &Step) -> Result<(), RunError> {
        let text = Wording { judge: &self.judge }.step(step);
        self.tell(Observed::Step { number, text })?;
        self.last_activity = self.stage.now();
        self.act(number, &step.action)?;
        self.watch()
    }

    fn act(&mut self, number: usize, action: &Action) -> Result<(), RunError> {
        let wrong = |trouble: &str| RunError::Step { number, trouble: trouble.to_owned() };
        match action {
            Action::Send(plan) => self.send(number, plan)?,
            Action::Ping { from, to, label } => {
                let now = self.stage.now();
                self.talks.start([*from, *to], 1, label.clone(), now);
                self.ask()?;
            }
            Action::Talk { pairs, tries, label } => {
                let now = self.stage.now();
                for _ in 0..*pairs {
                    let pair = self.draw_pair().ok_or_else(|| wrong("there are no two nodes to talk"))?;
                    self.talks.start(pair, *tries, Some(label.clone()), now);
                }
                self.ask()?;
            }
            Action::Seal { by, to, payload, is_reply, label } => {
                let destination = self.id(*to).ok_or_else(|| wrong("it is for no node"))?;
                let sending = Sending { destination, flow: FLOW, is_reply: *is_reply, payload };
                let (packet, bytes) = self.stage.seal(*by, sending)?;
                self.watch()?;
                self.shelf.put(label.clone(), bytes);
                if let Some(packet) = packet {
                    self.tell(Observed::Message { host: *by, packet, label: label.0.clone() })?;
                }
            }
            Action::SealUnder { by, to, payload, id, label } => {
                let to = self.id(*to).ok_or_else(|| wrong("it is for nobody with keys"))?;
                let bytes = self.stage.seal_under(*by, to, *id, payload)?;
                self.shelf.put(label.clone(), bytes);
            }
            Action::SealWithKeys { .. } => {
                self.steal(action).ok_or_else(|| wrong("nobody holds such keys"))??;
            }
            Action::Forge { record, label } => self.shelf.put_forged(label.clone(), record.clone()),
            Action::Capture { on, which, is_held, label } => {
                let (on, which, is_held, label) = (*on, *which, *is_held, label.clone());
                self.stage.capture(&Capture { on, which, is_held, label })?;
            }
            Action::Release(label) => self.stage.release(label)?,
            Action::Inject(injection) => {
                let ready = self.shelf.ready(injection, &self.judge, &mut self.chance);
                let ready = ready
                    .ok_or_else(|| wrong(&format!("there is no datagram \"{}\"", injection.datagram.0)))?;
                if ready.is_handmade {
                    self.judge.note_handmade(&ready.bytes);
                }
                for _ in 0..injection.times {
                    let shot = Shot {
                        by: injection.by,
                        source: injection.source,
                        to: injection.to,
                        bytes: &ready.bytes,
                        label: &injection.label,
                        copy_of: ready.copy_of,
                    };
                    self.stage.inject(&shot)?;
                    self.watch()?;
                }
            }
            Action::Boot(host) | Action::Restart(host) => self.stage.boot(*host)?,
            Action::Crash(host) => self.stage.crash(*host)?,
            Action::ShutDown(host) => self.stage.shut_down(*host)?,
            Action::Rebind(nat) => self.stage.rebind(*nat)?,
            Action::Link { link, forth, back } => {
                self.stage.set_link(*link, forth.as_ref(), back.as_ref())?;
                if let Some([there, here]) = self.conditions.get_mut(*link) {
                    forth.iter().for_each(|conditions| there.clone_from(conditions));
                    back.iter().for_each(|conditions| here.clone_from(conditions));
                }
            }
            Action::Renegotiate { by, with } => {
                let with = self.id(*with).ok_or_else(|| wrong("it names no node"))?;
                self.stage.renegotiate(*by, with)?;
            }
            Action::Rekey { by, with } => {
                let with = self.id(*with).ok_or_else(|| wrong("it names no node"))?;
                self.stage.rekey(*by, with)?;
            }
            Action::Wait(wait) => self.waits_until = later(self.stage.now(), *wait),
        }
        Ok(())
    }

    fn send(&mut self, number: usize, plan: &SendPlan) -> Result<(), RunError> {
        let trouble = |trouble: &str| RunError::Step { number, trouble: trouble.to_owned() };
        let destination = self.id(plan.to).ok_or_else(|| trouble("it is for no node"))?;
        let sending = Sending { destination, flow: FLOW, is_reply: plan.is_reply, payload: &plan.payload };
        match &plan.repeat {
            Repeat::Times(times) => {
                for _ in 0..*times {
                    self.send_once(plan, sending)?;
                }
                Ok(())
            }
            Repeat::UntilPast { datagram, records } => {
                let held = self.shelf.record_number(datagram, &self.judge);
                let past =
                    held.ok_or_else(|| trouble(&format!("\"{}\" has no record number", datagram.0)))?;
                for _ in 0..SENDS_UNTIL_PAST_MAX {
                    if self.newest_sent(plan.from).is_some_and(|newest| newest >= past + records) {
                        return Ok(());
                    }
                    self.send_once(plan, sending)?;
                }
                Err(trouble("its record numbers do not rise"))
            }
        }
    }

    /// Returns the newest number that a node has put on a record towards the neighbour it wrote to last.
    fn newest_sent(&self, from: HostIndex) -> Option<u64> {
        let is_its_own = |sent: &Datagram| sent.by == from && sent.way == Way::Socket;
        let (_, last) = self.judge.datagrams().rev().find(|(_, sent)| is_its_own(sent))?;
        self.judge.newest_sent(from, last.destination)
    }

    fn send_once(&mut self, plan: &SendPlan, sending: Sending<'_>) -> Result<(), RunError> {
        let taken = self.stage.send(plan.from, sending, plan.label.as_ref())?;
        self.watch()?;
        let Some(label) = &plan.label else {
            return Ok(());
        };
        match taken {
            Taken::As(packet) => {
                self.tell(Observed::Message { host: plan.from, packet, label: label.0.clone() })?;
            }
            Taken::AsDatagram => {}
            Taken::Refused(reason) => self.refusals.entry(label.clone()).or_default().push(reason),
        }
        Ok(())
    }

    /// Seals a frame under the keys of what is sent on a path; `None` when there are none.
    fn steal(&mut self, action: &Action) -> Option<Result<(), RunError>> {
        let Action::SealWithKeys { keys: path, by, to, payload, is_reply, sequence, label } = action else {
            return None;
        };
        let judge = &self.judge;
        let session = judge.live_session(path.to, path.from).or(judge.live_session(path.from, path.to))?;
        let client = judge.sessions().get(session.0 as usize)?.client;
        let keys = match judge.secrets(session)?.record_keys() {
            Ok(keys) => keys,
            Err(error) => return Some(Err(error.into())),
        };
        let theft = Theft {
            keys: &keys,
            direction: if client == path.from {
                Direction::ClientToServer
            } else {
                Direction::ServerToClient
            },
            sequence: sequence_for(*sequence, judge, path.to, Some(path.from)),
            source: self.id(*by)?,
            boot_epoch: judge.boot_of(self.id(*by)?),
            destination: self.id(*to)?,
            is_reply: *is_reply,
            payload,
        };
        let packet = match self.shelf.put_stolen(label.clone(), &theft) {
            Ok(packet) => packet,
            Err(error) => return Some(Err(RunError::Seal(error))),
        };
        Some(self.tell(Observed::Message { host: *by, packet, label: label.0.clone() }))
    }

    pub(crate) fn expectations(&self) -> &'a [Expectation] {
        &self.scenario.expectations
    }

    pub(crate) fn wants_probe(&self) -> Probe {
        self.options.probe
    }

    pub(crate) fn id(&self, host: HostIndex) -> Option<NodeId> {
        self.ids.get(host.0 as usize).copied().flatten()
    }

    /// Lists the pairs that must be able to talk.
    pub(crate) fn connected_pairs(&self) -> Vec<[HostIndex; 2]> {
        let reference = Reference {
            layout: &self.layout,
            conditions: &self.conditions,
            faults: &self.scenario.faults,
            nats: &self.scenario.nats,
            now: Duration::from_nanos(self.stage.now().0),
        };
        reference.connected_pairs(&self.judge)
    }

    fn report(self, mut outcomes: Vec<ExpectationOutcome>) -> Result<RunReport, RunError> {
        let Self { scenario, options, stage, judge, .. } = self;
        let hosts = judge.hosts().to_vec();
        let judgement = judge.finish();
        let breaks = scenario.breaks();
        outcomes.extend(breaks.iter().map(|invariant| broken(*invariant, &judgement.violations)));
        let holds = outcomes.iter().all(|outcome| outcome.holds)
            && judgement.violations.iter().all(|violation| breaks.contains(&violation.invariant));
        Ok(RunReport {
            scenario: scenario.name.clone(),
            backend: options.backend,
            seed: options.seed,
            outcomes,
            violations: judgement.violations,
            holds,
            elapsed: Duration::from_nanos(stage.now().0),
            replay: replay_command(
                &scenario.name,
                options.backend.word(),
                options.seed,
                &scenario.parameters,
                None,
            ),
            trace: Trace {
                scenario: scenario.name.clone(),
                title: scenario.title.clone(),
                backend: options.backend.word(),
                seed: options.seed,
                began_unix_nanos: stage.began_unix_nanos(),
                hosts,
                sessions: judgement.sessions,
                entries: judgement.entries,
            },
        })
    }

    fn draw_pair(&mut self) -> Option<[HostIndex; 2]> {
        let nodes: Vec<_> = (0..).map(HostIndex).zip(&self.ids).filter(|(_, id)| id.is_some()).collect();
        if nodes.len() < 2 {
            return None;
        }
        loop {
            let mut draw = || nodes.get(self.chance.next_u32() as usize % nodes.len()).map(|(host, _)| *host);
            let (from, to) = (draw()?, draw()?);
            if from != to {
                return Some([from, to]);
            }
        }
    }
}

/// Returns after how long no more can come than a scenario allows: where a count has an upper bound, its
/// window must have passed; where something must not be seen at all, the whole time.
fn certain_after(scenario: &Scenario) -> Duration {
    let window = |expectation: &Expectation| match expectation {
        Expectation::Wire { count, within, .. } | Expectation::Event { count, within, .. } => {
            count.at_most.map(|_| within.until.unwrap_or(scenario.ends))
        }
        Expectation::Ratio { at_most, .. } => at_most.map(|_| scenario.ends),
        // What is on its way, or dialled once more, may still come.
        Expectation::Session { fate: SessionFate::Never, .. }
        | Expectation::Message { fate: MessageFate::Undelivered, .. } => Some(scenario.ends),
        Expectation::Message { fate: MessageFate::Delivered { count, .. }, .. } => {
            count.and_then(|count| count.at_most).map(|_| scenario.ends)
        }
        // Every datagram of the name must have ended, so none is on its way.
        Expectation::Datagram { .. }
        | Expectation::Session { .. }
        | Expectation::Talked { .. }
        | Expectation::Readable { .. }
        | Expectation::Told { .. }
        | Expectation::ReachableAll
        | Expectation::Broken(_) => None,
    };
    scenario.expectations.iter().filter_map(window).max().unwrap_or_default()
}

/// What an invariant that is to be broken came to; only the judgement of the whole run knows.
fn broken(invariant: Invariant, violations: &[Violation]) -> ExpectationOutcome {
    let seen = violations.iter().find(|violation| violation.invariant == invariant);
    ExpectationOutcome {
        number: 0,
        expected: format!("the invariant {} is broken", invariant.word()),
        observed: seen.map_or_else(|| "it holds".to_owned(), |violation| violation.text.clone()),
        holds: seen.is_some(),
    }
}

fn is_activity(what: &Observed) -> bool {
    match what {
        Observed::Sent { way, bytes, label, .. } => {
            // Hellos are protected records without a name; a handshake begins in epoch 0.
            let is_in_the_clear = bytes.get(3..5) == Some(&[0, 0]);
            *way == Way::Injected || label.is_some() || is_in_the_clear
        }
        Observed::Lost { .. } | Observed::Arrived { .. } | Observed::Counters { .. } => false,
        Observed::Translated { .. } => false,
        // A forwarder reads every hello that passes it.
        Observed::Read { by, .. } => by != FORWARDER,
        Observed::Refused { .. }
        | Observed::Told { .. }
        | Observed::Event { .. }
        | Observed::Keys { .. }
        | Observed::Remark { .. }
        | Observed::Life { .. }
        | Observed::Step { .. }
        | Observed::Captured { .. }
        | Observed::Message { .. } => true,
    }
}
