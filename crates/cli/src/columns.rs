//! Text in columns, for terminals of 80.

use textwrap::core::display_width;
use textwrap::{Options, WordSplitter};

/// Columns of text: what an ordinary terminal shows without breaking lines.
pub(crate) const WIDTH: usize = 80;

/// Fills a text up to a width; a longer one is cut, and says so.
pub(crate) fn cell(text: &str, width: usize) -> String {
    let text = short(text, width);
    let blanks = width.saturating_sub(display_width(&text));
    format!("{text}{}", " ".repeat(blanks))
}

/// Sets rows under their headings, each column as wide as its widest cell.
pub(crate) fn table(headings: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Vec<String> {
    let headings = headings.iter().map(|heading| (*heading).to_owned()).collect();
    let rows: Vec<Vec<String>> = std::iter::once(headings).chain(rows).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|text| display_width(text)).max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells: Vec<_> = row.iter().zip(&widths).map(|(text, width)| cell(text, *width)).collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// Cuts a text to a width.
pub(crate) fn short(text: &str, width: usize) -> String {
    if display_width(text) <= width {
        return text.to_owned();
    }
    let mut kept = String::new();
    for letter in text.chars() {
        if display_width(&kept) + display_width(letter.encode_utf8(&mut [0; 4])) >= width {
            break;
        }
        kept.push(letter);
    }
    kept.trim_end().to_owned() + "…"
}

/// Breaks a text into lines behind an indent, the first of which stands behind `first` instead.
pub(crate) fn paragraph(first: &str, indent: usize, text: &str) -> Vec<String> {
    paragraph_within(WIDTH, first, indent, text)
}

/// Breaks a text as [`paragraph`] does, for a terminal of another width.
pub(crate) fn paragraph_within(width: usize, first: &str, indent: usize, text: &str) -> Vec<String> {
    let indent = " ".repeat(indent);
    // Not at hyphens: "encrypt-then-MAC" and the names of suites are words.
    let options = Options::new(width)
        .initial_indent(first)
        .subsequent_indent(&indent)
        .word_splitter(WordSplitter::NoHyphenation);
    textwrap::wrap(text, options).into_iter().map(|line| line.trim_end().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_have_their_width_whatever_is_in_them() {
        for text in ["", "short", "exactly ten", "longer than the cell", "ä→–…"] {
            assert_eq!(display_width(&cell(text, 11)), 11, "{text}");
        }
        assert_eq!(short("longer than the cell", 11), "longer tha…");
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [vec!["relay-1", "up"], vec!["Ü", "down"]];

        let lines = table(
            &["NAME", "STATE"],
            rows.into_iter().map(|row| row.into_iter().map(str::to_owned).collect()),
        );

        assert_eq!(lines, ["NAME     STATE", "relay-1  up", "Ü        down"]);
    }

    #[test]
    fn paragraphs_keep_their_indent() {
        let lines = paragraph("  a  ", 5, &"word ".repeat(30));

        assert!(lines[0].starts_with("  a  word") && lines[1].starts_with("     word"));
        assert!(lines.iter().all(|line| line.len() <= WIDTH));
    }
}
