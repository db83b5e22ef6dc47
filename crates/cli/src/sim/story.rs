//! A run as a story: when, who to whom, what, and what became of it.

use anstyle::Style;
use peerbound_lab::trace::{Entry, Fate, Happening, Journey, JourneyEnd, Nanos, Trace, Way};
use textwrap::core::display_width;

use crate::columns::{WIDTH, cell, paragraph, short};

const BOLD: Style = Style::new().bold();

/// Columns of a moment, and what stands behind the arrow.
const MOMENT: usize = 11;
const CONTENTS: usize = 36;

/// How much of a run is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detail {
    /// What the scenario does and calls by a name, what is lost or refused, and what owners notice.
    Told,
    /// Every datagram, with its numbers, its seal and the clause.
    Explained,
}

/// Tells a run from its beginning to its end.
pub(crate) fn tell(trace: &Trace, detail: Detail) -> Vec<String> {
    let journeys = trace.journeys();
    let mut next = journeys.iter();
    let (mut lines, mut untold) = (Vec::new(), 0);
    for entry in &trace.entries {
        match &entry.what {
            Happening::Sent { .. } => match next.next() {
                Some(journey) if detail == Detail::Told && is_ordinary(journey) => untold += 1,
                Some(journey) => lines.extend(datagram(trace, journey, detail)),
                None => {}
            },
            Happening::Frame { .. } | Happening::Event { .. }
                if detail == Detail::Told && is_passing(entry) => {}
            Happening::Lost { .. }
            | Happening::Refused { .. }
            | Happening::Arrived { .. }
            | Happening::Read { .. } => {} // told with the datagram
            Happening::Told { .. }
            | Happening::Frame { .. }
            | Happening::Event { .. }
            | Happening::Step { .. }
            | Happening::Violation { .. } => lines.extend(happening(trace, entry)),
        }
    }
    if untold > 0 {
        lines.push(String::new());
        let text = format!(
            "And {untold} datagrams of handshakes, hellos and relaying that went well: --explain tells of each."
        );
        lines.extend(paragraph("", 0, &text));
    }
    lines
}

/// Whether a datagram is one of those that keep a mesh going, and arrived as it should.
fn is_ordinary(journey: &Journey<'_>) -> bool {
    let is_well = match journey.end.as_ref().map(|end| &end.fate) {
        None => true,
        Some(fate) => matches!(fate.word(), "accepted" | "challenged"),
    };
    is_well && journey.label.is_none() && journey.way == Way::Socket && journey.copy_of.is_none()
}

/// Whether something is only said to whoever wants to know all: frames without a name that went well,
/// and what the probes at the end bring back.
fn is_passing(entry: &Entry) -> bool {
    match &entry.what {
        Happening::Frame { label, action, .. } => label.is_none() && !action.starts_with("dropped"),
        Happening::Event { kind, .. } => matches!(*kind, "pong" | "delivered" | "booted"),
        _ => false,
    }
}

fn datagram(trace: &Trace, journey: &Journey<'_>, detail: Detail) -> Vec<String> {
    let from = trace.name_of(journey.by);
    let to = receiver(trace, journey);
    let arrow = match (journey.way, &journey.end) {
        (_, Some(JourneyEnd { host: None, .. })) => "-x", // never arrives
        (Way::Injected, _) => "~>",
        (Way::Socket | Way::Duplicated, _) => "->",
    };
    let label = journey.label.map_or_else(String::new, |label| format!("\"{label}\" "));
    let sealed = journey.sealed_by.filter(|_| !label.is_empty()).map_or_else(String::new, |seal| {
        format!(", sealed {}→{}", trace.name_of(seal.from), trace.name_of(seal.to))
    });
    let what = format!("{from} {arrow} {to}  {label}{}{sealed}", journey.contents);
    let fate = fate(journey);
    let room = WIDTH - MOMENT - 2 - 2 - display_width(&fate).min(CONTENTS);
    let mut lines =
        vec![format!("{}  {}  {fate}", moment(journey.sent_at), cell(&what, room)).trim_end().to_owned()];
    if display_width(&lines[0]) > WIDTH {
        lines = vec![format!("{}  {}", moment(journey.sent_at), short(&what, WIDTH - MOMENT - 2))];
        lines.extend(paragraph(&" ".repeat(MOMENT + 4), MOMENT + 4, &fate));
    }
    if detail == Detail::Explained {
        lines.extend(explanation(trace, journey));
    }
    lines
}

