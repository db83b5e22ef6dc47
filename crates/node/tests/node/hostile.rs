//! Strangers who send anything at all, and neighbours who do.

use std::net::SocketAddr;
use std::time::Duration;

use peerbound_dtls::{Admission, Context, Plaintexts, Session, SessionOptions};
use peerbound_node::{DatagramDrop, Event, FrameDrop, Lock, Node, Sending, Verdict};
use peerbound_wire::{Flags, FlowId, Header, Hello, HopLimit, Kind, NodeId, PacketId, RoutingMessage};
use proptest::prelude::*;

use crate::support::{Net, Plan, address};

const A: usize = 0;
const B: usize = 1;
const C: usize = 2;
/// A neighbour of B that means no good.
const M: usize = 3;

/// The ceiling on handshakes of strangers in progress.
const HALF_OPEN_MAX: usize = 64;
/// Verified hellos that one prefix may send at once.
const HELLOS_BURST: usize = 100;
/// More frames, each of another origin and flow, than the 16384 flows and 1024 origins remembered.
const FLOOD: u32 = 18_000;

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_from_anywhere_hurt_a_live_neighbour(
        datagrams in proptest::collection::vec((origin(), noise()), 1..80),
    ) {
        let mut net = Net::up(&Plan::chain_of_three());
        for (source, datagram) in &datagrams {
            let verdict = net.inject(*source, B, datagram);
            prop_assert!(matches!(verdict, Verdict::Dropped(_) | Verdict::Challenged), "{verdict} of {datagram:02x?}");
        }
        net.run_for(Duration::from_secs(3));

        assert_carries(&mut net);
        prop_assert_eq!(net.story(B).len(), 2, "both neighbours came up once and stayed");
    }

    #[test]
    fn no_bytes_from_anywhere_hold_up_a_handshake_for_good(
        datagrams in proptest::collection::vec((origin(), noise()), 1..80),
    ) {
        let mut net = Net::new(&Plan::chain_of_three());
        net.flush();
        for (source, datagram) in &datagrams {
            net.inject(*source, B, datagram);
            net.inject(address(B), A, datagram);
            net.run_for(Duration::from_micros(100));
        }
        net.run_until(Duration::from_secs(20), Net::is_up);

        assert_carries(&mut net);
    }

    #[test]
    fn no_plaintext_of_a_neighbour_is_more_than_a_bad_frame(
        plaintexts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..200), 1..60),
    ) {
        let mut net = with_malicious_neighbour();
        // A first byte of 1 would be a version: leave none of them a frame.
        for plaintext in plaintexts.iter().filter(|bytes| bytes[0] != 1) {
            net.insider(M).send(plaintext);
        }
        net.run_a_little();

        let bad = plaintexts.iter().filter(|bytes| bytes[0] != 1).count();
        prop_assert_eq!(net.dropped(B, FrameDrop::BadFrame), u64::try_from(bad).unwrap());
        net.run_for(Duration::from_secs(3));
        prop_assert!(net.is_usable(B, M), "a bad frame costs the frame and nothing else");
        assert_carries(&mut net);
    }

    #[test]
    fn no_frame_of_a_neighbour_takes_down_a_node(
        frames in proptest::collection::vec((any_header(), proptest::collection::vec(any::<u8>(), 0..80)), 1..200),
        forges in any::<bool>(),
    ) {
        let mut net = with_malicious_neighbour();
        let ids = [net.id(A), net.id(B), net.id(C), net.id(M)];
        for (choice, payload) in &frames {
            let mut header = choice.header(&ids);
            if !forges && [ids[A], ids[C]].contains(&header.source) {
                header.source = ids[M];
            }
            net.insider(M).send_frame(header, payload);
        }
        net.run_for(Duration::from_secs(3));

        prop_assert!(net.is_usable(B, A) && net.is_usable(B, C));
        prop_assert!(net.nodes[B].counters().frames_received > u64::try_from(frames.len()).unwrap());
        // Who forges another's packet ids can have its frames taken for duplicates: members are
        // trusted that far.
        if !forges {
            assert_carries(&mut net);
        }
    }
}

