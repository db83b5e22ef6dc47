//! Finds the origins that announce an address: the longest prefix first.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr};
use std::ops::Bound;

use peerbound_wire::{NodeId, Prefix};

use crate::router::{OWN_ROW, Router};

/// Who announces what. Sixteen prefixes of 16384 origins are 262,144 entries of 32 bytes, 8 MB and the
/// trees about them; no origin has more than its certificate carries.
#[derive(Debug, Default)]
pub(crate) struct PrefixIndex {
    /// By length and first address, then the row of the origin.
    announced: BTreeSet<(u8, Ipv6Addr, u32)>,
    /// How many there are of each length, so that only these are tried.
    lengths: BTreeMap<u8, u32>,
}

impl PrefixIndex {
    pub(crate) fn insert(&mut self, prefix: Prefix, row: u32) {
        if self.announced.insert((prefix.bits, prefix.address, row)) {
            *self.lengths.entry(prefix.bits).or_default() += 1;
        }
    }

    pub(crate) fn remove(&mut self, prefix: Prefix, row: u32) {
        if !self.announced.remove(&(prefix.bits, prefix.address, row)) {
            return;
        }
        if let Some(count) = self.lengths.get_mut(&prefix.bits) {
            *count -= 1;
            if *count == 0 {
                self.lengths.remove(&prefix.bits);
            }
        }
    }

    /// Walks over the prefixes that hold an address, the longest first, with the rows that announce each.
    fn around(&self, address: Ipv6Addr) -> impl Iterator<Item = impl Iterator<Item = u32>> {
        let of_length = move |bits: &u8| Prefix::around(IpAddr::V6(address), *bits);
        let holding = self.lengths.keys().rev().filter_map(of_length);
        let holding = holding.filter(move |prefix| prefix.contains(address));
        holding.map(|Prefix { address, bits }| {
            let rows = (bits, address, 0)..=(bits, address, u32::MAX);
            self.announced.range(rows).map(|(_, _, row)| *row)
        })
    }

    /// Walks over the prefixes, the shortest first, each with the rows that announce it.
    fn by_prefix(&self) -> impl Iterator<Item = (Prefix, impl Iterator<Item = u32>)> {
        let prefix = |(bits, address, _): &(u8, Ipv6Addr, u32)| Prefix { address: *address, bits: *bits };
        let mut next = self.announced.first();
        std::iter::from_fn(move || {
            let found = prefix(next?);
            let (bits, address) = (found.bits, found.address);
            let rows = self.announced.range((bits, address, 0)..=(bits, address, u32::MAX));
            let behind = (Bound::Excluded((bits, address, u32::MAX)), Bound::Unbounded);
            next = self.announced.range(behind).next();
            Some((found, rows.map(|(_, _, row)| *row)))
        })
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.announced.len()
    }
}

/// Which prefixes are announced in a mesh, by whom it matters to this node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AnnouncedPrefixes {
    /// What we announce ourselves, whoever else does.
    pub ours: Vec<Prefix>,
    /// What others announce to whom there is a way, and we do not.
    pub of_others: Vec<Prefix>,
}

impl Router {
    /// Lists the prefixes that can be reached, the shortest first; of others no more than `max`.
    #[must_use]
    pub fn announced_prefixes(&self, max: usize) -> AnnouncedPrefixes {
        let mut announced = AnnouncedPrefixes::default();
        for (prefix, rows) in self.origins.prefixes.by_prefix() {
            let mut is_reachable = false;
            let is_ours = { rows }.any(|row| {
                is_reachable |= self.origins.row(row).is_reachable();
                row == OWN_ROW
            });
            if is_ours {
                announced.ours.push(prefix);
            } else if is_reachable && announced.of_others.len() < max {
                announced.of_others.push(prefix);
            }
        }
        announced
    }

    /// Returns the node that announces an address, v4-mapped if it is one of IPv4: of those to which there
    /// is a way the one with the longest prefix, then the nearest, then that with the smallest id. That may
    /// be ourselves.
    #[must_use]
    pub fn announcer_of(&self, address: Ipv6Addr) -> Option<NodeId> {
        let mut by_length = self.origins.prefixes.around(address);
        by_length.find_map(|rows| {
            let rows = rows.map(|number| self.origins.row(number)).filter(|row| row.is_reachable());
            rows.map(|row| (row.metric, row.id)).min().map(|(_, id)| id)
        })
    }

    /// Returns whether a node has proved that it announces an address, whether there is a way to it or not.
    #[must_use]
    pub fn announces(&self, origin: &NodeId, address: Ipv6Addr) -> bool {
        let row = self.origins.find(origin).map(|number| self.origins.row(number));
        let proof = row.and_then(|row| row.proof.as_ref());
        proof.is_some_and(|proof| proof.prefixes().any(|prefix| prefix.contains(address)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    fn found(index: &PrefixIndex, address: &str) -> Vec<Vec<u32>> {
        let address = match address.parse().unwrap() {
            IpAddr::V4(address) => address.to_ipv6_mapped(),
            IpAddr::V6(address) => address,
        };
        index.around(address).map(Iterator::collect).filter(|rows: &Vec<_>| !rows.is_empty()).collect()
    }

    #[test]
    fn the_longest_prefix_comes_first_and_kinds_are_kept_apart() {
        let mut index = PrefixIndex::default();
        for (text, row) in [("10.0.0.0/8", 1), ("10.7.0.0/16", 2), ("10.7.0.0/16", 3), ("::/0", 4)] {
            index.insert(prefix(text), row);
        }

        assert_eq!(found(&index, "10.7.1.1"), [vec![2, 3], vec![1]]);
        assert_eq!(found(&index, "10.8.1.1"), [vec![1]]);
        assert_eq!(found(&index, "2001:db8::1"), [vec![4]]);
        assert!(found(&index, "192.0.2.1").is_empty());
    }

    #[test]
    fn what_was_removed_leaves_nothing_behind() {
        let mut index = PrefixIndex::default();
        index.insert(prefix("10.0.0.0/8"), 1);
        index.insert(prefix("10.0.0.0/8"), 1);

        index.remove(prefix("10.0.0.0/8"), 2);
        assert_eq!(index.len(), 1);
        index.remove(prefix("10.0.0.0/8"), 1);
        assert!(index.announced.is_empty() && index.lengths.is_empty());
    }
}
