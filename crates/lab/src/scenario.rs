//! A scenario: who takes part, what is done, what must be seen. It says nothing about where it runs;
//! the simulator, loopback sockets and network namespaces take the same one.

mod error;
mod expectation;
mod fault;
mod file;
mod mesh;
mod parameters;
mod parse;
mod place;
mod plan;
mod record_model;
mod render;
mod step;
mod sweep;
mod valid;
mod values;
mod words;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::time::Duration;

pub use error::ScenarioError;
pub use expectation::{
    Bounds, End, EventKind, Expectation, Invariant, MessageFate, SealedByPlan, SessionFate, Window,
};
pub use fault::{Course, FaultAction, FaultPlan, HandshakeMessage, Path, Pattern, Which};
pub use mesh::Layout;
pub use plan::{
    Attempts, Boot, Bursts, Conditions, DemuxPlan, Dials, DtlsPlan, HostPlan, HostRole, IdentityPlan,
    LinkPlan, ListenerPlan, MeshPlan, NatPlan, NatRule, NodePlan, Probability, Routing, SocketPlan, Switch,
    Version,
};
pub use record_model::RecordModelPlan;
pub use step::{
    Action, Edit, ForgedBody, ForgedRecord, Injection, Label, Occasion, Repeat, SendPlan, Sequence, Source,
    Step, Trigger,
};
pub use sweep::{Parameters, Point, Sweep};
pub(crate) use values::nearest;
pub use words::Word;

use crate::trace::HostIndex;

/// The schema of scenario files that this program reads.
pub const SCHEMA: u32 = 1;

/// A scenario, checked: every name means somebody, every number is in range.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// What it is called: small letters, digits and hyphens.
    pub name: String,
    /// What is claimed, in a few words.
    pub title: String,
    /// Under which heading it stands.
    pub group: String,
    /// The clause that says so.
    pub clause: String,
    /// What it means, in a sentence or two.
    pub meaning: String,
    /// When the run ends at the latest.
    pub ends: Duration,
    /// Over which seeds and parameters it is to be run.
    pub sweep: Sweep,
    /// Which parameters this scenario was made with.
    pub parameters: Parameters,
    /// Who takes part. Empty where there is a mesh: see [`Scenario::mesh`].
    pub hosts: Vec<HostPlan>,
    /// The paths between them.
    pub links: Vec<LinkPlan>,
    /// What datagrams meet between hosts without a link.
    pub network: Conditions,
    /// Many nodes alike, in place of hosts and links.
    pub mesh: Option<MeshPlan>,
    /// The NATs.
    pub nats: Vec<NatPlan>,
    /// Applications with plain sockets.
    pub listeners: Vec<ListenerPlan>,
    /// What happens to single datagrams.
    pub faults: Vec<FaultPlan>,
    /// What is done.
    pub steps: Vec<Step>,
    /// What must be seen.
    pub expectations: Vec<Expectation>,
}

impl Scenario {
    /// Returns who takes part and how they are linked; in a mesh, the seed decides it.
    #[must_use]
    pub fn layout(&self, seed: u64) -> Layout<'_> {
        match &self.mesh {
            Some(mesh) => mesh.lay_out(seed),
            None => Layout { hosts: Cow::Borrowed(&self.hosts), links: Cow::Borrowed(&self.links) },
        }
    }

    /// Returns what people call a host; `attacker` for the lane behind all of them.
    #[must_use]
    pub fn name(&self, host: HostIndex) -> Cow<'_, str> {
        match (self.hosts.get(host.0 as usize), &self.mesh) {
            (Some(plan), _) => Cow::Borrowed(&plan.name),
            (None, Some(mesh)) if host.0 < mesh.nodes => Cow::Owned(format!("N{}", host.0)),
            (None, _) => Cow::Borrowed("attacker"),
        }
    }

    /// Returns the lane of the attacker, behind those of all hosts.
    #[must_use]
    pub fn attacker(&self) -> HostIndex {
        let hosts = self.mesh.as_ref().map_or(self.hosts.len(), |mesh| mesh.nodes as usize);
        HostIndex(u32::try_from(hosts).unwrap_or(u32::MAX))
    }

    /// Returns the invariants that this scenario is to break, and must.
    #[must_use]
    pub fn breaks(&self) -> BTreeSet<Invariant> {
        let broken = self.expectations.iter().filter_map(|expectation| match expectation {
            Expectation::Broken(invariant) => Some(*invariant),
            _ => None,
        });
        broken.collect()
    }
}
