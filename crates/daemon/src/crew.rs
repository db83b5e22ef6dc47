//! The workers of a node, as its data thread sees them. Under load each has a socket, which the kernel gives what comes
//! from its share of the neighbours, and a queue of the interface; they open and seal, and every decision stays with the
//! data thread. As long as that can do all by itself, it does, and has all sockets and queues.
//!
//! A neighbour's datagrams come in by one socket and go out by the same worker, and everything between two threads keeps
//! its order; so no flow overtakes itself. `docs/decisions/0033-workers.md` says why it is divided so.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::ops::Add;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{RecvTimeoutError, bounded};
use mio::{Registry, Waker};
use peerbound_dtls::Unsealed;
use peerbound_node::{Node, UnsealedTransmit};

use crate::clock;
use crate::crew::arrivals::Arrivals;
use crate::crew::bell::Bell;
use crate::crew::deliveries::{DELIVERIES_MAX, Deliveries};
use crate::crew::load::Load;
use crate::crew::post::{ARRIVALS_MAX, HANDOVERS_MAX, Handover, Post, WORDS_MAX};
use crate::crew::times::{ThreadTimes, Times, idle_time};
use crate::crew::worker::{Channels, Worker};
use crate::lane::Lane;
use crate::socket::SocketCounters;
use crate::tun::Tun;

pub(crate) mod arrivals;
mod bell;
mod deliveries;
mod load;
mod post;
pub(crate) mod times;
mod worker;

pub use load::Sharing;

pub(crate) use deliveries::SharedPort;
pub(crate) use load::Division;
pub(crate) use post::Word;

/// Threads that work for one node at most: what one thread can decide keeps so many others busy, and some.
pub const WORKERS_MAX: usize = 16;

/// Addresses of which it is known by which socket they come: of four times as many neighbours as a node may have.
const ADDRESSES_MAX: usize = 4096;

/// How long a worker may take to finish what it has and give its lane back: it never waits for anything itself.
const LEAVE_DEADLINE: Duration = Duration::from_secs(5);

/// How the work of a node is divided.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Workforce {
    /// Threads that can work for it, the data thread counted.
    pub threads: usize,
    /// Those that do at this moment.
    pub at_work: usize,
    /// Addresses whose datagrams go by another thread than the data thread at this moment.
    pub addresses: usize,
    /// Times that the work was shared, because one thread could not do it all.
    pub shared: u64,
}

/// All workers, and what leads to them.
pub(crate) struct Crew {
    posts: Vec<Post>,
    /// By whose socket the datagrams from an address come, while the work is shared.
    posts_of: BTreeMap<SocketAddr, usize>,
    /// The batch for which its worker had no room.
    held: Option<(usize, UnsealedTransmit)>,
    /// What workers have said and nobody has heard yet, because a lane was waited for.
    unheard: VecDeque<(usize, Word)>,
    /// The worker that was heard last.
    next: usize,
    bell: Arc<Bell>,
    /// Whether the workers have the lanes; the port of this host's packets looks at it, too.
    shares: Arc<AtomicBool>,
    load: Load,
    /// The times of the data thread, once it runs.
    times: Option<ThreadTimes>,
    times_shared: u64,
    counted: SocketCounters,
}

impl Crew {
    /// Makes one worker for each lane, which does not run yet, and shows `port`, where there is one, the way to each.
    ///
    /// # Errors
    /// When there can be no more pollers.
    pub(crate) fn new(
        lanes: Vec<Lane>,
        mut port: Option<&mut SharedPort>,
        (waker, shares): (Arc<Waker>, Arc<AtomicBool>),
        sharing: Sharing,
    ) -> io::Result<Self> {
        let bell = Arc::new(Bell::new(waker));
        let mut posts = Vec::new();
        for lane in lanes {
            let (to, handovers) = bounded(HANDOVERS_MAX);
            let (words_in, words) = bounded(WORDS_MAX);
            let (delivered, empty) = bounded(DELIVERIES_MAX);
            (0..DELIVERIES_MAX).for_each(|_| drop(delivered.try_send(Deliveries::default())));
            (0..ARRIVALS_MAX).for_each(|_| drop(to.try_send(Handover::Room(Arrivals::default()))));
            let channels = Channels { handovers, words: words_in, delivered };
            let worker = Worker::new(Arc::clone(&bell), channels)?;
            let gauge = worker.gauge();
            if let Some(port) = &mut port {
                let own = lane.tun.as_ref().map(Tun::port);
                port.add(own, (to.clone(), empty), Arc::clone(&gauge));
            }
            posts.push(Post {
                lane: Some(lane),
                to,
                words,
                gauge,
                sends: 0,
                worker: Some(worker),
                thread: None,
            });
        }
        let load = Load::new(sharing, clock::now());
        Ok(Self {
            posts,
            posts_of: BTreeMap::new(),
            held: None,
            unheard: VecDeque::new(),
            next: 0,
            bell,
            shares,
            load,
            times: None,
            times_shared: 0,
            counted: SocketCounters::default(),
        })
    }

