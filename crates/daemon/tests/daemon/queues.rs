//! A relay between real hosts whose link to one of them is slow: who sends more than the link carries
//! harms himself, and nobody else has to wait for it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use peerbound_daemon::{Daemon, DaemonConfig, StartOptions, Status};
use peerbound_node::{Event, FrameDrop, QueueView, Rate, Sending};
use peerbound_wire::{FlowId, NodeId};

use crate::namespaces::Namespace;
use crate::support::{DEADLINE, Members, wait_until};

const FAT: FlowId = FlowId(1);
const SPARSE: FlowId = FlowId(2);

/// What the fat flow sends, twice as much as the link carries: in bits a second, bytes of payload.
const SENT_RATE: u64 = 40_000_000;
const PAYLOAD_BYTES: usize = 1200;

/// Frames that are sent at once at most when we come late.
const BURST_MAX: u64 = 64;

/// Pings, and the time between two of them.
const PINGS: u64 = 150;
const PING_INTERVAL: Duration = Duration::from_millis(20);

/// What makes the link from B to C slow.
enum Slow {
    /// The kernel at B: nobody tells the relay.
    Kernel,
    /// The relay's own configuration.
    Rate,
}

/// What was seen.
struct Seen {
    round_trips: Vec<Duration>,
    /// How long frames of the fat flow took from A to C.
    fat_delays: Vec<Duration>,
    lost_neighbours: Vec<String>,
    relay: Status,
    queue: QueueView,
}

#[test]
fn a_ping_does_not_wait_for_a_flow_that_saturates_a_slow_link_and_no_neighbour_is_lost() {
    if let Some(seen) = saturate(&Slow::Kernel) {
        check(&seen);
        let sockets = seen.relay.socket;
        assert!(sockets.full > 0, "the kernel was full: {sockets:?}");
        assert!(sockets.send_buffer_bytes < 200_000, "and was given less: {sockets:?}");
    }
}

#[test]
fn a_ping_does_not_wait_for_a_flow_that_saturates_the_rate_of_a_link() {
    if let Some(seen) = saturate(&Slow::Rate) {
        check(&seen);
        assert_eq!(seen.queue.rate, Rate::from_bits_per_second(20_000_000));
    }
}

fn check(seen: &Seen) {
    let (ping, fat) = (sorted(&seen.round_trips), sorted(&seen.fat_delays));
    eprintln!(
        "ping: median {:?}, p99 {:?}; fat flow: median {:?} of {} frames; {:?}; {:?}",
        part(&ping, 50),
        part(&ping, 99),
        part(&fat, 50),
        fat.len(),
        seen.queue,
        seen.relay.socket,
    );
    assert_eq!(seen.lost_neighbours, [""; 0]);
    assert_eq!(ping.len() as u64, PINGS, "no ping is lost");
    // A ping goes both ways and still takes a fraction of what the fat flow takes one way.
    assert!(part(&ping, 50) * 4 < part(&fat, 50), "{:?} and {:?}", part(&ping, 50), part(&fat, 50));
    // Nine of ten at least: on a busy machine some pings wait for a processor.
    assert!(part(&ping, 90) * 3 < part(&fat, 50), "{:?} and {:?}", part(&ping, 90), part(&fat, 50));
    let dropped = |reason| seen.queue.dropped.get(&reason).copied().unwrap_or(0);
    assert!(dropped(FrameDrop::Codel) + dropped(FrameDrop::QueueBytes) > 0, "{:?}", seen.queue);
    assert!(seen.relay.counters.is_conserved(), "{:#?}", seen.relay.counters);
}

fn sorted(times: &[Duration]) -> Vec<Duration> {
    let mut times = times.to_vec();
    times.sort();
    times
}

fn part(sorted: &[Duration], percent: usize) -> Duration {
    sorted.get(sorted.len() * percent / 100).copied().unwrap_or(Duration::MAX)
}

