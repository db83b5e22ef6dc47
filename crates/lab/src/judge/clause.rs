//! Where the standard says that a datagram ends as it did.

use peerbound_node::{Lock, Verdict};

/// Returns the clause for a verdict, and for the counted reason where a lock has several.
#[must_use]
pub fn clause_of(verdict: Verdict, reason: Option<&str>) -> &'static str {
    match verdict {
        Verdict::Accepted => "RFC 6347, 4.1.1 and 4.1.2 (of a known association, and valid)",
        Verdict::Challenged => "RFC 6347, 4.2.1 (a cookie first, no state)",
        Verdict::Killed => "RFC 6347, 4.1.2.7 (a fatal alert is allowed); RFC 7366, 3",
        Verdict::Dropped(Lock::Kernel) => "connect(2), udp(7); RFC 1122, 4.1.3.1 (port unreachable)",
        Verdict::Dropped(Lock::Demux) => "RFC 6347, 4.1.1 (an association is found by host and port)",
        Verdict::Dropped(Lock::Gate) => clause_of_gate(reason),
        Verdict::Dropped(Lock::Replay) => "RFC 6347, 4.1.2.6 (anti-replay)",
        Verdict::Dropped(Lock::RecordAuth) => "RFC 6347, 4.1.2.7 (invalid records are discarded silently)",
        Verdict::Dropped(Lock::Identity) => "RFC 5246, 7.4.6 and 7.4.8 (the certificate and its proof)",
    }
}

fn clause_of_gate(reason: Option<&str>) -> &'static str {
    match reason {
        Some("without-id") => "RFC 9146, 3 (an id was agreed on, and the record has none)",
        Some("wrong-epoch") => "RFC 6347, 4.1 (the epoch)",
        Some("short-body") => "RFC 5246, 6.2.3.3 (a body holds at least nonce and tag)",
        Some("handshake-fragment") => "RFC 6347, 4.2.3 (fragments)",
        Some("unprotected-alert" | "unprotected-data") => "RFC 6347, 4.1.2.7 (what nothing vouches for)",
        Some("not-finished" | "finished-budget") => "RFC 6347, 4.1 (no data before the handshake is done)",
        Some("hello-refused" | "hello-throttled" | "half-open-full") => "RFC 6347, 4.2.1 (denial of service)",
        Some(_) | None => "RFC 6347, 4.1 and 4.1.2.7 (no valid record)",
    }
}

/// Returns the lock that counts a reason; `None` for a word that no lock knows.
#[must_use]
pub fn lock_of(reason: &str) -> Option<Lock> {
    Some(match reason {
        "no-session" => Lock::Demux,
        "hello-refused" | "hello-throttled" | "half-open-full" | "empty" | "truncated" | "unknown-type"
        | "version" | "too-long" | "short-body" | "unprotected-alert" | "unprotected-data"
        | "not-finished" | "finished-budget" | "handshake-fragment" | "wrong-epoch" | "without-id" => {
            Lock::Gate
        }
        "replay" | "too-old" => Lock::Replay,
        "bad-mac" => Lock::RecordAuth,
        "peer-refused" => Lock::Identity,
        _ => return None,
    })
}
