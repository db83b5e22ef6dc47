//! `peerbound send`: a node that sends lines from standard input to another node, by way of its
//! neighbours, and prints what comes back.

use std::io::BufRead;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use clap::Args;
use crossbeam_channel::{Receiver, bounded, select};
use peerbound_daemon::{CommandError, Daemon, DaemonConfig, now};
use peerbound_node::{Event, InnerEvent, SendError};
use peerbound_wire::{ErrorCode, ErrorMessage, FlowId, Kind, NodeId};
use serde::Serialize;

use crate::listen::Delivered;
use crate::outcome::{CommandResult, Failure, Outcome};
use crate::output::{Output, complain};
use crate::running;

/// Lines that may wait to be sent; standard input waits behind them.
const LINES_MAX: usize = 64;

/// The longest wait to ask for: a year. The clock of a host cannot count every number of seconds.
const SECONDS_MAX: u64 = 365 * 24 * 3600;

/// How often the node is asked whether it is there.
const PROBE: Duration = Duration::from_millis(100);

/// How often a line is tried while its way is being built.
const RETRY: Duration = Duration::from_millis(20);

/// How long lines may wait for the session with the node: longer than the node lets them.
const OPENING_MAX: Duration = Duration::from_secs(6);

#[derive(Args)]
pub(crate) struct SendArguments {
    /// The node's configuration file.
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,
    /// The node to send to: a name from the file, or an id.
    #[arg(value_name = "NODE")]
    to: String,
    /// Seconds that the first line may wait until NODE is reached.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(..=SECONDS_MAX))]
    wait: u64,
    /// Seconds to wait for answers after the last line.
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u64).range(..=SECONDS_MAX))]
    linger: u64,
}

/// A line that did not get through.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename = "failed")]
struct Failed {
    reason: String,
}

/// Whether a line was dealt with, or a signal came while it waited.
enum Progress {
    GoOn,
    Stop,
}

struct Sender<'a> {
    daemon: &'a Daemon,
    output: &'a Output,
    to: NodeId,
    /// What to look at when the first line finds no way.
    advice: String,
    flow: FlowId,
    /// Until when the way to the node may still come up for the first time.
    patience: Instant,
    /// Whether the node has answered once.
    is_reached: bool,
    sent: u64,
    answered: u64,
    failed: u64,
}

pub(crate) fn send(arguments: &SendArguments, output: &Output) -> CommandResult {
    let config = running::load(&arguments.config)?;
    let to = find(&config, &arguments.to)?;
    let advice = advice(&config, to);
    let signals = running::signals()?;
    let daemon = running::start(config)?;
    // Its input may go on for days, and whoever is revoked meanwhile must not be spoken to.
    let (_reloader, _watcher) = running::watch(&arguments.config, &daemon)?;
    let lines = read_lines();
    let mut sender = Sender {
        daemon: &daemon,
        output,
        to,
        advice,
        flow: FlowId(std::process::id()),
        patience: now() + Duration::from_secs(arguments.wait),
        is_reached: false,
        sent: 0,
        answered: 0,
        failed: 0,
    };
    loop {
        select! {
            recv(lines) -> line => match line {
                Ok(line) => match sender.on_line(line.as_bytes(), &signals)? {
                    Progress::GoOn => {}
                    Progress::Stop => break,
                },
                Err(_) => break,
            },
            recv(daemon.events()) -> event => sender.on_event(event.map_err(gone)?)?,
            recv(signals) -> _ => break,
        }
    }
    sender.let_lines_leave(&signals)?;
    sender.linger(Duration::from_secs(arguments.linger), &signals)?;
    let outcome = if sender.failed == 0 { Outcome::Held } else { Outcome::DidNotHold };
    running::stop(daemon)?;
    Ok(outcome)
}

