//! How a world grows: meshes of degree 6, all sessions real, until every link carries frames both ways,
//! and then ten seconds more of nothing but hellos. Each size runs in a process of its own, so that
//! memory is that of its own.
//!
//! `cargo bench -p peerbound-sim --bench growth [NODES..]`
#![expect(clippy::disallowed_methods, reason = "a benchmark asks the clock")]

use std::net::{IpAddr, SocketAddr};
use std::process::Command;
use std::time::{Duration, Instant};

use peerbound_dtls::{Authority, Context, ContextConfig, Validity};
use peerbound_node::{NeighbourConfig, NodeConfig, node_id};
use peerbound_sim::{
    Conditions, HostId, Observe, START_UNIX_SECONDS, VirtualTime, World, WorldConfig, hooks,
};

const PORT: u16 = 4433;

/// Each node dials as many of those after it, and is dialled by as many of those before.
const DIALS: usize = 3;

/// Set where this program was started by itself, to the number of nodes.
const NODES_VARIABLE: &str = "PEERBOUND_SIM_NODES";

fn main() {
    if let Ok(nodes) = std::env::var(NODES_VARIABLE) {
        return run(nodes.parse().expect("a number of nodes"));
    }
    let asked: Vec<String> = std::env::args().skip(1).filter(|word| word.parse::<usize>().is_ok()).collect();
    let sizes = if asked.is_empty() { ["100", "300", "1000"].map(str::to_owned).into() } else { asked };
    println!("| nodes | certificates | until all is up | virtual time | ten idle seconds | memory |");
    println!("|---|---|---|---|---|---|");
    for nodes in sizes {
        let status = Command::new(std::env::current_exe().expect("this program"))
            .env(NODES_VARIABLE, nodes)
            .status()
            .expect("this program can be started");
        assert!(status.success());
    }
}

fn run(nodes: usize) {
    let began = Instant::now();
    let configs = configs(nodes);
    let certified = began.elapsed();

    let began = Instant::now();
    let network = Conditions { loss: 0.01, jitter: Duration::from_millis(2), ..Conditions::default() };
    let config = WorldConfig { network, observe: Observe::Nothing, ..WorldConfig::new(1) };
    let mut world = World::new(config).expect("the hooks are in force");
    let hosts: Vec<_> = (0..nodes).map(|number| world.add_host("node", ip(number))).collect();
    for (host, config) in hosts.iter().zip(configs) {
        let socket = world.bind(*host, PORT).expect("a free port");
        world.run_node(*host, socket, config);
    }
    while !hosts.iter().all(|host| is_up(&world, *host)) {
        world.run_until(world.now() + Duration::from_millis(50));
        assert!(world.now() < VirtualTime::after(Duration::from_secs(60)), "it does not come up");
    }
    let (up, up_at) = (began.elapsed(), world.now());

    let began = Instant::now();
    world.run_until(up_at + Duration::from_secs(10));
    let idle = began.elapsed();
    println!(
        "| {nodes} | {:.1} s | {:.1} s | {up_at} | {:.1} s | {} MB |",
        certified.as_secs_f64(),
        up.as_secs_f64(),
        idle.as_secs_f64(),
        peak_megabytes()
    );
}

fn configs(nodes: usize) -> Vec<NodeConfig> {
    let contexts: Vec<_> = hooks::with_stream(1, || {
        let validity = Validity::days(START_UNIX_SECONDS, 365);
        let authority = Authority::generate("mesh root", validity).expect("an authority");
        let context = |number: usize| {
            let identity = authority.issue(&format!("n{number}"), validity).expect("a certificate");
            Context::new(ContextConfig::new(identity, vec![authority.to_root()])).expect("a context")
        };
        (0..nodes).map(context).collect()
    })
    .expect("the hooks are in force");
    let ids: Vec<_> = contexts.iter().map(|context| node_id(&context.key_hash())).collect();
    let neighbour = |number: usize, dial: bool| NeighbourConfig {
        id: ids[number],
        name: format!("n{number}"),
        address: dial.then(|| SocketAddr::new(ip(number), PORT)),
    };
    let config = |(number, context): (usize, &Context)| {
        let dialled = (1..=DIALS).map(|step| neighbour((number + step * step) % nodes, true));
        let awaited = (1..=DIALS).map(|step| neighbour((number + nodes - step * step) % nodes, false));
        NodeConfig { neighbours: dialled.chain(awaited).collect(), ..NodeConfig::new(context.clone()) }
    };
    contexts.iter().enumerate().map(config).collect()
}

fn ip(number: usize) -> IpAddr {
    IpAddr::from((0x0a00_0001 + u32::try_from(number).expect("a small number")).to_be_bytes())
}

fn is_up(world: &World, host: HostId) -> bool {
    world.node(host).is_some_and(|node| node.neighbours().iter().all(|neighbour| neighbour.is_usable))
}

/// Returns the most memory that this process ever had, as Linux counts it.
fn peak_megabytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) / 1024
}
