//! Says in words what a scenario does and asks for, and what was seen.

use std::time::Duration;

use crate::judge::{End as Ended, Judge, Message, Seal};
use crate::scenario::{
    Action, Bounds, End, Expectation, Label, MessageFate, Occasion, Path, Pattern, Repeat, SealedByPlan,
    SessionFate, Source, Step, Trigger, Window, Word,
};
use crate::trace::HostIndex;

/// Knows the names of hosts.
pub(crate) struct Wording<'a> {
    pub(crate) judge: &'a Judge,
}

impl Wording<'_> {
    fn name(&self, host: HostIndex) -> &str {
        self.judge.name(host)
    }

    fn path(&self, path: Path) -> String {
        format!("{}>{}", self.name(path.from), self.name(path.to))
    }

    fn pair(&self, [one, other]: [HostIndex; 2]) -> String {
        format!("{}-{}", self.name(one), self.name(other))
    }

    pub(crate) fn step(&self, step: &Step) -> String {
        let name = |host: &HostIndex| self.name(*host);
        match &step.action {
            Action::Send(plan) => {
                let what = plan.label.as_ref().map_or("a payload", |label| &label.0);
                let often = match &plan.repeat {
                    Repeat::Times(1) => String::new(),
                    Repeat::Times(times) => format!(", {times} times"),
                    Repeat::UntilPast { datagram, records } => {
                        format!(", until {records} past {}", datagram.0)
                    }
                };
                format!("{} sends {what} to {}{often}", name(&plan.from), name(&plan.to))
            }
            Action::Ping { from, to, .. } => format!("{} pings {}", name(from), name(to)),
            Action::Talk { pairs, .. } => format!("{pairs} pairs of nodes talk"),
            Action::Seal { by, to, label, .. } => {
                format!("{} seals {} for {}, and it is taken out of its hands", name(by), label.0, name(to))
            }
            Action::SealUnder { by, to, id, label, .. } => {
                let id = self.path(*id);
                format!("{} seals {} with its keys for {}, under the id of {id}", name(by), label.0, name(to))
            }
            Action::SealWithKeys { keys, by, label, .. } => {
                format!("{} seals {} under the keys of {}", name(by), label.0, self.path(*keys))
            }
            Action::Forge { label, .. } => format!("{} is written by hand", label.0),
            Action::Capture { label, is_held, .. } => {
                format!(
                    "the attacker {} {}",
                    if *is_held { "lies in wait for" } else { "listens for" },
                    label.0
                )
            }
            Action::Release(label) => format!("the attacker lets {} go", label.0),
            Action::Inject(injection) => {
                let source = match injection.source {
                    Source::Host(host) => format!("{}'s address", name(&host)),
                    Source::ConnectedSocketOf(host) => format!("a connected socket of {}", name(&host)),
                    Source::Attacker => "the attacker's address".to_owned(),
                    Source::Address(address) => address.to_string(),
                };
                format!("{} goes to {} from {source}", injection.label.0, name(&injection.to))
            }
            Action::Boot(host) => format!("{} boots", name(host)),
            Action::Crash(host) => format!("{} crashes", name(host)),
            Action::Restart(host) => format!("{} restarts", name(host)),
            Action::ShutDown(host) => format!("{} says farewell", name(host)),
            Action::Rebind(_) => "the NAT gives new ports".to_owned(),
            Action::Link { link, .. } => format!("link {} changes", link + 1),
            Action::Renegotiate { by, with } => format!("{} asks {} to renegotiate", name(by), name(with)),
            Action::Rekey { by, with } => format!("{} changes keys with {}", name(by), name(with)),
            Action::Wait(wait) => format!("{} pass", seconds(*wait)),
        }
    }

    pub(crate) fn waiting_for(&self, trigger: &Trigger) -> String {
        let Trigger::On(occasion) = trigger else {
            return "its time did not come".to_owned();
        };
        let what = match occasion {
            Occasion::Up => "all links are up".to_owned(),
            Occasion::LinkUp(between) => format!("{} is up", self.pair(*between)),
            Occasion::LinkDown([host, neighbour]) => {
                format!("{} has lost {}", self.name(*host), self.name(*neighbour))
            }
            Occasion::Replaced(between) => format!("the session {} is replaced", self.pair(*between)),
            Occasion::Delivered(label) => format!("{} is delivered", label.0),
            Occasion::Arrived(label) => format!("{} has arrived", label.0),
            Occasion::Captured(label) => format!("{} is captured", label.0),
            Occasion::DialFailed(host) => format!("{} has not reached a neighbour", self.name(*host)),
            Occasion::StrangerFailed(host) => format!("{} has refused a stranger", self.name(*host)),
            Occasion::Converged => "every node has all routes".to_owned(),
        };
        format!("it waits until {what}")
    }

    pub(crate) fn expectation(&self, expectation: &Expectation) -> String {
        match expectation {
            Expectation::Datagram { label, at, end, reason, sealed_by } => {
                let end = match end {
                    End::Lock(lock) => format!("is dropped at {lock}"),
                    End::Accepted => "is accepted".to_owned(),
                    End::Killed => "ends a session".to_owned(),
                    End::Challenged => "is challenged".to_owned(),
                    End::ReadBy(name) => format!("is read by {name}"),
                    End::Lost => "is lost".to_owned(),
                };
                let reason = reason.as_ref().map_or_else(String::new, |reason| format!(" ({reason})"));
                let sealed = match sealed_by {
                    None => String::new(),
                    Some(SealedByPlan::Nobody) => ", sealed by nobody".to_owned(),
                    Some(SealedByPlan::Path(path)) => format!(", sealed on {}", self.path(*path)),
                };
                format!("{} {end}{reason} at {}{sealed}", label.0, self.name(*at))
            }
            Expectation::Session { between, fate } => self.session(*between, *fate),
            Expectation::Message { label, fate } => self.fate(label, fate),
            Expectation::Talked { label, pairs } => format!("{} pairs of {} talk", bounds(*pairs), label.0),
            Expectation::Readable { label, by, is_readable } => {
                format!(
                    "{} {} {}",
                    self.name(*by),
                    if *is_readable { "can read" } else { "cannot read" },
                    label.0
                )
            }
            Expectation::Wire { path, pattern, count, within } => {
                format!(
                    "{} {} sent on {}{}",
                    bounds(*count),
                    pattern_text(pattern),
                    self.path(*path),
                    window(*within)
                )
            }
            Expectation::Event { kind, at, count, within } => {
                format!(
                    "{} tells of {} {} times{}",
                    self.name(*at),
                    kind.word(),
                    bounds(*count),
                    window(*within)
                )
            }
            Expectation::Told { host, error } => format!("a socket of {} is told {error}", self.name(*host)),
            Expectation::Ratio { over, under, at_least, at_most } => {
                let least = at_least.map_or_else(String::new, |least| format!(" at least {least}"));
                let most = at_most.map_or_else(String::new, |most| format!(" at most {most}"));
                format!("bytes {} / {}{least}{most}", self.path(*over), self.path(*under))
            }
            Expectation::ReachableAll => "every node has a route to every other".to_owned(),
            Expectation::Broken(invariant) => format!("the invariant {} is broken", invariant.word()),
        }
    }

    fn fate(&self, label: &Label, fate: &MessageFate) -> String {
        match fate {
            MessageFate::Undelivered => format!("{} is not delivered", label.0),
            MessageFate::Delivered { at, path, count } => {
                let path = path.as_ref().map_or_else(String::new, |path| format!(" by {}", self.hosts(path)));
                let count = count.map_or_else(String::new, |count| format!(", {} of them", bounds(count)));
                format!("{} is delivered at {}{path}{count}", label.0, self.name(*at))
            }
        }
    }

    fn hosts(&self, path: &[HostIndex]) -> String {
        path.iter().map(|host| self.name(*host)).collect::<Vec<_>>().join("→")
    }

    pub(crate) fn session(&self, between: [HostIndex; 2], fate: SessionFate) -> String {
        let pair = self.pair(between);
        match fate {
            SessionFate::Alive => format!("the session {pair} is alive"),
            SessionFate::Dead => format!("the session {pair} is dead"),
            SessionFate::New => format!("{pair} has a new session"),
            SessionFate::Never => format!("{pair} never had a session"),
        }
    }

    pub(crate) fn ended(&self, ended: Option<&Ended>, seal: Seal) -> String {
        let end = match ended {
            None => "it has not arrived".to_owned(),
            Some(Ended::Lost { why }) => format!("lost: {why}"),
            Some(Ended::Refused { host, icmp }) => {
                let icmp = if *icmp { ", and its sender told" } else { "" };
                format!("dropped at kernel at {}{icmp}", self.name(*host))
            }
            Some(Ended::Judged { host, verdict, reason }) => {
                let reason = reason.as_ref().map_or_else(String::new, |reason| format!(" ({reason})"));
                format!("{verdict}{reason} at {}", self.name(*host))
            }
            Some(Ended::Read { host, by }) => format!("read by {by} at {}", self.name(*host)),
        };
        match seal {
            Seal::Clear => end,
            Seal::Unknown => format!("{end}; sealed by nobody"),
            Seal::By(sealed_by) => format!("{end}; {}", self.judge.describe(sealed_by)),
        }
    }

    pub(crate) fn message(&self, message: &Message, delivered: usize, sent: usize) -> String {
        let path = self.hosts(&message.path());
        let count = if sent == 1 { String::new() } else { format!("{delivered} of {sent} delivered; ") };
        match (message.delivered(), message.dropped()) {
            (Some((_, at)), _) => format!("{count}delivered at {} by {path}", self.name(at)),
            (None, Some((host, reason))) => {
                format!("{count}dropped at {} ({}) after {path}", self.name(host), reason.name())
            }
            (None, None) => format!("{count}not delivered; it came as far as {path}"),
        }
    }
}

