//! What happens when links die, in the shapes that distance vector protocols are known for.

use std::time::Duration;

use peerbound_node::{CandidateView, Standing};
use peerbound_wire::{Metric, RouteSeq};

use crate::mesh::{Mesh, Plan};

const QUIET: Duration = Duration::from_secs(5);

fn settled(links: &[(usize, usize, u16)]) -> Mesh {
    let nodes = links.iter().map(|(one, other, _)| one.max(other) + 1).max().unwrap();
    let mut mesh = Mesh::up(Plan::new(nodes, links));
    mesh.run_for(QUIET);
    assert_eq!(mesh.faults(), Vec::<String>::new());
    mesh.watches = true;
    mesh
}

fn metric(mesh: &Mesh, at: usize, to: usize) -> (Metric, RouteSeq) {
    let destination = mesh.ids[to];
    let seen = mesh.routers[at].routes().into_iter().find(|route| route.destination == destination);
    seen.map_or((Metric::INFINITE, RouteSeq(0)), |route| (route.metric, route.seqno))
}

#[test]
fn nobody_counts_to_infinity() {
    // A–B–C with another way between A and B: the classic, in which A and B lead each other on.
    let mut mesh = settled(&[(0, 1, 100), (1, 2, 100), (0, 3, 100), (3, 1, 100)]);
    let before = mesh.messages;

    mesh.cut(1, 2);
    for _ in 0..200 {
        mesh.run_for(Duration::from_millis(5));
        for at in [0, 1, 3] {
            let (seen, _) = metric(&mesh, at, 2);
            assert!(seen <= Metric(200) || seen.is_infinite(), "{at} counts: {seen:?}");
        }
    }

    assert!([0, 1, 3].iter().all(|at| mesh.next_hop(*at, 2).is_none()));
    assert_eq!(mesh.loops_seen, Vec::<String>::new());
    assert!(mesh.messages - before < 60, "{} messages to say that one is gone", mesh.messages - before);
}

#[test]
fn what_is_lost_is_known_to_all_as_fast_as_messages_travel() {
    let mut mesh = settled(&[(0, 1, 100), (1, 2, 100), (2, 3, 100), (3, 4, 100)]);

    mesh.cut(3, 4);
    // 5 ms until the end of the link hears of it, and 5 ms for each link the news crosses.
    let took = mesh.run_until(Duration::from_secs(1), |mesh| mesh.next_hop(0, 4).is_none());

    assert_eq!(took, Duration::from_millis(5 * 4));
}

#[test]
fn a_starving_node_is_fed_by_a_newer_sequence_number() {
    // RFC 8966, 2.6: B (1) goes to S (0) by A (2), 200 in all. The other way, by X (3), is 300 from S: it is
    // no loop, but B cannot tell until S announces itself anew.
    let mut mesh = settled(&[(0, 2, 100), (2, 1, 100), (0, 3, 300), (3, 1, 100)]);
    assert_eq!(metric(&mesh, 1, 0), (Metric(200), RouteSeq(0)));
    let standing = |mesh: &Mesh| -> Vec<CandidateView> {
        let destination = mesh.ids[0];
        let route = mesh.routers[1].routes().into_iter().find(|route| route.destination == destination);
        route.unwrap().candidates
    };
    let by_x = standing(&mesh).into_iter().find(|candidate| candidate.neighbour == mesh.ids[3]).unwrap();
    assert_eq!((by_x.standing, by_x.total), (Standing::NotFeasible, Metric(400)));

    mesh.cut(0, 2);
    let took = mesh.run_until(Duration::from_secs(1), |mesh| mesh.next_hop(1, 0) == Some(3));

    assert_eq!(metric(&mesh, 1, 0), (Metric(400), RouteSeq(1)));
    assert!(took < Duration::from_millis(200), "{took:?}");
    mesh.run_for(QUIET);
    assert_eq!(mesh.faults(), Vec::<String>::new());
    assert_eq!(metric(&mesh, 2, 0), (Metric(500), RouteSeq(1)), "A is fed by B");
    assert_eq!(mesh.loops_seen, Vec::<String>::new());
}

