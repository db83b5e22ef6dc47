//! Sessions from end to end: payloads that relays carry and cannot read.

use std::collections::BTreeSet;
use std::time::Duration;

use peerbound_dtls::{Direction, Plaintexts, Record, Role, Session, SessionOptions};
use peerbound_node::{
    Ecn, EndToEnd, Event, FrameDrop, InnerEvent, InnerState, NodeConfig, RouterConfig, Routing, SendError,
    Sending,
};
use peerbound_wire::{ErrorCode, ErrorMessage, Flags, FlowId, Frame, Header, Kind, NodeId, PacketId};

use crate::support::{Conditions, FAIR, FLOW, Net, Plan, Weather, for_each_seed};

const A: usize = 0;
const B: usize = 1;
const C: usize = 2;
/// A neighbour of C that means no good.
const M: usize = 3;

const SECOND: Duration = Duration::from_secs(1);

fn on(config: &mut NodeConfig) {
    config.inner.default = EndToEnd::On;
}

fn chain() -> Net {
    let mut net = Net::with(&Plan::chain_of_three(), |_, _, config| on(config));
    net.run_until_up();
    net
}

/// A–B–C, and M that dials C.
fn chain_and_stranger() -> Net {
    let mut plan = Plan::chain_of_three();
    plan.nodes = 4;
    plan.links.push((M, C));
    let mut net = Net::with(&plan, |_, _, config| on(config));
    net.replace_by_insider(M, C);
    net.run_until(SECOND * 5, |net| net.is_usable(C, M) && net.is_usable(A, B) && net.is_usable(C, B));
    net
}

fn events(net: &Net, index: usize) -> Vec<&InnerEvent> {
    let events = net.events[index].iter();
    events.filter_map(|event| if let Event::Inner(inner) = event { Some(inner) } else { None }).collect()
}

fn opened(net: &Net, index: usize) -> usize {
    events(net, index).iter().filter(|event| matches!(event, InnerEvent::Opened { .. })).count()
}

fn replaced(net: &Net, index: usize) -> usize {
    events(net, index).iter().filter(|event| matches!(event, InnerEvent::Replaced { .. })).count()
}

fn is_established(net: &Net, at: usize, with: usize) -> bool {
    let peer = net.id(with);
    net.nodes[at]
        .inner_sessions()
        .iter()
        .any(|view| view.peer == peer && view.state == InnerState::Established)
}

/// The frames that came from A to B over their link, opened with the keys that B has.
fn frames_at_relay(net: &Net) -> Vec<(Header, Vec<u8>)> {
    let a = net.id(A);
    let keys = net.nodes[B].session_secrets(a).unwrap().record_keys().unwrap();
    let direction = match net.nodes[B].session_role(a).unwrap() {
        Role::Client => Direction::ServerToClient,
        Role::Server => Direction::ClientToServer,
    };
    let from_a = net.deliveries.iter().filter(|delivery| (delivery.from, delivery.to) == (A, B));
    let plaintexts = from_a.filter_map(|delivery| {
        let (record, _) = Record::split(&delivery.bytes).ok()?;
        if record.header.epoch == 0 { None } else { keys.of(direction).open(&record) }
    });
    let plaintexts: Vec<_> = plaintexts.collect();
    let frames = plaintexts.iter().filter_map(|plaintext| Frame::decode(plaintext).ok());
    frames.map(|frame| (frame.header, frame.payload.to_vec())).collect()
}

#[test]
fn a_session_opens_with_the_first_payload_and_carries_the_next_ones() {
    let mut net = chain();

    net.send(A, C, b"over the hills").unwrap();
    net.run_for(SECOND);
    net.send(A, C, b"and far away").unwrap();
    net.reply(C, A, b"heard").unwrap();
    net.send(A, C, b"").unwrap();
    net.run_a_little();

    assert_eq!(net.delivered(C), [&b"over the hills"[..], b"and far away", b""]);
    assert_eq!(net.delivered(A), [b"heard"]);
    assert_eq!((opened(&net, A), opened(&net, C)), (1, 1));
    let view = net.nodes[A].inner_sessions().remove(0);
    assert_eq!((view.peer, view.state, view.role), (net.id(C), InnerState::Established, Some(Role::Client)));
    assert_eq!((view.records, view.bytes), ((3, 1), (26, 5)));
    assert_eq!((view.path_mtu, view.waiting, view.last_error), (Some(1363), (0, 0), None));
    assert!(net.nodes[B].inner_sessions().is_empty());
}

