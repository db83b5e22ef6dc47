//! The capture of a trace, read by somebody else: tshark decrypts every hop at both of its ends, and
//! the direct reply nowhere, although the file holds every secret of the run.
//!
//! Without tshark the test says so and passes, unless `PEERBOUND_REQUIRE_PEERS=1`.

use anyhow::{Context as _, Result, ensure};
use peerbound_lab::trace::{Fate, RunFacts};
use peerbound_node::Verdict;

use crate::story;
use crate::tshark::{Row, read_with_tshark};

#[test]
fn tshark_decrypts_every_hop_at_both_ends_and_the_direct_reply_nowhere() -> Result<()> {
    let trace = story::triangle()?;
    let folder = tempfile::tempdir()?;
    trace.write_to(folder.path(), &trace.summarise(RunFacts::default()))?;

    let Some(rows) = read_with_tshark(&folder.path().join("run.pcapng"))? else { return Ok(()) };

    let mut decrypted = 0;
    for journey in trace.journeys().iter().filter(|journey| journey.contents.starts_with("data #")) {
        let seen: Vec<&Row> = rows.iter().filter(|row| row.packet_id == journey.datagram.0).collect();
        let end = journey.end.as_ref();
        if matches!(end.map(|end| &end.fate), Some(Fate::Judged { verdict: Verdict::Accepted, .. })) {
            ensure!(seen.len() == 2, "{} is seen {} times", journey.contents, seen.len());
            ensure!(seen[0].interface == trace.name_of(journey.by), "it is sent elsewhere: {:?}", seen[0]);
            ensure!(seen.iter().all(|row| !row.plaintext.is_empty()), "a hop was not decrypted: {seen:?}");
            decrypted += 1;
        }
        if journey.label.is_some_and(|label| label.starts_with(story::DIRECT_REPLY)) {
            ensure!(seen.len() == 2, "the direct reply is seen {} times", seen.len());
            ensure!(seen.iter().all(|row| row.plaintext.is_empty()), "it was decrypted: {seen:?}");
            ensure!(seen.iter().all(|row| row.comment.contains("session B–C, direction C→B")), "{seen:?}");
        }
    }
    ensure!(decrypted > 12, "only {decrypted} hops carried data");
    let request = |interface: &str| {
        let row =
            rows.iter().find(|row| row.interface == interface && row.plaintext == b"request, once more");
        row.with_context(|| format!("{interface} has not seen the request"))
    };
    for interface in ["A", "B", "C"] {
        request(interface)?;
    }
    Ok(())
}

#[test]
fn comments_say_what_became_of_a_datagram_and_who_sealed_it() -> Result<()> {
    let trace = story::triangle()?;
    let folder = tempfile::tempdir()?;
    trace.write_to(folder.path(), &trace.summarise(RunFacts::default()))?;

    let Some(rows) = read_with_tshark(&folder.path().join("run.pcapng"))? else { return Ok(()) };

    for expected in [
        "at A: dropped at demux (no-session) [RFC 6347, 4.1.1], sealed by session B–C, direction C→B",
        "at A: dropped at record-auth (bad-mac) [RFC 6347, 4.1.2.7], sealed by session B–C, direction C→B",
        "at A: dropped at replay (replay) [RFC 6347, 4.1.2.6], sealed by session A–B, direction B→A",
        "at A: dropped at gate (short-body) [RFC 6347, 4.1.2.7]",
        "at A: dropped at kernel (no socket takes it; ICMP port unreachable goes back), sealed by session B–C, direction C→B",
        "A sends, \"request\", sealed by session A–B, direction A→B, lost: chance",
        "A sends, sealed by session A–B, direction A→B, still on its way when the run ended",
        "at A: read by listener",
    ] {
        ensure!(rows.iter().any(|row| row.comment == expected), "nothing is commented \"{expected}\"");
    }
    Ok(())
}
