//! The bytes of protocol version 1, one golden vector per message.
//!
//! These literals change only together with the protocol version. If a change of the code turns
//! one red, the change speaks another protocol: raise `VERSION` or take the change back.

use std::fmt::Debug;
use std::time::Duration;

use peerbound_wire::{
    AcknowledgementPacker, Acquaintance, Claim, DecodeError, ErrorCode, ErrorMessage, Flags, FlowId, Frame,
    HEADER_BYTES, Header, Hello, HopLimit, Item, Kind, List, Metric, MtuProbe, NodeId, PacketId, Path, Ping,
    Prefix, ProofItem, ProofRequest, ProofRequestsPacker, ProofsPacker, RouteSeq, RoutingMessage, SeqRequest,
    SeqRequestsPacker, Sync, TraceLeg, TraceMessage, TraceReport, UPDATE_BYTES_MAX, Update, UpdatesPacker,
    VERSION,
};

const A: NodeId = NodeId::new([
    0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf,
]);
const C: NodeId = NodeId::new([
    0xc0, 0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xcb, 0xcc, 0xcd, 0xce, 0xcf,
]);

/// A's header to C; no two fields hold the same bytes.
const HEADER: &str = "01 01 00 20 0578 11223344 55667788 0102030405060708 \
                      a0a1a2a3a4a5a6a7a8a9aaabacadaeaf c0c1c2c3c4c5c6c7c8c9cacbcccdcecf";

#[test]
fn version_is_the_one_these_vectors_were_written_for() {
    assert_eq!(VERSION, 1);
    assert_eq!(bytes_of(HEADER).len(), HEADER_BYTES);
}

#[test]
fn data_frame_is_header_then_payload() {
    assert_frame(header(Kind::Data), b"hills", &format!("{HEADER} 68696c6c73"));
}

#[test]
fn protocol_page_shows_the_data_frame_of_these_vectors() {
    let page: String = include_str!("../../../docs/PROTOCOL.md").split_whitespace().collect();
    let golden: String = format!("{HEADER} 68696c6c73").split_whitespace().collect();

    assert!(page.contains(&golden));
}

#[test]
fn reply_swaps_the_ids_and_sets_the_lowest_flag() {
    let mut reply = header(Kind::Data);
    reply.flags = Flags::REPLY;
    reply.hop_limit = HopLimit(31);
    reply.source = C;
    reply.destination = A;

    let golden = "01 01 01 1f 0578 11223344 55667788 0102030405060708 \
                  c0c1c2c3c4c5c6c7c8c9cacbcccdcecf a0a1a2a3a4a5a6a7a8a9aaabacadaeaf 79";
    assert_frame(reply, b"y", golden);
}

#[test]
fn frame_may_have_no_payload() {
    assert_frame(header(Kind::Data), b"", HEADER);
}

#[test]
fn fresh_header_has_32_hops_and_no_bound_on_the_path_mtu() {
    let golden = "01 01 00 20 ffff 00000000 00000000 0000000000000000 \
                  a0a1a2a3a4a5a6a7a8a9aaabacadaeaf c0c1c2c3c4c5c6c7c8c9cacbcccdcecf";
    assert_frame(Header::new(Kind::Data, A, C), b"", golden);
}

#[test]
fn each_kind_has_its_number_in_the_second_byte() {
    let numbers = [
        (Kind::Data, "01"),
        (Kind::InnerHandshake, "02"),
        (Kind::Routing, "03"),
        (Kind::Error, "04"),
        (Kind::Trace, "05"),
        (Kind::Ping, "06"),
    ];

    assert_eq!(numbers.map(|(kind, _)| kind), Kind::ALL);
    for (kind, number) in numbers {
        assert_frame(header(kind), b"", &with_kind(number));
    }
}

#[test]
fn hello_is_routing_message_zero() {
    let hello = RoutingMessage::Hello(Hello { sequence: 0x0102_0304, heard: 0x0a0b_0c0d });

    assert_routing(hello, "00000000 01020304 0a0b0c0d");
}

