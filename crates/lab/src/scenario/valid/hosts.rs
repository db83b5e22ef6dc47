//! Nodes and other hosts.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use peerbound_cid::MoveRule;
use peerbound_dtls::Suite;
use toml::Spanned;

use crate::run::ATTACKER;
use crate::scenario::error::ScenarioError;
use crate::scenario::file::{HostFile, NodeFile, RecordModelFile, ScenarioFile};
use crate::scenario::mesh::{PORT, address_of};
use crate::scenario::place::Place;
use crate::scenario::plan::{
    Boot, DtlsPlan, HostPlan, HostRole, IdentityPlan, MeshPlan, NodePlan, Routing, SocketPlan, Version,
};
use crate::scenario::record_model::RecordModelPlan;
use crate::scenario::valid::{MESH_DEGREE_MAX, MESH_NODES_MAX, Validation, number, word};
use crate::scenario::values::choices;
use crate::trace::HostIndex;

/// OpenSSL's own least for DTLS, with room for a frame header and some payload.
const MTU_MIN: i64 = 256;

/// The payload of the largest UDP datagram over IPv4.
const MTU_MAX: i64 = 65_507;

/// Names with a meaning of their own.
const RESERVED: [&str; 3] = ["attacker", "all", "nobody"];

impl<'a> Validation<'a> {
    pub(super) fn hosts(&mut self, file: &'a ScenarioFile) -> Result<(), ScenarioError> {
        let none = NodeFile::default();
        let defaults = file.nodes.as_ref().map_or(&none, Spanned::get_ref);
        if let Some(nodes) = &file.nodes {
            let place = self.whole.table("nodes", nodes);
            for (key, is_given) in
                [("name", defaults.name.is_some()), ("address", defaults.address.is_some())]
            {
                if is_given {
                    return Err(place.wrong(key, "not all nodes can have the same: write it in [[node]]"));
                }
            }
        }
        if let Some(mesh) = &file.mesh {
            return self.mesh(file, mesh, defaults);
        }
        self.host_names(file)?;
        for (index, node) in file.node.iter().enumerate() {
            let place = self.whole.numbered("node", index, node);
            let merged = merge(node.get_ref(), defaults);
            let plan = self.node_plan(place, &merged)?;
            self.hosts[index].role = HostRole::Node(Box::new(plan));
        }
        for (index, host) in file.host.iter().enumerate() {
            let place = self.whole.numbered("host", index, host);
            self.hosts[file.node.len() + index].role = self.host_role(place, host.get_ref())?;
        }
        self.check_record_models(file)?;
        self.check_identities(file)
    }

    /// The model has its sessions with its like: a node knows no Connection IDs.
    fn check_record_models(&self, file: &ScenarioFile) -> Result<(), ScenarioError> {
        let runs_model = |host: &HostIndex| {
            let plan = self.hosts.get(host.0 as usize);
            plan.is_some_and(|plan| matches!(plan.role, HostRole::RecordModel(_)))
        };
        for (index, host) in file.host.iter().enumerate() {
            let HostRole::RecordModel(model) = &self.hosts[file.node.len() + index].role else { continue };
            if !model.dials.iter().all(runs_model) {
                let place = self.whole.numbered("host", index, host);
                let problem =
                    "a record model has sessions with record models alone: give the others one, too";
                return Err(place.wrong("record_model.dials", problem));
            }
        }
        Ok(())
    }