#[test]
fn every_bit_of_a_genuine_datagram_counts() {
    let mut net = Net::up(&Plan::chain_of_three());
    net.send(A, B, b"genuine").unwrap();
    let datagram = net.intercept(A, B).remove(0);
    for index in 0..datagram.len() * 8 {
        let mut forged = datagram.clone();
        forged[index / 8] ^= 1 << (index % 8);

        let verdict = net.inject(address(A), B, &forged);

        assert!(matches!(verdict, Verdict::Dropped(_)), "bit {index}: {verdict}");
    }
    assert_eq!(net.inject(address(A), B, &datagram), Verdict::Accepted);
    assert_eq!(net.delivered(B), [b"genuine"]);
}

#[test]
fn routing_frames_under_another_name_are_refused_and_change_nothing() {
    let mut net = with_malicious_neighbour();
    let (a, b, c) = (net.id(A), net.id(B), net.id(C));
    net.run_for(Duration::from_secs(2));
    net.cut.insert((A, B));
    let mut payload = Vec::new();
    RoutingMessage::Hello(Hello { sequence: 1_000_000, heard: 1 }).encode_into(&mut payload);
    for (source, destination) in [(a, b), (c, b), (a, c), (net.id(M), c)] {
        let header = Header { source, boot_epoch: 1, ..Header::new(Kind::Routing, source, destination) };
        net.insider(M).send_frame(header, &payload);
    }

    net.run_for(Duration::from_secs(3));

    assert_eq!(net.dropped(B, FrameDrop::NotFromNeighbour), 4);
    assert!(!net.is_usable(B, A), "nobody can say hello in A's name");
    assert!(net.sent_to(B, |header| header.kind == Kind::Routing).is_empty(), "and nothing was relayed");
}

#[test]
fn a_flood_of_origins_and_flows_is_forgotten_and_not_kept() {
    let mut net = with_malicious_neighbour();
    let c = net.id(C);
    let frame = |number: u32| {
        let origin = NodeId::new(u128::from(number).to_be_bytes());
        let packet = PacketId(u64::from(number) << 40);
        Header { flow: FlowId(number), boot_epoch: number, packet, ..Header::new(Kind::Data, origin, c) }
    };
    for number in 0..FLOOD {
        net.insider(M).send_frame(frame(number), b"");
        if number % 1000 == 0 {
            net.run_for(Duration::from_millis(10));
        }
    }
    net.run_a_little();
    assert_eq!(net.delivered(C).len(), usize::try_from(FLOOD).unwrap());

    // What came first is forgotten, as a frame and as a way back; what came last is known.
    net.insider(M).send_frame(frame(0), b"");
    net.insider(M).send_frame(frame(FLOOD - 1), b"");
    net.run_a_little();
    let now = net.clock.now();
    let reply = |number: u32| Sending {
        destination: frame(number).source,
        flow: FlowId(number),
        is_reply: true,
        payload: b"",
    };

    assert_eq!(net.delivered(C).len(), usize::try_from(FLOOD).unwrap() + 1);
    assert_eq!(net.dropped(B, FrameDrop::Duplicate), 1);
    assert!(net.nodes[C].send(reply(1), now).is_err());
    assert!(net.nodes[C].send(reply(FLOOD - 1), now).is_ok());
    assert_carries(&mut net);
}

#[test]
fn huge_and_repeated_packet_ids_harm_only_their_own_origin() {
    let mut net = with_malicious_neighbour();
    let c = net.id(C);
    for packet in [u64::MAX, u64::MAX, 0, 1, u64::MAX - 1, u64::MAX, 1 << 63, 8192] {
        let header = Header { packet: PacketId(packet), ..net.insider(M).header(Kind::Data, c) };
        net.insider(M).send_frame(header, b"m");
    }
    net.run_a_little();

    assert_eq!(net.delivered(C).len(), 2, "the newest, and the one just behind it");
    assert_eq!(net.dropped(B, FrameDrop::Duplicate), 6);
    assert_carries(&mut net);
}