#[test]
fn first_hello_has_heard_nothing() {
    let hello = RoutingMessage::Hello(Hello { sequence: 1, heard: 0 });

    assert_routing(hello, "00000000 00000001 00000000");
}

#[test]
fn hello_frame_is_the_header_of_kind_three_and_the_message() {
    let mut payload = Vec::new();
    RoutingMessage::Hello(Hello { sequence: 7, heard: 6 }).encode_into(&mut payload);

    let golden = format!("{} 00000000 00000007 00000006", with_kind("03"));
    assert_frame(header(Kind::Routing), &payload, &golden);
}

#[test]
fn sync_is_routing_message_one() {
    let sync = RoutingMessage::Sync(Sync { ours: 0x0102_0304, yours: 0x0a0b_0c0d });

    assert_routing(sync, "00000001 01020304 0a0b0c0d");
}

#[test]
fn probe_of_the_path_mtu_is_routing_message_seven_with_padding_of_zeros() {
    let probe = RoutingMessage::MtuProbe(MtuProbe { token: 0x0102_0304, padding: 5 });
    assert_routing(probe, "00000007 01020304 0000000000");
    assert_routing(RoutingMessage::MtuProbe(MtuProbe { token: 1, padding: 0 }), "00000007 00000001");

    let padded_with_words = bytes_of("00000007 01020304 0000000001");
    assert_eq!(RoutingMessage::decode(&padded_with_words), Err(DecodeError::Value));
}

#[test]
fn answer_to_a_probe_of_the_path_mtu_is_routing_message_eight() {
    assert_routing(RoutingMessage::MtuProbeAnswer(0x0102_0304), "00000008 01020304");
}

#[test]
fn updates_are_routing_message_two() {
    let (b, c) = ([0xb0, 0xb1, 0xb2, 0xb3], [0xc0, 0xc1, 0xc2, 0xc3]);
    let own = Update { origin: A, seqno: RouteSeq(7), metric: Metric::ZERO, path: Path::OWN };
    let relays = [b, c];
    let far = Update {
        origin: C,
        seqno: RouteSeq(0x0102),
        metric: Metric(0x0304),
        path: Path::new(Some(3), &relays),
    };
    let lost = Update { origin: C, seqno: RouteSeq(9), metric: Metric::INFINITE, path: Path::UNKNOWN };
    let mut packer = UpdatesPacker::new(0x11, 0x22, 0x21, 1000);
    assert!([own, far, lost].iter().all(|update| packer.push(update)));
    let bytes = packer.finish();

    let golden = "00000002 00000011 00000022 00000021 \
                  a0a1a2a3a4a5a6a7a8a9aaabacadaeaf 0007 0000 00 \
                  c0c1c2c3c4c5c6c7c8c9cacbcccdcecf 0102 0304 03 b0b1b2b3 c0c1c2c3 \
                  c0c1c2c3c4c5c6c7c8c9cacbcccdcecf 0009 ffff ff";
    assert_eq!(bytes, bytes_of(golden));
    let Ok(RoutingMessage::Updates(updates)) = RoutingMessage::decode(&bytes) else {
        panic!("it is refused")
    };
    assert_eq!((updates.sync, updates.number, updates.oldest), (0x11, 0x22, 0x21));
    assert_eq!(updates.items.iter().collect::<Vec<_>>(), [own, far, lost]);
}

#[test]
fn a_path_names_the_six_nearest_relays() {
    let relays = [1, 2, 3, 4, 5, 6, 7, 8].map(|n| [n; 4]);
    let update =
        Update { origin: C, seqno: RouteSeq(1), metric: Metric(9), path: Path::new(Some(9), &relays) };
    let mut bytes = Vec::new();
    update.write_into(&mut bytes);

    let golden = "c0c1c2c3c4c5c6c7c8c9cacbcccdcecf 0001 0009 09 \
                  01010101 02020202 03030303 04040404 05050505 06060606";
    assert_eq!(bytes, bytes_of(golden));
    assert_eq!(bytes.len(), UPDATE_BYTES_MAX);
    assert_eq!(Update::split(&bytes), Ok((update, &[][..])));
}

