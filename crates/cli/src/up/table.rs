//! The one table: who is there, and that everyone is.

use std::time::Duration;

use peerbound_lab::topology::Topology;
use serde::Serialize;

use crate::columns::cell;
use crate::outcome::Failure;
use crate::output::Output;
use crate::up::Run;

/// Everyone reaches everyone.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename = "converged")]
pub(super) struct Converged<'a> {
    topology: &'a str,
    seconds: f64,
    folder: String,
    netns: bool,
    nodes: Vec<Row<'a>>,
}

#[derive(Debug, Serialize)]
struct Row<'a> {
    name: &'a str,
    id: &'a str,
    overlay: &'a str,
    listens: &'a str,
    pid: u32,
    config: String,
    socket: String,
    neighbours: Vec<&'a str>,
}

impl<'a> Converged<'a> {
    pub(super) fn new(topology: &'a Topology, run: &'a Run, after: Duration) -> Self {
        let named = |place: usize| topology.nodes.get(place).map(|node| node.name.as_str());
        let rows = topology.nodes.iter().zip(&run.nodes).map(|(node, running)| Row {
            name: &node.name,
            id: &running.id,
            overlay: &running.overlay,
            listens: &running.listens,
            pid: running.pid,
            config: running.config.display().to_string(),
            socket: running.socket.display().to_string(),
            neighbours: node.neighbours.iter().filter_map(|neighbour| named(neighbour.node)).collect(),
        });
        Self {
            topology: &topology.name,
            seconds: after.as_secs_f64(),
            folder: run.folder.display().to_string(),
            netns: run.netns,
            nodes: rows.collect(),
        }
    }

    pub(super) fn print(&self, output: &Output) -> Result<(), Failure> {
        output.result(self, || self.to_text())?;
        Ok(())
    }

    fn to_text(&self) -> String {
        let width = |of: &dyn Fn(&Row<'_>) -> usize, head: &str| {
            self.nodes.iter().map(of).max().unwrap_or(0).max(head.len())
        };
        let names = width(&|row| row.name.len(), "node");
        let listens = width(&|row| row.listens.len(), "listens on");
        let line = |name: &str, id: &str, at: &str, neighbours: &str| {
            let line =
                format!("  {}  {}  {}  {neighbours}", cell(name, names), cell(id, 8), cell(at, listens));
            line.trim_end().to_owned()
        };
        let mut lines = vec![
            String::new(),
            format!("Everyone is there, after {:.1} s.", self.seconds),
            String::new(),
            line("node", "id", "listens on", "neighbours"),
        ];
        lines.extend(
            self.nodes.iter().map(|row| line(row.name, &row.id[..8], row.listens, &row.neighbours.join(" "))),
        );
        lines.push(String::new());
        lines.push(format!(
            "`peerbound exec {} -- COMMAND` runs a command there. Files: {}",
            self.nodes[0].name, self.folder
        ));
        lines.push(String::new());
        lines.join("\n")
    }
}
