//! A capture of real sessions, read by somebody else: tshark decrypts what a session sealed, and
//! nothing that was put in its place, although the file holds every secret there is.
//!
//! Without tshark the test says so and passes, unless `PEERBOUND_REQUIRE_PEERS=1`.

use std::fs::File;
use std::io::{BufWriter, Write};

use anyhow::{Context as _, Result, ensure};
use tempfile::tempdir;

use crate::tap::Tap;
use crate::tshark::read_with_tshark;

const A: &str = "192.0.2.1:7400";
const B: &str = "192.0.2.2:7400";
const C: &str = "[2001:db8::3]:7400";
/// Where C meets B: the same node, seen over the other family.
const B6: &str = "[2001:db8::2]:7400";

#[test]
fn tshark_decrypts_what_a_session_sealed_and_nothing_put_in_its_place() -> Result<()> {
    let mut tap = Tap::new()?;
    let mut a_b = tap.establish("a", A, B)?;
    let mut c_b = tap.establish("c", C, B6)?;
    tap.carry(&mut a_b.client, A, B, "request from a to b")?;
    tap.carry(&mut a_b.server, B, A, "answer from b to a")?;
    tap.carry(&mut c_b.client, C, B6, "word from c to b")?;
    // What C sealed for B, in a datagram that claims to come from B to A.
    tap.carry(&mut c_b.client, B, A, "direct reply from c to a")?;
    let directory = tempdir()?;
    let file = directory.path().join("sessions.pcapng");
    let mut out = BufWriter::new(File::create(&file)?);
    tap.capture.write_to(&mut out)?;
    out.flush()?;

    let Some(rows) = read_with_tshark(&file)? else {
        return Ok(());
    };

    let plaintext_of = |comment: &str| {
        let row = rows.iter().find(|row| row.comment == comment);
        row.map(|row| &row.plaintext[..]).with_context(|| format!("no packet \"{comment}\" in {rows:#?}"))
    };
    for comment in ["request from a to b", "answer from b to a", "word from c to b"] {
        ensure!(plaintext_of(comment)? == comment.as_bytes(), "{comment} reads {:?}", plaintext_of(comment)?);
    }
    ensure!(plaintext_of("direct reply from c to a")?.is_empty(), "a forgery was decrypted");
    for (row, number) in rows.iter().zip(0_u64..) {
        ensure!(row.packet_id == number, "packet {number} has another id: {row:?}");
        ensure!(row.interface == "tap", "{row:?} was seen elsewhere");
        ensure!(row.checksums_good, "a checksum is wrong: {row:?}");
    }
    Ok(())
}