/// Who got it, or who has the address it was sent to.
fn receiver<'a>(trace: &'a Trace, journey: &Journey<'_>) -> &'a str {
    if let Some(host) = journey.end.as_ref().and_then(|end| end.host) {
        return trace.name_of(host);
    }
    let meant = trace.hosts.iter().find(|host| host.address == journey.destination);
    meant.map_or("?", |host| &host.name)
}

/// What became of it, in a few words.
fn fate(journey: &Journey<'_>) -> String {
    let word = journey.word();
    match journey.end.as_ref().map(|end| &end.fate) {
        Some(Fate::Lost(why)) => format!("lost: {why}"),
        Some(Fate::Refused { icmp: true }) => "kernel: port unreachable".to_owned(),
        Some(Fate::Refused { icmp: false }) => "kernel: refused".to_owned(),
        Some(Fate::Judged { reason: Some(reason), .. }) => format!("{word}: {reason}"),
        Some(Fate::Read(by)) => format!("read by {by}"),
        Some(Fate::Judged { reason: None, .. }) | None => word.to_owned(),
    }
}

fn explanation(trace: &Trace, journey: &Journey<'_>) -> Vec<String> {
    let sealed = journey.sealed_by.map_or_else(
        || "sealed by nobody".to_owned(),
        |seal| format!("sealed by {}", trace.describe_seal(seal)),
    );
    let mut text =
        format!("{} bytes from {} to {}, {sealed}", journey.bytes.len(), journey.source, journey.destination);
    if let Some(end) = &journey.end {
        let took = Nanos(end.at.0.saturating_sub(journey.sent_at.0));
        text += &format!("; {} after {}", end.fate.word(), moment(took).trim_start());
        if let Fate::Judged { clause, .. } = end.fate {
            text += &format!(" [{clause}]");
        }
    }
    paragraph(&" ".repeat(MOMENT + 4), MOMENT + 4, &text)
}

fn happening(trace: &Trace, entry: &Entry) -> Vec<String> {
    let text = match &entry.what {
        Happening::Step { number, text } => format!("{BOLD}step {number}{BOLD:#}  {text}"),
        Happening::Event { host, text, .. } => format!("{}: {text}", trace.name_of(*host)),
        Happening::Told { host, error } => format!("{}: its socket is told {error}", trace.name_of(*host)),
        Happening::Frame { host, label, payload_bytes, action, .. } => {
            let label = label.as_ref().map_or_else(|| "a frame".to_owned(), |label| format!("\"{label}\""));
            format!("{}: {label}, {payload_bytes} bytes of payload, {action}", trace.name_of(*host))
        }
        Happening::Violation { kind, text } => format!("{BOLD}VIOLATION{BOLD:#} {kind}: {text}"),
        Happening::Sent { .. }
        | Happening::Lost { .. }
        | Happening::Refused { .. }
        | Happening::Arrived { .. }
        | Happening::Read { .. } => return vec![],
    };
    paragraph(&format!("{}  ", moment(entry.at)), MOMENT + 4, &text)
}

/// A moment, in the unit that its size asks for, flush right.
fn moment(at: Nanos) -> String {
    #[expect(clippy::cast_precision_loss, reason = "three digits behind the point are shown")]
    let seconds = at.0 as f64 / 1e9;
    let text = if seconds < 1.0 { format!("{:.3} ms", seconds * 1e3) } else { format!("{seconds:.3} s ") };
    format!("{text:>MOMENT$}")
}
