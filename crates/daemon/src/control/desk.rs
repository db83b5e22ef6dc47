//! What the requests have at hand: a way to the node, and what people call nodes.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use peerbound_wire::NodeId;

use crate::clock;
use crate::control::ControlOptions;
use crate::control::answers::NodeName;
use crate::control::error::{ErrorCode, Refusal};
use crate::control::log_book::Log;
use crate::daemon::{Daemon, NodeHandle, Nodes};
use crate::name_book::{NameBook, called};
use crate::reload::Reloader;
use crate::tun::HostRoutes;

/// Everything that a request may use.
pub(crate) struct Desk {
    pub(crate) id: NodeId,
    pub(crate) address: SocketAddr,
    pub(crate) handle: NodeHandle,
    pub(crate) config: PathBuf,
    pub(crate) started: Instant,
    pub(crate) log: Option<Log>,
    pub(crate) reloader: Option<Arc<Reloader>>,
    pub(crate) host_routes: Option<HostRoutes>,
    own_name: String,
    names: Arc<NameBook>,
}

impl Desk {
    pub(crate) fn new(daemon: &Daemon, options: ControlOptions) -> Self {
        let ControlOptions { config, log, reloader, .. } = options;
        Self {
            id: daemon.id(),
            address: daemon.address(),
            handle: daemon.handle(),
            config,
            started: clock::now(),
            log,
            reloader,
            host_routes: daemon.host_routes(),
            own_name: own_name(daemon),
            names: daemon.name_book(),
        }
    }

    /// Names a node: by its name from the configuration, else by its short id.
    pub(crate) fn name(&self, id: &NodeId) -> NodeName {
        NodeName { id: id.to_string(), name: called(&self.names.current(), id) }
    }

    /// Names this node: as its certificate does, for its own configuration has no name for it.
    pub(crate) fn own_name(&self) -> NodeName {
        NodeName { id: self.id.to_string(), name: self.own_name.clone() }
    }

    /// Returns the names as they are at this moment, also for a closure that outlives a request.
    pub(crate) fn names(&self) -> Arc<Nodes> {
        self.names.current()
    }

    /// Finds a node by its name or id to which there may be a way.
    pub(crate) fn find_other(&self, text: &str) -> Result<NodeId, Refusal> {
        let id = self.find(text)?;
        if id == self.id {
            let problem = "that is this node itself, and a way leads to others";
            return Err(Refusal::new(ErrorCode::BadParameter, problem));
        }
        Ok(id)
    }

    /// Finds a node by its name or id.
    pub(crate) fn find(&self, text: &str) -> Result<NodeId, Refusal> {
        let names = self.names();
        let named = names.iter().find(|(_, name)| *name == text).map(|(id, _)| *id);
        named.or_else(|| text.parse().ok()).ok_or_else(|| {
            let known: Vec<_> = names.values().map(String::as_str).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            let problem = format!(
                "nobody is called {text:?} (known names: {known}): add it to [names], or give a node id of 32 hexadecimal digits"
            );
            Refusal::new(ErrorCode::UnknownNode, problem)
        })
    }
}

fn own_name(daemon: &Daemon) -> String {
    let name = daemon
        .handle()
        .with_node(|node, _| node.config().context.certificate().map(peerbound_dtls::common_name));
    name.ok().flatten().unwrap_or_else(|| daemon.id().short())
}