#[test]
fn a_relay_that_opens_every_frame_finds_no_byte_of_a_payload() {
    let mut net = chain();
    let secret = b"nobody on the way is to read this line";

    for _ in 0..5 {
        net.send(A, C, secret).unwrap();
        net.run_for(SECOND);
    }

    assert_eq!(net.delivered(C), [secret; 5]);
    let frames = frames_at_relay(&net);
    let data: Vec<_> = frames.iter().filter(|(header, _)| header.kind == Kind::Data).collect();
    assert_eq!(data.len(), 5);
    assert!(data.iter().all(|(header, _)| header.flags == Flags::INNER));
    for (_, payload) in &frames {
        assert!(!payload.windows(6).any(|window| secret.windows(6).any(|part| part == window)));
    }
}

#[test]
fn in_the_clear_the_same_relay_reads_it_all() {
    let mut net = Net::up(&Plan::chain_of_three());

    net.send(A, C, b"anybody may read this").unwrap();
    net.run_a_little();

    assert!(frames_at_relay(&net).iter().any(|(_, payload)| payload == b"anybody may read this"));
}

#[test]
fn packets_travel_inside_and_come_out_as_packets() {
    let mut net = chain();
    let sending = Sending { destination: net.id(C), flow: FLOW, is_reply: false, payload: b"a packet" };
    net.nodes[A].send_packet(sending, Ecn::Capable, net.clock.now()).unwrap();
    net.run_for(SECOND);

    let packet = net.nodes[C].poll_packet().unwrap();

    assert_eq!((packet.header.source, &packet.bytes[..]), (net.id(A), &b"a packet"[..]));
    assert!(frames_at_relay(&net).iter().all(|(header, _)| !header.flags.contains(Flags::PACKET)));
    assert!(packet.header.flags.contains(Flags::ECN_CAPABLE), "relays may mark it all the same");
    assert!(net.delivered(C).is_empty());
}

#[test]
fn what_is_sent_while_a_session_opens_waits_and_arrives_in_order() {
    let mut net = chain();
    let lines: Vec<_> = (0..40_u8).map(|number| vec![number; 100]).collect();
    for line in &lines {
        net.send(A, C, line).unwrap();
    }
    assert_eq!(net.nodes[A].counters().frames_queued, 40);
    assert_eq!(net.nodes[A].inner_sessions()[0].waiting, (40, 4000));

    net.run_for(SECOND);

    assert_eq!(net.delivered(C), lines);
    assert_eq!(net.nodes[A].counters().frames_queued, 0);
}

#[test]
fn a_flow_overtakes_another_in_the_same_session_and_what_it_overtook_arrives_as_well() {
    let mut net = chain();
    net.send(A, C, b"open").unwrap();
    net.run_a_little();
    let (to, now) = (net.id(C), net.clock.now());
    net.nodes[B].handle_room(0, now);
    for flow in std::iter::repeat_n(FlowId(1), 1000).chain([FlowId(2)]) {
        let payload = vec![u8::try_from(flow.0).unwrap(); 1000];
        let sending = Sending { destination: to, flow, is_reply: false, payload: &payload };
        net.nodes[A].send(sending, now).unwrap();
    }
    net.run_a_little();

    let now = net.clock.now();
    net.nodes[B].handle_room(usize::MAX, now);
    net.run_a_little();

    let delivered = net.delivered(C);
    assert_eq!(delivered.len(), 1 + 1000 + 1, "records that come late are opened");
    let place = delivered.iter().position(|payload| payload[0] == 2).unwrap();
    assert!(place <= 3, "{place} of 1000 went before it");
}

#[test]
fn the_queue_has_a_ceiling_of_bytes_and_one_of_time_and_each_drop_has_its_reason() {
    let mut net = chain();
    net.cut_both(B, C);
    let sent = (0..100).filter(|_| net.send(A, C, &[7; 1000]).is_ok()).count();
    assert_eq!(sent, 65, "64 KiB of them");
    assert_eq!(net.send(A, C, &[7; 1000]), Err(SendError::InnerQueueFull));
    assert_eq!(net.dropped(A, FrameDrop::InnerQueueFull), 36);

    // B finds out that C is gone only after 1.75 s; until then hellos are lost in silence.
    net.run_for(Duration::from_millis(1000));
    assert_eq!(net.nodes[A].counters().frames_queued, 65);
    net.run_for(SECOND * 5);

    let counters = net.nodes[A].counters();
    assert_eq!(counters.frames_queued, 0);
    assert_eq!(net.dropped(A, FrameDrop::InnerFailed), 65);
    assert_eq!(net.errors(A).len(), 65, "each is reported, as in the clear");
    assert!(net.errors(A).iter().all(|(reporter, error)| {
        (*reporter, error.code, error.offending.kind) == (net.id(B), ErrorCode::NoRoute, Kind::Data)
    }));
}

