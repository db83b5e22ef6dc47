//! The three messages of the return routability check (RFC 9853, 4).

/// Bytes of a cookie: `uint64 Cookie`.
pub const COOKIE_BYTES: usize = 8;

/// What a challenge carries and its answer gives back: 64 bits that nobody could have guessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cookie(pub [u8; COOKIE_BYTES]);

/// One message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoutabilityMessage {
    /// 0: whoever gets this shall send the cookie back.
    PathChallenge(Cookie),
    /// 1: here it is, and this path is the one to use.
    PathResponse(Cookie),
    /// 2: here it is, and this path is no longer the one to use.
    PathDrop(Cookie),
}

impl RoutabilityMessage {
    /// Returns the name of its kind.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::PathChallenge(_) => "path_challenge",
            Self::PathResponse(_) => "path_response",
            Self::PathDrop(_) => "path_drop",
        }
    }

    /// Returns the nine bytes of the message.
    #[must_use]
    pub fn encode(self) -> [u8; 1 + COOKIE_BYTES] {
        let (kind, Cookie(cookie)) = match self {
            Self::PathChallenge(cookie) => (0, cookie),
            Self::PathResponse(cookie) => (1, cookie),
            Self::PathDrop(cookie) => (2, cookie),
        };
        let mut bytes = [kind; 1 + COOKIE_BYTES];
        bytes[1..].copy_from_slice(&cookie);
        bytes
    }

    /// Reads a message; `None` for one of another length or of a kind that is not known, which
    /// RFC 9853, 4 asks to ignore.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (kind, cookie) = bytes.split_first()?;
        let cookie = Cookie(cookie.try_into().ok()?);
        match kind {
            0 => Some(Self::PathChallenge(cookie)),
            1 => Some(Self::PathResponse(cookie)),
            2 => Some(Self::PathDrop(cookie)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COOKIE: Cookie = Cookie([1, 2, 3, 4, 5, 6, 7, 8]);

    #[test]
    fn the_bytes_are_those_of_the_rfc() {
        assert_eq!(RoutabilityMessage::PathChallenge(COOKIE).encode(), [0, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(RoutabilityMessage::PathResponse(COOKIE).encode(), [1, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(RoutabilityMessage::PathDrop(COOKIE).encode(), [2, 1, 2, 3, 4, 5, 6, 7, 8]);
    }

    #[test]
    fn a_message_comes_back_as_it_went_and_anything_else_is_ignored() {
        for kind in 0..=255 {
            let bytes = [kind, 1, 2, 3, 4, 5, 6, 7, 8];

            let message = RoutabilityMessage::decode(&bytes);

            assert_eq!(message.map(RoutabilityMessage::encode), (kind < 3).then_some(bytes));
        }
        assert_eq!(RoutabilityMessage::decode(&[]), None);
        assert_eq!(RoutabilityMessage::decode(&[0; 8]), None);
        assert_eq!(RoutabilityMessage::decode(&[0; 10]), None);
    }
}
