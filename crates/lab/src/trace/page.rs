//! A trace as one page of HTML: a lane for each host, time downwards, arrows coloured and shaped by
//! their end, and a table that says the same without a script. It needs no network and no other file.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use crate::hexadecimal::hex;
use crate::trace::journey::{Fate, Journey};
use crate::trace::mermaid::seconds;
use crate::trace::summary::RunSummary;
use crate::trace::{Happening, HostIndex, Trace, Way};

/// Rows that one page holds: a browser draws so many without effort. What is beyond is in `run.jsonl`.
pub const PAGE_ROWS_MAX: usize = 5_000;

const PAGE: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
const SCRIPT: &str = concat!(include_str!("page/dissect.js"), include_str!("page/page.js"));

/// The style that the project's pages share.
#[must_use]
pub fn page_style() -> &'static str {
    STYLE
}

/// Writes a text so that HTML shows it as it is.
#[must_use]
pub fn escape_html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

impl Trace {
    /// Makes the page.
    #[must_use]
    pub fn to_page(&self, summary: &RunSummary) -> String {
        let rows = self.rows();
        let data = Data {
            hosts: self
                .hosts
                .iter()
                .map(|host| HostCell {
                    name: &host.name,
                    address: host.address.to_string(),
                    node: host.id.is_some(),
                })
                .collect(),
            rows: &rows,
        };
        // Within a script element only "</" and "<!--" could end the data.
        let json = serde_json::to_string(&data).unwrap_or_default().replace('<', "\\u003c");
        fill(&[
            ("title", &escape_html(&self.title)),
            ("css", STYLE),
            ("facts", &facts(summary, self.entries.len() > rows.len() && rows.len() == PAGE_ROWS_MAX)),
            ("claims", &claims(summary)),
            ("table", &self.table(&rows)),
            ("data", &json),
            ("script", SCRIPT),
        ])
    }

    fn rows(&self) -> Vec<Row<'_>> {
        let told = self.told();
        let journeys: BTreeMap<_, _> =
            self.journeys().into_iter().map(|journey| (journey.entry, journey)).collect();
        let mut rows = Vec::new();
        for (index, entry) in self.entries.iter().enumerate() {
            let row = rows.len();
            let note = |kind, host: Option<HostIndex>, text: String| Row {
                row,
                at: entry.at.0,
                kind,
                host: host.map(|host| host.0),
                text: Some(text),
                ..Row::default()
            };
            let made = match &entry.what {
                Happening::Sent { .. } => journeys.get(&index).map(|journey| Row {
                    row,
                    hello: !told.is_told(journey),
                    ..self.datagram_row(journey)
                }),
                Happening::Event { host, text, .. } => Some(note("event", Some(*host), text.clone())),
                Happening::Told { host, error } => {
                    Some(note("event", Some(*host), format!("its socket is told: {error}")))
                }
                Happening::Step { number, text } => {
                    Some(note("step", None, format!("Step {number}: {text}")))
                }
                Happening::Violation { kind, text } => {
                    Some(note("violation", None, format!("{kind}: {text}")))
                }
                Happening::Lost { .. }
                | Happening::Refused { .. }
                | Happening::Arrived { .. }
                | Happening::Read { .. }
                | Happening::Frame { .. } => None,
            };
            rows.extend(made);
            if rows.len() == PAGE_ROWS_MAX {
                break;
            }
        }
        rows
    }

    fn datagram_row<'a>(&'a self, journey: &Journey<'a>) -> Row<'a> {
        let end = journey.end.as_ref();
        let (reason, clause) = match end.map(|end| &end.fate) {
            Some(Fate::Judged { reason, clause, .. }) => (reason.map(str::to_owned), *clause),
            Some(Fate::Lost(why)) => (Some((*why).to_owned()), ""),
            Some(Fate::Refused { icmp: true }) => {
                (Some("ICMP port unreachable goes back".to_owned()), "RFC 1122, 4.1.3.1")
            }
            Some(Fate::Refused { icmp: false }) => (Some("no ICMP goes back".to_owned()), ""),
            Some(Fate::Read(by)) => (Some(format!("by {by}")), ""),
            None => (None, ""),
        };
        let session =
            journey.sealed_by.and_then(|sealed| self.sessions.get(usize::try_from(sealed.session.0).ok()?));
        Row {
            at: journey.sent_at.0,
            kind: "datagram",
            from: Some(journey.by.0),
            to: end.and_then(|end| end.host).or_else(|| self.host_at(journey.destination)).map(|host| host.0),
            end: Some(journey.word()),
            ended: end.map(|end| end.at.0),
            label: journey.title(),
            carries: journey.carries.as_ref().map(|frame| self.describe_frame(frame)),
            contents: Some(journey.contents.clone()),
            way: Some(journey.way),
            copy_of: journey.copy_of.map(|copy| copy.0),
            source: Some(journey.source.to_string()),
            destination: Some(journey.destination.to_string()),
            reason,
            clause: Some(clause),
            sealed: journey.sealed_by.map(|sealed| self.describe_seal(sealed)),
            suite: Some(session.map_or("", |session| session.suite.as_str())),
            bytes: Some(hex(journey.bytes)),
            ..Row::default()
        }
    }

    fn table(&self, rows: &[Row<'_>]) -> String {
        let mut table =
            "<table>\n<thead><tr><th>time</th><th>from</th><th>to</th><th>what</th><th>bytes</th>\
                         <th>end</th><th>sealed by</th></tr></thead>\n<tbody>\n"
                .to_owned();
        let name = |host: Option<u32>| host.map_or("", |host| self.name_of(HostIndex(host)));
        for row in rows {
            let time = seconds(crate::trace::Nanos(row.at));
            if let Some(text) = &row.text {
                let _ = writeln!(
                    table,
                    "<tr><td class=\"mono\">{time}</td><td>{}</td><td></td><td colspan=\"4\">{}</td></tr>",
                    escape_html(name(row.host)),
                    escape_html(text)
                );
                continue;
            }
            let end = row.end.unwrap_or_default();
            let label = row.label.map(|label| format!("{label}: ")).unwrap_or_default();
            let what = format!("{label}{}", row.contents.as_deref().unwrap_or_default());
            let reason = row.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
            let _ = writeln!(
                table,
                "<tr><td class=\"mono\">{time}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td>\
                 <td class=\"{}\"><span class=\"verdict\">{end}</span>{}</td><td>{}</td></tr>",
                escape_html(name(row.from)),
                escape_html(name(row.to)),
                escape_html(&what),
                row.bytes.as_ref().map_or(0, |bytes| bytes.len() / 2),
                end.replace(' ', "-"),
                escape_html(&reason),
                escape_html(row.sealed.as_deref().unwrap_or_default())
            );
        }
        table.push_str("</tbody>\n</table>");
        table
    }
}

