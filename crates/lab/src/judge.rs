//! The judge: takes in what a backend saw, in order, and says of every datagram where it ended, why,
//! by which clause, and who sealed it. It owns the key oracle, holds the standing invariants against
//! every observation, and writes the trace. It decides nothing in the world that it watches.

mod clause;
mod event_text;
mod frames;
mod observation;
mod sealing;
mod standing;
mod violation;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use peerbound_dtls::{ErrorStack, Role, SessionSecrets};
use peerbound_node::{Counters, Event, Lock, Verdict};
use peerbound_wire::{NodeId, PacketId};

use crate::judge::frames::Frames;
use crate::judge::sealing::{Claim, Number, Sealing};
use crate::scenario::{Invariant, Word};
use crate::trace::{
    DatagramId, Entry, Happening, HostIndex, HostLabel, Nanos, SealedBy, SessionIndex, SessionLabel, Way,
};

pub use clause::{clause_of, lock_of};
pub use event_text::kind_of as event_kind;
pub use frames::{Hop, Message};
pub use observation::{Life, Observation, Observed};
pub use sealing::{Datagram, Seal};
pub use standing::Standing;
pub use violation::Violation;

/// Watches one run.
pub struct Judge {
    hosts: Vec<HostLabel>,
    by_id: BTreeMap<NodeId, HostIndex>,
    by_address: BTreeMap<SocketAddr, HostIndex>,
    sealing: Sealing,
    datagrams: BTreeMap<DatagramId, Datagram>,
    by_label: BTreeMap<String, Vec<DatagramId>>,
    ends: BTreeMap<DatagramId, End>,
    /// Datagrams with a protected record that no key fits so far.
    unidentified: Vec<DatagramId>,
    /// Data that was accepted and that no key fits so far.
    unexplained: Vec<Acceptance>,
    /// Records that were accepted, by whom.
    accepted: BTreeSet<(HostIndex, SealedBy, Number)>,
    live: BTreeMap<(HostIndex, HostIndex), SessionIndex>,
    last_arrivals: BTreeMap<HostIndex, Acceptance>,
    frames: Frames,
    standing: Standing,
    captured: BTreeMap<String, DatagramId>,
    /// The newest number that somebody has put on a protected record on its way to an address, and under
    /// whose keys: with another session numbers begin again.
    newest_sent: BTreeMap<(HostIndex, SocketAddr), (Seal, u64)>,
    /// What was written or changed by hand, whichever socket it goes through.
    handmade: BTreeSet<Vec<u8>>,
    events: Vec<(Nanos, HostIndex, Event)>,
    told: Vec<(Nanos, HostIndex, &'static str)>,
    entries: Vec<Entry>,
    violations: Vec<Violation>,
}

/// Where a datagram ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The network lost it.
    Lost {
        /// Why.
        why: String,
    },
    /// A kernel refused it.
    Refused {
        /// Whose.
        host: HostIndex,
        /// Whether its sender was sent an ICMP port unreachable.
        icmp: bool,
    },
    /// A node came to a verdict on it.
    Judged {
        /// Which node.
        host: HostIndex,
        /// What became of it.
        verdict: Verdict,
        /// The counted reason, where it was dropped.
        reason: Option<String>,
    },
    /// An application with a plain socket read it.
    Read {
        /// At which host.
        host: HostIndex,
        /// What the scenario calls the application.
        by: String,
    },
}

/// What the judge has to say in the end.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// Every session that was established.
    pub sessions: Vec<SessionLabel>,
    /// What happened, in order.
    pub entries: Vec<Entry>,
    /// Where an invariant did not hold.
    pub violations: Vec<Violation>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Acceptance {
    at: Nanos,
    host: HostIndex,
    datagram: DatagramId,
    verdict: Verdict,
}

