//! The two forms of a protected record, on the wire and under the seal: that of RFC 6347, 4.1 with 13
//! bytes of header, and that of RFC 9146, 4 with the id between number and length and the content type
//! inside. Pure: no session, no window, no address.

use peerbound_dtls::{
    DirectionKeys, Discard, Malformation, RECORD_BODY_BYTES_MAX, RECORD_HEADER_BYTES, RecordNumber, SealError,
};

use crate::connection_id::ConnectionId;
use crate::real_type::RealType;

/// The outer content type of a record with an id (RFC 9146, 4).
pub const TLS12_CID: u8 = 25;

/// The longest `DTLSInnerPlaintext`: 2^14 bytes (RFC 9146, 5).
pub const INNER_BYTES_MAX: usize = 1 << 14;

/// DTLS 1.2, as on the wire. Connection IDs of this form exist in no other version.
const VERSION: u16 = 0xfefd;

/// Bytes in front of an id: 1 type, 2 version, 8 number.
const BEFORE_ID_BYTES: usize = RECORD_HEADER_BYTES - 2;

/// `seq_num_placeholder` (RFC 9146, 5): eight bytes that no record number can be, since the content
/// type that follows them is one that no record without an id has.
const NUMBER_PLACEHOLDER: [u8; 8] = [0xff; 8];

/// In which form a record is sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form<'a> {
    /// That of RFC 6347: no id was negotiated for this direction.
    Plain,
    /// That of RFC 9146.
    Identified {
        /// The id that the receiver asked for.
        id: &'a ConnectionId,
        /// Zero bytes to add behind the content type, to hide how long the content is.
        padding: usize,
    },
}

/// All that goes into a record but its content and the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sealing<'a> {
    /// What the content is.
    pub real_type: RealType,
    /// The record's number. It must never be used twice with the same keys.
    pub number: RecordNumber,
    /// What goes into a GCM record as the explicit part of the nonce. It must never be used twice
    /// with the same keys; [`Sealing::nonce_of`] is a way to have it so.
    pub explicit_nonce: [u8; 8],
    /// With an id or without.
    pub form: Form<'a>,
}

impl Sealing<'_> {
    /// Returns the explicit nonce that RFC 5288, 3 suggests: the record's number.
    #[must_use]
    pub fn nonce_of(number: RecordNumber) -> [u8; 8] {
        number.to_be_bytes()
    }

    /// Seals `content` as one record.
    ///
    /// # Errors
    /// When the suite is no AEAD suite or the content is longer than a record's.
    pub fn seal(&self, keys: &DirectionKeys, content: &[u8]) -> Result<Vec<u8>, SealError> {
        let too_long = || SealError::TooLong { len: content.len() };
        let inner = match self.form {
            Form::Plain => content.to_vec(),
            Form::Identified { padding, .. } => {
                // Said first, so that a hostile amount of padding is never allocated.
                if content.len().saturating_add(1).saturating_add(padding) > INNER_BYTES_MAX {
                    return Err(too_long());
                }
                inner_plaintext(self.real_type, content, padding)
            }
        };
        if inner.len() > INNER_BYTES_MAX {
            return Err(too_long());
        }
        let (outer, id) = match self.form {
            Form::Plain => (self.real_type.number(), None),
            Form::Identified { id, .. } => (TLS12_CID, Some(id)),
        };
        let authenticated = match id {
            None => plain_additional_data(self.number, outer, VERSION, inner.len()),
            Some(id) => identified_additional_data(self.number, id, VERSION, inner.len()),
        };
        let body = keys.seal_body(self.number, self.explicit_nonce, &authenticated, &inner)?;
        let length = u16::try_from(body.len()).map_err(|_| too_long())?;
        let mut record = vec![outer];
        record.extend(VERSION.to_be_bytes());
        record.extend(self.number.to_be_bytes());
        record.extend(id.map_or(&[][..], ConnectionId::as_bytes));
        record.extend(length.to_be_bytes());
        record.extend(body);
        Ok(record)
    }
}

/// One record in a datagram, borrowed, as its header says it is; nothing is verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WireRecord<'a> {
    /// Which form it has, and what the header says because of it.
    pub form: WireForm<'a>,
    /// The version.
    pub version: u16,
    /// The number.
    pub number: RecordNumber,
    /// What follows the header.
    pub body: &'a [u8],
    /// The whole record.
    pub bytes: &'a [u8],
}

