//! Takes in a configuration that has changed, and the files it names, while the node runs: key by key what
//! is in force, and what waits for a restart.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use toml::{Table, Value};

use crate::clock;
use crate::config::{ConfigError, ConfigFile, DaemonConfig, reading};
use crate::daemon::{CommandError, Daemon, NodeHandle};
use crate::name_book::NameBook;
use crate::names::LookUps;
use crate::reload::changes::Changes;

mod changes;

/// Tables that are applied while the node runs. What has changed in them is told by what it means.
const LIVE_TABLES: [&str; 4] = ["neighbour", "route", "names", "e2e"];

/// Keys of `[node]` of which the same holds.
/// A `key` that is another one is told of with the certificate.
const LIVE: [&str; 8] = ["certificate", "key", "roots", "admission", "crl", "allow", "announce", "e2e"];

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
    names: Arc<NameBook>,
    look_ups: LookUps,
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
    pub fn new(path: PathBuf, daemon: &Daemon) -> Result<Self, ConfigError> {
        Ok(Self::over(ConfigInForce::read(path)?, daemon))
    }

    /// Stands by for a node that was started with this.
    #[must_use]
    pub fn over(ConfigInForce { path, running }: ConfigInForce, daemon: &Daemon) -> Self {
        let (handle, names, look_ups) = (daemon.handle(), daemon.name_book(), daemon.look_ups());
        Self { path, handle, names, look_ups, running: Mutex::new(running) }
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
        let trusts_anew =
            running.trust != wanted.trust || running.file.node.admission != wanted.file.node.admission;
        let changes = Changes::between(&running.config, &wanted.config, trusts_anew);
        // An address that was found for the former file must not come after the new one.
        self.look_ups.leave(changes.dialled_elsewhere());
        let outcome = self.handle.with_node(move |node, now| changes.carry_out(node, now));
        let outcome = outcome.inspect_err(|_| self.look_ups.set(running.config.endpoints.clone()))?;
        self.look_ups.set(wanted.config.endpoints.clone());
        for told in changes::of_names(&running.config, &wanted.config) {
            report.applied("names", told);
        }
        self.names.set(wanted.config.names.clone());
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
        let started_with = std::mem::take(&mut running.config.services);
        if started_with != wanted.config.services
            && running.table.get("services") == wanted.table.get("services")
        {
            let what = "a name in it means another node, and is looked at at the start alone";
            report.needs_restart("services", what);
        }
        wanted.config.services = started_with;
        wanted.table = std::mem::take(&mut running.table);
        *running = wanted;
        Ok(report)
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
            _ if LIVE_TABLES.contains(&table.as_str()) => {}
            (Some(Value::Table(before)), Some(Value::Table(after))) => {
                let keys: BTreeSet<_> = before.keys().chain(after.keys()).collect();
                let differing = keys.into_iter().filter(|key| before.get(*key) != after.get(*key));
                let dead = differing.filter(|key| table != "node" || !LIVE.contains(&key.as_str()));
                waiting.extend(dead.map(|key| format!("{table}.{key}")));
            }
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
