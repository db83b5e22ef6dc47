//! Writes a scenario as a file again: the one point that it is, without its sweep. What has its default
//! is left out. Reading it gives the same scenario.

mod table;

use std::fmt::Write as _;

use peerbound_dtls::ContentType;

use crate::hexadecimal::hex;
use crate::scenario::expectation::{End, Expectation, MessageFate, SealedByPlan};
use crate::scenario::fault::{Course, FaultAction, FaultPlan, Path, Pattern, Which};
use crate::scenario::mesh::address_of;
use crate::scenario::plan::{Conditions, Dials, HostPlan, HostRole, LinkPlan, NatPlan, NodePlan};
use crate::scenario::record_model::RecordModelPlan;
use crate::scenario::render::table::{Table, float, inline, inline_conditions};
use crate::scenario::step::{
    Action, Edit, ForgedBody, ForgedRecord, Injection, Label, Occasion, Repeat, SendPlan, Source, Step,
    Trigger,
};
use crate::scenario::sweep::{Parameters, Sweep};
use crate::scenario::values::{in_words, quoted, sequence_in_words};
use crate::scenario::words::Word;
use crate::scenario::{SCHEMA, Scenario};
use crate::trace::HostIndex;

impl Scenario {
    /// Returns the scenario as the one point that it is: without parameters and without a sweep.
    #[must_use]
    pub fn fixed(&self) -> Self {
        Self { sweep: Sweep::default(), parameters: Parameters::new(), ..self.clone() }
    }