/// The form of a record, as seen from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WireForm<'a> {
    /// That of RFC 6347: the header says the content type.
    Plain(RealType),
    /// That of RFC 9146: the header says an id.
    Identified(&'a [u8]),
}

/// What was in a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// What the content is.
    pub real_type: RealType,
    /// The content.
    pub content: Vec<u8>,
}

impl<'a> WireRecord<'a> {
    /// Takes the first record off the front of `datagram`; returns it and what follows it. A record
    /// does not say how long its id is (RFC 9146, 3), so the receiver has to know: `id_bytes`.
    ///
    /// # Errors
    /// Says which part of the header cannot be right.
    pub fn split(datagram: &'a [u8], id_bytes: usize) -> Result<(Self, &'a [u8]), Malformation> {
        let Some((start, rest)) = datagram.split_first_chunk::<BEFORE_ID_BYTES>() else {
            return Err(Malformation::Truncated);
        };
        let [outer, v0, v1, e0, e1, s0, s1, s2, s3, s4, s5] = *start;
        let (form, rest) = if outer == TLS12_CID {
            let (id, rest) = rest.split_at_checked(id_bytes).ok_or(Malformation::Truncated)?;
            (WireForm::Identified(id), rest)
        } else {
            (WireForm::Plain(RealType::from_number(outer).ok_or(Malformation::UnknownType)?), rest)
        };
        let Some((length, rest)) = rest.split_first_chunk::<2>() else {
            return Err(Malformation::Truncated);
        };
        let length = usize::from(u16::from_be_bytes(*length));
        if length > RECORD_BODY_BYTES_MAX {
            return Err(Malformation::TooLong);
        }
        let (body, rest) = rest.split_at_checked(length).ok_or(Malformation::Truncated)?;
        let version = u16::from_be_bytes([v0, v1]);
        let epoch = u16::from_be_bytes([e0, e1]);
        let sequence = u64::from_be_bytes([0, 0, s0, s1, s2, s3, s4, s5]);
        let bytes = &datagram[..datagram.len() - rest.len()];
        Ok((Self { form, version, number: RecordNumber { epoch, sequence }, body, bytes }, rest))
    }

    /// Opens the record.
    ///
    /// # Errors
    /// `BadMac` when `keys` did not seal it, `UnknownType` when they did and no content type is in it.
    pub fn open(&self, keys: &DirectionKeys) -> Result<Opened, Discard> {
        if self.version != VERSION {
            return Err(Malformation::Version.into());
        }
        let Some(inner_bytes) = keys.added_bytes().and_then(|added| self.body.len().checked_sub(added))
        else {
            return Err(Malformation::ShortBody.into());
        };
        let authenticated = match self.form {
            WireForm::Plain(real_type) => {
                plain_additional_data(self.number, real_type.number(), self.version, inner_bytes)
            }
            WireForm::Identified(id) => {
                let Ok(id) = ConnectionId::new(id) else { return Err(Malformation::Truncated.into()) };
                identified_additional_data(self.number, &id, self.version, inner_bytes)
            }
        };
        let inner = keys.open_body(self.number, &authenticated, self.body).ok_or(Discard::BadMac)?;
        match self.form {
            WireForm::Plain(real_type) => Ok(Opened { real_type, content: inner }),
            WireForm::Identified(_) => content_of(inner).ok_or(Malformation::UnknownType.into()),
        }
    }
}

/// RFC 6347, 4.1.2.1 and RFC 5246, 6.2.3.3: number, type, version, length.
fn plain_additional_data(number: RecordNumber, outer: u8, version: u16, inner_bytes: usize) -> Vec<u8> {
    let mut bytes = number.to_be_bytes().to_vec();
    bytes.push(outer);
    bytes.extend(version.to_be_bytes());
    bytes.extend(short(inner_bytes));
    bytes
}

/// RFC 9146, 5.3: placeholder, `tls12_cid`, length of the id, `tls12_cid`, version, number, id, length.
fn identified_additional_data(
    number: RecordNumber,
    id: &ConnectionId,
    version: u16,
    inner_bytes: usize,
) -> Vec<u8> {
    let mut bytes = NUMBER_PLACEHOLDER.to_vec();
    bytes.extend([TLS12_CID, id.length_byte(), TLS12_CID]);
    bytes.extend(version.to_be_bytes());
    bytes.extend(number.to_be_bytes());
    bytes.extend(id.as_bytes());
    bytes.extend(short(inner_bytes));
    bytes
}

