//! Links, conditions, NATs, listeners and faults.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use peerbound_dtls::ContentType;
use toml::Spanned;

use crate::scenario::error::ScenarioError;
use crate::scenario::fault::{Course, FaultAction, FaultPlan, HandshakeMessage, Path, Pattern, Which};
use crate::scenario::file::{ConditionsFile, FaultFile, LinkFile, MatchFile, NatFile, ScenarioFile};
use crate::scenario::parameters;
use crate::scenario::place::Place;
use crate::scenario::plan::{Bursts, Conditions, Dials, HostRole, LinkPlan, ListenerPlan, NatPlan, NatRule};
use crate::scenario::valid::hosts::check_is_not_the_attackers;
use crate::scenario::valid::{Validation, number, only_beside, probability, the_only, the_word, word};
use crate::scenario::values::rate;
use crate::trace::HostIndex;

/// How long a NAT keeps a mapping that says nothing else (RFC 4787, 4.3, allows no less than 2 minutes,
/// and many a NAT is content with 30 s).
const NAT_TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);

/// The least IP packet that every path must carry (RFC 791, 3.2).
const PATH_MTU_MIN: i64 = 68;

/// The messages of the six flights of a full handshake with certificates on both sides (RFC 6347,
/// 4.2.4, figure 1), each with the side that sends it and which of its kind it is.
const FLIGHTS: [(Sender, &[(HandshakeMessage, u32)]); 6] = [
    (Sender::Client, &[(HandshakeMessage::ClientHello, 1)]),
    (Sender::Server, &[(HandshakeMessage::HelloVerifyRequest, 1)]),
    (Sender::Client, &[(HandshakeMessage::ClientHello, 2)]),
    (
        Sender::Server,
        &[
            (HandshakeMessage::ServerHello, 1),
            (HandshakeMessage::Certificate, 1),
            (HandshakeMessage::ServerKeyExchange, 1),
            (HandshakeMessage::CertificateRequest, 1),
            (HandshakeMessage::ServerHelloDone, 1),
        ],
    ),
    (
        Sender::Client,
        &[
            (HandshakeMessage::Certificate, 1),
            (HandshakeMessage::ClientKeyExchange, 1),
            (HandshakeMessage::CertificateVerify, 1),
            (HandshakeMessage::Finished, 1),
        ],
    ),
    (Sender::Server, &[(HandshakeMessage::Finished, 1)]),
];

#[derive(Clone, Copy)]
enum Sender {
    Client,
    Server,
}

impl<'a> Validation<'a> {
    pub(super) fn network(&mut self, file: &'a ScenarioFile) -> Result<(), ScenarioError> {
        if let Some(network) = &file.network {
            let place = self.whole.table("network", network);
            self.network = self.conditions(place, &network.get_ref().conditions(), &Conditions::default())?;
        }
        if let Some(mesh) = &mut self.mesh {
            mesh.conditions = self.network.clone();
        }
        let mut pairs = BTreeSet::new();
        for (index, link) in file.link.iter().enumerate() {
            let place = self.whole.numbered("link", index, link);
            let plan = self.link_plan(place, link.get_ref())?;
            let [one, other] = plan.between;
            if !pairs.insert((one.min(other), one.max(other))) {
                return Err(place.wrong("between", "there is a link between these two already: remove one"));
            }
            self.links.push(plan);
        }
        for (index, nat) in file.nat.iter().enumerate() {
            let plan = self.nat_plan(self.whole.numbered("nat", index, nat), nat.get_ref())?;
            self.nats.push(plan);
        }
        for (index, listener) in file.listener.iter().enumerate() {
            let place = self.whole.numbered("listener", index, listener);
            let on = self.host(place, "on", &listener.get_ref().on)?;
            let name = listener.get_ref().label.clone();
            if name.is_empty() || self.listeners.iter().any(|other| other.name == name) {
                return Err(place.wrong("as", "a listener has a name, and no other has the same"));
            }
            self.listeners.push(ListenerPlan { name, on });
        }
        Ok(())
    }

