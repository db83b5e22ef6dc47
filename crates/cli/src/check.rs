//! `peerbound check`: reads a configuration as `run` would, and starts nothing.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::outcome::{CommandResult, Outcome};
use crate::output::Output;
use crate::running;

#[derive(Args)]
pub(crate) struct CheckArguments {
    /// The node's configuration file.
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

#[derive(Serialize)]
struct Checked {
    file: String,
    id: String,
    listens: String,
    neighbours: Vec<String>,
    routes: usize,
}

pub(crate) fn check(arguments: &CheckArguments, output: &Output) -> CommandResult {
    let config = running::load(&arguments.file)?;
    let neighbours: Vec<_> = config
        .node
        .neighbours
        .iter()
        .map(|neighbour| match config.places_of(&neighbour.id) {
            Some(places) => format!("{} at {places}", neighbour.name),
            None => format!("{}, who dials us", neighbour.name),
        })
        .collect();
    let checked = Checked {
        file: arguments.file.display().to_string(),
        id: peerbound_node::node_id(&config.node.context.key_hash()).to_string(),
        listens: config.listen.to_string(),
        neighbours,
        routes: config.node.routes.len(),
    };
    output.result(&checked, || {
        let mut lines = vec![format!("{}: good", checked.file)];
        lines.push(format!("  node       {} on {}", checked.id, checked.listens));
        lines.extend(checked.neighbours.iter().map(|neighbour| format!("  neighbour  {neighbour}")));
        lines.push(format!("  routes     {}", checked.routes));
        lines.join("\n")
    })?;
    Ok(Outcome::Held)
}