    /// Writes it as a file. Reading the file gives [`Self::fixed`].
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut tables = vec![self.head()];
        if let Some(mesh) = &self.mesh {
            tables.push(format!("[mesh]\nnodes = {}\ndegree = {}\n", mesh.nodes, mesh.degree));
            tables.push(Table::new("[nodes]").node(self, &mesh.node, &NodePlan::default()).text);
        }
        for (index, host) in self.hosts.iter().enumerate() {
            tables.push(self.host_table(index, host));
        }
        tables.push(Table::new("[network]").conditions(&self.network, &Conditions::default()).text);
        tables.extend(self.links.iter().map(|link| self.link_table(link)));
        tables.extend(self.nats.iter().map(|nat| self.nat_table(nat)));
        for listener in &self.listeners {
            let table =
                Table::new("[[listener]]").text("on", &self.name(listener.on)).text("as", &listener.name);
            tables.push(table.text);
        }
        tables.extend(self.faults.iter().map(|fault| self.fault_table(fault)));
        for (index, step) in self.steps.iter().enumerate() {
            tables.push(self.step_table(step, index == 0));
        }
        tables.extend(self.expectations.iter().map(|expectation| self.expect_table(expectation)));
        tables.join("\n")
    }

    fn head(&self) -> String {
        let mut head =
            format!("schema = {SCHEMA}\nname = {}\ntitle = {}\n", quoted(&self.name), quoted(&self.title));
        for (key, text) in [("group", &self.group), ("clause", &self.clause), ("meaning", &self.meaning)] {
            if !text.is_empty() {
                let _ = writeln!(head, "{key} = {}", quoted(text));
            }
        }
        let _ = writeln!(head, "ends = \"{}\"", in_words(self.ends));
        head
    }

    fn host_table(&self, index: usize, host: &HostPlan) -> String {
        let head = if host.is_node() { "[[node]]" } else { "[[host]]" };
        let mut table = Table::new(head).text("name", &host.name);
        if u32::try_from(index).map(address_of) != Ok(host.address) {
            table = table.text("address", &host.address.to_string());
        }
        match &host.role {
            HostRole::Node(node) => table.node(self, node, &NodePlan::default()).text,
            HostRole::Forwarder { between } => table.key("forwards", self.names(between)).text,
            HostRole::RecordModel(model) => table.key("record_model", self.record_model(model)).text,
            HostRole::Bystander => table.text,
        }
    }

    fn record_model(&self, model: &RecordModelPlan) -> String {
        let mut keys = Vec::new();
        if !model.dials.is_empty() {
            keys.push(format!("dials = {}", self.names(&model.dials)));
        }
        keys.push(format!("id = {}", model.asks_for_id));
        keys.push(format!("address_check = {}", quoted(model.move_rule.word())));
        keys.push(format!("patience = {}", quoted(&in_words(model.patience))));
        inline(&keys)
    }

    fn link_table(&self, link: &LinkPlan) -> String {
        let [one, other] = link.between;
        let are_nodes =
            link.between.iter().all(|end| self.hosts.get(end.0 as usize).is_some_and(HostPlan::is_node));
        let mut table = Table::new("[[link]]").key("between", self.names(&link.between));
        table = match link.dials {
            Dials::First => table.text("dials", &self.name(one)),
            Dials::Second => table.text("dials", &self.name(other)),
            Dials::Both => table.text("dials", "both"),
            Dials::Nobody if are_nodes => table.text("dials", "nobody"),
            Dials::Nobody => table,
        };
        table = match link.admits {
            [true, false] => table.text("admits", &self.name(one)),
            [false, true] => table.text("admits", &self.name(other)),
            [true, true] | [false, false] => table,
        };
        if let Some(forwarder) = link.through {
            table = table.text("through", &self.name(forwarder));
        }
        table = table.conditions(&link.forth, &self.network);
        match inline_conditions(&link.back, &link.forth) {
            Some(back) => table.key("back", back).text,
            None => table.text,
        }
    }

    fn nat_table(&self, nat: &NatPlan) -> String {
        let table = Table::new("[[nat]]")
            .text("name", &nat.name)
            .key("in_front_of", self.names(&nat.in_front_of))
            .text("address", &nat.address.to_string())
            .text("mapping", nat.mapping.word())
            .text("filtering", nat.filtering.word())
            .text("timeout", &in_words(nat.timeout));
        if nat.hairpin { table.key("hairpin", "true").text } else { table.text }
    }

    fn fault_table(&self, fault: &FaultPlan) -> String {
        let which = which_keys(&fault.which);
        let (key, extra) = match fault.action {
            FaultAction::Drop => ("drop", None),
            FaultAction::Duplicate => ("duplicate", None),
            FaultAction::Reorder => ("reorder", None),
            FaultAction::Delay(by) => ("delay", Some(format!("by = \"{}\"", in_words(by)))),
            FaultAction::FlipBit(bit) => ("corrupt", Some(format!("bit = {bit}"))),
        };
        let keys: Vec<_> = which.into_iter().chain(extra).collect();
        Table::new("[[fault]]").text("on", &self.course(fault.on)).key(key, inline(&keys)).text
    }

    fn step_table(&self, step: &Step, is_first: bool) -> String {
        let table = Table::new("[[step]]");
        let table = match &step.trigger {
            Trigger::AfterPrevious => table,
            Trigger::At(at) => table.text("at", &in_words(*at)),
            Trigger::On(Occasion::Up) if is_first && self.mesh.is_none() => table,
            Trigger::On(occasion) => table.text("on", &self.occasion(occasion)),
        };
        let (key, value) = self.action(&step.action);
        table.key(key, value).text
    }

    fn occasion(&self, occasion: &Occasion) -> String {
        let pair = |what: &str, [one, other]: &[HostIndex; 2]| {
            format!("{what} {}-{}", self.name(*one), self.name(*other))
        };
        match occasion {
            Occasion::Up => "up".to_owned(),
            Occasion::LinkUp(two) => pair("up", two),
            Occasion::LinkDown(two) => pair("down", two),
            Occasion::Replaced(two) => pair("replaced", two),
            Occasion::Delivered(label) => format!("delivered {}", label.0),
            Occasion::Arrived(label) => format!("arrived {}", label.0),
            Occasion::Captured(label) => format!("captured {}", label.0),
            Occasion::DialFailed(host) => format!("dial-failed {}", self.name(*host)),
            Occasion::StrangerFailed(host) => format!("stranger-failed {}", self.name(*host)),
            Occasion::Converged => "converged".to_owned(),
        }
    }

    fn action(&self, action: &Action) -> (&'static str, String) {
        let host = |host: &HostIndex| quoted(&self.name(*host));
        let two =
            |by: &HostIndex, with: &HostIndex| format!("{{ by = {}, with = {} }}", host(by), host(with));
        match action {
            Action::Send(send) => ("send", self.send(send)),
            Action::Ping { from, to, label } => {
                let keys = [format!("from = {}", host(from)), format!("to = {}", host(to))];
                ("ping", inline(&[&keys[..], &named(label.as_ref())].concat()))
            }
            Action::Talk { pairs, tries, label } => {
                ("talk", format!("{{ pairs = {pairs}, tries = {tries}, as = {} }}", quoted(&label.0)))
            }
            Action::Seal { by, to, payload, is_reply, label } => {
                let mut keys = vec![format!("by = {}", host(by)), format!("to = {}", host(to))];
                keys.extend(payload_keys(payload, *is_reply));
                keys.extend(named(Some(label)));
                ("seal", inline(&keys))
            }
            Action::SealUnder { by, to, payload, id, label } => {
                let mut keys = vec![format!("by = {}", host(by)), format!("to = {}", host(to))];
                keys.push(format!("id = {}", quoted(&self.path(*id))));
                keys.extend(payload_keys(payload, false));
                keys.extend(named(Some(label)));
                ("seal", inline(&keys))
            }
            Action::SealWithKeys { keys: path, by, to, payload, is_reply, sequence, label } => {
                let mut keys = vec![
                    format!("keys = {}", quoted(&self.path(*path))),
                    format!("by = {}", host(by)),
                    format!("to = {}", host(to)),
                ];
                keys.extend(payload_keys(payload, *is_reply));
                keys.push(format!("sequence = {}", sequence_in_words(*sequence)));
                keys.extend(named(Some(label)));
                ("seal", inline(&keys))
            }
            Action::Forge { record, label } => ("forge", forge(record, label)),
            Action::Capture { on, which, is_held, label } => {
                let mut keys = vec![
                    format!("on = {}", quoted(&self.course(*on))),
                    format!("match = {}", inline(&which_keys(which))),
                ];
                keys.extend(is_held.then(|| "hold = true".to_owned()));
                keys.extend(named(Some(label)));
                ("capture", inline(&keys))
            }
            Action::Release(label) => ("release", quoted(&label.0)),
            Action::Inject(injection) => ("inject", self.inject(injection)),
            Action::Boot(who) => ("boot", host(who)),
            Action::Crash(who) => ("crash", host(who)),
            Action::Restart(who) => ("restart", host(who)),
            Action::ShutDown(who) => ("shutdown", host(who)),
            Action::Rebind(nat) => ("rebind", quoted(self.nats.get(*nat).map_or("", |nat| &nat.name))),
            Action::Link { link, forth, back } => {
                ("link", self.link_change(*link, forth.as_ref(), back.as_ref()))
            }
            Action::Renegotiate { by, with } => ("renegotiate", two(by, with)),
            Action::Rekey { by, with } => ("rekey", two(by, with)),
            Action::Wait(time) => ("wait", format!("\"{}\"", in_words(*time))),
        }
    }

    fn send(&self, send: &SendPlan) -> String {
        let mut keys = vec![
            format!("from = {}", quoted(&self.name(send.from))),
            format!("to = {}", quoted(&self.name(send.to))),
        ];
        keys.extend(payload_keys(&send.payload, send.is_reply));
        match &send.repeat {
            Repeat::Times(1) => {}
            Repeat::Times(count) => keys.push(format!("count = {count}")),
            Repeat::UntilPast { datagram, records } => {
                keys.push(format!("until_past = {}, records = {records}", quoted(&datagram.0)));
            }
        }
        keys.extend(named(send.label.as_ref()));
        inline(&keys)
    }

    fn inject(&self, injection: &Injection) -> String {
        let source = match injection.source {
            Source::Host(host) => self.name(host).into_owned(),
            Source::ConnectedSocketOf(host) => format!("{} connected", self.name(host)),
            Source::Attacker => "attacker".to_owned(),
            Source::Address(address) => address.to_string(),
        };
        let by = self.name(injection.by);
        let mut keys = vec![
            format!("datagram = {}", quoted(&injection.datagram.0)),
            format!("to = {}", quoted(&self.name(injection.to))),
            format!("source = {}", quoted(&source)),
            format!("by = {}", quoted(&by)),
        ];
        keys.extend(injection.edits.iter().map(|edit| match edit {
            Edit::SetSequence(sequence) => format!("set_sequence = {}", sequence_in_words(*sequence)),
            Edit::SetEpoch(epoch) => format!("set_epoch = {epoch}"),
            Edit::FlipBit(bit) => format!("flip_bit = {bit}"),
            Edit::Truncate(bytes) => format!("truncate = {bytes}"),
        }));
        if injection.times != 1 {
            keys.push(format!("times = {}", injection.times));
        }
        if injection.label != injection.datagram {
            keys.extend(named(Some(&injection.label)));
        }
        inline(&keys)
    }

    fn link_change(&self, link: usize, forth: Option<&Conditions>, back: Option<&Conditions>) -> String {
        let Some(plan) = self.links.get(link) else {
            return "{}".to_owned();
        };
        let mut keys = vec![format!("between = {}", self.names(&plan.between))];
        for (key, conditions, base) in [("forth", forth, &plan.forth), ("back", back, &plan.back)] {
            if let Some(conditions) = conditions {
                let changed = inline_conditions(conditions, base).unwrap_or_else(|| "{}".to_owned());
                keys.push(format!("{key} = {changed}"));
            }
        }
        inline(&keys)
    }

    fn expect_table(&self, expectation: &Expectation) -> String {
        let table = Table::new("[[expect]]");
        let table = match expectation {
            Expectation::Datagram { label, at, end, reason, sealed_by } => {
                let table = table.text("datagram", &label.0).text("at", &self.name(*at));
                let table = match end {
                    End::ReadBy(listener) => table.text("read_by", listener),
                    other => table.text("lock", word_of(other)),
                };
                let table = reason.iter().fold(table, |table, reason| table.text("reason", reason));
                match sealed_by {
                    Some(SealedByPlan::Nobody) => table.text("sealed_by", "nobody"),
                    Some(SealedByPlan::Path(path)) => table.text("sealed_by", &self.path(*path)),
                    None => table,
                }
            }
            Expectation::Session { between: [one, other], fate } => {
                let pair = format!("{}-{}", self.name(*one), self.name(*other));
                table.text("session", &pair).text("is", fate.word())
            }
            Expectation::Message { label, fate: MessageFate::Undelivered } => {
                table.text("message", &label.0).key("undelivered", "true")
            }
            Expectation::Message { label, fate: MessageFate::Delivered { at, path, count } } => {
                let table = table.text("message", &label.0).text("delivered_at", &self.name(*at));
                let table = path.iter().fold(table, |table, path| table.key("path", self.names(path)));
                count.iter().fold(table, |table, count| table.bounds(*count))
            }
            Expectation::Talked { label, pairs } => table.text("talk", &label.0).bounds(*pairs),
            Expectation::Readable { label, by, is_readable } => {
                let key = if *is_readable { "readable_by" } else { "unreadable_by" };
                table.text("message", &label.0).text(key, &self.name(*by))
            }
            Expectation::Wire { path, pattern, count, within } => {
                let table =
                    table.text("wire", &self.path(*path)).key("match", inline(&pattern_keys(pattern)));
                table.bounds(*count).window(*within)
            }
            Expectation::Event { kind, at, count, within } => {
                table.text("event", kind.word()).text("at", &self.name(*at)).bounds(*count).window(*within)
            }
            Expectation::Told { host, error } => table.text("told", &self.name(*host)).text("error", error),
            Expectation::Ratio { over, under, at_least, at_most } => {
                let table = table.text("ratio", &format!("{} / {}", self.path(*over), self.path(*under)));
                let table = at_least.iter().fold(table, |table, share| table.key("at_least", float(*share)));
                at_most.iter().fold(table, |table, share| table.key("at_most", float(*share)))
            }
            Expectation::ReachableAll => table.text("reachable", "all"),
            Expectation::Broken(invariant) => table.text("broken", invariant.word()),
        };
        table.text
    }

    fn course(&self, course: Course) -> String {
        match course {
            Course::OneWay(path) => self.path(path),
            Course::BothWays(Path { from, to }) => format!("{}-{}", self.name(from), self.name(to)),
        }
    }

    fn path(&self, path: Path) -> String {
        format!("{}>{}", self.name(path.from), self.name(path.to))
    }

    fn names(&self, hosts: &[HostIndex]) -> String {
        let names: Vec<_> = hosts.iter().map(|host| quoted(&self.name(*host))).collect();
        format!("[{}]", names.join(", "))
    }
}