#[test]
fn what_waits_for_a_silent_node_is_given_up_in_time() {
    let mut net = chain_and_stranger();
    // M is a neighbour of C in good standing and does no inner handshake.
    for line in 0..3_u8 {
        net.send(C, M, &[line]).unwrap();
    }

    net.run_for(Duration::from_millis(4900));
    assert_eq!(net.nodes[C].counters().frames_queued, 3);
    net.run_for(SECOND);
    assert_eq!((net.nodes[C].counters().frames_queued, net.dropped(C, FrameDrop::InnerExpired)), (0, 3));
    net.run_for(SECOND * 15);

    let [InnerEvent::Failed { id, reason, lost: 0 }] = events(&net, C)[..] else {
        panic!("{:?}", events(&net, C))
    };
    assert_eq!((*id, &reason[..]), (net.id(M), "nothing answers at its address"));
    assert_eq!(net.nodes[C].inner_sessions()[0].state, InnerState::Gone);
}

#[test]
fn both_ends_may_open_at_once_and_one_session_is_left() {
    let mut net = chain();

    net.send(A, C, b"one").unwrap();
    net.send(C, A, b"other").unwrap();
    net.run_for(SECOND);

    assert_eq!((net.delivered(C), net.delivered(A)), (vec![b"one".to_vec()], vec![b"other".to_vec()]));
    let role = |index: usize| net.nodes[index].inner_sessions()[0].role;
    assert_eq!((role(A), role(C)), (Some(Role::Client), Some(Role::Server)), "the smaller id's hello wins");
    assert_eq!((opened(&net, A), opened(&net, C)), (1, 1));
}

#[test]
fn a_destination_that_restarted_says_so_and_another_session_is_there_at_once() {
    let mut net = chain();
    net.send(A, C, b"before").unwrap();
    net.run_for(SECOND);
    net.restart(C);
    net.run_until_up();

    net.send(A, C, b"into the void").unwrap();
    net.run_a_little();
    assert_eq!(net.errors(A).pop().unwrap().1.code, ErrorCode::NoSession);
    net.send(A, C, b"after").unwrap();
    net.run_a_little();

    assert_eq!(net.delivered(C), [&b"before"[..], b"after"]);
    assert_eq!(replaced(&net, A), 1);
    assert_eq!(net.dropped(C, FrameDrop::NoInnerSession), 1);
}

#[test]
fn an_origin_that_restarted_opens_another_session_beside_the_one_the_other_end_has() {
    let mut net = chain();
    net.send(A, C, b"before").unwrap();
    net.run_for(SECOND);
    net.restart(A);
    net.run_until_up();

    net.send(A, C, b"after").unwrap();
    net.run_for(SECOND);
    net.reply(C, A, b"welcome back").unwrap();
    net.run_a_little();

    assert_eq!(net.delivered(C), [&b"before"[..], b"after"]);
    assert_eq!(net.delivered(A), [b"welcome back"]);
    assert_eq!((opened(&net, C), replaced(&net, C)), (1, 1));
}

#[test]
fn a_server_whose_client_restarted_reaches_it_again_although_it_has_no_route_of_its_own() {
    let plan = Plan { routes: vec![(A, C, B)], ..Plan::chain_of_three() };
    let mut net = Net::with(&plan, |_, _, config| on(config));
    net.run_until_up();
    net.send(A, C, b"hello").unwrap();
    net.run_for(SECOND);
    net.restart(A);
    net.run_until_up();

    net.reply(C, A, b"lost").unwrap();
    net.run_a_little();
    net.reply(C, A, b"found").unwrap();
    net.run_a_little();

    assert_eq!(net.delivered(A), [b"found"]);
}

