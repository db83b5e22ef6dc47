//! What differs between the configuration of a running node and another one: carried out on the node's own
//! thread, and said key by key.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use peerbound_dtls::Context;
use peerbound_node::{
    EndToEnd, InnerConfig, LINK_COST_DEFAULT, NeighbourConfig, Node, Rate, Routing, StaticRoute,
};
use peerbound_wire::{NodeId, Prefix};

use crate::config::{DaemonConfig, Endpoint, e2e_fits};

/// Names that are told one by one; of more, how many they are.
const NAMES_TOLD_MAX: usize = 16;

/// What a node is to be told.
pub(super) struct Changes {
    context: Option<Context>,
    removed: Vec<(NodeId, String)>,
    set: Vec<Setting>,
    /// Those whose addresses or names in the file differ.
    dialled_elsewhere: BTreeSet<NodeId>,
    routes: Option<Vec<StaticRoute>>,
    prefixes: Option<Vec<Prefix>>,
    rates: Option<BTreeMap<NodeId, Rate>>,
    end_to_end: Option<InnerConfig>,
    /// What is said of rates and of inner sessions.
    told_of_rates: Vec<String>,
    told_of_end_to_end: Vec<(&'static str, String)>,
}

/// A neighbour as it is to be, and what is said of the difference.
struct Setting {
    config: NeighbourConfig,
    cost: u16,
    told: Vec<(&'static str, String)>,
}

/// What became of each key.
pub(super) type Outcome = Vec<(&'static str, Result<String, String>)>;

impl Changes {
    pub(super) fn between(former: &DaemonConfig, wanted: &DaemonConfig, trusts_anew: bool) -> Self {
        let before = by_id(former);
        let after = by_id(wanted);
        let endpoints_differ = |id: &NodeId| former.endpoints.get(id) != wanted.endpoints.get(id);
        let removed = before.iter().filter(|(id, _)| !after.contains_key(*id));
        let settings = after.iter().map(|(id, neighbour)| Setting {
            config: (*neighbour).clone(),
            cost: cost_of(wanted, *id),
            told: told_of_neighbour(before.get(id).copied(), neighbour, (former, wanted)),
        });
        let rates = &wanted.node.rates;
        let inner = &wanted.node.inner;
        let told_of_end_to_end = told_of_end_to_end(former, wanted);
        Self {
            context: trusts_anew.then(|| wanted.node.context.clone()),
            removed: removed.map(|(id, neighbour)| (*id, neighbour.name.clone())).collect(),
            set: settings.filter(|setting| !setting.told.is_empty()).collect(),
            dialled_elsewhere: before.keys().chain(after.keys()).copied().filter(endpoints_differ).collect(),
            routes: (former.node.routes != wanted.node.routes).then(|| wanted.node.routes.clone()),
            prefixes: (prefixes_of(former) != prefixes_of(wanted)).then(|| prefixes_of(wanted).to_vec()),
            rates: (former.node.rates != *rates).then(|| rates.clone()),
            end_to_end: (!told_of_end_to_end.is_empty()).then(|| inner.clone()),
            told_of_rates: told_of_rates(&former.node.rates, wanted),
            told_of_end_to_end,
        }
    }

    /// Lists the neighbours that are dialled elsewhere than before, or not at all.
    pub(super) fn dialled_elsewhere(&self) -> &BTreeSet<NodeId> {
        &self.dialled_elsewhere
    }

    /// Carries them out in an order in which nobody who is shut out comes in meanwhile.
    pub(super) fn carry_out(self, node: &mut Node, now: Instant) -> Outcome {
        let mut outcome = Outcome::new();
        for (id, name) in self.removed {
            node.remove_neighbour(id, now);
            outcome.push(("neighbour", Ok(format!("{name} is no neighbour any more"))));
        }
        // What is announced shrinks before the certificate does, and grows after it.
        let mut prefixes = self.prefixes;
        if let Some(fewer) = prefixes.take_if(|_| self.context.is_some()) {
            let first = node.set_prefixes(&fewer, now);
            prefixes = first.is_err().then_some(fewer);
            if first.is_ok() {
                outcome.push(("node.announce", Ok("announced anew".to_owned())));
            }
        }
        if let Some(context) = self.context {
            let replaced = node.replace_context(context, now);
            let told = replaced.map(|()| "certificates are judged anew".to_owned());
            outcome.push(("node.certificate", told.map_err(|error| error.to_string())));
        }
        if let Some(prefixes) = prefixes {
            let announced = node.set_prefixes(&prefixes, now);
            let told = announced.map(|()| "announced anew".to_owned());
            outcome.push(("node.announce", told.map_err(|error| error.to_string())));
        }
        for Setting { mut config, cost, told } in self.set {
            if !self.dialled_elsewhere.contains(&config.id) {
                // What was found of its names is as good as it was.
                config.addresses = node.neighbour_addresses(config.id);
            }
            node.set_neighbour(config, cost, now);
            outcome.extend(told.into_iter().map(|(key, told)| (key, Ok(told))));
        }
        if let Some(rates) = self.rates {
            node.set_rates(rates);
            outcome.extend(self.told_of_rates.into_iter().map(|told| ("neighbour.rate", Ok(told))));
        }
        if let Some(inner) = self.end_to_end {
            outcome.extend(set_end_to_end(node, inner, self.told_of_end_to_end, now));
        }
        if let Some(routes) = self.routes {
            outcome.push(("route", Ok(format!("{} are set", routes.len()))));
            node.set_routes(routes);
        }
        outcome
    }
}

fn by_id(config: &DaemonConfig) -> BTreeMap<NodeId, &NeighbourConfig> {
    config.node.neighbours.iter().map(|neighbour| (neighbour.id, neighbour)).collect()
}

/// Says what of a neighbour differs, key by key; nothing where nothing does.
fn told_of_neighbour(
    before: Option<&NeighbourConfig>,
    after: &NeighbourConfig,
    (former, wanted): (&DaemonConfig, &DaemonConfig),
) -> Vec<(&'static str, String)> {
    let (id, name) = (after.id, &after.name);
    let Some(before) = before else { return vec![("neighbour", format!("{name} is a neighbour"))] };
    let mut told = Vec::new();
    if before.name != *name {
        told.push(("neighbour.name", format!("{} is called {name}", before.name)));
    }
    if former.endpoints.get(&id) != wanted.endpoints.get(&id) {
        told.push(("neighbour.address", told_of_places(wanted, id, name)));
    }
    let cost = cost_of(wanted, id);
    if cost_of(former, id) != cost {
        told.push(("neighbour.cost", format!("the link to {name} costs {cost}")));
    }
    told
}

fn told_of_places(wanted: &DaemonConfig, id: NodeId, name: &str) -> String {
    let Some(places) = wanted.places_of(&id) else {
        return format!("{name} is not dialled any more, and may dial us");
    };
    let is_name = |endpoint: &Endpoint| endpoint.address().is_none();
    let is_looked_up = wanted.endpoints.get(&id).is_some_and(|endpoints| endpoints.iter().any(is_name));
    let looked_up = if is_looked_up { ", looked up from here on" } else { "" };
    format!("{name} is dialled at {places}{looked_up}")
}

fn told_of_rates(former: &BTreeMap<NodeId, Rate>, wanted: &DaemonConfig) -> Vec<String> {
    let rates = &wanted.node.rates;
    let differing = wanted.node.neighbours.iter().filter(|it| former.get(&it.id) != rates.get(&it.id));
    let told = differing.map(|NeighbourConfig { id, name, .. }| match rates.get(id) {
        Some(rate) => format!("the link to {name} is given {rate} at most"),
        None => format!("the link to {name} is given as much as it takes"),
    });
    told.collect()
}

fn told_of_end_to_end(former: &DaemonConfig, wanted: &DaemonConfig) -> Vec<(&'static str, String)> {
    let name =
        |id: &NodeId| wanted.names.get(id).or(former.names.get(id)).cloned().unwrap_or_else(|| id.short());
    let (former, inner) = (&former.node.inner, &wanted.node.inner);
    let mut told = Vec::new();
    if former.default != inner.default {
        let how = match inner.default {
            EndToEnd::On => "payloads travel in sessions from end to end",
            EndToEnd::Off => "payloads travel in the clear",
        };
        let but = if inner.exceptions.is_empty() { "" } else { ", but for those in [e2e]" };
        told.push(("node.e2e", format!("{how}{but}")));
    }
    let excepted: BTreeSet<_> = former.exceptions.keys().chain(inner.exceptions.keys()).collect();
    for id in excepted.into_iter().filter(|id| former.with(id) != inner.with(id)) {
        let how = match inner.with(id) {
            EndToEnd::On => "on",
            EndToEnd::Off => "off",
        };
        told.push(("e2e", format!("{how} with {}", name(id))));
    }
    told
}

fn set_end_to_end(
    node: &mut Node,
    inner: InnerConfig,
    told: Vec<(&'static str, String)>,
    now: Instant,
) -> Outcome {
    if !e2e_fits(&inner, node.mtu()) {
        // The file has a greater `mtu`, which waits for the start.
        let why = format!("the node runs with an mtu of {} bytes, too few for sessions", node.mtu());
        return told.into_iter().map(|(key, _)| (key, Err(why.clone()))).collect();
    }
    let ended = node.set_end_to_end(inner.default, inner.exceptions, now);
    let mut outcome: Outcome = told.into_iter().map(|(key, told)| (key, Ok(told))).collect();
    if ended > 0 {
        let sessions = if ended == 1 { "1 session" } else { &format!("{ended} sessions") };
        outcome.push(("e2e", Ok(format!("{sessions} from end to end closed"))));
    }
    outcome
}

/// Says of the nodes further away who is called otherwise; what neighbours are called is said with them.
pub(super) fn of_names(former: &DaemonConfig, wanted: &DaemonConfig) -> Vec<String> {
    let neighbours: BTreeSet<_> =
        former.node.neighbours.iter().chain(&wanted.node.neighbours).map(|neighbour| neighbour.id).collect();
    let ids: BTreeSet<_> = former.names.keys().chain(wanted.names.keys()).collect();
    let differing = ids.into_iter().filter(|id| former.names.get(*id) != wanted.names.get(*id));
    let mut told: Vec<_> = differing
        .filter(|id| !neighbours.contains(*id))
        .map(|id| match (former.names.get(id), wanted.names.get(id)) {
            (Some(before), Some(after)) => format!("{before} is called {after}"),
            (None, Some(after)) => format!("{} is called {after}", id.short()),
            (before, None) => {
                let before = before.map_or_else(|| id.short(), Clone::clone);
                format!("{before} has no name any more")
            }
        })
        .collect();
    let more = told.len().saturating_sub(NAMES_TOLD_MAX);
    if more > 0 {
        told.truncate(NAMES_TOLD_MAX);
        told.push(format!("{more} more are called otherwise"));
    }
    told
}

fn cost_of(config: &DaemonConfig, id: NodeId) -> u16 {
    match &config.node.routing {
        Routing::Static => LINK_COST_DEFAULT,
        Routing::Dynamic(routing) => routing.costs.get(&id).copied().unwrap_or(LINK_COST_DEFAULT),
    }
}

fn prefixes_of(config: &DaemonConfig) -> &[Prefix] {
    match &config.node.routing {
        Routing::Static => &[],
        Routing::Dynamic(routing) => &routing.prefixes,
    }
}
