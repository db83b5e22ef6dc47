//! `peerbound up`: every node of a topology as a program of its own, until Ctrl-C.

mod convergence;
mod files;
mod processes;
mod runs;
mod table;
mod voices;
mod ways;

use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::anyhow;
use clap::Args;
use crossbeam_channel::{Receiver, at, never, select, tick};
#[cfg(target_os = "linux")]
use peerbound_lab::NamespaceError;
#[cfg(target_os = "linux")]
use peerbound_lab::topology::Hosts;
use peerbound_lab::topology::{Ground, Topology, TopologyError};
use peerbound_wire::NodeId;
use serde::Serialize;

use crate::keep;
use crate::outcome::{CommandResult, Failure, Outcome};
use crate::output::Output;
use crate::pki::about;
use crate::running;
use crate::source::{self, parameter};
use crate::up::convergence::Convergence;
use crate::up::files::Folder;
use crate::up::processes::{Processes, Said};
pub(crate) use crate::up::runs::{Run, RunningNode, Runs};
use crate::up::table::Converged;
use crate::up::voices::Voices;

/// How often the nodes are asked which ways they have, until they have all.
const LOOK: Duration = Duration::from_millis(50);

#[derive(Args)]
pub(crate) struct UpArguments {
    /// A topology that is built in (three-node, ring-of-five, mesh-of-24), a scenario of the library, or a file.
    #[arg(value_name = "TOPOLOGY")]
    topology: String,
    /// Give each node a network namespace of its own, joined by virtual wires; as root.
    #[arg(long)]
    netns: bool,
    /// Keep certificates, configurations and sockets in this folder, which must be empty or not there.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Seconds to wait until everyone reaches everyone; 0 goes on without.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(..=86_400))]
    wait: u64,
    /// The seed that draws the links of a mesh.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// A parameter of the scenario and its value, as nodes=12; may be given several times.
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = parameter)]
    set: Vec<(String, String)>,
}

/// What becomes of the topology, beside what its nodes say.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Told<'a> {
    Starting { topology: &'a str, title: &'a str, nodes: usize, netns: bool, left_out: &'a [&'static str] },
    AllStopped { topology: &'a str },
}

pub(crate) fn up(arguments: &UpArguments, output: &Output) -> CommandResult {
    let topology = read(arguments)?;
    // From here on a signal ends what was begun.
    let signals = running::signals()?;
    let runs = Runs::open()?;
    // Whoever was killed could not tidy up.
    runs.list()?;
    let folder = folder(arguments, &topology, &runs)?;
    let ids = files::write(&topology, folder.path())?;
    let mut processes = start(&topology, &folder)?;
    let run = describe(&topology, &folder, &ids, &processes);
    let entry = runs.write(&run)?;
    let company = Company { topology: &topology, run: &run, voices: Voices::new(&topology, *output), output };
    company.tell_start()?;
    let watched = company.watch(&mut processes, &signals, arguments.wait);
    // What cannot be printed any more is no reason not to stop the nodes.
    let bad = processes.stop(|said| drop(company.voices.print(said)));
    drop((processes, entry, folder));
    watched?;
    company.tell_end(&bad)
}

fn read(arguments: &UpArguments) -> Result<Topology, Failure> {
    let source = source::topology(&arguments.topology)?;
    let scenario = source.parse(&arguments.set)?;
    let ground = if arguments.netns { Ground::Namespaces } else { Ground::Loopback };
    Topology::new(&scenario, arguments.seed, ground).map_err(|error| match error {
        TopologyError::Unfit(sentence) => Failure::Request(anyhow!("{}: {sentence}", source.file)),
        TopologyError::NoPort(_) => Failure::world(error),
    })
}

fn folder(arguments: &UpArguments, topology: &Topology, runs: &Runs) -> Result<Folder, Failure> {
    let Some(path) = &arguments.keep else {
        return runs.folder_for(&topology.name).map(Folder::Temporary);
    };
    keep::prepare(path)?;
    // `exec` is called from other folders.
    std::path::absolute(path).map(Folder::Kept).map_err(|error| about(path, "cannot be found", error))
}

fn start(topology: &Topology, folder: &Folder) -> Result<Processes, Failure> {
    let mut processes = Processes::new();
    match topology.ground {
        Ground::Loopback => {
            for node in &topology.nodes {
                let spawn =
                    |command: &mut Command| command.spawn().map_err(|error| not_started(&node.name, error));
                processes.start(topology, folder.path(), spawn)?;
            }
        }
        Ground::Namespaces => start_in_namespaces(topology, folder, &mut processes)?,
    }
    Ok(processes)
}

#[cfg(target_os = "linux")]
fn start_in_namespaces(
    topology: &Topology,
    folder: &Folder,
    processes: &mut Processes,
) -> Result<(), Failure> {
    let hosts = Hosts::new(topology).map_err(without_namespaces)?;
    for (place, node) in topology.nodes.iter().enumerate() {
        let what = format!("node {} cannot be started", node.name);
        // The namespaces are the nodes' from here on, and end with them.
        let spawn =
            |command: &mut Command| hosts.enter(place, &what, || command.spawn()).map_err(Failure::world);
        processes.start(topology, folder.path(), spawn)?;
    }
    Ok(())
}

