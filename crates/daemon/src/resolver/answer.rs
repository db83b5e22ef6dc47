//! Answers one question about names of the overlay, and refuses all others: it asks nobody else.

use std::net::Ipv6Addr;
use std::str::FromStr;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::rdata::{AAAA, PTR, SOA};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use peerbound_wire::NodeId;

use crate::resolver::directory::Directory;

/// The longest question that is looked at, and the longest answer that is given: what crosses every IPv6 link
/// unfragmented (RFC 9715).
pub(crate) const MESSAGE_BYTES_MAX: usize = 1232;

/// Bytes of the header of a message (RFC 1035, 4.1.1).
const HEADER_BYTES: usize = 12;

/// How long an answer may be kept, in seconds. Names come and go with nodes.
const SECONDS_TO_LIVE: u32 = 10;

/// The domain of the names, and that of the addresses: `fd00::/8`, backwards.
const DOMAIN: &str = "peerbound";
const REVERSE_DOMAIN: [&str; 4] = ["d", "f", "ip6", "arpa"];

/// Labels of an address in the tree of reverse names (RFC 3596, 2.5).
const REVERSE_LABELS: usize = 32 + 2;

/// What there is under a name.
enum Found {
    Records(Vec<RData>),
    /// The name is there, and nothing of the type that was asked for.
    NoData,
    NoSuchName,
    /// The name is in none of our domains.
    NotOurs,
}

/// Answers a message; `None` where nothing is to be said.
pub(crate) fn answer(question: &[u8], directory: &Directory) -> Option<Vec<u8>> {
    let header = question.first_chunk::<HEADER_BYTES>()?;
    let is_response = header[2] & 0x80 != 0;
    if is_response {
        // To answer an answer would let two resolvers talk to each other for ever.
        return None;
    }
    let id = u16::from_be_bytes([header[0], header[1]]);
    let op_code = OpCode::from_u8((header[2] >> 3) & 0x0f);
    let response = respond(question, (id, op_code), directory);
    let bytes = response.to_vec().ok()?;
    (bytes.len() <= MESSAGE_BYTES_MAX).then_some(bytes)
}

fn respond(question: &[u8], (id, op_code): (u16, OpCode), directory: &Directory) -> Message {
    let refuse = |code| Message::error_msg(id, op_code, code);
    if op_code != OpCode::Query {
        return refuse(ResponseCode::NotImp);
    }
    // One question, and besides it nothing but what EDNS and signatures add. So the counts that a stranger
    // claims cost nothing.
    let counts = [4, 6, 8, 10].map(|at| u16::from_be_bytes([question[at], question[at + 1]]));
    let is_plain = matches!(counts, [1, 0, 0, 0..=2]) && question.len() <= MESSAGE_BYTES_MAX;
    let Some(asked) = is_plain.then(|| Message::from_vec(question).ok()).flatten() else {
        return refuse(ResponseCode::FormErr);
    };
    let [query] = &asked.queries[..] else {
        return refuse(ResponseCode::FormErr);
    };
    let mut response = Message::new(id, MessageType::Response, op_code);
    response.metadata.recursion_desired = asked.metadata.recursion_desired;
    response.add_query(query.clone());
    if let Some(edns) = &asked.edns {
        let mut ours = Edns::new();
        ours.set_max_payload(u16::try_from(MESSAGE_BYTES_MAX).unwrap_or(512));
        if edns.version() > 0 {
            // RFC 6891, 6.1.3.
            response.metadata.response_code = ResponseCode::BADVERS;
            response.set_edns(ours);
            return response;
        }
        response.set_edns(ours);
    }
    if !matches!(query.query_class(), DNSClass::IN | DNSClass::ANY) {
        response.metadata.response_code = ResponseCode::Refused;
        return response;
    }
    let found = find(query.name(), query.query_type(), directory);
    response.metadata.authoritative = !matches!(found, Found::NotOurs);
    match found {
        Found::Records(records) => {
            let records = records.into_iter();
            response.add_answers(
                records.map(|data| Record::from_rdata(query.name().clone(), SECONDS_TO_LIVE, data)),
            );
        }
        Found::NoData => add_authority(&mut response, query.name()),
        Found::NoSuchName => {
            response.metadata.response_code = ResponseCode::NXDomain;
            add_authority(&mut response, query.name());
        }
        Found::NotOurs => response.metadata.response_code = ResponseCode::Refused,
    }
    response
}