fn which_keys(which: &Which) -> Vec<String> {
    let mut keys = pattern_keys(&which.pattern);
    keys.extend(which.nth.map(|nth| format!("nth = {nth}")));
    if !which.from.is_zero() {
        keys.push(format!("from = \"{}\"", in_words(which.from)));
    }
    keys.extend(which.until.map(|until| format!("until = \"{}\"", in_words(until))));
    keys
}

fn pattern_keys(pattern: &Pattern) -> Vec<String> {
    let handshake = pattern.handshake.map(|message| format!("handshake = \"{}\"", message.word()));
    let record = pattern.record.map(|record: ContentType| format!("record = \"{}\"", record.word()));
    let epoch = pattern.epoch.map(|epoch| format!("epoch = {epoch}"));
    [handshake, record, epoch].into_iter().flatten().collect()
}

fn payload_keys(payload: &[u8], is_reply: bool) -> Vec<String> {
    let text = String::from_utf8_lossy(payload);
    let mut keys = vec![format!("payload = {}", quoted(&text))];
    keys.extend(is_reply.then(|| "reply = true".to_owned()));
    keys
}

fn forge(record: &ForgedRecord, label: &Label) -> String {
    let mut keys = vec![
        format!("type = \"{}\"", record.content_type.word()),
        format!("version = \"{}\"", record.version.word()),
        format!("epoch = {}", record.epoch),
        format!("sequence = {}", sequence_in_words(record.sequence)),
    ];
    keys.push(match &record.body {
        ForgedBody::Bytes(bytes) => format!("body = \"{}\"", hex(bytes)),
        ForgedBody::Random(bytes) => format!("random = {bytes}"),
        ForgedBody::Handshake(message) => format!("handshake = \"{}\"", message.word()),
    });
    keys.extend(named(Some(label)));
    inline(&keys)
}

fn named(label: Option<&Label>) -> Vec<String> {
    label.map(|label| format!("as = {}", quoted(&label.0))).into_iter().collect()
}

fn word_of(end: &End) -> &'static str {
    End::WORDS.iter().find(|(_, known)| known == end).map_or("", |(word, _)| word)
}
