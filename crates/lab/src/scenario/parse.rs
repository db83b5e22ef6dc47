//! Reads a scenario file: its parameters first, then, with a value in the place of each, the rest.

use std::fs::File;
use std::io::{Read, Take};
use std::path::Path;

use toml::Table;

use crate::scenario::error::ScenarioError;
use crate::scenario::file::ScenarioFile;
use crate::scenario::parameters;
use crate::scenario::place::Place;
use crate::scenario::valid::Validation;
use crate::scenario::values::choices;
use crate::scenario::{SCHEMA, Scenario};

/// The largest scenario file: a thousand steps of 250 bytes.
const FILE_BYTES_MAX: usize = 256 * 1024;

impl Scenario {
    /// Reads a file. `overrides` are parameters with the value to take, as a command line has them.
    ///
    /// # Errors
    /// One sentence that names the file, the line, the key and the fix.
    pub fn read(path: &Path, overrides: &[(String, String)]) -> Result<Self, ScenarioError> {
        let name = path.display().to_string();
        let text = File::open(path).and_then(|file| text_of(file.take(FILE_BYTES_MAX as u64 + 1)));
        match text {
            Ok(text) => Self::parse(&text, &name, overrides),
            Err(source) => Err(ScenarioError::Unreadable { file: name, source }),
        }
    }

    /// Reads the text of a file; `file` is for the errors. Each parameter has the first of its values,
    /// unless `overrides` has another.
    ///
    /// # Errors
    /// One sentence that names the file, the line, the key and the fix.
    pub fn parse(text: &str, file: &str, overrides: &[(String, String)]) -> Result<Self, ScenarioError> {
        if text.len() > FILE_BYTES_MAX {
            return Err(ScenarioError::TooLarge {
                file: file.to_owned(),
                bytes: text.len(),
                max: FILE_BYTES_MAX,
            });
        }
        let whole = Place::whole(text, file);
        let table: Table = toml::from_str(text).map_err(|error| whole.syntax(&error))?;
        check_schema(&table, whole)?;
        let sweep = parameters::sweep_of(&table, whole)?;
        let chosen = parameters::choose(&sweep, overrides, whole)?;
        let replaced = parameters::replace(text, &chosen, whole)?;
        let whole = Place::whole(&replaced, file);
        let typed: ScenarioFile = toml::from_str(&replaced).map_err(|error| whole.syntax(&error))?;
        parameters::check_all_used(text, &typed, &chosen, whole)?;
        Validation::new(whole, &chosen).scenario(&typed, sweep)
    }
}

/// The schema comes first: in a file for a later program, every other complaint would mislead.
fn check_schema(table: &Table, whole: Place<'_>) -> Result<(), ScenarioError> {
    let line = format!("write `schema = {SCHEMA}` in its first line");
    match table.get("schema").map(toml::Value::as_integer) {
        Some(Some(schema)) if schema == i64::from(SCHEMA) => Ok(()),
        Some(Some(schema)) if schema > i64::from(SCHEMA) => Err(whole.wrong(
            "schema",
            format!("this file is for a later program: it has schema {schema}, and this one reads {SCHEMA}"),
        )),
        Some(_) => Err(whole.wrong("schema", line)),
        None => Err(whole.wrong("schema", format!("it is missing: {line}"))),
    }
}

fn text_of(mut file: Take<File>) -> std::io::Result<String> {
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    Ok(text)
}

impl Place<'_> {
    /// Says what is wrong with TOML, or with its shape, in words of TOML alone.
    fn syntax(self, error: &toml::de::Error) -> ScenarioError {
        let at = error.span().map_or(0, |span| span.start);
        let message = error.message();
        if let Some(rest) = message.strip_prefix("unknown field ") {
            let words: Vec<_> = rest.split('`').skip(1).step_by(2).collect();
            if let Some((unknown, known)) = words.split_first() {
                let known: Vec<_> = known.to_vec();
                return self
                    .at(at, format!("{unknown}: there is no such key here: {}", choices(unknown, &known)));
            }
        }
        let key = self.key_before(at).map(|key| format!("{key}: ")).unwrap_or_default();
        self.at(at, format!("{key}{}", in_words_of_toml(message)))
    }
}

/// Makes one line of what the parser says.
fn in_words_of_toml(message: &str) -> String {
    if message.starts_with("invalid type: map, expected a sequence") {
        return "this table may stand several times: write its head in double brackets, [[..]]".to_owned();
    }
    let lines: Vec<_> = message.lines().collect();
    let line = lines.join(", ").replace("expected i64", "expected a whole number");
    let line = line.replace("expected f64", "expected a number");
    let line = line.replace("expected a sequence", "expected a list in brackets, [..]");
    let line = line.replace("expected a map", "expected a table").replace("missing field", "missing key");
    let line = match line.split_once("expected struct ") {
        Some((before, _)) => format!("{before}expected a table"),
        None => line,
    };
    line.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}
