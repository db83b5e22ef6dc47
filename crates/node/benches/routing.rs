//! What finding ways costs: one update that changes something and one that does not, a table of a thousand
//! origins learnt from one neighbour, and a whole mesh without sessions, from nothing until every node
//! has a way to every other and all is quiet.
//!
//! `cargo bench -p peerbound-node --bench routing` prints the mesh last; `-- mesh 300 1000` prints
//! meshes of these sizes alone, and `-- --ratios` what `bench/guard` asks for: what updates take by reading them
//! alone, and what one takes among ten thousand origins by one among a hundred. Telling others is not in it.

use std::hint::black_box;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use allocation_counter::measure;
use criterion::{BatchSize, Criterion, Throughput};
use peerbound_node::{ProofBook, Router, RouterConfig};
use peerbound_wire::{Metric, NodeId, Path, RouteSeq, RoutingMessage, Update, UpdatesPacker};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use mesh::{Mesh, Nursery, Plan, Toy, proofs_of};
use ratios::{are_asked_for, medians, processor_time, say};

#[path = "../tests/router/mesh.rs"]
mod mesh;
#[path = "../../../bench/support/ratios.rs"]
mod ratios;

const ORIGINS: u16 = 1000;
const MESSAGE_BYTES: usize = 1300;

/// Origins of routers that are set side by side.
const FEW: u16 = 100;
const MANY: u16 = 10_000;

/// Updates of one measurement of these, and rounds of which the median counts.
const UPDATES: u16 = 1000;
const ROUNDS: usize = 60;

/// Origins that are learnt at once: fewer than one neighbour may have unproved.
const LEARNT_AT_ONCE: u16 = 2000;

fn main() {
    if are_asked_for() {
        return say_ratios();
    }
    let mut arguments = std::env::args().skip_while(|argument| argument != "mesh").skip(1).peekable();
    if arguments.peek().is_some() {
        arguments.filter_map(|argument| argument.parse().ok()).for_each(report_mesh);
        return;
    }
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("routing");
    group.throughput(Throughput::Elements(ORIGINS.into()));
    let mut learned = Learner::new();
    learned.learn(ORIGINS);
    let mut metric = 200;
    group.bench_function("updates_without_news", |bencher| {
        bencher.iter(|| learned.be_told(0..ORIGINS, black_box(100)));
    });
    group.bench_function("updates_with_news", |bencher| {
        bencher.iter(|| {
            metric = 300 - metric;
            learned.be_told(0..ORIGINS, black_box(metric));
        });
    });
    group.bench_function("table_from_nothing", |bencher| {
        bencher.iter_batched(Learner::new, |mut learner| learner.learn(ORIGINS), BatchSize::LargeInput);
    });
    group.finish();
    criterion.final_summary();
    report_mesh(300);
}

fn say_ratios() {
    let [mut few, mut table, mut many] = [FEW, ORIGINS, MANY].map(|origins| {
        let mut learner = Learner::new();
        learner.learn(origins);
        learner
    });
    let round = |round: usize| {
        // Each way is longer, or shorter, than it was, and no longer than what makes it infeasible.
        let metric = if round.is_multiple_of(2) { 150 } else { 100 };
        let messages = table.messages(0..ORIGINS, metric);
        let started = processor_time();
        messages.iter().for_each(|message| read(message));
        let read_alone = nanos_since(started);
        let heard = table.hear(&messages);
        let [among_few, among_many] = [(&mut few, FEW), (&mut many, MANY)].map(|(learner, origins)| {
            let each = |update: u16| {
                let index = u16::try_from(u32::from(update) * 7919 % u32::from(origins)).unwrap();
                learner.messages(index..index + 1, metric + update / origins)
            };
            let messages: Vec<_> = (0..UPDATES).flat_map(each).collect();
            learner.hear(&messages)
        });
        [heard / read_alone, among_many / among_few]
    };
    let [update, among_many] = medians(&(0..ROUNDS).map(round).collect::<Vec<_>>());
    say("routing-update", update);
    say("routing-update-among-10000", among_many);
}

fn nanos_since(started: Duration) -> f64 {
    (processor_time() - started).as_secs_f64() * 1e9
}

/// Reads what a message says, and does nothing with it.
fn read(message: &[u8]) {
    let Ok(RoutingMessage::Updates(updates)) = RoutingMessage::decode(message) else { return };
    updates.items.iter().for_each(|update| {
        black_box(update);
    });
}

/// A router with six neighbours, one of whom tells it of origins.
struct Learner {
    router: Router,
    teacher: NodeId,
    sync: u32,
    number: u32,
    now: Instant,
    book: Arc<ProofBook>,
}

impl Learner {
    fn new() -> Self {
        let now = mesh::now();
        let ids: Vec<_> = (0..7_u8).map(|index| NodeId::new([index + 1; 16])).collect();
        let book = Arc::new(ProofBook::new(Nursery));
        let mut chance = ChaCha8Rng::seed_from_u64(1);
        let config = (&RouterConfig::default(), Arc::clone(&book));
        let router = Router::new(ids[0], &ids[1..], config, Toy(ids[0]), MESSAGE_BYTES, &mut chance, now);
        let mut learner = Self { router: router.unwrap(), teacher: ids[1], sync: 0, number: 0, now, book };
        ids[1..].iter().for_each(|id| learner.router.on_neighbour_up(*id, now));
        while let Some((to, bytes)) = learner.router.poll_transmit() {
            if let Ok(RoutingMessage::Sync(sync)) = RoutingMessage::decode(&bytes)
                && to == learner.teacher
            {
                learner.sync = sync.ours;
            }
        }
        learner
    }

