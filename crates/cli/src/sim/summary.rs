//! What came out of a sweep, as text.

use std::collections::{BTreeMap, BTreeSet};

use peerbound_lab::sweep::{FailingRun, PointSummary, Rate, Spread, Summary};

use crate::columns::{cell, paragraph};

/// Failing runs that are shown one by one; `--json` has them all.
const SHOWN_MAX: usize = 10;

/// Columns of a point's name, which is that of its parameters.
const POINT: usize = 26;

/// Tells a summary.
pub(crate) fn tell(summary: &Summary) -> String {
    let suite = summary.suite.as_ref().map_or_else(String::new, |suite| format!(", {suite}"));
    let points = match summary.points.len() {
        1 => String::new(),
        points => format!("{points} points x "),
    };
    let what = format!("{} on {}: {points}{}{suite}", summary.scenario, summary.backend, summary.seeds);
    let mut lines = paragraph("", 2, &what);
    lines.push(String::new());
    lines.push(format!("  {} {:>9} {:>9}  rate, with 95 % confidence", cell("", POINT), "runs", "held"));
    for point in &summary.points {
        lines.extend(about(point));
    }
    if summary.points.len() > 1 {
        lines.push(String::new());
        lines.push(row("all", &summary.held));
    }
    lines.push(String::new());
    lines.extend(measures(summary));
    lines.extend(failing(summary));
    lines.push(verdict(summary));
    lines.join("\n")
}

fn about(point: &PointSummary) -> Vec<String> {
    let name = name_of(&point.parameters);
    let name = if name.is_empty() { "all seeds".to_owned() } else { name };
    let mut lines = vec![row(&name, &point.held)];
    for (what, runs) in &point.failures {
        lines.extend(paragraph(&format!("    {runs} x not: "), 8, what));
    }
    lines
}

fn name_of(parameters: &BTreeMap<String, String>) -> String {
    let named: Vec<_> =
        parameters.iter().map(|(name, value)| format!("{name}={}", value.trim_matches('"'))).collect();
    named.join(" ")
}

fn row(name: &str, rate: &Rate) -> String {
    let percent = |share: f64| format!("{:.1}", share * 100.0);
    let Rate { hits, runs, rate, low, high } = *rate;
    let numbers =
        format!("{runs:>9} {hits:>9}  {:>5} % ({} to {})", percent(rate), percent(low), percent(high));
    format!("  {} {numbers}", cell(name, POINT))
}

/// How what was measured is spread: a row for each point and measure.
fn measures(summary: &Summary) -> Vec<String> {
    let mut lines = Vec::new();
    let heads = |name: &str| {
        let heads = ["median", "95 %", "99 %", "greatest"].map(|text| format!(" {text:>11}")).concat();
        format!("  {}{heads}", cell(name, POINT))
    };
    for (measures, written) in
        [(Measures::Times, seconds as fn(u64) -> String), (Measures::Counts, |n| n.to_string())]
    {
        let names: BTreeSet<&String> =
            summary.points.iter().flat_map(|point| measures.of(point).keys()).collect();
        for name in names {
            if summary.points.len() > 1 || lines.is_empty() {
                lines.push(heads(if summary.points.len() > 1 { name } else { "" }));
            }
            for point in &summary.points {
                let Some(spread) = measures.of(point).get(name) else { continue };
                let row = if summary.points.len() > 1 {
                    format!("  {}", name_of(&point.parameters))
                } else {
                    name.clone()
                };
                let Spread { median, p95, p99, greatest, .. } = *spread;
                let numbers =
                    [median, p95, p99, greatest].map(|number| format!(" {:>11}", written(number))).concat();
                lines.push(format!("  {}{numbers}", cell(&row, POINT)));
            }
        }
    }
    if !lines.is_empty() {
        lines.push(String::new());
    }
    lines
}

#[derive(Clone, Copy)]
enum Measures {
    Times,
    Counts,
}

impl Measures {
    fn of(self, point: &PointSummary) -> &BTreeMap<String, Spread> {
        match self {
            Self::Times => &point.times,
            Self::Counts => &point.counts,
        }
    }
}

