//! What a name that nobody has was perhaps meant to be.

/// Names less alike than this are not offered: clap's own measure for a misspelt command.
const ALIKE: f64 = 0.7;

/// Returns the known name most like the one given, if any is like it at all.
pub(crate) fn nearest<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let rated = known.into_iter().map(|name| (strsim::jaro_winkler(given, name), name));
    let best = rated.filter(|(likeness, _)| *likeness > ALIKE);
    // Of two that are alike as much the first one stays, so that the answer is always the same.
    best.reduce(|best, other| if other.0 > best.0 { other } else { best }).map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_name_is_recognised_and_a_strange_one_is_not() {
        let known = ["from-b-address", "rewritten-number", "kernel-refuses"];

        assert_eq!(nearest("from-b-adress", known), Some("from-b-address"));
        assert_eq!(nearest("kernel", known), Some("kernel-refuses"));
        assert_eq!(nearest("xyz", known), None);
    }
}