/// Puts texts into the template, in one pass: what is put in is not looked at again.
fn fill(texts: &[(&str, &str)]) -> String {
    let mut page = String::new();
    let mut rest = PAGE;
    while let Some((before, after)) = rest.split_once('@') {
        page.push_str(before);
        let known =
            texts.iter().find_map(|(name, text)| Some((after.strip_prefix(*name)?.strip_prefix('@')?, text)));
        match known {
            Some((behind, text)) => {
                page.push_str(text);
                rest = behind;
            }
            None => {
                page.push('@');
                rest = after;
            }
        }
    }
    page.push_str(rest);
    page
}

fn facts(summary: &RunSummary, is_cut: bool) -> String {
    let mut facts = format!(
        "<code>{}</code> on {}, seed {}, trace <code>{}</code>. Again: <code>{}</code>",
        escape_html(&summary.scenario),
        escape_html(&summary.backend),
        summary.seed,
        escape_html(summary.trace_hash.get(..16).unwrap_or_default()),
        escape_html(&summary.replay)
    );
    if is_cut {
        let _ = write!(facts, " <strong>Cut after {PAGE_ROWS_MAX} rows; run.jsonl has them all.</strong>");
    }
    facts
}

fn claims(summary: &RunSummary) -> String {
    if summary.expectations.is_empty() && summary.violations.is_empty() {
        return String::new();
    }
    let mut list = "<ul class=\"claims\">\n".to_owned();
    for line in &summary.expectations {
        let class = if line.holds { "" } else { " class=\"failed\"" };
        let _ = writeln!(
            list,
            "<li{class}>{} <span class=\"seen\">— {}</span></li>",
            escape_html(&line.expected),
            escape_html(&line.observed)
        );
    }
    for violation in &summary.violations {
        let _ = writeln!(list, "<li class=\"failed\">{}</li>", escape_html(violation));
    }
    list.push_str("</ul>");
    list
}

#[derive(Serialize)]
struct Data<'a> {
    hosts: Vec<HostCell<'a>>,
    rows: &'a [Row<'a>],
}

#[derive(Serialize)]
struct HostCell<'a> {
    name: &'a str,
    address: String,
    /// Whether it is a node of the overlay, or somebody else.
    node: bool,
}

/// One row of the drawing: a datagram, or a note.
#[derive(Default, Serialize)]
struct Row<'a> {
    row: usize,
    at: u64,
    kind: &'static str,
    hello: bool,
    host: Option<u32>,
    text: Option<String>,
    from: Option<u32>,
    to: Option<u32>,
    end: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<u64>,
    label: Option<&'a str>,
    contents: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    carries: Option<String>,
    way: Option<Way>,
    copy_of: Option<u64>,
    source: Option<String>,
    destination: Option<String>,
    reason: Option<String>,
    clause: Option<&'static str>,
    sealed: Option<String>,
    suite: Option<&'a str>,
    bytes: Option<String>,
}
