//! Which handshake messages a datagram carries in the clear (RFC 6347, 4.2.2). Messages of epoch 1, as
//! Finished, are sealed: nobody on the path sees more of them than that they are handshake records.

use peerbound_dtls::{ContentType, Record, Records};

/// Bytes of a handshake message header: 1 type, 3 length, 2 message sequence, 3 fragment offset,
/// 3 fragment length.
const HEADER_BYTES: usize = 12;

/// A type of handshake message (RFC 5246, 7.4; RFC 6347, 4.3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum HandshakeType {
    /// 0: please begin a handshake.
    HelloRequest,
    /// 1: opens every handshake.
    ClientHello,
    /// 2: what was chosen.
    ServerHello,
    /// 3: come again with this cookie.
    HelloVerifyRequest,
    /// 4: for a resumption without state at the server.
    NewSessionTicket,
    /// 11: a chain of certificates.
    Certificate,
    /// 12: the server's half of the key exchange, signed.
    ServerKeyExchange,
    /// 13: the client is to show a certificate, too.
    CertificateRequest,
    /// 14: the server has said everything.
    ServerHelloDone,
    /// 15: the client's signature.
    CertificateVerify,
    /// 16: the client's half of the key exchange.
    ClientKeyExchange,
}

impl HandshakeType {
    /// Every type that can be seen in the clear.
    pub const ALL: [Self; 11] = [
        Self::HelloRequest,
        Self::ClientHello,
        Self::ServerHello,
        Self::HelloVerifyRequest,
        Self::NewSessionTicket,
        Self::Certificate,
        Self::ServerKeyExchange,
        Self::CertificateRequest,
        Self::ServerHelloDone,
        Self::CertificateVerify,
        Self::ClientKeyExchange,
    ];

    /// Returns the number of the type on the wire.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::HelloRequest => 0,
            Self::ClientHello => 1,
            Self::ServerHello => 2,
            Self::HelloVerifyRequest => 3,
            Self::NewSessionTicket => 4,
            Self::Certificate => 11,
            Self::ServerKeyExchange => 12,
            Self::CertificateRequest => 13,
            Self::ServerHelloDone => 14,
            Self::CertificateVerify => 15,
            Self::ClientKeyExchange => 16,
        }
    }

    /// Returns the type with this number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|message| message.number() == number)
    }

    /// Returns the type's name, as the RFCs write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::HelloRequest => "HelloRequest",
            Self::ClientHello => "ClientHello",
            Self::ServerHello => "ServerHello",
            Self::HelloVerifyRequest => "HelloVerifyRequest",
            Self::NewSessionTicket => "NewSessionTicket",
            Self::Certificate => "Certificate",
            Self::ServerKeyExchange => "ServerKeyExchange",
            Self::CertificateRequest => "CertificateRequest",
            Self::ServerHelloDone => "ServerHelloDone",
            Self::CertificateVerify => "CertificateVerify",
            Self::ClientKeyExchange => "ClientKeyExchange",
        }
    }

    /// Returns the type with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|message| message.name() == name)
    }
}

/// Lists the messages that begin in a datagram, in the clear, in order. A packed flight carries several;
/// of a message in fragments only the datagram with the first fragment is said to carry it.
pub fn handshake_messages(datagram: &[u8]) -> impl Iterator<Item = HandshakeType> {
    Records::of(datagram)
        .filter_map(Result::ok)
        .filter(|record| record.header.epoch == 0 && record.header.content_type == ContentType::Handshake)
        .flat_map(|record| handshake_fragments(Record::body(&record)))
        .filter(|(_, offset)| *offset == 0)
        .filter_map(|(number, _)| HandshakeType::from_number(number))
}

/// Lists the handshake messages, or fragments of such, in the body of one record in the clear: of each the
/// number of its type, known or not, and its offset in the message.
pub fn handshake_fragments(body: &[u8]) -> impl Iterator<Item = (u8, u32)> {
    Fragments { rest: body }
}

struct Fragments<'a> {
    rest: &'a [u8],
}

impl Iterator for Fragments<'_> {
    type Item = (u8, u32);

    fn next(&mut self) -> Option<Self::Item> {
        let (header, rest) = self.rest.split_first_chunk::<HEADER_BYTES>()?;
        let [kind, _, _, _, _, _, o0, o1, o2, f0, f1, f2] = *header;
        let length = usize::try_from(u32::from_be_bytes([0, f0, f1, f2])).ok()?;
        self.rest = rest.get(length..).unwrap_or_default();
        Some((kind, u32::from_be_bytes([0, o0, o1, o2])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(epoch: u8, messages: &[(u8, u8, u8)]) -> Vec<u8> {
        let mut body = Vec::new();
        for (kind, offset, length) in messages {
            body.extend([*kind, 0, 0, 200, 0, 1, 0, 0, *offset, 0, 0, *length]);
            body.resize(body.len() + usize::from(*length), 0);
        }
        let mut bytes =
            vec![22, 0xfe, 0xfd, 0, epoch, 0, 0, 0, 0, 0, 0, 0, u8::try_from(body.len()).unwrap()];
        bytes.extend(body);
        bytes
    }

    fn messages(datagram: &[u8]) -> Vec<HandshakeType> {
        handshake_messages(datagram).collect()
    }

    #[test]
    fn a_packed_flight_carries_each_of_its_messages() {
        let datagram = [record(0, &[(2, 0, 3), (11, 0, 5)]), record(0, &[(14, 0, 0)])].concat();

        use HandshakeType::{Certificate, ServerHello, ServerHelloDone};
        assert_eq!(messages(&datagram), [ServerHello, Certificate, ServerHelloDone]);
    }

    #[test]
    fn a_message_is_in_the_datagram_with_its_first_fragment() {
        assert_eq!(messages(&record(0, &[(11, 0, 9)])), [HandshakeType::Certificate]);
        assert_eq!(messages(&record(0, &[(11, 9, 9)])), []);
    }

    #[test]
    fn sealed_and_broken_records_show_nothing() {
        assert_eq!(messages(&record(1, &[(2, 0, 3)])), []);
        assert_eq!(messages(&record(0, &[(2, 0, 3)])[..20]), []);
        assert_eq!(messages(&[]), []);
    }

    #[test]
    fn every_type_comes_back_from_its_number_and_its_name() {
        for message in HandshakeType::ALL {
            assert_eq!(HandshakeType::from_number(message.number()), Some(message));
            assert_eq!(HandshakeType::from_name(message.name()), Some(message));
        }
    }
}
