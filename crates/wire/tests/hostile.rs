//! Whatever a stranger sends: every byte string is either refused or means exactly itself.

use std::fmt::Debug;
use std::net::{Ipv6Addr, SocketAddr};
use std::time::Duration;

use peerbound_wire::{
    Acquaintance, DecodeError, ErrorCode, ErrorMessage, Flags, FlowId, Frame, HEADER_BYTES, Header, Hello,
    HopLimit, Item, Kind, List, NodeId, PacketId, Ping, RoutingMessage, TraceLeg, TraceMessage, TraceReport,
    VERSION,
};
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// Where an error message keeps the version and the kind of the header it quotes.
const QUOTED_VERSION: usize = 3;
const QUOTED_KIND: usize = 4;

proptest! {
    #[test]
    fn frame_comes_back_as_it_went(header in headers(), payload in payloads()) {
        let bytes = frame_bytes(header, &payload);

        prop_assert_eq!(bytes.len(), HEADER_BYTES + payload.len());
        prop_assert_eq!(Frame::decode(&bytes), Ok(Frame { header, payload: &payload }));
    }

    #[test]
    fn hello_comes_back_as_it_went(message in hellos()) {
        let bytes = routing_bytes(message);

        prop_assert_eq!(RoutingMessage::decode(&bytes), Ok(message));
    }

    #[test]
    fn error_message_comes_back_as_it_went(message in error_messages()) {
        prop_assert_eq!(ErrorMessage::decode(&error_bytes(message)), Ok(message));
    }

    #[test]
    fn ping_comes_back_as_it_went(token: u64) {
        prop_assert_eq!(Ping::decode(&ping_bytes(Ping { token })), Ok(Ping { token }));
    }

    #[test]
    fn padding_of_a_ping_comes_back_and_is_never_taken_for_its_token(
        token: u64,
        padding in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        let bytes = [ping_bytes(Ping { token }), padding.clone()].concat();

        prop_assert_eq!(Ping::decode_padded(&bytes), Ok((Ping { token }, &padding[..])));
        assert_prefixes_truncated(&ping_bytes(Ping { token }), |bytes| Ping::decode_padded(bytes).map(|_| ()))?;
    }

    #[test]
    fn every_truncated_header_is_refused(header in headers()) {
        let bytes = header.encode();

        for len in 0..HEADER_BYTES {
            let refused = Err(DecodeError::Truncated { len, needed: HEADER_BYTES });
            prop_assert_eq!(Frame::decode(&bytes[..len]), refused);
        }
    }

    #[test]
    fn every_truncated_message_is_refused(
        routing in hellos(),
        error in error_messages(),
        token: u64,
    ) {
        assert_prefixes_truncated(&routing_bytes(routing), |bytes| RoutingMessage::decode(bytes).map(|_| ()))?;
        assert_prefixes_truncated(&error_bytes(error), ErrorMessage::decode)?;
        assert_prefixes_truncated(&ping_bytes(Ping { token }), Ping::decode)?;
    }

    #[test]
    fn trace_message_comes_back_as_it_went_whole_or_not_at_all(
        message in trace_messages(),
        tail in prop::collection::vec(any::<u8>(), 1..100),
    ) {
        let bytes = trace_bytes(message);

        prop_assert_eq!(TraceMessage::decode(&bytes), Ok(message));
        assert_prefixes_truncated(&bytes, TraceMessage::decode)?;
        let refusal = DecodeError::Trailing { extra: tail.len() };
        prop_assert_eq!(TraceMessage::decode(&[bytes, tail].concat()), Err(refusal));
    }

    #[test]
    fn an_answer_that_names_nobody_and_says_how_it_knows_is_refused(message in that_is(), how in 1u8..) {
        let mut bytes = trace_bytes(message);
        let id = bytes.len() - 17;
        bytes[id..].fill(0);
        bytes[id + 16] = how;

        prop_assert_eq!(TraceMessage::decode(&bytes), Err(DecodeError::Value));
    }

    #[test]
    fn bytes_behind_a_message_are_refused_and_counted(
        routing in hellos(),
        error in error_messages(),
        token: u64,
        tail in prop::collection::vec(any::<u8>(), 1..100),
    ) {
        let refusal = DecodeError::Trailing { extra: tail.len() };

        let routing = [routing_bytes(routing), tail.clone()].concat();
        prop_assert_eq!(RoutingMessage::decode(&routing), Err(refusal.clone()));
        let error = [error_bytes(error), tail.clone()].concat();
        prop_assert_eq!(ErrorMessage::decode(&error), Err(refusal.clone()));
        let ping = [ping_bytes(Ping { token }), tail].concat();
        prop_assert_eq!(Ping::decode(&ping), Err(refusal));
    }

    #[test]
    fn unknown_version_is_refused_by_its_number(header in headers(), version in unknown_versions()) {
        let mut bytes = header.encode();
        bytes[0] = version;

        prop_assert_eq!(Frame::decode(&bytes), Err(DecodeError::Version(version)));
    }

    #[test]
    fn unknown_kind_is_refused_by_its_number(header in headers(), kind in unknown_kinds()) {
        let mut bytes = header.encode();
        bytes[1] = kind;

        prop_assert_eq!(Frame::decode(&bytes), Err(DecodeError::Kind(kind)));
    }

    #[test]
    fn unknown_error_code_is_refused_by_its_number(message in error_messages(), code in unknown_codes()) {
        let mut bytes = error_bytes(message);
        bytes[0] = code;

        prop_assert_eq!(ErrorMessage::decode(&bytes), Err(DecodeError::ErrorCode(code)));
    }

    #[test]
    fn unknown_routing_message_is_refused(message in hellos(), number in 7u32..) {
        let mut bytes = routing_bytes(message);
        bytes[..4].copy_from_slice(&number.to_be_bytes());

        prop_assert_eq!(RoutingMessage::decode(&bytes), Err(DecodeError::Value));
    }

    // The quoted header was read without the checks that the header in front gets, so a header of
    // another version could enter the node inside an error message. Both take the same path.
    #[test]
    fn header_quoted_in_an_error_is_checked_like_any_header(
        message in error_messages(),
        version in unknown_versions(),
        kind in unknown_kinds(),
    ) {
        let mut of_another_version = error_bytes(message);
        of_another_version[QUOTED_VERSION] = version;
        let mut of_another_kind = error_bytes(message);
        of_another_kind[QUOTED_KIND] = kind;

        prop_assert_eq!(ErrorMessage::decode(&of_another_version), Err(DecodeError::Version(version)));
        prop_assert_eq!(ErrorMessage::decode(&of_another_kind), Err(DecodeError::Kind(kind)));
    }

    #[test]
    fn whatever_decodes_encodes_to_the_same_bytes(bytes in hostile_bytes()) {
        if let Ok(Frame { header, payload }) = Frame::decode(&bytes) {
            prop_assert_eq!(&frame_bytes(header, payload), &bytes);
        }
        if let Ok(message) = RoutingMessage::decode(&bytes) {
            prop_assert_eq!(&routing_bytes(message), &bytes);
        }
        if let Ok(message) = ErrorMessage::decode(&bytes) {
            prop_assert_eq!(&error_bytes(message), &bytes);
        }
        if let Ok(message) = Ping::decode(&bytes) {
            prop_assert_eq!(&ping_bytes(message), &bytes);
        }
        if let Ok(message) = TraceMessage::decode(&bytes) {
            prop_assert_eq!(&trace_bytes(message), &bytes);
        }
    }

    #[test]
    fn every_item_of_a_list_is_read_or_the_list_is_refused(message in lists()) {
        let decoded = RoutingMessage::decode(&message);

        let Ok(decoded) = decoded else {
            return Err(TestCaseError::fail(format!("{decoded:?}")));
        };
        prop_assert_eq!(&routing_bytes(decoded), &message);
        let again = match decoded {
            RoutingMessage::Hello(_)
            | RoutingMessage::Sync(_)
            | RoutingMessage::MtuProbe(_)
            | RoutingMessage::MtuProbeAnswer(_) => return Ok(()),
            RoutingMessage::Updates(updates) => items_bytes(updates.items),
            RoutingMessage::Acknowledgement(heard) => items_bytes(heard.numbers),
            RoutingMessage::SeqRequests(list) => items_bytes(list),
            RoutingMessage::ProofRequests(list) => items_bytes(list),
            RoutingMessage::Proofs(list) => items_bytes(list),
        };
        prop_assert!(message.ends_with(&again));
    }

    #[test]
    fn a_list_whose_last_item_is_cut_off_is_refused(message in lists(), cut in 1_usize..5) {
        let len = message.len() - cut;

        match RoutingMessage::decode(&message[..len]) {
            Err(DecodeError::Truncated { len: told, needed }) => {
                prop_assert_eq!(told, len);
                prop_assert!(len < needed && needed <= message.len(), "{} needed of {}", needed, message.len());
            }
            // What is left may mean something by chance where items are of many lengths.
            Err(other) => return Err(TestCaseError::fail(format!("{other:?}"))),
            Ok(shorter) => prop_assert_eq!(routing_bytes(shorter), &message[..len]),
        }
    }

    #[test]
    fn flag_bits_without_a_meaning_are_relayed_as_they_came(header in headers(), flags: u8) {
        let mut bytes = header.encode();
        bytes[2] = flags;

        let decoded = Frame::decode(&bytes).map(|frame| frame.header);

        prop_assert_eq!(decoded.as_ref().map(|header| header.flags), Ok(Flags(flags)));
        prop_assert_eq!(decoded.map(|header| header.encode()), Ok(bytes));
    }

    #[test]
    fn what_a_hop_writes_over_a_frame_is_hop_limit_and_path_mtu_and_nothing_else(
        header in headers(),
        hop_limit in any::<u8>().prop_map(HopLimit),
        path_mtu in any::<u16>(),
        payload in payloads(),
    ) {
        let mut bytes = frame_bytes(header, &payload);

        prop_assert_eq!(Header::write_hop_over(&mut bytes, hop_limit, path_mtu), Ok(()));

        prop_assert_eq!(bytes, frame_bytes(Header { hop_limit, path_mtu, ..header }, &payload));
    }

    #[test]
    fn flags_are_written_over_those_of_a_frame_and_over_nothing_else(
        header in headers(),
        flags in any::<u8>().prop_map(Flags),
        payload in payloads(),
    ) {
        let mut bytes = frame_bytes(header, &payload);

        prop_assert_eq!(Header::write_flags_over(&mut bytes, flags), Ok(()));

        prop_assert_eq!(bytes, frame_bytes(Header { flags, ..header }, &payload));
    }

    #[test]
    fn nothing_is_written_over_less_than_a_header(cut in any::<Index>()) {
        let len = cut.index(HEADER_BYTES);
        let mut bytes = vec![0xee; len];

        let refused = || Err(DecodeError::Truncated { len, needed: HEADER_BYTES });
        prop_assert_eq!(Header::write_hop_over(&mut bytes, HopLimit(1), 1), refused());
        prop_assert_eq!(Header::write_flags_over(&mut bytes, Flags::CONGESTION), refused());
        prop_assert_eq!(bytes, vec![0xee; len]);
    }
}

