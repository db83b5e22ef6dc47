//! Takes in a configuration that has changed, and the files it names, while the node runs: key by key what
//! is in force, and what waits for a restart.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use peerbound_node::{LINK_COST_DEFAULT, NeighbourConfig, Node, Routing};
use peerbound_wire::{NodeId, Prefix};
use serde::Serialize;
use toml::{Table, Value};

use crate::clock;
use crate::config::{ConfigError, ConfigFile, DaemonConfig, reading};
use crate::daemon::{CommandError, NodeHandle};

/// Keys of `[node]` that are applied while the node runs.
const LIVE: [&str; 5] = ["certificate", "roots", "crl", "allow", "announce"];

/// What a reload did, key by key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ReloadReport {
    /// What is in force.
    pub applied: Vec<Reloaded>,
    /// What has changed in the file and is not in force before the node is started anew.
    pub needs_restart: Vec<Reloaded>,
}

/// One key that has changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reloaded {
    /// The key, as `node.mtu`.
    pub key: String,
    /// What became of it, in words.
    pub what: String,
}

/// Why nothing was reloaded; the node goes on as it was.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The configuration cannot be used.
    #[error("{0}{rights}", rights = rights(.0))]
    Config(#[from] ConfigError),
    /// The node does not take it.
    #[error(transparent)]
    Node(#[from] CommandError),
}

/// Adds what is different from the start, when reading was not permitted.
fn rights(error: &ConfigError) -> &'static str {
    if error.is_not_permitted() {
        "; a node that runs has no more rights than its user, root's own neither: let that user read it, or start the node again"
    } else {
        ""
    }
}

impl ReloadReport {
    fn applied(&mut self, key: &str, what: impl Into<String>) {
        self.applied.push(Reloaded { key: key.to_owned(), what: what.into() });
    }

    fn needs_restart(&mut self, key: &str, what: impl Into<String>) {
        self.needs_restart.push(Reloaded { key: key.to_owned(), what: what.into() });
    }
}

/// Knows what a running node was told, and tells it what has changed since.
pub struct Reloader {
    path: PathBuf,
    handle: NodeHandle,
    running: Mutex<Running>,
}

/// What is in force.
struct Running {
    file: ConfigFile,
    /// As it was when the node was started: what waits for a restart waits until there is one.
    table: Table,
    config: DaemonConfig,
    /// The files by which it is decided whom to trust, with what was in them.
    trust: BTreeMap<PathBuf, Vec<u8>>,
}

impl Running {
    fn read(path: &Path) -> Result<Self, ConfigError> {
        let unreadable = |source| ConfigError::Unreadable { file: path.to_owned(), source };
        let text = reading::text(path).map_err(unreadable)?;
        let file = ConfigFile::parse(&text, path)?;
        // It has been parsed: a second time it is the same.
        let table = text.parse().unwrap_or_default();
        Self::of(file, table, path)
    }

    fn of(file: ConfigFile, table: Table, path: &Path) -> Result<Self, ConfigError> {
        // Before the check: what is replaced in between differs from this and is taken in the next time.
        let trust = trust_of(&file, path);
        let config = DaemonConfig::of_file(&file, path, clock::unix_seconds())?;
        Ok(Self { file, table, config, trust })
    }
}

fn trust_of(file: &ConfigFile, path: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let base = path.parent().unwrap_or(Path::new("."));
    // What cannot be read is told of when it is checked.
    let read = |name: &Path| (base.join(name), reading::bytes(&base.join(name)).unwrap_or_default());
    file.trust_files().into_iter().map(read).collect()
}

/// What a node is started with, read before it runs: afterwards it may have given up reading what its user
/// may not.
pub struct ConfigInForce {
    path: PathBuf,
    running: Running,
}

impl ConfigInForce {
    /// Reads a configuration file, with everything it names.
    ///
    /// # Errors
    /// When it cannot be used.
    pub fn read(path: PathBuf) -> Result<Self, ConfigError> {
        let running = Running::read(&path)?;
        Ok(Self { path, running })
    }

