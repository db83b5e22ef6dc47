//! `peerbound top`: a running node, looked at again and again.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use clap::Args;
use peerbound_daemon::control::ControlClient;
use peerbound_daemon::control::answers::{NeighboursAnswer, RoutesAnswer, StatusAnswer};
use peerbound_daemon::now;
use serde::Serialize;

use crate::ask::top::frame::frame;
use crate::ask::top::screen::{Key, Screen};
use crate::ask::{Nothing, Target, failure};
use crate::columns::WIDTH;
use crate::outcome::{CommandResult, Failure, Outcome};
use crate::output::Output;
use crate::running;

mod frame;
mod screen;

/// How often keys and signals are looked for.
const LOOK: Duration = Duration::from_millis(100);

#[derive(Args)]
#[command(
    after_help = "Examples:\n  peerbound top\n  peerbound top -c node.toml --interval 5\n  peerbound top --once\n\nq ends it. In a pipe it prints one frame, as with --once."
)]
pub(crate) struct TopArguments {
    #[command(flatten)]
    target: Target,
    /// Seconds between two looks.
    #[arg(long, value_name = "SECONDS", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=3600))]
    interval: u64,
    /// Print one frame and end.
    #[arg(long)]
    once: bool,
}

/// What was seen in one look.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Look {
    pub(crate) status: StatusAnswer,
    pub(crate) neighbours: NeighboursAnswer,
    pub(crate) routes: RoutesAnswer,
}

pub(crate) fn top(arguments: &TopArguments, output: &Output) -> CommandResult {
    let mut client = arguments.target.connect()?;
    let first = look(&mut client)?;
    if arguments.once || output.is_json() || !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        output.result(&first, || frame(None, &first, (WIDTH, usize::MAX)).join("\n"))?;
        return Ok(Outcome::Held);
    }
    watch(&mut client, first, Duration::from_secs(arguments.interval))
}

fn watch(client: &mut ControlClient, first: Look, interval: Duration) -> CommandResult {
    let signals = running::signals()?;
    let mut screen = Screen::open().map_err(Failure::world)?;
    let (mut before, mut seen) = (None, first);
    loop {
        let mut drawn_at = draw(&mut screen, before.as_ref(), &seen, interval)?;
        let next_at = now() + interval;
        while now() < next_at {
            let key = screen.key_within(LOOK).map_err(Failure::world)?;
            if key == Some(Key::Quit) || signals.try_recv().is_ok() {
                return Ok(Outcome::Held);
            }
            if key == Some(Key::Other) || screen.size() != drawn_at {
                drawn_at = draw(&mut screen, before.as_ref(), &seen, interval)?;
            }
        }
        before = Some(seen);
        seen = look(client)?;
    }
}

/// Draws a look above a line that says how to leave; returns the size that it was made for.
fn draw(
    screen: &mut Screen,
    before: Option<&Look>,
    seen: &Look,
    interval: Duration,
) -> Result<(usize, usize), Failure> {
    let (width, height) = screen.size();
    let room = height.saturating_sub(1).max(1);
    let mut lines = frame(before, seen, (width, room));
    lines.resize(room, String::new());
    lines.push(match interval.as_secs() {
        1 => "q ends this; a look each second".to_owned(),
        seconds => format!("q ends this; a look every {seconds} seconds"),
    });
    screen.show(&lines, (width, height)).map_err(Failure::world)?;
    io::stdout().flush().map_err(Failure::world)?;
    Ok((width, height))
}

fn look(client: &mut ControlClient) -> Result<Look, Failure> {
    Ok(Look {
        status: client.ask("status", &Nothing {}).map_err(failure)?,
        neighbours: client.ask("neighbours", &Nothing {}).map_err(failure)?,
        routes: client.ask("routes", &Nothing {}).map_err(failure)?,
    })
}