    /// Takes what is said, and what `base` has for the rest.
    pub(super) fn conditions(
        &self,
        place: Place<'_>,
        file: &ConditionsFile,
        base: &Conditions,
    ) -> Result<Conditions, ScenarioError> {
        let chance =
            |key, value: Option<f64>, base| value.map_or(Ok(base), |value| probability(place, key, value));
        let time = |key, text: &Option<String>| self.some_time(place, key, text.as_ref());
        let bits = |text: &String| rate(text).map_err(|problem| place.wrong("rate", problem));
        let queue = |bytes| number(place, "queue", bytes, 0..=i64::from(u32::MAX));
        let mtu = |bytes| number(place, "mtu", bytes, PATH_MTU_MIN..=i64::from(u16::MAX));
        let bursts = match &file.bursts {
            Some(bursts) => Some(Bursts {
                enter: probability(place, "bursts.enter", bursts.enter)?,
                leave: probability(place, "bursts.leave", bursts.leave)?,
                loss_good: probability(place, "bursts.loss_good", bursts.loss_good)?,
                loss_bad: probability(place, "bursts.loss_bad", bursts.loss_bad)?,
            }),
            None => base.bursts,
        };
        Ok(Conditions {
            latency: time("latency", &file.latency)?.unwrap_or(base.latency),
            jitter: time("jitter", &file.jitter)?.unwrap_or(base.jitter),
            loss: chance("loss", file.loss, base.loss)?,
            bursts,
            duplicate: chance("duplicate", file.duplicate, base.duplicate)?,
            reorder: chance("reorder", file.reorder, base.reorder)?,
            rate: file.rate.as_ref().map(bits).transpose()?.or(base.rate),
            queue_bytes: file.queue.map(queue).transpose()?.unwrap_or(base.queue_bytes),
            mtu: file.mtu.map(mtu).transpose()?.or(base.mtu),
            icmp: file.icmp.unwrap_or(base.icmp),
            is_up: file.up.unwrap_or(base.is_up),
        })
    }

    fn link_plan(&self, place: Place<'_>, file: &LinkFile) -> Result<LinkPlan, ScenarioError> {
        let [one, other] = &file.between.0;
        let between = self.two(place, "between", [one, other])?;
        let both = self.conditions(place, &file.conditions(), &self.network)?;
        let of_one_direction = |conditions: &Option<ConditionsFile>| match conditions {
            Some(own) => self.conditions(place, own, &both),
            None => Ok(both.clone()),
        };
        let (forth, back) = (of_one_direction(&file.forth)?, of_one_direction(&file.back)?);
        let are_nodes = between.iter().all(|end| self.is_node(*end));
        let dials = match file.dials.as_deref() {
            None if are_nodes => Dials::First,
            None | Some("nobody") => Dials::Nobody,
            Some("both") => Dials::Both,
            Some(name) if name == one => Dials::First,
            Some(name) if name == other => Dials::Second,
            Some(name) => {
                let problem = format!(
                    "{name:?} cannot dial here: write {one:?}, {other:?}, \"both\", or \"nobody\" for a link without a session"
                );
                return Err(place.wrong("dials", problem));
            }
        };
        if dials != Dials::Nobody && !are_nodes {
            return Err(
                place.wrong("dials", "one of the two runs no node: write \"nobody\", or leave it out")
            );
        }
        let admits = match file.admits.as_deref() {
            None | Some("both") => [dials != Dials::Nobody; 2],
            Some(name) if name == one => [true, false],
            Some(name) if name == other => [false, true],
            Some(name) => {
                let problem =
                    format!("{name:?} cannot admit anybody here: write {one:?}, {other:?} or \"both\"");
                return Err(place.wrong("admits", problem));
            }
        };
        let is_dialled_by_a_stranger = match dials {
            Dials::First => !admits[0],
            Dials::Second => !admits[1],
            Dials::Both => admits != [true, true],
            Dials::Nobody => admits != [false, false],
        };
        if is_dialled_by_a_stranger {
            return Err(
                place.wrong("admits", "whoever dials admits the other: name the one that dials, or \"both\"")
            );
        }
        let through = match &file.through {
            Some(name) => Some(self.forwarder(place, name, between)?),
            None => None,
        };
        Ok(LinkPlan { between, dials, admits, through, forth, back })
    }

