//! What came out of a set of experiments: expected beside observed. It holds no times and no paths,
//! so the same experiments with the same seed report the same bytes.

use std::collections::BTreeMap;

use serde::Serialize;

/// The version of the report's shape.
pub const PROOF_SCHEMA: u32 = 1;

/// A set of experiments that were carried out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ProofReport {
    /// The version of this shape.
    pub schema: u32,
    /// The program's version.
    pub peerbound: String,
    /// The OpenSSL in use, as it names itself.
    pub openssl: String,
    /// Where they ran: `sim`, `loopback` or `netns`.
    pub backend: String,
    /// The seed of chance.
    pub seed: u64,
    /// The suite that all nodes were told to use, if they were.
    pub suite: Option<String>,
    /// The experiments, in the order of their groups.
    pub proofs: Vec<Proof>,
    /// How many came out how.
    pub totals: Totals,
    /// Whether something ran, and everything that ran came out as expected.
    pub holds: bool,
}

/// One experiment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Proof {
    /// The scenario's name.
    pub name: String,
    /// The heading that it stands under.
    pub group: String,
    /// What is claimed.
    pub title: String,
    /// The clause that says so.
    pub clause: String,
    /// What it means.
    pub meaning: String,
    /// Which parameters it ran with, as TOML literals.
    pub parameters: BTreeMap<String, String>,
    /// The seed it ran with.
    pub seed: u64,
    /// How it came out.
    pub outcome: ProofOutcome,
    /// What was expected and what was observed, one by one.
    pub checks: Vec<Check>,
    /// The hash of its trace; a replay gives the same one on the simulator.
    pub trace_hash: Option<String>,
    /// The command that shows this run again.
    pub replay: String,
}

/// How an experiment came out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "result", rename_all = "kebab-case")]
pub enum ProofOutcome {
    /// Everything observed is what was expected.
    Held,
    /// Something is not.
    DidNotHold,
    /// The backend cannot do what it takes.
    Refused {
        /// Why.
        reason: String,
    },
    /// It could not be carried out.
    Failed {
        /// Why.
        reason: String,
    },
}

/// One thing that was expected, beside what was observed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Who expected it.
    pub kind: CheckKind,
    /// What should have been seen.
    pub expected: String,
    /// What was seen.
    pub observed: String,
    /// Whether they agree.
    pub holds: bool,
    /// The same in a word or two.
    pub brief: Brief,
}

/// Who expects something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckKind {
    /// The scenario.
    Expectation,
    /// Every run: a standing invariant, listed only where it did not hold.
    Invariant,
}

/// What was expected and what was observed, in a word or two.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Brief {
    /// What should have been seen.
    pub expected: String,
    /// What was seen.
    pub observed: String,
}

/// How many experiments came out how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Totals {
    /// As expected.
    pub held: usize,
    /// Not as expected.
    pub did_not_hold: usize,
    /// Not on this backend.
    pub refused: usize,
    /// Not carried out.
    pub failed: usize,
}

impl Totals {
    /// Counts.
    #[must_use]
    pub fn of(proofs: &[Proof]) -> Self {
        let mut totals = Self::default();
        for proof in proofs {
            match proof.outcome {
                ProofOutcome::Held => totals.held += 1,
                ProofOutcome::DidNotHold => totals.did_not_hold += 1,
                ProofOutcome::Refused { .. } => totals.refused += 1,
                ProofOutcome::Failed { .. } => totals.failed += 1,
            }
        }
        totals
    }

    /// Whether something ran, and nothing that ran came out otherwise than expected. What a backend
    /// cannot do fails nothing, and proves nothing either: it does not hold by itself.
    #[must_use]
    pub fn hold(&self) -> bool {
        self.held > 0 && self.did_not_hold == 0 && self.failed == 0
    }

    /// Whether all that was asked for was refused, so that nothing ran.
    #[must_use]
    pub fn are_all_refused(&self) -> bool {
        self.refused > 0 && self.held == 0 && self.did_not_hold == 0 && self.failed == 0
    }
}

impl Proof {
    /// What it is called in a list: its name, with its parameters where it has any.
    #[must_use]
    pub fn label(&self) -> String {
        let parameters: Vec<_> = self
            .parameters
            .iter()
            .map(|(name, value)| format!("{name}={}", value.trim_matches('"')))
            .collect();
        if parameters.is_empty() {
            self.name.clone()
        } else {
            format!("{} {}", self.name, parameters.join(" "))
        }
    }

    /// The check that stands for all of them: the first one that does not hold, else the first.
    #[must_use]
    pub fn telling_check(&self) -> Option<&Check> {
        self.checks.iter().find(|check| !check.holds).or_else(|| self.checks.first())
    }

    /// What did not come out as expected, a sentence each.
    #[must_use]
    pub fn complaints(&self) -> Vec<String> {
        match &self.outcome {
            ProofOutcome::Held | ProofOutcome::Refused { .. } => vec![],
            ProofOutcome::Failed { reason } => vec![format!("it could not be carried out: {reason}")],
            ProofOutcome::DidNotHold => {
                self.checks.iter().filter(|check| !check.holds).map(Check::to_sentence).collect()
            }
        }
    }
}

impl Check {
    /// Says in which way it does not hold, so that two runs can be compared: of an expectation, what was
    /// seen instead, whatever the numbers in it; of an invariant, which.
    #[must_use]
    pub fn failure(&self) -> (String, String) {
        let digits = |text: &str| text.replace(|letter: char| letter.is_ascii_digit(), "#");
        match self.kind {
            CheckKind::Expectation => (self.expected.clone(), digits(&self.observed)),
            CheckKind::Invariant => (self.expected.clone(), String::new()),
        }
    }

    /// Says what was expected and what was observed.
    #[must_use]
    pub fn to_sentence(&self) -> String {
        format!("expected {}; observed {}", self.expected, self.observed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_refused_fails_nothing_and_does_not_hold_alone() {
        let refused = Totals { refused: 2, ..Totals::default() };
        let beside_one_that_held = Totals { held: 1, ..refused };

        assert!(refused.are_all_refused());
        assert!(!refused.hold());
        assert!(!beside_one_that_held.are_all_refused());
        assert!(beside_one_that_held.hold());
    }
}
