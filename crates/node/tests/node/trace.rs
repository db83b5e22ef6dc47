//! Every hop of a way describes itself, out and back, and nobody is flooded by that.

use std::net::SocketAddr;
use std::time::Duration;

use peerbound_node::{Event, FrameDrop, StaticRoute, TracePlace, TraceSeen};
use peerbound_wire::{
    Acquaintance, Flags, FlowId, Header, HopLimit, Kind, NodeId, PacketId, TraceLeg, TraceMessage,
    TraceReport,
};

use crate::support::{FAIR, Net, Plan, address};

const A: usize = 0;
const B: usize = 1;
const C: usize = 2;
const D: usize = 3;

const FLOW: FlowId = FlowId(0x7ace);
const TOKEN: u64 = 77;

/// Descriptions that a node gives at once.
const TRACES_BURST: usize = 64;

#[test]
fn every_hop_of_a_chain_describes_itself_out_and_back() {
    let mut net = Net::with(&Plan::chain_of_three(), |_, _, config| config.measure_round_trips = true);
    net.run_until_up();
    net.run_for(Duration::from_secs(5));

    trace(&mut net, A, C);

    let hops = hops(&net, A);
    let short: Vec<_> =
        hops.iter().map(|hop| (index(&net, hop.reporter), hop.report.leg, hop.place)).collect();
    assert_eq!(
        short,
        [
            (A, TraceLeg::Out, TracePlace::Origin),
            (B, TraceLeg::Out, TracePlace::Relay),
            (C, TraceLeg::Out, TracePlace::Destination),
            (B, TraceLeg::Back, TracePlace::Relay),
            (A, TraceLeg::Back, TracePlace::End),
        ]
    );
    let ways: Vec<_> = hops
        .iter()
        .map(|hop| [hop.report.ingress, hop.report.egress].map(|id| id.map(|id| index(&net, id))))
        .collect();
    assert_eq!(
        ways,
        [[None, Some(B)], [Some(A), Some(C)], [Some(B), Some(B)], [Some(C), Some(A)], [Some(B), None]]
    );
    let out = hops[1].report;
    assert_eq!((out.hop_limit, out.token), (HopLimit(32), TOKEN));
    assert_eq!(out.round_trip, Some(FAIR.latency * 2));
    assert!(out.session_age.is_some_and(|age| age.as_secs() >= 4), "{out:?}");
    assert!(out.frame_bytes_max > 1300 && out.path_mtu == out.frame_bytes_max, "{out:?}");
    assert_eq!(hops[2].report.hop_limit, HopLimit(31));
    assert_eq!(hops[4].report.hop_limit, HopLimit(31), "the answer began with 32, too");
}

#[test]
fn a_way_back_that_is_another_one_is_told_as_it_is() {
    // In the ring frames go clockwise, also replies, where any way back will do.
    let mut net =
        Net::with(&Plan::ring(4), |_, _, config| config.return_path = peerbound_node::ReturnPath::Any);
    net.run_until_up();

    trace(&mut net, A, C);

    let way = |leg| {
        let hops = hops(&net, A).into_iter().filter(|hop| hop.report.leg == leg);
        hops.map(|hop| index(&net, hop.reporter)).collect::<Vec<_>>()
    };
    assert_eq!(way(TraceLeg::Out), [A, B, C]);
    assert_eq!(way(TraceLeg::Back), [D, A]);
}

#[test]
fn a_trace_to_a_neighbour_has_no_relay_and_one_to_ourselves_no_link() {
    let mut net = Net::up(&Plan::chain_of_three());

    trace(&mut net, A, B);
    assert_eq!(reporters(&net, A), [A, B, A]);
    net.events[A].clear();

    trace(&mut net, A, A);
    assert_eq!(hops(&net, A).iter().filter(|hop| hop.place == TracePlace::Destination).count(), 1);
    assert!(hops(&net, A).iter().all(|hop| hop.reporter == net.id(A) && hop.report.egress.is_none()));
}

#[test]
fn a_relay_that_says_nothing_leaves_a_gap_that_its_neighbours_show() {
    // M, in the place of an earlier version, relays nothing: its neighbour C is asked by itself.
    let mut net = with_insider();
    let (us, b) = (net.id(D), net.id(B));
    let request = Header { flow: FLOW, ..net.insider(D).header(Kind::Trace, b) };
    net.insider(D).send_frame(request, &payload(TraceMessage::Request { token: TOKEN }));
    net.run_a_little();

    let heard = heard(&mut net);
    assert_eq!(heard.len(), 1, "{heard:?}");
    let (header, TraceMessage::Answer(report)) = heard[0] else { panic!("{heard:?}") };
    assert_eq!((header.source, header.destination, header.flow), (b, us, FLOW));
    assert_eq!((report.ingress, report.egress), (Some(us), Some(us)));
}

