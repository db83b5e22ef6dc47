//! The format of a DTLS record: 13 bytes of header, then the body (RFC 6347, 4.1).

use crate::discard::Malformation;

/// Bytes of a record header: 1 type, 2 version, 2 epoch, 6 sequence number, 2 length.
pub const RECORD_HEADER_BYTES: usize = 13;

/// The longest body of a protected record: 2^14 + 2048 bytes (RFC 5246, 6.2.3).
pub const RECORD_BODY_BYTES_MAX: usize = 16_384 + 2048;

/// The greatest sequence number: 48 bits (RFC 6347, 4.1).
pub(crate) const SEQUENCE_MAX: u64 = (1 << 48) - 1;

/// Bytes of a handshake message header: 1 type, 3 length, 2 message sequence, 3 fragment offset,
/// 3 fragment length (RFC 6347, 4.2.2).
pub(crate) const HANDSHAKE_HEADER_BYTES: usize = 12;

/// What a record carries (RFC 5246, 6.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ContentType {
    /// 20: what follows is protected by the keys of the next epoch.
    ChangeCipherSpec,
    /// 21: a warning, a fatal error, or the end.
    Alert,
    /// 22: a message of the handshake.
    Handshake,
    /// 23: bytes of the application.
    ApplicationData,
}

impl ContentType {
    /// Returns the type with this number, if there is one.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        match number {
            20 => Some(Self::ChangeCipherSpec),
            21 => Some(Self::Alert),
            22 => Some(Self::Handshake),
            23 => Some(Self::ApplicationData),
            _ => None,
        }
    }

    /// Returns the number of the type on the wire.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::ChangeCipherSpec => 20,
            Self::Alert => 21,
            Self::Handshake => 22,
            Self::ApplicationData => 23,
        }
    }
}

/// The header of a record, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordHeader {
    /// What the record carries.
    pub content_type: ContentType,
    /// The version, as on the wire: `0xfefd` is DTLS 1.2, `0xfeff` DTLS 1.0.
    pub version: u16,
    /// How many times the keys were changed before this record.
    pub epoch: u16,
    /// The number of the record within its epoch, 48 bits.
    pub sequence: u64,
    /// Bytes of body that follow the header.
    pub length: u16,
}

impl RecordHeader {
    /// Reads the header that bytes begin with, whether or not its record is whole; `None` when they are
    /// too few, or no content type has its number.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Option<Self> {
        Self::decode(bytes.first_chunk()?).ok()
    }

    fn decode(bytes: &[u8; RECORD_HEADER_BYTES]) -> Result<Self, Malformation> {
        let [kind, v0, v1, e0, e1, s0, s1, s2, s3, s4, s5, l0, l1] = *bytes;
        Ok(Self {
            content_type: ContentType::from_number(kind).ok_or(Malformation::UnknownType)?,
            version: u16::from_be_bytes([v0, v1]),
            epoch: u16::from_be_bytes([e0, e1]),
            sequence: u64::from_be_bytes([0, 0, s0, s1, s2, s3, s4, s5]),
            length: u16::from_be_bytes([l0, l1]),
        })
    }

    /// Returns the header's bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; RECORD_HEADER_BYTES] {
        let mut bytes = [0; RECORD_HEADER_BYTES];
        bytes[0] = self.content_type.number();
        bytes[1..3].copy_from_slice(&self.version.to_be_bytes());
        bytes[3..11].copy_from_slice(&self.number().to_be_bytes());
        bytes[11..13].copy_from_slice(&self.length.to_be_bytes());
        bytes
    }

    /// Returns epoch and sequence number together.
    #[must_use]
    pub fn number(&self) -> RecordNumber {
        RecordNumber { epoch: self.epoch, sequence: self.sequence }
    }
}

/// The number of a record within its session. Of two, the later is the greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RecordNumber {
    /// How many times the keys were changed before this record.
    pub epoch: u16,
    /// The number of the record within its epoch, 48 bits.
    pub sequence: u64,
}

impl RecordNumber {
    /// Returns the eight bytes as they stand in a header, and as the record protection uses them.
    #[must_use]
    pub fn to_be_bytes(self) -> [u8; 8] {
        ((u64::from(self.epoch) << 48) | (self.sequence & SEQUENCE_MAX)).to_be_bytes()
    }
}