#[cfg(target_os = "linux")]
fn without_namespaces(error: NamespaceError) -> Failure {
    match error {
        NamespaceError::NotPermitted => Failure::Request(anyhow!(
            "--netns: network namespaces need the rights of root (CAP_SYS_ADMIN, CAP_NET_ADMIN): run it as root, or leave --netns out"
        )),
        NamespaceError::System { .. } | NamespaceError::Tool { .. } => Failure::world(error),
    }
}

#[cfg(not(target_os = "linux"))]
fn start_in_namespaces(_: &Topology, _: &Folder, _: &mut Processes) -> Result<(), Failure> {
    Err(Failure::Request(anyhow!("--netns: network namespaces are Linux's: leave --netns out")))
}

fn not_started(name: &str, error: std::io::Error) -> Failure {
    Failure::World(anyhow!("node {name} cannot be started: {error}"))
}

fn describe(topology: &Topology, folder: &Folder, ids: &[NodeId], processes: &Processes) -> Run {
    let nodes = topology.nodes.iter().zip(ids).zip(processes.pids()).map(|((node, id), pid)| RunningNode {
        name: node.name.clone(),
        id: id.to_string(),
        overlay: id.address().to_string(),
        listens: node.listen.to_string(),
        pid,
        config: folder.path().join(node.config_file()),
        socket: folder.path().join(node.socket_file()),
    });
    Run {
        topology: topology.name.clone(),
        pid: std::process::id(),
        netns: topology.ground == Ground::Namespaces,
        folder: folder.path().to_owned(),
        nodes: nodes.collect(),
    }
}

/// A topology that runs, and how it is told of.
struct Company<'a> {
    topology: &'a Topology,
    run: &'a Run,
    voices: Voices,
    output: &'a Output,
}

impl Company<'_> {
    /// Tells what happens until a signal comes; it is a failure when a node ends before, or when everyone does
    /// not reach everyone in time.
    fn watch(&self, processes: &mut Processes, signals: &Receiver<()>, wait: u64) -> Result<(), Failure> {
        let started = Instant::now();
        let mut convergence = Convergence::new(self.topology);
        let mut deadline = if wait == 0 { never() } else { at(started + Duration::from_secs(wait)) };
        let mut looks = tick(LOOK);
        let heard = processes.said().clone();
        loop {
            let mut is_there = false;
            select! {
                recv(heard) -> said => {
                    // It never is an error, for the processes hold the other end.
                    let Ok(said) = said else { return Ok(()) };
                    if let Some((node, report)) = self.voices.print(&said)? {
                        convergence.on_report(node, &report);
                    }
                    if let Said::Ended(node) = said {
                        return Err(self.one_ended(node, processes.ended(node)));
                    }
                }
                recv(signals) -> _ => return Ok(()),
                recv(deadline) -> _ => return Err(self.not_converged(&convergence, wait)),
                recv(looks) -> _ => is_there = self.is_complete(&convergence),
            }
            if is_there {
                (looks, deadline) = (never(), never());
                Converged::new(self.topology, self.run, started.elapsed()).print(self.output)?;
            }
        }
    }

    fn is_complete(&self, convergence: &Convergence<'_>) -> bool {
        convergence.links_are_up() && ways::first_missing(self.topology, self.run).is_none()
    }

    fn not_converged(&self, convergence: &Convergence<'_>, wait: u64) -> Failure {
        let missing: Vec<_> =
            convergence.missing().map(|(one, other)| format!("{one} has no link to {other}")).collect();
        let missing = match ways::first_missing(self.topology, self.run) {
            Some((one, other)) if missing.is_empty() => format!("{one} has no way to {other}"),
            Some(_) | None => missing.join(", "),
        };
        Failure::World(anyhow!(
            "not everyone was there within {wait} s: {missing}: see the lines above, or give it longer with --wait"
        ))
    }

    fn one_ended(&self, node: usize, status: Option<ExitStatus>) -> Failure {
        let name = self.topology.nodes.get(node).map(|node| node.name.as_str()).unwrap_or_default();
        let how = status.map_or_else(|| "it closed its output".to_owned(), |status| status.to_string());
        Failure::World(anyhow!("node {name} ended ({how}), and the others were stopped"))
    }

    fn tell_start(&self) -> Result<(), Failure> {
        let Topology { name, title, nodes, left_out, .. } = self.topology;
        let netns = self.run.netns;
        let told = Told::Starting { topology: name, title, nodes: nodes.len(), netns, left_out };
        self.output.result(&told, || {
            let ground = if netns { "in network namespaces" } else { "on loopback" };
            let mut text = format!("{name}: {title}. {} nodes {ground}, Ctrl-C stops them.", nodes.len());
            if !left_out.is_empty() {
                text += &format!(
                    "\nNothing is done with {}: that is for `peerbound prove`.",
                    left_out.join(" and ")
                );
            }
            text
        })?;
        Ok(())
    }

    fn tell_end(&self, bad: &[usize]) -> CommandResult {
        let names: Vec<_> =
            bad.iter().filter_map(|place| Some(self.topology.nodes.get(*place)?.name.as_str())).collect();
        if !names.is_empty() {
            return Err(Failure::World(anyhow!("not stopped in good order: {}", names.join(", "))));
        }
        let told = Told::AllStopped { topology: &self.topology.name };
        self.output.result(&told, || format!("All {} nodes have stopped.", self.topology.nodes.len()))?;
        Ok(Outcome::Held)
    }
}
