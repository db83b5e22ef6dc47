//! The network between real sockets, in user space: the attacker's taps, addressed faults, and the paths of
//! the simulated world. Pure: it is told the time, and says when what is to be handed to whom. With the
//! same seed, the same datagrams meet the same fates.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use peerbound_sim::{HELD_AT_MOST, Loss, Path as SimPath, Transit, VirtualTime};

use crate::backend::carrier::Datagram;
use crate::judge::{Observation, Observed};
use crate::run::forgery::flip_bit;
use crate::run::pattern::fits;
use crate::run::sim_words::in_sim;
use crate::scenario::{Conditions, Course, FaultAction, FaultPlan, Label, Path, Which};
use crate::trace::{DatagramId, HostIndex, Nanos, Way};

/// Bytes of the IPv4 and UDP headers around a payload; IPv6 has 20 more.
const HEADER_BYTES: usize = 28;
const HEADER_BYTES_V6: usize = 48;

/// A datagram on its way.
#[derive(Debug, Clone)]
pub(crate) struct Parcel {
    pub(crate) id: DatagramId,
    /// Where it came into the network.
    pub(crate) from: HostIndex,
    pub(crate) to: HostIndex,
    pub(crate) datagram: Datagram,
    way: Way,
    label: Option<String>,
}

impl Parcel {
    fn addresses(&self) -> (SocketAddr, SocketAddr) {
        (self.datagram.source, self.datagram.destination)
    }
}

/// How a datagram comes into the network.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) from: HostIndex,
    /// Whose address its destination is, if it is anybody's.
    pub(crate) to: Option<HostIndex>,
    pub(crate) way: Way,
    pub(crate) label: Option<String>,
    pub(crate) copy_of: Option<DatagramId>,
    pub(crate) datagram: Datagram,
}

/// Something whose time has come.
#[derive(Debug, Clone)]
pub(crate) enum Due {
    /// A datagram is to be handed to its host.
    Arrival(Parcel),
    /// An error message is to be handed to a host.
    Packet { to: HostIndex, packet: Vec<u8> },
}

/// A datagram is larger than its path, and its sender is to be told.
#[derive(Debug, Clone)]
pub(crate) struct TooBig {
    pub(crate) datagram: Datagram,
    pub(crate) mtu: u16,
}

/// Finds datagrams, and counts them.
#[derive(Debug, Clone)]
struct Matcher {
    on: Course,
    which: Which,
    fitted: u32,
}

impl Matcher {
    /// Says whether this datagram is meant. Ask once for each.
    fn takes(&mut self, path: Path, bytes: &[u8], now: Nanos) -> bool {
        let now = Duration::from_nanos(now.0);
        let is_in_time = now >= self.which.from && self.which.until.is_none_or(|until| now < until);
        if !is_in_time || !self.on.covers(path) || !fits(&self.which.pattern, bytes) {
            return false;
        }
        self.fitted += 1;
        self.which.nth.is_none_or(|nth| nth == self.fitted)
    }
}

struct Fault {
    matcher: Matcher,
    action: FaultAction,
}

struct Tap {
    matcher: Matcher,
    label: Label,
    is_held: bool,
    held: Option<Parcel>,
}

enum Queued {
    Due(Due),
    /// What was held back on this path has waited long enough.
    ReleaseHeld(Path),
}

/// The network.
pub(crate) struct Network {
    seed: u64,
    elsewhere: Conditions,
    paths: BTreeMap<Path, SimPath<Parcel>>,
    faults: Vec<Fault>,
    taps: Vec<Tap>,
    queue: BTreeMap<(Nanos, u64), Queued>,
    queued: u64,
    next_datagram: u64,
    /// What comes from one address to another is not handed over before what the attacker has put in
    /// front of it.
    barriers: BTreeMap<(SocketAddr, SocketAddr), Nanos>,
    observations: Vec<Observation>,
    too_big: Vec<TooBig>,
}

