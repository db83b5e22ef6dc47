//! A table of a scenario file, as it is written: its head, then a key on each line.

use std::fmt::Write as _;

use crate::scenario::Scenario;
use crate::scenario::expectation::{Bounds, Window};
use crate::scenario::plan::{Bursts, Conditions, IdentityPlan, NodePlan, SocketPlan};
use crate::scenario::values::{in_words, quoted, rate_in_words};
use crate::scenario::words::Word;

/// One table.
pub(super) struct Table {
    pub(super) text: String,
}

impl Table {
    pub(super) fn new(head: &str) -> Self {
        Self { text: format!("{head}\n") }
    }

    pub(super) fn key(mut self, key: &str, value: impl AsRef<str>) -> Self {
        let _ = writeln!(self.text, "{key} = {}", value.as_ref());
        self
    }

    pub(super) fn text(self, key: &str, value: &str) -> Self {
        self.key(key, quoted(value))
    }

    pub(super) fn bounds(self, bounds: Bounds) -> Self {
        match bounds.at_most {
            Some(most) if most == bounds.at_least => self.key("count", most.to_string()),
            Some(most) => self.key("at_least", bounds.at_least.to_string()).key("at_most", most.to_string()),
            None => self.key("at_least", bounds.at_least.to_string()),
        }
    }

    pub(super) fn window(self, window: Window) -> Self {
        let from = (!window.from.is_zero()).then_some(window.from);
        let table = from.iter().fold(self, |table, from| table.text("from", &in_words(*from)));
        window.until.iter().fold(table, |table, until| table.text("until", &in_words(*until)))
    }

    pub(super) fn conditions(self, conditions: &Conditions, base: &Conditions) -> Self {
        let keys = condition_keys(conditions, base);
        keys.iter().fold(self, |table, (key, value)| table.key(key, value))
    }

    /// Writes what differs from the defaults.
    pub(super) fn node(self, scenario: &Scenario, node: &NodePlan, default: &NodePlan) -> Self {
        let suite = node.dtls.suite.map(|suite| quoted(suite.name));
        let socket = match node.socket {
            SocketPlan::Open => None,
            SocketPlan::ConnectedTo(host) => Some(quoted(&format!("connected to {}", scenario.name(host)))),
        };
        let identity = match node.identity {
            IdentityPlan::Own => None,
            IdentityPlan::Foreign => Some(quoted("foreign")),
            IdentityPlan::Of(host) => Some(quoted(&format!("of {}", scenario.name(host)))),
        };
        let keys = [
            ("suite", suite),
            ("version", differing(node.dtls.version, default.dtls.version)),
            ("encrypt_then_mac", (!node.dtls.encrypt_then_mac).then(|| "false".to_owned())),
            ("renegotiation", differing(node.dtls.renegotiation, default.dtls.renegotiation)),
            ("gate", differing(node.gate, default.gate)),
            ("replay_mirror", differing(node.replay_mirror, default.replay_mirror)),
            ("demux", differing(node.demux, default.demux)),
            ("routing", differing(node.routing, default.routing)),
            ("feasibility", differing(node.feasibility, default.feasibility)),
            ("first_timeout", Some(quoted(&in_words(node.first_timeout)))),
            ("handshake_deadline", Some(quoted(&in_words(node.handshake_deadline)))),
            ("attempts", differing(node.attempts, default.attempts)),
            ("mtu", (node.mtu != default.mtu).then(|| node.mtu.to_string())),
            (
                "rekey_records",
                (node.rekey_records != default.rekey_records).then(|| node.rekey_records.to_string()),
            ),
            ("rekey_age", (node.rekey_age != default.rekey_age).then(|| quoted(&in_words(node.rekey_age)))),
            ("socket", socket),
            ("boot", differing(node.boot, default.boot)),
            ("identity", identity),
            ("e2e", differing(node.e2e, default.e2e)),
        ];
        keys.into_iter().fold(self, |table, (key, value)| match value {
            Some(value) => table.key(key, value),
            None => table,
        })
    }
}

fn differing<T: Word>(value: T, default: T) -> Option<String> {
    (value != default).then(|| quoted(value.word()))
}

fn condition_keys(conditions: &Conditions, base: &Conditions) -> Vec<(&'static str, String)> {
    let time = |time| quoted(&in_words(time));
    let changed = |is_changed: bool, value: String| is_changed.then_some(value);
    let keys = [
        ("latency", changed(conditions.latency != base.latency, time(conditions.latency))),
        ("jitter", changed(conditions.jitter != base.jitter, time(conditions.jitter))),
        ("loss", changed(conditions.loss != base.loss, float(conditions.loss.get()))),
        ("bursts", conditions.bursts.filter(|_| conditions.bursts != base.bursts).map(bursts)),
        ("duplicate", changed(conditions.duplicate != base.duplicate, float(conditions.duplicate.get()))),
        ("reorder", changed(conditions.reorder != base.reorder, float(conditions.reorder.get()))),
        (
            "rate",
            conditions.rate.filter(|_| conditions.rate != base.rate).map(|rate| quoted(&rate_in_words(rate))),
        ),
        ("queue", changed(conditions.queue_bytes != base.queue_bytes, conditions.queue_bytes.to_string())),
        ("mtu", conditions.mtu.filter(|_| conditions.mtu != base.mtu).map(|mtu| mtu.to_string())),
        ("icmp", changed(conditions.icmp != base.icmp, conditions.icmp.to_string())),
        ("up", changed(conditions.is_up != base.is_up, conditions.is_up.to_string())),
    ];
    keys.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
}

pub(super) fn inline_conditions(conditions: &Conditions, base: &Conditions) -> Option<String> {
    let keys = condition_keys(conditions, base);
    let keys: Vec<_> = keys.iter().map(|(key, value)| format!("{key} = {value}")).collect();
    (!keys.is_empty()).then(|| inline(&keys))
}

fn bursts(bursts: Bursts) -> String {
    format!(
        "{{ enter = {}, leave = {}, loss_good = {}, loss_bad = {} }}",
        float(bursts.enter.get()),
        float(bursts.leave.get()),
        float(bursts.loss_good.get()),
        float(bursts.loss_bad.get())
    )
}

pub(super) fn inline(keys: &[String]) -> String {
    if keys.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", keys.join(", ")) }
}

/// Writes a number with a point, so that it is read as one.
pub(super) fn float(number: f64) -> String {
    format!("{number:?}")
}
