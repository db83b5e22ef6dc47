//! Writes records by hand, as somebody does who knows no keys.

use peerbound_dtls::{RECORD_HEADER_BYTES, Record, RecordHeader};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;

use crate::scenario::{Edit, ForgedBody, ForgedRecord, HandshakeMessage, Sequence, Version};

/// TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 (RFC 5289).
const SUITE: [u8; 2] = [0xc0, 0x2b];

/// Writes a record; its number was found before.
pub(crate) fn record(forged: &ForgedRecord, sequence: u64, chance: &mut ChaCha8Rng) -> Vec<u8> {
    let body = match &forged.body {
        ForgedBody::Bytes(bytes) => bytes.clone(),
        ForgedBody::Random(length) => random(usize::from(*length), chance),
        ForgedBody::Handshake(message) => handshake(*message, chance),
    };
    let header = RecordHeader {
        content_type: forged.content_type,
        version: number_of(forged.version),
        epoch: forged.epoch,
        sequence,
        length: u16::try_from(body.len()).unwrap_or(u16::MAX),
    };
    [&header.encode()[..], &body].concat()
}

/// Returns the version as it stands on the wire.
pub(crate) fn number_of(version: Version) -> u16 {
    match version {
        Version::Dtls10 => 0xfeff,
        Version::Dtls12 => 0xfefd,
    }
}

/// Writes a handshake message with its header of 12 bytes (RFC 6347, 4.2.2): well formed, and of
/// random numbers where a real one would hold keys and signatures.
fn handshake(message: HandshakeMessage, chance: &mut ChaCha8Rng) -> Vec<u8> {
    let mut with = |front: &[u8], length: usize| [front, &random(length, chance)].concat();
    let (sequence, body): (u8, Vec<u8>) = match message {
        HandshakeMessage::HelloRequest => (0, Vec::new()),
        // Version, random, no session, no cookie, two suites, no compression.
        HandshakeMessage::ClientHello => {
            let front = with(&[0xfe, 0xfd], 32);
            (0, [&front[..], &[0, 0, 0, 4], &SUITE, &[0, 0xff, 1, 0]].concat())
        }
        HandshakeMessage::HelloVerifyRequest => (0, with(&[0xfe, 0xff, 20], 20)),
        HandshakeMessage::ServerHello => {
            let front = with(&[0xfe, 0xfd], 32);
            (1, [&front[..], &[0], &SUITE, &[0]].concat())
        }
        HandshakeMessage::Certificate => (2, vec![0, 0, 0]),
        // A point on P-256 and a signature that are neither.
        HandshakeMessage::ServerKeyExchange => {
            let point = with(&[3, 0, 23, 65, 4], 64);
            (3, [&point[..], &with(&[4, 3, 0, 70], 70)].concat())
        }
        HandshakeMessage::CertificateRequest => (4, vec![1, 64, 0, 2, 4, 3, 0, 0]),
        HandshakeMessage::ServerHelloDone => (5, Vec::new()),
        HandshakeMessage::ClientKeyExchange => (3, with(&[65, 4], 64)),
        HandshakeMessage::CertificateVerify => (4, with(&[4, 3, 0, 70], 70)),
        HandshakeMessage::Finished => (5, with(&[], 12)),
    };
    let length = u32::try_from(body.len()).unwrap_or(0).to_be_bytes();
    let length = &length[1..];
    [&[message.number()], length, &[0, sequence, 0, 0, 0], length, &body].concat()
}

fn random(length: usize, chance: &mut ChaCha8Rng) -> Vec<u8> {
    let mut bytes = vec![0; length];
    chance.fill_bytes(&mut bytes);
    bytes
}