/// Bytes of every sort a stranger may send: noise, noise behind a right beginning, and true messages
/// with one byte changed, so that the decoders are entered to every depth.
fn hostile_bytes() -> impl Strategy<Value = Vec<u8>> {
    let noise = prop::collection::vec(any::<u8>(), 0..200);
    let behind_a_right_beginning = (select(&Kind::ALL[..]), noise.clone())
        .prop_map(|(kind, noise)| [vec![VERSION, u8::from(kind)], noise].concat());
    let changed = (true_messages(), any::<Index>(), any::<u8>()).prop_map(|(mut bytes, at, byte)| {
        let at = at.index(bytes.len());
        bytes[at] = byte;
        bytes
    });
    prop_oneof![noise, behind_a_right_beginning, true_messages(), changed]
}

fn true_messages() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        (headers(), payloads()).prop_map(|(header, payload)| frame_bytes(header, &payload)),
        hellos().prop_map(routing_bytes),
        lists(),
        error_messages().prop_map(error_bytes),
        any::<u64>().prop_map(|token| ping_bytes(Ping { token })),
        trace_messages().prop_map(trace_bytes),
    ]
}

fn headers() -> impl Strategy<Value = Header> {
    let front = (select(&Kind::ALL[..]), any::<u8>(), any::<u8>(), any::<u16>());
    let numbers = (any::<u32>(), any::<u32>(), any::<u64>());
    let ids = (any::<[u8; 16]>(), any::<[u8; 16]>());
    (front, numbers, ids).prop_map(|(front, numbers, (source, destination))| {
        let (kind, flags, hop_limit, path_mtu) = front;
        let (flow, boot_epoch, packet) = numbers;
        let mut header = Header::new(kind, NodeId::new(source), NodeId::new(destination));
        header.flags = Flags(flags);
        header.hop_limit = HopLimit(hop_limit);
        header.path_mtu = path_mtu;
        header.flow = FlowId(flow);
        header.boot_epoch = boot_epoch;
        header.packet = PacketId(packet);
        header
    })
}