    fn mesh(
        &mut self,
        file: &ScenarioFile,
        mesh: &Spanned<crate::scenario::file::MeshFile>,
        defaults: &NodeFile,
    ) -> Result<(), ScenarioError> {
        let place = self.whole.table("mesh", mesh);
        let others = [
            ("[[node]]", file.node.is_empty()),
            ("[[host]]", file.host.is_empty()),
            ("[[link]]", file.link.is_empty()),
            ("[[nat]]", file.nat.is_empty()),
            ("[[listener]]", file.listener.is_empty()),
            ("[[fault]]", file.fault.is_empty()),
        ];
        if let Some((name, _)) = others.iter().find(|(_, is_empty)| !is_empty) {
            return Err(
                place.wrong("", format!("a mesh makes its hosts and links itself: remove {name}, or [mesh]"))
            );
        }
        let nodes = number(place, "nodes", mesh.get_ref().nodes, 2..=MESH_NODES_MAX)?;
        let degree = number(place, "degree", mesh.get_ref().degree, 1..=MESH_DEGREE_MAX)?;
        let place = file.nodes.as_ref().map_or(place, |nodes| self.whole.table("nodes", nodes));
        if defaults.socket.is_some() || defaults.boot.is_some() || defaults.identity.is_some() {
            return Err(place.wrong("", "in a mesh all nodes have their own identity and an open socket"));
        }
        let node = self.node_plan(place, defaults)?;
        // The conditions come with [network].
        self.mesh = Some(MeshPlan { nodes, degree, conditions: self.network.clone(), node });
        Ok(())
    }

    /// Gives every host its place, so that hosts can name each other.
    fn host_names(&mut self, file: &ScenarioFile) -> Result<(), ScenarioError> {
        let nodes = file.node.iter().enumerate().map(|(index, node)| {
            let NodeFile { name, address, .. } = node.get_ref();
            (self.whole.numbered("node", index, node), name.as_ref(), address.as_ref())
        });
        let hosts = file.host.iter().enumerate().map(|(index, host)| {
            let HostFile { name, address, .. } = host.get_ref();
            (self.whole.numbered("host", index, host), Some(name), address.as_ref())
        });
        let (mut names, mut addresses) = (BTreeSet::new(), BTreeSet::new());
        let mut plans = Vec::new();
        for (index, (place, name, address)) in nodes.chain(hosts).enumerate() {
            let name =
                name.ok_or_else(|| place.wrong("", "it has no `name`: give it one, as in `name = \"A\"`"))?;
            check_host_name(place, name)?;
            if !names.insert(name.clone()) {
                return Err(place.wrong("name", format!("another host is called {name:?}, too: rename one")));
            }
            let address = match address {
                Some(text) => host_address(place, text)?,
                None => address_of(u32::try_from(index).expect("hosts have a ceiling far below")),
            };
            check_is_not_the_attackers(place, address.ip())?;
            if !addresses.insert(address) {
                return Err(place.wrong("address", format!("another host has {address}, too: correct one")));
            }
            plans.push(HostPlan { name: name.clone(), address, role: HostRole::Bystander });
        }
        if plans.is_empty() {
            return Err(self.whole.wrong("", "nobody takes part: add [[node]] tables, or a [mesh]"));
        }
        self.hosts = plans;
        Ok(())
    }

    fn host_role(&self, place: Place<'_>, host: &HostFile) -> Result<HostRole, ScenarioError> {
        if let Some(model) = &host.record_model {
            if host.forwards.is_some() {
                return Err(place.wrong("record_model", "the host forwards already: give it one of the two"));
            }
            return self.record_model(place, host, model).map(HostRole::RecordModel);
        }
        let Some(names) = &host.forwards else {
            return Ok(HostRole::Bystander);
        };
        let [one, other] = names.as_slice() else {
            return Err(place.wrong("forwards", "a forwarder stands between two hosts: write [\"A\", \"C\"]"));
        };
        let between = self.two(place, "forwards", [one, other])?;
        Ok(HostRole::Forwarder { between })
    }

    fn record_model(
        &self,
        place: Place<'_>,
        host: &HostFile,
        file: &RecordModelFile,
    ) -> Result<RecordModelPlan, ScenarioError> {
        let mut dials = Vec::new();
        for name in &file.dials {
            let [_, peer] = self.two(place, "record_model.dials", [&host.name, name])?;
            if dials.contains(&peer) {
                return Err(
                    place.wrong("record_model.dials", format!("{name:?} is named twice: once will do"))
                );
            }
            dials.push(peer);
        }
        let key = "record_model.patience";
        let patience = self.some_time(place, key, file.patience.as_ref())?;
        Ok(RecordModelPlan {
            dials,
            asks_for_id: file.id.unwrap_or(true),
            move_rule: word(
                place,
                "record_model.address_check",
                file.address_check.as_ref(),
                MoveRule::Follow,
            )?,
            patience: patience.unwrap_or(RecordModelPlan::PATIENCE_DEFAULT),
        })
    }

