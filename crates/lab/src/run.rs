//! Runs a scenario: builds its world on a backend, takes its steps, lets the judge watch, and holds
//! what was seen beside what was to be seen.

pub(crate) mod casting;
mod claims;
mod company;
mod director;
pub(crate) mod forgery;
mod occasion;
pub(crate) mod pattern;
mod probe;
mod record_models;
mod reference;
mod routes;
pub(crate) mod shelf;
mod sim_stage;
pub(crate) mod sim_words;
pub(crate) mod stage;
mod talks;
mod wording;

use std::fmt;
use std::time::Duration;

use peerbound_dtls::{ErrorStack, SealError};

use crate::backend;
use crate::cast::CastError;
use crate::judge::Violation;
use crate::run::sim_stage::SimStage;
use crate::scenario::{Scenario, Word};
use crate::trace::Trace;

pub(crate) use sim_stage::ATTACKER;

pub use director::play;
pub(crate) use record_models::ID_BYTES;
pub(crate) use routes::next_hops;
pub use stage::{Capture as CaptureOrder, Shot, Stage, StageError, Taken};

/// Where a scenario is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Backend {
    /// A simulated world in virtual time.
    #[default]
    Sim,
    /// Daemons on sockets of this machine's loopback.
    Loopback,
    /// Daemons in network namespaces of a real kernel.
    Netns,
}

impl Word for Backend {
    const WORDS: &'static [(&'static str, Self)] =
        &[("sim", Self::Sim), ("loopback", Self::Loopback), ("netns", Self::Netns)];
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// How much of a run is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Observe {
    /// Every datagram and every frame, and every invariant is checked.
    #[default]
    Everything,
    /// What nodes tell their owners, for large meshes: no datagram, and none of its invariants.
    Events,
}

/// What a run is made with, beside its scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunOptions {
    /// The seed of chance.
    pub seed: u64,
    /// Where to play.
    pub backend: Backend,
    /// How much to write down.
    pub observe: Observe,
    /// Whether, at quiescence, connected pairs are made to talk.
    pub probe: Probe,
}

/// Nodes of a mesh whose every datagram is written down. 64 nodes of degree 6 send some 1000 datagrams a
/// second of their time.
pub(crate) const OBSERVED_NODES_MAX: u32 = 64;

/// Whether connected pairs are made to talk at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Probe {
    /// They are: an invariant.
    #[default]
    On,
    /// They are not.
    Off,
}

impl RunOptions {
    /// Takes this seed, the simulator, and everything observed.
    #[must_use]
    pub fn with_seed(seed: u64) -> Self {
        Self { seed, backend: Backend::Sim, observe: Observe::Everything, probe: Probe::On }
    }

    /// Returns how much of this scenario's run is written down: of a large mesh, events only.
    pub(crate) fn observe_in(&self, scenario: &Scenario) -> Observe {
        match &scenario.mesh {
            Some(mesh) if mesh.nodes > OBSERVED_NODES_MAX => Observe::Events,
            Some(_) | None => self.observe,
        }
    }
}

/// One thing that was to be seen, and what was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpectationOutcome {
    /// Its place among the scenario's expectations, from 1; 0 for a step that was never taken.
    pub number: usize,
    /// What was to be seen, in words.
    pub expected: String,
    /// What was seen, in words.
    pub observed: String,
    /// Whether it is the same.
    pub holds: bool,
}

/// What came of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct RunReport {
    /// The scenario's name.
    pub scenario: String,
    /// Where it was played.
    pub backend: Backend,
    /// With which seed.
    pub seed: u64,
    /// What happened.
    pub trace: Trace,
    /// What was to be seen beside what was seen.
    pub outcomes: Vec<ExpectationOutcome>,
    /// Where a standing invariant did not hold, those included that the scenario is to break.
    pub violations: Vec<Violation>,
    /// Whether everything is as it was to be.
    pub holds: bool,
    /// How long it took in the time of the run.
    pub elapsed: Duration,
    /// The one command that does it again; of a scenario that nobody has named a file of, by its name.
    pub replay: String,
}

impl RunReport {
    /// Lists what is wrong, in sentences; empty where all holds.
    #[must_use]
    pub fn complaints(&self, scenario: &Scenario) -> Vec<String> {
        let breaks = scenario.breaks();
        let outcomes = self
            .outcomes
            .iter()
            .filter(|outcome| !outcome.holds)
            .map(|outcome| format!("expected {}; observed {}", outcome.expected, outcome.observed));
        let violations = self.violations.iter().filter(|violation| !breaks.contains(&violation.invariant));
        outcomes.chain(violations.map(|v| format!("{}: {}", v.invariant.word(), v.text))).collect()
    }
}

/// Why a scenario could not be run to its end.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The backend cannot do what the scenario asks, or failed.
    #[error(transparent)]
    Stage(#[from] StageError),
    /// The certificates could not be made.
    #[error(transparent)]
    Cast(#[from] CastError),
    /// OpenSSL refused to derive the keys of a session.
    #[error("the keys of a session cannot be derived: {0}")]
    Keys(#[from] ErrorStack),
    /// A frame cannot be sealed under stolen keys.
    #[error("a frame cannot be sealed under stolen keys: {0}")]
    Seal(#[source] SealError),
    /// A step cannot be taken as it is written.
    #[error("step {number}: {trouble}")]
    Step {
        /// Which, from 1.
        number: usize,
        /// What is wrong.
        trouble: String,
    },
}

/// Runs a scenario once.
///
/// # Errors
/// When the backend cannot do what the scenario asks for, or a step cannot be taken as it is written.
/// That an expectation is not met is no error: the report says so.
pub fn run(scenario: &Scenario, options: &RunOptions) -> Result<RunReport, RunError> {
    match options.backend {
        Backend::Sim => play(scenario, options, &mut SimStage::build(scenario, options)?),
        Backend::Loopback => play(scenario, options, &mut backend::on_loopback(scenario, options)?),
        Backend::Netns => play(scenario, options, &mut backend::in_namespaces(scenario, options)?),
    }
}