fn payloads() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..1500)
}

fn hellos() -> impl Strategy<Value = RoutingMessage<'static>> {
    any::<(u32, u32)>().prop_map(|(sequence, heard)| RoutingMessage::Hello(Hello { sequence, heard }))
}

/// The routing messages that are lists, each with at least one item, as bytes.
fn lists() -> impl Strategy<Value = Vec<u8>> {
    let of = |front: Vec<u32>, items: Vec<Vec<u8>>| {
        [front.iter().flat_map(|number| number.to_be_bytes()).collect(), items.concat()].concat()
    };
    let some = |item: BoxedStrategy<Vec<u8>>| prop::collection::vec(item, 1..20);
    let request = (any::<[u8; 18]>(), any::<bool>())
        .prop_map(|(front, flag)| [front.to_vec(), vec![flag.into()]].concat())
        .boxed();
    prop_oneof![
        (any::<[u32; 3]>(), some(updates().boxed()))
            .prop_map(move |([sync, number, oldest], items)| of(vec![2, sync, number, oldest], items)),
        (any::<u32>(), some(any::<[u8; 4]>().prop_map(Vec::from).boxed()))
            .prop_map(move |(sync, items)| of(vec![3, sync], items)),
        some(any::<[u8; 19]>().prop_map(Vec::from).boxed()).prop_map(move |items| of(vec![4], items)),
        some(request).prop_map(move |items| of(vec![5], items)),
        some(proofs().boxed()).prop_map(move |items| of(vec![6], items)),
    ]
}

