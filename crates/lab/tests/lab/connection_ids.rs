//! Records with Connection IDs, read by somebody else: tshark knows the form, works out what is
//! authenticated by itself, and decrypts them with the key log.
//!
//! The handshake is OpenSSL's, which cannot agree on ids. So the capture shows its two hellos with the
//! extension put in; tshark does not check what the Finished messages vouch for.

use std::fs::File;
use std::io::{BufWriter, Write};

use anyhow::{Context as _, Result, ensure};
use peerbound_cid::{ConnectionId, Form, RealType, Sealing};
use peerbound_dtls::{Direction, Profile, RECORD_HEADER_BYTES, RecordNumber, Teaching};
use tempfile::tempdir;

use crate::tap::Tap;
use crate::tshark::read_with_tshark;

const A: &str = "192.0.2.1:7400";
const B: &str = "192.0.2.2:7400";
const OF_CLIENT: [u8; 4] = [0xa1, 0xa2, 0xa3, 0xa4];
const OF_SERVER: [u8; 4] = [0xb1, 0xb2, 0xb3, 0xb4];

/// `connection_id` (RFC 9146, 3).
const EXTENSION: u16 = 54;

/// ChaCha20-Poly1305 is left out: tshark 4.0 forgets the epoch in its nonce, with ids and without.
#[test]
fn tshark_decrypts_what_the_model_sealed_with_ids() -> Result<()> {
    for suite in ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384"] {
        let mut tap = Tap::new()?;
        tap.retouch = with_ids;
        let profile = Profile::Teaching(Teaching::with_suites(suite));
        let pair = tap.establish_with(&profile, "a", A, B)?;
        let keys = pair.client.secrets().context("established")?.record_keys()?;
        let (of_client, of_server) = (ConnectionId::new(&OF_CLIENT)?, ConnectionId::new(&OF_SERVER)?);
        let number = RecordNumber { epoch: 1, sequence: 1 };
        let sealing = |id, padding| Sealing {
            real_type: RealType::ApplicationData,
            number,
            explicit_nonce: Sealing::nonce_of(number),
            form: Form::Identified { id, padding },
        };
        let there = sealing(&of_server, 0).seal(keys.of(Direction::ClientToServer), b"with an id")?;
        let back = sealing(&of_client, 50).seal(keys.of(Direction::ServerToClient), b"and with padding")?;
        tap.write_down(&there, A, B, "there")?;
        tap.write_down(&back, B, A, "back")?;
        let directory = tempdir()?;
        let file = directory.path().join("ids.pcapng");
        let mut out = BufWriter::new(File::create(&file)?);
        tap.capture.write_to(&mut out)?;
        out.flush()?;

        let Some(rows) = read_with_tshark(&file)? else {
            return Ok(());
        };

        for (comment, expected) in [("there", &b"with an id"[..]), ("back", b"and with padding")] {
            let row = rows.iter().find(|row| row.comment == comment).context("the packet is there")?;
            ensure!(row.plaintext == expected, "{suite}, {comment}: {row:?}");
        }
    }
    Ok(())
}

/// Puts the extension into the hello of a datagram whose first record is one.
fn with_ids(datagram: &[u8]) -> Vec<u8> {
    const HANDSHAKE: u8 = 22;
    const CLIENT_HELLO: u8 = 1;
    const SERVER_HELLO: u8 = 2;
    const MESSAGE_HEADER_BYTES: usize = 12;
    let id = match (datagram[0], datagram.get(RECORD_HEADER_BYTES)) {
        (HANDSHAKE, Some(&CLIENT_HELLO)) => OF_CLIENT,
        (HANDSHAKE, Some(&SERVER_HELLO)) => OF_SERVER,
        _ => return datagram.to_vec(),
    };
    let record_bytes = RECORD_HEADER_BYTES + usize::from(u16::from_be_bytes([datagram[11], datagram[12]]));
    let (record, rest) = datagram.split_at(record_bytes);
    let mut record = record.to_vec();
    let body_at = RECORD_HEADER_BYTES + MESSAGE_HEADER_BYTES;
    // Version and random, then what has a length of its own.
    let mut at = body_at + 2 + 32;
    at += 1 + usize::from(record[at]);
    if id == OF_CLIENT {
        at += 1 + usize::from(record[at]);
        at += 2 + usize::from(u16::from_be_bytes([record[at], record[at + 1]]));
        at += 1 + usize::from(record[at]);
    } else {
        at += 2 + 1;
    }
    let mut extension = EXTENSION.to_be_bytes().to_vec();
    extension.extend([0, 1 + 4, 4]);
    extension.extend(id);
    record.extend(&extension);
    let grown = |bytes: [u8; 2]| (u16::from_be_bytes(bytes) + 9).to_be_bytes();
    // The lengths of the extensions, the record, the message and its fragment: 16 bits are enough.
    for length_at in [at, 11, RECORD_HEADER_BYTES + 2, RECORD_HEADER_BYTES + 10] {
        let length = grown([record[length_at], record[length_at + 1]]);
        record[length_at..length_at + 2].copy_from_slice(&length);
    }
    [&record, rest].concat()
}
