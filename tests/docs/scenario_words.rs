//! The reference of scenarios has every word that a file may use.

use std::path::Path;

use peerbound_lab::library;
use peerbound_lab::scenario::{
    Attempts, Boot, DemuxPlan, End, EventKind, Invariant, NatRule, Routing, SessionFate, Switch, Version,
    Word,
};

use crate::page::{Page, root};

fn words<T: Word>() -> impl Iterator<Item = &'static str> {
    T::WORDS.iter().map(|(word, _)| *word)
}

#[test]
fn every_word_stands_in_the_reference() {
    let text = std::fs::read_to_string(root().join("docs/SCENARIOS.md")).expect("the reference");
    let ends = End::WORDS.iter().map(|(word, _)| *word);
    let all =
        (words::<Attempts>().chain(words::<Boot>()).chain(words::<DemuxPlan>()).chain(words::<EventKind>()))
            .chain(words::<Invariant>().chain(words::<NatRule>()).chain(words::<Routing>()))
            .chain(words::<SessionFate>().chain(words::<Switch>()).chain(words::<Version>()))
            .chain(ends);

    let missing: Vec<_> = all
        .filter(|word| !text.contains(&format!("`{word}`")) && !text.contains(&format!("\"{word}\"")))
        .collect();

    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn every_scenario_of_the_library_is_said_to_be_there() {
    let page = Page::read(Path::new("examples/scenarios/README.md"));
    let listed: Vec<_> = page
        .sections
        .iter()
        .flat_map(|section| &section.prose)
        .filter_map(|line| line.strip_prefix("| [")?.split(']').next().map(str::to_owned))
        .collect();

    let names: Vec<_> = library().iter().map(|entry| entry.name).collect();

    assert_eq!(listed, names);
}
