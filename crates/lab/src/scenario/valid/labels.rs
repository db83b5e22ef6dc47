//! What the steps so far have given names to.

use std::collections::BTreeMap;

use crate::scenario::error::ScenarioError;
use crate::scenario::place::Place;
use crate::scenario::step::Label;
use crate::scenario::values::choices;

/// What a label is the name of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Labelled {
    /// A message that an application sends.
    Message,
    /// What pairs of nodes say to each other.
    Talk,
    /// A datagram that a node sealed, and the message in it; not on the wire yet.
    Sealed,
    /// Bytes that nobody sealed; not on the wire yet.
    Forged,
    /// A datagram that was captured. It goes on its way, unless it is held.
    Captured { is_held: bool },
    /// A datagram that was put on the wire. `has_message` says whether its label names a message, too.
    Injected { has_message: bool },
}

#[derive(Debug, Default)]
pub(crate) struct Labels {
    known: BTreeMap<String, Labelled>,
}

impl Labels {
    pub(crate) fn make(
        &mut self,
        place: Place<'_>,
        key: &str,
        name: &str,
        what: Labelled,
    ) -> Result<Label, ScenarioError> {
        const LABEL_CHARACTERS_MAX: usize = 64;
        let is_good = !name.trim().is_empty()
            && name.chars().count() <= LABEL_CHARACTERS_MAX
            && !name.chars().any(char::is_control);
        if !is_good {
            let problem = format!("a name here has 1 to {LABEL_CHARACTERS_MAX} printable characters");
            return Err(place.wrong(key, problem));
        }
        if self.known.insert(name.to_owned(), what).is_some() {
            return Err(
                place.wrong(key, format!("an earlier step made {name:?} already: choose another name"))
            );
        }
        Ok(Label(name.to_owned()))
    }

    /// Notes that a sealed or forged datagram is on the wire under its own name.
    pub(crate) fn put_on_wire(&mut self, label: &Label) {
        if let Some(what) = self.known.get_mut(&label.0) {
            *what = Labelled::Injected { has_message: *what == Labelled::Sealed };
        }
    }

    /// Finds a label whose meaning fits; `what` says what is looked for.
    pub(crate) fn find(
        &self,
        place: Place<'_>,
        key: &str,
        name: &str,
        what: &str,
        fits: impl Fn(Labelled) -> bool,
    ) -> Result<(Label, Labelled), ScenarioError> {
        match self.known.get(name) {
            Some(found) if fits(*found) => Ok((Label(name.to_owned()), *found)),
            Some(found) => {
                Err(place.wrong(key, format!("{name:?} is {}, and {what} is needed", found.in_words())))
            }
            None => {
                let fitting = self.known.iter().filter(|(_, found)| fits(**found));
                let known: Vec<_> = fitting.map(|(name, _)| name.as_str()).collect();
                let problem = if known.is_empty() {
                    format!("no step above makes {name:?}: give {what} this name with `as`")
                } else {
                    format!("no step above makes {name:?}: {}", choices(name, &known))
                };
                Err(place.wrong(key, problem))
            }
        }
    }
}

impl Labelled {
    pub(crate) fn is_message(self) -> bool {
        match self {
            Self::Message | Self::Sealed | Self::Injected { has_message: true } => true,
            Self::Talk | Self::Forged | Self::Captured { .. } | Self::Injected { has_message: false } => {
                false
            }
        }
    }

    pub(crate) fn is_datagram(self) -> bool {
        match self {
            Self::Sealed | Self::Forged | Self::Captured { .. } | Self::Injected { .. } => true,
            Self::Message | Self::Talk => false,
        }
    }

    pub(crate) fn is_on_wire(self) -> bool {
        match self {
            Self::Captured { .. } | Self::Injected { .. } => true,
            Self::Message | Self::Talk | Self::Sealed | Self::Forged => false,
        }
    }

    fn in_words(self) -> &'static str {
        match self {
            Self::Message => "a message",
            Self::Talk => "a talk of many",
            Self::Sealed => "a sealed datagram that no step has put on the wire",
            Self::Forged => "a forged datagram that no step has put on the wire",
            Self::Captured { is_held: false } => "a captured datagram that goes its way",
            Self::Captured { is_held: true } => "a captured datagram that is held",
            Self::Injected { .. } => "a datagram on the wire",
        }
    }
}
