//! What a frame carries, the second byte of every header.

use serde::{Deserialize, Serialize};

/// Says what the payload of a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "u8", try_from = "u8")]
pub enum Kind {
    /// Bytes of an application.
    Data,
    /// A datagram of the inner session between source and destination that is no payload: of its handshake,
    /// or an alert.
    InnerHandshake,
    /// A [`crate::RoutingMessage`] between two neighbours; never relayed.
    Routing,
    /// An [`crate::ErrorMessage`] back to the source of a frame.
    Error,
    /// A [`crate::TraceMessage`]: a question to every hop to describe itself, or what one says.
    Trace,
    /// A [`crate::Ping`]: a request, or its answer when [`crate::Flags::REPLY`] is set.
    Ping,
}

impl Kind {
    /// Every kind, in the order of its number on the wire.
    pub const ALL: [Self; 6] =
        [Self::Data, Self::InnerHandshake, Self::Routing, Self::Error, Self::Trace, Self::Ping];
}

impl From<Kind> for u8 {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Data => 1,
            Kind::InnerHandshake => 2,
            Kind::Routing => 3,
            Kind::Error => 4,
            Kind::Trace => 5,
            Kind::Ping => 6,
        }
    }
}

impl TryFrom<u8> for Kind {
    type Error = UnknownKind;

    fn try_from(byte: u8) -> Result<Self, UnknownKind> {
        Self::ALL.into_iter().find(|kind| u8::from(*kind) == byte).ok_or(UnknownKind(byte))
    }
}

/// Says that no kind has this number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no frame kind has the number {0}")]
pub struct UnknownKind(pub u8);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_of_a_kind_leads_back_to_it() {
        for kind in Kind::ALL {
            assert_eq!(Kind::try_from(u8::from(kind)), Ok(kind));
        }
    }

    #[test]
    fn zero_is_no_kind_so_that_a_blank_frame_is_refused() {
        assert_eq!(Kind::try_from(0), Err(UnknownKind(0)));
    }
}
