//! Arguments that are one of a few words.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use peerbound_dtls::Suite;
use peerbound_lab::run::Backend;
use peerbound_lab::scenario::Word;

use crate::suggest::nearest;

/// Reads a backend by its word.
pub(crate) fn backend() -> impl TypedValueParser<Value = Backend> {
    PossibleValuesParser::new(Backend::WORDS.iter().map(|(word, _)| *word))
        .map(|word| Backend::from_word(&word).unwrap_or_default())
}

/// Reads a suite by OpenSSL's name for it.
pub(crate) fn suite(text: &str) -> Result<Suite, String> {
    Suite::by_name(text).ok_or_else(|| {
        let known: Vec<_> = Suite::names().collect();
        match nearest(text, known.iter().copied()) {
            Some(name) => format!("no such suite; did you mean {name}?"),
            None => format!("no such suite; there are {}", known.join(", ")),
        }
    })
}