#[test]
fn a_trace_that_ends_on_the_way_is_described_up_to_there_and_the_error_says_why() {
    let mut net = Net::up(&Plan::chain(4));
    net.cut_both(C, D);
    net.run_until(Duration::from_secs(5), |net| !net.is_usable(C, D));

    trace(&mut net, A, D);

    assert_eq!(reporters(&net, A), [A, B]);
    let errors = net.errors(A);
    assert_eq!(errors.len(), 1);
    assert_eq!((errors[0].0, errors[0].1.offending.kind), (net.id(C), Kind::Trace));
}

#[test]
fn a_flood_of_requests_draws_no_more_descriptions_than_the_bucket_holds_and_all_go_to_its_sender() {
    let mut net = with_insider();
    let (a, c) = (net.id(A), net.id(C));
    for packet in 0..1000 {
        // The origin is forged: A would be the one to suffer.
        let header =
            Header { flow: FLOW, packet: PacketId(packet), boot_epoch: 9, ..Header::new(Kind::Trace, a, c) };
        net.insider(D).send_frame(header, &payload(TraceMessage::Request { token: packet }));
    }
    net.run_a_little();

    let heard = heard(&mut net);
    let from = |id: NodeId| heard.iter().filter(|(header, _)| header.source == id).count();
    let (of_relay, of_destination) = (from(net.id(B)), from(c));
    let in_time = TRACES_BURST + 6;
    assert!(of_relay + of_destination <= 2 * in_time && of_relay > 0, "{of_relay} and {of_destination}");
    assert!(hops(&net, A).is_empty(), "whoever was named hears nothing of it");
    assert_eq!(net.dropped(A, FrameDrop::Unasked), 0);
    net.run_for(Duration::from_secs(3));
    assert!(net.is_usable(B, D), "and the neighbour is kept");
}

#[test]
fn what_was_not_asked_for_is_dropped_and_counted() {
    let mut net = with_insider();
    let a = net.id(A);
    let report = report();
    let that_is = TraceMessage::ThatIs { token: 5, address: address(C), who: None };
    for message in [TraceMessage::Answer(report), TraceMessage::Report(report), that_is] {
        let header = Header { flags: Flags::REPLY, ..net.insider(D).header(Kind::Trace, a) };
        net.insider(D).send_frame(header, &payload(message));
    }
    // A request with the flag of a reply, and a report without: neither is what it says.
    let header = Header { flags: Flags::REPLY, ..net.insider(D).header(Kind::Trace, a) };
    net.insider(D).send_frame(header, &payload(TraceMessage::Request { token: 1 }));
    let header = net.insider(D).header(Kind::Trace, a);
    net.insider(D).send_frame(header, &payload(TraceMessage::Report(report)));
    net.run_a_little();

    // The relay described itself because of the answer, and that was not asked for either.
    assert_eq!(net.dropped(A, FrameDrop::Unasked), 6);
    assert!(hops(&net, A).is_empty());
}

#[test]
fn an_answer_takes_as_many_descriptions_as_a_way_can_have_and_no_more() {
    let mut net = with_insider();
    let (a, now) = (net.id(A), net.clock.now());
    let us = net.id(D);
    net.nodes[A].trace(us, FLOW, TOKEN, now).unwrap();
    for _ in 0..200 {
        let header = Header { flags: Flags::REPLY, ..net.insider(D).header(Kind::Trace, a) };
        net.insider(D)
            .send_frame(header, &payload(TraceMessage::Report(TraceReport { token: TOKEN, ..report() })));
    }
    net.run_a_little();

    assert!(hops(&net, A).len() <= 4 * 32 + 2, "{}", hops(&net, A).len());
    assert!(net.dropped(A, FrameDrop::Unasked) >= 70);
}

#[test]
fn no_payload_of_a_trace_is_more_than_a_bad_frame_at_its_destination() {
    let mut net = with_insider();
    let c = net.id(C);
    for bytes in [&b""[..], &[0], &[9, 9], &[1, 2, 3], &[2; 58], &[3; 60], &[4; 28]] {
        let header = net.insider(D).header(Kind::Trace, c);
        net.insider(D).send_frame(header, bytes);
    }
    net.run_a_little();

    assert_eq!(net.dropped(C, FrameDrop::BadFrame), 7);
    assert!(heard(&mut net).is_empty(), "and the relay says nothing about what it cannot read");
}

