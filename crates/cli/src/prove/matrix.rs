//! A proof as a table: experiments downwards, what was expected beside what was observed.

use std::borrow::Cow;
use std::collections::BTreeMap;

use anstyle::Style;
use peerbound_lab::prove::{Check, Proof, ProofOutcome, ProofReport};
use textwrap::core::display_width;
use textwrap::{Options, WordSplitter};

use crate::columns::{WIDTH, cell, paragraph, short};
use crate::groups::grouped;

const BOLD: Style = Style::new().bold();

/// Columns of an experiment's name, and of what was expected and observed.
const NAME: usize = 35;
const SEEN: usize = 18;
const _: () = assert!(2 + NAME + 1 + SEEN + 1 + SEEN + 1 + 3 <= WIDTH);

/// How much of a proof is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detail {
    /// A line for each experiment.
    Lines,
    /// Every single thing that was expected.
    Checks,
}

/// Tells a whole report.
pub(crate) fn tell(report: &ProofReport, detail: Detail) -> String {
    let suite = report.suite.as_ref().map_or_else(String::new, |suite| format!(", {suite}"));
    let mut lines =
        paragraph("", 0, &format!("On {}, seed {}{suite}, {}", report.backend, report.seed, report.openssl));
    for (group, proofs) in grouped(&report.proofs, |proof| &proof.group) {
        lines.push(String::new());
        let heading = cell(group, 2 + NAME);
        lines.push(
            format!("{BOLD}{heading}{BOLD:#} {} {} held", cell("expected", SEEN), cell("observed", SEEN))
                .trim_end()
                .to_owned(),
        );
        match detail {
            Detail::Checks => lines.extend(proofs.into_iter().flat_map(|proof| experiment(proof, report))),
            Detail::Lines => lines.extend(alike(&proofs).into_iter().flat_map(|alike| alike.rows(report))),
        }
    }
    lines.push(String::new());
    lines.extend(complaints(report));
    lines.push(verdict(report));
    lines.join("\n")
}

/// Choices of parameters of one experiment that came out alike: one row stands for all of them.
struct Alike<'a> {
    members: Vec<&'a Proof>,
    /// Whether other choices of the same experiment came out otherwise.
    is_apart: bool,
}

impl Alike<'_> {
    fn rows(&self, report: &ProofReport) -> Vec<String> {
        in_one_line(&self.label(), self.members[0], report)
    }

    /// Names them by what they have in common.
    fn label(&self) -> String {
        let [first, others @ ..] = self.members.as_slice() else { return String::new() };
        if others.is_empty() {
            return first.label();
        }
        let mut common = Proof { parameters: BTreeMap::new(), ..(*first).clone() };
        if self.is_apart {
            common.parameters.clone_from(&first.parameters);
            common
                .parameters
                .retain(|name, value| others.iter().all(|other| other.parameters.get(name) == Some(value)));
        }
        format!("{} x {}", common.label(), self.members.len())
    }
}

fn alike<'a>(proofs: &[&'a Proof]) -> Vec<Alike<'a>> {
    let seen =
        |proof: &'a Proof| (&proof.name, &proof.outcome, proof.telling_check().map(|check| &check.brief));
    let mut found: Vec<Alike<'a>> = Vec::new();
    for proof in proofs {
        match found.iter_mut().find(|alike| seen(alike.members[0]) == seen(proof)) {
            Some(alike) => alike.members.push(proof),
            None => found.push(Alike { members: vec![proof], is_apart: false }),
        }
    }
    let names: Vec<_> = found.iter().map(|alike| alike.members[0].name.clone()).collect();
    for alike in &mut found {
        alike.is_apart = names.iter().filter(|name| **name == alike.members[0].name).count() > 1;
    }
    found
}

/// The telling check stands for an experiment.
fn in_one_line(name: &str, proof: &Proof, report: &ProofReport) -> Vec<String> {
    match (&proof.outcome, proof.telling_check()) {
        (ProofOutcome::Refused { reason }, _) => {
            beside(name, &format!("not on {}: {reason}", report.backend))
        }
        (ProofOutcome::Failed { .. }, _) => beside(name, "NOT CARRIED OUT, see below"),
        (ProofOutcome::Held | ProofOutcome::DidNotHold, None) => beside(name, "nothing was expected"),
        (ProofOutcome::Held | ProofOutcome::DidNotHold, Some(check)) => {
            row(name, &check.brief.expected, &check.brief.observed, is_as_expected(check.holds))
        }
    }
}

fn experiment(proof: &Proof, report: &ProofReport) -> Vec<String> {
    let name = proof.label();
    match &proof.outcome {
        ProofOutcome::Refused { .. } | ProofOutcome::Failed { .. } => in_one_line(&name, proof, report),
        ProofOutcome::Held | ProofOutcome::DidNotHold => check_by_check(&name, proof),
    }
}

fn check_by_check(name: &str, proof: &Proof) -> Vec<String> {
    let mut lines = paragraph(&format!("  {BOLD}{name}{BOLD:#}  "), 4, &proof.title);
    for check in &proof.checks {
        lines.extend(full_row(check));
    }
    lines
}

