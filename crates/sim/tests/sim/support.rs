//! Three nodes in a row, A, B and C, and what tests want to know of their world.

use std::net::{IpAddr, SocketAddr};
use std::sync::OnceLock;
use std::time::Duration;

use peerbound_dtls::{Authority, Context, ContextConfig, Identity, Validity};
use peerbound_node::{Event, NeighbourConfig, NodeConfig, Sending, StaticRoute, node_id};
use peerbound_sim::{
    HostId, Observation, Observe, Observed, START_UNIX_SECONDS, SocketId, VirtualTime, World, WorldConfig,
    hooks,
};
use peerbound_wire::{FlowId, NodeId};

pub(crate) const PORT: u16 = 4433;
pub(crate) const FLOW: FlowId = FlowId(1);
pub(crate) const A: usize = 0;
pub(crate) const B: usize = 1;
pub(crate) const C: usize = 2;

/// Who takes part: certificates for A, B and C, the same in every process.
pub(crate) struct Cast {
    pub(crate) authority: Authority,
    pub(crate) identities: Vec<Identity>,
}

/// Returns the cast, made once: keys take time.
pub(crate) fn cast() -> &'static Cast {
    static CAST: OnceLock<Cast> = OnceLock::new();
    CAST.get_or_init(|| hooks::with_stream(1, make_cast).unwrap())
}

fn make_cast() -> Cast {
    let validity = Validity::days(START_UNIX_SECONDS, 365);
    let authority = Authority::generate("test root", validity).unwrap();
    let identities = ["A", "B", "C"].map(|name| authority.issue(name, validity).unwrap());
    Cast { authority, identities: identities.into() }
}

pub(crate) fn context(who: usize) -> Context {
    let cast = cast();
    let config = ContextConfig::new(cast.identities[who].clone(), vec![cast.authority.to_root()]);
    Context::new(config).unwrap()
}

pub(crate) fn id(who: usize) -> NodeId {
    node_id(&cast().identities[who].key_hash())
}

pub(crate) fn ip(who: usize) -> IpAddr {
    IpAddr::from([10, 0, 0, u8::try_from(who).unwrap() + 1])
}

pub(crate) fn address(who: usize) -> SocketAddr {
    SocketAddr::new(ip(who), PORT)
}

/// A and C dial B; A and C reach each other through B.
pub(crate) fn config(who: usize) -> NodeConfig {
    let neighbour = |who: usize, dial: bool| NeighbourConfig {
        id: id(who),
        name: ["A", "B", "C"][who].to_owned(),
        addresses: dial.then(|| address(who)).into_iter().collect(),
    };
    let (neighbours, routes) = match who {
        A => (vec![neighbour(B, true)], vec![StaticRoute { destination: id(C), via: id(B) }]),
        B => (vec![neighbour(A, false), neighbour(C, false)], vec![]),
        _ => (vec![neighbour(B, true)], vec![StaticRoute { destination: id(A), via: id(B) }]),
    };
    NodeConfig { neighbours, routes, observe_frames: true, ..NodeConfig::new(context(who)) }
}

/// A world with A, B and C in it.
pub(crate) struct Triangle {
    pub(crate) world: World,
    pub(crate) hosts: [HostId; 3],
    pub(crate) sockets: [SocketId; 3],
    /// Everything that was observed so far.
    pub(crate) seen: Vec<Observation>,
}

impl Triangle {
    /// Makes the hosts, with a socket each and no nodes yet.
    pub(crate) fn empty(seed: u64) -> Self {
        Self::with(WorldConfig { observe: Observe::Everything, ..WorldConfig::new(seed) })
    }

    pub(crate) fn with(config: WorldConfig) -> Self {
        let mut world = World::new(config).unwrap();
        let hosts = [A, B, C].map(|who| world.add_host(["A", "B", "C"][who], ip(who)));
        let sockets = hosts.map(|host| world.bind_shared(host, PORT).unwrap());
        Self { world, hosts, sockets, seen: Vec::new() }
    }

    /// Makes the hosts and boots their nodes.
    pub(crate) fn booted(seed: u64) -> Self {
        let mut triangle = Self::empty(seed);
        triangle.boot();
        triangle
    }

    /// Makes everything and runs until all neighbours are usable.
    pub(crate) fn up(seed: u64) -> Self {
        let mut triangle = Self::booted(seed);
        triangle.run_until_up();
        triangle
    }

    pub(crate) fn boot(&mut self) {
        self.boot_with(|_| {});
    }

    /// Boots nodes whose configurations were changed first.
    pub(crate) fn boot_with(&mut self, change: impl Fn(&mut NodeConfig)) {
        for who in [A, B, C] {
            let mut config = config(who);
            change(&mut config);
            self.world.run_node(self.hosts[who], self.sockets[who], config);
        }
    }

    pub(crate) fn is_up(world: &World, hosts: &[HostId]) -> bool {
        hosts.iter().all(|host| {
            world
                .node(*host)
                .is_some_and(|node| node.neighbours().iter().all(|neighbour| neighbour.is_usable))
        })
    }

    pub(crate) fn run_until_up(&mut self) {
        let hosts = self.hosts;
        let limit = self.world.now() + Duration::from_secs(60);
        assert!(self.world.run_while(limit, |world| !Self::is_up(world, &hosts)), "it did not come up");
        self.look();
    }

    pub(crate) fn run_for(&mut self, time: Duration) {
        self.world.run_until(self.world.now() + time);
        self.look();
    }

    /// Notes what happened.
    pub(crate) fn look(&mut self) {
        self.seen.extend(self.world.take_observations());
    }

    pub(crate) fn send(&mut self, from: usize, to: usize, payload: &[u8], is_reply: bool) {
        let sending = Sending { destination: id(to), flow: FLOW, is_reply, payload };
        self.world.send(self.hosts[from], sending).unwrap();
        self.look();
    }

    /// Returns the payloads that were delivered to a node.
    pub(crate) fn delivered(&self, who: usize) -> Vec<Vec<u8>> {
        self.events(who)
            .filter_map(|event| match event {
                Event::Delivered { payload, .. } => Some(payload.clone()),
                _ => None,
            })
            .collect()
    }

    pub(crate) fn events(&self, who: usize) -> impl Iterator<Item = &Event> {
        let at = self.hosts[who];
        self.seen.iter().filter_map(move |observation| match &observation.what {
            Observed::Event { host, event } if *host == at => Some(event),
            _ => None,
        })
    }

    /// Returns a word for each observation that `which` has one for, in order.
    pub(crate) fn story<T>(&self, which: impl Fn(&Observed) -> Option<T>) -> Vec<T> {
        self.seen.iter().filter_map(|observation| which(&observation.what)).collect()
    }
}

/// Returns a hash of every byte that was sent, with its moment and its addresses.
pub(crate) fn fingerprint(seen: &[Observation]) -> u64 {
    // FNV-1a: any hash that is the same in every process would do.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut feed = |bytes: &[u8]| {
        for byte in bytes {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    for Observation { at: VirtualTime(at), what } in seen {
        if let Observed::Sent { source, destination, bytes, .. } = what {
            feed(&at.to_le_bytes());
            feed(source.to_string().as_bytes());
            feed(destination.to_string().as_bytes());
            feed(bytes);
        }
    }
    hash
}