#[test]
fn a_neighbour_says_who_is_at_an_address_and_how_it_knows() {
    let mut net = Net::up(&Plan::chain_of_three());
    let elsewhere = SocketAddr::new(address(C).ip(), 50_000);
    let nobody: SocketAddr = "203.0.113.9:4433".parse().unwrap();

    let answers = [address(C), elsewhere, nobody].map(|address| who_is(&mut net, address));

    let c = net.id(C);
    let expected = [Some((c, Acquaintance::Session)), Some((c, Acquaintance::SameHost)), None];
    assert_eq!(answers, expected);

    net.cut_both(B, C);
    net.run_until(Duration::from_secs(5), |net| !net.is_usable(B, C));
    assert_eq!(who_is(&mut net, address(C)), Some((c, Acquaintance::Before)));
}

#[test]
fn nobody_is_told_that_an_address_is_his_own_when_he_asks() {
    let mut net = Net::up(&Plan::chain_of_three());

    assert_eq!(who_is(&mut net, address(A)), None);
}

fn trace(net: &mut Net, from: usize, to: usize) {
    let (destination, now) = (net.id(to), net.clock.now());
    net.nodes[from].trace(destination, FLOW, TOKEN, now).unwrap();
    net.run_a_little();
}

fn who_is(net: &mut Net, address: SocketAddr) -> Option<(NodeId, Acquaintance)> {
    net.events[A].clear();
    let (b, now) = (net.id(B), net.clock.now());
    net.nodes[A].who_is((b, address), FLOW, TOKEN, now).unwrap();
    net.run_a_little();
    let answer = |event: &Event| match event {
        Event::WhoIs { from, token, address: at, who } => {
            assert_eq!((*from, *token, *at), (b, TOKEN, address));
            Some(*who)
        }
        _ => None,
    };
    net.events[A].iter().find_map(answer).expect("B answers")
}

/// The hops in the order of the way: out, then back.
fn hops(net: &Net, at: usize) -> Vec<TraceSeen> {
    let hop = |event: &Event| match event {
        Event::TraceReport(seen) => Some(*seen),
        _ => None,
    };
    let mut hops: Vec<_> = net.events[at].iter().filter_map(hop).collect();
    hops.sort_by_key(|hop| (hop.report.leg, hop.place, std::cmp::Reverse(hop.report.hop_limit)));
    hops
}

fn reporters(net: &Net, at: usize) -> Vec<usize> {
    hops(net, at).iter().map(|hop| index(net, hop.reporter)).collect()
}

fn index(net: &Net, id: NodeId) -> usize {
    (0..net.nodes.len()).find(|index| net.id(*index) == id).expect("a node of this net")
}

/// A chain of three, and an insider in the place of D that is a neighbour of B.
fn with_insider() -> Net {
    let chain = Plan::chain_of_three();
    let plan = Plan {
        nodes: 4,
        links: [chain.links, vec![(D, B)]].concat(),
        routes: [chain.routes, vec![(C, D, B), (A, D, B)]].concat(),
    };
    let mut net = Net::with(&plan, |index, ids, config| {
        // A frame that A seems to have sent comes back to B by the route, were it sent by one.
        if index == B {
            config.routes.push(StaticRoute { destination: ids[A], via: ids[A] });
        }
    });
    net.replace_by_insider(D, B);
    net.run_until_up();
    net.insider(D).heard.clear();
    net
}

fn heard(net: &mut Net) -> Vec<(Header, TraceMessage)> {
    let traces = net.insider(D).heard.iter().filter(|(header, _)| header.kind == Kind::Trace);
    traces.map(|(header, payload)| (*header, TraceMessage::decode(payload).unwrap())).collect()
}

fn payload(message: TraceMessage) -> Vec<u8> {
    let mut bytes = Vec::new();
    message.encode_into(&mut bytes);
    bytes
}

fn report() -> TraceReport {
    TraceReport {
        leg: TraceLeg::Out,
        hop_limit: HopLimit(31),
        path_mtu: 1363,
        token: 5,
        ingress: None,
        egress: None,
        frame_bytes_max: 1363,
        round_trip: None,
        queue_delay: None,
        session_age: None,
    }
}