/// `DTLSInnerPlaintext` (RFC 9146, 4): content, type, zeros.
fn inner_plaintext(real_type: RealType, content: &[u8], padding: usize) -> Vec<u8> {
    let mut inner = content.to_vec();
    inner.push(real_type.number());
    inner.resize(inner.len() + padding, 0);
    inner
}

/// Takes a `DTLSInnerPlaintext` apart: its last byte that is not zero is the type.
fn content_of(mut inner: Vec<u8>) -> Option<Opened> {
    let type_at = inner.iter().rposition(|byte| *byte != 0)?;
    let real_type = RealType::from_number(inner[type_at])?;
    inner.truncate(type_at);
    Some(Opened { real_type, content: inner })
}

/// A length as it is authenticated. What does not fit is refused before it is sealed, and cannot have
/// been received.
fn short(length: usize) -> [u8; 2] {
    u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NUMBER: RecordNumber = RecordNumber { epoch: 1, sequence: 0x0102_0304_0506 };

    #[test]
    fn the_additional_data_with_an_id_is_the_one_worked_out_by_hand() {
        let id = ConnectionId::new(&[0xc1, 0xd2]).unwrap();

        let bytes = identified_additional_data(NUMBER, &id, VERSION, 6);

        // RFC 9146, 5.3, term by term.
        let by_hand = [
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff][..], // seq_num_placeholder
            &[0x19],                                               // tls12_cid
            &[0x02],                                               // cid_length
            &[0x19],                                               // tls12_cid
            &[0xfe, 0xfd],                                         // DTLSCiphertext.version
            &[0x00, 0x01],                                         // epoch
            &[0x01, 0x02, 0x03, 0x04, 0x05, 0x06],                 // sequence_number
            &[0xc1, 0xd2],                                         // cid
            &[0x00, 0x06],                                         // length_of_DTLSInnerPlaintext
        ];
        assert_eq!(bytes, by_hand.concat());
        assert_eq!(bytes.len(), 23 + 2);
    }

    #[test]
    fn the_additional_data_without_an_id_is_the_one_worked_out_by_hand() {
        let bytes = plain_additional_data(NUMBER, 23, VERSION, 5);

        // RFC 5246, 6.2.3.3 with the number of RFC 6347, 4.1.2.1.
        assert_eq!(bytes, [0, 1, 1, 2, 3, 4, 5, 6, 23, 0xfe, 0xfd, 0, 5]);
    }

    #[test]
    fn the_inner_plaintext_ends_with_its_type_and_zeros() {
        let inner = inner_plaintext(RealType::ApplicationData, b"abc", 2);

        assert_eq!(inner, [b'a', b'b', b'c', 23, 0, 0]);
    }

    #[test]
    fn content_comes_back_whatever_zeros_it_ends_with_itself() {
        for (content, padding) in [(&b"abc"[..], 0), (b"abc", 9), (b"", 0), (b"", 3), (&[7, 0, 0], 2)] {
            let opened = content_of(inner_plaintext(RealType::Alert, content, padding)).unwrap();

            assert_eq!((opened.real_type, &opened.content[..]), (RealType::Alert, content));
        }
    }

    #[test]
    fn zeros_alone_and_unknown_types_hold_no_content() {
        assert_eq!(content_of(vec![]), None);
        assert_eq!(content_of(vec![0; 40]), None);
        assert_eq!(content_of(vec![1, 2, TLS12_CID, 0]), None);
    }

    #[test]
    fn a_header_with_an_id_is_longer_by_the_id() {
        let datagram = [25, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 9, 0xaa, 0xbb, 0, 3, 1, 2, 3, 77];

        let (record, rest) = WireRecord::split(&datagram, 2).unwrap();

        assert_eq!(record.form, WireForm::Identified(&[0xaa, 0xbb]));
        assert_eq!(record.number, RecordNumber { epoch: 1, sequence: 9 });
        assert_eq!((record.body, record.bytes.len(), rest), (&[1, 2, 3][..], 18, &[77][..]));
    }
}