    /// Lets the workers run, from the thread that calls; they have nothing to do yet. Where there can be no more threads,
    /// there are fewer of them.
    pub(crate) fn start(&mut self) {
        self.times = Some(ThreadTimes::of_this_thread());
        for (index, post) in self.posts.iter_mut().enumerate() {
            if let Err(error) = post.start(format!("worker-{}", index + 1)) {
                tracing::warn!(%error, "The system gives no more threads: fewer carry data than there might");
            }
        }
    }

    /// Returns the lanes that are the data thread's to serve at this moment, besides its own.
    pub(crate) fn lanes(&mut self) -> impl Iterator<Item = &mut Lane> {
        self.posts.iter_mut().filter_map(|post| post.lane.as_mut())
    }

    /// Returns one of them by its place among all.
    pub(crate) fn lane(&mut self, index: usize) -> Option<&mut Lane> {
        self.posts.get_mut(index)?.lane.as_mut()
    }

    /// Returns how many workers there are.
    pub(crate) fn len(&self) -> usize {
        self.posts.len()
    }

    /// Whether the workers have the lanes.
    pub(crate) fn is_shared(&self) -> bool {
        self.shares.load(Ordering::Relaxed)
    }

    pub(crate) fn bell(&self) -> &Bell {
        &self.bell
    }

    /// Returns how the work is divided.
    pub(crate) fn workforce(&self) -> Workforce {
        let helping = if self.is_shared() { self.posts.len() } else { 0 };
        Workforce {
            threads: 1 + self.posts.len(),
            at_work: 1 + helping,
            addresses: self.posts_of.len(),
            shared: self.times_shared,
        }
    }

    /// Adds what sockets counted that are here, or were when the work was last shared.
    pub(crate) fn add_counters_to(&self, counters: &mut SocketCounters) {
        let here = self.posts.iter().filter_map(|post| Some(post.lane.as_ref()?.socket.counters()));
        here.for_each(|lane| counters.add(&lane));
        if self.is_shared() {
            counters.add(&self.counted);
        }
    }

    /// Says how the work is to be divided from here on, where that is another way than before.
    pub(crate) fn judge(&mut self, may_share: bool, now: Instant) -> Option<Division> {
        if self.posts.is_empty() || !(self.load.is_due(now) || self.is_shared() && !may_share) {
            return None;
        }
        let own = self.times.as_ref().map_or_else(Times::default, ThreadTimes::read);
        let all = self.posts.iter().map(|post| post.gauge.times()).fold(own, Times::add);
        self.load.judge((all, idle_time), may_share, now)
    }

    /// Gives the workers their lanes.
    pub(crate) fn share(&mut self, registry: &Registry) {
        self.times_shared += 1;
        self.counted = SocketCounters::default();
        for post in self.posts.iter_mut().filter(|post| post.thread.is_some()) {
            if let Some(mut lane) = post.lane.take() {
                self.counted.add(&lane.socket.counters());
                lane.deregister(registry);
                post.hand(Handover::Take(Box::new(lane)));
            }
        }
        self.shares.store(true, Ordering::Relaxed);
    }

