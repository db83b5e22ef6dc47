//! The triangle as a trace: real sessions of A–B and C–B, whose records the key oracle attributes and
//! whose verdicts are those of the sessions. Only the network between them is made up.

mod teller;

use anyhow::Result;
use peerbound_dtls::{ContentType, RecordHeader};
use peerbound_lab::trace::{Happening, HostIndex, Trace, Way};
use peerbound_node::{Lock, Verdict};

use self::teller::{Link, Sending, Teller, address};

pub(crate) const A: HostIndex = HostIndex(0);
pub(crate) const B: HostIndex = HostIndex(1);
pub(crate) const C: HostIndex = HostIndex(2);
pub(crate) const MALLORY: HostIndex = HostIndex(3);

/// What the direct reply says: nobody but B can read it.
pub(crate) const DIRECT_REPLY: &str = "direct reply";

/// The length of a node's hello before it is sealed.
const HELLO_BYTES: usize = 66;

/// A asks C by way of B and is answered the same way; then C's answer goes to A directly, and every
/// other lock is tried too.
pub(crate) fn triangle() -> Result<Trace> {
    let mut story = Teller::new("C answers A directly", &["A", "B", "C", "attacker"])?;
    let mut a_b = story.connect(A, B)?;
    let mut c_b = story.connect(C, B)?;
    for (host, other) in [(A, B), (B, A), (C, B), (B, C)] {
        let text = format!("link with {} carries frames", story.name(other));
        story.event(host, "neighbour-up", &text);
    }
    hellos(&mut story, &mut a_b, &mut c_b, 2)?;
    relayed_both_ways(&mut story, &mut a_b, &mut c_b)?;
    hellos(&mut story, &mut a_b, &mut c_b, 1)?;
    directly(&mut story, &mut a_b, &mut c_b)?;
    by_the_attacker(&mut story, &mut a_b)?;
    let last = story.seal(&mut a_b, A, b"nobody waits for this")?;
    story.send(Sending::by(A, B, last));
    Ok(story.finish())
}

/// The same with many more hellos: as many entries as a page shows.
pub(crate) fn long(rounds: usize) -> Result<Trace> {
    let mut story = Teller::new("A long evening on A–B", &["A", "B", "C"])?;
    let mut a_b = story.connect(A, B)?;
    let mut c_b = story.connect(C, B)?;
    for round in 0..rounds {
        hellos(&mut story, &mut a_b, &mut c_b, 1)?;
        if round % 10 == 0 {
            story.pass(&mut a_b, A, format!("message {round}").as_bytes(), Some("message"))?;
        }
        if round % 25 == 0 {
            let stray = story.seal(&mut c_b, C, b"a reply, directly")?;
            let datagram = story.send(Sending::by(C, A, stray).called("direct reply"));
            story.judged(datagram, A, Verdict::Dropped(Lock::Demux), Some("no-session"));
        }
    }
    Ok(story.finish())
}

fn hellos(story: &mut Teller, a_b: &mut Link, c_b: &mut Link, rounds: usize) -> Result<()> {
    for _ in 0..rounds {
        for (link, end) in [(&mut *a_b, A), (&mut *c_b, C)] {
            for by in [end, B] {
                story.pass(link, by, &[0; HELLO_BYTES], None)?;
            }
        }
        story.wait_millis(500);
    }
    Ok(())
}

fn relayed_both_ways(story: &mut Teller, a_b: &mut Link, c_b: &mut Link) -> Result<()> {
    story.step("A sends \"request\" to C by way of B");
    let lost = story.seal(a_b, A, b"request")?;
    let lost = story.send(Sending::by(A, B, lost).called("request"));
    story.lost(lost, "chance");
    story.step("A sends \"request\" once more");
    story.pass(a_b, A, b"request, once more", Some("request"))?;
    story.pass(c_b, B, b"request, once more", Some("request"))?;
    story.event(C, "delivered", "\"request\" from A is delivered");
    story.step("C sends \"reply\", back the way the request came");
    story.pass(c_b, C, b"reply", Some("reply"))?;
    story.pass(a_b, B, b"reply", Some("reply"))?;
    story.event(A, "delivered", "\"reply\" from C is delivered");
    Ok(())
}

fn directly(story: &mut Teller, a_b: &mut Link, c_b: &mut Link) -> Result<()> {
    story.step("C seals \"direct reply\", and its datagram goes to A instead of B");
    let reply = story.seal(c_b, C, DIRECT_REPLY.as_bytes())?;
    let direct = story.send(Sending::by(C, A, reply.clone()).called(DIRECT_REPLY));
    story.judged(direct, A, Verdict::Dropped(Lock::Demux), Some("no-session"));
    story.step("The same datagram, from B's address");
    let spoofed =
        Sending { source: address(B), copy_of: Some(direct), ..Sending::by(MALLORY, A, reply.clone()) };
    let spoofed =
        story.send(Sending { way: Way::Injected, ..spoofed }.called("direct reply from B's address"));
    story.received(spoofed, A, &reply, a_b.end_at(A));
    story.step("A connects its socket to B, and C tries once more");
    let refused = story.send(Sending::by(C, A, reply).called("direct reply"));
    story.happen(Happening::Refused { datagram: refused, host: A, icmp: true });
    story.happen(Happening::Told { host: C, error: "ECONNREFUSED" });
    Ok(())
}

fn by_the_attacker(story: &mut Teller, a_b: &mut Link) -> Result<()> {
    let spoofing = |bytes: &[u8]| Sending {
        source: address(B),
        way: Way::Injected,
        ..Sending::by(MALLORY, A, bytes.to_vec())
    };
    let old = story.seal(a_b, B, b"only once")?;
    let first = story.send(Sending::by(B, A, old.clone()));
    story.received(first, A, &old, a_b.end_at(A));
    let again = story.send(Sending { copy_of: Some(first), ..spoofing(&old) }.called("replay"));
    story.received(again, A, &old, a_b.end_at(A));
    let short = record(ContentType::ApplicationData, 1, 9, &[0x17; 5]);
    let sent = story.send(spoofing(&short).called("short record"));
    story.received(sent, A, &short, a_b.end_at(A));
    let alert = record(ContentType::Alert, 0, 9, &[2, 40]);
    let sent = story.send(spoofing(&alert).called("alert <in the clear>"));
    story.received(sent, A, &alert, a_b.end_at(A));
    let rubbish = story.send(spoofing(b"hello").called("rubbish"));
    story.happen(Happening::Read { datagram: rubbish, host: A, by: "listener".to_owned() });
    // What these two do to a session takes a stranger's certificate and a CBC suite: made up here.
    let hello = story.first_flight()?;
    let stranger = story.send(Sending::by(MALLORY, A, hello).called("stranger"));
    story.judged(stranger, A, Verdict::Dropped(Lock::Identity), Some("peer-refused"));
    let forged = record(ContentType::ApplicationData, 1, 10, &[0x42; 48]);
    let killing = story.send(spoofing(&forged).called("forged"));
    story.judged(killing, A, Verdict::Killed, None);
    story.happen(Happening::Violation {
        kind: "forged-datagram-ends-session",
        text: "a datagram of the attacker's ended session A–B".to_owned(),
    });
    Ok(())
}

fn record(content_type: ContentType, epoch: u16, sequence: u64, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).expect("bodies here are short");
    let header = RecordHeader { content_type, version: 0xfefd, epoch, sequence, length };
    [&header.encode()[..], body].concat()
}