impl Judge {
    /// Starts to watch these hosts; a [`HostIndex`] is a place in this list.
    #[must_use]
    pub fn new(hosts: Vec<HostLabel>) -> Self {
        let (mut by_id, mut by_address) = (BTreeMap::new(), BTreeMap::new());
        // Where two hosts hold one key, the first of them is named until they speak for themselves.
        for (index, host) in (0..).map(HostIndex).zip(&hosts) {
            by_address.entry(host.address).or_insert(index);
            host.id.map(|id| by_id.entry(id).or_insert(index));
        }
        Self {
            hosts,
            by_id,
            by_address,
            sealing: Sealing::default(),
            datagrams: BTreeMap::new(),
            by_label: BTreeMap::new(),
            ends: BTreeMap::new(),
            unidentified: Vec::new(),
            unexplained: Vec::new(),
            accepted: BTreeSet::new(),
            live: BTreeMap::new(),
            last_arrivals: BTreeMap::new(),
            frames: Frames::default(),
            standing: Standing::default(),
            captured: BTreeMap::new(),
            newest_sent: BTreeMap::new(),
            handmade: BTreeSet::new(),
            events: Vec::new(),
            told: Vec::new(),
            entries: Vec::new(),
            violations: Vec::new(),
        }
    }

    /// Notes that a host has another address: a second socket, or what a NAT makes of its first.
    pub fn add_address(&mut self, host: HostIndex, address: SocketAddr) {
        self.by_address.insert(address, host);
    }

    /// Notes that a datagram was written or changed by hand: a host's own socket may send it, too.
    pub fn note_handmade(&mut self, bytes: &[u8]) {
        self.handmade.insert(bytes.to_vec());
    }

    /// Takes in one observation.
    ///
    /// # Errors
    /// When OpenSSL refuses to derive the keys of a session.
    pub fn observe(&mut self, observation: Observation) -> Result<(), ErrorStack> {
        let Observation { at, what } = observation;
        match what {
            Observed::Sent { datagram, by, way, source, destination, bytes, label, copy_of } => {
                let is_forged = way == Way::Injected
                    || self.handmade.contains(bytes.as_ref())
                    || self.differs(&bytes, copy_of);
                let seal = Seal::Clear;
                let sent =
                    Datagram { at, by, way, source, destination, bytes, label, copy_of, is_forged, seal };
                self.on_sent(datagram, sent);
            }
            Observed::Translated { datagram, source, .. } => {
                // What goes back to the outer address goes to the host behind it.
                if let Some(by) = self.datagrams.get(&datagram).map(|sent| sent.by) {
                    self.by_address.entry(source).or_insert(by);
                }
            }
            Observed::Lost { datagram, why } => {
                self.end(at, datagram, End::Lost { why: why.clone() });
                self.note(at, Happening::Lost { datagram, why });
            }
            Observed::Refused { datagram, host, icmp } => {
                self.end(at, datagram, End::Refused { host, icmp });
                self.note(at, Happening::Refused { datagram, host, icmp });
            }
            Observed::Arrived { datagram, host, verdict, reason } => {
                self.on_arrived(Acceptance { at, host, datagram, verdict }, reason);
            }
            Observed::Read { datagram, host, by } => {
                self.end(at, datagram, End::Read { host, by: by.clone() });
                self.note(at, Happening::Read { datagram, host, by });
            }
            Observed::Told { host, error } => {
                self.told.push((at, host, error));
                self.note(at, Happening::Told { host, error });
            }
            Observed::Event { host, event } => self.on_event(at, host, event),
            Observed::Remark { host, kind, text } => self.note(at, Happening::Event { host, kind, text }),
            Observed::Keys { host, peer, role, secrets } => self.on_keys(at, (host, peer, role), &secrets)?,
            Observed::Counters { host, counters } => self.check_conservation(at, host, &counters),
            Observed::Life { host, change } => {
                self.live.retain(|(of, _), _| *of != host);
                self.last_arrivals.remove(&host);
                self.standing.on_life(host, change);
                let text = format!("{} {}", self.name(host), change.name());
                self.note(at, Happening::Event { host, kind: change.name(), text });
            }
            Observed::Step { number, text } => self.note(at, Happening::Step { number, text }),
            Observed::Captured { datagram, label } => {
                self.by_label.entry(label.clone()).or_default().push(datagram);
                self.captured.insert(label, datagram);
            }
            Observed::Message { host, packet, label } => self.name_message(host, packet, label),
        }
        Ok(())
    }