#[test]
fn an_invented_word_that_there_is_no_session_costs_a_handshake_and_no_payload() {
    let mut net = chain_and_stranger();
    net.send(C, A, b"before").unwrap();
    net.run_for(SECOND);
    let (a, c) = (net.id(A), net.id(C));
    let boot_epoch = net.deliveries_at(A)[0].0.boot_epoch;
    for number in 0..200 {
        let offending = Header {
            boot_epoch,
            packet: PacketId(number),
            flags: Flags::INNER,
            ..Header::new(Kind::Data, c, a)
        };
        let error = ErrorMessage { code: ErrorCode::NoSession, mtu: 0, offending };
        let mut payload = Vec::new();
        error.encode_into(&mut payload);
        let header = Header { source: a, ..net.insider(M).header(Kind::Error, c) };
        net.insider(M).send_frame(header, &payload);
        net.send(C, A, &number.to_be_bytes()).unwrap();
        net.run_for(Duration::from_millis(20));
    }

    assert_eq!(net.delivered(A).len(), 201, "nothing was lost");
    assert!(replaced(&net, C) <= 5, "one a second at most, in four seconds");
    assert_eq!((opened(&net, A), opened(&net, C)), (1, 1));
}

#[test]
fn a_node_with_e2e_off_refuses_sessions_and_its_word_reaches_whoever_sent() {
    let mut net = Net::with(&Plan::chain_of_three(), |index, _, config| {
        config.inner.default = if index == C { EndToEnd::Off } else { EndToEnd::On };
    });
    net.run_until_up();

    let packet = net.send(A, C, b"sealed").unwrap();
    net.run_for(SECOND);

    assert!(net.delivered(C).is_empty());
    let (reporter, error) = net.errors(A).remove(0);
    assert_eq!((reporter, error.code), (net.id(C), ErrorCode::InnerRefused));
    assert_eq!((error.offending.packet, error.offending.kind), (packet, Kind::Data));
    assert_eq!(net.dropped(C, FrameDrop::InnerRefused), 1);
    assert_eq!(net.dropped(A, FrameDrop::InnerFailed), 1);
    let view = net.nodes[A].inner_sessions().remove(0);
    assert!(view.last_error.unwrap().ends_with("e2e is off there"));
}

#[test]
fn a_payload_in_the_clear_is_refused_by_a_node_that_has_not_said_so_too() {
    let mut net = Net::with(&Plan::chain_of_three(), |index, ids, config| {
        on(config);
        if index == A {
            config.inner.exceptions.insert(ids[C], EndToEnd::Off);
        }
    });
    net.run_until_up();

    let packet = net.send(A, C, b"in the clear").unwrap();
    net.run_a_little();

    assert!(net.delivered(C).is_empty());
    let (reporter, error) = net.errors(A).remove(0);
    assert_eq!((reporter, error.code, error.offending.packet), (net.id(C), ErrorCode::ClearRefused, packet));
    assert_eq!(net.dropped(C, FrameDrop::ClearRefused), 1);
}

#[test]
fn two_nodes_that_both_say_off_speak_in_the_clear_and_to_others_inside() {
    let mut net = Net::with(&Plan::chain_of_three(), |index, ids, config| {
        on(config);
        if index != B {
            config.inner.exceptions.insert(ids[A + C - index], EndToEnd::Off);
        }
    });
    net.run_until_up();

    net.send(A, C, b"in the clear").unwrap();
    net.send(A, B, b"inside").unwrap();
    net.run_for(SECOND);

    assert_eq!(
        (net.delivered(C), net.delivered(B)),
        (vec![b"in the clear".to_vec()], vec![b"inside".to_vec()])
    );
    assert!(is_established(&net, A, B) && !is_established(&net, A, C));
}

#[test]
fn sessions_are_turned_off_and_on_while_nodes_run_and_with_one_node_alone() {
    let mut net = chain();
    net.send(A, C, b"inside").unwrap();
    net.send(A, B, b"to the relay").unwrap();
    net.run_for(SECOND);
    let (a, c, now) = (net.id(A), net.id(C), net.clock.now());

    let ended = net.nodes[A].set_end_to_end(EndToEnd::On, [(c, EndToEnd::Off)].into(), now);
    net.nodes[C].set_end_to_end(EndToEnd::On, [(a, EndToEnd::Off)].into(), now);
    net.run_for(SECOND);
    net.send(A, C, b"in the clear").unwrap();
    net.run_for(SECOND);

    assert_eq!(ended, 1);
    assert!(!is_established(&net, A, C) && !is_established(&net, C, A) && is_established(&net, A, B));
    let now = net.clock.now();
    for index in [A, C] {
        assert_eq!(net.nodes[index].set_end_to_end(EndToEnd::On, [].into(), now), 0);
    }
    net.send(A, C, b"inside again").unwrap();
    net.run_for(SECOND);
    assert_eq!(net.delivered(C), [&b"inside"[..], b"in the clear", b"inside again"]);
    assert!(is_established(&net, A, C));
}