impl Network {
    /// Makes a network where all paths are like this one.
    pub(crate) fn new(seed: u64, elsewhere: Conditions) -> Self {
        Self {
            seed,
            elsewhere,
            paths: BTreeMap::new(),
            faults: Vec::new(),
            taps: Vec::new(),
            queue: BTreeMap::new(),
            queued: 0,
            next_datagram: 0,
            barriers: BTreeMap::new(),
            observations: Vec::new(),
            too_big: Vec::new(),
        }
    }

    pub(crate) fn add_fault(&mut self, plan: &FaultPlan) {
        let matcher = Matcher { on: plan.on, which: plan.which, fitted: 0 };
        self.faults.push(Fault { matcher, action: plan.action });
    }

    /// Lets the attacker listen for one datagram, from now on.
    pub(crate) fn add_tap(&mut self, on: Course, which: Which, label: Label, is_held: bool) {
        let which = Which { nth: Some(which.nth.unwrap_or(1)), ..which };
        let matcher = Matcher { on, which, fitted: 0 };
        self.taps.push(Tap { matcher, label, is_held, held: None });
    }

    /// Lets a datagram go on that the attacker has held; says whether there was one.
    pub(crate) fn release(&mut self, label: &Label, now: Nanos) -> bool {
        let held = self.taps.iter_mut().find_map(|tap| {
            let is_meant = tap.label == *label;
            is_meant.then(|| tap.held.take()).flatten()
        });
        let Some(parcel) = held else {
            return false;
        };
        self.meet_faults(parcel, now);
        true
    }

    /// Changes what one direction of a path is like.
    pub(crate) fn set_path(&mut self, path: Path, conditions: &Conditions) {
        self.path(path).set_conditions(in_sim(conditions));
    }

    /// Takes a datagram in.
    pub(crate) fn enter(&mut self, entry: Entry, now: Nanos) -> DatagramId {
        let id = self.announce(&entry, now);
        let Entry { from, to, way, label, datagram, .. } = entry;
        let Some(to) = to else {
            self.lose(id, Loss::NoSuchHost.to_string(), now);
            return id;
        };
        let parcel = Parcel { id, from, to, datagram, way, label };
        match way {
            Way::Socket => self.meet_taps(parcel, now),
            Way::Injected => self.meet_faults(parcel, now),
            Way::Duplicated => self.enter_path(parcel, Duration::ZERO, now),
        }
        id
    }

    /// Lets an error message go to a host, over the path from another: it takes the latency, and is lost
    /// where nothing passes.
    pub(crate) fn enter_packet(&mut self, path: Path, packet: Vec<u8>, now: Nanos) {
        let conditions = self.path(path).conditions();
        if conditions.outage == peerbound_sim::Outage::Never {
            let at = later(now, conditions.latency);
            self.put(at, Queued::Due(Due::Packet { to: path.to, packet }));
        }
    }

    /// Returns when something is due next.
    pub(crate) fn poll_timeout(&self) -> Option<Nanos> {
        self.queue.first_key_value().map(|((at, _), _)| *at)
    }

    /// Takes what is due, until there is nothing.
    pub(crate) fn poll_due(&mut self, now: Nanos) -> Option<Due> {
        loop {
            let entry = self.queue.first_entry().filter(|entry| entry.key().0 <= now)?;
            match entry.remove() {
                Queued::Due(due) => return Some(due),
                Queued::ReleaseHeld(path) => self.release_held(path, now),
            }
        }
    }

    /// Takes the errors that are to be told to senders.
    pub(crate) fn take_too_big(&mut self) -> Vec<TooBig> {
        std::mem::take(&mut self.too_big)
    }

    /// Takes what was observed, in order.
    pub(crate) fn take_observations(&mut self) -> Vec<Observation> {
        std::mem::take(&mut self.observations)
    }

    /// Gives a datagram its number and tells of it.
    pub(crate) fn announce(&mut self, entry: &Entry, now: Nanos) -> DatagramId {
        let datagram = DatagramId(self.next_datagram);
        self.next_datagram += 1;
        let Datagram { source, destination, bytes } = &entry.datagram;
        let sent = Observed::Sent {
            datagram,
            by: entry.from,
            way: entry.way,
            source: *source,
            destination: *destination,
            bytes: bytes.as_slice().into(),
            label: entry.label.clone(),
            copy_of: entry.copy_of,
        };
        self.tell(sent, now);
        datagram
    }