#[test]
fn updates_without_any_are_their_three_numbers() {
    let bytes = UpdatesPacker::new(1, 2, 2, 1000).finish();

    assert_eq!(bytes, bytes_of("00000002 00000001 00000002 00000002"));
}

#[test]
fn acknowledgement_is_routing_message_three() {
    let mut packer = AcknowledgementPacker::new(0x11, 1000);
    assert!([0x22, 0x24].iter().all(|number| packer.push(number)));
    let bytes = packer.finish();

    assert_eq!(bytes, bytes_of("00000003 00000011 00000022 00000024"));
    let Ok(RoutingMessage::Acknowledgement(heard)) = RoutingMessage::decode(&bytes) else {
        panic!("it is refused")
    };
    assert_eq!((heard.sync, heard.numbers.iter().collect()), (0x11, vec![0x22, 0x24]));
}

#[test]
fn requests_for_sequence_numbers_are_routing_message_four() {
    let request = SeqRequest { origin: C, seqno: RouteSeq(0x0102), hop_limit: 64 };
    let mut packer = SeqRequestsPacker::new(1000);
    assert!(packer.push(&request));
    let bytes = packer.finish();

    assert_eq!(bytes, bytes_of("00000004 c0c1c2c3c4c5c6c7c8c9cacbcccdcecf 0102 40"));
    let Ok(RoutingMessage::SeqRequests(list)) = RoutingMessage::decode(&bytes) else {
        panic!("it is refused")
    };
    assert_eq!(list.iter().collect::<Vec<_>>(), [request]);
}

#[test]
fn requests_for_proofs_are_routing_message_five() {
    let request = ProofRequest { origin: C, seqno: RouteSeq(0x0102), has_certificate: false };
    let brief = ProofRequest { origin: A, seqno: RouteSeq(3), has_certificate: true };
    let mut packer = ProofRequestsPacker::new(1000);
    assert!([request, brief].iter().all(|request| packer.push(request)));
    let bytes = packer.finish();

    let golden = "00000005 c0c1c2c3c4c5c6c7c8c9cacbcccdcecf 0102 00 a0a1a2a3a4a5a6a7a8a9aaabacadaeaf 0003 01";
    assert_eq!(bytes, bytes_of(golden));
    let Ok(RoutingMessage::ProofRequests(list)) = RoutingMessage::decode(&bytes) else {
        panic!("it is refused")
    };
    assert_eq!(list.iter().collect::<Vec<_>>(), [request, brief]);
}

#[test]
fn proofs_are_routing_message_six() {
    let prefix = bytes_of("20010db8000000000000000000000000 20");
    let prefixes = List::decode(&prefix).unwrap();
    let claim = Claim { origin: C, seqno: RouteSeq(0x0102), prefixes };
    let whole = ProofItem { claim, certificate: b"leaf", signature: b"sig" };
    let brief = ProofItem { certificate: b"", ..whole };
    let mut packer = ProofsPacker::new(1000);
    assert!([whole, brief].iter().all(|proof| packer.push(proof)));
    let bytes = packer.finish();

    let claim = "c0c1c2c3c4c5c6c7c8c9cacbcccdcecf 0102 01 20010db8000000000000000000000000 20";
    let golden = format!("00000006 {claim} 0004 6c656166 0003 736967 {claim} 0000 0003 736967");
    assert_eq!(bytes, bytes_of(&golden));
    let Ok(RoutingMessage::Proofs(list)) = RoutingMessage::decode(&bytes) else { panic!("it is refused") };
    assert_eq!(list.iter().collect::<Vec<_>>(), [whole, brief]);
}

#[test]
fn what_an_origin_signs_begins_with_what_the_signature_is_for() {
    let prefix = bytes_of("20010db8000000000000000000000000 20");
    let claim = Claim { origin: C, seqno: RouteSeq(0x0102), prefixes: List::decode(&prefix).unwrap() };

    let golden = "c0c1c2c3c4c5c6c7c8c9cacbcccdcecf 0102 01 20010db8000000000000000000000000 20";
    let golden = [b"peerbound origin, version 1\0".to_vec(), bytes_of(golden)].concat();
    assert_eq!(claim.signed_bytes(), golden);
}

