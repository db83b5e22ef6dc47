//! A place in a scenario file, from which errors are told: they name the line of the key that is wrong.

use toml::Spanned;

use crate::scenario::error::ScenarioError;

/// A table of a file, or the whole of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    text: &'a str,
    file: &'a str,
    /// Where the table begins, in bytes.
    start: usize,
    /// What the table is called in errors, with its number: `step 3`.
    heading: Heading<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Heading<'a> {
    File,
    Table(&'a str),
    Numbered(&'a str, usize),
}

impl<'a> Place<'a> {
    pub(crate) fn whole(text: &'a str, file: &'a str) -> Self {
        Self { text, file, start: 0, heading: Heading::File }
    }

    /// Goes to a table that stands once.
    pub(crate) fn table<T>(self, name: &'a str, table: &Spanned<T>) -> Self {
        Self { start: table.span().start, heading: Heading::Table(name), ..self }
    }

    /// Goes to one of the tables of a name, counted from 0.
    pub(crate) fn numbered<T>(self, name: &'a str, index: usize, table: &Spanned<T>) -> Self {
        Self { start: table.span().start, heading: Heading::Numbered(name, index + 1), ..self }
    }

    /// Makes the error that a key of this table is wrong. A dot separates a key from the table it stands
    /// in.
    pub(crate) fn wrong(self, key: &str, problem: impl AsRef<str>) -> ScenarioError {
        let last = key.rsplit('.').next().unwrap_or(key);
        let line = self.line_of_key(last);
        let problem = problem.as_ref();
        let heading = match self.heading {
            Heading::File => String::new(),
            Heading::Table(name) => format!("{name}: "),
            Heading::Numbered(name, number) => format!("{name} {number}: "),
        };
        let key = if key.is_empty() { String::new() } else { format!("{key}: ") };
        ScenarioError::Wrong { file: self.file.to_owned(), line, problem: format!("{heading}{key}{problem}") }
    }

    /// Makes an error at a place in the text.
    pub(crate) fn at(self, start: usize, problem: String) -> ScenarioError {
        ScenarioError::Wrong { file: self.file.to_owned(), line: self.line_at(start), problem }
    }

    /// Makes an error about what was asked for, not about the file.
    pub(crate) fn parameter(self, problem: String) -> ScenarioError {
        ScenarioError::Parameter { file: self.file.to_owned(), problem }
    }

    /// Returns the key that stands before a place on its line, with only its `=` between.
    pub(crate) fn key_before(self, at: usize) -> Option<&'a str> {
        let line = self.text.get(..at)?.rsplit('\n').next()?;
        let head = line.trim_end().strip_suffix('=')?.trim_end();
        let key = head.rsplit(|letter: char| !is_of_key(letter)).next()?;
        (!key.is_empty()).then_some(key)
    }

    /// Finds the line of a key, within its table; the line where the table begins, if it has none.
    fn line_of_key(self, key: &str) -> usize {
        let table = self.text.get(self.start..).unwrap_or_default();
        let mut at = self.start;
        for (index, line) in table.split_inclusive('\n').enumerate() {
            // What is not in a table of its own may be in any: a key of [sweep.parameters] is.
            if index > 0 && line.starts_with('[') && !matches!(self.heading, Heading::File) {
                break;
            }
            if has_key(line, key) {
                return self.line_at(at);
            }
            at += line.len();
        }
        self.line_at(self.start)
    }

    fn line_at(self, start: usize) -> usize {
        self.text.get(..start).unwrap_or(self.text).matches('\n').count() + 1
    }
}

fn has_key(line: &str, key: &str) -> bool {
    !key.is_empty()
        && line.match_indices(key).any(|(at, _)| {
            let (before, rest) = line.split_at(at);
            let behind = &rest[key.len()..];
            !before.ends_with(is_of_key) && behind.trim_start().starts_with('=')
        })
}

fn is_of_key(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_' || letter == '-'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_on_its_line_and_only_whole() {
        assert!(has_key("loss = 0.1\n", "loss"));
        assert!(has_key("forth = { loss = 0.1 }\n", "loss"));
        assert!(!has_key("glossary = 0.1\n", "loss"));
        assert!(!has_key("loss_bad = 0.1\n", "loss"));
        assert!(!has_key("name = \"loss\"\n", "loss"));
    }
}