    fn forwarder(
        &self,
        place: Place<'_>,
        name: &str,
        ends: [HostIndex; 2],
    ) -> Result<HostIndex, ScenarioError> {
        let host = self.host(place, "through", name)?;
        match &self.hosts[host.0 as usize].role {
            HostRole::Forwarder { between } if *between == ends || *between == [ends[1], ends[0]] => Ok(host),
            HostRole::Forwarder { .. }
            | HostRole::Node(_)
            | HostRole::RecordModel(_)
            | HostRole::Bystander => {
                let problem =
                    format!("{name:?} does not forward between these two: give it `forwards` in [[host]]");
                Err(place.wrong("through", problem))
            }
        }
    }

    fn nat_plan(&self, place: Place<'_>, file: &NatFile) -> Result<NatPlan, ScenarioError> {
        if file.name.is_empty() || self.nats.iter().any(|other| other.name == file.name) {
            return Err(place.wrong("name", "a NAT has a name, and no other has the same"));
        }
        let mut in_front_of = Vec::new();
        for name in &file.in_front_of {
            let host = self.host(place, "in_front_of", name)?;
            let is_taken = self.nats.iter().any(|nat| nat.in_front_of.contains(&host));
            if is_taken || in_front_of.contains(&host) {
                return Err(
                    place.wrong("in_front_of", format!("{name:?} is behind a NAT already: remove it here"))
                );
            }
            in_front_of.push(host);
        }
        if in_front_of.is_empty() {
            return Err(place.wrong("in_front_of", "nobody is behind this NAT: name at least one host"));
        }
        let address = match &file.address {
            Some(text) => text.parse::<IpAddr>().map_err(|_| {
                place.wrong("address", format!("{text:?} is no address: write one like \"203.0.113.1\""))
            })?,
            None => {
                let last = u8::try_from(self.nats.len() + 1).unwrap_or(u8::MAX);
                IpAddr::from([203, 0, 113, last])
            }
        };
        check_is_not_the_attackers(place, address)?;
        let is_taken = self.nats.iter().any(|nat| nat.address == address)
            || self.hosts.iter().any(|host| host.address.ip() == address);
        if is_taken {
            return Err(place.wrong("address", format!("somebody else has {address}: choose another")));
        }
        let rule =
            |key, text: &Option<String>| word(place, key, text.as_ref(), NatRule::AddressAndPortDependent);
        Ok(NatPlan {
            name: file.name.clone(),
            in_front_of,
            address,
            mapping: word(place, "mapping", file.mapping.as_ref(), NatRule::EndpointIndependent)?,
            filtering: rule("filtering", &file.filtering)?,
            hairpin: file.hairpin,
            timeout: self.some_time(place, "timeout", file.timeout.as_ref())?.unwrap_or(NAT_TIMEOUT_DEFAULT),
        })
    }

    pub(super) fn faults(&self, file: &ScenarioFile) -> Result<Vec<FaultPlan>, ScenarioError> {
        let mut faults = Vec::new();
        for (index, fault) in file.fault.iter().enumerate() {
            let place = self.whole.numbered("fault", index, fault);
            if parameters::holds(&fault.get_ref().when, self.chosen, place)? {
                faults.extend(self.fault(place, fault)?);
            }
        }
        Ok(faults)
    }

