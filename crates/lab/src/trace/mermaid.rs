//! A trace as a Mermaid sequence diagram, for READMEs, wikis and slides.

use std::fmt::Write as _;

use crate::trace::journey::{Fate, Journey};
use crate::trace::{Happening, HostIndex, Nanos, Trace};

/// Messages in one diagram: what a page can show. The rest is told in a note.
const MESSAGES_MAX: usize = 400;

/// Datagrams of one handshake that are drawn one by one; a longer row becomes a note.
const HANDSHAKE_DRAWN_MAX: usize = 12;

impl Trace {
    /// Draws the diagram. Handshakes of a usual length are drawn; liveness (the hellos of nodes) is not.
    #[must_use]
    pub fn to_mermaid(&self) -> String {
        let mut text = "sequenceDiagram\n".to_owned();
        for (index, host) in self.hosts.iter().enumerate() {
            let _ = writeln!(text, "    participant h{index} as {}", escape(&host.name));
        }
        let journeys = self.journeys();
        let told = self.told();
        let mut of_entry = std::collections::BTreeMap::new();
        for journey in &journeys {
            of_entry.insert(journey.entry, journey);
        }
        let (mut drawn, mut handshakes) = (0_usize, 0_usize);
        for (index, entry) in self.entries.iter().enumerate() {
            if drawn >= MESSAGES_MAX {
                let first = self.lane(HostIndex(0));
                let _ = writeln!(text, "    Note over {first}: … cut after {MESSAGES_MAX} messages");
                break;
            }
            match &entry.what {
                Happening::Sent { .. } => {
                    let Some(journey) = of_entry.get(&index).filter(|journey| told.is_told(journey)) else {
                        continue;
                    };
                    if journey.is_handshake() {
                        handshakes += 1;
                        if handshakes > HANDSHAKE_DRAWN_MAX * self.hosts.len().max(1) {
                            continue;
                        }
                    }
                    drawn += 1;
                    self.draw(&mut text, journey);
                }
                Happening::Event { host, kind, text: what } if told.is_event(kind) => {
                    drawn += 1;
                    let _ = writeln!(text, "    Note over {}: {}", self.lane(*host), escape(what));
                }
                Happening::Step { number, text: what } => {
                    drawn += 1;
                    let last = self.hosts.len().saturating_sub(1);
                    let span = if last == 0 { "h0".to_owned() } else { format!("h0,h{last}") };
                    let _ = writeln!(
                        text,
                        "    Note over {span}: step {number}, {}: {}",
                        seconds(entry.at),
                        escape(what)
                    );
                }
                Happening::Violation { text: what, .. } => {
                    drawn += 1;
                    let _ = writeln!(text, "    Note over h0: VIOLATION: {}", escape(what));
                }
                Happening::Lost { .. }
                | Happening::Refused { .. }
                | Happening::Arrived { .. }
                | Happening::Read { .. }
                | Happening::Told { .. }
                | Happening::Frame { .. }
                | Happening::Event { .. } => {}
            }
        }
        text
    }

    /// Draws one arrow: solid when accepted, with a cross when it was stopped.
    fn draw(&self, text: &mut String, journey: &Journey<'_>) {
        let from = self.lane(journey.by);
        let to = journey.end.as_ref().and_then(|end| end.host).or_else(|| self.host_at(journey.destination));
        let to = self.lane(to.unwrap_or(journey.by));
        let (arrow, end) = match journey.end.as_ref().map(|end| &end.fate) {
            Some(Fate::Judged { verdict: peerbound_node::Verdict::Accepted, .. } | Fate::Read(_)) => {
                ("->>", String::new())
            }
            Some(Fate::Judged { verdict: peerbound_node::Verdict::Challenged, .. }) => {
                ("->>", " (challenged)".to_owned())
            }
            Some(fate @ (Fate::Judged { .. } | Fate::Refused { .. })) => {
                ("-x", format!(" ✗ {}", fate.word()))
            }
            Some(Fate::Lost(why)) => ("--x", format!(" ✗ lost: {why}")),
            None => ("--)", " (on its way)".to_owned()),
        };
        let label = journey.label.map(|label| format!("{label}: ")).unwrap_or_default();
        let _ = writeln!(
            text,
            "    {from}{arrow}{to}: {}{}{}",
            escape(&label),
            escape(&journey.contents),
            escape(&end)
        );
    }

    fn lane(&self, host: HostIndex) -> String {
        format!("h{}", host.0)
    }
}

/// Writes a moment as seconds.
pub(crate) fn seconds(at: Nanos) -> String {
    format!("{}.{:06} s", at.0 / 1_000_000_000, at.0 % 1_000_000_000 / 1000)
}

/// Takes from a text what Mermaid would read as its own.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            ';' => escaped.push_str("#59;"),
            '#' => escaped.push_str("#35;"),
            '<' => escaped.push_str("#lt;"),
            '>' => escaped.push_str("#gt;"),
            '\n' | '\r' => escaped.push(' '),
            other => escaped.push(other),
        }
    }
    escaped
}