    /// Ends the watch: what could not be explained until here has no explanation.
    #[must_use]
    pub fn finish(mut self) -> Judgement {
        for acceptance in std::mem::take(&mut self.unexplained) {
            self.violate_acceptance(acceptance);
        }
        for entry in &mut self.entries {
            match &mut entry.what {
                Happening::Sent { datagram, sealed_by, .. }
                | Happening::Arrived { datagram, sealed_by, .. } => {
                    *sealed_by = self.datagrams.get(datagram).and_then(|known| known.seal.sealed_by());
                }
                Happening::Frame { header, label, .. } => *label = self.frames.label_of(header),
                Happening::Lost { .. }
                | Happening::Refused { .. }
                | Happening::Read { .. }
                | Happening::Told { .. }
                | Happening::Event { .. }
                | Happening::Step { .. }
                | Happening::Violation { .. } => {}
            }
        }
        let Self { sealing, mut entries, violations, .. } = self;
        entries.extend(violations.iter().map(|violation| Entry {
            at: violation.at,
            what: Happening::Violation { kind: violation.invariant.word(), text: violation.text.clone() },
        }));
        entries.sort_by_key(|entry| entry.at);
        Judgement { sessions: sealing.into_sessions(), entries, violations }
    }

    /// Lists the hosts.
    #[must_use]
    pub fn hosts(&self) -> &[HostLabel] {
        &self.hosts
    }

    /// Returns a host's name.
    #[must_use]
    pub fn name(&self, host: HostIndex) -> &str {
        self.hosts.get(host.0 as usize).map_or("?", |host| &host.name)
    }

    /// Returns the host with this name.
    #[must_use]
    pub fn host(&self, name: &str) -> Option<HostIndex> {
        (0..).map(HostIndex).zip(&self.hosts).find(|(_, host)| host.name == name).map(|(index, _)| index)
    }

    /// Returns the host whose node has this id; the first, where two hold one key.
    #[must_use]
    pub fn host_of_id(&self, id: &NodeId) -> Option<HostIndex> {
        self.by_id.get(id).copied()
    }

    /// Returns what is known of a datagram.
    #[must_use]
    pub fn datagram(&self, datagram: DatagramId) -> Option<&Datagram> {
        self.datagrams.get(&datagram)
    }

    /// Lists all datagrams, in order of their numbers.
    pub fn datagrams(&self) -> impl DoubleEndedIterator<Item = (DatagramId, &Datagram)> {
        self.datagrams.iter().map(|(datagram, known)| (*datagram, known))
    }

    /// Lists the datagrams that the scenario calls by this name, oldest first.
    #[must_use]
    pub fn datagrams_called(&self, label: &str) -> &[DatagramId] {
        self.by_label.get(label).map_or(&[], Vec::as_slice)
    }

    /// Returns where a datagram ended, if it has.
    #[must_use]
    pub fn end_of(&self, datagram: DatagramId) -> Option<&End> {
        self.ends.get(&datagram)
    }

    /// Returns the datagram that was captured under this name.
    #[must_use]
    pub fn captured(&self, label: &str) -> Option<DatagramId> {
        self.captured.get(label).copied()
    }

    /// Lists the messages that the scenario calls by this name, oldest first.
    pub fn messages_called(&self, label: &str) -> impl Iterator<Item = &Message> {
        self.frames.messages_called(label)
    }

    /// Returns how things stand.
    #[must_use]
    pub fn standing(&self) -> &Standing {
        &self.standing
    }

    /// Returns the newest number that a host has put on a protected record on its way to this address, in
    /// the session that it wrote in last.
    #[must_use]
    pub fn newest_sent(&self, by: HostIndex, destination: SocketAddr) -> Option<u64> {
        self.newest_sent.get(&(by, destination)).map(|(_, newest)| *newest)
    }

    /// Returns the newest number of a record that a host has accepted from another in the session that
    /// it holds with it.
    #[must_use]
    pub fn newest_accepted(&self, host: HostIndex, from: HostIndex) -> Option<u64> {
        let session = self.live_session(host, from)?;
        let of_session =
            self.accepted.iter().filter(|(by, sealed_by, _)| *by == host && sealed_by.session == session);
        of_session.map(|(_, _, number)| number.sequence).max()
    }