    /// Returns what it says.
    #[must_use]
    pub fn config(&self) -> &DaemonConfig {
        &self.running.config
    }
}

impl Reloader {
    /// Stands by for a node that was started with the file at `path`.
    ///
    /// # Errors
    /// When the file cannot be used any more.
    pub fn new(path: PathBuf, handle: NodeHandle) -> Result<Self, ConfigError> {
        Ok(Self::over(ConfigInForce::read(path)?, handle))
    }

    /// Stands by for a node that was started with this.
    #[must_use]
    pub fn over(ConfigInForce { path, running }: ConfigInForce, handle: NodeHandle) -> Self {
        Self { path, handle, running: Mutex::new(running) }
    }

    /// Reads the configuration again, with everything it names, and applies what can be applied.
    ///
    /// # Errors
    /// When it cannot be used; then nothing is applied.
    pub fn reload(&self) -> Result<ReloadReport, ReloadError> {
        let mut running = self.running();
        let wanted = Running::read(&self.path)?;
        self.apply(&mut running, wanted)
    }

    /// Reads the files again by which it is decided whom to trust, the configuration itself not; returns
    /// `None` when they are as they were.
    ///
    /// # Errors
    /// When one of them cannot be used; then nothing is applied.
    pub fn reload_trust(&self) -> Result<Option<ReloadReport>, ReloadError> {
        let mut running = self.running();
        if trust_of(&running.file, &self.path) == running.trust {
            return Ok(None);
        }
        let wanted = Running::of(running.file.clone(), running.table.clone(), &self.path)?;
        self.apply(&mut running, wanted).map(Some)
    }

    /// Returns the last second of our certificate's validity, in seconds since 1970.
    #[must_use]
    pub fn certificate_expires_at(&self) -> Option<i64> {
        self.running().config.node.context.certificate_expires_at()
    }

    /// Lists the files whose change is looked for.
    pub(crate) fn watched(&self) -> Vec<PathBuf> {
        self.running().trust.keys().cloned().collect()
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        // What is in it is replaced as a whole.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn apply(&self, running: &mut Running, mut wanted: Running) -> Result<ReloadReport, ReloadError> {
        let mut report = ReloadReport::default();
        let trusts_anew = running.trust != wanted.trust;
        let changes = Changes::between(&running.config, &wanted.config, trusts_anew);
        let outcome = self.handle.with_node(move |node, now| changes.carry_out(node, now))?;
        for (key, result) in outcome {
            match result {
                Ok(what) => report.applied(key, what),
                Err(why) => {
                    report.needs_restart(key, why);
                    // It is told again with every reload, until it is applied or taken back.
                    wanted.trust = std::mem::take(&mut running.trust);
                    wanted.config = running.config.clone();
                }
            }
        }
        for key in waiting_keys(&running.table, &wanted.table) {
            report.needs_restart(&key, "it is read at the start alone");
        }
        for name in names_that_wait(&running.config, &wanted.config) {
            report.needs_restart("neighbour.address", format!("{name} is looked up from the next start on"));
        }
        wanted.config.endpoints = std::mem::take(&mut running.config.endpoints);
        wanted.table = std::mem::take(&mut running.table);
        *running = wanted;
        Ok(report)
    }
}

/// What a node is to be told.
struct Changes {
    context: Option<peerbound_dtls::Context>,
    removed: Vec<NodeId>,
    set: Vec<(NeighbourConfig, u16)>,
    routes: Option<Vec<peerbound_node::StaticRoute>>,
    prefixes: Option<Vec<Prefix>>,
}

