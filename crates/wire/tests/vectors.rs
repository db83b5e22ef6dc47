//! The bytes of protocol version 1, one golden vector per message.
//!
//! These literals change only together with the protocol version. If a change of the code turns
//! one red, the change speaks another protocol: raise `VERSION` or take the change back.

use std::fmt::Debug;

use peerbound_wire::{
    DecodeError, ErrorCode, ErrorMessage, Flags, FlowId, Frame, HEADER_BYTES, Header, Hello, HopLimit, Kind,
    NodeId, PacketId, Ping, RoutingMessage, VERSION,
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

    assert_message(hello, "00000000 01020304 0a0b0c0d", RoutingMessage::encode_into, RoutingMessage::decode);
}

#[test]
fn first_hello_has_heard_nothing() {
    let hello = RoutingMessage::Hello(Hello { sequence: 1, heard: 0 });

    assert_message(hello, "00000000 00000001 00000000", RoutingMessage::encode_into, RoutingMessage::decode);
}

#[test]
fn hello_frame_is_the_header_of_kind_three_and_the_message() {
    let mut payload = Vec::new();
    RoutingMessage::Hello(Hello { sequence: 7, heard: 6 }).encode_into(&mut payload);

    let golden = format!("{} 00000000 00000007 00000006", with_kind("03"));
    assert_frame(header(Kind::Routing), &payload, &golden);
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

fn assert_error(code: ErrorCode, mtu: u16, front: &str) {
    let error = ErrorMessage { code, mtu, offending: header(Kind::Data) };

    let golden = format!("{front} {HEADER}");
    assert_message(error, &golden, ErrorMessage::encode_into, ErrorMessage::decode);
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
