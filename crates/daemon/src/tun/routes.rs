//! Keeps the routes of this host that lead announced prefixes into the interface, on a thread of its own: it
//! looks at what the node knows twice a second, and tells the kernel of what has changed.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use peerbound_node::AnnouncedPrefixes;
use peerbound_wire::Prefix;

use crate::clock;
use crate::daemon::{CommandError, NodeHandle};
use crate::privileges::{self, Privileges};
use crate::tun::choice::{RouteRefusal, RouteRule, holds};

/// Routes that are set at a time: 256 origins with the 16 prefixes that each may announce. The kernel takes
/// some 200 bytes for each, 0.8 MB; and a turn that sets them all takes it some 20 ms.
pub const ROUTES_MAX: usize = 4096;

/// Prefixes that are looked at: those that get no route are shown, too. It keeps the look at 16384 origins short.
const PREFIXES_MAX: usize = 2 * ROUTES_MAX;

/// How often it is looked: a route is there, or gone, half a second after the node has learned of it.
const TURN: Duration = Duration::from_millis(500);

/// How long a route stays when nobody announces its prefix any more, or no way leads to whoever does. Another
/// way is found within two seconds, or the node restarts in a few. Until then packets are refused by the node,
/// with a reason; without the route the host would send them where its default route leads, in the clear.
const HOLD: Duration = Duration::from_secs(10);

/// How long a route that the kernel refused is left alone.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// A prefix of others, and whether this host has a route to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostRoute {
    /// Which prefix.
    pub prefix: Prefix,
    /// How it stands.
    pub standing: RouteStanding,
}

/// How it stands with a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RouteStanding {
    /// It is set.
    Set,
    /// It is set, and goes soon unless somebody announces the prefix again.
    Held,
    /// It would do harm, or nobody wants it.
    Refused(RouteRefusal),
    /// The kernel does not take it, for this reason.
    Failed(String),
}

/// The interface's routes as they stand, for whoever wants to look.
#[derive(Debug, Clone)]
pub struct HostRoutes {
    name: String,
    shown: Arc<Mutex<Vec<HostRoute>>>,
}

impl HostRoutes {
    pub(crate) fn of(name: String) -> Self {
        Self { name, shown: Arc::default() }
    }

    /// Returns the name of the interface.
    #[must_use]
    pub fn interface(&self) -> &str {
        &self.name
    }

    /// Lists the prefixes, the overlay's own not among them.
    #[must_use]
    pub fn list(&self) -> Vec<HostRoute> {
        self.shown().clone()
    }

    fn shown(&self) -> MutexGuard<'_, Vec<HostRoute>> {
        // What is in it is replaced as a whole.
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where routes are set.
pub(crate) trait RouteTable: Send {
    /// Leads a prefix into the interface; what the host sends there by itself comes from `source`.
    fn add(&mut self, prefix: &Prefix, source: Option<IpAddr>) -> io::Result<()>;
    /// Takes that back.
    fn remove(&mut self, prefix: &Prefix) -> io::Result<()>;
    /// Lists the addresses that this host has.
    fn addresses(&mut self) -> io::Result<Vec<IpAddr>>;
}

/// The running thread. Dropping it ends it; the routes go with the interface.
pub(crate) struct RouteKeeper {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl RouteKeeper {
    /// Starts to keep routes in the table.
    pub(crate) fn start(
        handle: NodeHandle,
        table: impl RouteTable + 'static,
        rule: RouteRule,
        shown: HostRoutes,
        privileges: Privileges,
    ) -> io::Result<Self> {
        let (stop, stopped) = bounded(0);
        let run = move || match privileges.apply(privileges::give_up_all_but_networks) {
            Ok(()) => keep(&handle, table, RouteBook::new(rule), &shown, &stopped),
            // What we cannot do safely we do not do.
            Err(error) => tracing::error!(%error, "Privileges cannot be given up; no route is set"),
        };
        let thread = std::thread::Builder::new().name("routes".to_owned()).spawn(run)?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for RouteKeeper {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It ends with its turn. Whatever it panicked of is in the log already.
            let _ = thread.join();
        }
    }
}

fn keep(
    handle: &NodeHandle,
    mut table: impl RouteTable,
    mut book: RouteBook,
    shown: &HostRoutes,
    stopped: &Receiver<()>,
) {
    loop {
        let look = handle.with_node(|node, _| Seen {
            announced: node.announced_prefixes(PREFIXES_MAX),
            neighbours: node.underlay_addresses(),
        });
        match look {
            Ok(seen) => {
                book.turn(&seen, &mut table, clock::now());
                *shown.shown() = book.list();
            }
            Err(CommandError::Gone) => return,
            // Somebody asks much of it; the next turn may find room.
            Err(error) => tracing::debug!(%error, "The node was not asked which prefixes there are"),
        }
        if !matches!(stopped.recv_timeout(TURN), Err(RecvTimeoutError::Timeout)) {
            return;
        }
    }
}

/// What the node knows.
struct Seen {
    announced: AnnouncedPrefixes,
    /// Where neighbours are in the network below.
    neighbours: BTreeSet<IpAddr>,
}

/// What was done, and what was not.
struct RouteBook {
    rule: RouteRule,
    set: BTreeMap<Prefix, Kept>,
    refused: BTreeMap<Prefix, RouteRefusal>,
    failed: BTreeMap<Prefix, Failed>,
}

/// A route that is set.
struct Kept {
    source: Option<IpAddr>,
    /// When the prefix was last announced.
    wanted_at: Instant,
    is_wanted: bool,
}

/// A route that the kernel did not take.
struct Failed {
    reason: String,
    again_at: Instant,
}

impl RouteBook {
    fn new(rule: RouteRule) -> Self {
        Self { rule, set: BTreeMap::new(), refused: BTreeMap::new(), failed: BTreeMap::new() }
    }