#[test]
fn a_prefix_has_one_form() {
    let refused = |hex| Prefix::split(&bytes_of(hex)).map(|(prefix, _)| prefix);

    assert_eq!(refused("20010db8000000000000000000000001 20"), Err(DecodeError::Value), "bits behind it");
    assert_eq!(refused("20010db8000000000000000000000000 81"), Err(DecodeError::Value), "129 bits");
    assert!(refused("00000000000000000000000000000000 00").is_ok_and(|prefix| prefix.bits == 0));
    assert!(refused("20010db8000000000000000000000001 80").is_ok_and(|prefix| prefix.bits == 128));
}

#[test]
fn no_route_is_error_one() {
    assert_error(ErrorCode::NoRoute, 0, "01 0000");
}

#[test]
fn used_up_hop_limit_is_error_two() {
    assert_error(ErrorCode::HopLimit, 0, "02 0000");
}

#[test]
fn frame_too_big_is_error_three_and_names_the_mtu() {
    assert_error(ErrorCode::TooBig, 0x04d2, "03 04d2");
}

#[test]
fn ping_is_its_token() {
    let ping = Ping { token: 0x1122_3344_5566_7788 };

    assert_message(ping, "1122334455667788", Ping::encode_into, Ping::decode);
}

#[test]
fn trace_request_is_message_one_and_its_token() {
    assert_trace(TraceMessage::Request { token: 0x1122_3344_5566_7788 }, "01 1122334455667788");
}

#[test]
fn trace_answer_is_message_two_and_a_report_message_three() {
    let report = TraceReport {
        leg: TraceLeg::Out,
        hop_limit: HopLimit(0x1f),
        path_mtu: 0x0578,
        token: 0x1122_3344_5566_7788,
        ingress: Some(A),
        egress: Some(C),
        frame_bytes_max: 0x0553,
        round_trip: Some(Duration::from_micros(0x0102)),
        queue_delay: Some(Duration::from_micros(0x0304)),
        session_age: Some(Duration::from_secs(0x0506)),
    };

    let rest = "01 1f 0578 1122334455667788 a0a1a2a3a4a5a6a7a8a9aaabacadaeaf \
                c0c1c2c3c4c5c6c7c8c9cacbcccdcecf 0553 00000102 00000304 00000506";
    assert_trace(TraceMessage::Answer(report), &format!("02 {rest}"));
    assert_trace(TraceMessage::Report(report), &format!("03 {rest}"));
}

#[test]
fn a_report_says_what_is_not_known() {
    let report = TraceReport {
        leg: TraceLeg::Back,
        hop_limit: HopLimit(1),
        path_mtu: 0xffff,
        token: 0,
        ingress: None,
        egress: None,
        frame_bytes_max: 0,
        round_trip: None,
        queue_delay: None,
        session_age: None,
    };

    let golden = "03 02 01 ffff 0000000000000000 00000000000000000000000000000000 \
                  00000000000000000000000000000000 0000 ffffffff ffffffff ffffffff";
    assert_trace(TraceMessage::Report(report), golden);
}

#[test]
fn who_is_at_an_address_is_trace_message_four_and_the_answer_five() {
    let (token, v4, v6) = (7, "192.0.2.3:7003".parse().unwrap(), "[2001:db8::3]:7003".parse().unwrap());
    let asked_v4 = "0000000000000007 00000000000000000000ffffc0000203 1b5b";
    let asked_v6 = "0000000000000007 20010db8000000000000000000000003 1b5b";

    assert_trace(TraceMessage::WhoIs { token, address: v4 }, &format!("04 {asked_v4}"));
    assert_trace(TraceMessage::WhoIs { token, address: v6 }, &format!("04 {asked_v6}"));
    let nobody = format!("05 {asked_v4} 00000000000000000000000000000000 00");
    assert_trace(TraceMessage::ThatIs { token, address: v4, who: None }, &nobody);
    let manners = [(Acquaintance::Session, 1), (Acquaintance::Before, 2), (Acquaintance::SameHost, 3)];
    for (how, number) in manners {
        let golden = format!("05 {asked_v6} c0c1c2c3c4c5c6c7c8c9cacbcccdcecf 0{number}");
        assert_trace(TraceMessage::ThatIs { token, address: v6, who: Some((C, how)) }, &golden);
    }
}

