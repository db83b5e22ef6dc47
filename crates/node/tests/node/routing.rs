//! Nodes that learn their ways, over real sessions.

use std::time::Duration;

use peerbound_node::{
    Event, LinkCost, NodeConfig, ReturnPath, RouteView, RouterConfig, Routing, Standing, StaticRoute,
};
use peerbound_wire::{Kind, Metric, NodeId, RouteSeq, ShortId};

use crate::support::{Conditions, FAIR, Net, Plan, Weather};

const A: usize = 0;
const B: usize = 1;
const C: usize = 2;
const D: usize = 3;
const E: usize = 4;

/// Takes the routes that were set away and has ways learned in their place.
fn learning(config: &mut NodeConfig) {
    config.routes.clear();
    config.routing = Routing::Dynamic(RouterConfig::default());
    config.observe_frames = true;
    config.observe_routes = true;
}

fn learning_net(plan: &Plan) -> Net {
    Net::with(plan, |_, _, config| learning(config))
}

fn knows_all(net: &Net) -> bool {
    net.nodes.iter().all(|node| node.reachable() + 1 == net.nodes.len())
}

fn up(plan: &Plan) -> Net {
    let mut net = learning_net(plan);
    net.run_until(Duration::from_secs(10), knows_all);
    net
}

fn route(net: &Net, at: usize, to: usize) -> RouteView {
    let destination = net.id(to);
    net.nodes[at].routes().into_iter().find(|route| route.destination == destination).unwrap()
}

#[test]
fn a_chain_of_four_learns_its_ways_and_carries_data_both_ways() {
    let mut net = up(&Plan::chain(4));

    net.send(A, D, b"there").unwrap();
    net.run_a_little();
    net.reply(D, A, b"and back").unwrap();
    net.run_a_little();

    assert_eq!(net.delivered(D), [b"there"]);
    assert_eq!(net.delivered(A), [b"and back"]);
    let seen = route(&net, A, D);
    assert_eq!((seen.next_hop, seen.metric), (Some(net.id(B)), Metric(300)));
    assert_eq!((seen.links, seen.path), (Some(3), vec![ShortId::from(net.id(B)), net.id(C).into()]));
    assert_eq!(seen.proved, Some(RouteSeq(0)));
}

#[test]
fn ways_are_learned_within_a_second_of_the_links() {
    let mut net = learning_net(&Plan::ring(5));
    net.run_until_up();
    let up_at = net.clock.elapsed();

    net.run_until(Duration::from_secs(1), knows_all);

    assert!(net.clock.elapsed() - up_at < Duration::from_secs(1));
}

#[test]
fn a_ring_that_is_cut_carries_the_other_way_within_two_seconds() {
    let mut net = up(&Plan::ring(5));
    assert_eq!(route(&net, A, B).next_hop, Some(net.id(B)));

    net.cut_both(A, B);
    let far = net.id(E);
    let b = net.id(B);
    net.run_until(Duration::from_secs(2), |net| net.nodes[A].learned_next_hop(&b) == Some(far));
    net.send(A, B, b"round about").unwrap();
    net.run_a_little();

    assert_eq!(net.delivered(B), [b"round about"]);
    assert_eq!(route(&net, A, B).metric, Metric(400));
    net.reply(B, A, b"and back").unwrap();
    net.run_a_little();
    assert_eq!(net.delivered(A), [b"and back"]);
}

#[test]
fn a_node_that_leaves_is_known_to_be_gone_at_once() {
    let mut net = up(&Plan::chain(4));

    let now = net.clock.now();
    net.nodes[D].shutdown(now);
    net.run_a_little();

    assert_eq!(net.nodes[A].learned_next_hop(&net.id(D)), None);
    assert!(net.send(A, D, b"nobody").unwrap_err().to_string().contains("no route"));
    let d = net.id(D);
    let lost = |event: &Event| matches!(event, Event::RouteChanged(change) if change.destination == d && change.next_hop.is_none());
    assert!(net.events[A].iter().any(lost));
}

#[test]
fn a_restarted_node_is_reached_again_although_it_forgot_its_sequence_number() {
    let mut net = up(&Plan::ring(5));
    // Let it announce itself anew a few times: cutting a ring needs a newer number each time.
    for _ in 0..3 {
        net.cut_both(A, B);
        net.run_for(Duration::from_secs(3));
        net.cut.clear();
        net.run_until(Duration::from_secs(10), |net| net.is_up() && knows_all(net));
    }
    assert!(route(&net, A, B).seqno.is_newer_than(RouteSeq(0)));

    net.restart(B);
    net.run_for(Duration::from_secs(8));

    assert!(knows_all(&net));
    assert!(route(&net, A, B).seqno.is_newer_than(RouteSeq(0)));
    net.send(D, B, b"again").unwrap();
    net.run_a_little();
    assert_eq!(net.delivered(B), [b"again"]);
}

