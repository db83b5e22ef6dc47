//! A wire between two hosts, and what can happen to it.

use crate::host::Host;

/// A virtual wire; each end is called after the host at the other.
pub(crate) struct Wire<'a> {
    ends: [&'a Host; 2],
}

/// Joins two hosts.
pub(crate) fn link<'a>(one: &'a Host, other: &'a Host) -> Wire<'a> {
    let peer = other.namespace.path();
    one.run(&format!("ip link add to-{} type veth peer name to-{} netns {peer}", other.name, one.name));
    let wire = Wire { ends: [one, other] };
    for (host, far) in [(one, other), (other, one)] {
        host.run(&format!("ip addr add {} peer {} dev to-{}", host.address, far.address, far.name));
        host.run(&format!("ip link set to-{} up", far.name));
    }
    wire
}

impl Wire<'_> {
    /// Cuts it, as an administrator would.
    pub(crate) fn cut(&self) {
        let [one, other] = self.ends;
        one.run(&format!("ip link set to-{} down", other.name));
    }

    /// Mends what was cut.
    pub(crate) fn mend(&self) {
        let [one, other] = self.ends;
        one.run(&format!("ip link set to-{} up", other.name));
    }

    /// Loses what arrives at one of its ends, and that one tells nobody.
    pub(crate) fn lose(&self, at: &Host) {
        let far = self.far_from(at);
        let table = format!("lost_from_{}", far.name);
        at.run(&format!("nft add table inet {table}"));
        at.run(&format!("nft add chain inet {table} input {{ type filter hook input priority 0 ; }}"));
        at.run(&format!("nft add rule inet {table} input iifname to-{} drop", far.name));
    }

    /// Lets packets of so many bytes pass.
    pub(crate) fn widen(&self, bytes: u16) {
        let [one, other] = self.ends;
        for (host, far) in [(one, other), (other, one)] {
            host.run(&format!("ip link set to-{} mtu {bytes}", far.name));
        }
    }

    /// Returns whether these are its ends.
    pub(crate) fn is_between(&self, one: &Host, other: &Host) -> bool {
        let names = self.ends.map(|end| end.name);
        names.contains(&one.name) && names.contains(&other.name)
    }

    /// Loses larger packets in both directions, and tells nobody.
    pub(crate) fn swallow_above(&self, bytes: u16) {
        let [one, other] = self.ends;
        for (host, far) in [(one, other), (other, one)] {
            // The far end would see datagrams that left together as one long packet, as on no real wire.
            host.run(&format!("ip link set to-{} gso_max_segs 1", far.name));
            host.run("nft add table inet swallowed");
            host.run("nft add chain inet swallowed input { type filter hook input priority 0 ; }");
            host.run(&format!(
                "nft add rule inet swallowed input iifname to-{} meta length > {bytes} drop",
                far.name
            ));
        }
    }

    /// Lets everything arrive again.
    pub(crate) fn lose_nothing(&self, at: &Host) {
        at.run(&format!("nft delete table inet lost_from_{}", self.far_from(at).name));
    }

    fn far_from(&self, near: &Host) -> &Host {
        let [one, other] = self.ends;
        if near.name == one.name { other } else { one }
    }
}
