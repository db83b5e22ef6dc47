//! Whatever happens to whichever nodes: what came in and was made here is what went out, was
//! delivered, or was dropped for a reason. The net checks it after every input of every node.

use std::collections::BTreeSet;
use std::time::Duration;

use peerbound_node::EndToEnd;
use peerbound_wire::FlowId;
use proptest::prelude::*;

use crate::support::{Conditions, FAIR, Net, Plan, Weather};

#[derive(Debug, Clone)]
enum Deed {
    Send { from: usize, to: usize, is_reply: bool, bytes: usize },
    Ping { from: usize, to: usize },
    Cut { from: usize, to: usize },
    Heal,
    Restart { index: usize },
    Leave { index: usize },
    Wait { millis: u64 },
    Room { index: usize, bytes: usize },
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_frame_is_accounted_for_whatever_happens(
        plan in plan(),
        loss in prop_oneof![Just(0_u32), 0_u32..40],
        seed in any::<u64>(),
        elsewhere in any::<bool>(),
        end_to_end in prop_oneof![Just([EndToEnd::Off; 2]), Just([EndToEnd::On; 2]), Just([EndToEnd::On, EndToEnd::Off])],
        deeds in proptest::collection::vec(deed(), 1..60),
    ) {
        let mut net = Net::with(&plan, |index, _, config| {
            config.mtu = [1400, 700, 1000][index % 3];
            config.handshake_deadline = Duration::from_secs(4);
            config.rekey_records = 60;
            config.inner.default = end_to_end[index % 2];
            config.inner.sessions_max = 2;
        });
        net.elsewhere = elsewhere;
        net.weather = Weather::new(Conditions { loss, twice: 10, jitter: Duration::from_millis(5), ..FAIR }, seed);
        net.run_for(Duration::from_secs(1));

        for deed in &deeds {
            perform(&mut net, deed);
        }
        net.run_for(Duration::from_secs(3));

        let mut numbers = BTreeSet::new();
        for index in 0..plan.nodes {
            for (header, _) in net.deliveries_at(index) {
                prop_assert_eq!(header.destination, net.id(index));
                prop_assert!(numbers.insert((header.source, header.boot_epoch, header.packet)), "delivered twice");
            }
        }
    }
}

/// Both ends began a session at once, and the way was too narrow for its first datagrams: the handshake was begun anew with
/// smaller ones, by the other end alone, and what waited at this end for the session was gone without a word.
#[test]
fn what_waits_for_a_session_is_not_lost_when_its_handshake_is_begun_anew() {
    let plan = Plan { nodes: 3, links: vec![(0, 1), (2, 0), (2, 1)], routes: vec![(0, 2, 1)] };
    let mut net = Net::with(&plan, |index, _, config| {
        config.mtu = [1400, 700, 1000][index];
        config.inner.default = [EndToEnd::On, EndToEnd::Off][index % 2];
    });
    net.run_for(Duration::from_secs(1));

    perform(&mut net, &Deed::Send { from: 0, to: 2, is_reply: false, bytes: 400 });
    perform(&mut net, &Deed::Send { from: 2, to: 0, is_reply: false, bytes: 401 });
    net.run_for(Duration::from_secs(3));

    // The net has checked the books at every step; and what waited has left.
    assert_eq!(net.delivered(2), [vec![7; 400]]);
    assert_eq!(net.nodes[2].inner_sessions()[0].bytes.0, 401);
}

fn perform(net: &mut Net, deed: &Deed) {
    let count = net.nodes.len();
    let now = net.clock.now();
    match *deed {
        Deed::Send { from, to, is_reply, bytes } => {
            let payload = vec![7; bytes];
            let (from, to) = (from % count, to % count);
            let _ = if is_reply { net.reply(from, to, &payload) } else { net.send(from, to, &payload) };
        }
        Deed::Ping { from, to } => {
            let to = net.id(to % count);
            let _ = net.nodes[from % count].ping(to, FlowId(9), 1, now);
        }
        Deed::Cut { from, to } => {
            net.cut.insert((from % count, to % count));
        }
        Deed::Heal => net.cut.clear(),
        Deed::Restart { index } => net.restart(index % count),
        Deed::Leave { index } => net.nodes[index % count].shutdown(now),
        Deed::Room { index, bytes } => net.nodes[index % count].handle_room(bytes, now),
        Deed::Wait { millis } => net.run_for(Duration::from_millis(millis)),
    }
    net.flush();
}

/// Up to six nodes, any links among them, and routes that need not make sense.
fn plan() -> impl Strategy<Value = Plan> {
    (2..=6_usize).prop_flat_map(|nodes| {
        let pair = (0..nodes, 0..nodes).prop_filter("two nodes", |(one, other)| one != other);
        let links = proptest::collection::btree_set(pair, 1..=8);
        let routes = proptest::collection::btree_set((0..nodes, 0..nodes, 0..nodes), 0..=16);
        (links, routes).prop_map(move |(links, routes)| Plan {
            nodes,
            links: links.into_iter().collect(),
            routes: routes.into_iter().filter(|(at, to, via)| at != to && at != via).collect(),
        })
    })
}

fn deed() -> impl Strategy<Value = Deed> {
    let node = || 0..6_usize;
    prop_oneof![
        8 => (node(), node(), any::<bool>(), prop_oneof![0..100_usize, 500..1500_usize])
            .prop_map(|(from, to, is_reply, bytes)| Deed::Send { from, to, is_reply, bytes }),
        2 => (node(), node()).prop_map(|(from, to)| Deed::Ping { from, to }),
        2 => (node(), node()).prop_map(|(from, to)| Deed::Cut { from, to }),
        1 => Just(Deed::Heal),
        1 => node().prop_map(|index| Deed::Restart { index }),
        1 => node().prop_map(|index| Deed::Leave { index }),
        2 => (node(), prop_oneof![Just(0), 0..5000_usize, Just(usize::MAX)])
            .prop_map(|(index, bytes)| Deed::Room { index, bytes }),
        6 => (0..2500_u64).prop_map(|millis| Deed::Wait { millis }),
    ]
}
