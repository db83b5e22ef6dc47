//! The nodes as processes: started, listened to, stopped. None outlives this one: each stops when its standard
//! input ends, which the kernel sees to, however we end.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use crossbeam_channel::{Receiver, Sender, bounded};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use peerbound_lab::topology::Topology;

use crate::outcome::Failure;

/// Lines that may wait to be printed, each of some 100 bytes; the nodes wait behind them.
const LINES_MAX: usize = 1024;

/// How long nodes may take to say farewell. Each gives up by itself after 5 s.
const STOP_DEADLINE: Duration = Duration::from_secs(7);

/// How often a node that has closed its outputs is asked whether it has ended.
const LOOK: Duration = Duration::from_millis(10);

/// What comes from a node.
pub(super) enum Said {
    /// A line of its standard output.
    Result(usize, String),
    /// A line of its log.
    Log(usize, String),
    /// It has closed its standard output, as it does at its end.
    Ended(usize),
}

/// All nodes.
pub(super) struct Processes {
    children: Vec<Child>,
    /// Of which of them the end was heard.
    has_ended: Vec<bool>,
    tell: Sender<Said>,
    said: Receiver<Said>,
}

impl Processes {
    pub(super) fn new() -> Self {
        let (tell, said) = bounded(LINES_MAX);
        Self { children: Vec::new(), has_ended: Vec::new(), tell, said }
    }

    /// Starts the next node. `spawn` decides where.
    pub(super) fn start(
        &mut self,
        topology: &Topology,
        folder: &Path,
        spawn: impl FnOnce(&mut Command) -> Result<Child, Failure>,
    ) -> Result<(), Failure> {
        let place = self.children.len();
        let node =
            topology.nodes.get(place).ok_or_else(|| Failure::World(anyhow!("there is no such node")))?;
        let program =
            std::env::current_exe().context("this program does not find itself").map_err(Failure::World)?;
        let mut command = Command::new(program);
        command.args(["run", "--json", "--stop-with-input", "--config"]).arg(folder.join(node.config_file()));
        // What a service manager has agreed on with us is nothing to the nodes.
        command.env_remove("NOTIFY_SOCKET").env_remove("WATCHDOG_USEC").env_remove("WATCHDOG_PID");
        // A group of its own, so that Ctrl-C reaches us alone, and we stop them in good order.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = spawn(&mut command)?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        self.children.push(child);
        self.has_ended.push(false);
        let tell = self.tell.clone();
        on_a_thread(&node.name, move || {
            each_line(stdout, |line| tell.send(Said::Result(place, line)).is_ok());
            let _ = tell.send(Said::Ended(place));
        })?;
        let tell = self.tell.clone();
        on_a_thread(&node.name, move || each_line(stderr, |line| tell.send(Said::Log(place, line)).is_ok()))
    }

    /// Tells what the nodes say.
    pub(super) fn said(&self) -> &Receiver<Said> {
        &self.said
    }

    /// Returns the number of each process.
    pub(super) fn pids(&self) -> impl Iterator<Item = u32> {
        self.children.iter().map(Child::id)
    }

    /// Waits for the end of a node that has said that it ends.
    pub(super) fn ended(&mut self, node: usize) -> Option<ExitStatus> {
        *self.has_ended.get_mut(node)? = true;
        let child = self.children.get_mut(node)?;
        let end = Instant::now() + STOP_DEADLINE;
        loop {
            match child.try_wait() {
                Ok(Some(status)) => return Some(status),
                Ok(None) if Instant::now() < end => std::thread::sleep(LOOK),
                Ok(None) | Err(_) => return None,
            }
        }
    }

    /// Asks all to stop and waits for it, while `listen` hears what they say. Returns the places of those that
    /// did not end well by a deadline; dropping them kills them.
    pub(super) fn stop(&mut self, mut listen: impl FnMut(&Said)) -> Vec<usize> {
        for child in &mut self.children {
            if let (Ok(None), Ok(id)) = (child.try_wait(), i32::try_from(child.id())) {
                // It has not been waited for, so its number is still its own.
                let _ = kill(Pid::from_raw(id), Signal::SIGTERM);
            }
        }
        let end = Instant::now() + STOP_DEADLINE;
        let mut bad = Vec::new();
        while self.has_ended.contains(&false) {
            let Ok(said) = self.said.recv_deadline(end) else { break };
            listen(&said);
            if let Said::Ended(place) = said
                && !self.ended(place).is_some_and(|status| status.success())
            {
                bad.push(place);
            }
        }
        let silent = self.has_ended.iter().enumerate().filter(|(_, has_ended)| !**has_ended);
        bad.extend(silent.map(|(place, _)| place));
        bad
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        for child in &mut self.children {
            // Those that were stopped are gone, and their numbers are known to be.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn each_line(stream: Option<impl Read>, mut tell: impl FnMut(String) -> bool) {
    let Some(stream) = stream else { return };
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
        let text = String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned();
        line.clear();
        if !tell(text) {
            return;
        }
    }
}

fn on_a_thread(name: &str, act: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
    std::thread::Builder::new()
        .name(format!("hears {name}"))
        .spawn(act)
        .context("the thread that listens to a node cannot be started")
        .map_err(Failure::World)?;
    Ok(())
}