type Outcome = Vec<(&'static str, Result<String, String>)>;

impl Changes {
    fn between(former: &DaemonConfig, wanted: &DaemonConfig, trusts_anew: bool) -> Self {
        let context = trusts_anew.then(|| wanted.node.context.clone());
        let of = |config: &DaemonConfig| -> BTreeMap<NodeId, (NeighbourConfig, u16)> {
            let neighbours = config.node.neighbours.iter();
            neighbours
                .map(|neighbour| (neighbour.id, (neighbour.clone(), cost_of(config, neighbour.id))))
                .collect()
        };
        let (before, after) = (of(former), of(wanted));
        let removed = before.keys().filter(|id| !after.contains_key(*id)).copied().collect();
        let set = after.into_iter().filter(|(id, entry)| before.get(id) != Some(entry));
        let set = set.map(|(_, entry)| entry).collect();
        let routes = (former.node.routes != wanted.node.routes).then(|| wanted.node.routes.clone());
        let prefixes = (prefixes_of(former) != prefixes_of(wanted)).then(|| prefixes_of(wanted).to_vec());
        Self { context, removed, set, routes, prefixes }
    }

    /// Carries them out in an order in which nobody who is shut out comes in meanwhile.
    fn carry_out(self, node: &mut Node, now: Instant) -> Outcome {
        let mut outcome = Outcome::new();
        for id in self.removed {
            node.remove_neighbour(id, now);
            outcome.push(("neighbour", Ok(format!("{id} is no neighbour any more"))));
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
        for (neighbour, cost) in self.set {
            let told = format!("{} is set", neighbour.name);
            node.set_neighbour(neighbour, cost, now);
            outcome.push(("neighbour", Ok(told)));
        }
        if let Some(routes) = self.routes {
            outcome.push(("route", Ok(format!("{} are set", routes.len()))));
            node.set_routes(routes);
        }
        outcome
    }
}

/// Lists the names that were not looked up before. Those that are looked up no more are asked for until the
/// next start.
fn names_that_wait(former: &DaemonConfig, wanted: &DaemonConfig) -> Vec<String> {
    let names = |config: &DaemonConfig| -> BTreeSet<(NodeId, String)> {
        let of_all = config.endpoints.iter();
        let names = of_all.flat_map(|(id, places)| places.iter().map(move |place| (*id, place)));
        let names = names.filter(|(_, place)| place.address().is_none());
        names.map(|(id, place)| (id, place.to_string())).collect()
    };
    names(wanted).difference(&names(former)).map(|(_, name)| name.clone()).collect()
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

/// Lists the keys that differ and are read at the start alone. Whatever is not known to be live is one of
/// them, so that a key that comes to be is never passed over in silence.
fn waiting_keys(former: &Table, wanted: &Table) -> Vec<String> {
    let tables: BTreeSet<_> = former.keys().chain(wanted.keys()).collect();
    let mut waiting = Vec::new();
    for table in tables {
        match (former.get(table), wanted.get(table)) {
            (before, after) if before == after => {}
            (Some(Value::Table(before)), Some(Value::Table(after))) => {
                let keys: BTreeSet<_> = before.keys().chain(after.keys()).collect();
                let differing = keys.into_iter().filter(|key| before.get(*key) != after.get(*key));
                let dead = differing.filter(|key| table != "node" || !LIVE.contains(&key.as_str()));
                waiting.extend(dead.map(|key| format!("{table}.{key}")));
            }
            _ if table == "neighbour" || table == "route" => {}
            _ => waiting.push(table.clone()),
        }
    }
    waiting
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_live_waits_and_is_named() {
        let former: Table = "[node]\nmtu = 1400\ncrl = []\n[tun]\nname = \"a\"\n".parse().unwrap();
        let wanted: Table =
            "[node]\nmtu = 1300\ncrl = [\"x\"]\n[tun]\nname = \"b\"\n[new]\n".parse().unwrap();

        assert_eq!(waiting_keys(&former, &wanted), ["new", "node.mtu", "tun.name"]);
        assert!(waiting_keys(&former, &former).is_empty());
    }
}