    /// Takes the lanes back, and gives `own` what waits for room at them. What has arrived meanwhile is heard later.
    pub(crate) fn gather(&mut self, registry: &Registry, own: &mut Lane) {
        self.shares.store(false, Ordering::Relaxed);
        let Self { posts, unheard, .. } = self;
        for (index, post) in posts.iter_mut().enumerate() {
            post.hand(Handover::Leave);
            let deadline = clock::now() + LEAVE_DEADLINE;
            while post.lane.is_none() {
                let left = deadline.saturating_duration_since(clock::now());
                match post.words.recv_timeout(left) {
                    Ok(Word::Left(mut lane)) => {
                        own.take_blocked(&mut lane);
                        lane.register_or_tell(registry);
                        post.lane = Some(*lane);
                    }
                    Ok(word) => unheard.push_back((index, word)),
                    Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                        tracing::error!("A worker does not give its socket back; what comes there is lost");
                        break;
                    }
                }
            }
            post.sends = 0;
        }
        self.posts_of.clear();
    }

    /// Takes a lane back that its worker could not serve.
    pub(crate) fn take_back(&mut self, index: usize, mut lane: Lane, registry: &Registry) {
        lane.register_or_tell(registry);
        if let Some(post) = self.posts.get_mut(index) {
            post.lane = Some(lane);
        }
    }

    /// Takes the batch that was held up, where nobody is to seal it any more but the data thread.
    pub(crate) fn take_held(&mut self) -> Option<UnsealedTransmit> {
        self.held.take().map(|(_, batch)| batch)
    }

    /// Returns the next thing that a worker said.
    pub(crate) fn hear(&mut self) -> Option<(usize, Word)> {
        if let Some(said) = self.unheard.pop_front() {
            return Some(said);
        }
        if !self.is_shared() {
            return None;
        }
        // One after the other has its turn.
        for _ in 0..self.posts.len() {
            self.next = (self.next + 1) % self.posts.len();
            if let Ok(word) = self.posts.get(self.next)?.words.try_recv() {
                return Some((self.next, word));
            }
        }
        None
    }

    /// Returns whether a worker has said something that was not heard.
    pub(crate) fn has_spoken(&self) -> bool {
        !self.unheard.is_empty() || self.is_shared() && self.posts.iter().any(|post| !post.words.is_empty())
    }

    /// Takes the buffer of what has arrived back to its worker.
    pub(crate) fn give_back(&self, index: usize, mut arrivals: Arrivals) {
        arrivals.clear();
        if let Some(post) = self.posts.get(index) {
            post.hand(Handover::Room(arrivals));
        }
    }

    /// Notes that a worker has sent a batch; the buffers go back to the node.
    pub(crate) fn on_sent(&mut self, index: usize, (bytes, list): (Vec<u8>, Unsealed), node: &mut Node) {
        node.recycle(bytes);
        node.recycle_list(list);
        if let Some(post) = self.posts.get_mut(index) {
            post.sends = post.sends.saturating_sub(1);
        }
    }

    /// Notes that a datagram came by the socket of a worker that could not open it: it gets the key, where there is one
    /// for it, and what goes there is its to seal from here on.
    pub(crate) fn meet(&mut self, index: usize, from: SocketAddr, node: &Node) {
        if !self.is_shared() {
            return;
        }
        let (Some(opener), Some(post)) = (node.opener_at(from), self.posts.get(index)) else { return };
        if self.posts_of.len() < ADDRESSES_MAX || self.posts_of.contains_key(&from) {
            self.posts_of.insert(from, index);
            post.hand_opener(from, opener);
        }
    }

    /// Returns how many bytes the workers' sockets take at a time; none where a batch is held up.
    pub(crate) fn room(&self) -> usize {
        if self.held.is_some() {
            return 0;
        }
        if !self.is_shared() {
            return usize::MAX;
        }
        self.posts.iter().map(|post| post.gauge.room()).min().unwrap_or(usize::MAX)
    }

    /// Hands the batch over that was held up, if there is one and room for it.
    pub(crate) fn hand_held(&mut self) {
        if let Some((index, batch)) = self.held.take() {
            self.hand_to(index, batch);
        }
    }

    /// Hands a batch to the worker that sends to its destination, or holds it until there is room; returns it where that is
    /// the data thread itself.
    pub(crate) fn hand(&mut self, batch: UnsealedTransmit) -> Option<UnsealedTransmit> {
        match self.posts_of.get(&batch.destination()) {
            Some(index) => {
                self.hand_to(*index, batch);
                None
            }
            None => Some(batch),
        }
    }

    fn hand_to(&mut self, index: usize, batch: UnsealedTransmit) {
        match self.posts.get_mut(index) {
            Some(post) if post.takes_batch() => {
                post.sends += 1;
                post.hand(Handover::Send(batch));
            }
            _ => self.held = Some((index, batch)),
        }
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.posts.iter().for_each(|post| post.hand(Handover::End));
        for thread in self.posts.iter_mut().filter_map(|post| post.thread.take()) {
            // It never waits for anything, and with it goes its socket: whoever starts anew finds the address free.
            let _ = thread.join();
        }
    }
}
