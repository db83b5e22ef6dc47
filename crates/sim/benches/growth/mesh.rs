//! One mesh, from nothing until its nodes have talked, with what each part of that took.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use peerbound_dtls::{Authority, Context, ContextConfig, Validity};
use peerbound_node::{
    Event, NeighbourConfig, Node, NodeConfig, ProofBook, RouterConfig, RouterCounters, Routing, node_id,
};
use peerbound_sim::{
    Conditions, HostId, Observe, Observed, START_UNIX_SECONDS, VirtualTime, World, WorldConfig, hooks,
};
use peerbound_wire::{FlowId, NodeId};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

const PORT: u16 = 4433;

/// Neighbours of a node, on average.
const DEGREE: usize = 6;

/// Pairs that talk once all ways are there.
const PAIRS: usize = 1000;

/// How often it is looked whether a part is done.
const LOOK: Duration = Duration::from_millis(20);

/// After that much virtual time without an answer a pair asks again: some lose all on their way.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// How ways are found in the mesh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ways {
    /// Not at all: there are links, and neighbours on them.
    None,
    /// By the nodes themselves; all of them verify signatures by one book.
    Found,
}

/// What a mesh took.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Measured {
    pub(crate) nodes: usize,
    /// Certificates and everything else that is made before virtual time begins.
    pub(crate) made: f64,
    /// Until every link carried frames both ways: seconds of the processor, and of virtual time.
    pub(crate) up: f64,
    pub(crate) up_at: f64,
    /// Until every node had a way to every other, from the beginning.
    pub(crate) ways: f64,
    pub(crate) ways_at: f64,
    /// Until all pairs had talked, from the beginning.
    pub(crate) talked: f64,
    pub(crate) talked_at: f64,
    /// Ten more virtual seconds.
    pub(crate) idle: f64,
    pub(crate) datagrams: u64,
    pub(crate) routing_messages: u64,
    pub(crate) updates: u64,
    pub(crate) megabytes: u64,
}

/// What a process tells the one that started it.
impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { nodes, made, up, up_at, ways, ways_at, talked, talked_at, idle, .. } = self;
        let Self { datagrams, routing_messages, updates, megabytes, .. } = self;
        write!(f, "{nodes} {made} {up} {up_at} {ways} {ways_at} {talked} {talked_at} {idle} ")?;
        write!(f, "{datagrams} {routing_messages} {updates} {megabytes}")
    }
}

impl Measured {
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let nodes = words.next()?.parse().ok()?;
        let mut seconds = [0.0; 8];
        for place in &mut seconds {
            *place = words.next()?.parse().ok()?;
        }
        let mut counts = [0; 4];
        for place in &mut counts {
            *place = words.next()?.parse().ok()?;
        }
        let [made, up, up_at, ways, ways_at, talked, talked_at, idle] = seconds;
        let [datagrams, routing_messages, updates, megabytes] = counts;
        Some(Self {
            nodes,
            made,
            up,
            up_at,
            ways,
            ways_at,
            talked,
            talked_at,
            idle,
            datagrams,
            routing_messages,
            updates,
            megabytes,
        })
    }
}

/// Brings up a mesh and lets it work.
///
/// # Panics
/// When that takes a virtual minute.
pub(crate) fn measure(nodes: usize, ways: Ways) -> Measured {
    let mut mesh = Mesh::new(nodes, ways);
    let made = processor_seconds();
    let mut measured = Measured { nodes, made, ..Measured::default() };
    let since_made = || processor_seconds() - made;

    mesh.run_until_all(|node| node.neighbours().iter().all(|neighbour| neighbour.is_usable));
    (measured.up, measured.up_at) = (since_made(), mesh.virtual_seconds());
    if ways == Ways::Found {
        mesh.run_until_all(|node| node.reachable() + 1 == nodes);
        (measured.ways, measured.ways_at) = (since_made(), mesh.virtual_seconds());
        mesh.talk();
        (measured.talked, measured.talked_at) = (since_made(), mesh.virtual_seconds());
    }
    let before = processor_seconds();
    mesh.world.run_until(mesh.world.now() + Duration::from_secs(10));
    measured.idle = processor_seconds() - before;

    let sum = |count: fn(&Node) -> u64| mesh.nodes().map(count).sum();
    let routing =
        |count: fn(RouterCounters) -> u64| mesh.nodes().filter_map(Node::routing_counters).map(count).sum();
    measured.datagrams = sum(|node| node.counters().datagrams_received);
    measured.routing_messages = routing(|counters| counters.messages_sent);
    measured.updates = routing(|counters| counters.updates_sent);
    measured.megabytes = peak_megabytes();
    measured
}

struct Mesh {
    world: World,
    hosts: Vec<HostId>,
    ids: Vec<NodeId>,
}