fn seconds(nanos: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "three digits behind the point are shown")]
    let seconds = nanos as f64 / 1e9;
    if seconds < 1.0 { format!("{:.3} ms", seconds * 1e3) } else { format!("{seconds:.3} s") }
}

fn failing(summary: &Summary) -> Vec<String> {
    let mut lines = Vec::new();
    for run in summary.failing.iter().take(SHOWN_MAX) {
        lines.extend(about_failing(run));
    }
    let more = summary.failing.len().saturating_sub(SHOWN_MAX);
    if more > 0 {
        lines.push(format!("  and {more} more: --json names them all"));
    }
    if !lines.is_empty() {
        lines.push(String::new());
    }
    lines
}

fn about_failing(run: &FailingRun) -> Vec<String> {
    let mut lines = vec![format!("  {}", run.replay)];
    for (what, how) in run.what.iter().zip(&run.how) {
        lines.extend(paragraph("    ", 6, &format!("expected {what}; observed {how}")));
    }
    lines
}

fn verdict(summary: &Summary) -> String {
    let Summary { runs, runs_in_all, failing, .. } = summary;
    let of = if runs == runs_in_all { String::new() } else { format!(" of {runs_in_all}") };
    match failing.len() {
        0 => format!("{runs}{of} runs, all as expected."),
        failing => format!("{runs}{of} runs, {failing} NOT as expected."),
    }
}

#[cfg(test)]
mod tests {
    use peerbound_lab::sweep::{Seeds, Shard, SweepFile, SweepPlan, SweptFailure, SweptRun};
    use textwrap::core::display_width;

    use super::*;
    use crate::columns::WIDTH;

    fn file() -> SweepFile {
        let point = |loss: &str| BTreeMap::from([("loss".to_owned(), loss.to_owned())]);
        let plan = SweepPlan {
            sweep_schema: 1,
            peerbound: "0.1.0".to_owned(),
            openssl: "OpenSSL 3.0".to_owned(),
            scenario: "loss".to_owned(),
            scenario_hash: "00".to_owned(),
            backend: "sim".to_owned(),
            suite: None,
            points: vec![point("0.0"), point("0.5")],
            seeds: Seeds::first(20),
            shard: Shard::WHOLE,
        };
        let mut file = SweepFile::begin(plan.clone());
        for (run, point, seed) in plan.runs() {
            let failure =
                SweptFailure { what: "the request delivered at C".to_owned(), how: "it was not".to_owned() };
            let failures = if point == 1 && seed % 4 != 0 { vec![failure] } else { vec![] };
            let times = BTreeMap::from([("end of run".to_owned(), seed * 1_000_000)]);
            let counts = BTreeMap::from([("datagrams".to_owned(), seed)]);
            file.runs.insert(
                run,
                SweptRun { run, point, seed, failures, trace_hash: "aa".to_owned(), times, counts },
            );
        }
        file
    }

    #[test]
    fn a_summary_is_told_in_rows_for_each_point() {
        let text = tell(&Summary::of(&file()));

        let expected = "\
loss on sim: 2 points x seeds 1 to 20

                                  runs      held  rate, with 95 % confidence
  loss=0.0                          20        20  100.0 % (83.9 to 100.0)
  loss=0.5                          20         5   25.0 % (11.2 to 46.9)
    15 x not: the request delivered at C

  all                               40        25   62.5 % (47.0 to 75.8)

  end of run                      median        95 %        99 %    greatest
    loss=0.0                   10.000 ms   19.000 ms   20.000 ms   20.000 ms
";
        assert!(text.starts_with(expected), "{text}");
        assert!(
            text.contains("  peerbound sim replay loss --seed 1 --set loss=0.5\n    expected the request"),
            "{text}"
        );
        assert!(
            text.ends_with("  and 5 more: --json names them all\n\n40 runs, 15 NOT as expected."),
            "{text}"
        );
        assert!(text.lines().all(|line| display_width(line) <= WIDTH), "{text}");
    }
}