fn updates() -> impl Strategy<Value = Vec<u8>> {
    (any::<[u8; 20]>(), any::<u8>(), any::<[u8; 24]>()).prop_map(|(front, links, relays)| {
        let named = if links == 255 { 0 } else { usize::from(links).saturating_sub(1).min(6) };
        [&front[..], &[links], &relays[..named * 4]].concat()
    })
}

fn proofs() -> impl Strategy<Value = Vec<u8>> {
    let prefix = (any::<[u8; 4]>()).prop_map(|front| [&front[..], &[0; 12], &[32]].concat());
    let counted = || {
        prop::collection::vec(any::<u8>(), 0..80)
            .prop_map(|bytes| [&u16::try_from(bytes.len()).unwrap().to_be_bytes()[..], &bytes].concat())
    };
    (any::<[u8; 18]>(), prop::collection::vec(prefix, 0..4), counted(), counted()).prop_map(
        |(front, prefixes, certificate, signature)| {
            let count = vec![u8::try_from(prefixes.len()).unwrap()];
            [front.to_vec(), count, prefixes.concat(), certificate, signature].concat()
        },
    )
}

fn error_messages() -> impl Strategy<Value = ErrorMessage> {
    let codes = select(&[ErrorCode::NoRoute, ErrorCode::HopLimit, ErrorCode::TooBig][..]);
    (codes, any::<u16>(), headers()).prop_map(|(code, mtu, offending)| ErrorMessage { code, mtu, offending })
}

fn trace_messages() -> impl Strategy<Value = TraceMessage> {
    let address = || (any::<[u8; 4]>(), any::<u16>()).prop_map(SocketAddr::from);
    prop_oneof![
        any::<u64>().prop_map(|token| TraceMessage::Request { token }),
        reports().prop_map(TraceMessage::Answer),
        reports().prop_map(TraceMessage::Report),
        (any::<u64>(), address()).prop_map(|(token, address)| TraceMessage::WhoIs { token, address }),
        that_is(),
    ]
}