impl Mesh {
    fn new(nodes: usize, ways: Ways) -> Self {
        let configs = configs(nodes, ways);
        let network = Conditions { loss: 0.01, jitter: Duration::from_millis(2), ..Conditions::default() };
        let observe = if ways == Ways::Found { Observe::Events } else { Observe::Nothing };
        let config = WorldConfig { network, observe, ..WorldConfig::new(1) };
        let mut world = World::new(config).expect("the hooks are in force");
        let hosts: Vec<_> = (0..nodes).map(|number| world.add_host("node", ip(number))).collect();
        let ids = configs.iter().map(|config| node_id(&config.context.key_hash())).collect();
        for (host, config) in hosts.iter().zip(configs) {
            let socket = world.bind(*host, PORT).expect("a free port");
            world.run_node(*host, socket, config);
        }
        Self { world, hosts, ids }
    }

    fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.hosts.iter().filter_map(|host| self.world.node(*host))
    }

    fn virtual_seconds(&self) -> f64 {
        self.world.now().since_start().as_secs_f64()
    }

    fn run_until_all(&mut self, is_done: impl Fn(&Node) -> bool) {
        let mut done = 0;
        loop {
            // Most looks find the same node behind; that all are done at once is asked in the end.
            done += self.nodes().skip(done).take_while(|node| is_done(node)).count();
            if done == self.hosts.len() && self.nodes().all(&is_done) {
                return;
            }
            done %= self.hosts.len();
            self.pass(LOOK);
            self.world.take_observations();
        }
    }

    fn pass(&mut self, time: Duration) {
        self.world.run_until(self.world.now() + time);
        assert!(self.world.now() < VirtualTime::after(Duration::from_secs(60)), "it is not done in a minute");
    }

    /// Lets pairs ask each other until all have an answer.
    fn talk(&mut self) {
        let mut chance = ChaCha8Rng::seed_from_u64(2);
        let mut pairs = BTreeMap::new();
        while pairs.len() < PAIRS {
            let (from, to) = (below(&mut chance, self.hosts.len()), below(&mut chance, self.hosts.len()));
            if from != to {
                pairs.insert(pairs.len() as u64, (from, to));
            }
        }
        while !pairs.is_empty() {
            for (token, (from, to)) in &pairs {
                let asked = self.world.ping(self.hosts[*from], self.ids[*to], FlowId(1), *token);
                asked.expect("there is a way");
            }
            let asked_at = self.world.now();
            while !pairs.is_empty() && self.world.now() < asked_at + ASK_AGAIN {
                self.pass(LOOK);
                for seen in self.world.take_observations() {
                    if let Observed::Event { event: Event::Pong { token, .. }, .. } = seen.what {
                        pairs.remove(&token);
                    }
                }
            }
        }
    }
}

fn configs(nodes: usize, ways: Ways) -> Vec<NodeConfig> {
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
    let mut neighbours = vec![Vec::new(); nodes];
    let mut add = |of: usize, other: usize, address: Option<SocketAddr>| {
        let addresses = address.into_iter().collect();
        neighbours[of].push(NeighbourConfig { id: ids[other], name: format!("n{other}"), addresses });
    };
    for (one, other) in links(nodes) {
        add(one, other, Some(SocketAddr::new(ip(other), PORT)));
        add(other, one, None);
    }
    let book = Arc::new(ProofBook::new(contexts[0].clone()));
    let config = |(context, neighbours): (Context, _)| {
        let routing = match ways {
            Ways::None => Routing::Static,
            Ways::Found => {
                Routing::Dynamic(RouterConfig { proofs: Some(Arc::clone(&book)), ..RouterConfig::default() })
            }
        };
        NodeConfig { neighbours, routing, ..NodeConfig::new(context) }
    };
    contexts.into_iter().zip(neighbours).map(config).collect()
}

/// Draws a ring, so that everything hangs together, and chords until there are enough.
fn links(nodes: usize) -> BTreeSet<(usize, usize)> {
    let mut links: BTreeSet<_> = (0..nodes).map(|node| (node, (node + 1) % nodes)).collect();
    let mut chance = ChaCha8Rng::seed_from_u64(1);
    while links.len() < nodes * DEGREE / 2 {
        let (one, other) = (below(&mut chance, nodes), below(&mut chance, nodes));
        if one != other && !links.contains(&(other, one)) {
            links.insert((one, other));
        }
    }
    links
}

fn below(chance: &mut ChaCha8Rng, end: usize) -> usize {
    usize::try_from(chance.next_u64() % end as u64).expect("less than a usize")
}

fn ip(number: usize) -> IpAddr {
    IpAddr::from((0x0a00_0001 + u32::try_from(number).expect("a small number")).to_be_bytes())
}

/// Returns how long this thread has had a processor. Others may be at work on the machine, so the clock
/// on the wall says little.
fn processor_seconds() -> f64 {
    let counted = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = counted.split_whitespace().next().and_then(|nanos| nanos.parse::<u64>().ok());
    Duration::from_nanos(nanos.expect("Linux counts the time of threads")).as_secs_f64()
}

/// Returns the most memory that this process ever had, as Linux counts it.
fn peak_megabytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) / 1024
}
