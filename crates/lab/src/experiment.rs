//! One scenario under one choice of seed, parameters, backend and suite: how it is carried out by
//! those who count runs, and what they keep of it.

mod brief;

use std::collections::BTreeMap;

use peerbound_dtls::Suite;

use crate::prove::{Brief, Check, CheckKind, Proof, ProofOutcome};
use crate::run::{Backend, RunError, RunOptions, RunReport, StageError, run};
use crate::scenario::{HostRole, Parameters, Scenario, Word};
use crate::sweep::{SweptFailure, SweptRun};
use crate::trace::{Happening, Nanos, Trace};

/// A scenario that is ready to be carried out.
#[derive(Debug, Clone)]
pub struct Experiment {
    /// What a command line calls it: a name of the library, or a path.
    pub source: String,
    /// The scenario, with its parameters chosen and its suite set.
    pub scenario: Scenario,
    /// The seed of chance.
    pub seed: u64,
    /// Where it runs.
    pub backend: Backend,
    /// The suite that was put in, if one was.
    pub suite: Option<Suite>,
}

/// A scenario names suites itself, so it cannot be told another.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it has suites of its own")]
pub struct OwnSuites;

impl Experiment {
    /// Prepares a scenario.
    #[must_use]
    pub fn new(source: &str, scenario: Scenario, seed: u64, backend: Backend) -> Self {
        Self { source: source.to_owned(), scenario, seed, backend, suite: None }
    }

    /// Tells all nodes to speak this suite.
    ///
    /// # Errors
    /// When the scenario is about suites, and has chosen them.
    pub fn with_suite(mut self, suite: Suite) -> Result<Self, OwnSuites> {
        let nodes = self.scenario.hosts.iter_mut().filter_map(|host| match &mut host.role {
            HostRole::Node(node) => Some(node.as_mut()),
            HostRole::RecordModel(_) | HostRole::Forwarder { .. } | HostRole::Bystander => None,
        });
        let nodes = nodes.chain(self.scenario.mesh.as_mut().map(|mesh| &mut mesh.node));
        for node in nodes {
            if node.dtls.suite.is_some_and(|own| own.name != suite.name) {
                return Err(OwnSuites);
            }
            node.dtls.suite = Some(suite);
        }
        self.suite = Some(suite);
        Ok(self)
    }

    /// Carries it out.
    ///
    /// # Errors
    /// When the backend cannot, or the set-up falls apart.
    pub fn run(&self) -> Result<RunReport, RunError> {
        let options = RunOptions { backend: self.backend, ..RunOptions::with_seed(self.seed) };
        Ok(RunReport { replay: self.replay_command(), ..run(&self.scenario, &options)? })
    }

    /// Carries it out and says what was expected and observed; with the report of the run, if there
    /// was one.
    #[must_use]
    pub fn prove(&self) -> (Proof, Option<RunReport>) {
        let report = match self.run() {
            Ok(report) => report,
            Err(RunError::Stage(StageError::Impossible { what, .. })) => {
                return (self.refused(format!("it cannot {what}")), None);
            }
            Err(error) => {
                let outcome = ProofOutcome::Failed { reason: error.to_string() };
                return (self.proof(outcome, vec![], None), None);
            }
        };
        let checks = checks(&self.scenario, &report);
        let outcome = if report.holds { ProofOutcome::Held } else { ProofOutcome::DidNotHold };
        // On real sockets time passes otherwise in each run, and so do the traces.
        let trace_hash = (self.backend == Backend::Sim).then(|| report.trace.hash());
        (self.proof(outcome, checks, trace_hash), Some(report))
    }

    /// Returns the proof of something that is not carried out.
    #[must_use]
    pub fn refused(&self, reason: String) -> Proof {
        self.proof(ProofOutcome::Refused { reason }, vec![], None)
    }

    /// Says how much work it is, beside others: in a mesh everything grows with the nodes, and on real
    /// sockets it is the clock that counts.
    #[must_use]
    pub fn weight(&self) -> u128 {
        let nodes = self.scenario.mesh.as_ref().map_or(self.scenario.hosts.len(), |mesh| mesh.nodes as usize);
        let nodes = nodes as u128;
        nodes * nodes * 1_000_000 + self.scenario.ends.as_millis()
    }

    /// Returns the command that shows this run again.
    #[must_use]
    pub fn replay_command(&self) -> String {
        let suite = self.suite.map(|suite| suite.name);
        replay_command(&self.source, self.backend.word(), self.seed, &self.scenario.parameters, suite)
    }

    fn proof(&self, outcome: ProofOutcome, checks: Vec<Check>, trace_hash: Option<String>) -> Proof {
        let Scenario { name, group, title, clause, meaning, parameters, .. } = &self.scenario;
        Proof {
            name: name.clone(),
            group: group.clone(),
            title: title.clone(),
            clause: clause.clone(),
            meaning: meaning.clone(),
            parameters: parameters.clone(),
            seed: self.seed,
            outcome,
            checks,
            trace_hash,
            replay: self.replay_command(),
        }
    }
}

