//! What becomes of a frame on its way: relayed, answered the same way, or dropped with a reason.

use std::time::Duration;

use peerbound_node::{Event, FrameDrop, SendError, Sending};
use peerbound_wire::{ErrorCode, ErrorMessage, Flags, FlowId, HEADER_BYTES, Header, HopLimit, Kind, NodeId};

use crate::support::{FLOW, Net, Plan};

const A: usize = 0;
const B: usize = 1;
const C: usize = 2;
const D: usize = 3;
const E: usize = 4;

/// What AES-GCM adds to a frame.
const OVERHEAD: u16 = 37;

#[test]
fn a_neighbour_that_is_refused_is_named_with_the_reason_long_before_dialling_is_given_up() {
    // At B's address answers B, and A was told to expect C there: whoever wants to send should not
    // have to wait 15 s for the opening's end to hear so.
    let plan = Plan::chain_of_three();
    let mut net = Net::with(&plan, |index, ids, config| {
        if index == A {
            config.neighbours[0].id = ids[C];
            config.routes.clear();
        }
    });
    net.run_for(Duration::from_secs(1));

    let refused = net.send(A, C, b"x").unwrap_err().to_string();

    assert!(refused.contains("\"B\" has a trusted certificate but is not admitted here"), "{refused}");
}

#[test]
fn a_frame_whose_hop_limit_is_used_up_is_reported_by_the_relay_where_it_ended() {
    let mut net = with_insider_at_a(&Plan::chain(5));
    let e = net.id(E);
    for (hop_limit, reporter) in [(1, B), (2, C), (3, D)] {
        let header = Header { hop_limit: HopLimit(hop_limit), ..net.insider(A).header(Kind::Data, e) };
        net.insider(A).send_frame(header, b"x");
        net.run_a_little();

        let (reporter_heard, message) = errors_at_insider(&mut net).pop().unwrap();
        assert_eq!((reporter_heard, message.code, message.mtu), (net.id(reporter), ErrorCode::HopLimit, 0));
        // One was left on the last link, and the path MTU was lowered on the way.
        assert_eq!(message.offending.hop_limit, HopLimit(1));
        assert_eq!((message.offending.packet, message.offending.source), (header.packet, header.source));
        assert_eq!(net.dropped(reporter, FrameDrop::HopLimit), 1);
    }
    assert!(net.delivered(E).is_empty());
}

#[test]
fn a_frame_with_just_enough_hops_arrives_with_one_left() {
    let mut net = with_insider_at_a(&Plan::chain(5));
    let e = net.id(E);
    let header = Header { hop_limit: HopLimit(4), ..net.insider(A).header(Kind::Data, e) };

    net.insider(A).send_frame(header, b"x");
    net.run_a_little();

    let arrived = net.deliveries_at(E).remove(0).0;
    assert_eq!(arrived.hop_limit, HopLimit(1));
    assert!(net.insider(A).heard.is_empty());
}

#[test]
fn a_neighbour_takes_a_frame_with_no_hops_left_and_relays_none() {
    let mut net = with_insider_at_a(&Plan::chain_of_three());
    let (b, c) = (net.id(B), net.id(C));
    for destination in [b, c] {
        let header = Header { hop_limit: HopLimit(0), ..net.insider(A).header(Kind::Data, destination) };
        net.insider(A).send_frame(header, b"x");
    }
    net.run_a_little();

    assert_eq!((net.delivered(B).len(), net.delivered(C).len()), (1, 0));
    assert_eq!(net.dropped(B, FrameDrop::HopLimit), 1);
}

#[test]
fn a_far_relay_without_a_route_reports_to_the_origin_by_the_way_the_frame_came() {
    // Everything goes clockwise, A→B→C→D→E→A, but for what answers.
    let mut net = Net::up(&Plan::ring(5));
    net.cut_both(C, D);
    net.run_until(Duration::from_secs(5), |net| !net.is_usable(C, D));

    let packet = net.send(A, D, b"lost").unwrap();
    net.run_a_little();

    let (reporter, message) = net.errors(A).remove(0);
    assert_eq!((reporter, message.code), (net.id(C), ErrorCode::NoRoute));
    assert_eq!(message.offending.packet, packet);
    let is_error = |header: &Header| header.kind == Kind::Error;
    assert_eq!(net.sent_to(C, is_error), [net.id(B)]);
    assert_eq!(net.sent_to(B, is_error), [net.id(A)], "though its route to A leads through C");
    assert_eq!(net.dropped(C, FrameDrop::NoRoute), 1);
}

