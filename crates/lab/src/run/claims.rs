//! The expectations of a scenario, held against what the judge has seen.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use peerbound_dtls::{Direction, Records};
use peerbound_node::Verdict;
use peerbound_wire::Frame;

use crate::judge::{Datagram, End as Ended, Judge, Message, Seal, event_kind};
use crate::run::ExpectationOutcome;
use crate::run::pattern::fits;
use crate::run::talks::Talks;
use crate::run::wording::Wording;
use crate::scenario::{
    Bounds, End, EventKind, Expectation, Label, MessageFate, Path, Scenario, SealedByPlan, SessionFate,
    Window,
};
use crate::trace::{DatagramId, HostIndex, Nanos, SessionIndex, Way};

/// What expectations are held against.
pub(crate) struct Facts<'a> {
    pub(crate) scenario: &'a Scenario,
    pub(crate) judge: &'a Judge,
    pub(crate) talks: &'a Talks,
    pub(crate) refusals: &'a BTreeMap<Label, Vec<String>>,
    /// Who asked whom over a session that is expected to carry data, and had no answer.
    pub(crate) silent: &'a BTreeSet<[HostIndex; 2]>,
    pub(crate) has_all_routes: &'a dyn Fn() -> bool,
}

/// What was seen of one expectation.
struct Seen {
    holds: bool,
    observed: String,
}

impl Seen {
    fn of(holds: bool, observed: impl Into<String>) -> Self {
        Self { holds, observed: observed.into() }
    }
}

