//! Network address translators: mapping and filtering in the words of RFC 4787.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::ids::HostId;
use crate::observation::Loss;
use crate::time::VirtualTime;

/// The first port that is given to a mapping whose own port is taken.
const PORT_FIRST: u16 = 20_000;

/// How far apart the ports of two lives of a NAT are: it comes back from a restart with others.
const PORTS_PER_LIFE: u16 = 1000;

/// What of the remote end a mapping or a filter depends on (RFC 4787, 4.1 and 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Dependence {
    /// On nothing.
    #[default]
    EndpointIndependent,
    /// On its address.
    AddressDependent,
    /// On its address and its port.
    AddressAndPortDependent,
}

/// Whether hosts behind one NAT reach each other by its outside (RFC 4787, 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Hairpin {
    /// They do not.
    #[default]
    Off,
    /// They do, and see each other's outside addresses.
    On,
}

/// What a NAT is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NatConfig {
    /// Its address on the outside.
    pub address: IpAddr,
    /// The hosts behind it. From outside nobody reaches them by their own addresses.
    pub inside: Vec<HostId>,
    /// When an inside address keeps its outside port (RFC 4787, 4.1).
    pub mapping: Dependence,
    /// Whose datagrams are let in (RFC 4787, 5).
    pub filtering: Dependence,
    /// Whether it leads from its inside back to its inside.
    pub hairpin: Hairpin,
    /// How long a mapping, or a permission to come in, outlives the last datagram that went out by it.
    /// What comes in does not keep it alive (RFC 4787, 4.3: only the outbound refresh is required).
    pub timeout: Duration,
}

/// A NAT, with what it remembers.
#[derive(Debug)]
pub(crate) struct Nat {
    pub(crate) config: NatConfig,
    /// The outside port of an inside address, as far as it depends on the remote end.
    by_inside: BTreeMap<(SocketAddr, Remote), u16>,
    by_port: BTreeMap<u16, Mapping>,
    /// How many times it was restarted.
    lives: u16,
}

/// The part of a remote end that matters.
type Remote = (Option<IpAddr>, Option<u16>);

#[derive(Debug)]
struct Mapping {
    host: HostId,
    inside: SocketAddr,
    remote: Remote,
    used: VirtualTime,
    /// When something last went out to each remote end.
    permits: BTreeMap<SocketAddr, VirtualTime>,
}

impl Dependence {
    fn part_of(self, remote: SocketAddr) -> Remote {
        match self {
            Self::EndpointIndependent => (None, None),
            Self::AddressDependent => (Some(remote.ip()), None),
            Self::AddressAndPortDependent => (Some(remote.ip()), Some(remote.port())),
        }
    }
}

impl Nat {
    pub(crate) fn new(config: NatConfig) -> Self {
        Self { config, by_inside: BTreeMap::new(), by_port: BTreeMap::new(), lives: 0 }
    }

    /// Forgets everything, as a restart does: the same inside addresses get other ports.
    pub(crate) fn rebind(&mut self) {
        self.by_inside.clear();
        self.by_port.clear();
        self.lives += 1;
    }

    /// Lets a datagram out, and returns the source address that it leaves with; `None` when no port is
    /// left.
    pub(crate) fn translate_out(
        &mut self,
        host: HostId,
        inside: SocketAddr,
        remote: SocketAddr,
        now: VirtualTime,
    ) -> Option<SocketAddr> {
        self.expire(now);
        let part = self.config.mapping.part_of(remote);
        let port = match self.by_inside.get(&(inside, part)) {
            Some(port) => *port,
            None => {
                let port = self.free_port(inside.port())?;
                self.by_inside.insert((inside, part), port);
                let mapping = Mapping { host, inside, remote: part, used: now, permits: BTreeMap::new() };
                self.by_port.insert(port, mapping);
                port
            }
        };
        if let Some(mapping) = self.by_port.get_mut(&port) {
            mapping.used = now;
            mapping.permits.insert(remote, now);
        }
        Some(SocketAddr::new(self.config.address, port))
    }

    /// Lets a datagram in, or not; returns the host and the inside address that it is for.
    pub(crate) fn translate_in(
        &mut self,
        port: u16,
        remote: SocketAddr,
        now: VirtualTime,
    ) -> Result<(HostId, SocketAddr), Loss> {
        self.expire(now);
        let mapping = self.by_port.get(&port).ok_or(Loss::NatNoMapping)?;
        let filtering = self.config.filtering;
        let wanted = filtering.part_of(remote);
        let is_permitted = filtering == Dependence::EndpointIndependent
            || mapping.permits.keys().any(|permitted| filtering.part_of(*permitted) == wanted);
        if is_permitted { Ok((mapping.host, mapping.inside)) } else { Err(Loss::NatFiltered) }
    }

    /// Returns whom a port leads to, filters aside: for ICMP, and to know which path is meant.
    pub(crate) fn leads_to(&self, port: u16) -> Option<(HostId, SocketAddr)> {
        self.by_port.get(&port).map(|mapping| (mapping.host, mapping.inside))
    }

