//! Names of nodes for programs of this host: `NODE.peerbound`, answered on a socket or kept in a file. It
//! knows what the node knows, on a thread of its own, and asks nobody else.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token, Waker};
use peerbound_dtls::{X509, common_name};
use peerbound_wire::NodeId;

use crate::clock;
use crate::config::ResolverConfig;
use crate::daemon::NodeHandle;
use crate::name_book::NameBook;
use crate::resolver::answer::{MESSAGE_BYTES_MAX, answer};
use crate::resolver::directory::Directory;
use crate::resolver::hosts_file::HostsFile;
use crate::resolver::streams::Streams;

mod answer;
mod directory;
mod hosts_file;
mod streams;

pub(crate) use hosts_file::refuse_foreign;

const DATAGRAMS: Token = Token(0);
const WAKER: Token = Token(1);
/// Streams have the tokens from here on.
const STREAMS: usize = 2;

/// How old a directory may be when it is asked.
const FRESH_FOR: Duration = Duration::from_secs(2);

/// Questions answered before the thread looks at anything else.
const QUESTIONS_PER_TURN: usize = 64;

/// Names from certificates that are kept: as many as there may be origins.
const CERTIFIED_MAX: usize = 16_384;

/// Why there is no resolver.
#[derive(Debug, thiserror::Error)]
pub enum ResolverError {
    /// The address cannot be bound.
    #[error("the resolver cannot listen on {address}: {source}; {fix}")]
    Bind {
        /// Which address.
        address: SocketAddr,
        /// What the kernel says.
        source: io::Error,
        /// What to do about it.
        fix: &'static str,
    },
    /// The poller or the thread could not be made.
    #[error("the resolver cannot be started: {0}")]
    Thread(#[source] io::Error),
}

/// A resolver whose sockets are bound, and that answers nobody yet.
pub(crate) struct OpenedResolver {
    config: ResolverConfig,
    poll: Poll,
    sockets: Option<Sockets>,
}

impl OpenedResolver {
    /// Binds what the configuration names, in the namespace of the thread that calls.
    pub(crate) fn open(config: ResolverConfig) -> Result<Self, ResolverError> {
        let poll = Poll::new().map_err(ResolverError::Thread)?;
        let bind_error =
            |address| move |source| ResolverError::Bind { address, fix: fix_for(&source), source };
        let sockets = config
            .listen
            .map(|address| Sockets::bind(address, &poll).map_err(bind_error(address)))
            .transpose()?;
        Ok(Self { config, poll, sockets })
    }

    /// Starts to answer for the node behind `handle`.
    pub(crate) fn start(self, given: Arc<NameBook>, handle: NodeHandle) -> Result<Resolver, ResolverError> {
        let Self { config, poll, sockets } = self;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER).map_err(ResolverError::Thread)?);
        let address = sockets.as_ref().map(|sockets| sockets.address);
        let is_over = Arc::new(AtomicBool::new(false));
        let service = Service {
            names: Names {
                given,
                certified: BTreeMap::new(),
                directory: Directory::default(),
                made_at: None,
                handle,
            },
            hosts_file: config.hosts_file.map(HostsFile::new),
            serves_all: config.serves_all,
            sockets,
            poll,
            is_over: Arc::clone(&is_over),
        };
        let thread = std::thread::Builder::new()
            .name("resolver".to_owned())
            .spawn(move || service.run())
            .map_err(ResolverError::Thread)?;
        Ok(Resolver { address, waker, is_over, thread: Some(thread) })
    }
}

/// A running resolver. Dropping it ends it.
pub(crate) struct Resolver {
    address: Option<SocketAddr>,
    waker: Arc<Waker>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Resolver {
    /// Returns where questions are answered.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.address
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        let is_awake = self.waker.wake().is_ok();
        if let Some(thread) = self.thread.take().filter(|_| is_awake) {
            // Whatever it panicked of is in the log already.
            let _ = thread.join();
        }
    }
}

/// Where questions come from.
struct Sockets {
    address: SocketAddr,
    datagrams: UdpSocket,
    streams: Streams,
}

impl Sockets {
    fn bind(address: SocketAddr, poll: &Poll) -> io::Result<Self> {
        let mut datagrams = UdpSocket::bind(address)?;
        let address = datagrams.local_addr()?;
        poll.registry().register(&mut datagrams, DATAGRAMS, Interest::READABLE)?;
        let streams = Streams::bind(address, poll.registry(), STREAMS)?;
        Ok(Self { address, datagrams, streams })
    }
}

/// What the thread owns.
struct Service {
    names: Names,
    hosts_file: Option<HostsFile>,
    /// Whether others than this host itself are answered.
    serves_all: bool,
    sockets: Option<Sockets>,
    poll: Poll,
    is_over: Arc<AtomicBool>,
}

