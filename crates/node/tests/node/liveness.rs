//! Who is there, who is gone, and who finds out when.

use std::net::SocketAddr;
use std::time::Duration;

use peerbound_dtls::Role;
use peerbound_node::{DEAD_AFTER, Event, HELLO_INTERVAL, NeighbourConfig, SendError};

use crate::support::{Conditions, FAIR, Net, Plan, Weather, address, for_each_seed};

const A: usize = 0;
const B: usize = 1;
const C: usize = 2;

const LATENCY: Duration = FAIR.latency;

const MISSED: &str = "three hellos in a row were missed";
const UNHEARD: &str = "it is heard but does not hear us: the link works one way only";

#[test]
fn a_link_that_is_cut_both_ways_is_dead_at_both_ends_after_three_missed_hellos() {
    let mut net = Net::up(&pair());
    net.run_for(Duration::from_secs(2));
    net.cut_both(A, B);
    let cut = net.clock.elapsed();

    net.run_until(Duration::from_secs(5), |net| !net.is_usable(A, B) && !net.is_usable(B, A));

    let took = net.clock.elapsed() - cut;
    assert!(took > DEAD_AFTER - HELLO_INTERVAL && took <= DEAD_AFTER + HELLO_INTERVAL, "{took:?}");
    assert_eq!(net.story(A)[1], format!("B down: {MISSED}"));
    assert_eq!(net.story(B)[1], format!("A down: {MISSED}"));
}

#[test]
fn a_link_comes_back_when_the_cut_heals_and_carries_data_again() {
    let mut net = Net::up(&pair());
    net.cut_both(A, B);
    net.run_for(Duration::from_secs(20));
    net.cut.clear();
    net.events.iter_mut().for_each(Vec::clear);

    net.run_until(Duration::from_secs(5), Net::is_up);

    assert_eq!((net.story(A), net.story(B)), (vec!["B up".into()], vec!["A up".into()]));
    assert_carries(&mut net);
}

#[test]
fn an_end_that_hears_nothing_says_farewell_and_so_the_other_end_knows_too() {
    for (deaf, heard) in [(A, B), (B, A)] {
        let mut net = Net::up(&pair());
        net.run_for(Duration::from_secs(2));
        net.cut.insert((heard, deaf));
        let cut = net.clock.elapsed();

        net.run_until(Duration::from_secs(5), |net| !net.is_usable(A, B) && !net.is_usable(B, A));

        assert!(net.clock.elapsed() - cut <= DEAD_AFTER + HELLO_INTERVAL);
        assert!(net.story(deaf)[1].ends_with(MISSED), "{:?}", net.story(deaf));
        assert!(net.story(heard)[1].ends_with("closed by the peer"), "{:?}", net.story(heard));
    }
}

#[test]
fn an_end_that_is_not_echoed_withdraws_the_link_although_it_hears_hellos() {
    let mut net = Net::new(&Plan::chain_of_three());
    net.replace_by_insider(C, B);
    net.run_until(Duration::from_secs(5), |net| net.is_usable(B, C));
    net.insider(C).echoes = false;
    let silenced = net.clock.elapsed();

    net.run_until(Duration::from_secs(5), |net| !net.is_usable(B, C));

    let took = net.clock.elapsed() - silenced;
    assert!(took > DEAD_AFTER && took <= DEAD_AFTER + 2 * HELLO_INTERVAL, "{took:?}");
    assert_eq!(net.story(B).last().unwrap(), &format!("C down: {UNHEARD}"));
}

#[test]
fn a_link_that_was_never_echoed_never_carries_traffic() {
    let mut net = Net::new(&Plan::chain_of_three());
    net.replace_by_insider(C, B);
    net.insider(C).echoes = false;

    net.run_for(Duration::from_secs(10));

    assert!(!net.story(B).contains(&"C up".to_owned()), "{:?}", net.story(B));
    assert!(matches!(net.send(B, C, b"too early"), Err(SendError::NoRoute { .. })));
}

#[test]
fn a_way_that_is_lost_to_the_farewell_too_is_withdrawn_at_both_ends() {
    let mut net = Net::up(&pair());
    net.run_for(Duration::from_secs(2));
    net.cut.insert((A, B));
    net.farewells_lost.insert((B, A));
    let cut = net.clock.elapsed();

    net.run_until(Duration::from_secs(5), |net| !net.is_usable(A, B) && !net.is_usable(B, A));

    assert!(net.clock.elapsed() - cut <= DEAD_AFTER + 2 * HELLO_INTERVAL);
    assert_eq!(net.story(B)[1], format!("A down: {MISSED}"));
    assert_eq!(net.story(A)[1], format!("B down: {UNHEARD}"), "A has heard B all the while");
}