impl Facts<'_> {
    /// Holds every expectation of the scenario against what was seen, but those of broken invariants,
    /// which only the end of the run decides.
    pub(crate) fn assess(&self) -> Vec<ExpectationOutcome> {
        let wording = Wording { judge: self.judge };
        let expectations = self.scenario.expectations.iter().enumerate();
        expectations
            .filter_map(|(index, expectation)| {
                let Seen { holds, observed } = self.look(expectation)?;
                Some(ExpectationOutcome {
                    number: index + 1,
                    expected: wording.expectation(expectation),
                    observed,
                    holds,
                })
            })
            .collect()
    }

    fn look(&self, expectation: &Expectation) -> Option<Seen> {
        Some(match expectation {
            Expectation::Datagram { label, at, end, reason, sealed_by } => {
                self.datagram(label, *at, end, reason.as_deref(), *sealed_by)
            }
            Expectation::Session { between, fate } => self.session(*between, *fate),
            Expectation::Message { label, fate } => self.message(label, fate),
            Expectation::Talked { label, pairs } => self.talked(label, *pairs),
            Expectation::Readable { label, by, is_readable } => self.readable(label, *by, *is_readable),
            Expectation::Wire { path, pattern, count, within } => {
                let sent = self
                    .sent_on(*path)
                    .filter(|(_, sent)| fits(pattern, &sent.bytes) && holds_at(*within, sent.at));
                counted(*count, sent.count(), "sent")
            }
            Expectation::Event { kind, at, count, within } => self.event(*kind, *at, *count, *within),
            Expectation::Told { host, error } => self.told(*host, error),
            Expectation::Ratio { over, under, at_least, at_most } => {
                self.ratio(*over, *under, at_least.unwrap_or(0.0)..=at_most.unwrap_or(f64::INFINITY))
            }
            Expectation::ReachableAll => {
                let holds = (self.has_all_routes)();
                Seen::of(
                    holds,
                    if holds { "every node has a route to every other" } else { "some routes are missing" },
                )
            }
            Expectation::Broken(_) => return None,
        })
    }

    fn datagram(
        &self,
        label: &Label,
        at: HostIndex,
        end: &End,
        reason: Option<&str>,
        sealed_by: Option<SealedByPlan>,
    ) -> Seen {
        let datagrams = self.judge.datagrams_called(&label.0);
        if datagrams.is_empty() {
            return Seen::of(false, format!("no datagram called {} was sent", label.0));
        }
        let wording = Wording { judge: self.judge };
        let mut observed = Vec::new();
        let mut holds = true;
        for id in datagrams {
            let ended = self.judge.end_of(*id);
            let seal = self.judge.datagram(*id).map_or(Seal::Clear, |datagram| datagram.seal);
            holds &= ended.is_some_and(|ended| is_end(ended, at, end, reason)) && is_seal(seal, sealed_by);
            let text = wording.ended(ended, seal);
            if !observed.contains(&text) {
                observed.push(text);
            }
        }
        Seen::of(holds, observed.join(" / "))
    }

    fn session(&self, between: [HostIndex; 2], fate: SessionFate) -> Seen {
        let [one, other] = between;
        let ends = |(index, label): (u32, &crate::trace::SessionLabel)| {
            let is_theirs =
                [label.client, label.server] == between || [label.server, label.client] == between;
            is_theirs.then_some(SessionIndex(index))
        };
        let first = (0..).zip(self.judge.sessions()).find_map(ends);
        let held = [self.judge.live_session(one, other), self.judge.live_session(other, one)];
        let standing = self.judge.standing();
        let is_usable = [standing.is_usable(one, other), standing.is_usable(other, one)];
        let seen = match (first, held, is_usable) {
            (None, _, _) => SessionFate::Never,
            (Some(first), [Some(here), Some(there)], [true, true]) if here == there => {
                if here == first {
                    SessionFate::Alive
                } else {
                    SessionFate::New
                }
            }
            (Some(_), _, [false, false]) => SessionFate::Dead,
            (Some(_), _, _) => {
                let (one, other) = (self.judge.name(one), self.judge.name(other));
                return Seen::of(false, format!("{one} and {other} do not agree on their session"));
            }
        };
        let text = Wording { judge: self.judge }.session(between, seen);
        let carries = matches!(fate, SessionFate::Alive | SessionFate::New);
        if carries && (self.silent.contains(&[one, other]) || self.silent.contains(&[other, one])) {
            return Seen::of(false, format!("{text}, and carries no data"));
        }
        Seen::of(fate == seen, text)
    }

    fn message(&self, label: &Label, fate: &MessageFate) -> Seen {
        let talks: Vec<_> = self.talks.called(label).collect();
        if !talks.is_empty() {
            let answered = talks.iter().filter(|talk| talk.answered.is_some()).count();
            let observed = format!("{answered} of {} answered", talks.len());
            let holds = match fate {
                MessageFate::Delivered { count, .. } => {
                    count.unwrap_or(Bounds::exactly(talks.len() as u64)).hold(answered as u64)
                }
                MessageFate::Undelivered => answered == 0,
            };
            return Seen::of(holds, observed);
        }
        let messages: Vec<_> = self.judge.messages_called(&label.0).collect();
        let refused = self.refusals.get(label);
        let delivered: Vec<_> = messages.iter().filter(|message| message.delivered().is_some()).collect();
        let wording = Wording { judge: self.judge };
        let observed = match (messages.first(), refused.and_then(|reasons| reasons.first())) {
            (None, Some(reason)) => format!("refused by its sender's node: {reason}"),
            (None, None) => "never sent".to_owned(),
            (Some(first), _) => {
                let shown = delivered.first().map_or(*first, |message| *message);
                wording.message(shown, delivered.len(), messages.len())
            }
        };
        let holds = match fate {
            MessageFate::Delivered { at, path, count } => {
                let is_good = |message: &Message| {
                    message.delivered().is_some_and(|(_, host)| host == *at)
                        && path.as_ref().is_none_or(|path| *path == message.path())
                };
                let good = delivered.iter().filter(|message| is_good(message));
                let all = Bounds::exactly((messages.len() + refused.map_or(0, Vec::len)) as u64);
                !messages.is_empty() && count.unwrap_or(all).hold(good.count() as u64)
            }
            MessageFate::Undelivered => delivered.is_empty(),
        };
        Seen::of(holds, observed)
    }

    fn talked(&self, label: &Label, pairs: Bounds) -> Seen {
        let answered = self.talks.called(label).filter(|talk| talk.answered.is_some()).count();
        counted(pairs, answered, "pairs talked")
    }

    /// Tries the keys of a node's own link sessions on everything that carried a message.
    fn readable(&self, label: &Label, by: HostIndex, is_readable: bool) -> Seen {
        let messages: Vec<_> = self.judge.messages_called(&label.0).collect();
        let mut carriers = 0;
        let mut read = None;
        for (_, datagram) in self.judge.datagrams() {
            let Seal::By(sealed_by) = datagram.seal else { continue };
            if sealed_by.from != by && sealed_by.to != by {
                continue;
            }
            let Some(plaintext) = self.open(datagram, sealed_by.session) else { continue };
            let Ok(frame) = Frame::decode(&plaintext) else { continue };
            let is_of_message = messages.iter().any(|message| {
                message.source == frame.header.source && message.packet == frame.header.packet
            });
            if is_of_message {
                carriers += 1;
                if self.scenario_sends(label, frame.payload) {
                    read = Some(String::from_utf8_lossy(frame.payload).into_owned());
                }
            }
        }
        let observed = match &read {
            Some(text) => format!("{} reads \"{text}\"", self.judge.name(by)),
            None => format!("{} opens {carriers} frames of it and reads none", self.judge.name(by)),
        };
        // That somebody cannot read what was never there would be said for nothing.
        let was_there = messages.iter().any(|message| message.delivered().is_some());
        Seen::of(read.is_some() == is_readable && was_there, observed)
    }

    fn open(&self, datagram: &Datagram, session: SessionIndex) -> Option<Vec<u8>> {
        let keys = self.judge.secrets(session)?.record_keys().ok()?;
        let record =
            Records::of(&datagram.bytes).map_while(Result::ok).find(|record| record.header.epoch > 0)?;
        [Direction::ClientToServer, Direction::ServerToClient]
            .into_iter()
            .find_map(|direction| keys.of(direction).open(&record))
    }

    fn scenario_sends(&self, label: &Label, payload: &[u8]) -> bool {
        use crate::scenario::Action;
        self.scenario.steps.iter().any(|step| match &step.action {
            Action::Send(plan) => plan.label.as_ref() == Some(label) && plan.payload == payload,
            Action::Seal { label: sealed, payload: sent, .. } => sealed == label && sent == payload,
            _ => false,
        })
    }

    fn event(&self, kind: EventKind, at: HostIndex, count: Bounds, within: Window) -> Seen {
        let all = self
            .judge
            .events()
            .iter()
            .filter(|(_, host, event)| *host == at && event_kind(event) == Some(kind));
        let moments: Vec<Nanos> = all.map(|(at, _, _)| *at).collect();
        let counted = moments.iter().filter(|at| holds_at(within, **at)).count() as u64;
        let observed = match moments.first() {
            None => "never".to_owned(),
            Some(first) => {
                let first = Duration::from_nanos(first.0);
                format!("{counted} times in the time asked for; first at {:.3} s", first.as_secs_f64())
            }
        };
        Seen::of(count.hold(counted), observed)
    }

    fn told(&self, host: HostIndex, error: &str) -> Seen {
        let told: Vec<_> = self.judge.told().iter().filter(|(_, whose, _)| *whose == host).collect();
        let holds = told.iter().any(|(_, _, what)| *what == error);
        let mut words: Vec<_> = told.iter().map(|(_, _, what)| *what).collect();
        words.dedup();
        Seen::of(holds, if words.is_empty() { "nothing".to_owned() } else { words.join(", ") })
    }

    #[expect(clippy::cast_precision_loss, reason = "bytes of one run are far below 2^52")]
    fn ratio(&self, over: Path, under: Path, bounds: std::ops::RangeInclusive<f64>) -> Seen {
        let bytes = |path| self.sent_on(path).map(|(_, sent)| sent.bytes.len() as u64).sum::<u64>();
        let (over, under) = (bytes(over), bytes(under));
        if under == 0 {
            return Seen::of(false, format!("{over} bytes / none"));
        }
        let ratio = over as f64 / under as f64;
        Seen::of(bounds.contains(&ratio), format!("{over} bytes / {under} bytes = {ratio:.2}"))
    }

    /// Lists what was sent on a path, by the addresses in it; copies that the network made do not count.
    fn sent_on(&self, path: Path) -> impl Iterator<Item = (DatagramId, &Datagram)> {
        self.judge.datagrams().filter(move |(_, sent)| {
            let from = self.judge.host_at(sent.source).unwrap_or(sent.by);
            sent.way != Way::Duplicated
                && from == path.from
                && self.judge.host_at(sent.destination) == Some(path.to)
        })
    }
}