/// What a run was held against: expectations in the order of the file, then the standing invariants
/// that did not hold and were not to be broken.
#[must_use]
pub fn checks(scenario: &Scenario, report: &RunReport) -> Vec<Check> {
    let breaks = scenario.breaks();
    let outcomes = report.outcomes.iter().map(|outcome| Check {
        kind: CheckKind::Expectation,
        expected: outcome.expected.clone(),
        observed: outcome.observed.clone(),
        holds: outcome.holds,
        brief: brief::brief(scenario, outcome),
    });
    let violations = report.violations.iter().filter(|violation| !breaks.contains(&violation.invariant));
    let violations = violations.map(|violation| Check {
        kind: CheckKind::Invariant,
        expected: format!("invariant {}", violation.invariant.word()),
        observed: violation.text.clone(),
        holds: false,
        brief: Brief { expected: violation.invariant.word().to_owned(), observed: "broken".to_owned() },
    });
    outcomes.chain(violations).collect()
}

/// What a sweep keeps of a run.
#[must_use]
pub fn swept(scenario: &Scenario, report: &RunReport, run: u64, point: usize) -> SweptRun {
    let failures = checks(scenario, report).into_iter().filter(|check| !check.holds);
    SweptRun {
        run,
        point,
        seed: report.seed,
        failures: failures.map(|check| SweptFailure { what: check.expected, how: check.observed }).collect(),
        trace_hash: report.trace.hash(),
        times: times(&report.trace, report.elapsed),
        counts: counts(&report.trace),
    }
}

/// When things came about: each message that was delivered, from when it was first sent; and the end.
fn times(trace: &Trace, elapsed: std::time::Duration) -> BTreeMap<String, u64> {
    let mut sent: BTreeMap<&str, Nanos> = BTreeMap::new();
    let mut times = BTreeMap::new();
    for entry in &trace.entries {
        let Happening::Frame { label: Some(label), action, .. } = &entry.what else { continue };
        let since = *sent.entry(label).or_insert(entry.at);
        if action == "delivered" {
            times.entry(format!("{label} delivered")).or_insert(entry.at.0.saturating_sub(since.0));
        }
    }
    let up = trace
        .entries
        .iter()
        .filter(|entry| matches!(entry.what, Happening::Event { kind: "neighbour-up", .. }));
    if let Some(first) = up.map(|entry| entry.at.0).next() {
        times.insert("first link up".to_owned(), first);
    }
    times.insert("end of run".to_owned(), u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX));
    times
}

/// How many datagrams there were, and how many the network lost.
fn counts(trace: &Trace) -> BTreeMap<String, u64> {
    let count =
        |fits: fn(&Happening) -> bool| trace.entries.iter().filter(|entry| fits(&entry.what)).count() as u64;
    BTreeMap::from([
        ("datagrams sent".to_owned(), count(|what| matches!(what, Happening::Sent { .. }))),
        ("datagrams lost".to_owned(), count(|what| matches!(what, Happening::Lost { .. }))),
    ])
}

/// Returns the command that shows a run again.
#[must_use]
pub fn replay_command(
    source: &str,
    backend: &str,
    seed: u64,
    parameters: &Parameters,
    suite: Option<&str>,
) -> String {
    let mut command = format!("peerbound sim replay {} --seed {seed}", quoted(source));
    if backend != Backend::Sim.word() {
        command += &format!(" --on {backend}");
    }
    for (name, value) in parameters {
        command += &format!(" --set {}", quoted(&format!("{name}={}", value.trim_matches('"'))));
    }
    if let Some(suite) = suite {
        command += &format!(" --suite {suite}");
    }
    command
}

/// Puts an argument into quotes where a shell would take it apart.
fn quoted(argument: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./=+:,%@".contains(letter);
    if !argument.is_empty() && argument.chars().all(is_plain) {
        return argument.to_owned();
    }
    format!("'{}'", argument.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_shell_would_take_apart_is_quoted() {
        assert_eq!(quoted("dir/a-b.toml"), "dir/a-b.toml");
        assert_eq!(quoted("my file.toml"), "'my file.toml'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }

    #[test]
    fn a_replay_says_what_is_not_a_matter_of_course() {
        let parameters =
            BTreeMap::from([("loss".to_owned(), "0.2".to_owned()), ("who".to_owned(), "\"B C\"".to_owned())]);

        assert_eq!(replay_command("a", "sim", 7, &BTreeMap::new(), None), "peerbound sim replay a --seed 7");
        assert_eq!(
            replay_command("my a.toml", "loopback", 7, &parameters, Some("AES128-SHA")),
            "peerbound sim replay 'my a.toml' --seed 7 --on loopback --set loss=0.2 --set 'who=B C' --suite AES128-SHA"
        );
    }
}
