//! `status`: the node in one look.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::clock;
use crate::control::CONTROL_VERSION;
use crate::control::answers::{
    CertificateAnswer, CountersAnswer, HostRouteAnswer, InterfaceAnswer, NeighbourCount, RoutingAnswer,
    SocketAnswer, StatusAnswer, WorkersAnswer,
};
use crate::control::desk::Desk;
use crate::control::error::Refusal;
use crate::control::replies::Replies;
use crate::control::requests::{Parameters, answered, milliseconds};
use crate::daemon::Status;
use crate::tun::{HostRoute, HostRoutes, RouteStanding};
use crate::watching::EXPIRY_WARNING_DAYS;

const SECONDS_PER_DAY: i64 = 24 * 3600;

pub(crate) fn answer(desk: &Desk, parameters: Parameters, _: &mut Replies<'_>) -> Result<Value, Refusal> {
    parameters.none()?;
    answered(&status(desk)?)
}

/// Looks at the node.
pub(crate) fn status(desk: &Desk) -> Result<StatusAnswer, Refusal> {
    let status = desk.handle.status()?;
    let (mtu, routing, certificate) = desk.handle.with_node(|node, _| {
        let config = node.config();
        let certificate = config.context.certificate().map(|certificate| CertificateAnswer {
            name: peerbound_dtls::common_name(certificate),
            issuer: peerbound_dtls::issuer_name(certificate),
            expires_unix_seconds: peerbound_dtls::expires_at(certificate),
        });
        let routing = RoutingAnswer {
            mode: match config.routing {
                peerbound_node::Routing::Static => "static".to_owned(),
                peerbound_node::Routing::Dynamic(_) => "dynamic".to_owned(),
            },
            return_path: match config.return_path {
                peerbound_node::ReturnPath::AsCame => "as-came".to_owned(),
                peerbound_node::ReturnPath::Any => "any".to_owned(),
            },
            static_routes: config.routes.len(),
            reachable: node.reachable(),
        };
        (config.mtu, routing, certificate)
    })?;
    let host_routes = desk.host_routes.as_ref().map_or_else(Vec::new, HostRoutes::list);
    let up = status.neighbours.iter().filter(|neighbour| neighbour.is_usable).count();
    Ok(StatusAnswer {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        control_version: CONTROL_VERSION,
        openssl: peerbound_dtls::openssl_version().to_owned(),
        id: desk.id.to_string(),
        overlay: desk.id.address(),
        listens: desk.address,
        config: desk.config.display().to_string(),
        pid: std::process::id(),
        uptime_ms: milliseconds(clock::now().saturating_duration_since(desk.started)),
        mtu,
        neighbours: NeighbourCount { configured: status.neighbours.len(), up },
        warnings: warnings(&status, certificate.as_ref(), &host_routes, clock::unix_seconds()),
        interface: desk.host_routes.as_ref().map(|routes| InterfaceAnswer {
            name: routes.interface().to_owned(),
            routes: host_routes.iter().map(host_route).collect(),
        }),
        certificate,
        routing,
        workers: WorkersAnswer::of(status.workforce),
        counters: counters(&status),
    })
}

fn host_route(route: &HostRoute) -> HostRouteAnswer {
    let (state, reason) = match &route.standing {
        RouteStanding::Set => ("set", None),
        RouteStanding::Held => ("held", None),
        RouteStanding::Refused(why) => ("refused", Some(why.to_string())),
        RouteStanding::Failed(why) => ("failed", Some(why.clone())),
    };
    HostRouteAnswer { prefix: route.prefix.to_string(), state: state.to_owned(), reason }
}

pub(crate) fn counters(status: &Status) -> CountersAnswer {
    let counters = &status.counters;
    CountersAnswer {
        datagrams_received: counters.datagrams_received,
        datagrams_dropped: named(counters.datagrams_dropped.iter().map(|(why, count)| (why.name(), *count))),
        records_discarded: named(counters.records_discarded.iter().map(|(why, count)| (why.name(), count))),
        hellos_challenged: counters.hellos_challenged,
        peers_refused: counters.peers_refused,
        frames_received: counters.frames_received,
        frames_originated: counters.frames_originated,
        frames_sent: counters.frames_sent,
        frames_delivered: counters.frames_delivered,
        frames_dropped: named(counters.frames_dropped.iter().map(|(why, count)| (why.name(), *count))),
        is_conserved: counters.is_conserved(),
        packets_sent: status.packets.sent,
        packets_delivered: status.packets.delivered,
        packets_dropped: named(status.packets.dropped.iter().map(|(why, count)| (why.name(), *count))),
        events_dropped: status.events_dropped,
        socket: SocketAnswer::of(&status.socket),
    }
}

fn named<'a>(counts: impl Iterator<Item = (&'a str, u64)>) -> BTreeMap<String, u64> {
    counts.map(|(name, count)| (name.to_owned(), count)).collect()
}

/// Says what an operator should look at.
fn warnings(
    status: &Status,
    certificate: Option<&CertificateAnswer>,
    host_routes: &[HostRoute],
    now: i64,
) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(expires) = certificate.and_then(|certificate| certificate.expires_unix_seconds) {
        let days = (expires - now).div_euclid(SECONDS_PER_DAY);
        if expires <= now {
            warnings.push(
                "our certificate has expired: neighbours refuse it from their next handshake on; renew it with `peerbound pki renew`"
                    .to_owned(),
            );
        } else if days < EXPIRY_WARNING_DAYS {
            warnings
                .push(format!("our certificate expires in {days} days: renew it with `peerbound pki renew`"));
        }
    }
    for neighbour in status.neighbours.iter().filter(|neighbour| !neighbour.is_usable) {
        let why = neighbour.last_error.as_deref().unwrap_or("its link is not established yet");
        warnings.push(format!("neighbour {} is down: {why}", neighbour.name));
    }
    for HostRoute { prefix, standing } in host_routes {
        match standing {
            RouteStanding::Refused(why) if why.is_a_surprise() => {
                warnings.push(format!("this host has no route to {prefix}: {why}"));
            }
            RouteStanding::Failed(why) => {
                warnings.push(format!("this host has no route of ours to {prefix}: {why}"));
            }
            RouteStanding::Set | RouteStanding::Held | RouteStanding::Refused(_) => {}
        }
    }
    if status.events_dropped > 0 {
        warnings.push(format!("{} events were lost: whoever takes them is too slow", status.events_dropped));
    }
    if !status.counters.is_conserved() {
        warnings.push("frames were lost count of: please report it, with `peerbound bugreport`".to_owned());
    }
    warnings
}