    /// Returns the outside address of an inside one; the first of several.
    pub(crate) fn outside_of(&self, inside: SocketAddr) -> Option<SocketAddr> {
        let (_, port) = self.by_inside.iter().find(|((address, _), _)| *address == inside)?;
        Some(SocketAddr::new(self.config.address, *port))
    }

    /// Prefers the inside port (RFC 4787, 4.2.1: port preservation) in the first life.
    fn free_port(&self, inside: u16) -> Option<u16> {
        if self.lives == 0 && !self.by_port.contains_key(&inside) {
            return Some(inside);
        }
        let first = PORT_FIRST.wrapping_add(self.lives.wrapping_mul(PORTS_PER_LIFE)).max(1024);
        (first..=u16::MAX).chain(1024..first).find(|port| !self.by_port.contains_key(port))
    }

    fn expire(&mut self, now: VirtualTime) {
        let timeout = self.config.timeout;
        let is_over = |used: VirtualTime| now - used >= timeout;
        self.by_port.retain(|_, mapping| {
            mapping.permits.retain(|_, used| !is_over(*used));
            let keeps = !is_over(mapping.used);
            if !keeps {
                self.by_inside.remove(&(mapping.inside, mapping.remote));
            }
            keeps
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INSIDE: &str = "192.168.0.2:4433";
    const B: &str = "10.0.0.2:4433";
    const B_ELSEWHERE: &str = "10.0.0.2:5000";
    const C: &str = "10.0.0.3:4433";

    fn at(text: &str) -> SocketAddr {
        text.parse().expect("a literal address")
    }

    fn nat(mapping: Dependence, filtering: Dependence) -> Nat {
        Nat::new(NatConfig {
            address: IpAddr::from([203, 0, 113, 1]),
            inside: vec![HostId(0)],
            mapping,
            filtering,
            hairpin: Hairpin::Off,
            timeout: Duration::from_secs(30),
        })
    }

    fn out(nat: &mut Nat, inside: &str, remote: &str, seconds: u64) -> u16 {
        let now = VirtualTime::after(Duration::from_secs(seconds));
        nat.translate_out(HostId(0), at(inside), at(remote), now).map_or(0, |address| address.port())
    }

    fn let_in(nat: &mut Nat, port: u16, remote: &str, seconds: u64) -> Result<(), Loss> {
        let now = VirtualTime::after(Duration::from_secs(seconds));
        nat.translate_in(port, at(remote), now).map(|_| ())
    }

    #[test]
    fn a_mapping_depends_on_as_much_of_the_remote_end_as_is_said() {
        let ports = |mapping| {
            let mut nat = nat(mapping, Dependence::EndpointIndependent);
            let ports: std::collections::BTreeSet<_> =
                [B, B_ELSEWHERE, C, B].map(|remote| out(&mut nat, INSIDE, remote, 0)).into();
            ports.len()
        };

        assert_eq!(ports(Dependence::EndpointIndependent), 1);
        assert_eq!(ports(Dependence::AddressDependent), 2);
        assert_eq!(ports(Dependence::AddressAndPortDependent), 3);
    }

    #[test]
    fn a_filter_lets_in_whom_it_says() {
        let let_in_of = |filtering| {
            let mut nat = nat(Dependence::EndpointIndependent, filtering);
            let port = out(&mut nat, INSIDE, B, 0);
            [B, B_ELSEWHERE, C].map(|remote| let_in(&mut nat, port, remote, 1).is_ok())
        };

        assert_eq!(let_in_of(Dependence::EndpointIndependent), [true, true, true]);
        assert_eq!(let_in_of(Dependence::AddressDependent), [true, true, false]);
        assert_eq!(let_in_of(Dependence::AddressAndPortDependent), [true, false, false]);
    }

    #[test]
    fn a_mapping_outlives_what_went_out_by_its_timeout_and_what_came_in_does_not_count() {
        let mut nat = nat(Dependence::EndpointIndependent, Dependence::AddressDependent);
        let port = out(&mut nat, INSIDE, B, 0);

        assert_eq!(let_in(&mut nat, port, B, 29), Ok(()));
        assert_eq!(let_in(&mut nat, port, B, 30), Err(Loss::NatNoMapping));
    }

    #[test]
    fn a_permission_ends_while_the_mapping_lives_on_for_others() {
        let mut nat = nat(Dependence::EndpointIndependent, Dependence::AddressDependent);
        let port = out(&mut nat, INSIDE, B, 0);
        out(&mut nat, INSIDE, C, 20);

        assert_eq!(let_in(&mut nat, port, B, 31), Err(Loss::NatFiltered));
        assert_eq!(let_in(&mut nat, port, C, 31), Ok(()));
    }

    #[test]
    fn a_restart_gives_another_port_and_the_old_one_leads_nowhere() {
        let mut nat = nat(Dependence::EndpointIndependent, Dependence::EndpointIndependent);
        let before = out(&mut nat, INSIDE, B, 0);
        nat.rebind();

        let after = out(&mut nat, INSIDE, B, 1);

        assert_eq!(before, 4433);
        assert_ne!(after, before);
        assert_eq!(let_in(&mut nat, before, B, 1), Err(Loss::NatNoMapping));
    }
}
