//! Which scenario is meant: one of the library by its name, its group or a pattern, or a file.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::anyhow;
use glob::Pattern;
use peerbound_lab::scenario::Scenario;
use peerbound_lab::topology::built_in;
use peerbound_lab::{LibraryEntry, library};

use crate::outcome::Failure;
use crate::pki::about;
use crate::suggest::nearest;

/// More than a scenario may have: one that is cut here is refused for its size.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// The text of a scenario, and how to name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    /// What it is called on a command line: a name of the library, or a path.
    pub(crate) name: String,
    /// What errors in it name as the file.
    pub(crate) file: String,
    /// What is in it.
    pub(crate) text: String,
}

impl Source {
    /// Reads the scenario with these parameters; those that are not given have their first value.
    pub(crate) fn parse(&self, overrides: &[(String, String)]) -> Result<Scenario, Failure> {
        Scenario::parse(&self.text, &self.file, overrides).map_err(Failure::request)
    }

    fn of_library(entry: &LibraryEntry) -> Self {
        Self {
            name: entry.name.to_owned(),
            file: format!("{}.toml", entry.name),
            text: entry.text.to_owned(),
        }
    }
}

/// Reads a scenario from a file.
pub(crate) fn of_file(path: &Path) -> Result<Source, Failure> {
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX).read_to_string(&mut text))
        .map_err(|error| about(path, "cannot be read", error))?;
    let name = path.display().to_string();
    Ok(Source { file: name.clone(), name, text })
}

/// Finds one scenario.
pub(crate) fn one(given: &str) -> Result<Source, Failure> {
    if is_path(given) {
        return of_file(Path::new(given));
    }
    let known = library().iter().find(|entry| entry.name == given);
    known.map(Source::of_library).ok_or_else(|| unknown(given))
}

/// Finds one topology: one that is built in, a scenario of the library, or a file.
pub(crate) fn topology(given: &str) -> Result<Source, Failure> {
    if let Some(entry) = built_in().iter().find(|entry| entry.name == given) {
        let file = format!("{}.toml", entry.name);
        return Ok(Source { name: entry.name.to_owned(), file, text: entry.text.to_owned() });
    }
    if is_path(given) || library().iter().any(|entry| entry.name == given) {
        return one(given);
    }
    let names: Vec<_> = built_in().iter().map(|entry| entry.name).collect();
    let hint = match nearest(given, names.iter().copied()) {
        Some(name) => format!("did you mean {name:?}?"),
        None => format!("there are {}, and the scenarios of the library", names.join(", ")),
    };
    Err(Failure::Request(anyhow!("there is no topology {given:?}: {hint}; a file is named with its .toml")))
}

/// Finds all scenarios that are meant, each once, in the order of the library and then of the files;
/// all of the library where nothing is given.
pub(crate) fn all(given: &[String]) -> Result<Vec<Source>, Failure> {
    let mut chosen: BTreeSet<usize> = BTreeSet::new();
    let mut files: Vec<Source> = Vec::new();
    for text in given {
        if is_path(text) {
            let file = of_file(Path::new(text))?;
            if !files.contains(&file) {
                files.push(file);
            }
        } else {
            chosen.extend(places(text)?);
        }
    }
    if given.is_empty() {
        chosen.extend(0..library().len());
    }
    let of_library = chosen.into_iter().filter_map(|place| library().get(place)).map(Source::of_library);
    Ok(of_library.chain(files).collect())
}

/// Finds what a name, a group or a pattern means in the library.
fn places(text: &str) -> Result<Vec<usize>, Failure> {
    let pattern = Pattern::new(text).map_err(|error| {
        Failure::Request(anyhow!("{text:?} is no pattern ({error}): * stands for any letters"))
    })?;
    let mut places = Vec::new();
    for (place, entry) in library().iter().enumerate() {
        if pattern.matches(entry.name) || pattern.matches(&group_of(entry)?) {
            places.push(place);
        }
    }
    if places.is_empty() { Err(unknown(text)) } else { Ok(places) }
}

fn group_of(entry: &LibraryEntry) -> Result<String, Failure> {
    Ok(Source::of_library(entry).parse(&[])?.group)
}

fn is_path(given: &str) -> bool {
    given.contains('/') || given.ends_with(".toml")
}

fn unknown(given: &str) -> Failure {
    let groups: BTreeSet<_> = library().iter().filter_map(|entry| group_of(entry).ok()).collect();
    let known = library().iter().map(|entry| entry.name).chain(groups.iter().map(String::as_str));
    let hint = match nearest(given, known) {
        Some(name) => format!("did you mean {name:?}?"),
        None => "`peerbound prove --list` says which there are".to_owned(),
    };
    Failure::Request(anyhow!("there is no scenario {given:?}: {hint}; a file is named with its .toml"))
}

/// Reads a parameter, as it is given by `--set`.
pub(crate) fn parameter(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() && !value.is_empty() => {
            Ok((name.trim().to_owned(), value.trim().to_owned()))
        }
        Some(_) | None => Err("a parameter is set as loss=0.2".to_owned()),
    }
}