#[test]
fn a_dialler_that_restarts_replaces_its_session_and_the_link_never_goes_down() {
    let mut net = Net::up(&pair());
    net.run_for(Duration::from_secs(2));
    net.restart(A);

    net.run_until(Duration::from_secs(1), Net::is_up);
    net.run_a_little();

    assert_eq!(net.story(B), ["A up", "A replaced"]);
    assert_eq!(net.story(A), ["B up", "B up"]);
    assert_carries(&mut net);
    net.run_for(Duration::from_secs(10));
    assert_eq!(net.story(B).len(), 2, "the new hellos are heard and echoed");
}

#[test]
fn an_awaited_neighbour_that_restarts_is_missed_and_dialled_again() {
    let mut net = Net::up(&pair());
    net.run_for(Duration::from_secs(2));
    net.restart(B);
    let restarted = net.clock.elapsed();

    net.run_until(Duration::from_secs(5), |net| net.story(A).len() == 3 && net.is_up());

    assert!(net.clock.elapsed() - restarted < DEAD_AFTER + 2 * HELLO_INTERVAL);
    assert_eq!(net.story(A), ["B up".into(), format!("B down: {MISSED}"), "B up".into()]);
    assert_eq!(net.story(B), ["A up", "A up"]);
    assert_carries(&mut net);
}

#[test]
fn a_neighbour_that_lost_its_session_and_did_not_restart_is_heard_on_the_next_one() {
    // A gives up, its farewell gets lost, and B learns of it by the hello of the next session.
    let mut net = Net::up(&pair());
    net.run_for(Duration::from_secs(5));
    net.cut.insert((B, A));
    net.farewells_lost.insert((A, B));
    net.run_until(Duration::from_secs(2), |net| !net.is_usable(A, B));
    net.cut.clear();

    net.run_for(Duration::from_secs(10));

    assert_eq!(net.story(A), ["B up".into(), format!("B down: {MISSED}"), "B up".into()]);
    assert_eq!(net.story(B), ["A up", "A replaced"], "its hellos go on counting where they were");
}

#[test]
fn a_neighbour_that_was_up_is_dialled_at_once_however_long_it_was_away_before() {
    let mut net = Net::with(&pair(), |_, _, config| config.handshake_deadline = Duration::from_secs(1));
    net.cut_both(A, B);
    net.run_for(Duration::from_secs(60));
    net.cut.clear();
    net.run_until_up();
    net.run_for(Duration::from_secs(2));
    net.restart(B);
    net.run_until(Duration::from_secs(2), |net| !net.is_usable(A, B));

    net.run_until(Duration::from_millis(200), Net::is_up);
}

#[test]
fn a_neighbour_that_restarts_behind_another_port_goes_down_and_comes_up() {
    let mut net = Net::up(&pair());
    net.run_for(Duration::from_secs(2));
    net.restart(A);
    net.ports[A] = 50_001;
    let elsewhere = SocketAddr::new(address(A).ip(), 50_001);

    net.run_until(Duration::from_secs(1), |net| net.story(B).len() == 3);

    assert_eq!(
        net.story(B),
        ["A up".into(), format!("A down: it came back from {elsewhere}"), "A up".into()]
    );
    assert_eq!(net.nodes[B].neighbours()[0].address, Some(elsewhere));
    net.run_a_little();
    assert_carries(&mut net);
}

#[test]
fn a_neighbour_that_shuts_down_is_gone_at_once_and_for_good() {
    for leaving in [A, B] {
        let staying = 1 - leaving;
        let mut net = Net::up(&pair());
        let now = net.clock.now();
        net.nodes[leaving].shutdown(now);
        let left = net.clock.elapsed();

        net.run_until(Duration::from_secs(1), |net| !net.is_usable(staying, leaving));

        assert!(net.clock.elapsed() - left <= LATENCY, "no hello has to be missed");
        assert!(net.story(staying)[1].ends_with("closed by the peer"), "{:?}", net.story(staying));
        assert_eq!(net.nodes[leaving].poll_timeout(), None);
        net.run_for(Duration::from_secs(40));
        assert_eq!(net.story(leaving).iter().filter(|word| word.ends_with(" up")).count(), 1);
        assert!(!net.is_usable(staying, leaving));
    }
}

