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
    let indent = " ".repeat(indent);
    // Not at hyphens: "encrypt-then-MAC" and the names of suites are words.
    let options = Options::new(WIDTH)
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
    fn paragraphs_keep_their_indent() {
        let lines = paragraph("  a  ", 5, &"word ".repeat(30));

        assert!(lines[0].starts_with("  a  word") && lines[1].starts_with("     word"));
        assert!(lines.iter().all(|line| line.len() <= WIDTH));
    }
}