    fn node_plan(&self, place: Place<'_>, file: &NodeFile) -> Result<NodePlan, ScenarioError> {
        let default = NodePlan::default();
        let mtu = file.mtu.map(|mtu| number(place, "mtu", mtu, MTU_MIN..=MTU_MAX)).transpose()?;
        let records = |records| number(place, "rekey_records", records, 1..=i64::MAX);
        let time = |key, text: &Option<String>| self.some_time(place, key, text.as_ref());
        let first_timeout = time("first_timeout", &file.first_timeout)?.unwrap_or(default.first_timeout);
        // FACTS of OpenSSL: a timer with 15 ms left counts as expired, so that a shorter one never stops.
        if first_timeout.as_millis() < 20 {
            return Err(place
                .wrong("first_timeout", "OpenSSL takes a timer of 15 ms for expired: give 20 ms or more"));
        }
        Ok(NodePlan {
            dtls: dtls_plan(place, file)?,
            gate: word(place, "gate", file.gate.as_ref(), default.gate)?,
            replay_mirror: word(place, "replay_mirror", file.replay_mirror.as_ref(), default.replay_mirror)?,
            demux: word(place, "demux", file.demux.as_ref(), default.demux)?,
            routing: word(place, "routing", file.routing.as_ref(), default.routing)?,
            feasibility: word(place, "feasibility", file.feasibility.as_ref(), default.feasibility)?,
            first_timeout,
            handshake_deadline: time("handshake_deadline", &file.handshake_deadline)?
                .unwrap_or(default.handshake_deadline),
            attempts: word(place, "attempts", file.attempts.as_ref(), default.attempts)?,
            mtu: mtu.unwrap_or(default.mtu),
            rekey_records: file.rekey_records.map(records).transpose()?.unwrap_or(default.rekey_records),
            rekey_age: time("rekey_age", &file.rekey_age)?.unwrap_or(default.rekey_age),
            socket: self.socket_plan(place, file)?,
            boot: word(place, "boot", file.boot.as_ref(), Boot::AtOnce)?,
            identity: self.identity_plan(place, file)?,
            e2e: word(place, "e2e", file.e2e.as_ref(), default.e2e)?,
        })
    }

    fn socket_plan(&self, place: Place<'_>, file: &NodeFile) -> Result<SocketPlan, ScenarioError> {
        match file.socket.as_deref() {
            None | Some("open") => Ok(SocketPlan::Open),
            Some(text) => match text.strip_prefix("connected to ") {
                Some(name) => self.host(place, "socket", name).map(SocketPlan::ConnectedTo),
                None => Err(place.wrong(
                    "socket",
                    format!("{text:?} has no meaning here: write \"open\" or \"connected to B\""),
                )),
            },
        }
    }

    fn identity_plan(&self, place: Place<'_>, file: &NodeFile) -> Result<IdentityPlan, ScenarioError> {
        match file.identity.as_deref() {
            None | Some("own") => Ok(IdentityPlan::Own),
            Some("foreign") => Ok(IdentityPlan::Foreign),
            Some(text) => match text.strip_prefix("of ") {
                Some(name) => self.host(place, "identity", name).map(IdentityPlan::Of),
                None => {
                    let problem =
                        format!("{text:?} has no meaning here: write \"own\", \"foreign\" or \"of B\"");
                    Err(place.wrong("identity", problem))
                }
            },
        }
    }

    /// Who has another's identity names a node that has its own, and sockets are not connected to
    /// themselves.
    fn check_identities(&self, file: &ScenarioFile) -> Result<(), ScenarioError> {
        let has_own = |host: &HostPlan| host.node().is_some_and(|node| node.identity == IdentityPlan::Own);
        for (index, (node, host)) in file.node.iter().zip(&self.hosts).enumerate() {
            let place = self.whole.numbered("node", index, node);
            let Some(plan) = host.node() else { continue };
            if let IdentityPlan::Of(other) = plan.identity
                && !self.hosts.get(other.0 as usize).is_some_and(has_own)
            {
                return Err(place.wrong("identity", "an identity is taken from a node that has its own"));
            }
            if let SocketPlan::ConnectedTo(other) = plan.socket
                && other.0 as usize == index
            {
                return Err(place.wrong("socket", "a socket is connected to another host, not to its own"));
            }
            if plan.routing == Routing::Static && plan.feasibility != NodePlan::default().feasibility {
                return Err(place.wrong("feasibility", "it matters where `routing = \"dynamic\"` only"));
            }
        }
        Ok(())
    }
}