impl Service {
    fn run(mut self) {
        let mut ready = Events::with_capacity(32);
        while !self.is_over.load(Ordering::Relaxed) {
            self.update_hosts_file();
            let has_more = self.answer_datagrams();
            self.answer_streams(&ready);
            let wait = if has_more { Some(Duration::ZERO) } else { self.time_left() };
            if let Err(error) = self.poll.poll(&mut ready, wait)
                && error.kind() != io::ErrorKind::Interrupted
            {
                tracing::error!(%error, "The poller failed; names are not answered");
                return;
            }
        }
    }

    /// Answers some questions; returns whether more may wait.
    fn answer_datagrams(&mut self) -> bool {
        let Some(Sockets { address, datagrams, .. }) = &self.sockets else { return false };
        // One byte more than is looked at shows that there was more.
        let mut buffer = [0; MESSAGE_BYTES_MAX + 1];
        for _ in 0..QUESTIONS_PER_TURN {
            match datagrams.recv_from(&mut buffer) {
                Ok((len, from)) if self.serves_all || is_here(from.ip(), address.ip()) => {
                    if let Some(answer) = answer(&buffer[..len], self.names.fresh()) {
                        // An answer that is lost is asked for again.
                        let _ = datagrams.send_to(&answer, from);
                    }
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                // As ECONNREFUSED, left behind by an answer to a socket that was closed meanwhile.
                Err(error) => {
                    tracing::debug!(%error, "The kernel reported an error on the resolver's socket");
                }
            }
        }
        true
    }

    fn answer_streams(&mut self, ready: &Events) {
        let Self { sockets, names, serves_all, poll, .. } = self;
        let Some(Sockets { address, streams, .. }) = sockets else { return };
        let is_served = |from: SocketAddr| *serves_all || is_here(from.ip(), address.ip());
        for event in ready.iter() {
            streams.serve(event.token(), |question| answer(question, names.fresh()));
        }
        streams.close_late(clock::now());
        // Last: the poller tells but once that somebody waits, and there may be a place only since this moment.
        streams.accept(poll.registry(), is_served, clock::now());
    }

    fn update_hosts_file(&mut self) {
        if let Some(file) = &mut self.hosts_file
            && let Err(error) = file.update(self.names.fresh())
        {
            tracing::warn!(%error, "The file with the names of nodes cannot be written");
        }
    }

    fn time_left(&self) -> Option<Duration> {
        let streams = self.sockets.as_ref().and_then(|sockets| sockets.streams.poll_timeout());
        let stream = streams.map(|at| at.saturating_duration_since(clock::now()));
        stream.into_iter().chain(self.hosts_file.as_ref().map(|_| FRESH_FOR)).min()
    }
}

/// Whether a question to one of our own addresses came from this host: then it has that address, too, or a
/// loopback one.
fn is_here(from: IpAddr, our_address: IpAddr) -> bool {
    from == our_address || from.is_loopback()
}

/// What the resolver knows, and from whom it knows more.
struct Names {
    given: Arc<NameBook>,
    certified: BTreeMap<NodeId, String>,
    directory: Directory,
    made_at: Option<Instant>,
    handle: NodeHandle,
}

impl Names {
    /// Returns the directory, made anew where it has been there for a while.
    fn fresh(&mut self) -> &Directory {
        let now = clock::now();
        let is_fresh = |made_at: &Instant| now.saturating_duration_since(*made_at) < FRESH_FOR;
        if !self.made_at.as_ref().is_some_and(is_fresh) {
            self.made_at = Some(now);
            self.learn();
            self.directory = Directory::new(&self.given.current(), &self.certified);
        }
        &self.directory
    }

    /// Reads the names in the certificates of the nodes that can be reached, each once.
    fn learn(&mut self) {
        let Ok(certificates) = self.handle.with_node(|node, _| node.certificates()) else {
            // A node that is busy or ends: what was known is still as good as it was.
            return;
        };
        let mut certified = BTreeMap::new();
        for (id, der) in certificates.into_iter().take(CERTIFIED_MAX) {
            let known = self.certified.remove(&id);
            let name =
                known.or_else(|| X509::from_der(&der).ok().map(|certificate| common_name(&certificate)));
            certified.extend(name.map(|name| (id, name)));
        }
        self.certified = certified;
    }
}

fn fix_for(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "stop the program that uses the port, or choose another in `listen` of [resolver]"
        }
        io::ErrorKind::AddrNotAvailable => "choose an address of this host in `listen` of [resolver]",
        io::ErrorKind::PermissionDenied => {
            "give the program the capability CAP_NET_BIND_SERVICE, or choose a port above 1023 in `listen` of [resolver]"
        }
        _ => "choose another address in `listen` of [resolver]",
    }
}