fn counted(bounds: Bounds, count: usize, what: &str) -> Seen {
    Seen::of(bounds.hold(count as u64), format!("{count} {what}"))
}

fn holds_at(window: Window, at: Nanos) -> bool {
    window.holds(Duration::from_nanos(at.0))
}

fn is_end(ended: &Ended, at: HostIndex, end: &End, reason: Option<&str>) -> bool {
    match (ended, end) {
        (Ended::Lost { why }, End::Lost) => reason.is_none_or(|reason| reason == why),
        (Ended::Refused { host, .. }, End::Lock(peerbound_node::Lock::Kernel)) => *host == at,
        (Ended::Read { host, by }, End::ReadBy(name)) => *host == at && by == name,
        (Ended::Judged { host, verdict, reason: counted }, _) => {
            let is_verdict = match (verdict, end) {
                (Verdict::Accepted, End::Accepted)
                | (Verdict::Challenged, End::Challenged)
                | (Verdict::Killed, End::Killed) => true,
                (Verdict::Dropped(lock), End::Lock(expected)) => lock == expected,
                _ => false,
            };
            *host == at && is_verdict && reason.is_none_or(|reason| counted.as_deref() == Some(reason))
        }
        _ => false,
    }
}

fn is_seal(seal: Seal, expected: Option<SealedByPlan>) -> bool {
    match (expected, seal) {
        (None, _) | (Some(SealedByPlan::Nobody), Seal::Clear | Seal::Unknown) => true,
        (Some(SealedByPlan::Path(path)), Seal::By(sealed_by)) => {
            (sealed_by.from, sealed_by.to) == (path.from, path.to)
        }
        (Some(_), _) => false,
    }
}