/// Lets A send to C through B more than B's link to C carries, and ping C meanwhile.
fn saturate(slow: &Slow) -> Option<Seen> {
    let (host_a, host_b, host_c) = (Namespace::new()?, Namespace::new()?, Namespace::new()?);
    host_a.connect(("to-b", "10.71.1.1/24"), (&host_b, "to-a", "10.71.1.2/24"));
    host_c.connect(("to-b", "10.71.2.1/24"), (&host_b, "to-c", "10.71.2.2/24"));
    let members = Members::new(&["A", "B", "C"]);
    let config = |index, listen: &str, neighbours: &[_], routes: &[_]| DaemonConfig {
        listen: listen.parse().unwrap(),
        ..members.config_of(index, neighbours, routes)
    };
    let mut relay = config(1, "0.0.0.0:0", &[(0, None), (2, None)], &[]);
    match slow {
        Slow::Kernel => {
            let limit = "qdisc add dev to-c root tbf rate 20mbit burst 16kb latency 400ms";
            host_b.run("tc", &limit.split(' ').collect::<Vec<_>>());
        }
        Slow::Rate => {
            let rate = Rate::from_bits_per_second(20_000_000).unwrap();
            relay.node.rates.insert(members.ids[2], rate);
        }
    }
    let start = |host: &Namespace, config| {
        host.enter(|| Daemon::start_with(config, StartOptions::default()).unwrap())
    };
    let b = start(&host_b, relay);
    let at_b = |ip: &str| Some(SocketAddr::new(ip.parse().unwrap(), b.address().port()));
    let a = config(0, "10.71.1.1:0", &[(1, at_b("10.71.1.2"))], &[(2, 1)]);
    let c = config(2, "10.71.2.1:0", &[(1, at_b("10.71.2.2"))], &[(0, 1)]);
    let (a, c) = (start(&host_a, a), start(&host_c, c));
    for daemon in [&a, &b, &c] {
        wait_until("all neighbours are up", || {
            daemon.status().unwrap().neighbours.iter().all(|neighbour| neighbour.is_usable)
        });
    }
    Some(observe([&a, &b, &c]))
}

fn observe([a, b, c]: [&Daemon; 3]) -> Seen {
    let start = Instant::now();
    let (mut sent, mut pinged) = (0_u64, Vec::new());
    let (mut round_trips, mut fat_delays, mut lost_neighbours) = (Vec::new(), Vec::new(), Vec::new());
    while (round_trips.len() as u64) < PINGS && start.elapsed() < DEADLINE {
        let due = micros_since(start) * SENT_RATE / 8_000_000 / PAYLOAD_BYTES as u64;
        let burst = due.saturating_sub(sent).min(BURST_MAX);
        send_fat(a, c.id(), burst, start);
        sent = due;
        if (pinged.len() as u64) < PINGS
            && start.elapsed() >= PING_INTERVAL * u32::try_from(pinged.len()).unwrap()
        {
            pinged.push(Instant::now());
            a.ping(c.id(), SPARSE, pinged.len() as u64 - 1).unwrap();
        }
        // A millisecond, unless something happens before.
        let next = a.events().recv_timeout(Duration::from_millis(1)).ok();
        for event in next.into_iter().chain(a.events().try_iter()) {
            match event {
                Event::Pong { token, .. } => {
                    round_trips.extend(pinged.get(usize::try_from(token).unwrap()).map(Instant::elapsed));
                }
                Event::NeighbourDown { reason, .. } => lost_neighbours.push(format!("A: {reason}")),
                _ => {}
            }
        }
        for event in c.events().try_iter() {
            match event {
                Event::Delivered { payload, .. } => {
                    let sent = u64::from_be_bytes(payload[..8].try_into().unwrap());
                    fat_delays.push(start.elapsed().saturating_sub(Duration::from_micros(sent)));
                }
                Event::NeighbourDown { reason, .. } => lost_neighbours.push(format!("C: {reason}")),
                _ => {}
            }
        }
        for event in b.events().try_iter() {
            if let Event::NeighbourDown { reason, .. } = event {
                lost_neighbours.push(format!("B: {reason}"));
            }
        }
    }
    let relay = b.status().unwrap();
    let to_c = c.id();
    let queues = b.handle().with_node(|node, _| node.queues()).unwrap();
    let queue = queues.into_iter().find(|queue| queue.neighbour == to_c).unwrap();
    Seen { round_trips, fat_delays, lost_neighbours, relay, queue }
}

fn send_fat(from: &Daemon, destination: NodeId, frames: u64, start: Instant) {
    let sent = from.handle().with_node(move |node, now| {
        let mut payload = [0; PAYLOAD_BYTES];
        payload[..8].copy_from_slice(&micros_since(start).to_be_bytes());
        let sending = Sending { destination, flow: FAT, is_reply: false, payload: &payload };
        (0..frames).for_each(|_| drop(node.send(sending, now)));
    });
    sent.unwrap();
}

fn micros_since(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_micros()).unwrap()
}
