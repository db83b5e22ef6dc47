//! A daemon that is told to stop stops, and leaves no thread behind.

use std::net::UdpSocket;
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use peerbound_daemon::{ShutdownError, StartError};

use crate::support::{DEADLINE, Members};

/// Returns how many threads of this process carry the name of a node's data thread.
#[cfg(target_os = "linux")]
fn threads_of(id: peerbound_wire::NodeId) -> usize {
    // The kernel keeps the first 15 bytes of a name.
    let name: String = format!("data-{}", id.short()).chars().take(15).collect();
    std::fs::read_dir("/proc/self/task")
        .unwrap()
        .filter_map(|entry| std::fs::read_to_string(entry.ok()?.path().join("comm")).ok())
        .filter(|comm| comm.trim_end() == name)
        .count()
}

#[test]
#[cfg(target_os = "linux")]
fn shutdown_ends_every_thread_of_the_daemon_and_frees_its_port() {
    let members = Members::new(&["A", "B", "C"]);
    let chain = members.chain();
    let ids: Vec<_> = chain.iter().map(peerbound_daemon::Daemon::id).collect();
    let addresses: Vec<_> = chain.iter().map(peerbound_daemon::Daemon::address).collect();
    assert!(ids.iter().all(|id| threads_of(*id) == 1));

    for daemon in chain {
        let report = daemon.shutdown(DEADLINE).unwrap();
        assert!(report.status.counters.is_conserved(), "{:#?}", report.status.counters);
    }

    assert!(ids.iter().all(|id| threads_of(*id) == 0));
    for address in addresses {
        UdpSocket::bind(address).expect("the port is free again");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_dropped_daemon_stops_too() {
    let members = Members::new(&["A"]);
    let daemon = members.start(0, &[], &[]);
    let id = daemon.id();

    drop(daemon);

    assert_eq!(threads_of(id), 0);
}

#[test]
fn a_data_thread_that_hangs_holds_up_a_shutdown_until_its_deadline_and_no_longer() {
    // The deadline was counted for the command and for the answer, and then the drop waited as well.
    const SHORT: Duration = Duration::from_millis(300);
    let members = Members::new(&["A", "B"]);
    let (entered, hang) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
    let sink = {
        let (entered, hang) = (entered.clone(), hang.clone());
        move |_: &str| {
            entered.wait();
            hang.wait();
        }
    };
    let hanging = members.start_with_keylog(1, &[(0, None)], Arc::new(sink));
    let dialler = members.start(0, &[(1, Some(hanging.address()))], &[]);
    entered.wait();

    let started = Instant::now();
    let refused = hanging.shutdown(SHORT);
    let took = started.elapsed();
    hang.wait();

    assert_eq!(refused, Err(ShutdownError(SHORT)));
    assert!(took < SHORT * 4, "{took:?}");
    drop(dialler);
}

#[test]
fn a_port_in_use_is_named_with_the_way_out() {
    let members = Members::new(&["A"]);
    let first = members.start(0, &[], &[]);
    let config = members.config(0, first.address());

    let Err(StartError::Bind { address, fix, .. }) = peerbound_daemon::Daemon::start(config) else {
        panic!("two daemons cannot have one port");
    };

    assert_eq!(address, first.address());
    assert!(fix.contains("choose another in `listen`"), "{fix}");
}