    fn fault(&self, place: Place<'_>, fault: &Spanned<FaultFile>) -> Result<Vec<FaultPlan>, ScenarioError> {
        let fault = fault.get_ref();
        let on = self.course(place, "on", &fault.on)?;
        let actions = [
            ("drop", &fault.drop),
            ("duplicate", &fault.duplicate),
            ("delay", &fault.delay),
            ("corrupt", &fault.corrupt),
            ("reorder", &fault.reorder),
        ];
        let name = the_only(place, &actions.map(|(name, given)| (name, given.is_some())), "a fault")?;
        let Some(which) = actions.into_iter().find_map(|(key, given)| given.as_ref().filter(|_| key == name))
        else {
            return Err(place.wrong(name, "nothing is said about it"));
        };
        let extra = [
            ("by", which.by.is_some() && name != "delay"),
            ("bit", which.bit.is_some() && name != "corrupt"),
        ];
        only_beside(
            place,
            name,
            &["handshake", "record", "epoch", "nth", "flight", "from", "until"],
            &extra,
        )?;
        let action = match (name, &which.by, which.bit) {
            ("duplicate", ..) => FaultAction::Duplicate,
            ("reorder", ..) => FaultAction::Reorder,
            ("delay", Some(by), _) => FaultAction::Delay(self.time(place, "by", by)?),
            ("delay", None, _) => return Err(place.wrong("delay", "by how much? add `by = \"100 ms\"`")),
            ("corrupt", _, bit) => FaultAction::FlipBit(bit.unwrap_or(-1)),
            _ => FaultAction::Drop,
        };
        match which.flight {
            Some(flight) => self.flight(place, on, which, action, flight),
            None => Ok(vec![FaultPlan { on, which: self.which(place, which)?, action }]),
        }
    }

    /// Names the messages of one flight, the first time that they are sent.
    fn flight(
        &self,
        place: Place<'_>,
        on: Course,
        which: &MatchFile,
        action: FaultAction,
        flight: i64,
    ) -> Result<Vec<FaultPlan>, ScenarioError> {
        let others = [
            ("handshake", which.handshake.is_some()),
            ("record", which.record.is_some()),
            ("epoch", which.epoch.is_some()),
            ("nth", which.nth.is_some()),
        ];
        only_beside(place, "flight", &["from", "until", "by", "bit"], &others)?;
        let Course::OneWay(client_to_server) = on else {
            return Err(
                place.wrong("on", "flights have a client: write \"A>B\" with the one that dials in front")
            );
        };
        let index: usize = number(place, "flight", flight, 1..=6)?;
        let (sender, messages) = FLIGHTS[index - 1];
        let path = match sender {
            Sender::Client => client_to_server,
            Sender::Server => Path { from: client_to_server.to, to: client_to_server.from },
        };
        let base = self.which(place, which)?;
        let fault = |(message, nth): &(HandshakeMessage, u32)| FaultPlan {
            on: Course::OneWay(path),
            which: Which {
                pattern: Pattern { handshake: Some(*message), ..Pattern::default() },
                nth: Some(*nth),
                ..base
            },
            action,
        };
        Ok(messages.iter().map(fault).collect())
    }

    pub(super) fn which(&self, place: Place<'_>, file: &MatchFile) -> Result<Which, ScenarioError> {
        let from = self.some_time(place, "from", file.from.as_ref())?.unwrap_or_default();
        let until = self.some_time(place, "until", file.until.as_ref())?;
        if until.is_some_and(|until| until <= from) {
            return Err(place.wrong("until", "it ends before it begins: give a later time than `from`"));
        }
        let nth = file.nth.map(|nth| number(place, "nth", nth, 1..=i64::from(u32::MAX))).transpose()?;
        Ok(Which { pattern: self.pattern(place, file)?, nth, from, until })
    }

    pub(super) fn pattern(&self, place: Place<'_>, file: &MatchFile) -> Result<Pattern, ScenarioError> {
        let handshake = file.handshake.as_ref().map(|text| the_word(place, "handshake", text)).transpose()?;
        let record: Option<ContentType> =
            file.record.as_ref().map(|text| the_word(place, "record", text)).transpose()?;
        if handshake.is_some() && record.is_some_and(|record| record != ContentType::Handshake) {
            return Err(
                place.wrong("record", "a message of the handshake is in a handshake record: remove it")
            );
        }
        let epoch =
            file.epoch.map(|epoch| number(place, "epoch", epoch, 0..=i64::from(u16::MAX))).transpose()?;
        Ok(Pattern { handshake, record, epoch })
    }
}