    fn meet_taps(&mut self, parcel: Parcel, now: Nanos) {
        let path = Path { from: parcel.from, to: parcel.to };
        let meant = |tap: &mut Tap| tap.matcher.takes(path, &parcel.datagram.bytes, now);
        // Every tap sees every datagram, whichever keeps it.
        let seen: Vec<_> = self.taps.iter_mut().map(meant).collect();
        let mut parcel = Some(parcel);
        for (index, _) in seen.into_iter().enumerate().filter(|(_, is_meant)| *is_meant) {
            let Some(datagram) = parcel.as_ref().map(|parcel| parcel.id) else {
                break;
            };
            let label = self.taps[index].label.0.clone();
            self.tell(Observed::Captured { datagram, label }, now);
            if self.taps[index].is_held {
                self.taps[index].held = parcel.take();
            }
        }
        if let Some(parcel) = parcel {
            self.meet_faults(parcel, now);
        }
    }

    fn meet_faults(&mut self, mut parcel: Parcel, now: Nanos) {
        let path = Path { from: parcel.from, to: parcel.to };
        let mut late = Duration::ZERO;
        let mut is_overtaken = false;
        for index in 0..self.faults.len() {
            if !self.faults[index].matcher.takes(path, &parcel.datagram.bytes, now) {
                continue;
            }
            match self.faults[index].action {
                FaultAction::Drop => return self.lose(parcel.id, format!("fault {index}"), now),
                FaultAction::Duplicate => {
                    let copy = self.copy(&parcel, now);
                    self.enter_path(copy, Duration::ZERO, now);
                }
                FaultAction::Delay(by) => late += by,
                FaultAction::FlipBit(bit) => {
                    self.lose(parcel.id, format!("fault {index}"), now);
                    flip_bit(&mut parcel.datagram.bytes, bit);
                    // It is another one from here on.
                    parcel = self.copy(&parcel, now);
                }
                FaultAction::Reorder => is_overtaken = true,
            }
        }
        if is_overtaken {
            return self.hold_back(parcel, now);
        }
        self.enter_path(parcel, late, now);
    }

    fn enter_path(&mut self, parcel: Parcel, late: Duration, now: Nanos) {
        let path = Path { from: parcel.from, to: parcel.to };
        let headers = if parcel.datagram.destination.is_ipv4() { HEADER_BYTES } else { HEADER_BYTES_V6 };
        let bytes = (parcel.datagram.bytes.len() + headers) as u64;
        match self.path(path).enter(bytes, VirtualTime(now.0)) {
            Transit::Lost(loss) => {
                if let Loss::TooBig { icmp: true } = loss {
                    let mtu = u16::try_from(self.path(path).conditions().mtu).unwrap_or(u16::MAX);
                    self.too_big.push(TooBig { datagram: parcel.datagram, mtu });
                }
                self.lose(parcel.id, loss.to_string(), now);
            }
            Transit::Held => self.hold_back(parcel, now),
            Transit::Arrives { at, copy_at } => {
                let copy = copy_at.map(|at| (at, self.copy(&parcel, now)));
                self.arrive(parcel, later(Nanos(at.0), late));
                if let Some((at, copy)) = copy {
                    self.arrive(copy, Nanos(at.0));
                }
                self.release_held(path, now);
            }
        }
    }

    /// Lets a datagram arrive then. Where the attacker has put one on the wire, what comes from the same
    /// address waits until it has passed: its number was chosen by what the receiver had had so far.
    fn arrive(&mut self, parcel: Parcel, at: Nanos) {
        let addresses = parcel.addresses();
        if parcel.way == Way::Injected {
            self.barriers.insert(addresses, at);
            self.put(at, Queued::Due(Due::Arrival(parcel)));
            return self.postpone(addresses, at);
        }
        let barrier = self.barriers.get(&addresses).copied().unwrap_or_default();
        self.put(at.max(barrier), Queued::Due(Due::Arrival(parcel)));
    }

