//! `peerbound exec`: a command where a node of a running topology is. This process becomes the command, so
//! signals, terminal and exit code are its own.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::anyhow;
use clap::Args;

use crate::ask::SOCKET_VARIABLE;
use crate::outcome::{CommandResult, Failure};
use crate::suggest::nearest;
use crate::up::{Run, RunningNode, Runs};

#[derive(Args)]
pub(crate) struct ExecArguments {
    /// The node.
    #[arg(value_name = "NODE")]
    node: String,
    /// Which `up`, where several run: the name of its topology, or the number of its process.
    #[arg(long = "in", value_name = "TOPOLOGY|PID")]
    run: Option<String>,
    /// The command, behind --.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

pub(crate) fn exec(arguments: &ExecArguments) -> CommandResult {
    let runs = Runs::open()?.list()?;
    let (run, node) = find(&runs, arguments)?;
    if run.netns {
        join(node)?;
    }
    let Some((program, rest)) = arguments.command.split_first() else {
        return Err(Failure::Request(anyhow!("no command is given: write one behind --")));
    };
    let mut command = Command::new(program);
    command.args(rest).env("PEERBOUND_NODE", &node.name).env("PEERBOUND_CONFIG", &node.config);
    command.env(SOCKET_VARIABLE, &node.socket);
    for other in &run.nodes {
        command.env(format!("PEERBOUND_ADDRESS_{}", other.name), &other.overlay);
    }
    let error = command.exec();
    let sentence = anyhow!("{} cannot be run: {error}", program.display());
    Err(match error.kind() {
        ErrorKind::NotFound | ErrorKind::PermissionDenied => Failure::Request(sentence),
        _ => Failure::World(sentence),
    })
}

/// Finds the one node that is meant.
fn find<'a>(runs: &'a [Run], arguments: &ExecArguments) -> Result<(&'a Run, &'a RunningNode), Failure> {
    let is_meant = |run: &&Run| match &arguments.run {
        None => true,
        Some(given) => run.topology == *given || run.pid.to_string() == *given,
    };
    let meant: Vec<_> = runs.iter().filter(is_meant).collect();
    let refuse = |sentence: String| Err(Failure::Request(anyhow!(sentence)));
    if meant.is_empty() {
        return refuse(match (&arguments.run, runs) {
            (Some(given), [_, ..]) => format!("no topology {given:?} is running: {}", listed(runs)),
            _ => "no topology is running: start one with `peerbound up`".to_owned(),
        });
    }
    let nodes = || meant.iter().flat_map(|run| run.nodes.iter().map(move |node| (*run, node)));
    let found: Vec<_> = nodes().filter(|(_, node)| node.name == arguments.node).collect();
    match found.as_slice() {
        [one] => Ok(*one),
        [] => {
            let names: Vec<_> = nodes().map(|(_, node)| node.name.as_str()).collect();
            let hint = match nearest(&arguments.node, names.iter().copied()) {
                Some(name) => format!("did you mean {name}?"),
                None => format!("there are {}", names.join(", ")),
            };
            refuse(format!("no node {:?} is running: {hint}", arguments.node))
        }
        [_, _, ..] => {
            let runs: Vec<_> = found.iter().map(|(run, _)| (*run).clone()).collect();
            refuse(format!(
                "several nodes {:?} are running: say which with --in: {}",
                arguments.node,
                listed(&runs)
            ))
        }
    }
}

fn listed(runs: &[Run]) -> String {
    let runs: Vec<_> = runs.iter().map(|run| format!("{} (process {})", run.topology, run.pid)).collect();
    format!("there are {}", runs.join(", "))
}

#[cfg(target_os = "linux")]
fn join(node: &RunningNode) -> Result<(), Failure> {
    peerbound_lab::Namespace::of_process(node.pid)
        .and_then(|namespace| namespace.join())
        .map_err(Failure::world)
}

#[cfg(not(target_os = "linux"))]
fn join(_: &RunningNode) -> Result<(), Failure> {
    Err(Failure::Request(anyhow!("network namespaces are Linux's")))
}
