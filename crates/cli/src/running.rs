//! What the commands that run a node have in common: reading its file, starting it, hearing of
//! signals, stopping it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use crossbeam_channel::{Receiver, bounded};
use peerbound_daemon::control::answers::{ReloadAnswer, ReloadedKey};
use peerbound_daemon::control::{ControlOptions, ControlServer, ControlSocket, socket_for};
use peerbound_daemon::{
    ConfigInForce, ControlConfig, Daemon, DaemonConfig, ReloadError, ReloadReport, Reloader, Watcher,
    unix_seconds,
};
use peerbound_node::{Event, InnerEvent};
use serde::{Deserialize, Serialize};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::log;
use crate::outcome::Failure;
use crate::output::Output;

/// How long a node may take to say farewell.
const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(5);

/// Reads a node's configuration file.
pub(crate) fn load(path: &Path) -> Result<DaemonConfig, Failure> {
    DaemonConfig::load(path, unix_seconds()).map_err(Failure::request)
}

/// Starts a node.
pub(crate) fn start(config: DaemonConfig) -> Result<Daemon, Failure> {
    Daemon::start(config).map_err(Failure::world)
}

/// Watches the files by which a node decides whom to trust, and returns what reloads its configuration.
pub(crate) fn watch(path: &Path, daemon: &Daemon) -> Result<(Arc<Reloader>, Watcher), Failure> {
    watch_from(ConfigInForce::read(path.to_owned()).map_err(Failure::request)?, daemon)
}

/// The same for a node that was started with what was read here.
pub(crate) fn watch_from(
    in_force: ConfigInForce,
    daemon: &Daemon,
) -> Result<(Arc<Reloader>, Watcher), Failure> {
    let reloader = Arc::new(Reloader::over(in_force, daemon));
    let watcher = Watcher::start(Arc::clone(&reloader))
        .context("the thread that watches files cannot be started")
        .map_err(Failure::World)?;
    Ok((reloader, watcher))
}

/// Binds the socket at which a node is asked, where its file does not turn that off. One that the file asks
/// for must be had; one by default is a courtesy, and a node that has relayed without it goes on to.
pub(crate) fn open_control(control: &ControlConfig, config: &Path) -> Result<Option<ControlSocket>, Failure> {
    let open =
        || -> anyhow::Result<ControlSocket> { Ok(ControlSocket::bind(&socket_for(control, config)?)?) };
    match control {
        ControlConfig::Off => Ok(None),
        ControlConfig::At(_) => open().map(Some).map_err(Failure::World),
        ControlConfig::ByDefault => {
            Ok(open().inspect_err(|error| tracing::warn!("Nobody can ask this node anything: {error}")).ok())
        }
    }
}

/// Lets a node be asked at a socket that is bound.
pub(crate) fn start_control(
    socket: ControlSocket,
    daemon: &Daemon,
    config: &Path,
    reloader: &Arc<Reloader>,
) -> Result<ControlServer, Failure> {
    let options = ControlOptions {
        socket: socket.path().to_owned(),
        config: config.to_owned(),
        log: log::of_this_process(),
        reloader: Some(Arc::clone(reloader)),
    };
    ControlServer::answer_at(socket, daemon, options).map_err(Failure::world)
}

/// Stops a node by its deadline.
pub(crate) fn stop(daemon: Daemon) -> Result<(), Failure> {
    daemon.shutdown(SHUTDOWN_DEADLINE).map(drop).map_err(Failure::world)
}

/// Returns a channel that tells of SIGINT and SIGTERM.
pub(crate) fn signals() -> Result<Receiver<()>, Failure> {
    Caught::ends()?.watch()
}

/// Signals that do what they do by default no longer. They wait until a thread watches for them.
pub(crate) struct Caught {
    name: &'static str,
    signals: Signals,
}

impl Caught {
    /// Catches SIGINT and SIGTERM.
    pub(crate) fn ends() -> Result<Self, Failure> {
        Self::catch("signals", &[SIGINT, SIGTERM])
    }

    /// Catches SIGHUP.
    pub(crate) fn hangups() -> Result<Self, Failure> {
        Self::catch("hangups", &[SIGHUP])
    }

    fn catch(name: &'static str, which: &[i32]) -> Result<Self, Failure> {
        let signals = Signals::new(which).context("signals cannot be watched").map_err(Failure::World)?;
        Ok(Self { name, signals })
    }

    /// Returns a channel that tells of them, by a thread that has the privileges of the one that calls.
    pub(crate) fn watch(self) -> Result<Receiver<()>, Failure> {
        let Self { name, mut signals } = self;
        let (tell, told) = bounded(1);
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                for _ in &mut signals {
                    // One message is enough, and whoever waits may be gone.
                    let _ = tell.try_send(());
                }
            })
            .context("the thread that watches signals cannot be started")
            .map_err(Failure::World)?;
        Ok(told)
    }
}

/// Returns a channel that tells when standard input ends. What it holds is thrown away.
pub(crate) fn end_of_input() -> Result<Receiver<()>, Failure> {
    let (tell, told) = bounded(1);
    std::thread::Builder::new()
        .name("input".to_owned())
        .spawn(move || {
            // An input that cannot be read has ended, too.
            let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
            let _ = tell.try_send(());
        })
        .context("the thread that watches standard input cannot be started")
        .map_err(Failure::World)?;
    Ok(told)
}