/// Changes the first record of a datagram. Numbers that depend on the receiver are found before, by
/// `sequence_of`. Bits and bytes that are not there are left alone.
pub(crate) fn edit(datagram: &mut Vec<u8>, edit: &Edit, sequence_of: impl Fn(Sequence) -> u64) {
    match *edit {
        Edit::SetSequence(sequence) => {
            let number = sequence_of(sequence).to_be_bytes();
            write(datagram, 5, &number[2..]);
        }
        Edit::SetEpoch(epoch) => write(datagram, 3, &epoch.to_be_bytes()),
        Edit::FlipBit(bit) => flip_bit(datagram, bit),
        Edit::Truncate(length) => {
            datagram.truncate(RECORD_HEADER_BYTES + usize::from(length));
            let body = datagram.len().saturating_sub(RECORD_HEADER_BYTES);
            write(datagram, 11, &u16::try_from(body).unwrap_or(length).to_be_bytes());
        }
    }
}

/// Turns over one bit of the first record's body: from the front, or with a negative number from the
/// end.
pub(crate) fn flip_bit(datagram: &mut [u8], bit: i64) {
    let length = Record::split(datagram).map_or(0, |(record, _)| record.body().len());
    let Some(body) = datagram.get_mut(RECORD_HEADER_BYTES..RECORD_HEADER_BYTES + length) else {
        return;
    };
    let bits = i64::try_from(body.len()).unwrap_or(0) * 8;
    let place = if bit < 0 { bits + bit } else { bit };
    let Some(place) = usize::try_from(place).ok() else {
        return;
    };
    // The first bit is the highest of the first byte, as RFCs count.
    if let Some(byte) = body.get_mut(place / 8) {
        *byte ^= 0x80 >> (place % 8);
    }
}

fn write(datagram: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(place) = datagram.get_mut(at..at + bytes.len()) {
        place.copy_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use peerbound_dtls::{ContentType, is_client_hello};
    use rand_chacha::rand_core::SeedableRng;

    use super::*;
    use crate::run::pattern::fits;
    use crate::scenario::{Pattern, Word};

    fn forged(body: ForgedBody) -> ForgedRecord {
        ForgedRecord {
            content_type: ContentType::Handshake,
            version: Version::Dtls12,
            epoch: 0,
            sequence: Sequence::Number(0),
            body,
        }
    }

    #[test]
    fn every_forged_message_is_a_record_that_holds_it() {
        let mut chance = ChaCha8Rng::seed_from_u64(1);
        for (word, message) in HandshakeMessage::WORDS {
            if *message == HandshakeMessage::Finished {
                continue; // known by its place, which is epoch 1
            }
            let bytes = record(&forged(ForgedBody::Handshake(*message)), 7, &mut chance);

            let pattern = Pattern { handshake: Some(*message), ..Pattern::default() };

            assert!(fits(&pattern, &bytes), "{word}");
            assert_eq!(Record::split(&bytes).unwrap().1, b"", "{word}");
        }
    }

    #[test]
    fn a_forged_hello_passes_for_one() {
        let hello = ForgedBody::Handshake(HandshakeMessage::ClientHello);

        assert!(is_client_hello(&record(&forged(hello), 0, &mut ChaCha8Rng::seed_from_u64(1))));
    }

    #[test]
    fn edits_change_what_they_name_and_nothing_else() {
        let original = record(&forged(ForgedBody::Bytes(vec![0; 4])), 5, &mut ChaCha8Rng::seed_from_u64(1));
        let changed = |what: Edit| {
            let mut datagram = original.clone();
            edit(&mut datagram, &what, |sequence| match sequence {
                Sequence::Number(number) => number,
                Sequence::Newest(ahead) => 100_u64.saturating_add_signed(ahead),
            });
            datagram
        };
        let header = |datagram: &[u8]| Record::split(datagram).unwrap().0.header;

        assert_eq!(header(&changed(Edit::SetSequence(Sequence::Newest(-1)))).sequence, 99);
        assert_eq!(header(&changed(Edit::SetEpoch(3))).epoch, 3);
        assert_eq!(changed(Edit::FlipBit(0))[13..], [0x80, 0, 0, 0]);
        assert_eq!(changed(Edit::FlipBit(-1))[13..], [0, 0, 0, 1]);
        assert_eq!(changed(Edit::FlipBit(32)), original);
        assert_eq!(header(&changed(Edit::Truncate(1))).length, 1);
        assert_eq!(changed(Edit::Truncate(1)).len(), 14);
    }
}