#[test]
fn what_waits_for_a_session_that_is_turned_off_is_told_of_as_lost() {
    let mut net = chain();
    net.send(A, C, b"waits").unwrap();
    let (c, now) = (net.id(C), net.clock.now());

    net.nodes[A].set_end_to_end(EndToEnd::On, [(c, EndToEnd::Off)].into(), now);
    net.run_for(SECOND);

    let lost = events(&net, A).iter().any(|event| matches!(event, InnerEvent::Failed { lost: 1, .. }));
    assert!(lost, "{:?}", events(&net, A));
    assert!(
        net.delivered(C).is_empty() && net.nodes[A].inner_sessions().iter().all(|view| view.waiting.0 == 0)
    );
}

#[test]
fn another_route_under_traffic_touches_no_session() {
    let plan = Plan { nodes: 4, links: vec![(0, 1), (1, 2), (2, 3), (3, 0)], routes: Vec::new() };
    let mut net = Net::with(&plan, |_, _, config| {
        on(config);
        config.routing = Routing::Dynamic(RouterConfig::default());
    });
    net.run_until_up();
    net.run_for(SECOND * 2);
    net.send(A, C, &[0]).unwrap();
    net.run_for(SECOND);

    for round in 0..4 {
        net.cut.clear();
        net.run_for(SECOND * 3);
        net.cut_both(A, if round % 2 == 0 { B } else { 3 });
        for _ in 0..300 {
            let _ = net.send(A, C, &[1]);
            net.run_for(Duration::from_millis(10));
        }
    }

    assert_eq!((opened(&net, A), opened(&net, C)), (1, 1));
    assert_eq!((replaced(&net, A), events(&net, A).len(), events(&net, C).len()), (0, 1, 1));
    assert!(net.delivered(C).len() > 400, "{}", net.delivered(C).len());
    let passed = |relay| net.sent_to(relay, |header| header.flags.contains(Flags::INNER)).len();
    assert!(passed(B) > 100 && passed(3) > 100, "both ways carried some");
}

#[test]
fn keys_change_under_traffic_and_nothing_is_lost() {
    let mut net = Net::with(&Plan::chain_of_three(), |index, _, config| {
        on(config);
        config.rekey_records = if index == B { 1 << 24 } else { 150 };
    });
    net.run_until_up();

    for number in 0..500_u32 {
        net.send(A, C, &number.to_be_bytes()).unwrap();
        net.send(C, A, &number.to_be_bytes()).unwrap();
        net.run_for(Duration::from_millis(10));
    }
    net.run_for(SECOND);

    let expected: Vec<_> = (0..500_u32).map(|number| number.to_be_bytes().to_vec()).collect();
    assert!(replaced(&net, A) >= 3, "{}", replaced(&net, A));
    assert!(net.delivered(C) == expected, "{}", net.delivered(C).len());
    assert!(net.delivered(A) == expected, "{}", net.delivered(A).len());
}

#[test]
fn a_session_that_nobody_uses_is_closed_at_both_ends_and_opens_again() {
    let mut net = Net::with(&Plan::chain_of_three(), |_, _, config| {
        on(config);
        config.inner.idle = SECOND * 30;
    });
    net.run_until_up();
    net.send(A, C, b"one").unwrap();
    net.run_for(SECOND * 29);
    assert!(is_established(&net, A, C));
    net.run_for(SECOND * 3);

    assert!(!is_established(&net, A, C) && !is_established(&net, C, A));
    let [_, InnerEvent::Closed { reason, .. }] = events(&net, A)[..] else { panic!("{:?}", events(&net, A)) };
    assert_eq!(reason, "no payload passed for a while");

    net.send(A, C, b"two").unwrap();
    net.run_for(SECOND);
    assert_eq!(net.delivered(C), [b"one", b"two"]);
}