    fn postpone(&mut self, addresses: (SocketAddr, SocketAddr), until: Nanos) {
        let is_meant = |queued: &Queued| match queued {
            Queued::Due(Due::Arrival(parcel)) => {
                parcel.way != Way::Injected && parcel.addresses() == addresses
            }
            Queued::Due(Due::Packet { .. }) | Queued::ReleaseHeld(_) => false,
        };
        let keys: Vec<_> = self
            .queue
            .range(..(until, u64::MAX))
            .filter(|(_, queued)| is_meant(queued))
            .map(|(key, _)| *key)
            .collect();
        for queued in keys.into_iter().filter_map(|key| self.queue.remove(&key)).collect::<Vec<_>>() {
            self.put(until, queued);
        }
    }

    fn release_held(&mut self, path: Path, now: Nanos) {
        let state = self.path(path);
        let released: Vec<_> = std::mem::take(&mut state.held)
            .into_iter()
            .map(|parcel| (state.arrival(VirtualTime(now.0)), parcel))
            .collect();
        released.into_iter().for_each(|(at, parcel)| self.arrive(parcel, Nanos(at.0)));
    }

    fn hold_back(&mut self, parcel: Parcel, now: Nanos) {
        let path = Path { from: parcel.from, to: parcel.to };
        self.path(path).held.push(parcel);
        self.put(later(now, HELD_AT_MOST), Queued::ReleaseHeld(path));
    }

    fn copy(&mut self, parcel: &Parcel, now: Nanos) -> Parcel {
        let entry = Entry {
            from: parcel.from,
            to: Some(parcel.to),
            way: Way::Duplicated,
            label: parcel.label.clone(),
            copy_of: Some(parcel.id),
            datagram: parcel.datagram.clone(),
        };
        Parcel { id: self.announce(&entry, now), ..parcel.clone() }
    }

    pub(crate) fn lose(&mut self, datagram: DatagramId, why: String, now: Nanos) {
        self.tell(Observed::Lost { datagram, why }, now);
    }

    fn path(&mut self, path: Path) -> &mut SimPath<Parcel> {
        let (seed, elsewhere) = (self.seed, &self.elsewhere);
        let place = (u64::from(path.from.0), u64::from(path.to.0));
        self.paths.entry(path).or_insert_with(|| SimPath::new(in_sim(elsewhere), seed, place))
    }

    fn put(&mut self, at: Nanos, queued: Queued) {
        self.queue.insert((at, self.queued), queued);
        self.queued += 1;
    }

    fn tell(&mut self, what: Observed, now: Nanos) {
        self.observations.push(Observation { at: now, what });
    }
}

