//! The demonstration in words, for a reader at a terminal.

use anstyle::Style;
use peerbound_lab::{DemoReport, Hop, Rung, Trip};
use textwrap::{Options, WordSplitter};

/// Columns of text: what an ordinary terminal shows without breaking lines.
const WIDTH: usize = 80;

/// The picture of it all. `====` is a session; the broken line is the reply that has none.
const TRIANGLE: &str = "      A ========== B ========== C        ====  a DTLS session
      ^                         :        ....  C's direct reply to A: no session
      :.........................:";

const BOLD: Style = Style::new().bold();

/// Tells a whole report.
pub(crate) fn tell(report: &DemoReport) -> String {
    let mut lines = vec![
        heading("Three nodes, one wrong arrow"),
        "On loopback, with real sockets and throw-away certificates.".to_owned(),
        report.openssl.clone(),
        String::new(),
        TRIANGLE.to_owned(),
        String::new(),
    ];
    for node in &report.nodes {
        lines.push(format!("  {}  {}  overlay {}", node.name, node.listens, node.overlay));
        lines.push(format!("     has a session with {}", node.neighbours.join("\n     and with ")));
    }
    lines.extend([String::new(), heading("The way that works: A→B→C, and back C→B→A"), String::new()]);
    lines.extend(trip("request", &report.relay.request));
    lines.extend(trip("reply", &report.relay.reply));
    lines.push(format!("  there and back in {} µs{}", report.relay.round_trip_us, claim(report.relay.holds)));
    lines.extend([String::new(), heading("The direct reply C→A, and the lock that stops it"), String::new()]);
    for rung in &report.ladder {
        lines.extend(tell_rung(&format!("rung {}", rung.label), rung));
    }
    lines.extend([heading("The negative control: the old note's cipher suite"), String::new()]);
    lines.extend(tell_rung("control", &report.control));
    lines.extend(summary(report));
    lines.join("\n")
}

fn trip(what: &str, trip: &Trip) -> Vec<String> {
    let mut lines = vec![format!("  {what} \"{}\"", trip.payload)];
    lines.extend(trip.hops.iter().flat_map(hop));
    lines
}

fn hop(hop: &Hop) -> [String; 2] {
    let Hop { from, to, bytes, verdict, action, hop_limit, .. } = hop;
    let record = hop.record.map_or_else(|| "?".to_owned(), |number| number.to_string());
    let sealed = hop.sealed_by.as_deref().unwrap_or("a session nobody knows");
    [
        format!("    {from}→{to}  {bytes} bytes, record {record}, sealed by {sealed}"),
        format!("         at {to}: {verdict}, hop limit {hop_limit}, {action}"),
    ]
}

fn tell_rung(name: &str, rung: &Rung) -> Vec<String> {
    let sent = &rung.sent;
    let sealed = match (&sent.sealed_by, sent.is_protected) {
        (Some(session), _) => format!(", sealed by {session}"),
        (None, true) => ", sealed by no session there is".to_owned(),
        (None, false) => ", in the clear".to_owned(),
    };
    let record = sent.record.map_or_else(String::new, |number| format!(", record {number}"));
    let what = format!(
        "{} ({} bytes{record}{sealed}), {} to {}",
        sent.what, sent.bytes, sent.source, sent.destination
    );
    let mut lines =
        vec![format!("  {BOLD}{name}{BOLD:#}  lock: {BOLD}{}{BOLD:#}{}", rung.lock, claim(rung.holds))];
    lines.extend(field("set-up", &rung.setup));
    lines.extend(field("C sent", &what));
    lines.extend(field("observed", &rung.observed));
    for evidence in &rung.evidence {
        lines.extend(field("", evidence));
    }
    if let Some(follow_up) = &rung.follow_up {
        lines.extend(field("then", &format!("{}: {}", follow_up.what, follow_up.observed)));
    }
    let alive = if rung.a_b_alive { "still carries data both ways" } else { "the session is dead" };
    lines.extend(field("A–B", alive));
    lines.extend(field("meaning", &format!("{} [{}]", rung.meaning, rung.clause)));
    lines.push(String::new());
    lines
}

/// One labelled paragraph, broken to the width of the page.
fn field(label: &str, text: &str) -> Vec<String> {
    const INDENT: usize = 15;
    // Not at hyphens: "encrypt-then-MAC" and the names of suites are words.
    let options = Options::new(WIDTH - INDENT).word_splitter(WordSplitter::NoHyphenation);
    textwrap::wrap(text, options)
        .into_iter()
        .enumerate()
        .map(|(index, line)| {
            let label = if index == 0 { label } else { "" };
            format!("    {label:<10} {line}")
        })
        .collect()
}

fn summary(report: &DemoReport) -> Vec<String> {
    let mut lines = vec![heading("In short"), String::new()];
    lines.push(format!("  {:<8} {:<12} {:<42} {}", "rung", "lock", "observed", "as claimed"));
    let rungs = report.ladder.iter().chain([&report.control]);
    lines.extend(rungs.map(|rung| {
        let holds = if rung.holds { "yes" } else { "NO" };
        format!("  {:<8} {:<12} {:<42} {holds}", rung.label, rung.lock, rung.observed)
    }));
    let verdict = if report.holds {
        "Every observation is what was claimed."
    } else {
        "NOT every observation is what was claimed: see what is marked above."
    };
    lines.extend([String::new(), format!("{verdict} ({} ms)", report.elapsed_ms)]);
    lines
}

fn heading(text: &str) -> String {
    format!("{BOLD}{text}{BOLD:#}")
}

fn claim(holds: bool) -> &'static str {
    if holds { "  (as claimed)" } else { "  (NOT AS CLAIMED)" }
}
