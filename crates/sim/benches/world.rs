//! What a world costs: seeds per second of the smallest whole story, in one thread, in two, and in two
//! processes; a black hole of 483 virtual seconds; a datagram that no node has to do with.
#![expect(clippy::disallowed_methods, reason = "a benchmark asks the clock")]

use std::hint::black_box;
use std::net::{IpAddr, SocketAddr};
use std::process::Command;
use std::time::{Duration, Instant};

use criterion::{BatchSize, Criterion, Throughput, criterion_group};
use peerbound_dtls::{Attempts, Authority, Context, ContextConfig, Validity};
use peerbound_node::{NeighbourConfig, NodeConfig, Sending, StaticRoute, node_id};
use peerbound_sim::{
    Conditions, Directions, HostId, Observe, Outage, START_UNIX_SECONDS, SocketId, VirtualTime, World,
    WorldConfig, hooks,
};
use peerbound_wire::FlowId;

const PORT: u16 = 4433;

/// Set where this program was started by itself, to the number of seeds to run.
const SEEDS_VARIABLE: &str = "PEERBOUND_SIM_SEEDS";

/// A, B and C: A and C dial B, and reach each other through it.
struct Cast {
    configs: [NodeConfig; 3],
}

impl Cast {
    fn new() -> Self {
        let contexts = hooks::with_stream(1, || {
            let validity = Validity::days(START_UNIX_SECONDS, 365);
            let authority = Authority::generate("bench root", validity).expect("an authority");
            ["A", "B", "C"].map(|name| {
                let identity = authority.issue(name, validity).expect("a certificate");
                Context::new(ContextConfig::new(identity, vec![authority.to_root()])).expect("a context")
            })
        });
        let contexts = contexts.expect("the hooks are in force");
        let ids = [0, 1, 2].map(|who: usize| node_id(&contexts[who].key_hash()));
        let neighbour = |who: usize, dial: bool| NeighbourConfig {
            id: ids[who],
            name: ["A", "B", "C"][who].to_owned(),
            addresses: dial.then(|| SocketAddr::new(ip(who), PORT)).into_iter().collect(),
        };
        let configs = [0, 1, 2].map(|who: usize| {
            let config = NodeConfig::new(contexts[who].clone());
            if who == 1 {
                return NodeConfig { neighbours: vec![neighbour(0, false), neighbour(2, false)], ..config };
            }
            let routes = vec![StaticRoute { destination: ids[2 - who], via: ids[1] }];
            NodeConfig { neighbours: vec![neighbour(1, true)], routes, ..config }
        });
        Self { configs }
    }

    fn world(&self, seed: u64, observe: Observe) -> (World, [HostId; 3], [SocketId; 3]) {
        let mut world = World::new(WorldConfig { observe, ..WorldConfig::new(seed) }).expect("the hooks");
        let hosts = [0, 1, 2].map(|who| world.add_host(["A", "B", "C"][who], ip(who)));
        let sockets = hosts.map(|host| world.bind(host, PORT).expect("a free port"));
        (world, hosts, sockets)
    }

    /// Brings three nodes up and lets a request go over B and its reply come back.
    fn story(&self, seed: u64, observe: Observe) -> VirtualTime {
        let (mut world, hosts, sockets) = self.world(seed, observe);
        for who in 0..3 {
            world.run_node(hosts[who], sockets[who], self.configs[who].clone());
        }
        let is_up = |world: &World| {
            hosts.iter().all(|host| {
                world
                    .node(*host)
                    .is_some_and(|node| node.neighbours().iter().all(|neighbour| neighbour.is_usable))
            })
        };
        assert!(world.run_while(VirtualTime::after(Duration::from_secs(60)), |world| !is_up(world)));
        for (from, to, is_reply) in [(0, 2, false), (2, 0, true)] {
            let destination = node_id(&self.configs[to].context.key_hash());
            let sending = Sending { destination, flow: FlowId(1), is_reply, payload: b"payload" };
            world.send(hosts[from], sending).expect("a route");
            world.run_until(world.now() + Duration::from_millis(5));
        }
        black_box(world.take_observations());
        world.now()
    }