#[test]
fn ways_are_learned_where_a_tenth_of_all_datagrams_is_lost() {
    let mut net = learning_net(&Plan::ring(5));
    net.weather = Weather::new(Conditions { loss: 10, jitter: Duration::from_millis(20), ..FAIR }, 5);

    net.run_until(Duration::from_secs(30), |net| net.is_up() && knows_all(net));
}

#[test]
fn a_route_that_was_set_wins_over_one_that_was_learned() {
    let mut net = Net::with(&Plan::ring(5), |index, ids, config| {
        learning(config);
        if index == A {
            config.routes.push(StaticRoute { destination: ids[C], via: ids[E] });
        }
    });
    net.run_until(Duration::from_secs(10), knows_all);

    net.send(A, C, b"the long way").unwrap();
    net.run_a_little();

    assert_eq!(net.delivered(C), [b"the long way"]);
    assert_eq!(net.sent_to(A, |header| header.kind == Kind::Data), [net.id(E)]);
    assert_eq!(net.nodes[A].learned_next_hop(&net.id(C)), Some(net.id(B)));
}

#[test]
fn static_and_learning_nodes_live_side_by_side() {
    // A–B–C–D, of which B routes by what was set: A and C learn nothing through it.
    let mut net = Net::with(&Plan::chain(4), |index, _, config| {
        if index == C || index == D {
            config.routing = Routing::Dynamic(RouterConfig::default());
        }
    });
    net.run_until_up();
    net.run_for(Duration::from_secs(1));

    net.send(A, D, b"there").unwrap();
    net.run_a_little();
    net.reply(D, A, b"and back").unwrap();
    net.run_a_little();

    assert_eq!((net.delivered(D), net.delivered(A)), (vec![b"there".to_vec()], vec![b"and back".to_vec()]));
    assert_eq!((net.nodes[C].reachable(), net.nodes[B].reachable()), (1, 0));
    assert!(net.nodes[B].routes().is_empty());
}

#[test]
fn a_reply_goes_back_as_it_came_unless_any_way_will_do() {
    for (return_path, back_by) in [(ReturnPath::AsCame, D), (ReturnPath::Any, B)] {
        // A's requests to C take the long way round, by E and D.
        let mut net = Net::with(&Plan::ring(5), |index, ids, config| {
            learning(config);
            config.return_path = return_path;
            if index == A || index == E {
                config.routes =
                    vec![StaticRoute { destination: ids[C], via: ids[if index == A { E } else { D }] }];
            }
        });
        net.run_until(Duration::from_secs(10), knows_all);

        net.send(A, C, b"ask").unwrap();
        net.run_a_little();
        net.reply(C, A, b"answer").unwrap();
        net.run_a_little();

        assert_eq!(net.delivered(A), [b"answer"]);
        assert_eq!(net.sent_to(C, |header| header.kind == Kind::Data), [net.id(back_by)]);
    }
}

#[test]
fn candidates_are_shown_with_why_they_were_not_chosen() {
    let mut net = up(&Plan::ring(5));
    net.run_a_little();

    let seen = route(&net, A, C);

    let standings: Vec<(NodeId, Standing)> =
        seen.candidates.iter().map(|candidate| (candidate.neighbour, candidate.standing)).collect();
    assert!(standings.contains(&(net.id(B), Standing::Chosen)), "{standings:?}");
    // E's way to C leads by D, 200 from it, and A itself has said 200.
    assert!(standings.contains(&(net.id(E), Standing::NotFeasible)), "{standings:?}");
}

#[test]
fn a_slow_link_is_gone_round_where_links_cost_by_their_round_trips() {
    let plan = Plan::ring(4);
    let mut net = Net::with(&plan, |_, _, config| {
        learning(config);
        let routing = RouterConfig { link_cost: LinkCost::RoundTrip, ..RouterConfig::default() };
        config.routing = Routing::Dynamic(routing);
    });
    net.run_until(Duration::from_secs(10), knows_all);
    assert_eq!(net.nodes[A].learned_next_hop(&net.id(B)), Some(net.id(B)));

    // 150 ms each way cost 600 more; the three other links cost 300, all together.
    net.slow.extend([(A, B), (B, A)].map(|wire| (wire, Duration::from_millis(150))));
    let (b, d) = (net.id(B), net.id(D));
    net.run_until(Duration::from_secs(60), |net| net.nodes[A].learned_next_hop(&b) == Some(d));

    assert!(net.is_usable(A, B));
    let pongs = net.events.iter().flatten().filter(|event| matches!(event, Event::Pong { .. }));
    assert_eq!(pongs.count(), 0, "measurements are nobody's business");
}