#[test]
fn one_frame_a_thousand_times_is_relayed_once() {
    let mut net = with_malicious_neighbour();
    let c = net.id(C);
    let header = net.insider(M).header(Kind::Data, c);
    for _ in 0..1000 {
        net.insider(M).send_frame(header, b"again");
    }
    net.run_a_little();

    assert_eq!(net.delivered(C), [b"again"]);
    assert_eq!(net.dropped(B, FrameDrop::Duplicate), 999);
    assert_carries(&mut net);
}

#[test]
fn hellos_without_a_cookie_leave_nothing_behind() {
    let mut net = Net::up(&Plan::chain_of_three());
    let (_, hello) = stranger(&net.contexts[C].clone(), &net);
    for number in 0..5000_u32 {
        let from = SocketAddr::from((std::net::Ipv4Addr::from_bits(0x0a00_0000 + number), 1000));

        assert_eq!(net.inject(from, B, &hello), Verdict::Challenged);

        assert_eq!(net.nodes[B].discards_at(from), None, "no session is kept for {from}");
    }
    assert_eq!(net.nodes[B].counters().hellos_challenged, 5000 + 2, "and two of the neighbours");
    assert_carries(&mut net);
}

#[test]
fn a_cookie_is_good_for_its_own_address_only() {
    let mut net = Net::up(&Plan::chain_of_three());
    let (from, elsewhere) = (stranger_at(1, 1), stranger_at(1, 2));
    let verified = verified_hello(&mut net, from).1;

    assert_eq!(net.inject(elsewhere, B, &verified), Verdict::Challenged);
    assert_eq!(net.nodes[B].discards_at(elsewhere), None);
    assert_eq!(net.inject(from, B, &verified), Verdict::Accepted);
    assert!(net.nodes[B].discards_at(from).is_some());
}

#[test]
fn half_open_handshakes_have_a_ceiling_and_are_given_up_at_their_deadline() {
    let mut net = Net::up(&Plan::chain_of_three());
    fill_half_open(&mut net);

    assert_eq!(open_half(&mut net, stranger_at(7, 200)), Verdict::Dropped(Lock::Gate));
    assert_eq!(net.nodes[B].counters().datagrams_dropped.get(&DatagramDrop::HalfOpenFull), Some(&1));
    assert_eq!(net.nodes[B].discards_at(stranger_at(7, 200)), None);
    assert_carries(&mut net);

    net.run_for(Duration::from_secs(16));
    assert_eq!(net.nodes[B].discards_at(stranger_at(7, 0)), None, "the first was given up");
    assert_eq!(open_half(&mut net, stranger_at(7, 200)), Verdict::Accepted);
    assert_carries(&mut net);
}

#[test]
fn a_neighbour_gets_in_for_the_first_time_although_strangers_of_one_site_fill_the_half_open_table() {
    // One host that receives where it says it is could keep all places taken with five hellos a
    // second, and no neighbour that dials us came in any more.
    let mut net = Net::new(&Plan::chain_of_three());
    fill_half_open(&mut net);

    net.run_until(Duration::from_secs(1), Net::is_up);

    assert_carries(&mut net);
    assert_eq!(net.nodes[B].counters().datagrams_dropped.get(&DatagramDrop::HalfOpenFull), None);
    assert_eq!(net.nodes[B].discards_at(stranger_at(7, 0)), None, "the oldest made room");
    assert!(net.nodes[B].discards_at(stranger_at(7, 2)).is_some(), "and the third did not have to");
}

#[test]
fn where_every_site_has_one_half_open_handshake_the_oldest_makes_room() {
    let mut net = Net::up(&Plan::chain_of_three());
    for number in (0..HALF_OPEN_MAX).rev() {
        open_half(&mut net, stranger_at(number, 1));
        net.run_for(Duration::from_millis(1));
    }

    assert_eq!(open_half(&mut net, stranger_at(200, 1)), Verdict::Accepted);

    assert_eq!(net.nodes[B].discards_at(stranger_at(HALF_OPEN_MAX - 1, 1)), None);
    assert!(net.nodes[B].discards_at(stranger_at(HALF_OPEN_MAX - 2, 1)).is_some());
    assert_carries(&mut net);
}