#[test]
fn where_there_are_as_many_sessions_as_may_be_the_idlest_gives_way() {
    let plan = Plan { nodes: 4, links: vec![(0, 1), (0, 2), (0, 3)], routes: Vec::new() };
    let mut net = Net::with(&plan, |index, _, config| {
        on(config);
        config.inner.sessions_max = if index == A { 2 } else { 1024 };
    });
    net.run_until_up();
    for (from, to) in [(A, 1), (A, 2), (A, 1), (A, 3)] {
        net.send(from, to, b"x").unwrap();
        net.run_for(SECOND);
    }
    let with = |net: &Net| (1..4).map(|peer| is_established(net, A, peer)).collect::<Vec<_>>();
    assert_eq!(with(&net), [true, false, true], "2 was the idlest");

    // The ceiling holds for what others begin, too.
    net.send(2, A, b"x").unwrap();
    net.run_for(SECOND);

    assert_eq!(with(&net), [false, true, true]);
    assert_eq!((net.delivered(1).len(), net.delivered(A).len()), (2, 1));
}

#[test]
fn a_refusal_names_what_fits_inside_and_exactly_that_arrives() {
    let mut net = chain();
    net.send(A, C, b"open").unwrap();
    net.run_for(SECOND);

    let refused = net.send(A, C, &[1; 2000]).unwrap_err();

    // 1400 less a record, a frame header, the inner record and its first byte.
    let max = 1400 - 37 - 54 - 37 - 1;
    assert_eq!(refused, SendError::TooLarge { len: 2000, max });
    assert_eq!(net.nodes[A].payload_bytes_max(net.id(C), net.clock.now()), Some(max));
    assert!(net.send(A, C, &vec![2; max + 1]).is_err());
    net.send(A, C, &vec![3; max]).unwrap();
    net.run_a_little();
    assert_eq!(net.delivered(C)[1..], [vec![3; max]]);
}

#[test]
fn a_narrow_link_further_on_is_learned_and_the_handshake_passes_it() {
    for narrow in [380, 500, 900] {
        let mut net = Net::with(&Plan::chain_of_three(), |index, _, config| {
            on(config);
            config.mtu = if index == B { narrow } else { 1400 };
        });
        net.run_until_up();
        net.send(A, C, &[1; 100]).unwrap();
        net.run_for(SECOND * 5);

        let max = usize::from(narrow) - 37 - 54 - 37 - 1;
        assert_eq!(net.delivered(C), [[1; 100]], "mtu {narrow}");
        net.send(A, C, &vec![2; max + 1]).unwrap();
        net.run_a_little();
        assert_eq!(net.nodes[A].payload_bytes_max(net.id(C), net.clock.now()), Some(max), "mtu {narrow}");
        net.send(A, C, &vec![3; max]).unwrap();
        net.run_a_little();
        assert_eq!(net.delivered(C)[1..], [vec![3; max]]);
    }
}

#[test]
fn handshakes_fit_a_path_of_1280_bytes_without_being_told() {
    let mut net = Net::with(&Plan::chain_of_three(), |index, _, config| {
        on(config);
        config.mtu = if index == B { 1280 - 48 } else { 1400 };
    });
    net.run_until_up();

    net.send(A, C, b"narrow").unwrap();
    net.run_for(SECOND);

    assert_eq!(net.delivered(C), [b"narrow"]);
    assert!(net.errors(A).is_empty() && net.errors(C).is_empty());
    assert_eq!(net.dropped(B, FrameDrop::TooBig), 0);
}

#[test]
fn frames_that_a_member_forges_or_repeats_are_discarded_and_the_session_lives() {
    let mut net = chain_and_stranger();
    net.send(A, C, b"genuine").unwrap();
    net.run_for(SECOND);
    let frames = frames_at_relay(&net);
    let (genuine, record) = frames.iter().find(|(header, _)| header.kind == Kind::Data).unwrap().clone();
    let forge = |net: &mut Net, payload: &[u8], number: u64| {
        let header = Header { packet: PacketId(1_000_000 + number), boot_epoch: 99, ..genuine };
        net.insider(M).send_frame(header, payload);
        net.run_a_little();
    };

    forge(&mut net, &record, 0);
    let mut number = 1;
    for at in 13..record.len() {
        let mut changed = record.clone();
        changed[at] ^= 1;
        forge(&mut net, &changed, number);
        number += 1;
    }
    for garbage in [&b""[..], b"\x17", &[0xff; 100], &record[..20]] {
        forge(&mut net, garbage, number);
        number += 1;
    }

    assert_eq!(net.delivered(C), [b"genuine"]);
    assert_eq!(net.dropped(C, FrameDrop::InnerRecord), number);
    assert_eq!(net.nodes[C].counters().inner_discarded.total(), number);
    net.send(A, C, b"still here").unwrap();
    net.run_a_little();
    assert_eq!(net.delivered(C).len(), 2);
    assert_eq!((opened(&net, C), replaced(&net, C)), (1, 0));
}