    /// Brings the host's routes in line with what the node knows.
    fn turn(&mut self, seen: &Seen, table: &mut impl RouteTable, now: Instant) {
        let source = own_source(&seen.announced.ours, table);
        let wanted: BTreeSet<_> = seen.announced.of_others.iter().copied().collect();
        self.remove_what_may_not_stay(seen, &wanted, table, now);
        self.failed.retain(|prefix, _| wanted.contains(prefix));
        let mut refused = BTreeMap::new();
        for prefix in &seen.announced.of_others {
            // The kernel chooses among the interface's own addresses for IPv6, and there is none of IPv4.
            let source = source.filter(|_| prefix.is_ipv4());
            if let Some(refusal) = self.refusal(prefix, seen) {
                refused.insert(*prefix, refusal);
            } else {
                self.want(*prefix, source, table, now);
            }
        }
        for (prefix, why) in &refused {
            if why.is_a_surprise() && self.refused.get(prefix) != Some(why) {
                tracing::warn!(%prefix, "No route is set: {why}");
            }
        }
        self.refused = refused;
    }

    fn refusal(&self, prefix: &Prefix, seen: &Seen) -> Option<RouteRefusal> {
        if seen.announced.ours.contains(prefix) {
            return Some(RouteRefusal::Ours);
        }
        let is_one_more = !self.set.contains_key(prefix) && self.set.len() >= ROUTES_MAX;
        self.rule.refusal(prefix, &seen.neighbours).or(is_one_more.then_some(RouteRefusal::TooMany))
    }

    /// Removes what would do harm at once, and what nobody announces when it was held for long enough.
    fn remove_what_may_not_stay(
        &mut self,
        seen: &Seen,
        wanted: &BTreeSet<Prefix>,
        table: &mut impl RouteTable,
        now: Instant,
    ) {
        let mut leaving = Vec::new();
        for (prefix, kept) in &mut self.set {
            kept.is_wanted = wanted.contains(prefix);
            let is_ours = seen.announced.ours.contains(prefix);
            let why = match self.rule.refusal(prefix, &seen.neighbours) {
                _ if is_ours => RouteRefusal::Ours.to_string(),
                Some(refusal) => refusal.to_string(),
                None if !kept.is_wanted && now >= kept.wanted_at + HOLD => "nobody announces it".to_owned(),
                None => continue,
            };
            leaving.push((*prefix, why));
        }
        for (prefix, why) in leaving {
            self.set.remove(&prefix);
            match table.remove(&prefix) {
                Ok(()) => tracing::info!(%prefix, "A route is removed: {why}"),
                Err(error) => tracing::warn!(%prefix, %error, "A route cannot be removed"),
            }
        }
    }