#[test]
fn a_frame_too_big_for_the_second_link_is_reported_with_what_fits_exactly() {
    let mut net = Net::with(&Plan::chain_of_three(), |index, _, config| {
        config.mtu = if index == B { 900 } else { 1400 };
    });
    net.run_until_up();
    net.send(A, C, &[1; 1000]).unwrap();
    net.run_a_little();
    let (reporter, message) = net.errors(A).remove(0);
    assert_eq!((reporter, message.code), (net.id(B), ErrorCode::TooBig));
    assert_eq!(message.mtu, 900 - OVERHEAD);

    let fits = usize::from(message.mtu) - HEADER_BYTES;
    // By then A tries again whether more fits.
    net.run_for(Duration::from_secs(2));
    net.send(A, C, &vec![2; fits + 1]).unwrap();
    net.send(A, C, &vec![3; fits]).unwrap();
    net.run_a_little();

    assert_eq!(net.delivered(C), [vec![3; fits]]);
    assert_eq!(net.dropped(B, FrameDrop::TooBig), 2);
    assert_eq!(net.deliveries_at(C)[0].0.path_mtu, message.mtu);
}

#[test]
fn a_payload_too_big_for_the_first_link_is_refused_with_what_fits_exactly() {
    let mut net = Net::up(&Plan::chain_of_three());

    let refused = net.send(A, C, &[0; 2000]).unwrap_err();

    let max = 1400 - usize::from(OVERHEAD) - HEADER_BYTES;
    assert_eq!(refused, SendError::TooLarge { len: 2000, max });
    assert!(net.send(A, C, &vec![0; max + 1]).is_err());
    assert!(net.send(A, C, &vec![0; max]).is_ok());
}

#[test]
fn the_path_mtu_is_the_least_of_the_way() {
    let mtus = [1400, 1000, 1200, 1300];
    let mut net = Net::with(&Plan::chain(4), |index, _, config| config.mtu = mtus[index]);
    net.run_until_up();

    net.send(A, D, b"there").unwrap();
    net.send(B, D, b"there").unwrap();
    net.send(C, D, b"there").unwrap();
    net.run_a_little();

    let seen: Vec<_> = net.deliveries_at(D).iter().map(|(header, _)| header.path_mtu).collect();
    assert_eq!(seen, [1200, 1000, 1000].map(|mtu| mtu - OVERHEAD), "C's own frame comes first");
}

#[test]
fn a_frame_that_comes_by_two_ways_goes_on_once() {
    // A→B→C→E and D→C→E.
    let plan = Plan {
        nodes: 5,
        links: vec![(A, B), (B, C), (D, C), (C, E)],
        routes: vec![(B, E, C), (C, A, B), (E, A, C)],
    };
    let mut net = Net::new(&plan);
    net.replace_by_insider(A, B);
    net.replace_by_insider(D, C);
    net.run_until_up();
    let e = net.id(E);
    let header = net.insider(A).header(Kind::Data, e);

    net.insider(A).send_frame(header, b"once");
    net.insider(D).send_frame(header, b"once");
    net.run_a_little();

    assert_eq!(net.delivered(E), [b"once"]);
    assert_eq!(net.dropped(C, FrameDrop::Duplicate), 1);
}

#[test]
fn a_frame_of_our_own_that_comes_back_is_dropped() {
    let mut net = with_insider_at_a(&Plan::chain_of_three());
    let (b, c) = (net.id(B), net.id(C));
    for destination in [b, c] {
        let header = Header { source: b, ..net.insider(A).header(Kind::Data, destination) };
        net.insider(A).send_frame(header, b"as if from B");
    }
    net.run_a_little();

    assert_eq!(net.dropped(B, FrameDrop::Duplicate), 2);
    assert!(net.delivered(B).is_empty() && net.delivered(C).is_empty());
}

#[test]
fn a_loop_of_static_routes_ends_where_it_closes_and_is_counted_there() {
    // A, B and D send what is for C round and round; C hangs on A.
    let plan = Plan {
        nodes: 4,
        links: vec![(A, B), (B, D), (D, A), (C, A)],
        routes: vec![(A, C, B), (B, C, D), (D, C, A)],
    };
    let mut net = Net::up(&plan);

    net.send(A, C, b"round").unwrap();
    net.send(B, C, b"and round").unwrap();
    net.run_a_little();

    assert!(net.delivered(C).is_empty());
    assert_eq!((net.dropped(A, FrameDrop::Duplicate), net.dropped(B, FrameDrop::Duplicate)), (1, 1));
    for index in [A, B, D] {
        assert_eq!(net.sent_to(index, |header| header.kind == Kind::Data).len(), 2);
    }
}