    /// Returns the secrets of a session.
    #[must_use]
    pub fn secrets(&self, session: SessionIndex) -> Option<&SessionSecrets> {
        self.sealing.secrets(session)
    }

    /// Returns the host that has this address.
    #[must_use]
    pub fn host_at(&self, address: SocketAddr) -> Option<HostIndex> {
        self.by_address.get(&address).copied()
    }

    /// Lists what nodes told their owners, but for frames, in order.
    #[must_use]
    pub fn events(&self) -> &[(Nanos, HostIndex, Event)] {
        &self.events
    }

    /// Lists the errors that sockets were told of, in order.
    #[must_use]
    pub fn told(&self) -> &[(Nanos, HostIndex, &'static str)] {
        &self.told
    }

    /// Lists the sessions that were established so far, in order.
    #[must_use]
    pub fn sessions(&self) -> &[SessionLabel] {
        self.sealing.sessions()
    }

    /// Returns the session that a host holds with another, by its own word.
    #[must_use]
    pub fn live_session(&self, host: HostIndex, peer: HostIndex) -> Option<SessionIndex> {
        self.live.get(&(host, peer)).copied()
    }

    /// Lists the violations so far; what waits for an explanation is not among them.
    #[must_use]
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// Says in words who sealed a record.
    #[must_use]
    pub fn describe(&self, sealed_by: SealedBy) -> String {
        sealed_by.describe(|host| self.name(host))
    }

    /// Adds a violation that only a look at the whole world can find.
    pub fn report(&mut self, violation: Violation) {
        self.violations.push(violation);
    }

    fn note(&mut self, at: Nanos, what: Happening) {
        self.entries.push(Entry { at, what });
    }

    fn violate(&mut self, at: Nanos, invariant: Invariant, datagram: Option<DatagramId>, text: String) {
        self.violations.push(Violation { invariant, at, datagram, text });
    }

    fn differs(&self, bytes: &Arc<[u8]>, copy_of: Option<DatagramId>) -> bool {
        let original = copy_of.and_then(|original| self.datagrams.get(&original));
        original.is_some_and(|original| original.is_forged || original.bytes != *bytes)
    }

    fn on_sent(&mut self, id: DatagramId, mut sent: Datagram) {
        sent.seal = self.seal_of(&sent);
        if sent.seal == Seal::Unknown {
            self.unidentified.push(id);
        }
        if let Some(label) = &sent.label {
            self.by_label.entry(label.clone()).or_default().push(id);
        }
        if let (Way::Socket, false, Some(number)) = (sent.way, sent.is_forged, sent.number()) {
            let newest = self.newest_sent.entry((sent.by, sent.destination)).or_insert((sent.seal, 0));
            // What is sealed first is not always sent first.
            let before = if newest.0 == sent.seal { newest.1 } else { 0 };
            *newest = (sent.seal, before.max(number.sequence));
        }
        self.note(
            sent.at,
            Happening::Sent {
                datagram: id,
                by: sent.by,
                way: sent.way,
                source: sent.source,
                destination: sent.destination,
                bytes: sent.bytes.clone(),
                label: sent.label.clone(),
                copy_of: sent.copy_of,
                sealed_by: sent.seal.sealed_by(),
            },
        );
        self.datagrams.insert(id, sent);
    }

    fn seal_of(&self, sent: &Datagram) -> Seal {
        let original = sent.copy_of.and_then(|original| self.datagrams.get(&original));
        if let Some(original) = original.filter(|original| original.bytes == sent.bytes) {
            return original.seal;
        }
        if let Some(record) = sent.with_id() {
            return self.sealing.identify_with_id(&record).map_or(Seal::Unknown, Seal::By);
        }
        let Some(record) = sent.protected() else {
            return Seal::Clear;
        };
        let to = self.by_address.get(&sent.destination).copied();
        self.sealing.identify(&record, sent.by, to).map_or(Seal::Unknown, Seal::By)
    }

    fn on_arrived(&mut self, arrival: Acceptance, reason: Option<String>) {
        let Acceptance { at, host, datagram, verdict } = arrival;
        self.check_reason(arrival, reason.as_deref());
        self.end(at, datagram, End::Judged { host, verdict, reason: reason.clone() });
        let clause = clause_of(verdict, reason.as_deref());
        self.note(at, Happening::Arrived { datagram, host, verdict, reason, clause, sealed_by: None });
        self.last_arrivals.insert(host, arrival);
        if verdict == Verdict::Accepted {
            self.check_acceptance(arrival);
        }
    }

    fn check_reason(&mut self, arrival: Acceptance, reason: Option<&str>) {
        let Verdict::Dropped(lock) = arrival.verdict else {
            return;
        };
        let trouble = match reason {
            None => "no reason was counted".to_owned(),
            Some(reason) if lock_of(reason) != Some(lock) => {
                format!("the reason that was counted is {reason}")
            }
            Some(reason) => match self.own_session_of(arrival) {
                Some(sealed_by) if lock == Lock::RecordAuth => {
                    format!("counted {reason}, although it was sealed by {}", self.describe(sealed_by))
                }
                Some(_) | None => return,
            },
        };
        let text = format!("{} dropped a datagram at {lock}, and {trouble}", self.name(arrival.host));
        self.violate(arrival.at, Invariant::DropReason, Some(arrival.datagram), text);
    }

    /// Returns who sealed a datagram, if that is the session that its receiver holds with its sender.
    fn own_session_of(&self, arrival: Acceptance) -> Option<SealedBy> {
        let datagram = self.datagrams.get(&arrival.datagram)?;
        let from = self.by_address.get(&datagram.source)?;
        let sealed_by = datagram.seal.sealed_by()?;
        let is_own =
            sealed_by.to == arrival.host && self.live.get(&(arrival.host, *from)) == Some(&sealed_by.session);
        is_own.then_some(sealed_by)
    }

    fn end(&mut self, at: Nanos, datagram: DatagramId, end: End) {
        if let Some(earlier) = self.ends.insert(datagram, end.clone()) {
            let text = format!("a datagram ended twice: {earlier:?}, then {end:?}");
            self.violate(at, Invariant::DropReason, Some(datagram), text);
        }
    }

    fn check_acceptance(&mut self, acceptance: Acceptance) {
        let Some(datagram) = self.datagrams.get(&acceptance.datagram) else {
            return;
        };
        // What is accepted in a handshake is only read by it: the session that may come of it
        // vouches for it, and data follows.
        if !datagram.needs_a_session() {
            return;
        }
        let Some(number) = datagram.number() else {
            return;
        };
        match datagram.seal {
            Seal::By(sealed_by) if sealed_by.to == acceptance.host => {
                if !self.accepted.insert((acceptance.host, sealed_by, number)) {
                    let text = format!(
                        "{} accepted record {} of {} twice",
                        self.name(acceptance.host),
                        number.sequence,
                        self.describe(sealed_by)
                    );
                    self.violate(acceptance.at, Invariant::AcceptedTwice, Some(acceptance.datagram), text);
                }
            }
            Seal::By(_) => self.violate_acceptance(acceptance),
            // Data may come before the end of the handshake, and be kept until then: its keys will explain it.
            Seal::Unknown => self.unexplained.push(acceptance),
            Seal::Clear => {}
        }
    }

    fn violate_acceptance(&mut self, acceptance: Acceptance) {
        let seal = self.datagrams.get(&acceptance.datagram).map(|datagram| datagram.seal);
        let sealed = match seal {
            Some(Seal::By(sealed_by)) => format!("it was sealed by {}", self.describe(sealed_by)),
            Some(Seal::Unknown | Seal::Clear) | None => "no session sealed it".to_owned(),
        };
        let text = format!("{} accepted a protected record, and {sealed}", self.name(acceptance.host));
        self.violate(acceptance.at, Invariant::AcceptedWithoutOracle, Some(acceptance.datagram), text);
    }

    fn on_keys(
        &mut self,
        at: Nanos,
        (host, peer, role): (HostIndex, NodeId, Role),
        secrets: &SessionSecrets,
    ) -> Result<(), ErrorStack> {
        let Some(peer) = self.by_id.get(&peer).copied() else {
            return Ok(()); // a stranger's own certificate, outside of the cast
        };
        let (session, is_new) = self.sealing.learn(&Claim { at, host, peer, role }, secrets)?;
        self.live.insert((host, peer), session);
        if is_new {
            self.identify_again(session);
        }
        Ok(())
    }

    /// Asks the keys that have just become known about everything that no key fitted.
    fn identify_again(&mut self, session: SessionIndex) {
        let Self { unidentified, datagrams, sealing, .. } = self;
        unidentified.retain(|id| {
            let Some(datagram) = datagrams.get_mut(id) else {
                return false;
            };
            let found = datagram.protected().and_then(|record| sealing.identify_as(&record, session));
            if let Some(sealed_by) = found {
                datagram.seal = Seal::By(sealed_by);
            }
            found.is_none()
        });
        for acceptance in std::mem::take(&mut self.unexplained) {
            self.check_acceptance(acceptance);
        }
    }

    fn on_event(&mut self, at: Nanos, host: HostIndex, event: Event) {
        if let Event::Frame(seen) = event {
            self.on_frame(at, host, &seen);
            return;
        }
        let peer = match &event {
            Event::NeighbourUp { id, .. }
            | Event::NeighbourReplaced { id }
            | Event::NeighbourMoved { id, .. }
            | Event::NeighbourDown { id, .. }
            | Event::DialFailed { id, .. } => self.host_of_id(id),
            Event::StrangerFailed { .. }
            | Event::Delivered { .. }
            | Event::Error { .. }
            | Event::Pong { .. }
            | Event::TraceReport(_)
            | Event::WhoIs { .. }
            | Event::Inner(_)
            | Event::Frame(_)
            | Event::RouteChanged(_)
            | Event::Session(_) => None,
        };
        self.standing.on_event(host, peer, &event);
        if let (Event::NeighbourDown { .. } | Event::DialFailed { .. }, Some(peer)) = (&event, peer) {
            self.on_down(at, host, peer);
        }
        let (kind, text) = event_text::of(self, &event);
        self.note(at, Happening::Event { host, kind, text });
        self.events.push((at, host, event));
    }

    /// An established session has ended, and perhaps the last datagram that arrived did it.
    fn on_down(&mut self, at: Nanos, host: HostIndex, peer: HostIndex) {
        if self.live.remove(&(host, peer)).is_none() {
            return;
        }
        let Some(last) = self.last_arrivals.get(&host).copied() else {
            return;
        };
        // On real sockets the event follows the verdict by microseconds, and only the word "killed"
        // ties it to the datagram.
        let is_its_doing =
            last.verdict == Verdict::Killed || (last.verdict == Verdict::Accepted && last.at == at);
        let Some(datagram) = self.datagrams.get(&last.datagram).filter(|_| is_its_doing) else {
            return;
        };
        let is_genuine = matches!(datagram.seal, Seal::By(sealed_by) if sealed_by.to == host);
        if !datagram.is_forged || is_genuine {
            return;
        }
        let text = format!(
            "a datagram that was made or changed under way ended {}'s session with {}",
            self.name(host),
            self.name(peer)
        );
        self.violate(at, Invariant::ForgedDatagramEndsSession, Some(last.datagram), text);
    }

    fn check_conservation(&mut self, at: Nanos, host: HostIndex, counters: &Counters) {
        if counters.is_conserved() {
            return;
        }
        let dropped: u64 = counters.frames_dropped.values().sum();
        let text = format!(
            "{} lost count of its frames: {} received + {} originated, but {} sent + {} delivered + {dropped} dropped",
            self.name(host),
            counters.frames_received,
            counters.frames_originated,
            counters.frames_sent,
            counters.frames_delivered,
        );
        self.violate(at, Invariant::Conservation, None, text);
    }

    /// Returns the boot epoch that stands in a node's frames, as far as it has made any.
    pub(crate) fn boot_of(&self, source: NodeId) -> u32 {
        self.frames.boot_of(source)
    }

    fn name_message(&mut self, host: HostIndex, packet: PacketId, label: String) {
        if let Some(source) = self.hosts.get(host.0 as usize).and_then(|host| host.id) {
            self.frames.name(source, packet, label);
        }
    }
}