#[test]
fn strangers_that_fail_are_told_of_at_a_bounded_rate() {
    let mut net = Net::up(&Plan::chain_of_three());
    for number in 0..HALF_OPEN_MAX {
        open_half(&mut net, stranger_at(number, 1));
    }

    net.run_for(Duration::from_secs(16));

    let told = net.events[B].iter().filter(|event| matches!(event, Event::StrangerFailed { .. })).count();
    assert!((1..HALF_OPEN_MAX / 2).contains(&told), "{told} of {HALF_OPEN_MAX}");
}

#[test]
fn a_neighbour_that_restarts_gets_in_although_strangers_fill_the_half_open_table() {
    let mut net = Net::up(&Plan::chain_of_three());
    for number in 0..HALF_OPEN_MAX {
        open_half(&mut net, stranger_at(number, 1));
    }
    net.restart(A);

    net.run_until(Duration::from_secs(1), Net::is_up);
    net.run_a_little();

    assert_carries(&mut net);
}

#[test]
fn verified_hellos_of_one_prefix_are_throttled_and_those_of_others_are_not() {
    let mut net = Net::up(&Plan::chain_of_three());
    let verdicts: Vec<_> = (0..HELLOS_BURST + 20)
        .map(|host| open_half(&mut net, stranger_at(7, u8::try_from(host).unwrap())))
        .collect();

    let throttled = net.nodes[B].counters().datagrams_dropped.get(&DatagramDrop::HelloThrottled).copied();
    assert_eq!(throttled, Some(20));
    assert!(verdicts[HELLOS_BURST..].iter().all(|verdict| *verdict == Verdict::Dropped(Lock::Gate)));
    net.run_for(Duration::from_secs(16));
    let before = net.nodes[B].counters().datagrams_dropped;
    assert_eq!(open_half(&mut net, stranger_at(8, 1)), Verdict::Accepted);
    assert_eq!(open_half(&mut net, stranger_at(7, 200)), Verdict::Accepted, "in time, that prefix may again");
    assert_eq!(net.nodes[B].counters().datagrams_dropped, before);
    assert_carries(&mut net);
}

#[test]
fn a_flood_from_one_prefix_does_not_keep_out_a_neighbour_of_another() {
    let mut net = Net::up(&Plan::chain_of_three());
    for host in 0..HELLOS_BURST + 20 {
        open_half(&mut net, stranger_at(7, u8::try_from(host).unwrap()));
    }
    net.run_for(Duration::from_secs(16));
    (0..HELLOS_BURST).for_each(|host| {
        open_half(&mut net, stranger_at(7, u8::try_from(host).unwrap()));
    });
    net.restart(C);

    net.run_until(Duration::from_secs(1), Net::is_up);
    net.run_a_little();

    assert_carries(&mut net);
}

/// A–B–C, and M who is a neighbour of B.
fn with_malicious_neighbour() -> Net {
    let chain = Plan::chain_of_three();
    let plan = Plan {
        nodes: 4,
        links: [chain.links, vec![(M, B)]].concat(),
        routes: [chain.routes, vec![(C, M, B), (A, M, B)]].concat(),
    };
    let mut net = Net::new(&plan);
    net.replace_by_insider(M, B);
    net.run_until_up();
    net
}

fn assert_carries(net: &mut Net) {
    net.events.iter_mut().for_each(|events| events.retain(|event| !matches!(event, Event::Delivered { .. })));
    net.send(A, C, b"over the hills").unwrap();
    net.run_a_little();
    net.reply(C, A, b"and far away").unwrap();
    net.run_a_little();
    assert_eq!(
        (net.delivered(C), net.delivered(A)),
        (vec![b"over the hills".to_vec()], vec![b"and far away".to_vec()])
    );
}

/// An address in a prefix that no node has.
fn stranger_at(prefix: usize, host: u8) -> SocketAddr {
    SocketAddr::from(([10, 1, u8::try_from(prefix).unwrap(), host], 4433))
}