    /// Learns the first origins, their proofs included.
    fn learn(&mut self, origins: u16) {
        for first in (0..origins).step_by(LEARNT_AT_ONCE.into()) {
            let end = origins.min(first + LEARNT_AT_ONCE);
            self.be_told(first..end, 100);
            while self.router.reachable() < usize::from(end) {
                self.fetch_proofs();
            }
        }
    }

    fn fetch_proofs(&mut self) {
        self.now += Duration::from_millis(5);
        self.router.handle_timeout(self.now);
        let mut asked = Vec::new();
        while let Some((_, bytes)) = self.router.poll_transmit() {
            if let Ok(RoutingMessage::ProofRequests(requests)) = RoutingMessage::decode(&bytes) {
                asked.extend(requests.iter().map(|request| request.origin));
            }
        }
        for answer in proofs_of(asked.into_iter(), MESSAGE_BYTES) {
            let message = RoutingMessage::decode(&answer).unwrap();
            self.router.on_message(self.teacher, &message, self.now);
        }
    }

    fn be_told(&mut self, origins: Range<u16>, metric: u16) {
        let messages = self.messages(origins, metric);
        self.hear(&messages);
    }

    /// Makes what the teacher says of some origins, in as few messages as that fills.
    fn messages(&mut self, origins: Range<u16>, metric: u16) -> Vec<Vec<u8>> {
        let mut messages = Vec::new();
        let mut next = origins.start;
        while next < origins.end {
            self.number += 1;
            let mut packer = UpdatesPacker::new(self.sync, self.number, self.number, MESSAGE_BYTES);
            let path = Path::new(Some(4), &[[1; 4], [2; 4], [3; 4]]);
            let update =
                |index| Update { origin: origin(index), seqno: RouteSeq(0), metric: Metric(metric), path };
            while next < origins.end && packer.push(&update(next)) {
                next += 1;
            }
            messages.push(packer.finish());
        }
        messages
    }

    /// Takes in messages and returns the processor time of that in nanoseconds.
    fn hear(&mut self, messages: &[Vec<u8>]) -> f64 {
        let started = processor_time();
        for bytes in messages {
            let message = RoutingMessage::decode(bytes).unwrap();
            self.router.on_message(self.teacher, &message, self.now);
        }
        let took = nanos_since(started);
        black_box(&self.book);
        while self.router.poll_transmit().is_some() {}
        took
    }
}

fn origin(index: u16) -> NodeId {
    let number = (u64::from(index) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    NodeId::new(((u128::from(number) << 64) | u128::from(!number)).to_be_bytes())
}

/// Brings up a mesh of degree 6 with 1 % loss and says what it took.
fn report_mesh(nodes: usize) {
    let plan = Plan { loss: 10, jitter: Duration::from_millis(5), ..Plan::random(nodes, 6, 1, 7) };
    let links = plan.links.len();
    let started = processor_seconds();
    let mut complete = Duration::ZERO;
    let mut mesh = None;
    let memory = measure(|| {
        let mut made = Mesh::up(plan);
        complete = made.run_until(Duration::from_secs(60), Mesh::is_complete_at_last);
        mesh = Some(made);
    });
    let mut mesh = mesh.unwrap();
    let until_complete = processor_seconds() - started;
    let pairs = (nodes * nodes) as f64;
    println!("\nmesh of {nodes} routers, {links} links, 1 % loss");
    println!("  every way known   {complete:?} of virtual time, {until_complete:.2} s of processor time");
    print(&mesh, pairs);
    println!("  memory            {:.0} bytes a pair, all told", memory.bytes_current as f64 / pairs);
    mesh.run_for(Duration::from_secs(20));
    println!("20 s later, {:.2} s of processor time", processor_seconds() - started);
    print(&mesh, pairs);
    println!("  faults            {}", mesh.faults_among(20).len());
    let busiest = (0..nodes).max_by_key(|node| mesh.degree(*node)).unwrap();
    let (messages, bytes) = (mesh.messages, mesh.bytes);
    let cut_at = processor_seconds();
    mesh.kill(busiest);
    mesh.run_for(Duration::from_secs(10));
    println!(
        "a node with {} neighbours dies, {:.2} s of processor time",
        mesh.degree(busiest),
        processor_seconds() - cut_at
    );
    println!("  more              {} messages, {} bytes", mesh.messages - messages, mesh.bytes - bytes);
    print(&mesh, pairs);
    println!("  faults            {}", mesh.faults_among(20).len());
}

/// Returns the time that this process has had a processor, as Linux counts it: machines are shared.
fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

fn print(mesh: &Mesh, pairs: f64) {
    let sum = |count: fn(&peerbound_node::RouterCounters) -> u64| {
        mesh.routers.iter().map(|router| count(&router.counters())).sum::<u64>()
    };
    println!("  messages          {}, {:.1} MB", mesh.messages, mesh.bytes as f64 / 1e6);
    println!("  updates           {:.2} a pair sent", sum(|counters| counters.updates_sent) as f64 / pairs);
    println!(
        "  proofs            {:.3} a pair taken in",
        sum(|counters| counters.proofs_accepted) as f64 / pairs
    );
    println!(
        "  said again        {}, anew {}, newer numbers asked for {}",
        sum(|counters| counters.resent),
        sum(|counters| counters.announced) - mesh.routers.len() as u64,
        sum(|counters| counters.seq_requests_sent)
    );
}