fn dtls_plan(place: Place<'_>, file: &NodeFile) -> Result<DtlsPlan, ScenarioError> {
    let suite = file.suite.as_ref().map(|name| suite(place, name)).transpose()?;
    let version = word(place, "version", file.version.as_ref(), DtlsPlan::NODE.version)?;
    if version == Version::Dtls10 {
        let fits = |suite: Suite| !suite.is_aead() && suite.name.ends_with("-SHA");
        if !suite.is_some_and(fits) {
            let problem = "DTLS 1.0 has CBC suites with SHA-1 only: add `suite = \"ECDHE-RSA-AES256-SHA\"`";
            return Err(place.wrong("version", problem));
        }
    }
    Ok(DtlsPlan {
        suite,
        version,
        encrypt_then_mac: file.encrypt_then_mac.unwrap_or(DtlsPlan::NODE.encrypt_then_mac),
        renegotiation: word(
            place,
            "renegotiation",
            file.renegotiation.as_ref(),
            DtlsPlan::NODE.renegotiation,
        )?,
    })
}

fn suite(place: Place<'_>, name: &str) -> Result<Suite, ScenarioError> {
    Suite::by_name(name).ok_or_else(|| {
        let known: Vec<_> = Suite::names().collect();
        place
            .wrong("suite", format!("{name:?} is no suite we know the records of: {}", choices(name, &known)))
    })
}

/// A host's name is typed, and stands in "A>B" and "A-B".
fn check_host_name(place: Place<'_>, name: &str) -> Result<(), ScenarioError> {
    const NAME_CHARACTERS_MAX: usize = 32;
    let is_good = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    if name.is_empty() || name.len() > NAME_CHARACTERS_MAX || !name.chars().all(is_good) {
        let problem =
            format!("{name:?} is no name for a host: write 1 to {NAME_CHARACTERS_MAX} letters and digits");
        return Err(place.wrong("name", problem));
    }
    if RESERVED.contains(&name) {
        return Err(place.wrong("name", format!("{name:?} has a meaning of its own: choose another name")));
    }
    Ok(())
}

/// Reads "10.0.0.1:4433", or an address without a port.
fn host_address(place: Place<'_>, text: &str) -> Result<SocketAddr, ScenarioError> {
    let address: Option<SocketAddr> =
        text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, PORT)));
    address.filter(|address| address.port() != 0 && !address.ip().is_unspecified()).ok_or_else(|| {
        place.wrong(
            "address",
            format!("{text:?} is no address: write one like \"10.0.0.1\" or \"10.0.0.1:4433\""),
        )
    })
}

/// Whatever goes to the attacker's address is the attacker's, so nobody else could be reached there.
pub(super) fn check_is_not_the_attackers(place: Place<'_>, address: IpAddr) -> Result<(), ScenarioError> {
    if address == ATTACKER.ip() {
        return Err(place.wrong("address", format!("{address} is the attacker's: choose another")));
    }
    Ok(())
}

/// Takes what a node says of itself, and what `[nodes]` says for the rest.
fn merge(own: &NodeFile, defaults: &NodeFile) -> NodeFile {
    macro_rules! either {
        ($($key:ident),*) => {
            NodeFile { $($key: own.$key.clone().or_else(|| defaults.$key.clone()),)* }
        };
    }
    either!(
        name,
        address,
        suite,
        version,
        encrypt_then_mac,
        renegotiation,
        gate,
        replay_mirror,
        demux,
        routing,
        feasibility,
        first_timeout,
        handshake_deadline,
        attempts,
        mtu,
        rekey_records,
        rekey_age,
        socket,
        boot,
        identity,
        e2e
    )
}
