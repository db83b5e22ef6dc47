//! Every configuration and every scenario that a page shows has the shape of one.

use std::path::Path;

use peerbound_daemon::ConfigFile;
use peerbound_lab::scenario::Scenario;

use crate::page::{Page, all_pages};

/// The page whose examples are scenarios, or pieces of one.
const REFERENCE: &str = "docs/SCENARIOS.md";

#[test]
fn every_toml_block_is_a_configuration_or_a_scenario_without_unknown_keys() {
    for path in all_pages() {
        let page = Page::read(&path);
        let blocks = page.sections.iter().flat_map(|section| &section.blocks);
        for block in blocks.filter(|block| block.language == "toml") {
            let text = block.lines.join("\n");
            let parsed = if path == Path::new(REFERENCE) || text.starts_with("schema = ") {
                Scenario::parse(&whole(&text), "block", &[]).map(drop).map_err(|error| error.to_string())
            } else {
                ConfigFile::parse(&text, Path::new("block")).map(drop).map_err(|error| error.to_string())
            };
            assert!(parsed.is_ok(), "{}: {parsed:?}", page.place(block));
        }
    }
}

/// Makes a scenario of a piece of one: with a head, with A, B and C in a row, and with something to
/// expect where the piece does not say what.
fn whole(text: &str) -> String {
    if text.starts_with("schema = ") {
        return text.to_owned();
    }
    let nodes = ["A", "B", "C"].map(|name| format!("[[node]]\nname = \"{name}\"\n")).concat();
    let links = "[[link]]\nbetween = [\"A\", \"B\"]\n[[link]]\nbetween = [\"C\", \"B\"]\n";
    let expect = "[[expect]]\nsession = \"A-B\"\nis = \"alive\"\n";
    format!("schema = 1\nname = \"piece\"\ntitle = \"A piece\"\n{nodes}{links}{text}\n{expect}")
}