#[test]
fn both_ends_that_dial_at_once_come_to_one_session_that_neither_loses() {
    let plan = Plan { links: vec![(A, B), (B, A)], ..pair() };
    for_each_seed(0..24, |seed| {
        let mut net = Net::new(&plan);
        let latency = Duration::from_millis([0, 1, 40, 200][usize::try_from(seed % 4).unwrap()]);
        let loss = [0, 0, 20][usize::try_from(seed % 3).unwrap()];
        net.weather = Weather::new(Conditions { latency, loss, jitter: latency / 2, twice: 0 }, seed);
        net.run_until(Duration::from_secs(30), Net::is_up);
        net.weather = Weather::new(FAIR, seed);
        net.run_for(Duration::from_secs(3));

        for (us, them) in [(A, "B"), (B, "A")] {
            let story = net.story(us);
            // Bad weather may take a link down; it comes up once more than it goes.
            let count = |word: &str| {
                story.iter().filter(|heard| heard.starts_with(&format!("{them} {word}"))).count()
            };
            assert_eq!(count("up"), count("down") + 1, "{story:?}");
            assert!(loss > 0 || count("up") == 1, "{story:?}");
        }
        let roles: Vec<_> = [A, B].map(|index| role(&net, index)).into();
        assert!(roles.contains(&Role::Client) && roles.contains(&Role::Server), "{roles:?}");
        assert_carries(&mut net);
    });
}

#[test]
fn of_two_that_dial_at_once_the_smaller_id_is_the_client() {
    let mut net = Net::up(&Plan { links: vec![(A, B), (B, A)], ..pair() });
    net.run_for(Duration::from_secs(1));

    assert!(net.id(A) < net.id(B));
    assert_eq!((role(&net, A), role(&net, B)), (Role::Client, Role::Server));
}

#[test]
fn two_that_dial_at_once_from_ports_that_do_not_match_keep_the_same_one_session() {
    // What was seen: each end gave up its own dialling for the session it had just accepted, which
    // was the one the other end gave up, and both were gone. The smaller id decides.
    let plan = Plan { links: vec![(A, B), (B, A)], ..pair() };
    for_each_seed(0..16, |seed| {
        let latency = Duration::from_millis([1, 30][usize::try_from(seed % 2).unwrap()]);
        let mut net = Net::new(&plan);
        net.ports = vec![50_001, 50_002];
        net.weather = Weather::new(
            Conditions { latency, jitter: latency * u32::try_from(seed / 8).unwrap(), ..FAIR },
            seed,
        );

        // Were both given up for each other, the next try would start when they have been missed.
        net.run_until(DEAD_AFTER, Net::is_up);
        net.run_for(Duration::from_secs(10));

        assert_eq!(
            (role(&net, A), role(&net, B)),
            (Role::Client, Role::Server),
            "the same session at both ends"
        );
        for index in [A, B] {
            let story = net.story(index);
            assert!(net.is_up() && story.len() <= 3, "{story:?}");
        }
        assert_carries(&mut net);
    });
}

#[test]
fn a_session_that_its_client_gave_up_does_not_take_the_place_of_the_better_one() {
    // B gives up its own dialling when A's session comes up; its last flight is still on its way.
    let mut net = Net::new(&Plan { links: vec![(A, B), (B, A)], ..pair() });
    net.ports = vec![50_001, 50_002];
    net.run_for(4 * LATENCY);
    let last_flight = net.intercept(B, A);
    assert!(!last_flight.is_empty());
    net.run_until(DEAD_AFTER, Net::is_up);

    for datagram in &last_flight {
        net.inject(SocketAddr::new(address(B).ip(), 50_002), A, datagram);
    }
    net.run_for(Duration::from_secs(10));

    assert_eq!((net.story(A), net.story(B)), (vec!["B up".into()], vec!["A up".into()]));
    assert_carries(&mut net);
}

#[test]
fn a_dialler_tries_until_its_deadline_and_then_again_and_again() {
    let mut net = Net::with(&pair(), |_, _, config| config.handshake_deadline = Duration::from_secs(2));
    net.cut_both(A, B);

    net.run_for(Duration::from_secs(60));

    let story = net.story(A);
    assert!(story.iter().all(|word| word == "B not reached: nothing answers at its address"), "{story:?}");
    // Two seconds each, and waits that double from 0.1 to 2 seconds, give or take a quarter.
    assert!((13..=19).contains(&story.len()), "{} tries in a minute", story.len());
    let view = net.nodes[A].neighbours().remove(0);
    assert_eq!(view.last_error.as_deref(), Some("nothing answers at its address"));
    net.cut.clear();
    net.run_until(Duration::from_secs(5), Net::is_up);
}