#[test]
fn a_shorter_way_that_is_not_feasible_is_asked_for_too() {
    // B's first way to S was 100; the direct link dies, and comes back by a detour that is longer than the
    // best B has ever said, and shorter than what it has.
    let links = [(0, 1, 100), (0, 2, 900), (2, 1, 100), (0, 3, 200), (3, 1, 100)];
    let mut mesh = settled(&links);
    mesh.cut(0, 3);
    mesh.cut(0, 1);
    mesh.run_for(QUIET);
    assert_eq!(metric(&mesh, 1, 0).0, Metric(1000));

    mesh.join(0, 3);
    mesh.run_for(QUIET);

    assert_eq!(metric(&mesh, 1, 0).0, Metric(300));
    assert_eq!(mesh.faults(), Vec::<String>::new());
}

#[test]
fn a_restarted_origin_goes_on_from_its_own_signature() {
    let mut mesh = settled(&[(0, 2, 100), (2, 1, 100), (0, 3, 300), (3, 1, 100)]);
    for _ in 0..3 {
        mesh.cut(0, 2);
        mesh.run_for(QUIET);
        mesh.join(0, 2);
        mesh.run_for(QUIET);
    }
    let (_, before) = metric(&mesh, 1, 0);
    assert!(before.is_newer_than(RouteSeq(1)), "{before:?}");

    mesh.restart(0);
    let took = mesh
        .run_until(Duration::from_secs(2), |mesh| [1, 2, 3].iter().all(|at| mesh.next_hop(*at, 0).is_some()));

    assert!(took < Duration::from_millis(300), "{took:?}");
    mesh.run_for(QUIET);
    assert_eq!(mesh.faults(), Vec::<String>::new());
}

#[test]
fn a_restart_that_no_neighbour_notices_is_told_by_the_first_message() {
    let mut mesh = settled(&[(0, 1, 100), (1, 2, 100), (2, 3, 100), (3, 0, 100), (0, 2, 300)]);
    mesh.watches = false;
    for round in 0..12 {
        mesh.replace(round % 4);
        mesh.run_for(QUIET);
        assert_eq!(mesh.faults(), Vec::<String>::new(), "round {round}");
    }
}

#[test]
fn what_nobody_tells_of_any_more_is_forgotten_in_time() {
    let mut mesh = settled(&[(0, 1, 100), (1, 2, 100)]);
    mesh.cut(1, 2);
    mesh.run_for(Duration::from_secs(170));
    assert_eq!(mesh.routers[0].routes().len(), 2, "what was said of it is still remembered");

    mesh.run_for(Duration::from_secs(400));

    assert_eq!(mesh.routers[0].routes().len(), 1);
    mesh.join(1, 2);
    mesh.run_for(QUIET);
    assert_eq!(mesh.faults(), Vec::<String>::new());
}

#[test]
fn a_quiet_mesh_says_nothing_and_sleeps() {
    let mut mesh = Mesh::up(Plan::random(30, 4, 3, 11));
    mesh.run_for(Duration::from_secs(30));
    let before = (mesh.messages, mesh.steps);

    mesh.run_for(Duration::from_secs(300));

    assert_eq!((mesh.messages, mesh.steps), before);
}

#[test]
fn every_way_is_told_about_once_for_each_neighbour_when_a_mesh_comes_up() {
    let plan = Plan { jitter: Duration::from_millis(5), ..Plan::random(100, 6, 1, 3) };
    let links = plan.links.len();

    let mut mesh = Mesh::up(plan);
    mesh.run_for(Duration::from_secs(10));

    assert_eq!(mesh.faults_among(20), Vec::<String>::new());
    let told: u64 = mesh.routers.iter().map(|router| router.counters().updates_sent).sum();
    // Once to every neighbour but the next hop.
    let once = (2 * links * 100) as u64;
    assert!(told < once * 5 / 4, "{told} where {once} would do");
    assert_eq!(mesh.book.verified(), 100, "every signature is verified once");
}

#[test]
fn paths_name_the_relays_in_order() {
    let mut mesh = settled(&[(0, 1, 100), (1, 2, 100), (2, 3, 100), (3, 4, 100)]);
    mesh.run_for(QUIET);

    let far = mesh.ids[4];
    let route = mesh.routers[0].routes().into_iter().find(|route| route.destination == far).unwrap();

    let relays: Vec<_> = [1, 2, 3].map(|relay| mesh.ids[relay].into()).to_vec();
    assert_eq!((route.links, route.path), (Some(4), relays));
}
