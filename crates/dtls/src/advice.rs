//! What a node without a session says to a peer that still has one: a fatal alert in the clear. Anyone
//! can write such a record, so it is advice and never an order: whoever hears it dials beside the session
//! it lives by.

use crate::gate::VERSION_DTLS_1_2;
use crate::record::{ContentType, RECORD_HEADER_BYTES, Record, RecordHeader};

/// Bytes of the advice: a record header, the level and the description.
pub const ADVICE_BYTES: usize = RECORD_HEADER_BYTES + 2;

/// The levels and the description (RFC 5246, 7.2): "a record that does not belong here".
const FATAL: u8 = 2;
const UNEXPECTED_MESSAGE: u8 = 10;

/// Returns the advice for whoever sent a datagram of a session that is not known here; `None` where the
/// datagram begins with something else, or is not longer than the answer. The answer carries the number of
/// the record that it is about, as a HelloVerifyRequest does (RFC 6347, 4.2.1): the peer knows by it that
/// the advice comes from somebody who saw its record.
#[must_use]
pub fn advice_for(datagram: &[u8]) -> Option<[u8; ADVICE_BYTES]> {
    let (record, _) = Record::split(datagram).ok()?;
    if record.header.epoch == 0 || datagram.len() <= ADVICE_BYTES {
        return None; // an answer to advice would be the first of many
    }
    let header = RecordHeader {
        content_type: ContentType::Alert,
        version: VERSION_DTLS_1_2,
        epoch: 0,
        sequence: record.header.sequence,
        length: 2,
    };
    let mut advice = [0; ADVICE_BYTES];
    advice[..RECORD_HEADER_BYTES].copy_from_slice(&header.encode());
    advice[RECORD_HEADER_BYTES..].copy_from_slice(&[FATAL, UNEXPECTED_MESSAGE]);
    Some(advice)
}

/// Returns the number of the record that a datagram is advice about, if it is advice and nothing else.
pub(crate) fn advice_about(datagram: &[u8]) -> Option<u64> {
    let (record, rest) = Record::split(datagram).ok()?;
    let header = &record.header;
    let is_advice = rest.is_empty()
        && header.epoch == 0
        && header.content_type == ContentType::Alert
        && matches!(record.body(), [FATAL, UNEXPECTED_MESSAGE]);
    is_advice.then_some(header.sequence)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(epoch: u16, body_bytes: u16) -> Vec<u8> {
        let header = RecordHeader {
            content_type: ContentType::ApplicationData,
            version: VERSION_DTLS_1_2,
            epoch,
            sequence: 0x0102_0304_0506,
            length: body_bytes,
        };
        let mut bytes = header.encode().to_vec();
        bytes.resize(bytes.len() + usize::from(body_bytes), 0xab);
        bytes
    }

    #[test]
    fn advice_is_a_fatal_alert_in_the_clear_that_quotes_the_number() {
        let advice = advice_for(&record(1, 24)).expect("a record of a session");

        assert_eq!(advice, [21, 0xfe, 0xfd, 0, 0, 1, 2, 3, 4, 5, 6, 0, 2, 2, 10]);
        assert_eq!(advice_about(&advice), Some(0x0102_0304_0506));
    }

    #[test]
    fn nothing_in_the_clear_is_answered_and_nothing_with_more_than_came() {
        let advice = advice_for(&record(1, 24)).expect("a record of a session");

        assert_eq!(advice_for(&advice), None);
        assert_eq!(advice_for(&record(0, 200)), None);
        assert_eq!(advice_for(&record(1, 2)), None);
        assert_eq!(advice_for(&record(1, 24)[..20]), None);
        assert_eq!(advice_for(b""), None);
    }

    #[test]
    fn another_alert_or_one_in_company_is_no_advice() {
        let mut advice = advice_for(&record(1, 24)).expect("a record of a session").to_vec();
        advice.extend(record(0, 4));
        assert_eq!(advice_about(&advice), None);

        advice.truncate(ADVICE_BYTES);
        advice[14] = 40;
        assert_eq!(advice_about(&advice), None);
    }
}