#[test]
fn a_frame_is_not_sent_back_to_the_neighbour_it_came_from() {
    // A and B each think that the other leads to D.
    let plan = Plan { nodes: 3, links: vec![(A, B), (B, C)], routes: vec![(A, C, B), (B, C, A)] };
    let mut net = Net::up(&plan);

    net.send(A, C, b"to and fro").unwrap();
    net.run_a_little();

    let (reporter, message) = net.errors(A).remove(0);
    assert_eq!((reporter, message.code), (net.id(B), ErrorCode::NoRoute));
    assert_eq!(net.dropped(B, FrameDrop::NoRoute), 1);
    assert_eq!(net.dropped(A, FrameDrop::Duplicate), 0, "it never came back");
}

#[test]
fn a_reply_goes_back_the_way_its_request_came_and_a_request_does_not() {
    let mut net = Net::up(&Plan::ring(5));
    let (a, b, d) = (net.id(A), net.id(B), net.id(D));
    net.send(A, C, b"request").unwrap();
    net.run_a_little();

    net.reply(C, A, b"reply").unwrap();
    net.send(C, A, b"request of its own").unwrap();
    net.run_a_little();

    let from_c = |header: &Header| header.source == net.id(C);
    assert_eq!(net.sent_to(C, from_c), [b, d]);
    assert_eq!(net.sent_to(B, from_c), [a]);
    assert_eq!(net.sent_to(D, from_c), [net.id(E)]);
    assert_eq!(net.delivered(A), [&b"reply"[..], b"request of its own"]);
}

#[test]
fn a_reply_in_another_flow_takes_the_route() {
    let mut net = Net::up(&Plan::ring(5));
    net.send(A, C, b"request").unwrap();
    net.run_a_little();

    let (a, now) = (net.id(A), net.clock.now());
    let reply = Sending { destination: a, flow: FlowId(FLOW.0 + 1), is_reply: true, payload: b"r" };
    net.nodes[C].send(reply, now).unwrap();
    net.run_a_little();

    assert_eq!(net.sent_to(C, |header| header.destination == a), [net.id(D)]);
    assert_eq!(net.delivered(A), [b"r"]);
}

#[test]
fn a_reply_takes_the_route_when_the_way_back_is_down() {
    let mut net = Net::up(&Plan::ring(5));
    net.send(A, C, b"request").unwrap();
    net.run_a_little();
    net.cut_both(B, C);
    net.run_until(Duration::from_secs(5), |net| !net.is_usable(C, B));

    net.reply(C, A, b"reply").unwrap();
    net.run_a_little();

    assert_eq!(net.delivered(A), [b"reply"]);
    assert_eq!(net.sent_to(C, |header| header.source == net.id(C)), [net.id(D)]);
}

#[test]
fn a_relay_sends_a_reply_by_its_route_when_the_way_back_is_down() {
    // A–B–C and A–D–B: requests come straight, B's route to A leads over D.
    let plan = Plan {
        nodes: 4,
        links: vec![(A, B), (B, C), (A, D), (D, B)],
        routes: vec![(A, C, B), (C, A, B), (B, A, D)],
    };
    let mut net = Net::up(&plan);
    let (a, d) = (net.id(A), net.id(D));
    net.send(A, C, b"request").unwrap();
    net.run_a_little();
    net.reply(C, A, b"straight").unwrap();
    net.run_a_little();
    net.cut_both(A, B);
    net.run_until(Duration::from_secs(5), |net| !net.is_usable(B, A));

    net.reply(C, A, b"round about").unwrap();
    net.run_a_little();

    assert_eq!(net.sent_to(B, |header| header.destination == a), [a, d]);
    assert_eq!(net.delivered(A), [&b"straight"[..], b"round about"]);
}

#[test]
fn a_route_to_a_neighbour_that_is_down_says_which_and_why() {
    let mut net = Net::up(&Plan::chain_of_three());
    net.cut_both(A, B);
    net.run_until(Duration::from_secs(5), |net| !net.is_usable(A, B));

    let refused = net.send(A, C, b"nowhere").unwrap_err().to_string();

    let reason = "neighbour \"B\" is down (three hellos in a row were missed)";
    assert_eq!(refused, format!("no route to {}: {reason}", net.id(C)));
    assert_eq!(net.dropped(A, FrameDrop::NoRoute), 1);
}

#[test]
fn a_destination_without_a_route_is_refused_at_its_origin() {
    let mut net = Net::up(&Plan { routes: Vec::new(), ..Plan::chain_of_three() });

    let refused = net.send(A, C, b"nowhere").unwrap_err().to_string();

    assert_eq!(refused, format!("no route to {}: it is no neighbour, and no route leads to it", net.id(C)));
}