fn find(name: &Name, kind: RecordType, directory: &Directory) -> Found {
    let labels: Vec<_> = name.iter().map(|label| label.to_ascii_lowercase()).collect();
    let labels: Vec<_> = labels.iter().map(|label| std::str::from_utf8(label).unwrap_or("")).collect();
    match labels[..] {
        [DOMAIN] => of_kind(kind, RecordType::SOA, || authority(&domain(name)).map(RData::SOA)),
        [label, DOMAIN] => match address_of(label, directory) {
            Some(address) => of_kind(kind, RecordType::AAAA, || Some(RData::AAAA(AAAA(address)))),
            None => Found::NoSuchName,
        },
        [.., DOMAIN] => Found::NoSuchName,
        _ if labels.ends_with(&REVERSE_DOMAIN) => find_reverse(&labels, name, kind, directory),
        _ => Found::NotOurs,
    }
}

fn find_reverse(labels: &[&str], name: &Name, kind: RecordType, directory: &Directory) -> Found {
    let digits = labels.len().checked_sub(2).and_then(|digits| labels.get(..digits)).unwrap_or_default();
    let is_digit = |label: &&str| label.len() == 1 && label.bytes().all(|byte| byte.is_ascii_hexdigit());
    if labels.len() > REVERSE_LABELS || !digits.iter().all(is_digit) {
        return Found::NoSuchName;
    }
    if labels.len() == REVERSE_DOMAIN.len() {
        return of_kind(kind, RecordType::SOA, || authority(&domain(name)).map(RData::SOA));
    }
    if labels.len() < REVERSE_LABELS {
        // There may be addresses below (RFC 8020).
        return Found::NoData;
    }
    let address = digits.iter().rev().try_fold(0_u128, |address, digit| {
        Some(address << 4 | u128::from(u8::from_str_radix(digit, 16).ok()?))
    });
    let found = address.and_then(|address| directory.name_of(Ipv6Addr::from(address)));
    match found.and_then(|label| Name::from_ascii(format!("{label}.{DOMAIN}.")).ok()) {
        Some(name) => of_kind(kind, RecordType::PTR, || Some(RData::PTR(PTR(name)))),
        None => Found::NoSuchName,
    }
}

/// A name is that of a node, or its id, which needs no directory: the address follows from it.
fn address_of(label: &str, directory: &Directory) -> Option<Ipv6Addr> {
    NodeId::from_str(label).map(|id| id.address()).ok().or_else(|| directory.address_of(label))
}

fn of_kind(asked: RecordType, there: RecordType, data: impl FnOnce() -> Option<RData>) -> Found {
    if asked != there && asked != RecordType::ANY {
        return Found::NoData;
    }
    data().map_or(Found::NoData, |data| Found::Records(vec![data]))
}

/// Says for how long there may be thought to be nothing (RFC 2308, 3).
fn add_authority(response: &mut Message, name: &Name) {
    let domain = domain(name);
    if let Some(soa) = authority(&domain) {
        response.add_authority(Record::from_rdata(domain, SECONDS_TO_LIVE, RData::SOA(soa)));
    }
}

/// Returns which of our domains a name is in, in the letters of the question.
fn domain(name: &Name) -> Name {
    let is_reverse = name.iter().next_back().is_some_and(|label| label.eq_ignore_ascii_case(b"arpa"));
    name.trim_to(if is_reverse { REVERSE_DOMAIN.len() } else { 1 })
}

fn authority(domain: &Name) -> Option<SOA> {
    // Nobody's mailbox, as RFC 2606 has it.
    let mailbox = Name::from_ascii("nobody.invalid.").ok()?;
    let seconds = i32::try_from(SECONDS_TO_LIVE).ok()?;
    Some(SOA::new(domain.clone(), mailbox, 1, seconds, seconds, seconds, SECONDS_TO_LIVE))
}

#[cfg(test)]
mod tests {
    use hickory_proto::op::Query;
    use peerbound_wire::NodeId;
    use proptest::prelude::*;

    use super::*;
    use crate::daemon::Nodes;

    const A: NodeId = NodeId::new([0xa1; 16]);

    fn directory() -> Directory {
        Directory::new(&[(A, "Printer".to_owned())].into(), &Nodes::new())
    }

    fn question(name: &str, kind: RecordType) -> Message {
        let mut message = Message::new(77, MessageType::Query, OpCode::Query);
        message.metadata.recursion_desired = true;
        message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
        message
    }

    fn ask_with(message: &Message) -> Message {
        Message::from_vec(&answer(&message.to_vec().unwrap(), &directory()).unwrap()).unwrap()
    }

    fn ask(name: &str, kind: RecordType) -> Message {
        ask_with(&question(name, kind))
    }

    #[test]
    fn a_name_leads_to_the_address_of_its_node() {
        let response = ask("PRINTER.peerbound.", RecordType::AAAA);

        assert_eq!(response.metadata.response_code, ResponseCode::NoError);
        assert_eq!((response.metadata.id, response.metadata.authoritative), (77, true));
        assert!(!response.metadata.recursion_available);
        let [record] = &response.answers[..] else { panic!("{response:?}") };
        assert_eq!(record.data, RData::AAAA(AAAA(A.address())));
    }