pub(crate) fn later(at: Nanos, by: Duration) -> Nanos {
    Nanos(at.0.saturating_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Pattern, Probability};

    const A: HostIndex = HostIndex(0);
    const B: HostIndex = HostIndex(1);
    const ATTACKER: HostIndex = HostIndex(2);
    const A_TO_B: Path = Path { from: A, to: B };

    fn address(host: HostIndex) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, u8::try_from(host.0).unwrap()], 4433))
    }

    /// A datagram from A's address to B, from A's hand or another's.
    fn entry(by: HostIndex, way: Way, bytes: &[u8]) -> Entry {
        let datagram = Datagram { source: address(A), destination: address(B), bytes: bytes.to_vec() };
        Entry { from: by, to: Some(B), way, label: None, copy_of: None, datagram }
    }

    /// Takes everything that arrives until this time, with its bytes.
    fn arrivals(network: &mut Network, until: Nanos) -> Vec<Vec<u8>> {
        let due = std::iter::from_fn(|| network.poll_due(until));
        due.filter_map(|due| match due {
            Due::Arrival(parcel) => Some(parcel.datagram.bytes),
            Due::Packet { .. } => None,
        })
        .collect()
    }

    fn after(millis: u64) -> Nanos {
        Nanos(millis * 1_000_000)
    }

    fn always(on: Path, action: FaultAction) -> FaultPlan {
        FaultPlan { on: Course::OneWay(on), which: Which::default(), action }
    }

    #[test]
    fn the_same_seed_gives_the_same_datagrams_the_same_fates() {
        let likely = |value| Probability::new(value).unwrap();
        let rough = Conditions {
            loss: likely(0.2),
            duplicate: likely(0.2),
            reorder: likely(0.1),
            jitter: Duration::from_millis(5),
            ..Conditions::default()
        };
        let fates = |seed| {
            let mut network = Network::new(seed, rough.clone());
            for number in 0..200_u8 {
                network.enter(entry(A, Way::Socket, &[number]), after(u64::from(number)));
            }
            (network.take_observations(), arrivals(&mut network, after(10_000)))
        };

        assert_eq!(fates(1), fates(1));
        assert_ne!(fates(1), fates(2));
    }

    #[test]
    fn faults_drop_double_delay_and_change_what_they_are_addressed_to() {
        let played = |action| {
            let mut network = Network::new(1, Conditions::default());
            network.add_fault(&always(A_TO_B, action));
            network.enter(entry(A, Way::Socket, b"x"), Nanos(0));
            let soon = arrivals(&mut network, after(5)).len();
            let late = [after(200), after(400)].map(|until| arrivals(&mut network, until).len());
            (soon, late.iter().sum::<usize>())
        };

        assert_eq!(played(FaultAction::Drop), (0, 0));
        assert_eq!(played(FaultAction::Duplicate), (2, 0));
        assert_eq!(played(FaultAction::Delay(Duration::from_millis(100))), (0, 1));
        assert_eq!(played(FaultAction::Reorder), (0, 1));
    }

    #[test]
    fn what_the_attacker_holds_goes_on_when_he_lets_it_go() {
        let mut network = Network::new(1, Conditions::default());
        let label = Label("kept".to_owned());
        let first = Which { pattern: Pattern::default(), ..Which::default() };
        network.add_tap(Course::OneWay(A_TO_B), first, label.clone(), true);

        network.enter(entry(A, Way::Socket, b"held"), Nanos(0));
        network.enter(entry(A, Way::Socket, b"passes"), Nanos(0));

        assert_eq!(arrivals(&mut network, after(10)), [b"passes".to_vec()]);
        assert!(network.release(&label, after(10)));
        assert_eq!(arrivals(&mut network, after(20)), [b"held".to_vec()]);
        assert!(!network.release(&label, after(20)));
    }

    #[test]
    fn what_comes_from_a_spoofed_address_waits_behind_the_attackers_datagram() {
        let mut network = Network::new(1, Conditions::default());
        network.enter(entry(A, Way::Socket, b"on its way"), Nanos(0));

        network.enter(entry(ATTACKER, Way::Injected, b"forged"), Nanos(500_000));
        network.enter(entry(A, Way::Socket, b"later"), Nanos(600_000));

        let order = [b"forged".to_vec(), b"on its way".to_vec(), b"later".to_vec()];
        assert_eq!(arrivals(&mut network, after(10)), order);
    }

    #[test]
    fn a_path_that_is_down_carries_neither_datagrams_nor_errors() {
        let mut network = Network::new(1, Conditions::default());
        network.set_path(A_TO_B, &Conditions { is_up: false, ..Conditions::default() });

        network.enter(entry(A, Way::Socket, b"x"), Nanos(0));
        network.enter_packet(A_TO_B, vec![1], Nanos(0));

        assert!(network.poll_due(after(1000)).is_none());
        let lost = network
            .take_observations()
            .into_iter()
            .any(|seen| matches!(seen.what, Observed::Lost { why, .. } if why == "partition"));
        assert!(lost);
    }

    #[test]
    fn the_sender_of_what_does_not_fit_is_to_be_told_how_much_does() {
        let narrow = Conditions { mtu: Some(1000), ..Conditions::default() };
        let mut network = Network::new(1, narrow);

        // With 28 bytes of headers, 972 fit exactly.
        network.enter(entry(A, Way::Socket, &[0; 972]), Nanos(0));
        network.enter(entry(A, Way::Socket, &[0; 973]), Nanos(0));

        assert_eq!(network.take_too_big().iter().map(|told| told.mtu).collect::<Vec<_>>(), [1000]);
        assert_eq!(arrivals(&mut network, after(10)).len(), 1);
    }
}