/// A client session of someone, and its first hello.
fn stranger(context: &Context, net: &Net) -> (Session, Vec<u8>) {
    let options = SessionOptions { admission: Admission::AnyTrusted, ..SessionOptions::default() };
    let mut session = Session::connect(context, &options, net.clock.now()).unwrap();
    let hello = session.poll_transmit().unwrap().to_vec();
    (session, hello)
}

/// Carries a stranger through the cookie exchange with B, up to the hello that B would accept.
fn verified_hello(net: &mut Net, from: SocketAddr) -> (Session, Vec<u8>) {
    let (mut session, hello) = stranger(&net.contexts[C].clone(), net);
    let now = net.clock.now();
    assert_eq!(net.nodes[B].handle_datagram(from, &hello, now), Verdict::Challenged);
    let challenge = transmit_to(&mut net.nodes[B], from);
    session.handle_datagram(&challenge, &mut Plaintexts::new(), now);
    let verified = session.poll_transmit().unwrap().to_vec();
    (session, verified)
}

/// Takes every place for half-open handshakes at B, from one site.
fn fill_half_open(net: &mut Net) {
    for host in 0..HALF_OPEN_MAX {
        let from = stranger_at(7, u8::try_from(host).unwrap());
        assert_eq!(open_half(net, from), Verdict::Accepted);
        net.run_for(Duration::from_micros(1));
    }
}

/// Starts a handshake with B that its client never goes on with.
fn open_half(net: &mut Net, from: SocketAddr) -> Verdict {
    let verified = verified_hello(net, from).1;
    net.inject(from, B, &verified)
}

fn transmit_to(node: &mut Node, to: SocketAddr) -> Vec<u8> {
    std::iter::from_fn(|| node.poll_transmit()).find(|batch| batch.destination == to).unwrap().bytes
}

/// Addresses of neighbours and of strangers.
fn origin() -> impl Strategy<Value = SocketAddr> {
    prop_oneof![Just(address(A)), Just(address(C)), any::<u8>().prop_map(|host| stranger_at(3, host))]
}

/// Bytes, more or less like records.
fn noise() -> impl Strategy<Value = Vec<u8>> {
    let body = || proptest::collection::vec(any::<u8>(), 0..120);
    let record = (20_u8..25, 0_u16..3, any::<u32>(), body(), -2_i32..3).prop_map(
        |(kind, epoch, number, body, lie)| {
            let length = i32::try_from(body.len()).unwrap() + lie;
            let mut bytes = vec![kind, 0xfe, 0xfd];
            bytes.extend(epoch.to_be_bytes());
            bytes.extend([0, 0]);
            bytes.extend((number % 200).to_be_bytes());
            bytes.extend(u16::try_from(length.max(0)).unwrap().to_be_bytes());
            bytes.extend(body);
            bytes
        },
    );
    prop_oneof![1 => body(), 4 => record]
}

/// A header in which everything is possible, and likely to matter.
#[derive(Debug, Clone)]
struct AnyHeader {
    kind: usize,
    flags: u8,
    hop_limit: u8,
    flow: u32,
    boot_epoch: u32,
    packet: u64,
    source: usize,
    destination: usize,
}

impl AnyHeader {
    fn header(&self, ids: &[NodeId]) -> Header {
        let id = |index: usize| ids.get(index).copied().unwrap_or(NodeId::new([9; 16]));
        Header {
            flags: Flags(self.flags),
            hop_limit: HopLimit(self.hop_limit),
            flow: FlowId(self.flow),
            boot_epoch: self.boot_epoch,
            packet: PacketId(self.packet),
            ..Header::new(Kind::ALL[self.kind], id(self.source), id(self.destination))
        }
    }
}

fn any_header() -> impl Strategy<Value = AnyHeader> {
    let packet = prop_oneof![0..50_u64, Just(u64::MAX), any::<u64>()];
    (0..Kind::ALL.len(), any::<u8>(), any::<u8>(), 0..4_u32, 0..3_u32, packet, 0..5_usize, 0..5_usize)
        .prop_map(|(kind, flags, hop_limit, flow, boot_epoch, packet, source, destination)| AnyHeader {
            kind,
            flags,
            hop_limit,
            flow,
            boot_epoch,
            packet,
            source,
            destination,
        })
}