fn bounds(bounds: Bounds) -> String {
    match bounds {
        Bounds { at_least, at_most: Some(most) } if at_least == most => format!("{most}"),
        Bounds { at_least: 0, at_most: Some(most) } => format!("at most {most}"),
        Bounds { at_least, at_most: None } => format!("at least {at_least}"),
        Bounds { at_least, at_most: Some(most) } => format!("{at_least} to {most}"),
    }
}

fn window(within: Window) -> String {
    match within {
        Window { from: Duration::ZERO, until: None } => String::new(),
        Window { from, until: None } => format!(" after {}", seconds(from)),
        Window { from: Duration::ZERO, until: Some(until) } => format!(" before {}", seconds(until)),
        Window { from, until: Some(until) } => format!(" between {} and {}", seconds(from), seconds(until)),
    }
}

fn seconds(duration: Duration) -> String {
    format!("{duration:?}")
}

fn pattern_text(pattern: &Pattern) -> String {
    let Pattern { handshake, record, epoch } = pattern;
    let mut words = Vec::new();
    if let Some(message) = handshake {
        words.push(message.word().to_owned());
    }
    if let Some(content_type) = record {
        words.push(format!("{content_type:?} records"));
    }
    if let Some(epoch) = epoch {
        words.push(format!("of epoch {epoch}"));
    }
    if words.is_empty() { "datagrams".to_owned() } else { words.join(" ") }
}
