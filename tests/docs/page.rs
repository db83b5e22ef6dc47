//! Takes a page of Markdown apart: its sections, its fenced blocks, its links. Runs nothing.

use std::path::{Path, PathBuf};

/// One page.
pub(crate) struct Page {
    pub(crate) path: PathBuf,
    pub(crate) sections: Vec<Section>,
}

/// What stands between two headings.
#[derive(Default)]
pub(crate) struct Section {
    pub(crate) heading: String,
    pub(crate) blocks: Vec<Block>,
    /// The lines that stand in no block.
    pub(crate) prose: Vec<String>,
}

/// A fenced block.
pub(crate) struct Block {
    /// The line of its fence, from 1.
    pub(crate) line: usize,
    pub(crate) language: String,
    pub(crate) treatment: Treatment,
    pub(crate) lines: Vec<String>,
}

/// What a comment in front of a block asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Treatment {
    /// No comment: each command runs to its end before the next, and ends with exit code 0.
    Run,
    /// `<!-- docs: another terminal, until "TEXT" -->`: the next block has its turn when the one
    /// command has printed the text. It goes on to the end of the section, where Ctrl-C stops it.
    AnotherTerminal { until: String },
    /// `<!-- docs: needs PROGRAM -->`: as [`Self::Run`], where this machine has the program. Where it has
    /// not, the block is left out, unless `PEERBOUND_REQUIRE_PEERS` is set.
    Needs { program: String },
    /// `<!-- docs: not run, REASON -->`.
    NotRun,
}

/// A command and what it prints.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) command: String,
    pub(crate) output: String,
}

impl Page {
    /// Reads a page, by its path from the root of the repository.
    pub(crate) fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(root().join(path))
            .unwrap_or_else(|error| panic!("{} cannot be read: {error}", path.display()));
        Self { path: path.to_owned(), sections: sections_of(&text) }
    }

    /// Names a place on the page.
    pub(crate) fn place(&self, block: &Block) -> String {
        format!("{}:{}", self.path.display(), block.line)
    }
}

impl Block {
    /// Returns the commands of a console block.
    pub(crate) fn steps(&self) -> Vec<Step> {
        let mut steps: Vec<Step> = Vec::new();
        for line in &self.lines {
            if let Some(command) = line.strip_prefix("$ ") {
                steps.push(Step { command: command.to_owned(), output: String::new() });
                continue;
            }
            let step = steps.last_mut().unwrap_or_else(|| {
                panic!("the block in line {} begins with \"{line}\", which is no command", self.line)
            });
            match line.strip_prefix("> ").filter(|_| step.output.is_empty()) {
                Some(more) => step.command = format!("{}\n{more}", step.command),
                None => step.output += &format!("{line}\n"),
            }
        }
        steps
    }
}

/// Returns the root of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Lists every page of the repository that is written for readers, by its path from the root.
pub(crate) fn all_pages() -> Vec<PathBuf> {
    let mut pages = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(root().join(&folder)).expect("a folder of the repository");
        for entry in entries {
            let entry = entry.expect("an entry of a folder");
            let name = entry.file_name().into_string().expect("names in the repository are ASCII");
            let path = folder.join(&name);
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_folder && !name.starts_with('.') && !["target", "artifacts", "corpus"].contains(&&*name) {
                folders.push(path);
            } else if !is_folder && name.ends_with(".md") {
                pages.push(path);
            }
        }
    }
    pages.sort();
    pages
}

fn sections_of(text: &str) -> Vec<Section> {
    let mut sections = vec![Section::default()];
    let mut treatment = Treatment::Run;
    let mut lines = text.lines().enumerate();
    while let Some((index, line)) = lines.next() {
        let section = sections.last_mut().expect("there is always a section");
        if let Some(language) = line.strip_prefix("```") {
            let body = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```");
            section.blocks.push(Block {
                line: index + 1,
                language: language.to_owned(),
                treatment: std::mem::replace(&mut treatment, Treatment::Run),
                lines: body.map(str::to_owned).collect(),
            });
        } else if line.starts_with('#') {
            let heading = line.trim_start_matches('#').trim().to_owned();
            sections.push(Section { heading, ..Section::default() });
        } else if let Some(asked) = line.strip_prefix("<!-- docs: ") {
            treatment = treatment_of(asked, index + 1);
        } else {
            section.prose.push(line.to_owned());
        }
    }
    sections
}

fn treatment_of(asked: &str, line: usize) -> Treatment {
    let asked = asked.strip_suffix(" -->").unwrap_or(asked);
    let until = asked.strip_prefix("another terminal, until \"").and_then(|text| text.strip_suffix('"'));
    let program = asked.strip_prefix("needs ");
    match (until, program, asked.strip_prefix("not run, ")) {
        (Some(text), _, _) => Treatment::AnotherTerminal { until: text.to_owned() },
        (None, Some(program), _) => Treatment::Needs { program: program.to_owned() },
        (None, None, Some(_reason)) => Treatment::NotRun,
        (None, None, None) => panic!("nobody knows what \"{asked}\" in line {line} asks for"),
    }
}

#[test]
fn a_block_is_taken_apart_into_commands_and_their_output() {
    let text = "# A\n\n<!-- docs: another terminal, until \"three\" -->\n\
                ```console\n$ one <<EOF\n> two\n> EOF\nthree\n$ four\n```\n";

    let sections = sections_of(text);

    let block = &sections[1].blocks[0];
    let step = |command: &str, output: &str| Step { command: command.to_owned(), output: output.to_owned() };
    assert_eq!(block.line, 4);
    assert_eq!(block.treatment, Treatment::AnotherTerminal { until: "three".to_owned() });
    assert_eq!(block.steps(), [step("one <<EOF\ntwo\nEOF", "three\n"), step("four", "")]);
}