#[test]
fn a_ping_over_three_hops_is_answered_over_three_hops() {
    let mut net = Net::up(&Plan::chain(4));
    let (d, now) = (net.id(D), net.clock.now());
    net.nodes[A].ping(d, FLOW, 0xfeed, now).unwrap();
    net.run_a_little();

    let pong = net.events[A].iter().find_map(|event| match event {
        Event::Pong { from, token, header } => Some((*from, *token, header.hop_limit, header.flags)),
        _ => None,
    });
    assert_eq!(pong, Some((d, 0xfeed, HopLimit(30), Flags::REPLY)));
}

#[test]
fn a_node_reaches_itself_without_a_wire() {
    let mut net = Net::up(&Plan::chain_of_three());
    let (a, now) = (net.id(A), net.clock.now());

    net.send(A, A, b"note to self").unwrap();
    net.nodes[A].ping(a, FLOW, 7, now).unwrap();
    net.flush();

    assert_eq!(net.delivered(A), [b"note to self"]);
    assert!(net.events[A].iter().any(|event| matches!(event, Event::Pong { token: 7, .. })));
}

#[test]
fn frames_of_a_later_version_are_relayed_and_end_at_their_destination() {
    let mut net = with_insider_at_a(&Plan::chain_of_three());
    let c = net.id(C);
    let header = net.insider(A).header(Kind::Trace, c);
    net.insider(A).send_frame(header, b"of a later version");
    net.run_a_little();

    assert_eq!(net.sent_to(B, |_| true).len(), 1);
    assert_eq!(net.dropped(C, FrameDrop::BadFrame), 1);
    assert!(net.insider(A).heard.is_empty(), "nobody is told");
}

#[test]
fn no_error_is_sent_about_an_error() {
    let mut net = with_insider_at_a(&Plan::chain(4));
    let (d, nobody) = (net.id(D), NodeId::new([9; 16]));
    let unroutable = net.insider(A).header(Kind::Error, nobody);
    let worn = Header { hop_limit: HopLimit(1), ..net.insider(A).header(Kind::Error, d) };

    net.insider(A).send_frame(unroutable, b"");
    net.insider(A).send_frame(worn, b"");
    net.run_a_little();

    assert!(net.insider(A).heard.is_empty());
    assert_eq!((net.dropped(B, FrameDrop::NoRoute), net.dropped(B, FrameDrop::HopLimit)), (1, 1));
}

#[test]
fn errors_are_limited_in_rate_and_what_they_are_about_is_counted_all_the_same() {
    let mut net = with_insider_at_a(&Plan::chain_of_three());
    flood_with_unroutable(&mut net, 500);
    net.run_for(Duration::from_millis(5));
    assert_eq!(errors_at_insider(&mut net).len(), 50);

    net.run_for(Duration::from_millis(95));
    net.insider(A).heard.clear();
    flood_with_unroutable(&mut net, 500);
    net.run_for(Duration::from_millis(5));

    let again = errors_at_insider(&mut net).len();
    assert!((9..=11).contains(&again), "{again} errors for 100 ms");
    assert_eq!(net.dropped(B, FrameDrop::NoRoute), 1000);
}

#[test]
fn more_than_may_wait_to_be_sent_is_refused() {
    let mut net = Net::up(&Plan::chain_of_three());
    let payload = [0; 1300];

    let refused = (0..10_000).map(|_| net.send(A, C, &payload)).find_map(Result::err);

    assert_eq!(refused, Some(SendError::QueueFull));
    assert!(net.dropped(A, FrameDrop::QueueFull) == 1);
    net.flush();
    assert!(net.send(A, C, &payload).is_ok());
}

/// A plan in which an insider sits in A's place, as a neighbour of B.
fn with_insider_at_a(plan: &Plan) -> Net {
    let mut net = Net::new(plan);
    net.replace_by_insider(A, B);
    net.run_until_up();
    net.insider(A).heard.clear();
    net
}

fn errors_at_insider(net: &mut Net) -> Vec<(NodeId, ErrorMessage)> {
    let errors = net.insider(A).heard.iter().filter(|(header, _)| header.kind == Kind::Error);
    errors.map(|(header, payload)| (header.source, ErrorMessage::decode(payload).unwrap())).collect()
}

fn flood_with_unroutable(net: &mut Net, frames: usize) {
    for _ in 0..frames {
        let header = net.insider(A).header(Kind::Data, NodeId::new([9; 16]));
        net.insider(A).send_frame(header, b"");
    }
}
