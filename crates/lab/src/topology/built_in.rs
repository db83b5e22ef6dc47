//! The topologies that come with the program, as they stand in `examples/topologies`.

/// A topology that comes with the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BuiltIn {
    /// Its name: that of its file, and in its file.
    pub name: &'static str,
    /// The text of its file, a scenario.
    pub text: &'static str,
}

/// Names files once, and includes each.
macro_rules! entries {
    ($($name:literal,)*) => {
        &[$(BuiltIn {
            name: $name,
            text: include_str!(concat!("../../../../examples/topologies/", $name, ".toml")),
        },)*]
    };
}

static BUILT_IN: &[BuiltIn] = entries!["three-node", "ring-of-five", "mesh-of-24",];

/// Lists the topologies that come with the program.
#[must_use]
pub fn built_in() -> &'static [BuiltIn] {
    BUILT_IN
}