fn that_is() -> impl Strategy<Value = TraceMessage> {
    let manners = select(&[Acquaintance::Session, Acquaintance::Before, Acquaintance::SameHost][..]);
    let who = (1u8.., any::<[u8; 15]>(), manners).prop_map(|(first, rest, how)| {
        let mut id = [first; 16];
        id[1..].copy_from_slice(&rest);
        (NodeId::new(id), how)
    });
    (any::<u64>(), any::<[u16; 8]>(), any::<u16>(), prop::option::of(who)).prop_map(
        |(token, address, port, who)| TraceMessage::ThatIs {
            token,
            address: SocketAddr::new(Ipv6Addr::from(address).to_canonical(), port),
            who,
        },
    )
}

fn reports() -> impl Strategy<Value = TraceReport> {
    let times = [0, 1, 2].map(|_| prop::option::of(0..u32::MAX).prop_map(|time| time.map(u64::from)));
    let [round_trip, queue_delay, session_age] = times;
    let ids = (1u8.., prop::option::of(1u8..));
    let numbers = (any::<u8>(), any::<u16>(), any::<u64>(), any::<u16>(), any::<bool>());
    (numbers, ids, round_trip, queue_delay, session_age).prop_map(
        |((hops, path_mtu, token, frame_bytes_max, is_back), (from, to), round_trip, queue, age)| {
            TraceReport {
                leg: if is_back { TraceLeg::Back } else { TraceLeg::Out },
                hop_limit: HopLimit(hops),
                path_mtu,
                token,
                ingress: Some(NodeId::new([from; 16])),
                egress: to.map(|to| NodeId::new([to; 16])),
                frame_bytes_max,
                round_trip: round_trip.map(Duration::from_micros),
                queue_delay: queue.map(Duration::from_micros),
                session_age: age.map(Duration::from_secs),
            }
        },
    )
}

fn unknown_versions() -> impl Strategy<Value = u8> {
    any::<u8>().prop_filter("another version", |version| *version != VERSION)
}

fn unknown_kinds() -> impl Strategy<Value = u8> {
    any::<u8>().prop_filter("no kind", |kind| Kind::try_from(*kind).is_err())
}

fn unknown_codes() -> impl Strategy<Value = u8> {
    any::<u8>().prop_filter("no error code", |code| ErrorCode::try_from(*code).is_err())
}

fn assert_prefixes_truncated<M: Debug>(
    bytes: &[u8],
    decode: impl Fn(&[u8]) -> Result<M, DecodeError>,
) -> Result<(), TestCaseError> {
    for len in 0..bytes.len() {
        let Err(DecodeError::Truncated { len: told, needed }) = decode(&bytes[..len]) else {
            return Err(TestCaseError::fail(format!("{len} of {} bytes passed", bytes.len())));
        };
        prop_assert_eq!(told, len);
        prop_assert!(len < needed && needed <= bytes.len(), "{} needed of {}", needed, bytes.len());
    }
    Ok(())
}

fn frame_bytes(header: Header, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    Frame { header, payload }.encode_into(&mut bytes);
    bytes
}

fn items_bytes<'a, T: Item<'a>>(list: List<'a, T>) -> Vec<u8> {
    let mut bytes = Vec::new();
    list.iter().for_each(|item| item.write_into(&mut bytes));
    bytes
}

fn routing_bytes(message: RoutingMessage<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    message.encode_into(&mut bytes);
    bytes
}

fn error_bytes(message: ErrorMessage) -> Vec<u8> {
    let mut bytes = Vec::new();
    message.encode_into(&mut bytes);
    bytes
}

fn trace_bytes(message: TraceMessage) -> Vec<u8> {
    let mut bytes = Vec::new();
    message.encode_into(&mut bytes);
    bytes
}

fn ping_bytes(message: Ping) -> Vec<u8> {
    let mut bytes = Vec::new();
    message.encode_into(&mut bytes);
    bytes
}
