//! The library: the scenarios that come with the program, as they stand in `examples/scenarios`.

use crate::scenario::{Scenario, ScenarioError, nearest};

/// One scenario of the library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LibraryEntry {
    /// Its name: that of its file, and in its file.
    pub name: &'static str,
    /// The text of its file.
    pub text: &'static str,
}

/// No scenario of the library has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the library has no scenario {name:?}{}", meant(.nearest.as_ref()))]
pub struct UnknownScenario {
    /// What was asked for.
    pub name: String,
    /// What may have been meant.
    pub nearest: Option<&'static str>,
}

/// Names files of the library once, and includes each.
macro_rules! entries {
    ($($name:literal,)*) => {
        &[$(LibraryEntry {
            name: $name,
            text: include_str!(concat!("../../../examples/scenarios/", $name, ".toml")),
        },)*]
    };
}

/// In the order in which they are shown: groups stand together, and each begins with what is simple.
static LIBRARY: &[LibraryEntry] = entries![
    "rung-0-connected-socket",
    "rung-1-strict-demux",
    "rung-2a-every-session",
    "rung-2b-seen-number",
    "rung-3-from-b-address",
    "rung-4-rewritten-number",
    "rung-5-stolen-keys",
    "rung-6a-not-admitted",
    "rung-6b-own-session",
    "rung-control-cbc",
    "queued-before-connect",
    "listener-fall-through",
    "bit-flip-aead",
    "bit-flip-cbc-encrypt-then-mac",
    "bit-flip-cbc-mac-then-encrypt",
    "bit-flip-dtls-10",
    "exact-replay",
    "resequenced-replay",
    "replay-window-edges",
    "window-poisoning",
    "short-record",
    "alert-in-the-clear",
    "forged-handshake-established",
    "six-flights",
    "forged-server-hello",
    "hello-into-live-session",
    "restart-on-the-same-address",
    "cookie-from-elsewhere",
    "cookie-amplification",
    "loss-of-each-flight",
    "black-hole",
    "round-trip-near-timeout",
    "loss-sweep",
    "renegotiation-off",
    "renegotiation-default",
    "renegotiation-by-server",
    "rekey",
    "wrong-identity",
    "nat-rebinding",
    "relayed-reply",
    "relay-reads",
    "relay-reads-nothing",
    "relay-tampers",
    "pass-through",
    "mesh-100",
    "mesh-1000",
    "cid-rebinding-without-ids",
    "cid-rebinding",
    "cid-old-record-from-elsewhere",
    "cid-of-another-session",
    "cid-newest-record-stolen",
    "cid-newest-record-stolen-and-checked",
    "cid-forwarder-and-enhanced-check",
];

/// Lists the scenarios of the library, in the order in which they are shown.
#[must_use]
pub fn library() -> &'static [LibraryEntry] {
    LIBRARY
}

impl LibraryEntry {
    /// Finds a scenario by its name.
    ///
    /// # Errors
    /// When there is none; names the one that may have been meant.
    pub fn find(name: &str) -> Result<&'static Self, UnknownScenario> {
        LIBRARY.iter().find(|entry| entry.name == name).ok_or_else(|| UnknownScenario {
            name: name.to_owned(),
            nearest: nearest(name, LIBRARY.iter().map(|entry| entry.name)),
        })
    }

    /// Reads it, with the first value of each parameter unless `overrides` has another.
    ///
    /// # Errors
    /// When a parameter is not one of the scenario's, or its value does not fit.
    pub fn scenario(&self, overrides: &[(String, String)]) -> Result<Scenario, ScenarioError> {
        Scenario::parse(self.text, &format!("{}.toml", self.name), overrides)
    }
}

fn meant(nearest: Option<&&'static str>) -> String {
    match nearest {
        Some(name) => format!(": did you mean {name:?}?"),
        None => ": `peerbound prove --list` names all".to_owned(),
    }
}
