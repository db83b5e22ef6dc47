//! A proof as JUnit XML, the form that Jenkins, GitLab and most others take. Without times: the same
//! proof gives the same bytes.

use peerbound_lab::prove::{Proof, ProofOutcome, ProofReport};
use quick_junit::{NonSuccessKind, Report, SerializeError, TestCase, TestCaseStatus, TestSuite};

use crate::groups::grouped;

/// Writes a report: a suite for each group, a case for each experiment.
pub(crate) fn to_xml(report: &ProofReport) -> Result<String, SerializeError> {
    let mut xml = Report::new("peerbound prove");
    for (group, proofs) in grouped(&report.proofs, |proof| &proof.group) {
        let mut suite = TestSuite::new(group);
        suite.add_property(("backend", report.backend.as_str()));
        suite.add_property(("openssl", report.openssl.as_str()));
        suite.add_property(("peerbound", report.peerbound.as_str()));
        suite.add_property(("seed", report.seed.to_string().as_str()));
        suite.add_test_cases(proofs.into_iter().map(|proof| case(group, proof)));
        xml.add_test_suite(suite);
    }
    xml.to_string()
}

fn case(group: &str, proof: &Proof) -> TestCase {
    let status = match &proof.outcome {
        ProofOutcome::Held => TestCaseStatus::success(),
        ProofOutcome::DidNotHold => not_held(NonSuccessKind::Failure, "expectation", proof),
        ProofOutcome::Failed { .. } => not_held(NonSuccessKind::Error, "run", proof),
        ProofOutcome::Refused { reason } => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(reason.as_str());
            status
        }
    };
    let mut case = TestCase::new(proof.label(), status);
    case.set_classname(format!("peerbound.{}", class(group)));
    let observed: Vec<_> = proof.checks.iter().map(|check| check.observed.as_str()).collect();
    if !observed.is_empty() {
        case.set_system_out(observed.join("\n"));
    }
    case
}

fn not_held(kind: NonSuccessKind, what: &str, proof: &Proof) -> TestCaseStatus {
    let complaints = proof.complaints();
    let mut status = TestCaseStatus::non_success(kind);
    status.set_type(what);
    status.set_message(complaints.first().map_or("", String::as_str));
    status.set_description(format!("{}\n{}\nreplay: {}", proof.title, complaints.join("\n"), proof.replay));
    status
}

/// A name without the dots and spaces that readers of the form take for levels.
fn class(group: &str) -> String {
    group.chars().map(|letter| if letter.is_alphanumeric() { letter } else { '-' }).collect()
}

#[cfg(test)]
mod tests {
    use quick_xml::Reader;
    use quick_xml::events::{BytesStart, Event};

    use super::*;
    use crate::prove::samples::report;

    #[test]
    fn every_group_is_a_suite_whose_numbers_are_those_of_its_cases() {
        let xml = to_xml(&report()).unwrap();

        let (mut suites, mut counted) = (0, Counted::default());
        let mut claimed = Counted::default();
        let mut stack: Vec<String> = Vec::new();
        let mut reader = Reader::from_str(&xml);
        loop {
            match reader.read_event().unwrap() {
                Event::Start(start) => {
                    let name = std::str::from_utf8(start.name().as_ref()).unwrap().to_owned();
                    counted.see(&name, &stack);
                    if name == "testsuite" {
                        (suites, counted, claimed) =
                            (suites + 1, Counted::default(), Counted::claimed(&start));
                    }
                    stack.push(name);
                }
                Event::Empty(empty) => {
                    counted.see(std::str::from_utf8(empty.name().as_ref()).unwrap(), &stack);
                }
                Event::End(_) if stack.pop().as_deref() == Some("testsuite") => assert_eq!(counted, claimed),
                Event::Eof => break,
                _ => {}
            }
        }
        assert_eq!(suites, 2);
    }

    /// The numbers that a suite claims, or that were counted in it.
    #[derive(Debug, Default, PartialEq)]
    struct Counted {
        tests: usize,
        failures: usize,
        errors: usize,
        skipped: usize,
    }

    impl Counted {
        fn claimed(suite: &BytesStart<'_>) -> Self {
            let number = |name: &str| {
                let attribute = suite.try_get_attribute(name).unwrap();
                attribute.map_or(0, |found| String::from_utf8(found.value.to_vec()).unwrap().parse().unwrap())
            };
            assert!(suite.try_get_attribute("name").unwrap().is_some());
            let (failures, errors) = (number("failures"), number("errors"));
            Self { tests: number("tests"), failures, errors, skipped: number("skipped") }
        }

        /// Counts an element where the form allows it: outcomes stand in cases, cases in suites.
        fn see(&mut self, name: &str, stack: &[String]) {
            let parent = stack.last().map_or("", String::as_str);
            match name {
                "testsuites" => assert_eq!(parent, ""),
                "testsuite" => assert_eq!(parent, "testsuites"),
                "testcase" => {
                    assert_eq!(parent, "testsuite");
                    self.tests += 1;
                }
                "failure" | "error" | "skipped" => {
                    assert_eq!(parent, "testcase");
                    self.failures += usize::from(name == "failure");
                    self.errors += usize::from(name == "error");
                    self.skipped += usize::from(name == "skipped");
                }
                "system-out" => assert_eq!(parent, "testcase"),
                "properties" => assert_eq!(parent, "testsuite"),
                "property" => assert_eq!(parent, "properties"),
                other => panic!("the form has no <{other}>"),
            }
        }
    }

    #[test]
    fn a_failure_says_what_was_seen_and_how_to_see_it_again() {
        let xml = to_xml(&report()).unwrap();

        assert!(
            xml.contains("expected reply is dropped at demux; observed dropped at record-auth at A"),
            "{xml}"
        );
        assert!(xml.contains("replay: peerbound sim replay wrong --seed 7"), "{xml}");
        assert!(xml.contains("loopback cannot spoof &quot;192.0.2.9:1&quot; &lt;step 3&gt;"), "{xml}");
    }

    #[test]
    fn there_are_no_times_in_it() {
        let xml = to_xml(&report()).unwrap();

        assert!(!xml.contains("time=") && !xml.contains("timestamp"), "{xml}");
        assert_eq!(xml, to_xml(&report()).unwrap());
    }

    #[test]
    fn bytes_that_xml_cannot_hold_do_not_get_in() {
        let mut report = report();
        report.proofs[0].title = "a\u{1}b\u{1b}[31mc".to_owned();
        report.proofs[1].checks[0].observed = "x\u{0}y]]>z\u{8}".to_owned();

        let xml = to_xml(&report).unwrap();

        let is_allowed = |letter: char| !letter.is_control() || "\n\t\r".contains(letter);
        assert!(xml.chars().all(is_allowed), "{xml:?}");
    }
}