/// One record in a datagram, borrowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// The header, taken apart.
    pub header: RecordHeader,
    /// The whole record, header included.
    pub bytes: &'a [u8],
}

impl<'a> Record<'a> {
    /// Takes the first record off the front of `datagram`; returns it and what follows it.
    ///
    /// # Errors
    /// Says which part of the header cannot be right.
    pub fn split(datagram: &'a [u8]) -> Result<(Self, &'a [u8]), Malformation> {
        let Some((header, rest)) = datagram.split_first_chunk::<RECORD_HEADER_BYTES>() else {
            return Err(Malformation::Truncated);
        };
        let header = RecordHeader::decode(header)?;
        let length = usize::from(header.length);
        if length > RECORD_BODY_BYTES_MAX {
            return Err(Malformation::TooLong);
        }
        if length > rest.len() {
            return Err(Malformation::Truncated);
        }
        let (bytes, rest) = datagram.split_at(RECORD_HEADER_BYTES + length);
        Ok((Self { header, bytes }, rest))
    }

    /// Returns the part behind the header.
    #[must_use]
    pub fn body(&self) -> &'a [u8] {
        &self.bytes[RECORD_HEADER_BYTES..]
    }
}

/// The records of one datagram, in order; ends after the first malformed one.
///
/// # Examples
/// ```
/// use peerbound_dtls::Records;
///
/// let datagram = [20, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 7, 0, 1, 1];
/// let record = Records::of(&datagram).next().expect("one record")?;
/// assert_eq!((record.header.epoch, record.header.sequence, record.body()), (0, 7, &[1][..]));
/// # Ok::<(), peerbound_dtls::Malformation>(())
/// ```
#[derive(Debug, Clone)]
pub struct Records<'a> {
    rest: &'a [u8],
}

impl<'a> Records<'a> {
    /// Walks over `datagram`. An empty datagram holds no records.
    #[must_use]
    pub fn of(datagram: &'a [u8]) -> Self {
        Self { rest: datagram }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, Malformation>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        match Record::split(self.rest) {
            Ok((record, rest)) => {
                self.rest = rest;
                Some(Ok(record))
            }
            Err(malformation) => {
                self.rest = &[];
                Some(Err(malformation))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(length: u16) -> RecordHeader {
        RecordHeader {
            content_type: ContentType::ApplicationData,
            version: 0xfefd,
            epoch: 0x0102,
            sequence: 0x0304_0506_0708,
            length,
        }
    }

    #[test]
    fn a_header_comes_back_as_it_went() {
        let bytes = [&header(3).encode()[..], b"abc", b"rest"].concat();

        let (record, rest) = Record::split(&bytes).unwrap();

        assert_eq!((record.header, record.body(), rest), (header(3), &b"abc"[..], &b"rest"[..]));
    }

    #[test]
    fn the_bytes_of_a_header_are_those_of_the_rfc() {
        let bytes = header(0x0100).encode();

        assert_eq!(bytes, [23, 0xfe, 0xfd, 1, 2, 3, 4, 5, 6, 7, 8, 1, 0]);
    }

    #[test]
    fn a_sequence_number_of_more_than_48_bits_does_not_reach_into_the_epoch() {
        let bytes = RecordHeader { sequence: u64::MAX, ..header(0) }.encode();

        let (record, _) = Record::split(&bytes).unwrap();

        assert_eq!((record.header.epoch, record.header.sequence), (0x0102, (1 << 48) - 1));
    }

    #[test]
    fn the_longest_body_is_taken_and_one_byte_more_is_not() {
        let longest = u16::try_from(RECORD_BODY_BYTES_MAX).unwrap();
        let datagram = |length: u16| [&header(length).encode()[..], &vec![0; usize::from(length)]].concat();

        assert!(Record::split(&datagram(longest)).is_ok());
        assert_eq!(Record::split(&datagram(longest + 1)), Err(Malformation::TooLong));
    }

    #[test]
    fn every_content_type_comes_back_from_its_number() {
        let known: Vec<_> = (0..=255).filter_map(ContentType::from_number).map(ContentType::number).collect();

        assert_eq!(known, [20, 21, 22, 23]);
    }
}
