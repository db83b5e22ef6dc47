//! Enumerations whose every member has a name, as counters have them.

/// Defines an enumeration with a name for each member. `ALL` lists them in order, so that what is counted by them can
/// be shown from the start: a counter that comes into being with its first event has no rate at that event.
#[macro_export]
macro_rules! reasons {
    ($(#[$meta:meta])* pub enum $name:ident { $($(#[$doc:meta])* $member:ident => $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name { $($(#[$doc])* $member,)+ }

        impl $name {
            /// All of them, in order.
            pub const ALL: &[Self] = &[$(Self::$member),+];

            /// Returns the name by which it is counted.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$member => $text,)+ }
            }
        }
    };
}
