//! What a certificate says of a node besides its name: the prefixes that it may announce, each as a URI in
//! the subjectAltName.

use peerbound_dtls::{X509Ref, uri_names};
use peerbound_wire::{PREFIXES_MAX, Prefix};

/// What stands before a prefix.
const SCHEME: &str = "peerbound:prefix:";

/// Returns the name by which a certificate carries a prefix.
#[must_use]
pub fn prefix_uri(prefix: &Prefix) -> String {
    format!("{SCHEME}{prefix}")
}

/// Returns the prefixes that a certificate carries, [`PREFIXES_MAX`] at most. What cannot be read is not
/// carried.
#[must_use]
pub fn certified_prefixes(certificate: &X509Ref) -> Vec<Prefix> {
    let names = uri_names(certificate);
    let prefixes = names.iter().filter_map(|name| name.strip_prefix(SCHEME)?.parse().ok());
    prefixes.take(PREFIXES_MAX).collect()
}
