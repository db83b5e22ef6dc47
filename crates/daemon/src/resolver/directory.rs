//! Which node has which name: those of the configuration, and below them those in certificates.

use std::collections::BTreeMap;
use std::net::Ipv6Addr;

use crate::daemon::Nodes;

/// Characters of one part of a name in DNS (RFC 1035, 2.3.4).
const LABEL_BYTES_MAX: usize = 63;

/// Names as they stand in DNS, in small letters, and whose they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Directory {
    by_label: BTreeMap<String, Ipv6Addr>,
    by_address: BTreeMap<Ipv6Addr, String>,
}

impl Directory {
    /// Takes names that were given, and names that nodes have in their certificates, where nothing else was
    /// given. A name that two of the same kind have is nobody's: to choose would be a guess.
    pub(crate) fn new(given: &Nodes, certified: &Nodes) -> Self {
        let mut directory = Self::default();
        for names in [given, certified] {
            let mut claimed: BTreeMap<String, Option<Ipv6Addr>> = BTreeMap::new();
            for (id, name) in names {
                let Some(label) = label_of(name) else { continue };
                let address = id.address();
                let owner = claimed.entry(label).or_insert(Some(address));
                *owner = owner.filter(|owner| *owner == address);
            }
            for (label, owner) in claimed {
                let Some(address) = owner else { continue };
                if !directory.by_label.contains_key(&label) {
                    directory.by_address.entry(address).or_insert_with(|| label.clone());
                    directory.by_label.insert(label, address);
                }
            }
        }
        directory
    }

    /// Returns whose a name is; it is given in small letters.
    pub(crate) fn address_of(&self, label: &str) -> Option<Ipv6Addr> {
        self.by_label.get(label).copied()
    }

    /// Returns the name of a node, that which was given first.
    pub(crate) fn name_of(&self, address: Ipv6Addr) -> Option<&str> {
        self.by_address.get(&address).map(String::as_str)
    }

    /// Lists all names.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, Ipv6Addr)> {
        self.by_label.iter().map(|(label, address)| (label.as_str(), *address))
    }
}

/// Returns a name as it may stand in DNS (RFC 1123, 2.1): small letters, digits and hyphens. Blanks, points
/// and underscores become hyphens; `None` where other characters stand in it.
fn label_of(name: &str) -> Option<String> {
    let label: Option<String> = name
        .chars()
        .map(|character| match character {
            'a'..='z' | '0'..='9' | '-' => Some(character),
            'A'..='Z' => Some(character.to_ascii_lowercase()),
            ' ' | '_' | '.' => Some('-'),
            _ => None,
        })
        .collect();
    let label = label?;
    let label = label.trim_matches('-');
    (1..=LABEL_BYTES_MAX).contains(&label.len()).then(|| label.to_owned())
}

#[cfg(test)]
mod tests {
    use peerbound_wire::NodeId;

    use super::*;

    const A: NodeId = NodeId::new([0xa; 16]);
    const B: NodeId = NodeId::new([0xb; 16]);

    fn named(id: NodeId, name: &str) -> (NodeId, String) {
        (id, name.to_owned())
    }

    #[test]
    fn a_name_that_was_given_comes_before_one_in_a_certificate() {
        let directory =
            Directory::new(&[named(A, "printer")].into(), &[named(A, "node-17"), named(B, "printer")].into());

        assert_eq!(directory.address_of("printer"), Some(A.address()));
        assert_eq!(directory.address_of("node-17"), Some(A.address()));
        assert_eq!(directory.name_of(A.address()), Some("printer"));
        assert_eq!(directory.name_of(B.address()), None);
    }

    #[test]
    fn a_name_in_two_certificates_is_nobodys() {
        let directory = Directory::new(&Nodes::new(), &[named(A, "printer"), named(B, "Printer")].into());

        assert_eq!(directory, Directory::default());
    }

    #[test]
    fn names_are_written_as_dns_has_them() {
        assert_eq!(label_of("Hillside Printer_2.b").as_deref(), Some("hillside-printer-2-b"));
        for name in ["", "-", "Drucker für alle", "a\nb", "../x", &"x".repeat(64)] {
            assert_eq!(label_of(name), None, "{name:?}");
        }
    }
}
