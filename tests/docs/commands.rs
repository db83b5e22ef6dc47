//! Every console block prints what the page shows.

use std::path::Path;
use std::process::ExitStatus;
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
fn chapter_one_shows_what_its_commands_print() {
    follow("docs/book/src/01-three-nodes-one-wrong-arrow.md");
}

#[test]
fn every_page_with_commands_is_followed() {
    let followed =
        ["README.md", "docs/OPERATIONS.md", "docs/book/src/01-three-nodes-one-wrong-arrow.md"].map(Path::new);

    for path in all_pages() {
        let has_commands = console_blocks(&Page::read(&path)) > 0;
        assert_eq!(has_commands, followed.contains(&path.as_path()), "{}", path.display());
    }
}

fn console_blocks(page: &Page) -> usize {
    let blocks = page.sections.iter().flat_map(|section| &section.blocks);
    blocks.filter(|block| block.language == "console").count()
}

/// Does what a page says, from top to bottom.
fn follow(path: &str) {
    let _ports = PORTS.lock().unwrap_or_else(PoisonError::into_inner);
    let page = Page::read(Path::new(path));
    let mut terminal = Terminal::open();
    for section in &page.sections {
        let mut beside = Vec::new();
        for block in section.blocks.iter().filter(|block| block.language == "console") {
            match &block.treatment {
                Treatment::Run => run(&page, block, &mut terminal),
                Treatment::AnotherTerminal { until } => {
                    beside.push(start(&page, block, until, &mut terminal));
                }
                Treatment::NotRun => {}
            }
        }
        for (place, step, running) in beside {
            let (printed, status) = running.interrupt();
            compare(&place, &step, &printed, status);
        }
    }
}

fn run(page: &Page, block: &Block, terminal: &mut Terminal) {
    for step in block.steps() {
        let (printed, status) = terminal.run(&step.command);
        compare(&page.place(block), &step, &printed, status);
    }
}

fn start(page: &Page, block: &Block, until: &str, terminal: &mut Terminal) -> (String, Step, Running) {
    let [step] = <[Step; 1]>::try_from(block.steps())
        .unwrap_or_else(|_| panic!("{}: another terminal takes one command", page.place(block)));
    let running = terminal.run_beside(&step.command, until);
    (page.place(block), step, running)
}

fn compare(place: &str, step: &Step, printed: &str, status: ExitStatus) {
    assert!(status.success(), "{place}: `{}` ended with {status} and printed:\n{printed}", step.command);
    let name = format!("what `{}` prints", step.command);
    let compared = Assert::new().try_eq(Some(&name), printed.into_data(), step.output.as_str().into_data());
    if let Err(difference) = compared {
        panic!("{place}: {difference}");
    }
}