#[test]
fn a_dialler_that_is_heard_and_not_admitted_says_so() {
    let mut net = Net::with(&pair(), |index, _, config| {
        config.handshake_deadline = Duration::from_secs(2);
        if index == B {
            config.neighbours.clear();
        }
    });

    net.run_until(Duration::from_secs(5), |net| !net.story(A).is_empty());

    assert!(net.nodes[B].counters().peers_refused > 0);
    let story = net.story(A).remove(0);
    assert!(
        story.starts_with("B not reached: the handshake") && !story.contains("nothing answers"),
        "{story}"
    );
}

#[test]
fn hellos_go_on_while_keys_are_changed_and_the_link_stays_up() {
    let mut net = Net::with(&pair(), |_, _, config| config.rekey_age = Duration::from_secs(7));
    net.run_until_up();

    net.run_for(Duration::from_secs(30));

    for (index, peer) in [(A, "B"), (B, "A")] {
        let mut expected = vec![format!("{peer} up")];
        expected.extend(std::iter::repeat_n(format!("{peer} replaced"), 4));
        assert_eq!(net.story(index), expected);
    }
    assert_carries(&mut net);
}

#[test]
fn keys_are_changed_after_so_many_records_and_no_frame_is_lost_over_it() {
    let mut net = Net::with(&pair(), |_, _, config| config.rekey_records = 50);
    net.run_until_up();

    for index in 0..200_u8 {
        net.send(A, B, &[index]).unwrap();
        net.reply(B, A, &[index]).unwrap();
        net.run_for(Duration::from_millis(20));
    }

    assert!(net.story(A).iter().filter(|word| *word == "B replaced").count() >= 4);
    assert_eq!(net.delivered(B), (0..200).map(|index| vec![index]).collect::<Vec<_>>());
    assert_eq!(net.delivered(A), (0..200).map(|index| vec![index]).collect::<Vec<_>>());
}

#[test]
fn a_change_of_keys_that_cannot_come_about_does_not_hurt_the_link_before_it_is_worn_out() {
    let mut net = Net::with(&pair(), |_, _, config| config.rekey_age = Duration::from_secs(10));
    net.run_until_up();
    net.handshakes_lost = true;

    net.run_for(Duration::from_secs(9));
    assert_carries(&mut net);
    net.run_for(Duration::from_secs(9));
    assert_carries(&mut net);
    net.run_for(Duration::from_secs(4));

    let worn_out = "down: the session could not be rekeyed in time";
    let stories = [net.story(A), net.story(B)].concat();
    assert!(stories.iter().any(|word| word.ends_with(worn_out)), "{stories:?}");
    net.handshakes_lost = false;
    net.run_until(Duration::from_secs(20), Net::is_up);
}

#[test]
fn a_neighbour_configured_at_the_address_of_another_does_not_shut_it_out() {
    let plan = Plan { nodes: 3, links: vec![(B, A), (C, B)], routes: Vec::new() };
    let mut net = Net::with(&plan, |index, ids, config| {
        config.handshake_deadline = Duration::from_secs(3);
        if index == A {
            // The operator mistook B's address for C's.
            let mistaken = NeighbourConfig { id: ids[C], name: "C".into(), addresses: vec![address(B)] };
            config.neighbours.push(mistaken);
        }
    });
    net.run_until(Duration::from_secs(60), |net| net.is_usable(A, B) && net.is_usable(B, A));
    net.run_for(Duration::from_secs(20));

    assert!(net.is_usable(A, B), "{:?}", net.story(A));
    let c = net.id(C);
    let views = net.nodes[A].neighbours();
    let error = views.iter().find(|view| view.id == c).unwrap().last_error.clone().unwrap();
    assert!(error.contains("its address"), "{error}");
    assert_carries(&mut net);
}

/// A dials B.
fn pair() -> Plan {
    Plan { nodes: 2, links: vec![(A, B)], routes: Vec::new() }
}

fn role(net: &Net, index: usize) -> Role {
    let up = |event: &Event| match event {
        Event::NeighbourUp { role, .. } => Some(*role),
        _ => None,
    };
    net.events[index].iter().rev().find_map(up).unwrap()
}

fn assert_carries(net: &mut Net) {
    let before = (net.delivered(A).len(), net.delivered(B).len());
    net.send(A, B, b"there").unwrap();
    net.send(B, A, b"and back").unwrap();
    net.run_for(Duration::from_millis(600));
    assert_eq!((net.delivered(A).len(), net.delivered(B).len()), (before.0 + 1, before.1 + 1));
}
