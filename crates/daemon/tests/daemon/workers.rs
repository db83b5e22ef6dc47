//! A node whose work is divided among threads is to its neighbours the node it is alone: nothing is lost by it, nothing
//! comes twice, and no flow overtakes itself.

use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use peerbound_daemon::{Copied, Daemon, Sharing, StartError, TapOf, TapOptions, Workforce};
use peerbound_node::EndToEnd;
use peerbound_wire::FlowId;

use crate::support::{DEADLINE, Members, delivery, wait_for, wait_until};

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

const THREADS: usize = 3;

/// A relay whose work is always shared, between two neighbours of which at least one comes by the socket of another
/// thread than the data thread.
fn chain(members: &Members, end_to_end: EndToEnd) -> [Daemon; 3] {
    let b = members.start_deployed(1, LOOPBACK, &[(0, None), (2, None)], &[], |config, _| {
        (config.workers, config.sharing) = (THREADS, Sharing::Always);
    });
    let end = |index, other| {
        let neighbours = [(1, Some(b.address()))];
        members.start_deployed(index, LOOPBACK, &neighbours, &[(other, 1)], |config, _| {
            (config.workers, config.sharing) = (THREADS, Sharing::Always);
            config.node.inner.default = end_to_end;
        })
    };
    let c = end(2, 0);
    // The kernel chooses by the source: another port is another chance.
    loop {
        let a = end(0, 2);
        let is_up = |daemon: &Daemon| daemon.status().unwrap().neighbours.iter().all(|n| n.is_usable);
        wait_until("all neighbours are up", || [&a, &b, &c].into_iter().all(is_up));
        if workforce(&b).addresses > 0 {
            return [a, b, c];
        }
        a.shutdown(DEADLINE).unwrap();
    }
}

fn workforce(daemon: &Daemon) -> Workforce {
    daemon.status().unwrap().workforce
}

/// Sends numbered payloads in some flows, some at a time, and shows that each flow arrives whole and in order.
fn exchange(from: &Daemon, to: &Daemon, count: u32, meanwhile: impl Fn(u32)) {
    const FLOWS: u32 = 5;
    const AT_A_TIME: u32 = 50;
    let mut arrived = BTreeMap::<u32, Vec<u32>>::new();
    for first in (0..count).step_by(AT_A_TIME as usize) {
        for number in first..first + AT_A_TIME {
            let payload = [&number.to_be_bytes()[..], &[7; 1000]].concat();
            from.send(to.id(), FlowId(number % FLOWS), false, payload).unwrap();
        }
        meanwhile(first);
        for _ in 0..AT_A_TIME {
            let (header, payload) = wait_for(to, "what was sent arrives", delivery);
            let number = u32::from_be_bytes(*payload.first_chunk().unwrap());
            arrived.entry(header.flow.0).or_default().push(number);
        }
    }
    for flow in 0..FLOWS {
        let expected: Vec<_> = (0..count).filter(|number| number % FLOWS == flow).collect();
        assert!(arrived[&flow] == expected, "flow {flow} is out of order");
    }
}

#[test]
fn every_flow_arrives_whole_and_in_order_also_while_keys_change() {
    let members = Members::new(&["A", "B", "C"]);
    for end_to_end in [EndToEnd::Off, EndToEnd::On] {
        let [a, b, c] = chain(&members, end_to_end);
        wait_until("the way is there", || a.send(c.id(), FlowId(0), false, vec![0; 4]).is_ok());
        wait_for(&c, "and open", delivery);

        exchange(&a, &c, 2000, |number| {
            if number % 500 == 0 {
                b.rekey(a.id()).unwrap();
                b.rekey(c.id()).unwrap();
            }
        });
        exchange(&c, &a, 500, |_| {});

        for daemon in [&a, &b, &c] {
            let status = daemon.status().unwrap();
            assert!(status.counters.is_conserved(), "{:#?}", status.counters);
            let Workforce { threads, at_work, shared, .. } = status.workforce;
            assert_eq!((threads, at_work, shared), (THREADS, THREADS, 1));
        }
        let relay = b.status().unwrap();
        assert!(relay.workforce.addresses > 0);
        assert!(relay.neighbours.iter().all(|neighbour| neighbour.is_usable));
        assert_eq!(relay.counters.records_discarded.total(), 0, "{:#?}", relay.counters);
    }
}

/// Whoever captures datagrams sees each as it came and goes: as long, one thread does it all.
#[test]
fn while_datagrams_are_captured_one_thread_works_and_afterwards_all_again() {
    let members = Members::new(&["A", "B", "C"]);
    let [a, b, c] = chain(&members, EndToEnd::Off);
    exchange(&a, &c, 100, |_| {});

    let tap = b.handle().tap(TapOptions { of: TapOf::Datagrams, secrets: false }).unwrap().unwrap();
    assert_eq!(workforce(&b).at_work, 1);
    exchange(&a, &c, 100, |_| {});
    let (mut came, mut went) = (0, 0);
    while let Ok(copy) = tap.copies().try_recv() {
        match copy.what {
            Copied::Arrived { from, bytes, .. } => {
                came += u32::from(from == a.address() && bytes.len() > 1000);
            }
            Copied::Sent { to, bytes } => went += u32::from(to == c.address() && bytes.len() > 1000),
            Copied::Frame(_) | Copied::Secrets { .. } => {}
        }
    }
    assert_eq!((came, went), (100, 100));

    drop(tap);
    wait_until("the work is shared again", || workforce(&b).at_work == THREADS);
    exchange(&a, &c, 100, |_| {});
    assert_eq!(workforce(&b).shared, 2);
}

#[test]
fn a_neighbour_that_was_restarted_is_met_anew_and_a_node_that_ends_leaves_its_address_free() {
    let members = Members::new(&["A", "B", "C"]);
    let [a, b, c] = chain(&members, EndToEnd::Off);
    exchange(&a, &c, 100, |_| {});

    let address = a.address();
    a.abort(DEADLINE).unwrap();
    let a = members.start_deployed(0, address, &[(1, Some(b.address()))], &[(2, 1)], |config, _| {
        (config.workers, config.sharing) = (THREADS, Sharing::Always);
    });
    wait_until("it is back", || a.send(c.id(), FlowId(9), false, vec![0; 4]).is_ok());
    wait_for(&c, "and reached", delivery);
    exchange(&a, &c, 100, |_| {});

    let address = b.address();
    b.shutdown(DEADLINE).unwrap();
    UdpSocket::bind(address).unwrap();
}

#[test]
fn one_thread_is_enough_for_little_and_two_nodes_still_cannot_have_one_address() {
    let members = Members::new(&["A", "B"]);
    let start =
        |listen| members.start_deployed(0, listen, &[(1, None)], &[], |config, _| config.workers = THREADS);
    let first = start(LOOPBACK);
    std::thread::sleep(Duration::from_millis(50));

    assert_eq!(workforce(&first), Workforce { threads: THREADS, at_work: 1, addresses: 0, shared: 0 });
    let mut config = members.config_of(1, &[], &[]);
    (config.listen, config.workers) = (first.address(), THREADS);
    assert!(matches!(Daemon::start(config), Err(StartError::Bind { .. })));
}
