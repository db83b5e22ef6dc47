//! What a run came to, in one JSON object: which run it was, what was expected, what was seen.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::trace::{Happening, Trace};

/// The version of the summary's shape.
pub const SUMMARY_SCHEMA: u32 = 1;

/// Verdicts listed one by one; the counts tell of the rest.
const LISTED_MAX: usize = 10_000;

/// The summary of one run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunSummary {
    /// The version of this shape.
    pub schema: u32,
    /// The scenario's name.
    pub scenario: String,
    /// Where it ran.
    pub backend: String,
    /// The seed of chance.
    pub seed: u64,
    /// Parameters that were set, by name.
    pub parameters: BTreeMap<String, String>,
    /// SHA-256 over the JSON lines.
    pub trace_hash: String,
    /// Whether everything was as expected.
    pub holds: bool,
    /// The command that runs it again.
    pub replay: String,
    /// What was expected, and what was seen.
    pub expectations: Vec<ExpectationLine>,
    /// What a standing invariant found.
    pub violations: Vec<String>,
    /// How many datagrams ended in which way: accepted, at a lock, lost.
    pub ends: BTreeMap<String, u64>,
    /// The datagrams, each with its end, in the order in which they were sent; at most 10,000.
    pub datagrams: Vec<DatagramLine>,
    /// How many more there were.
    #[serde(default)]
    pub datagrams_left_out: u64,
}

/// One expectation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpectationLine {
    /// What was expected.
    pub expected: String,
    /// What was seen.
    pub observed: String,
    /// Whether the two agree.
    pub holds: bool,
}

/// One datagram.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatagramLine {
    /// Its number in the trace.
    pub datagram: u64,
    /// What the scenario calls it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub label: Option<String>,
    /// What is in it, as far as can be seen without keys.
    pub contents: String,
    /// Its end: `accepted`, a lock, `lost`, ...
    pub end: String,
    /// Who sealed it, by the key oracle.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sealed_by: Option<String>,
}

/// What a run's owner knows beside its trace.
#[derive(Debug, Clone, Default)]
pub struct RunFacts {
    /// Parameters that were set.
    pub parameters: BTreeMap<String, String>,
    /// Whether everything was as expected.
    pub holds: bool,
    /// The command that runs it again.
    pub replay: String,
    /// Expectations and what was seen.
    pub expectations: Vec<ExpectationLine>,
}

impl Trace {
    /// Sums the run up.
    #[must_use]
    pub fn summarise(&self, facts: RunFacts) -> RunSummary {
        let journeys = self.journeys();
        let mut ends = BTreeMap::new();
        for journey in &journeys {
            *ends.entry(journey.word().to_owned()).or_default() += 1;
        }
        let violation = |happening: &Happening| match happening {
            Happening::Violation { kind, text } => Some(format!("{kind}: {text}")),
            Happening::Sent { .. }
            | Happening::Lost { .. }
            | Happening::Refused { .. }
            | Happening::Arrived { .. }
            | Happening::Read { .. }
            | Happening::Told { .. }
            | Happening::Frame { .. }
            | Happening::Event { .. }
            | Happening::Step { .. } => None,
        };
        RunSummary {
            schema: SUMMARY_SCHEMA,
            scenario: self.scenario.clone(),
            backend: self.backend.to_owned(),
            seed: self.seed,
            parameters: facts.parameters,
            trace_hash: self.hash(),
            holds: facts.holds,
            replay: facts.replay,
            expectations: facts.expectations,
            violations: self.entries.iter().filter_map(|entry| violation(&entry.what)).collect(),
            ends,
            datagrams_left_out: u64::try_from(journeys.len().saturating_sub(LISTED_MAX)).unwrap_or(u64::MAX),
            datagrams: journeys
                .iter()
                .take(LISTED_MAX)
                .map(|journey| DatagramLine {
                    datagram: journey.datagram.0,
                    label: journey.label.map(str::to_owned),
                    contents: journey.contents.clone(),
                    end: journey.word().to_owned(),
                    sealed_by: journey.sealed_by.map(|sealed| self.describe_seal(sealed)),
                })
                .collect(),
        }
    }
}