    fn want(&mut self, prefix: Prefix, source: Option<IpAddr>, table: &mut impl RouteTable, now: Instant) {
        if self.failed.get(&prefix).is_some_and(|failed| now < failed.again_at) {
            return;
        }
        if let Some(kept) = self.set.get_mut(&prefix) {
            kept.wanted_at = now;
            if kept.source == source {
                return;
            }
            // The kernel may have removed it with the address that it had for a source.
            self.set.remove(&prefix);
            let _ = table.remove(&prefix);
        }
        match table.add(&prefix, source) {
            Ok(()) => {
                tracing::info!(%prefix, ?source, "A route leads into the overlay");
                self.failed.remove(&prefix);
                self.set.insert(prefix, Kept { source, wanted_at: now, is_wanted: true });
            }
            Err(error) => {
                let reason = match error.kind() {
                    io::ErrorKind::AlreadyExists => {
                        "the host has such a route, and it is not ours".to_owned()
                    }
                    _ => error.to_string(),
                };
                let before = self.failed.insert(prefix, Failed { reason, again_at: now + RETRY_AFTER });
                if before.is_none() {
                    tracing::warn!(%prefix, %error, "A route is not taken by the kernel");
                }
            }
        }
    }

    fn list(&self) -> Vec<HostRoute> {
        let set = self.set.iter().map(|(prefix, kept)| {
            (*prefix, if kept.is_wanted { RouteStanding::Set } else { RouteStanding::Held })
        });
        let refused = self.refused.iter().map(|(prefix, why)| (*prefix, RouteStanding::Refused(*why)));
        let failed = self
            .failed
            .iter()
            .map(|(prefix, failed)| (*prefix, RouteStanding::Failed(failed.reason.clone())));
        let all: BTreeMap<_, _> = set.chain(refused).chain(failed).collect();
        all.into_iter().map(|(prefix, standing)| HostRoute { prefix, standing }).collect()
    }
}

/// Finds the address from which this host may send into IPv4 prefixes: one of its own that it announces, for
/// the far end takes no other. The least, so that it stays the same.
fn own_source(ours: &[Prefix], table: &mut impl RouteTable) -> Option<IpAddr> {
    let ours: Vec<_> = ours.iter().filter(|prefix| prefix.is_ipv4()).collect();
    if ours.is_empty() {
        return None;
    }
    let addresses = table.addresses().inspect_err(|error| {
        tracing::debug!(%error, "The kernel does not tell the addresses of this host");
    });
    let fitting =
        addresses.ok()?.into_iter().filter(|address| ours.iter().any(|prefix| holds(prefix, *address)));
    fitting.min()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A kernel that takes everything but one prefix.
    #[derive(Default)]
    struct Kernel {
        routes: BTreeMap<Prefix, Option<IpAddr>>,
        addresses: Vec<IpAddr>,
        refuses: Option<Prefix>,
        asked: usize,
    }

    impl RouteTable for Kernel {
        fn add(&mut self, prefix: &Prefix, source: Option<IpAddr>) -> io::Result<()> {
            self.asked += 1;
            if self.refuses == Some(*prefix) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            assert!(self.routes.insert(*prefix, source).is_none(), "{prefix} was set");
            Ok(())
        }

        fn remove(&mut self, prefix: &Prefix) -> io::Result<()> {
            self.asked += 1;
            self.routes.remove(prefix).map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
        }

        fn addresses(&mut self) -> io::Result<Vec<IpAddr>> {
            Ok(self.addresses.clone())
        }
    }

    fn prefixes(texts: &[&str]) -> Vec<Prefix> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn seen(ours: &[&str], of_others: &[&str], neighbours: &[&str]) -> Seen {
        Seen {
            announced: AnnouncedPrefixes { ours: prefixes(ours), of_others: prefixes(of_others) },
            neighbours: neighbours.iter().map(|address| address.parse().unwrap()).collect(),
        }
    }

    fn set(kernel: &Kernel) -> Vec<String> {
        kernel.routes.keys().map(Prefix::to_string).collect()
    }

    fn standings(book: &RouteBook) -> Vec<RouteStanding> {
        book.list().into_iter().map(|route| route.standing).collect()
    }

    #[test]
    fn routes_follow_what_is_announced_and_the_kernel_is_asked_for_changes_alone() {
        let (mut book, mut kernel) = (RouteBook::new(RouteRule::Harmless), Kernel::default());
        let now = clock::now();

        book.turn(&seen(&[], &["10.7.0.0/16", "fd12::/48"], &[]), &mut kernel, now);
        assert_eq!(set(&kernel), ["10.7.0.0/16", "fd12::/48"]);
        book.turn(&seen(&[], &["10.7.0.0/16", "fd12::/48"], &[]), &mut kernel, now + TURN);

        assert_eq!(kernel.asked, 2);
    }

    #[test]
    fn a_route_is_held_through_a_flap_and_removed_when_nobody_comes_back() {
        let (mut book, mut kernel) = (RouteBook::new(RouteRule::Harmless), Kernel::default());
        let now = clock::now();
        book.turn(&seen(&[], &["10.7.0.0/16"], &[]), &mut kernel, now);

        book.turn(&seen(&[], &[], &[]), &mut kernel, now + HOLD / 2);
        assert_eq!(standings(&book), [RouteStanding::Held]);
        book.turn(&seen(&[], &["10.7.0.0/16"], &[]), &mut kernel, now + HOLD * 3 / 4);
        book.turn(&seen(&[], &[], &[]), &mut kernel, now + HOLD);
        assert_eq!((set(&kernel).len(), kernel.asked), (1, 1), "it was there all the time");
        book.turn(&seen(&[], &[], &[]), &mut kernel, now + HOLD * 7 / 4);

        assert!(kernel.routes.is_empty() && book.list().is_empty());
    }

    #[test]
    fn a_route_goes_at_once_when_a_neighbour_comes_to_be_in_it() {
        let (mut book, mut kernel) = (RouteBook::new(RouteRule::Harmless), Kernel::default());
        let now = clock::now();
        book.turn(&seen(&[], &["10.7.0.0/16", "10.8.0.0/16"], &[]), &mut kernel, now);

        // The second is held at that time; it must not lead the neighbour astray either.
        book.turn(&seen(&[], &["10.7.0.0/16"], &["10.7.0.9", "10.8.0.9"]), &mut kernel, now + TURN);

        assert!(kernel.routes.is_empty());
        let address = "10.7.0.9".parse().unwrap();
        assert_eq!(standings(&book), [RouteStanding::Refused(RouteRefusal::HoldsNeighbour(address))]);
    }

    #[test]
    fn what_we_come_to_announce_ourselves_loses_its_route() {
        let (mut book, mut kernel) = (RouteBook::new(RouteRule::Harmless), Kernel::default());
        let now = clock::now();
        book.turn(&seen(&[], &["10.7.0.0/16"], &[]), &mut kernel, now);

        book.turn(&seen(&["10.7.0.0/16"], &[], &[]), &mut kernel, now + TURN);

        assert!(kernel.routes.is_empty());
    }

    #[test]
    fn the_source_is_an_address_that_we_announce_and_routes_follow_it() {
        let (mut book, mut kernel) = (RouteBook::new(RouteRule::Harmless), Kernel::default());
        let now = clock::now();
        let seen = seen(&["10.1.0.0/16"], &["10.7.0.0/16", "fd12::/48"], &[]);
        let [elsewhere, first, second] =
            ["192.0.2.1", "10.1.0.1", "10.1.0.2"].map(|text| text.parse().unwrap());

        kernel.addresses = vec![elsewhere];
        book.turn(&seen, &mut kernel, now);
        assert_eq!(kernel.routes.values().copied().collect::<Vec<_>>(), [None, None]);
        kernel.addresses = vec![second, elsewhere, first];
        book.turn(&seen, &mut kernel, now + TURN);

        assert_eq!(kernel.routes.values().copied().collect::<Vec<_>>(), [Some(first), None]);
    }

    #[test]
    fn what_the_kernel_refuses_is_shown_and_tried_again_after_a_while() {
        let (mut book, mut kernel) = (RouteBook::new(RouteRule::Harmless), Kernel::default());
        let now = clock::now();
        kernel.refuses = Some("10.7.0.0/16".parse().unwrap());
        let seen = seen(&[], &["10.7.0.0/16"], &[]);

        book.turn(&seen, &mut kernel, now);
        book.turn(&seen, &mut kernel, now + TURN);
        assert_eq!(kernel.asked, 1);
        let [RouteStanding::Failed(reason)] = &standings(&book)[..] else { panic!("it failed") };
        assert!(reason.contains("not ours"), "{reason}");
        kernel.refuses = None;
        book.turn(&seen, &mut kernel, now + RETRY_AFTER);

        assert_eq!(standings(&book), [RouteStanding::Set]);
    }

    #[test]
    fn there_are_no_more_routes_than_there_may_be() {
        let (mut book, mut kernel) = (RouteBook::new(RouteRule::Harmless), Kernel::default());
        let all: Vec<_> =
            (0..=ROUTES_MAX).map(|number| format!("10.{}.{}.0/24", number / 256, number % 256)).collect();
        let all: Vec<_> = all.iter().map(String::as_str).collect();

        book.turn(&seen(&[], &all, &[]), &mut kernel, clock::now());

        assert_eq!(kernel.routes.len(), ROUTES_MAX);
        assert_eq!(standings(&book).last(), Some(&RouteStanding::Refused(RouteRefusal::TooMany)));
    }
}
