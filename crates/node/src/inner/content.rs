//! What a record of an inner session holds: one byte that says what, then the thing itself.

/// What a payload is to its receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// Bytes of an application.
    Message,
    /// An IP packet.
    Packet,
}

/// Bytes in front of the content of an inner record.
pub(crate) const CONTENT_BYTES: usize = 1;

impl Content {
    /// Returns its number, the first byte of the plaintext.
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Message => 0,
            Self::Packet => 1,
        }
    }

    /// Returns what stands before the thing itself.
    pub(crate) fn front(self) -> [u8; CONTENT_BYTES] {
        [self.number()]
    }

    /// Takes a plaintext apart; `None` when it is empty or says something unknown.
    pub(crate) fn read(plaintext: &[u8]) -> Option<(Self, &[u8])> {
        let (number, payload) = plaintext.split_first()?;
        let content =
            [Self::Message, Self::Packet].into_iter().find(|content| content.number() == *number)?;
        Some((content, payload))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plaintext_is_one_byte_and_the_payload() {
        let written = |content: Content, payload: &[u8]| [&content.front()[..], payload].concat();

        assert_eq!(written(Content::Message, b"hills"), b"\0hills");
        assert_eq!(Content::read(b"\0hills"), Some((Content::Message, &b"hills"[..])));
        assert_eq!(written(Content::Packet, b""), b"\x01");
        assert_eq!(Content::read(b"\x01"), Some((Content::Packet, &b""[..])));
    }

    #[test]
    fn what_is_empty_or_unknown_is_no_content() {
        assert_eq!(Content::read(b""), None);
        assert!((2..=255).all(|number| Content::read(&[number, 1]).is_none()));
    }
}
