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

    /// Writes the plaintext of a record over `out`.
    pub(crate) fn write(self, payload: &[u8], out: &mut Vec<u8>) {
        out.clear();
        out.push(self.number());
        out.extend_from_slice(payload);
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
        let mut bytes = vec![9; 40];

        Content::Message.write(b"hills", &mut bytes);
        assert_eq!(bytes, b"\0hills");
        assert_eq!(Content::read(&bytes), Some((Content::Message, &b"hills"[..])));

        Content::Packet.write(b"", &mut bytes);
        assert_eq!(bytes, b"\x01");
        assert_eq!(Content::read(&bytes), Some((Content::Packet, &b""[..])));
    }

    #[test]
    fn what_is_empty_or_unknown_is_no_content() {
        assert_eq!(Content::read(b""), None);
        assert!((2..=255).all(|number| Content::read(&[number, 1]).is_none()));
    }
}