    fn stories(&self, seeds: u64) {
        for seed in 0..seeds {
            black_box(self.story(seed, Observe::Everything));
        }
    }
}

fn ip(who: usize) -> IpAddr {
    IpAddr::from([10, 0, 0, u8::try_from(who).unwrap_or(0) + 1])
}

fn stories(criterion: &mut Criterion) {
    let cast = Cast::new();
    let mut group = criterion.benchmark_group("three nodes, certificates on all sides");
    group.throughput(Throughput::Elements(1));
    let mut seed = 0;
    group.bench_function("one thread", |bencher| {
        bencher.iter(|| {
            seed += 1;
            cast.story(seed, Observe::Everything)
        });
    });
    group.bench_function("two threads", |bencher| {
        bencher.iter_custom(|seeds| in_two_threads(seeds.div_ceil(2)));
    });
    group.bench_function("two processes", |bencher| {
        bencher.iter_custom(|seeds| in_two_processes(seeds.div_ceil(2)));
    });
    group.finish();
}

fn in_two_threads(seeds_each: u64) -> Duration {
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(move || Cast::new().stories(seeds_each));
        }
    });
    began.elapsed()
}

fn in_two_processes(seeds_each: u64) -> Duration {
    let began = Instant::now();
    let start = || {
        Command::new(std::env::current_exe().expect("this program"))
            .env(SEEDS_VARIABLE, seeds_each.to_string())
            .spawn()
            .expect("this program can be started")
    };
    let children = [start(), start()];
    for mut child in children {
        assert!(child.wait().expect("a child").success());
    }
    began.elapsed()
}

fn black_hole(criterion: &mut Criterion) {
    let cast = Cast::new();
    criterion.bench_function("483 virtual seconds of black hole", |bencher| {
        bencher.iter(|| {
            let (mut world, hosts, sockets) = cast.world(1, Observe::Everything);
            let nothing = Conditions { outage: Outage::Always, ..Conditions::default() };
            world.set_link(hosts[0], hosts[1], Directions::Both, nothing);
            let patient = NodeConfig {
                first_timeout: Duration::from_secs(1),
                handshake_deadline: Duration::from_secs(1000),
                attempts: Attempts::One,
                ..cast.configs[0].clone()
            };
            world.run_node(hosts[0], sockets[0], patient);
            world.run_until(VirtualTime::after(Duration::from_secs(484)));
            black_box(world.take_observations().len())
        });
    });
}

fn datagrams(criterion: &mut Criterion) {
    const COUNT: u64 = 1024;
    let mut group = criterion.benchmark_group("a datagram between two applications");
    group.throughput(Throughput::Elements(COUNT));
    for (name, observe, hosts) in [
        ("two hosts, told of", Observe::Everything, 2),
        ("two hosts", Observe::Nothing, 2),
        ("5000 hosts", Observe::Nothing, 5000),
    ] {
        let mut world = World::new(WorldConfig { observe, ..WorldConfig::new(1) }).expect("the hooks");
        let sockets: Vec<_> = (0..hosts)
            .map(|number: u32| {
                let host = world.add_host("host", IpAddr::from((0x0a00_0001 + number).to_be_bytes()));
                let socket = world.bind(host, PORT).expect("a free port");
                world.listen(socket);
                socket
            })
            .collect();
        let mut turn = 0;
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || (),
                |()| {
                    for _ in 0..COUNT {
                        turn = (turn + 1) % sockets.len();
                        let to = world.address_of(sockets[(turn + 1) % sockets.len()]);
                        world.send_raw(sockets[turn], to, &[7; 1200], None);
                    }
                    world.run_until(world.now() + Duration::from_millis(2));
                    world.take_observations()
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, stories, black_hole, datagrams);

fn main() {
    if let Ok(seeds) = std::env::var(SEEDS_VARIABLE) {
        Cast::new().stories(seeds.parse().expect("a number of seeds"));
        return;
    }
    benches();
    Criterion::default().configure_from_args().final_summary();
}