fn assert_trace(message: TraceMessage, golden: &str) {
    assert_message(message, golden, TraceMessage::encode_into, TraceMessage::decode);
}

#[test]
fn errors_about_inner_sessions_are_four_to_six() {
    assert_error(ErrorCode::NoSession, 0, "04 0000");
    assert_error(ErrorCode::ClearRefused, 0, "05 0000");
    assert_error(ErrorCode::InnerRefused, 0, "06 0000");
}

#[test]
fn inner_record_sets_the_second_flag_and_a_handshake_is_of_kind_two() {
    // A's 19th record to C, as DTLS 1.2 frames it: 23, fe fd, epoch 1, number 18, 30 bytes.
    let record = "17 fefd 0001 000000000012 001e \
                  0001000000000012 000102030405 000102030405060708090a0b0c0d0e0f";
    let mut inner = header(Kind::Data);
    inner.flags = Flags::INNER;
    let golden = "01 01 02 20 0578 11223344 55667788 0102030405060708 \
                  a0a1a2a3a4a5a6a7a8a9aaabacadaeaf c0c1c2c3c4c5c6c7c8c9cacbcccdcecf";
    assert_frame(inner, &bytes_of(record), &format!("{golden} {record}"));

    let mut handshake = header(Kind::InnerHandshake);
    handshake.flow = FlowId(u32::MAX);
    let golden = "01 02 00 20 0578 ffffffff 55667788 0102030405060708 \
                  a0a1a2a3a4a5a6a7a8a9aaabacadaeaf c0c1c2c3c4c5c6c7c8c9cacbcccdcecf 16";
    assert_frame(handshake, &[22], golden);
}

fn assert_error(code: ErrorCode, mtu: u16, front: &str) {
    let error = ErrorMessage { code, mtu, offending: header(Kind::Data) };

    let golden = format!("{front} {HEADER}");
    assert_message(error, &golden, ErrorMessage::encode_into, ErrorMessage::decode);
}

fn assert_routing(message: RoutingMessage<'_>, golden: &str) {
    let golden = bytes_of(golden);

    let mut encoded = Vec::new();
    message.encode_into(&mut encoded);

    assert_eq!(encoded, golden);
    assert_eq!(RoutingMessage::decode(&golden), Ok(message));
}

fn assert_message<M: PartialEq + Debug>(
    message: M,
    golden: &str,
    encode_into: impl Fn(&M, &mut Vec<u8>),
    decode: impl Fn(&[u8]) -> Result<M, DecodeError>,
) {
    let golden = bytes_of(golden);

    let mut encoded = Vec::new();
    encode_into(&message, &mut encoded);

    assert_eq!(encoded, golden);
    assert_eq!(decode(&golden), Ok(message));
}

fn assert_frame(header: Header, payload: &[u8], golden: &str) {
    let golden = bytes_of(golden);
    let frame = Frame { header, payload };

    let mut encoded = Vec::new();
    frame.encode_into(&mut encoded);

    assert_eq!(encoded, golden);
    assert_eq!(Frame::decode(&golden), Ok(frame));
}

fn header(kind: Kind) -> Header {
    let mut header = Header::new(kind, A, C);
    header.path_mtu = 0x0578;
    header.flow = FlowId(0x1122_3344);
    header.boot_epoch = 0x5566_7788;
    header.packet = PacketId(0x0102_0304_0506_0708);
    header
}

fn with_kind(number: &str) -> String {
    HEADER.replacen("01 01", &format!("01 {number}"), 1)
}

fn bytes_of(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex
        .bytes()
        .filter(|byte| !byte.is_ascii_whitespace())
        .map(|digit| match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            other => panic!("{} is no digit of a vector", char::from(other)),
        })
        .collect();
    assert!(digits.len().is_multiple_of(2), "a byte has two digits: {hex}");
    digits.chunks(2).map(|pair| (pair[0] << 4) | pair[1]).collect()
}
