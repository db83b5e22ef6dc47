//! What a ratio may be, and what a benchmark says that it is. Pure.

use std::collections::BTreeMap;

use anyhow::ensure;
use serde::Deserialize;

/// The file of limits.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Limits {
    pub(crate) ratio: Vec<Ratio>,
}

/// One ratio; smaller is better.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ratio {
    pub(crate) name: String,
    /// The benchmark that measures it.
    pub(crate) package: String,
    pub(crate) bench: String,
    /// What is to be reached.
    pub(crate) goal: f64,
    /// What it was when this was written.
    pub(crate) now: f64,
    /// The share by which it may exceed both.
    pub(crate) tolerance: f64,
    /// Why it is watched.
    pub(crate) reason: String,
}

impl Limits {
    /// Reads the file; refuses what could not be meant.
    pub(crate) fn parse(text: &str) -> anyhow::Result<Self> {
        let limits: Self = toml::from_str(text)?;
        for ratio in &limits.ratio {
            let Ratio { name, goal, now, tolerance, reason, .. } = ratio;
            ensure!(*goal > 0.0 && *now > 0.0, "{name}: a ratio is more than 0");
            ensure!((0.0..=1.0).contains(tolerance), "{name}: a tolerance is a share, from 0 to 1");
            ensure!(!reason.is_empty(), "{name}: say why it is watched");
        }
        Ok(limits)
    }
}

impl Ratio {
    /// Returns the largest value that is no regression.
    fn limit(&self) -> f64 {
        self.goal.max(self.now) * (1.0 + self.tolerance)
    }

    /// Returns whether a value is no regression.
    pub(crate) fn is_within(&self, value: f64) -> bool {
        value <= self.limit()
    }

    /// Returns what is said of a value, and whether it is no regression.
    pub(crate) fn judge(&self, value: f64, runs: usize) -> (String, bool) {
        let is_within = self.is_within(value);
        let word = match (is_within, value <= self.goal) {
            (true, true) => "ok",
            (true, false) => "ok, goal not reached",
            (false, _) => "REGRESSION",
        };
        let again = if runs > 1 { format!(", in run {runs}") } else { String::new() };
        let mut line = format!(
            "{:24} {value:6.3}  at most {:.3}, goal {:.2}: {word}{again}",
            self.name,
            self.limit(),
            self.goal
        );
        if !is_within {
            line += &format!(" ({})", self.reason);
        }
        (line, is_within)
    }
}

/// Finds the ratios among what a benchmark prints.
pub(crate) fn ratios_in(output: &str) -> BTreeMap<String, f64> {
    #[derive(Deserialize)]
    struct Line {
        ratio: String,
        value: f64,
    }
    let lines = output.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok());
    lines.map(|line| (line.ratio, line.value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ratio(goal: f64, now: f64, tolerance: f64) -> Ratio {
        let [name, package, bench] = ["hop", "node", "relay"].map(str::to_owned);
        Ratio { name, package, bench, goal, now, tolerance, reason: "frames pay it".to_owned() }
    }

    #[test]
    fn what_is_not_reached_yet_must_not_become_worse() {
        let far = ratio(1.25, 1.6, 0.1);

        assert!(far.is_within(1.7) && !far.is_within(1.8));
        assert!(far.judge(1.7, 1).0.contains("goal not reached"));
    }

    #[test]
    fn what_is_reached_may_become_worse_up_to_the_goal() {
        let near = ratio(1.3, 1.0, 0.1);

        assert!(near.is_within(1.4) && !near.is_within(1.45));
        assert!(near.judge(1.2, 2).0.ends_with("ok, in run 2"));
    }

    #[test]
    fn a_regression_is_said_with_the_reason_to_care() {
        let (line, is_within) = ratio(1.0, 1.0, 0.0).judge(1.1, 3);

        assert!(!is_within);
        assert!(line.contains("REGRESSION") && line.contains("frames pay it"), "{line}");
    }

    #[test]
    fn ratios_are_found_among_other_lines() {
        let output =
            "running\n{\"ratio\":\"hop\",\"value\":1.25}\n{\"other\":1}\n{\"ratio\":\"x\",\"value\":2}\n";

        assert_eq!(ratios_in(output), BTreeMap::from([("hop".to_owned(), 1.25), ("x".to_owned(), 2.0)]));
    }

    #[test]
    fn the_file_of_this_workspace_is_sound() {
        let limits = Limits::parse(include_str!("../../ratios.toml")).unwrap();

        assert!(limits.ratio.len() > 5);
    }

    #[test]
    fn a_limit_that_cannot_be_meant_is_refused() {
        let text = "[[ratio]]\nname=\"a\"\npackage=\"p\"\nbench=\"b\"\ngoal=1.0\nnow=1.0\ntolerance=5.0\nreason=\"r\"\n";

        assert!(Limits::parse(text).is_err());
        assert!(Limits::parse(&text.replace("5.0", "0.5")).is_ok());
    }
}
