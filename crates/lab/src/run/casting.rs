//! Gives every node of a scenario its part: its papers, its neighbours, its routes, its departures from
//! a deployed node. The same for every backend that runs the node core itself.

use std::sync::Arc;

use peerbound_dtls::{Attempts as Opening, Context, GateMode, ReplayMirror};
use peerbound_node::{
    Demux, EndToEnd, Feasibility, InnerConfig, NeighbourConfig, NodeConfig, ProofBook, RouterConfig,
    Routing as Ways, StaticRoute, node_id,
};
use peerbound_wire::NodeId;

use crate::cast::CastError;
use crate::run::Observe;
use crate::run::company::{KeyKind, Papers, Signer, context_for, identity_of};
use crate::run::routes::{has_session, next_hops};
use crate::scenario::{
    Attempts, DemuxPlan, Dials, HostPlan, HostRole, IdentityPlan, Layout, LinkPlan, NodePlan, Routing,
    SocketPlan, Switch,
};
use crate::trace::HostIndex;

/// What one node is made from.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) id: NodeId,
    pub(crate) config: Box<NodeConfig>,
    pub(crate) socket: SocketPlan,
}

/// Casts the nodes of a scenario; hosts without one get no part.
pub(crate) fn cast(layout: &Layout<'_>, observe: Observe) -> Result<Vec<Option<Part>>, CastError> {
    let contexts: Vec<Option<Context>> = layout
        .hosts
        .iter()
        .map(|host| {
            plan_of(host).map(|plan| context_for(&papers_of(layout, host, plan), &plan.dtls)).transpose()
        })
        .collect::<Result<_, _>>()?;
    // Whoever has another's papers is still expected to have its own: that is what others look for.
    let ids: Vec<_> = layout
        .hosts
        .iter()
        .map(|host| plan_of(host).map(|plan| own_id(host, plan)).transpose())
        .collect::<Result<_, _>>()?;
    // All of them trust one authority, so a signature that one has verified need not be verified again.
    let proofs = contexts.iter().flatten().next().map(|context| Arc::new(ProofBook::new(context.clone())));
    let company = Company { layout, ids: &ids, proofs };
    let parts = (0..).map(HostIndex).zip(layout.hosts.iter()).zip(contexts);
    Ok(parts
        .map(|((host, plan), context)| {
            let (plan, context) = plan_of(plan).zip(context)?;
            let id = company.id(host)?;
            let config = company.config(host, plan, context, observe);
            Some(Part { id, config: Box::new(config), socket: plan.socket })
        })
        .collect())
}

fn plan_of(host: &HostPlan) -> Option<&NodePlan> {
    match &host.role {
        HostRole::Node(plan) => Some(plan),
        HostRole::RecordModel(_) | HostRole::Forwarder { .. } | HostRole::Bystander => None,
    }
}

fn papers_of(layout: &Layout<'_>, host: &HostPlan, plan: &NodePlan) -> Papers {
    let (name, signer) = match plan.identity {
        IdentityPlan::Own => (&host.name, Signer::Trusted),
        IdentityPlan::Foreign => (&host.name, Signer::Unknown),
        IdentityPlan::Of(other) => {
            let robbed = layout.hosts.get(other.0 as usize).unwrap_or(host);
            (&robbed.name, Signer::Trusted)
        }
    };
    Papers { name: name.clone(), signer, key: KeyKind::of(&plan.dtls) }
}

fn own_id(host: &HostPlan, plan: &NodePlan) -> Result<NodeId, CastError> {
    let papers = Papers { name: host.name.clone(), signer: Signer::Trusted, key: KeyKind::of(&plan.dtls) };
    Ok(node_id(&identity_of(&papers)?.key_hash()))
}

struct Company<'a> {
    layout: &'a Layout<'a>,
    ids: &'a [Option<NodeId>],
    proofs: Option<Arc<ProofBook>>,
}

impl Company<'_> {
    fn id(&self, host: HostIndex) -> Option<NodeId> {
        self.ids.get(host.0 as usize).copied().flatten()
    }

    fn config(&self, host: HostIndex, plan: &NodePlan, context: Context, observe: Observe) -> NodeConfig {
        let links = self.layout.links.iter();
        NodeConfig {
            mtu: plan.mtu,
            neighbours: links.filter_map(|link| self.neighbour(host, link)).collect(),
            routes: match plan.routing {
                Routing::Static => self.routes(host),
                Routing::Dynamic => Vec::new(),
            },
            routing: match plan.routing {
                Routing::Static => Ways::Static,
                Routing::Dynamic => Ways::Dynamic(self.router(plan)),
            },
            observe_routes: observe == Observe::Everything,
            handshake_deadline: plan.handshake_deadline,
            attempts: match plan.attempts {
                Attempts::Renewed => Opening::Fresh,
                Attempts::One => Opening::One,
            },
            first_timeout: plan.first_timeout,
            rekey_records: plan.rekey_records,
            rekey_age: plan.rekey_age,
            observe_frames: observe == Observe::Everything,
            observe_sessions: observe == Observe::Everything,
            demux: match plan.demux {
                DemuxPlan::BySource => Demux::BySource,
                DemuxPlan::EverySession => Demux::EverySession,
            },
            inner: InnerConfig {
                default: match plan.e2e {
                    Switch::On => EndToEnd::On,
                    Switch::Off => EndToEnd::Off,
                },
                ..InnerConfig::default()
            },
            gate: match plan.gate {
                Switch::On => GateMode::On,
                Switch::Off => GateMode::Off,
            },
            replay_mirror: match plan.replay_mirror {
                Switch::On => ReplayMirror::On,
                Switch::Off => ReplayMirror::Off,
            },
            ..NodeConfig::new(context)
        }
    }

    fn router(&self, plan: &NodePlan) -> RouterConfig {
        let feasibility = match plan.feasibility {
            Switch::On => Feasibility::On,
            Switch::Off => Feasibility::Off,
        };
        RouterConfig { feasibility, proofs: self.proofs.clone(), ..RouterConfig::default() }
    }

    fn neighbour(&self, host: HostIndex, link: &LinkPlan) -> Option<NeighbourConfig> {
        let [first, second] = link.between;
        let (other, admits, dials) = match host {
            host if host == first => {
                (second, link.admits[0], matches!(link.dials, Dials::First | Dials::Both))
            }
            host if host == second => {
                (first, link.admits[1], matches!(link.dials, Dials::Second | Dials::Both))
            }
            _ => return None,
        };
        if !admits || link.dials == Dials::Nobody {
            return None;
        }
        let at = link.through.unwrap_or(other);
        let plan = self.layout.hosts.get(at.0 as usize)?;
        let name = self.layout.hosts.get(other.0 as usize)?.name.clone();
        Some(NeighbourConfig {
            id: self.id(other)?,
            name,
            addresses: dials.then_some(plan.address).into_iter().collect(),
        })
    }

    fn routes(&self, host: HostIndex) -> Vec<StaticRoute> {
        let links = self.layout.links.iter().filter(|link| has_session(link)).map(|link| link.between);
        next_hops(links, host)
            .into_iter()
            .filter(|(destination, via)| destination != via)
            .filter_map(|(destination, via)| {
                Some(StaticRoute { destination: self.id(destination)?, via: self.id(via)? })
            })
            .collect()
    }
}