/// What was expected beside what was observed, broken into lines rather than cut.
fn full_row(check: &Check) -> Vec<String> {
    const HALF: usize = 35;
    const _: () = assert!(4 + HALF + 1 + HALF + 1 + 3 <= WIDTH);
    let options = || Options::new(HALF).word_splitter(WordSplitter::NoHyphenation);
    let expected = textwrap::wrap(&check.expected, options());
    let observed = textwrap::wrap(&check.observed, options());
    let lines = (0..expected.len().max(observed.len())).map(|line| {
        let at = |column: &[Cow<'_, str>]| cell(column.get(line).map_or("", |text| text), HALF);
        let holds = if line == 0 { is_as_expected(check.holds) } else { "" };
        format!("    {} {} {holds}", at(&expected), at(&observed)).trim_end().to_owned()
    });
    lines.collect()
}

fn row(name: &str, expected: &str, observed: &str, holds: &str) -> Vec<String> {
    let cells = format!("{} {} {holds}", cell(expected, SEEN), cell(observed, SEEN));
    if display_width(name) <= NAME {
        return vec![format!("  {} {cells}", cell(name, NAME))];
    }
    vec![format!("  {}", short(name, WIDTH - 2)), format!("  {} {cells}", cell("", NAME))]
}

/// A name, and a text in place of the columns.
fn beside(name: &str, text: &str) -> Vec<String> {
    if display_width(name) <= NAME {
        return paragraph(&format!("  {} ", cell(name, NAME)), 2 + NAME + 1, text);
    }
    let mut lines = vec![format!("  {}", short(name, WIDTH - 2))];
    let indent = " ".repeat(2 + NAME + 1);
    lines.extend(paragraph(&indent, indent.len(), text));
    lines
}

fn is_as_expected(holds: bool) -> &'static str {
    if holds { "yes" } else { "NO" }
}

fn complaints(report: &ProofReport) -> Vec<String> {
    let mut lines = Vec::new();
    for proof in &report.proofs {
        let complaints = proof.complaints();
        if complaints.is_empty() {
            continue;
        }
        lines.extend(paragraph("", 2, &format!("{}: {}", proof.label(), proof.title)));
        for complaint in complaints {
            lines.extend(paragraph("  ", 4, &complaint));
        }
        // Not broken, so that it can be copied.
        lines.push(format!("  {}", proof.replay));
        lines.push(String::new());
    }
    lines
}

/// Says in one sentence how it all came out.
pub(super) fn verdict(report: &ProofReport) -> String {
    let totals = report.totals;
    let ran = totals.held + totals.did_not_hold + totals.failed;
    let experiments = if ran == 1 { "experiment" } else { "experiments" };
    let mut text = if ran == 0 {
        "Nothing was run".to_owned()
    } else if totals.hold() {
        format!("{ran} {experiments}, all as expected")
    } else {
        format!("{ran} {experiments}, {} NOT as expected", totals.did_not_hold + totals.failed)
    };
    if totals.refused > 0 {
        text += &format!("; {} not possible on {}", totals.refused, report.backend);
    }
    text + "."
}

#[cfg(test)]
mod tests {
    use peerbound_lab::prove::Brief;

    use super::*;
    use crate::prove::samples::report;

    fn plain(report: &ProofReport, detail: Detail) -> String {
        anstream::adapter::strip_str(&tell(report, detail)).to_string()
    }

    #[test]
    fn each_outcome_has_its_words() {
        assert_eq!(
            plain(&report(), Detail::Lines),
            "\
On sim, seed 7, OpenSSL 3.0.22 & friends

ladder                                expected           observed           held
  held                                record-auth        record-auth        yes
  wrong                               demux              record-auth        NO

loss                                  expected           observed           held
  broken                              NOT CARRIED OUT, see below
  refused suite=AES128-GCM            not on sim: loopback cannot spoof
                                      \"192.0.2.9:1\" <step 3>

wrong: The claim of wrong
  expected reply is dropped at demux; observed dropped at record-auth at A
  peerbound sim replay wrong --seed 7

broken: The claim of broken
  it could not be carried out: A found no port
  peerbound sim replay broken --seed 7

3 experiments, 2 NOT as expected; 1 not possible on sim."
        );
    }

    #[test]
    fn choices_that_came_out_alike_share_a_row_named_by_what_they_have_in_common() {
        let mut report = report();
        let sample = report.proofs[0].clone();
        let choice = |bit: &str, mac: &str, lock: &str| {
            let mut proof = sample.clone();
            proof.parameters =
                BTreeMap::from([("bit".to_owned(), bit.to_owned()), ("mac".to_owned(), mac.to_owned())]);
            proof.checks[0].brief = Brief { expected: lock.to_owned(), observed: lock.to_owned() };
            proof
        };
        let one =
            [choice("1", "true", "killed"), choice("1", "false", "gate"), choice("2", "true", "killed")];
        report.proofs = [
            &one[..],
            &[
                Proof { name: "all".to_owned(), ..one[0].clone() },
                Proof { name: "all".to_owned(), ..one[2].clone() },
            ],
        ]
        .concat();

        let text = plain(&report, Detail::Lines);

        let rows: Vec<_> =
            text.lines().skip(3).take(3).map(|row| row.split("  ").nth(1).unwrap_or_default()).collect();
        assert_eq!(rows, ["held mac=true x 2", "held bit=1 mac=false", "all x 2"]);
    }

    #[test]
    fn no_line_is_wider_than_a_terminal() {
        let mut report = report();
        report.proofs[0].name = "a-name-that-nobody-would-give-to-an-experiment".to_owned();
        report.proofs[1].checks[0].brief.observed = "something that takes a whole sentence to say".to_owned();
        report.proofs[1].title = "A claim of many words ".repeat(9);

        for detail in [Detail::Lines, Detail::Checks] {
            let text = plain(&report, detail);
            let widest = text.lines().max_by_key(|line| display_width(line)).unwrap();
            assert!(display_width(widest) <= WIDTH, "{widest}");
        }
    }
}
