//! Every console block prints what the page shows.

use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};

use snapbox::{Assert, IntoData};

use crate::page::{Block, Page, Step, Treatment, all_pages};
use crate::terminal::{Running, Terminal};

/// Pages run one after another: they use the same ports, as their readers do.
static PORTS: Mutex<()> = Mutex::new(());

#[test]
fn the_readme_shows_what_its_commands_print() {
    follow("README.md");
}

#[test]
fn the_guide_for_operators_shows_what_its_commands_print() {
    follow("docs/OPERATIONS.md");
}

#[test]
fn the_guide_to_proving_shows_what_its_commands_print() {
    follow("docs/PROVE.md");
}

#[test]
fn chapter_one_shows_what_its_commands_print() {
    follow("docs/book/src/01-three-nodes-one-wrong-arrow.md");
}

#[test]
fn chapter_two_shows_what_its_commands_print() {
    follow("docs/book/src/02-sockets.md");
}

#[test]
fn chapter_three_shows_what_its_commands_print() {
    follow("docs/book/src/03-demux.md");
}

#[test]
fn chapter_four_shows_what_its_commands_print() {
    follow("docs/book/src/04-thirteen-bytes.md");
}

#[test]
fn chapter_five_shows_what_its_commands_print() {
    follow("docs/book/src/05-handshake.md");
}

#[test]
fn chapter_six_shows_what_its_commands_print() {
    follow("docs/book/src/06-loss-and-timers.md");
}

#[test]
fn chapter_seven_shows_what_its_commands_print() {
    follow("docs/book/src/07-keys.md");
}

#[test]
fn chapter_eight_shows_what_its_commands_print() {
    follow("docs/book/src/08-cbc.md");
}

#[test]
fn chapter_nine_shows_what_its_commands_print() {
    follow("docs/book/src/09-replay.md");
}

#[test]
fn chapter_ten_shows_what_its_commands_print() {
    follow("docs/book/src/10-identity.md");
}

#[test]
fn chapter_eleven_shows_what_its_commands_print() {
    follow("docs/book/src/11-renegotiation.md");
}

#[test]
fn chapter_twelve_shows_what_its_commands_print() {
    follow("docs/book/src/12-nat-and-connection-ids.md");
}

#[test]
fn chapter_thirteen_shows_what_its_commands_print() {
    follow("docs/book/src/13-what-a-relay-reads.md");
}

#[test]
fn chapter_fourteen_shows_what_its_commands_print() {
    follow("docs/book/src/14-direct-replies.md");
}

#[test]
fn the_page_on_packages_has_no_command_that_fails() {
    follow("packaging/README.md");
}

#[test]
fn every_page_with_commands_is_followed() {
    let followed = [
        "README.md",
        "docs/OPERATIONS.md",
        "docs/PROVE.md",
        "docs/book/src/01-three-nodes-one-wrong-arrow.md",
        "docs/book/src/02-sockets.md",
        "docs/book/src/03-demux.md",
        "docs/book/src/04-thirteen-bytes.md",
        "docs/book/src/05-handshake.md",
        "docs/book/src/06-loss-and-timers.md",
        "docs/book/src/07-keys.md",
        "docs/book/src/08-cbc.md",
        "docs/book/src/09-replay.md",
        "docs/book/src/10-identity.md",
        "docs/book/src/11-renegotiation.md",
        "docs/book/src/12-nat-and-connection-ids.md",
        "docs/book/src/13-what-a-relay-reads.md",
        "docs/book/src/14-direct-replies.md",
        "packaging/README.md",
    ]
    .map(Path::new);

    for path in all_pages() {
        let has_commands = console_blocks(&Page::read(&path)) > 0;
        assert_eq!(has_commands, followed.contains(&path.as_path()), "{}", path.display());
    }
}

fn console_blocks(page: &Page) -> usize {
    let blocks = page.sections.iter().flat_map(|section| &section.blocks);
    blocks.filter(|block| block.language == "console").count()
}

/// Does what a page says, from top to bottom. On a machine that stalls for seconds neighbours give
/// each other up, and say so in between; a page that is wrong is wrong every time.
fn follow(path: &str) {
    const TRIES: usize = 3;
    let _ports = PORTS.lock().unwrap_or_else(PoisonError::into_inner);
    let page = Page::read(Path::new(path));
    let failures: Vec<_> = (0..TRIES).map_while(|_| follow_once(&page).err()).collect();
    assert!(failures.len() < TRIES, "{}", failures.last().map_or("", String::as_str));
}

fn follow_once(page: &Page) -> Result<(), String> {
    let mut terminal = Terminal::open();
    for section in &page.sections {
        let mut beside = Vec::new();
        for block in section.blocks.iter().filter(|block| block.language == "console") {
            match &block.treatment {
                Treatment::Run => run(page, block, &mut terminal)?,
                Treatment::AnotherTerminal { until } => {
                    beside.push(start(page, block, until, &mut terminal));
                }
                Treatment::Needs { program } if is_missing(program) => {
                    eprintln!("{}: left out, for {program} is not installed", page.place(block));
                }
                Treatment::Needs { .. } => run(page, block, &mut terminal)?,
                Treatment::NotRun => {}
            }
        }
        for (place, step, running) in beside {
            let (printed, status) = running.interrupt();
            compare(&place, &step, &printed, status)?;
        }
    }
    Ok(())
}

/// Says whether a program that a block needs is not there, where it need not be.
fn is_missing(program: &str) -> bool {
    let mut command = Command::new(program);
    let is_there = command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    !is_there && std::env::var_os("PEERBOUND_REQUIRE_PEERS").is_none()
}

fn run(page: &Page, block: &Block, terminal: &mut Terminal) -> Result<(), String> {
    for step in block.steps() {
        let (printed, status) = terminal.run(&step.command);
        compare(&page.place(block), &step, &printed, status)?;
    }
    Ok(())
}

fn start(page: &Page, block: &Block, until: &str, terminal: &mut Terminal) -> (String, Step, Running) {
    let [step] = <[Step; 1]>::try_from(block.steps())
        .unwrap_or_else(|_| panic!("{}: another terminal takes one command", page.place(block)));
    let running = terminal.run_beside(&step.command, until);
    (page.place(block), step, running)
}

fn compare(place: &str, step: &Step, printed: &str, status: ExitStatus) -> Result<(), String> {
    if !status.success() {
        return Err(format!("{place}: `{}` ended with {status} and printed:\n{printed}", step.command));
    }
    let name = format!("what `{}` prints", step.command);
    Assert::new()
        .try_eq(Some(&name), printed.into_data(), step.output.as_str().into_data())
        .map_err(|difference| format!("{place}: {difference}"))
}
