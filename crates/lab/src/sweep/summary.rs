//! What the runs of a sweep say together. It follows from the file alone, so that a sweep on one
//! machine and the merged shards of many say the same.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::experiment::replay_command;
use crate::sweep::{Rate, Seeds, SweepFile, SweepPlan, SweptRun};

/// A sweep in numbers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// The version of this shape.
    pub schema: u32,
    /// The scenario's name.
    pub scenario: String,
    /// SHA-256 of its text.
    pub scenario_hash: String,
    /// Where it ran.
    pub backend: String,
    /// The suite that all nodes were told to use, if they were.
    pub suite: Option<String>,
    /// The seeds of each point.
    pub seeds: Seeds,
    /// Runs that are done.
    pub runs: u64,
    /// Runs that the sweep has in all.
    pub runs_in_all: u64,
    /// How many held, over all points.
    pub held: Rate,
    /// The points, in order.
    pub points: Vec<PointSummary>,
    /// The runs that did not hold, in order.
    pub failing: Vec<FailingRun>,
}

/// What the runs at one point say.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PointSummary {
    /// Its parameters, as TOML literals.
    pub parameters: BTreeMap<String, String>,
    /// How many runs held.
    pub held: Rate,
    /// What did not hold, and in how many runs.
    pub failures: BTreeMap<String, u64>,
    /// Moments in nanoseconds: how they are spread over the runs in which they came.
    pub times: BTreeMap<String, Spread>,
    /// Numbers of things.
    pub counts: BTreeMap<String, Spread>,
}

/// How values are spread: by rank, so that each is a value that was really seen.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Spread {
    /// Runs that have a value.
    pub runs: u64,
    /// The least.
    pub least: u64,
    /// Half of the values are no greater.
    pub median: u64,
    /// 95 % of the values are no greater.
    pub p95: u64,
    /// 99 % of the values are no greater.
    pub p99: u64,
    /// The greatest.
    pub greatest: u64,
    /// Their mean, rounded down.
    pub mean: u64,
}

/// A run that did not hold, and how to see it again.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FailingRun {
    /// Its point, by place.
    pub point: usize,
    /// Its seed.
    pub seed: u64,
    /// What did not hold.
    pub what: Vec<String>,
    /// How it was, in sentences.
    pub how: Vec<String>,
    /// The hash of its trace.
    pub trace_hash: String,
    /// The command that shows it again.
    pub replay: String,
}

impl Summary {
    /// Sums a file up.
    #[must_use]
    pub fn of(file: &SweepFile) -> Self {
        let plan = &file.plan;
        let mut by_point = vec![Vec::new(); plan.points.len()];
        for run in file.runs.values() {
            by_point[run.point].push(run);
        }
        let held = file.runs.values().filter(|run| run.failures.is_empty()).count() as u64;
        let runs = file.runs.len() as u64;
        let points = plan.points.iter().zip(&by_point);
        Self {
            schema: 1,
            scenario: plan.scenario.clone(),
            scenario_hash: plan.scenario_hash.clone(),
            backend: plan.backend.clone(),
            suite: plan.suite.clone(),
            seeds: plan.seeds.clone(),
            runs,
            runs_in_all: plan.runs_in_all(),
            held: Rate::of(held, runs),
            points: points.map(|(parameters, runs)| PointSummary::of(parameters, runs)).collect(),
            failing: file
                .runs
                .values()
                .filter(|run| !run.failures.is_empty())
                .map(|run| failing(plan, run))
                .collect(),
        }
    }
}

impl PointSummary {
    fn of(parameters: &BTreeMap<String, String>, runs: &[&SweptRun]) -> Self {
        let held = runs.iter().filter(|run| run.failures.is_empty()).count() as u64;
        let mut failures: BTreeMap<String, u64> = BTreeMap::new();
        for run in runs {
            let mut kinds: Vec<_> = run.failures.iter().map(|failure| &failure.what).collect();
            kinds.sort();
            kinds.dedup();
            for kind in kinds {
                *failures.entry(kind.clone()).or_default() += 1;
            }
        }
        Self {
            parameters: parameters.clone(),
            held: Rate::of(held, runs.len() as u64),
            failures,
            times: spreads(runs, |run| &run.times),
            counts: spreads(runs, |run| &run.counts),
        }
    }
}

impl Spread {
    /// Sums values up; `None` where there are none.
    #[must_use]
    pub fn of(mut values: Vec<u64>) -> Option<Self> {
        values.sort_unstable();
        let (least, greatest) = (*values.first()?, *values.last()?);
        let runs = values.len() as u64;
        let sum: u128 = values.iter().map(|value| u128::from(*value)).sum();
        // The nearest rank: the smallest value that so many hundredths of the values do not exceed.
        let rank = |hundredths: usize| values[(values.len() * hundredths).div_ceil(100).max(1) - 1];
        Some(Self {
            runs,
            least,
            median: rank(50),
            p95: rank(95),
            p99: rank(99),
            greatest,
            mean: u64::try_from(sum / u128::from(runs)).unwrap_or(u64::MAX),
        })
    }
}

fn spreads(
    runs: &[&SweptRun],
    measured: impl Fn(&SweptRun) -> &BTreeMap<String, u64>,
) -> BTreeMap<String, Spread> {
    let mut values: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for (name, value) in runs.iter().flat_map(|run| measured(run)) {
        values.entry(name).or_default().push(*value);
    }
    values.into_iter().filter_map(|(name, values)| Some((name.to_owned(), Spread::of(values)?))).collect()
}

fn failing(plan: &SweepPlan, run: &SweptRun) -> FailingRun {
    let (source, backend, suite) = (&plan.scenario, &plan.backend, plan.suite.as_deref());
    FailingRun {
        replay: replay_command(source, backend, run.seed, &plan.points[run.point], suite),
        point: run.point,
        seed: run.seed,
        what: run.failures.iter().map(|failure| failure.what.clone()).collect(),
        how: run.failures.iter().map(|failure| failure.how.clone()).collect(),
        trace_hash: run.trace_hash.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sweep::results::tests::{carried_out, plan};

    #[test]
    fn ranks_are_values_that_were_seen() {
        let spread = Spread::of((1..=100).rev().collect()).unwrap();

        assert_eq!(
            (spread.least, spread.median, spread.p95, spread.p99, spread.greatest),
            (1, 50, 95, 99, 100)
        );
        assert_eq!((spread.runs, spread.mean), (100, 50));
        assert_eq!(Spread::of(vec![7]).unwrap().p99, 7);
        assert_eq!(Spread::of(vec![]), None);
    }

    #[test]
    fn each_point_counts_its_own_runs_and_each_failure_once_a_run() {
        let file = carried_out(plan(&["0.0", "0.1"], Seeds::first(40)));

        let summary = Summary::of(&file);

        for (index, point) in summary.points.iter().enumerate() {
            let runs: Vec<_> = file.runs.values().filter(|run| run.point == index).collect();
            let fails = |what: &str| {
                runs.iter().filter(|run| run.failures.iter().any(|failure| failure.what == what)).count()
                    as u64
            };
            assert_eq!(point.held.runs, 40);
            assert_eq!(point.held.hits, runs.iter().filter(|run| run.failures.is_empty()).count() as u64);
            assert_eq!(point.failures["request undelivered"], fails("request undelivered"));
            assert_eq!(point.times["up"].runs, point.held.hits);
            assert_eq!(point.counts["datagrams"].runs, 40);
        }
        assert_eq!(summary.failing.len() as u64, summary.runs - summary.held.hits);
    }
}
