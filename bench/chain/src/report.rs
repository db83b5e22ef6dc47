//! What a run found: medians over its rounds, ratios within them, and which goals are met.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;

use crate::chain::Offloads;
use crate::figures::{Figure, Figures};
use crate::measure::Extent;
use crate::statistics::median;
use crate::subject::Subject;

/// One subject in one round.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Sample {
    pub(crate) round: u32,
    pub(crate) subject: Subject,
    pub(crate) figures: Figures,
}

/// What is to be reached.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(tag = "is", content = "value", rename_all = "kebab-case")]
pub(crate) enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

/// A goal: a figure of peerbound against that of another subject, or alone.
struct Goal {
    figure: Figure,
    against: Option<Subject>,
    bound: Bound,
}

/// Goals where wires carry super-packets.
const GOALS: &[Goal] = &[
    goal(Figure::TcpOne, Subject::SocatDtls, Bound::AtLeast(6.0)),
    goal(Figure::TcpOne, Subject::Boringtun, Bound::AtLeast(6.0)),
    goal(Figure::Udp, Subject::SocatDtls, Bound::AtLeast(4.0)),
    goal(Figure::SmallDatagrams, Subject::SocatDtls, Bound::AtLeast(5.0)),
    goal(Figure::SmallDatagrams, Subject::SocatUdp, Bound::AtLeast(5.0)),
    goal(Figure::ProcessorTcpOne, Subject::SocatDtls, Bound::AtMost(0.2)),
    goal(Figure::ProcessorTcpOne, Subject::Boringtun, Bound::AtMost(0.2)),
    goal(Figure::ProcessorUdp, Subject::SocatDtls, Bound::AtMost(0.2)),
    goal(Figure::ProcessorUdp, Subject::Boringtun, Bound::AtMost(0.2)),
    goal(Figure::PingIdleP50, Subject::SocatUdp, Bound::AtMost(1.1)),
    Goal { figure: Figure::PingLoadedP99, against: None, bound: Bound::AtMost(5000.0) },
];

/// Goals where they carry single packets.
const GOALS_OFFLOADS_OFF: &[Goal] = &[goal(Figure::TcpOne, Subject::SocatDtls, Bound::AtLeast(4.0))];

const fn goal(figure: Figure, against: Subject, bound: Bound) -> Goal {
    Goal { figure, against: Some(against), bound }
}

/// A goal, and what was reached.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Outcome {
    figure: Figure,
    against: Option<Subject>,
    bound: Bound,
    /// The median of the ratios of each round; of the figure itself, where it stands alone.
    reached: f64,
    is_met: bool,
}

/// All of it.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    offloads: Offloads,
    extent: Extent,
    kernel: String,
    processors: usize,
    medians: BTreeMap<Subject, Figures>,
    outcomes: Vec<Outcome>,
    samples: Vec<Sample>,
}

impl Report {
    /// Sums up samples.
    pub(crate) fn new(samples: Vec<Sample>, offloads: Offloads, extent: Extent) -> Self {
        let goals = match offloads {
            Offloads::On => GOALS,
            Offloads::Off => GOALS_OFFLOADS_OFF,
        };
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self {
            offloads,
            extent,
            kernel: kernel.trim().to_owned(),
            processors: std::thread::available_parallelism().map_or(0, usize::from),
            medians: medians(&samples),
            outcomes: goals.iter().filter_map(|goal| goal.outcome(&samples)).collect(),
            samples,
        }
    }

    /// Returns whether a goal is not met.
    pub(crate) fn is_any_missed(&self) -> bool {
        self.outcomes.iter().any(|outcome| !outcome.is_met)
    }

    /// Returns the median of one figure, for each subject where it was measured.
    pub(crate) fn medians_of(&self, figure: Figure) -> Vec<(Subject, f64)> {
        let of_one = |(subject, figures): (&Subject, &Figures)| Some((*subject, *figures.get(&figure)?));
        self.medians.iter().filter_map(of_one).collect()
    }

