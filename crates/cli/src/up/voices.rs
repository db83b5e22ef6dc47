//! What the nodes say, each line behind the name of the node that says it.

use std::io::Write;

use anstyle::{AnsiColor, Style};
use peerbound_lab::topology::Topology;
use serde::Serialize;
use serde_json::Value;

use crate::columns::cell;
use crate::outcome::Failure;
use crate::output::Output;
use crate::running::Report;
use crate::up::processes::Said;

/// One after another for the nodes. The name says as much, so colour carries no meaning of its own.
const COLOURS: [AnsiColor; 6] = [
    AnsiColor::Cyan,
    AnsiColor::Yellow,
    AnsiColor::Green,
    AnsiColor::Magenta,
    AnsiColor::Blue,
    AnsiColor::Red,
];

/// The names in front of the lines.
pub(super) struct Voices {
    names: Vec<String>,
    prefixes: Vec<String>,
    output: Output,
}

/// A line of a node, as a program reads it.
#[derive(Serialize)]
struct Spoken<'a> {
    node: &'a str,
    #[serde(flatten)]
    said: &'a Value,
}

impl Voices {
    pub(super) fn new(topology: &Topology, output: Output) -> Self {
        let names: Vec<_> = topology.nodes.iter().map(|node| node.name.clone()).collect();
        let width = names.iter().map(String::len).max().unwrap_or(0);
        let styles = COLOURS.iter().cycle().map(|colour| Style::new().fg_color(Some((*colour).into())));
        let prefixes = names.iter().zip(styles);
        let prefixes = prefixes.map(|(name, style)| format!("{style}{} |{style:#}", cell(name, width)));
        Self { prefixes: prefixes.collect(), names, output }
    }

    /// Prints what a node says; returns what happened to it, where that is what it says.
    pub(super) fn print(&self, said: &Said) -> Result<Option<(usize, Report)>, Failure> {
        match said {
            Said::Result(node, line) => self.result(*node, line).map(|report| Some((*node, report?))),
            Said::Log(node, line) => {
                // That nobody reads the log is no reason to stop.
                let _ = writeln!(anstream::stderr(), "{} {line}", self.prefix(*node));
                Ok(None)
            }
            Said::Ended(_) => Ok(None),
        }
    }

    fn result(&self, node: usize, line: &str) -> Result<Option<Report>, Failure> {
        let said: Value = serde_json::from_str(line).unwrap_or_else(|_| serde_json::json!({ "text": line }));
        let report: Option<Report> = serde_json::from_value(said.clone()).ok();
        let name = self.names.get(node).map(String::as_str).unwrap_or_default();
        self.output.result(&Spoken { node: name, said: &said }, || {
            let text = report.as_ref().map_or_else(|| line.to_owned(), Report::to_text);
            format!("{} {text}", self.prefix(node))
        })?;
        Ok(report)
    }

    fn prefix(&self, node: usize) -> &str {
        self.prefixes.get(node).map(String::as_str).unwrap_or_default()
    }
}