    #[test]
    fn an_id_is_a_name_of_its_own() {
        let response = ask(&format!("{A}.peerbound."), RecordType::AAAA);

        assert_eq!(response.answers[0].data, RData::AAAA(AAAA(A.address())));
    }

    #[test]
    fn an_address_leads_back_to_the_name() {
        let reverse = Name::from(A.address()).to_ascii();

        let response = ask(&reverse, RecordType::PTR);

        let printer = Name::from_ascii("printer.peerbound.").unwrap();
        assert_eq!(response.answers[0].data, RData::PTR(PTR(printer)));
        let nobody = Name::from(NodeId::new([9; 16]).address()).to_ascii();
        assert_eq!(ask(&nobody, RecordType::PTR).metadata.response_code, ResponseCode::NXDomain);
        assert_eq!(ask("1.d.f.ip6.arpa.", RecordType::PTR).metadata.response_code, ResponseCode::NoError);
    }

    #[test]
    fn a_name_that_is_there_without_such_a_record_is_not_denied() {
        for kind in [RecordType::A, RecordType::MX, RecordType::HTTPS] {
            let response = ask("printer.peerbound.", kind);

            assert_eq!(response.metadata.response_code, ResponseCode::NoError);
            assert!(response.answers.is_empty());
            assert_eq!(response.authorities[0].record_type(), RecordType::SOA);
        }
    }

    #[test]
    fn a_name_that_nobody_has_is_denied_with_how_long_that_holds() {
        for name in ["plotter.peerbound.", "x.printer.peerbound."] {
            let response = ask(name, RecordType::AAAA);

            assert_eq!(response.metadata.response_code, ResponseCode::NXDomain);
            assert_eq!(response.authorities[0].record_type(), RecordType::SOA);
            assert_eq!(response.authorities[0].name.to_ascii(), "peerbound.");
        }
    }

    #[test]
    fn what_is_not_ours_is_refused_and_nobody_else_is_asked() {
        for name in ["example.org.", ".", "notpeerbound.", "1.0.0.127.in-addr.arpa.", "8.e.f.ip6.arpa."] {
            let response = ask(name, RecordType::AAAA);

            assert_eq!(response.metadata.response_code, ResponseCode::Refused, "{name}");
            assert!(response.answers.is_empty() && response.authorities.is_empty());
        }
    }

    #[test]
    fn other_requests_and_other_numbers_of_questions_are_refused_in_their_own_words() {
        let mut two = question("printer.peerbound.", RecordType::AAAA);
        two.add_query(two.queries[0].clone());
        assert_eq!(ask_with(&two).metadata.response_code, ResponseCode::FormErr);
        let mut bytes = question("printer.peerbound.", RecordType::AAAA).to_vec().unwrap();
        bytes[2] = 5 << 3;
        let update = Message::from_vec(&answer(&bytes, &directory()).unwrap()).unwrap();
        assert_eq!(update.metadata.response_code, ResponseCode::NotImp);
    }

    #[test]
    fn an_answer_is_never_answered() {
        let mut message = question("printer.peerbound.", RecordType::AAAA);
        message.metadata.message_type = MessageType::Response;

        assert_eq!(answer(&message.to_vec().unwrap(), &directory()), None);
    }

    #[test]
    fn an_extended_question_has_an_extended_answer() {
        let mut message = question("printer.peerbound.", RecordType::AAAA);
        message.set_edns(Edns::new());
        assert_eq!(ask_with(&message).edns.unwrap().max_payload(), 1232);

        let mut later = Edns::new();
        later.set_version(1);
        message.set_edns(later);
        let response = ask_with(&message);
        assert_eq!(u16::from(response.metadata.response_code), 16, "BADVERS");
        assert!(response.answers.is_empty());
    }

    proptest! {
        #[test]
        fn any_question_has_a_bounded_answer_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            if let Some(answer) = answer(&bytes, &directory()) {
                prop_assert!(answer.len() <= MESSAGE_BYTES_MAX);
                prop_assert_eq!(&answer[..2], &bytes[..2]);
            }
        }

        #[test]
        fn a_question_with_any_flipped_byte_has_a_bounded_answer_or_none(at in 0..40_usize, byte: u8) {
            let mut bytes = question("printer.peerbound.", RecordType::AAAA).to_vec().unwrap();
            let len = bytes.len();
            bytes[at % len] = byte;
            if let Some(answer) = answer(&bytes, &directory()) {
                prop_assert!(answer.len() <= MESSAGE_BYTES_MAX);
            }
        }
    }
}
