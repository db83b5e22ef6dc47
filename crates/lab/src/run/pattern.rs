//! Whether a datagram looks as a scenario says: by the handshake messages and records in it.

use peerbound_dtls::{ContentType, Record, Records};
use peerbound_sim::handshake_fragments;

use crate::scenario::{HandshakeMessage, Pattern};

/// Returns whether one of the records of `datagram` is as the pattern says.
pub(crate) fn fits(pattern: &Pattern, datagram: &[u8]) -> bool {
    if *pattern == Pattern::default() {
        return true;
    }
    Records::of(datagram).map_while(Result::ok).any(|record| {
        pattern.record.is_none_or(|content_type| record.header.content_type == content_type)
            && pattern.epoch.is_none_or(|epoch| record.header.epoch == epoch)
            && pattern.handshake.is_none_or(|message| holds(&record, message))
    })
}

fn holds(record: &Record<'_>, message: HandshakeMessage) -> bool {
    if record.header.content_type != ContentType::Handshake {
        return false;
    }
    // What a protected handshake record holds cannot be seen; in a first handshake it is the Finished.
    if record.header.epoch > 0 {
        return message == HandshakeMessage::Finished;
    }
    handshake_fragments(record.body()).any(|(number, _)| number == message.number())
}

#[cfg(test)]
mod tests {
    use peerbound_dtls::RecordHeader;

    use super::*;

    fn record(content_type: ContentType, epoch: u16, body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(body.len()).unwrap();
        let header = RecordHeader { content_type, version: 0xfefd, epoch, sequence: 0, length };
        [&header.encode()[..], body].concat()
    }

    fn message(number: u8, body: &[u8]) -> Vec<u8> {
        let length = u8::try_from(body.len()).unwrap();
        [&[number, 0, 0, length, 0, 0, 0, 0, 0, 0, 0, length], body].concat()
    }

    fn of(handshake: HandshakeMessage) -> Pattern {
        Pattern { handshake: Some(handshake), ..Pattern::default() }
    }

    #[test]
    fn a_packed_flight_holds_each_of_its_messages() {
        let flight = [
            record(ContentType::Handshake, 0, &[message(2, b"hello"), message(11, b"certificate")].concat()),
            record(ContentType::Handshake, 0, &message(14, b"")),
        ]
        .concat();

        assert!(fits(&of(HandshakeMessage::ServerHello), &flight));
        assert!(fits(&of(HandshakeMessage::Certificate), &flight));
        assert!(fits(&of(HandshakeMessage::ServerHelloDone), &flight));
        assert!(!fits(&of(HandshakeMessage::ClientHello), &flight));
        assert!(!fits(&of(HandshakeMessage::Finished), &flight));
    }

    #[test]
    fn a_finished_is_known_by_its_place() {
        let flight =
            [record(ContentType::ChangeCipherSpec, 0, &[1]), record(ContentType::Handshake, 1, &[0x5a; 48])]
                .concat();

        assert!(fits(&of(HandshakeMessage::Finished), &flight));
        assert!(!fits(&of(HandshakeMessage::HelloRequest), &flight));
    }

    #[test]
    fn type_and_epoch_must_be_those_of_one_record() {
        let both =
            [record(ContentType::Alert, 0, &[2, 40]), record(ContentType::ApplicationData, 1, &[0; 30])]
                .concat();
        let pattern =
            |record, epoch| Pattern { record: Some(record), epoch: Some(epoch), ..Pattern::default() };

        assert!(fits(&pattern(ContentType::Alert, 0), &both));
        assert!(fits(&pattern(ContentType::ApplicationData, 1), &both));
        assert!(!fits(&pattern(ContentType::Alert, 1), &both));
    }

    #[test]
    fn a_pattern_without_words_fits_everything() {
        assert!(fits(&Pattern::default(), b""));
        assert!(!fits(&of(HandshakeMessage::ClientHello), b"no record"));
    }
}