    /// Returns the figures of all subjects side by side, then the goals, as Markdown.
    pub(crate) fn table(&self) -> String {
        let mut text = String::new();
        let mut put = |line: std::fmt::Arguments<'_>| writeln!(text, "{line}").expect("a string takes it");
        let subjects: Vec<_> = self.medians.keys().collect();
        let heads: Vec<_> = subjects.iter().map(|subject| subject.to_string()).collect();
        put(format_args!("| {:30} | {} |", "", heads.join(" | ")));
        put(format_args!(
            "|{:-<32}|{}|",
            "",
            heads.iter().map(|head| "-".repeat(head.len() + 1) + ":").collect::<Vec<_>>().join("|")
        ));
        for figure in Figure::ALL {
            let cell = |(subject, head): (&&Subject, &String)| {
                let value =
                    self.medians[*subject].get(&figure).map_or("–".to_owned(), |value| figure.text(*value));
                format!("{value:>width$}", width = head.chars().count())
            };
            let cells: Vec<_> = subjects.iter().zip(&heads).map(cell).collect();
            put(format_args!("| {:30} | {} |", figure.title(), cells.join(" | ")));
        }
        if !self.outcomes.is_empty() {
            put(format_args!(
                "\n| {:30} | {:16} | {:>8} | {:>13} |      |",
                "peerbound", "against", "reached", "goal"
            ));
            put(format_args!("|{:-<32}|{:-<18}|{:->9}:|{:->14}:|------|", "", "", "", ""));
        }
        for outcome in &self.outcomes {
            let against = outcome.against.map_or("alone".to_owned(), |subject| subject.to_string());
            let text = |value: f64| match outcome.against {
                Some(_) => format!("{value:.2}"),
                None => outcome.figure.text(value),
            };
            let bound = match outcome.bound {
                Bound::AtLeast(bound) => format!("at least {}", text(bound)),
                Bound::AtMost(bound) => format!("at most {}", text(bound)),
            };
            let is_met = if outcome.is_met { "met" } else { "miss" };
            put(format_args!(
                "| {:30} | {against:16} | {:>8} | {bound:>13} | {is_met:4} |",
                outcome.figure.title(),
                text(outcome.reached)
            ));
        }
        text
    }
}

impl Goal {
    /// Says what was reached, where everything that it takes was measured.
    fn outcome(&self, samples: &[Sample]) -> Option<Outcome> {
        let found = |subject: Subject, round: u32| {
            let is_it = |sample: &&Sample| sample.subject == subject && sample.round == round;
            samples.iter().find(is_it)?.figures.get(&self.figure).copied()
        };
        let rounds = samples.iter().filter(|sample| sample.subject == Subject::Peerbound);
        let ratios = rounds.filter_map(|sample| {
            let ours = found(Subject::Peerbound, sample.round)?;
            match self.against {
                None => Some(ours),
                Some(other) => {
                    found(other, sample.round).filter(|theirs| *theirs > 0.0).map(|theirs| ours / theirs)
                }
            }
        });
        let reached = median(ratios)?;
        let is_met = match self.bound {
            Bound::AtLeast(bound) => reached >= bound,
            Bound::AtMost(bound) => reached <= bound,
        };
        Some(Outcome { figure: self.figure, against: self.against, bound: self.bound, reached, is_met })
    }
}

fn medians(samples: &[Sample]) -> BTreeMap<Subject, Figures> {
    let mut all: BTreeMap<Subject, BTreeMap<Figure, Vec<f64>>> = BTreeMap::new();
    for sample in samples {
        for (figure, value) in &sample.figures {
            all.entry(sample.subject).or_default().entry(*figure).or_default().push(*value);
        }
    }
    let of_one = |values: BTreeMap<Figure, Vec<f64>>| {
        values.into_iter().filter_map(|(figure, values)| Some((figure, median(values)?))).collect()
    };
    all.into_iter().map(|(subject, values)| (subject, of_one(values))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXTENT: Extent = Extent { seconds: 1.0, segments: 1 };

    fn sample(round: u32, subject: Subject, figure: Figure, value: f64) -> Sample {
        Sample { round, subject, figures: Figures::from([(figure, value)]) }
    }

    #[test]
    fn ratios_are_taken_within_rounds_before_their_median() {
        // A machine that is three times as slow in the second round changes no ratio.
        let mut samples = Vec::new();
        for (round, speed) in [(1, 1.0), (2, 0.33), (3, 1.1)] {
            samples.push(sample(round, Subject::Peerbound, Figure::TcpOne, 7e9 * speed));
            samples.push(sample(round, Subject::SocatDtls, Figure::TcpOne, 1e9 * speed));
        }

        let report = Report::new(samples, Offloads::On, EXTENT);

        let [outcome] = &report.outcomes[..] else { panic!("{:?}", report.outcomes) };
        assert!((outcome.reached - 7.0).abs() < 1e-9 && outcome.is_met, "{outcome:?}");
        assert!(!report.is_any_missed());
    }

    #[test]
    fn a_goal_that_is_missed_is_said_in_the_table() {
        let samples = vec![sample(1, Subject::Peerbound, Figure::PingLoadedP99, 9000.0)];

        let report = Report::new(samples, Offloads::On, EXTENT);

        assert!(report.is_any_missed());
        let table = report.table();
        assert!(
            table.contains("at most 5.00") && table.contains("9.00") && table.contains("miss"),
            "{table}"
        );
    }

    #[test]
    fn a_goal_against_what_was_not_measured_is_no_goal() {
        let samples = vec![sample(1, Subject::Peerbound, Figure::TcpOne, 1e9)];

        assert!(Report::new(samples, Offloads::Off, EXTENT).outcomes.is_empty());
    }
}
