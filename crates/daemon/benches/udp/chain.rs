//! A running node, and two others on one more thread that send through it as much as they can. What it costs is
//! read from the threads that it started, however many they are.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use peerbound_daemon::{BatchSocket, Daemon, DaemonConfig};
use peerbound_node::{Event, Node, NodeConfig, Sending, StaticRoute};
use peerbound_wire::{FlowId, HEADER_BYTES, NodeId};

use crate::members::{DATAGRAM_BYTES, FRAME_BYTES, config, contexts, ids_of, neighbour};

/// Datagrams between two visits of the receiver: one full batch.
const BURST: usize = 46;

/// How long sessions may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a queue may need to find its length before it counts.
const WARM_UP: Duration = Duration::from_millis(30);

/// The chain.
pub(crate) struct Chain {
    a: End,
    c: End,
    relay: Daemon,
    threads: BTreeSet<String>,
}

impl Chain {
    pub(crate) fn start() -> Self {
        let contexts = contexts(3);
        let ids = ids_of(&contexts);
        let neighbour = |index, address| neighbour(&ids, index, address);
        let others = threads();
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let relay = config(&contexts[1], vec![neighbour(0, None), neighbour(2, None)], Vec::new());
        let relay = Daemon::start(DaemonConfig::new(relay, any)).unwrap();
        let threads = threads().difference(&others).cloned().collect();
        let b = Some(relay.address());
        let end = |us: usize, other: usize| {
            let routes = vec![StaticRoute { destination: ids[other], via: ids[1] }];
            End::new(config(&contexts[us], vec![neighbour(1, b)], routes), any)
        };
        let mut chain = Self { a: end(0, 2), c: end(2, 0), relay, threads };
        chain.bring_up();
        chain
    }

    /// Waits for the links: while other things are measured nobody answers at the ends, which may take too long.
    fn bring_up(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while !(self.a.is_up && self.c.is_up) {
            assert!(Instant::now() < deadline, "the sessions come up");
            self.a.turn();
            self.c.turn();
        }
    }

    /// Loads the relay for some time and returns its processor time for each datagram that it carried.
    pub(crate) fn run(&mut self, time: Duration) -> f64 {
        self.bring_up();
        self.load(WARM_UP);
        let before = (self.processor_nanos(), self.carried());
        self.load(time);
        let after = (self.processor_nanos(), self.carried());
        (after.0 - before.0) / (after.1 - before.1)
    }

    fn load(&mut self, time: Duration) {
        let far = self.c.node.id();
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.a.send(far, BURST);
            self.a.turn();
            self.c.turn();
        }
    }

    /// Returns what the relay has sealed for the other side, whether or not the other side was there to take it.
    fn carried(&self) -> f64 {
        self.relay.status().unwrap().counters.frames_sent as f64
    }

    fn processor_nanos(&self) -> f64 {
        // The first number is the time on a processor, in nanoseconds; what runs at this moment lacks a tick at most.
        let of_one = |thread: &String| -> f64 {
            let path = format!("/proc/self/task/{thread}/schedstat");
            let text = std::fs::read_to_string(path).unwrap();
            text.split(' ').next().unwrap().parse().unwrap()
        };
        self.threads.iter().map(of_one).sum()
    }
}

fn threads() -> BTreeSet<String> {
    let entries = std::fs::read_dir("/proc/self/task").unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// A node that is driven by hand.
struct End {
    node: Node,
    socket: BatchSocket,
    is_up: bool,
}

impl End {
    fn new(config: NodeConfig, address: SocketAddr) -> Self {
        let seed = [u8::try_from(config.routes.len()).unwrap(); 32];
        let node = Node::new(config, seed, 1, Instant::now());
        Self { node, socket: BatchSocket::bind(address).unwrap(), is_up: false }
    }

    fn send(&mut self, destination: NodeId, count: usize) {
        let payload = [7; FRAME_BYTES - HEADER_BYTES];
        let sending = Sending { destination, flow: FlowId(1), is_reply: false, payload: &payload };
        for _ in 0..count {
            // A link that is down is seen and brought up again.
            let _ = self.node.send(sending, Instant::now());
        }
    }

    /// Receives everything that waits, does what is due, sends what there is.
    fn turn(&mut self) {
        let Self { node, socket, is_up } = self;
        loop {
            let now = Instant::now();
            let received = socket.receive(|from, datagram| {
                // To open what was carried is not measured here, and would keep the sender from loading the relay.
                if datagram.len() != DATAGRAM_BYTES {
                    node.handle_datagram(from, datagram, now);
                }
            });
            match received {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("{error}"),
            }
        }
        let now = Instant::now();
        if node.poll_timeout().is_some_and(|due| due <= now) {
            node.handle_timeout(now);
        }
        while let Some(batch) = node.poll_transmit() {
            // What does not fit the kernel's buffer is lost, as on a path that is full.
            let _ = socket.send(&batch, 0);
            node.recycle(batch.bytes);
        }
        while let Some(event) = node.poll_event() {
            match event {
                Event::NeighbourUp { .. } => *is_up = true,
                Event::NeighbourDown { .. } => *is_up = false,
                _ => {}
            }
        }
    }
}
