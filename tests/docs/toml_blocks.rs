//! Every configuration that a page shows has the shape of one.

use std::path::Path;

use peerbound_daemon::ConfigFile;

use crate::page::{Page, all_pages};

#[test]
fn every_toml_block_is_a_configuration_without_unknown_keys() {
    for path in all_pages() {
        let page = Page::read(&path);
        let blocks = page.sections.iter().flat_map(|section| &section.blocks);
        for block in blocks.filter(|block| block.language == "toml") {
            let parsed = ConfigFile::parse(&block.lines.join("\n"), Path::new("block"));
            assert!(parsed.is_ok(), "{}: {parsed:?}", page.place(block));
        }
    }
}
