//! What the commands that ask a running node have in common: which node is meant, and how it is reached.

use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::Args;
use peerbound_daemon::control::{ClientError, ControlClient, ErrorCode, find_sockets, socket_for};
use peerbound_daemon::{ConfigFile, ControlConfig};

use crate::outcome::Failure;

pub(crate) mod bug_report;
pub(crate) mod explain;
pub(crate) mod graph;
pub(crate) mod log;
pub(crate) mod neighbours;
pub(crate) mod pcap;
pub(crate) mod ping;
pub(crate) mod reload;
pub(crate) mod routes;
pub(crate) mod sessions;
pub(crate) mod status;
pub(crate) mod top;
pub(crate) mod trace;

/// The variable that names the socket where nothing else does, as in the commands of `exec`.
pub(crate) const SOCKET_VARIABLE: &str = "PEERBOUND_SOCKET";

/// Which running node is asked.
#[derive(Args, Debug)]
pub(crate) struct Target {
    /// The configuration file of the node. Without it, the one node that is found running is asked.
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The node's control socket.
    #[arg(long, value_name = "PATH", conflicts_with = "config")]
    socket: Option<PathBuf>,
}

impl Target {
    /// Connects to the node.
    pub(crate) fn connect(&self) -> Result<ControlClient, Failure> {
        ControlClient::connect(&self.find()?).map_err(failure)
    }

    /// Finds the node's socket.
    fn find(&self) -> Result<PathBuf, Failure> {
        match (&self.socket, &self.config) {
            (Some(socket), _) => Ok(socket.clone()),
            (None, Some(config)) => of_config(config),
            (None, None) => match std::env::var_os(SOCKET_VARIABLE) {
                Some(socket) => Ok(PathBuf::from(socket)),
                None => the_only_one(find_sockets(None)),
            },
        }
    }
}

fn of_config(config: &Path) -> Result<PathBuf, Failure> {
    let file = ConfigFile::read(config).map_err(Failure::request)?;
    let base = config.parent().unwrap_or(Path::new("."));
    let control = ControlConfig::of(file.control.as_ref(), base)
        .map_err(|problem| Failure::Request(anyhow!("{}: control.socket: {problem}", config.display())))?;
    let expected = socket_for(&control, config).map_err(Failure::request)?;
    if control == ControlConfig::ByDefault && !expected.exists() {
        // The node may have another environment than we have.
        return Ok(find_sockets(Some(config)).into_iter().next().unwrap_or(expected));
    }
    Ok(expected)
}

fn the_only_one(found: Vec<PathBuf>) -> Result<PathBuf, Failure> {
    match &found[..] {
        [socket] => Ok(socket.clone()),
        [] => Err(Failure::World(anyhow!(
            "no running node is found: start one with `peerbound run -c FILE`, or say which is meant with -c FILE or --socket PATH"
        ))),
        _ => {
            let found: Vec<_> = found.iter().map(|socket| socket.display().to_string()).collect();
            Err(Failure::Request(anyhow!(
                "several nodes run here: say which is meant with --socket, one of {}",
                found.join(", ")
            )))
        }
    }
}

/// Says whose fault it is that a question was not answered.
pub(crate) fn failure(error: ClientError) -> Failure {
    match &error {
        ClientError::Refused(refusal) => match refusal.code {
            ErrorCode::UnknownNode | ErrorCode::BadParameter | ErrorCode::BadConfiguration => {
                Failure::request(error)
            }
            ErrorCode::BadLine
            | ErrorCode::LineTooLong
            | ErrorCode::HalfLine
            | ErrorCode::Version
            | ErrorCode::Busy
            | ErrorCode::Idle
            | ErrorCode::UnknownRequest
            | ErrorCode::NoRoute
            | ErrorCode::Unsupported
            | ErrorCode::Failed
            | ErrorCode::Stopping
            | ErrorCode::Other => Failure::world(error),
        },
        ClientError::NotRunning { .. }
        | ClientError::NotAllowed(_)
        | ClientError::Broken { .. }
        | ClientError::Nonsense { .. } => Failure::world(error),
    }
}

/// A request without parameters.
#[derive(Debug, serde::Serialize)]
pub(crate) struct Nothing {}
