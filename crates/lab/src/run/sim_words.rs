//! The scenario's words in the simulator's, and the simulator's observations in the judge's.

use std::collections::BTreeMap;

use peerbound_dtls::ContentType;
use peerbound_sim::{
    Content, DatagramMatch, Dependence, Hairpin, HandshakeType, HostId, MTU_UNLIMITED, NatConfig,
    Observed as Seen, Outage, PathMatch, SocketId, TooBig, VirtualTime,
};

use crate::judge::{Life, Observation, Observed};
use crate::scenario::{
    Bursts, Conditions, Course, FaultAction, HandshakeMessage, NatPlan, NatRule, Pattern, Which,
};
use crate::trace::{DatagramId, HostIndex, Nanos, Way};

pub(crate) fn in_sim(plan: &Conditions) -> peerbound_sim::Conditions {
    let in_bursts = |bursts: Bursts| peerbound_sim::Bursts {
        enter: bursts.enter.get(),
        leave: bursts.leave.get(),
        loss_good: bursts.loss_good.get(),
        loss_bad: bursts.loss_bad.get(),
    };
    peerbound_sim::Conditions {
        latency: plan.latency,
        jitter: plan.jitter,
        loss: plan.loss.get(),
        bursts: plan.bursts.map(in_bursts),
        duplicate: plan.duplicate.get(),
        reorder: plan.reorder.get(),
        rate: plan.rate,
        queue_bytes: u64::from(plan.queue_bytes),
        mtu: plan.mtu.map_or(MTU_UNLIMITED, u32::from),
        too_big: if plan.icmp { TooBig::Told } else { TooBig::Silent },
        outage: if plan.is_up { Outage::Never } else { Outage::Always },
    }
}

pub(crate) fn path_match(course: Course) -> PathMatch {
    match course {
        Course::OneWay(path) => PathMatch::OneWay { from: HostId(path.from.0), to: HostId(path.to.0) },
        Course::BothWays(path) => PathMatch::Between(HostId(path.from.0), HostId(path.to.0)),
    }
}

pub(crate) fn datagram_match(which: &Which) -> DatagramMatch {
    DatagramMatch {
        content: content(&which.pattern),
        nth: which.nth.map(u64::from),
        from: Some(VirtualTime::after(which.from)),
        until: which.until.map(VirtualTime::after),
    }
}

fn content(pattern: &Pattern) -> Content {
    let Pattern { handshake, record, epoch } = *pattern;
    match handshake {
        None if record.is_none() && epoch.is_none() => Content::Any,
        None => Content::Record { content_type: record, epoch },
        Some(HandshakeMessage::Finished) => {
            Content::Record { content_type: Some(ContentType::Handshake), epoch: epoch.or(Some(1)) }
        }
        Some(message) => HandshakeType::ALL
            .into_iter()
            .find(|known| known.number() == message.number())
            .map_or(Content::Any, Content::Handshake),
    }
}

pub(crate) fn fault_action(action: FaultAction) -> peerbound_sim::FaultAction {
    match action {
        FaultAction::Drop => peerbound_sim::FaultAction::Drop,
        FaultAction::Duplicate => peerbound_sim::FaultAction::Duplicate,
        FaultAction::Delay(by) => peerbound_sim::FaultAction::Delay(by),
        FaultAction::Reorder => peerbound_sim::FaultAction::Reorder,
        FaultAction::FlipBit(bit) => peerbound_sim::FaultAction::Corrupt { bit },
    }
}

pub(crate) fn nat_config(plan: &NatPlan) -> NatConfig {
    let dependence = |rule| match rule {
        NatRule::EndpointIndependent => Dependence::EndpointIndependent,
        NatRule::AddressDependent => Dependence::AddressDependent,
        NatRule::AddressAndPortDependent => Dependence::AddressAndPortDependent,
    };
    NatConfig {
        address: plan.address,
        inside: plan.in_front_of.iter().map(|host| HostId(host.0)).collect(),
        mapping: dependence(plan.mapping),
        filtering: dependence(plan.filtering),
        hairpin: if plan.hairpin { Hairpin::On } else { Hairpin::Off },
        timeout: plan.timeout,
    }
}

/// Says that the attacker has captured a datagram.
pub(crate) fn captured(at: VirtualTime, datagram: peerbound_sim::DatagramId, label: String) -> Observation {
    Observation { at: Nanos(at.0), what: Observed::Captured { datagram: DatagramId(datagram.0), label } }
}

/// Translates what a world has told; `readers` says what the scenario calls its applications.
pub(crate) fn observation(
    told: peerbound_sim::Observation,
    readers: &BTreeMap<SocketId, String>,
) -> Observation {
    let at = Nanos(told.at.0);
    let host_of = |host: HostId| HostIndex(host.0);
    let id_of = |datagram: peerbound_sim::DatagramId| DatagramId(datagram.0);
    let life = |host, change| Observed::Life { host: host_of(host), change };
    let what = match told.what {
        Seen::Sent { datagram, by, way, source, destination, bytes, label, copy_of } => Observed::Sent {
            datagram: id_of(datagram),
            by: host_of(by),
            way: match way {
                peerbound_sim::Way::Socket => Way::Socket,
                peerbound_sim::Way::Injected => Way::Injected,
                // A changed one is a second one, with other bytes.
                peerbound_sim::Way::Duplicated | peerbound_sim::Way::Changed => Way::Duplicated,
            },
            source,
            destination,
            bytes,
            label: label.map(|label| label.to_string()),
            copy_of: copy_of.map(id_of),
        },
        Seen::Translated { datagram, source, destination, .. } => {
            Observed::Translated { datagram: id_of(datagram), source, destination }
        }
        Seen::Lost { datagram, why } => Observed::Lost { datagram: id_of(datagram), why: why.to_string() },
        Seen::Refused { datagram, host, icmp } => {
            Observed::Refused { datagram: id_of(datagram), host: host_of(host), icmp }
        }
        Seen::Told { host, error, .. } => Observed::Told { host: host_of(host), error: error.name() },
        Seen::Arrived { datagram, host, verdict, reason } => Observed::Arrived {
            datagram: id_of(datagram),
            host: host_of(host),
            verdict,
            reason: reason.map(|reason| reason.name().to_owned()),
        },
        Seen::Read { datagram, host, socket } => Observed::Read {
            datagram: id_of(datagram),
            host: host_of(host),
            by: readers.get(&socket).cloned().unwrap_or_default(),
        },
        Seen::Event { host, event } => Observed::Event { host: host_of(host), event },
        Seen::Keys { host, peer, role, secrets } => {
            Observed::Keys { host: host_of(host), peer, role, secrets: *secrets }
        }
        Seen::Booted { host } => life(host, Life::Booted),
        Seen::Crashed { host } => life(host, Life::Crashed),
        Seen::ShutDown { host } => life(host, Life::ShutDown),
    };
    Observation { at, what }
}
