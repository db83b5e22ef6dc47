//! Holds the pages to their word: every console block in them is run, and every link leads somewhere.
//!
//! A line of a ```` ```console ```` block that begins with `$ ` is a command, one that begins with
//! `> ` behind it continues it, and what follows is its output: `...` on a line of its own stands
//! for any lines, `[..]` within a line for any characters. A comment in front of a block changes
//! how it is treated; see [`page::Treatment`].
//!
//! Why not trycmd, which runs console blocks of Markdown files: the pages show pipes, exit codes
//! and nodes in several terminals at once, and trycmd starts single commands without a shell.

mod ceilings;
mod commands;
mod links;
mod page;
mod pictures;
mod scenario_words;
mod sequence;
mod svg;
mod terminal;
mod toml_blocks;
#[path = "../support/variables.rs"]
mod variables;