#[test]
fn whoever_speaks_in_anothers_name_is_not_admitted_with_a_certificate_of_his_own() {
    let mut net = chain_and_stranger();
    let a = net.id(A);
    let mut session =
        Session::connect(&net.contexts[M].clone(), &SessionOptions::default(), net.clock.now()).unwrap();
    let mut plaintexts = Plaintexts::new();

    for _ in 0..20 {
        while let Some(datagram) = session.poll_transmit().map(<[u8]>::to_vec) {
            let c = net.id(C);
            let header =
                Header { source: a, flow: FlowId(77), ..net.insider(M).header(Kind::InnerHandshake, c) };
            net.insider(M).send_frame(header, &datagram);
        }
        net.run_for(Duration::from_millis(20));
        for (header, payload) in std::mem::take(&mut net.insider(M).heard) {
            if header.kind == Kind::InnerHandshake {
                session.handle_datagram(&payload, &mut plaintexts, net.clock.now());
            }
        }
    }

    assert!(!session.is_established());
    assert_eq!(net.nodes[C].counters().peers_refused, 1);
    assert!(!is_established(&net, C, A));
    net.send(A, C, b"the real one").unwrap();
    net.run_for(SECOND);
    assert_eq!(net.delivered(C), [b"the real one"]);
}

#[test]
fn a_member_that_begins_handshakes_for_many_keeps_nobody_else_out() {
    let mut net = chain_and_stranger();
    for number in 0..100_u8 {
        let source = NodeId::new([number; 16]);
        let mut session =
            Session::connect(&net.contexts[M].clone(), &SessionOptions::default(), net.clock.now()).unwrap();
        for _ in ["without a cookie", "with the cookie"] {
            let hello = session.poll_transmit().unwrap().to_vec();
            let c = net.id(C);
            let header = Header { source, flow: FlowId(7), ..net.insider(M).header(Kind::InnerHandshake, c) };
            net.insider(M).send_frame(header, &hello);
            net.run_for(Duration::from_millis(10));
            let heard = std::mem::take(&mut net.insider(M).heard);
            if let Some((_, answer)) = heard.iter().find(|(header, _)| header.destination == source) {
                session.handle_datagram(answer, &mut Plaintexts::new(), net.clock.now());
            }
        }
    }

    let opening = net.nodes[C].inner_sessions().len();
    assert_eq!(opening, 64, "as many as may be in progress");
    assert_eq!(net.dropped(C, FrameDrop::InnerThrottled), 36);
    net.send(A, C, b"let me in").unwrap();
    net.run_for(SECOND);
    assert_eq!(net.delivered(C), [b"let me in"]);
}

#[test]
fn a_node_that_stops_says_farewell_inside_and_loses_no_count() {
    let mut net = chain();
    net.send(A, C, b"x").unwrap();
    net.run_for(SECOND);
    net.nodes[A].shutdown(net.clock.now());
    net.flush();
    net.run_for(SECOND);

    assert!(!is_established(&net, C, A));
    let [_, InnerEvent::Closed { reason, .. }] = events(&net, C)[..] else { panic!("{:?}", events(&net, C)) };
    assert_eq!(reason, "closed by the peer");
}

#[test]
fn every_payload_is_delivered_once_whatever_the_weather() {
    for_each_seed(0..6, |seed| {
        let mut net = chain();
        let jitter = Duration::from_millis(30);
        net.weather = Weather::new(Conditions { loss: 10, twice: 20, jitter, ..FAIR }, seed);
        for number in 0..300_u32 {
            let _ = net.send(A, C, &number.to_be_bytes());
            net.run_for(Duration::from_millis(20));
        }
        net.run_for(SECOND);

        let delivered = net.delivered(C);
        let different: BTreeSet<_> = delivered.iter().collect();
        assert_eq!(delivered.len(), different.len());
        assert!(delivered.len() > 150, "{}", delivered.len());
    });
}
