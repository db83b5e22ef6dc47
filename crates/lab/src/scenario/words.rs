//! The words that a scenario file has for a choice, and what each of them means.

/// A choice among few, each with a word of its own.
pub trait Word: Sized + Copy + PartialEq + 'static {
    /// Every word with its meaning.
    const WORDS: &'static [(&'static str, Self)];

    /// Returns what the word means.
    #[must_use]
    fn from_word(word: &str) -> Option<Self> {
        Self::WORDS.iter().find(|(known, _)| *known == word).map(|(_, meaning)| *meaning)
    }

    /// Returns the word for it.
    #[must_use]
    fn word(self) -> &'static str {
        Self::WORDS
            .iter()
            .find(|(_, meaning)| *meaning == self)
            .map(|(word, _)| *word)
            .expect("every choice stands in the list of its words")
    }
}