/// What happens to a node, in the words of its output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Report {
    Ready { id: String, listens: String },
    Metrics { page: String },
    NeighbourUp { neighbour: String, id: String, address: String, suite: String },
    NeighbourReplaced { neighbour: String },
    NeighbourMoved { neighbour: String, from: String, to: String },
    NeighbourDown { neighbour: String, reason: String },
    NeighbourNotReached { neighbour: String, address: String, reason: String },
    Refused { address: String, reason: String },
    InnerFailed { node: String, reason: String, lost: usize },
    Reloaded { applied: Vec<ReloadedKey>, needs_restart: Vec<ReloadedKey> },
    NotReloaded { reason: String },
    Stopped,
}

/// Says that the node is running.
pub(crate) fn report_ready(daemon: &Daemon, output: &Output) -> Result<(), Failure> {
    let ready = Report::Ready { id: daemon.id().to_string(), listens: daemon.address().to_string() };
    output.result(&ready, || ready.to_text())?;
    Ok(())
}

/// Says where the node shows what it counts.
pub(crate) fn report_metrics(address: SocketAddr, output: &Output) -> Result<(), Failure> {
    let report = Report::Metrics { page: format!("http://{address}/") };
    output.result(&report, || report.to_text())?;
    Ok(())
}

/// Says what became of each key when the configuration was read again.
pub(crate) fn report_reload(
    reloaded: Result<ReloadReport, ReloadError>,
    output: &Output,
) -> Result<(), Failure> {
    let report = match reloaded {
        Ok(report) => {
            let ReloadAnswer { applied, needs_restart } = report.into();
            Report::Reloaded { applied, needs_restart }
        }
        Err(error) => Report::NotReloaded { reason: error.to_string() },
    };
    output.result(&report, || report.to_text())?;
    Ok(())
}

/// Says that the node has stopped.
pub(crate) fn report_stopped(output: &Output) -> Result<(), Failure> {
    output.result(&Report::Stopped, || Report::Stopped.to_text())?;
    Ok(())
}

/// Tells an operator of an event that changes his picture; other events pass in silence.
pub(crate) fn report_event(daemon: &Daemon, event: &Event, output: &Output) -> Result<(), Failure> {
    let report = match event {
        Event::NeighbourUp { id, address, peer, .. } => Report::NeighbourUp {
            neighbour: daemon.name_of(id),
            id: id.to_string(),
            address: address.to_string(),
            suite: peer.suite.name.to_owned(),
        },
        Event::NeighbourReplaced { id } => Report::NeighbourReplaced { neighbour: daemon.name_of(id) },
        Event::NeighbourMoved { id, from, to } => Report::NeighbourMoved {
            neighbour: daemon.name_of(id),
            from: from.to_string(),
            to: to.to_string(),
        },
        Event::NeighbourDown { id, reason } => {
            Report::NeighbourDown { neighbour: daemon.name_of(id), reason: reason.clone() }
        }
        Event::DialFailed { id, address, reason } => Report::NeighbourNotReached {
            neighbour: daemon.name_of(id),
            address: address.to_string(),
            reason: reason.to_string(),
        },
        Event::StrangerFailed { address, reason } => {
            Report::Refused { address: address.to_string(), reason: reason.to_string() }
        }
        Event::Inner(InnerEvent::Failed { id, reason, lost }) => {
            Report::InnerFailed { node: daemon.name_of(id), reason: reason.clone(), lost: *lost }
        }
        Event::Delivered { .. } | Event::Error { .. } | Event::Pong { .. } => return Ok(()),
        Event::TraceReport(_) | Event::WhoIs { .. } => return Ok(()),
        Event::Inner(_) | Event::Frame(_) | Event::RouteChanged(_) | Event::Session(_) => return Ok(()),
    };
    output.result(&report, || report.to_text())?;
    Ok(())
}

impl Report {
    /// Says it in a line of text.
    pub(crate) fn to_text(&self) -> String {
        match self {
            Self::Ready { id, listens } => format!("node {id} listens on {listens}"),
            Self::Metrics { page } => format!("shows what it counts at {page}"),
            Self::NeighbourUp { neighbour, address, suite, .. } => {
                format!("neighbour {neighbour} is up at {address} ({suite})")
            }
            Self::NeighbourReplaced { neighbour } => format!("neighbour {neighbour} has another session"),
            Self::NeighbourMoved { neighbour, from, to } => {
                format!("neighbour {neighbour} has moved from {from} to {to}")
            }
            Self::NeighbourDown { neighbour, reason } => format!("neighbour {neighbour} is down: {reason}"),
            Self::NeighbourNotReached { neighbour, address, reason } => {
                format!("neighbour {neighbour} is not reached at {address}: {reason}")
            }
            Self::Refused { address, reason } => {
                format!("a handshake from {address} came to nothing: {reason}")
            }
            Self::InnerFailed { node, reason, lost } => {
                let lost =
                    if *lost == 0 { String::new() } else { format!("; what waited for it is lost: {lost}") };
                format!("no session with {node}: {reason}{lost}")
            }
            Self::Reloaded { applied, needs_restart } => reload_text(applied, needs_restart),
            Self::NotReloaded { reason } => format!("nothing was reloaded: {reason}"),
            Self::Stopped => "stopped".to_owned(),
        }
    }
}

/// Says key by key what a reload did.
pub(crate) fn reload_text(applied: &[ReloadedKey], needs_restart: &[ReloadedKey]) -> String {
    if applied.is_empty() && needs_restart.is_empty() {
        return "nothing has changed".to_owned();
    }
    let line = |word: &str, key: &ReloadedKey| format!("{word:<15}{}: {}", key.key, key.what);
    let applied = applied.iter().map(|key| line("applied", key));
    let waiting = needs_restart.iter().map(|key| line("needs restart", key));
    applied.chain(waiting).collect::<Vec<_>>().join("\n")
}