impl Sender<'_> {
    /// Asks the node whether it is there until it answers or patience ends: its neighbours may be
    /// still on their way up, too, and a line sent too early is a line lost.
    fn reach(&mut self, signals: &Receiver<()>) -> Result<Progress, Failure> {
        while !self.is_reached && now() < self.patience {
            // Without a way there is nothing to ask yet.
            let _ = self.daemon.ping(self.to, self.flow, 0);
            let next = now() + PROBE;
            while !self.is_reached && now() < next {
                select! {
                    recv(self.daemon.events()) -> event => self.on_event(event.map_err(gone)?)?,
                    recv(signals) -> _ => return Ok(Progress::Stop),
                    default(next.saturating_duration_since(now())) => {}
                }
            }
        }
        Ok(Progress::GoOn)
    }

    fn on_line(&mut self, line: &[u8], signals: &Receiver<()>) -> Result<Progress, Failure> {
        if matches!(self.reach(signals)?, Progress::Stop) {
            return Ok(Progress::Stop);
        }
        loop {
            match self.daemon.send(self.to, self.flow, false, line.to_vec()) {
                Ok(_) => {
                    self.sent += 1;
                    // From here on, a missing neighbour is one that was lost.
                    self.patience = now();
                    return Ok(Progress::GoOn);
                }
                Err(CommandError::Gone) => return Err(gone(CommandError::Gone)),
                Err(CommandError::Send(SendError::NoRoute { .. })) if now() < self.patience => {}
                Err(
                    CommandError::Busy | CommandError::Send(SendError::QueueFull | SendError::InnerQueueFull),
                ) => {}
                Err(CommandError::Send(SendError::NoRoute { destination, reason })) => {
                    let to = self.daemon.name_of(&destination);
                    let advice = if self.sent == 0 { self.advice.as_str() } else { "" };
                    self.fail(format!("no way to {to}: {reason}{advice}"))?;
                    return Ok(Progress::GoOn);
                }
                Err(error) => {
                    self.fail(error.to_string())?;
                    return Ok(Progress::GoOn);
                }
            }
            select! {
                recv(self.daemon.events()) -> event => self.on_event(event.map_err(gone)?)?,
                recv(signals) -> _ => return Ok(Progress::Stop),
                default(RETRY) => {}
            }
        }
    }

    fn on_event(&mut self, event: Event) -> Result<(), Failure> {
        running::report_event(self.daemon, &event, self.output)?;
        match event {
            Event::Delivered { header, payload } => {
                self.answered += u64::from(header.flow == self.flow && header.source == self.to);
                Delivered::new(self.daemon, &header, &payload).print(self.output)
            }
            Event::Pong { from, .. } if from == self.to => {
                self.is_reached = true;
                Ok(())
            }
            Event::Error { reporter, message }
                if message.offending.flow == self.flow && message.offending.kind == Kind::Data =>
            {
                self.answered += 1; // by somebody else, but the line will have no other answer
                self.fail(format!("{} reports: {}", self.daemon.name_of(&reporter), self.explain(&message)))
            }
            Event::Inner(InnerEvent::Failed { id, lost, .. }) if id == self.to && lost > 0 => {
                // What waited for a session has gone nowhere; why, was told with the event.
                let lost = lost as u64;
                self.failed += lost;
                self.answered += lost;
                Ok(())
            }
            Event::Error { .. }
            | Event::NeighbourUp { .. }
            | Event::NeighbourReplaced { .. }
            | Event::NeighbourMoved { .. }
            | Event::NeighbourDown { .. }
            | Event::DialFailed { .. }
            | Event::StrangerFailed { .. }
            | Event::Pong { .. }
            | Event::TraceReport(_)
            | Event::WhoIs { .. }
            | Event::RouteChanged(_)
            | Event::Inner(_)
            | Event::Frame(_)
            | Event::Session(_) => Ok(()),
        }
    }

    fn explain(&self, message: &ErrorMessage) -> String {
        let to = self.daemon.name_of(&message.offending.destination);
        match message.code {
            ErrorCode::NoRoute => format!("it has no way to {to}"),
            ErrorCode::HopLimit => format!("the frame for {to} has passed too many relays"),
            ErrorCode::TooBig => {
                format!("the frame for {to} is too big, the next link takes {} bytes", message.mtu)
            }
            ErrorCode::NoSession => {
                format!("{to} has no session with us, as after a restart: the line is lost")
            }
            ErrorCode::ClearRefused => {
                format!(
                    "{to} takes nothing in the clear from us: write `e2e = \"on\"` here, or \"off\" there, too"
                )
            }
            ErrorCode::InnerRefused => {
                format!("e2e is off at {to}: write `e2e = \"off\"` here, too, or \"on\" there")
            }
        }
    }

    fn fail(&mut self, reason: String) -> Result<(), Failure> {
        self.failed += 1;
        if self.output.is_json() {
            self.output.result(&Failed { reason }, String::new)?;
        } else {
            complain(reason);
        }
        Ok(())
    }

    /// Waits until no line waits any more for the session with the node to open.
    fn let_lines_leave(&mut self, signals: &Receiver<()>) -> Result<(), Failure> {
        let end = now() + OPENING_MAX;
        while now() < end && self.daemon.status().map_err(gone)?.counters.frames_queued > 0 {
            select! {
                recv(self.daemon.events()) -> event => self.on_event(event.map_err(gone)?)?,
                recv(signals) -> _ => return Ok(()),
                default(RETRY) => {}
            }
        }
        Ok(())
    }

    /// Waits until every line was answered, but no longer than asked.
    fn linger(&mut self, time: Duration, signals: &Receiver<()>) -> Result<(), Failure> {
        let end = now() + time;
        while self.answered < self.sent {
            let left = end.saturating_duration_since(now());
            if left.is_zero() {
                return Ok(());
            }
            select! {
                recv(self.daemon.events()) -> event => self.on_event(event.map_err(gone)?)?,
                recv(signals) -> _ => return Ok(()),
                default(left) => return Ok(()),
            }
        }
        Ok(())
    }
}

fn find(config: &DaemonConfig, text: &str) -> Result<NodeId, Failure> {
    config.find(text).ok_or_else(|| {
        let known: Vec<_> = config.names.values().map(String::as_str).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        Failure::Request(anyhow!(
            "nobody is called \"{text}\" (known names: {known}): add it to [names], or give a node id"
        ))
    })
}

/// Says what is to be looked at when the way to a node does not come up.
fn advice(config: &DaemonConfig, to: NodeId) -> String {
    let route = config.node.routes.iter().find(|route| route.destination == to);
    let next = route.map_or(to, |route| route.via);
    let is_neighbour = config.node.neighbours.iter().any(|neighbour| neighbour.id == next);
    match is_neighbour.then(|| config.places_of(&next)) {
        Some(Some(places)) => {
            format!("; see that it runs at {places} and has this node among its neighbours")
        }
        Some(None) => format!("; see that it runs and dials this node at {}", config.listen),
        None => "; add a [[route]] to it".to_owned(),
    }
}

fn gone(_: impl std::fmt::Debug) -> Failure {
    Failure::World(anyhow!("the node stopped by itself: see its log"))
}

/// Reads standard input on a thread of its own, for a read cannot be waited for with the rest. The
/// thread ends with its input or with the process.
fn read_lines() -> Receiver<String> {
    let (tell, told) = bounded(LINES_MAX);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).trim_end_matches('\r').to_owned();
            if tell.send(line).is_err() {
                return;
            }
        }
    });
    told
}
