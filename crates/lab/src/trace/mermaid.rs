//! A trace as a Mermaid sequence diagram, for READMEs, wikis and slides.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::trace::journey::{Fate, Journey};
use crate::trace::{Happening, HostIndex, Nanos, Trace};

/// Messages in one diagram: what a page can show. The rest is told in a note.
const MESSAGES_MAX: usize = 400;

/// Datagrams of handshakes between two hosts that are drawn one by one. More of them become one note: a
/// handshake with all its flights has six or seven, one in many fragments and again and again has many.
const HANDSHAKE_DRAWN_MAX: usize = 12;

/// Nodes that all have a lane. Of more, and of others than nodes, those have one who take part in what is
/// drawn.
const LANES_ALL_MAX: usize = 24;

impl Trace {
    /// Draws the diagram. Liveness (the hellos of nodes) is not drawn where all went well.
    #[must_use]
    pub fn to_mermaid(&self) -> String {
        let (body, drawn) = self.messages();
        let mut text = "sequenceDiagram\n".to_owned();
        for (index, host) in (0..).map(HostIndex).zip(&self.hosts) {
            if (host.id.is_some() && self.hosts.len() <= LANES_ALL_MAX) || drawn.contains(&index) {
                let _ = writeln!(text, "    participant {} as {}", lane(index), escape(&host.name));
            }
        }
        text + &body
    }

    /// Draws everything below the lanes' names; returns who has a part in it, too.
    fn messages(&self) -> (String, BTreeSet<HostIndex>) {
        let journeys = self.journeys();
        let told = self.told();
        let of_entry: BTreeMap<_, _> = journeys.iter().map(|journey| (journey.entry, journey)).collect();
        let folded = self.folded_handshakes(&journeys);
        let last_node = self.hosts.iter().rposition(|host| host.id.is_some());
        let last = last_node.unwrap_or(self.hosts.len().saturating_sub(1));
        let last = HostIndex(u32::try_from(last).unwrap_or(0));
        let whole =
            if last == HostIndex(0) { lane(last) } else { format!("{},{}", lane(HostIndex(0)), lane(last)) };
        let (mut text, mut lines, mut drawn) = (String::new(), 0_usize, BTreeSet::new());
        for (index, entry) in self.entries.iter().enumerate() {
            if lines >= MESSAGES_MAX {
                let _ = writeln!(
                    text,
                    "    Note over {whole}: … cut after {MESSAGES_MAX} messages; run.jsonl has them all"
                );
                break;
            }
            match &entry.what {
                Happening::Sent { .. } => {
                    let Some(journey) = of_entry.get(&index).filter(|journey| told.is_told(journey)) else {
                        continue;
                    };
                    drawn.extend([journey.by, self.lane_reached(journey)]);
                    match folded.get(&index) {
                        None => self.draw(&mut text, journey),
                        Some(Fold::Hidden) => continue,
                        Some(Fold::Note { datagrams }) => {
                            let (one, other) = self.pair(journey);
                            let _ = writeln!(
                                text,
                                "    Note over {},{}: handshakes in {datagrams} datagrams, all went well",
                                lane(one),
                                lane(other)
                            );
                        }
                    }
                }
                Happening::Event { host, kind, text: what } if told.is_event(kind) => {
                    drawn.insert(*host);
                    let _ = writeln!(text, "    Note over {}: {}", lane(*host), escape(what));
                }
                Happening::Told { host, error } => {
                    drawn.insert(*host);
                    let _ = writeln!(text, "    Note over {}: its socket is told: {error}", lane(*host));
                }
                Happening::Step { number, text: what } => {
                    let at = seconds(entry.at);
                    let _ = writeln!(text, "    Note over {whole}: step {number}, {at}: {}", escape(what));
                }
                Happening::Violation { text: what, .. } => {
                    let _ = writeln!(text, "    Note over {whole}: VIOLATION: {}", escape(what));
                }
                Happening::Lost { .. }
                | Happening::Refused { .. }
                | Happening::Arrived { .. }
                | Happening::Read { .. }
                | Happening::Frame { .. }
                | Happening::Event { .. } => continue,
            }
            lines += 1;
        }
        (text, drawn)
    }

    /// Finds the handshake datagrams that are not drawn one by one: of two hosts that exchange many, all
    /// that went well. A note stands where the last of them is.
    fn folded_handshakes(&self, journeys: &[Journey<'_>]) -> BTreeMap<usize, Fold> {
        let mut of_pair: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for journey in journeys.iter().filter(|journey| journey.is_handshake() && journey.went_well()) {
            of_pair.entry(self.pair(journey)).or_default().push(journey.entry);
        }
        let mut folded = BTreeMap::new();
        for entries in of_pair.into_values().filter(|entries| entries.len() > HANDSHAKE_DRAWN_MAX) {
            let datagrams = entries.len();
            let last = entries.last().copied();
            folded.extend(entries.into_iter().map(|entry| {
                (entry, if Some(entry) == last { Fold::Note { datagrams } } else { Fold::Hidden })
            }));
        }
        folded
    }

    fn pair(&self, journey: &Journey<'_>) -> (HostIndex, HostIndex) {
        let other = self.lane_reached(journey);
        (journey.by.min(other), journey.by.max(other))
    }

    /// Returns the lane at which an arrow ends: where the datagram did, or where it was going.
    fn lane_reached(&self, journey: &Journey<'_>) -> HostIndex {
        let reached = journey.end.as_ref().and_then(|end| end.host);
        reached.or_else(|| self.host_at(journey.destination)).unwrap_or(journey.by)
    }

    /// Draws one arrow: solid when accepted, with a cross when it was stopped.
    fn draw(&self, text: &mut String, journey: &Journey<'_>) {
        let (from, to) = (lane(journey.by), lane(self.lane_reached(journey)));
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
        let label = journey.title().map(|label| format!("{label}: ")).unwrap_or_default();
        let _ = writeln!(
            text,
            "    {from}{arrow}{to}: {}{}{}",
            escape(&label),
            escape(&journey.contents),
            escape(&end)
        );
    }
}

/// What becomes of a handshake datagram that is not drawn.
enum Fold {
    Hidden,
    Note { datagrams: usize },
}

/// Names a lane within the diagram; its title is the host's name.
fn lane(host: HostIndex) -> String {
    format!("h{}", host.0)
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
