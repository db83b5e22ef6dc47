//! Stands before OpenSSL and refuses what a session must never have to judge.
//!
//! OpenSSL 3.0.19 and 3.6.3 end a live session over a body shorter than its cipher adds; every version
//! ends a handshake over one forged alert; and records of a future epoch are kept in memory. The
//! gate refuses all of that by form alone, and knows replays before any cryptography is spent.

use crate::discard::{Discard, Malformation};
use crate::options::SessionOptions;
use crate::record::{ContentType, HANDSHAKE_HEADER_BYTES, Record, RecordHeader};
use crate::replay::{REPLAY_WINDOW_RECORDS, ReplayWindow, WideWindow};
use crate::suite::Suite;
use crate::terms::Strictness;

/// The longest handshake message we take: a chain of several P-256 certificates is below 4 KiB,
/// one RSA-4096 chain below 8. Without this, 1 kB of fragments that claim 100 kB each pins 1.2 MiB.
pub(crate) const HANDSHAKE_MESSAGE_BYTES_MAX: u16 = 16_384;

/// The highest message number of a full handshake with cookies is 9; the rest is room for
/// messages that other stacks send on their own.
const HANDSHAKE_MESSAGE_SEQUENCE_MAX: u16 = 15;

/// Finished-shaped records that may reach OpenSSL before the handshake is done. The peer
/// retransmits its Finished at most 12 times; forgeries use the same budget, and when it is gone
/// the attempt dies by its own deadline and the next one starts with a fresh budget.
const FINISHED_BUDGET: u8 = 16;

/// Bodies a Finished record can have: GCM 8 + 24 + 16, ChaCha20 24 + 16.
const FINISHED_BODY_BYTES_AEAD: [usize; 2] = [48, 40];

/// The longest Finished record of a CBC suite: IV 16, message 24, MAC 48, padding 16.
const FINISHED_BODY_BYTES_CBC_MAX: usize = 16 + 24 + 48 + 16;

/// DTLS 1.2 (RFC 6347, 4.1).
pub(crate) const VERSION_DTLS_1_2: u16 = 0xfefd;
/// DTLS 1.0 (RFC 4347): the old note's version, and what a first flight may say.
pub(crate) const VERSION_DTLS_1_0: u16 = 0xfeff;

/// Whether the gate stands before OpenSSL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum GateMode {
    /// It does, as on every node.
    #[default]
    On,
    /// It does not: for experiments that show what it is there for. Replays are still attributed.
    Off,
}

/// Whether our mirror of the replay window (RFC 6347, 4.1.2.6) attributes replays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReplayMirror {
    /// It does, as on every node.
    #[default]
    On,
    /// It does not: OpenSSL discards a replay all the same, in silence, and it is taken for one that
    /// does not verify. For tests of the tests: a judge that does not notice is none.
    Off,
}

/// Decides by form and number whether a record may reach OpenSSL.
#[derive(Debug)]
pub(crate) struct Gate {
    mode: GateMode,
    mirror: ReplayMirror,
    late_records: u64,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    Handshaking { finished_left: u8, strictness: Strictness },
    Established { version: u16, suite: Suite, window: ReplayWindow, late: Option<WideWindow> },
}

impl Gate {
    pub(crate) fn new(options: &SessionOptions, strictness: Strictness) -> Self {
        Self {
            mode: options.gate,
            mirror: options.replay_mirror,
            late_records: options.late_records,
            phase: Phase::Handshaking { finished_left: FINISHED_BUDGET, strictness },
        }
    }

    pub(crate) fn mode(&self) -> GateMode {
        self.mode
    }

    /// Starts to guard an established session.
    pub(crate) fn establish(&mut self, version: u16, suite: Suite) {
        let is_wider = self.late_records > REPLAY_WINDOW_RECORDS;
        let late = is_wider.then(|| WideWindow::new(self.late_records));
        self.phase = Phase::Established { version, suite, window: ReplayWindow::default(), late };
    }

    /// Decides about one record.
    pub(crate) fn check(&mut self, record: &Record<'_>) -> Result<(), Discard> {
        match (&mut self.phase, self.mode) {
            (Phase::Handshaking { finished_left, strictness }, GateMode::On) => {
                check_in_handshake(record, finished_left, *strictness)
            }
            (Phase::Handshaking { .. }, GateMode::Off) => Ok(()),
            (Phase::Established { version, suite, window, .. }, GateMode::On) => {
                check_established(&record.header, *version, *suite)?;
                check_number(&record.header, self.mirror, window)
            }
            (Phase::Established { window, .. }, GateMode::Off) => match record.header.epoch {
                1 => check_number(&record.header, self.mirror, window),
                _ => Ok(()),
            },
        }
    }

    /// Decides about a record of application data that somebody opened already, by the widest window there is.
    pub(crate) fn check_opened(&self, header: &RecordHeader) -> Result<(), Discard> {
        let Phase::Established { version, suite, window, .. } = &self.phase else {
            return Err(Discard::WrongEpoch);
        };
        check_established(header, *version, *suite)?;
        match check_number(header, self.mirror, window) {
            Err(Discard::TooOld) => self.check_late(header).unwrap_or(Err(Discard::TooOld)),
            judged => judged,
        }
    }

    /// Notes that a record verified.
    pub(crate) fn mark(&mut self, sequence: u64) {
        if let Phase::Established { window, late, .. } = &mut self.phase {
            window.mark(sequence);
            if let Some(late) = late {
                late.mark(sequence);
            }
        }
    }

    /// Judges by the wider window a record that is too old for OpenSSL's; `None` where there is no other.
    pub(crate) fn check_late(&self, header: &RecordHeader) -> Option<Result<(), Discard>> {
        let Phase::Established { late: Some(late), .. } = &self.phase else {
            return None;
        };
        (header.content_type == ContentType::ApplicationData).then(|| late.check(header.sequence))
    }
}

fn check_in_handshake(
    record: &Record<'_>,
    finished_left: &mut u8,
    strictness: Strictness,
) -> Result<(), Discard> {
    let header = &record.header;
    if !matches!(header.version, VERSION_DTLS_1_2 | VERSION_DTLS_1_0) {
        return Err(Malformation::Version.into());
    }
    match (header.epoch, header.content_type) {
        (0, ContentType::ChangeCipherSpec) if record.body() == [1] => Ok(()),
        (0, ContentType::ChangeCipherSpec) => Err(Malformation::ShortBody.into()),
        (0, ContentType::Handshake) => check_fragments(record.body()),
        (0, ContentType::Alert) => Err(Malformation::UnprotectedAlert.into()),
        (0, ContentType::ApplicationData) => Err(Malformation::UnprotectedData.into()),
        (1, ContentType::Handshake) => {
            if !is_finished_shaped(record.body().len(), strictness) {
                return Err(Malformation::NotFinished.into());
            }
            let Some(left) = finished_left.checked_sub(1) else {
                return Err(Malformation::FinishedBudget.into());
            };
            *finished_left = left;
            Ok(())
        }
        (1, _) => Err(Malformation::NotFinished.into()),
        _ => Err(Discard::WrongEpoch),
    }
}

fn is_finished_shaped(body_bytes: usize, strictness: Strictness) -> bool {
    if strictness == Strictness::Node {
        return FINISHED_BODY_BYTES_AEAD.contains(&body_bytes);
    }
    (FINISHED_BODY_BYTES_AEAD[1]..=FINISHED_BODY_BYTES_CBC_MAX).contains(&body_bytes)
}

/// Checks every handshake fragment in the body of an epoch-0 record (RFC 6347, 4.2.2).
fn check_fragments(mut body: &[u8]) -> Result<(), Discard> {
    let refuse = || Err(Malformation::HandshakeFragment.into());
    loop {
        let Some((header, rest)) = body.split_first_chunk::<HANDSHAKE_HEADER_BYTES>() else {
            return refuse();
        };
        let [_, m0, m1, m2, q0, q1, o0, o1, o2, f0, f1, f2] = *header;
        let message = u32::from_be_bytes([0, m0, m1, m2]);
        let offset = u32::from_be_bytes([0, o0, o1, o2]);
        let fragment = u32::from_be_bytes([0, f0, f1, f2]);
        let sequence = u16::from_be_bytes([q0, q1]);
        // Three 24-bit numbers: their sum stays within 32 bits.
        if message > u32::from(HANDSHAKE_MESSAGE_BYTES_MAX)
            || offset + fragment > message
            || sequence > HANDSHAKE_MESSAGE_SEQUENCE_MAX
        {
            return refuse();
        }
        let Some(rest) = usize::try_from(fragment).ok().and_then(|len| rest.get(len..)) else {
            return refuse();
        };
        if rest.is_empty() {
            return Ok(());
        }
        body = rest;
    }
}

fn check_number(header: &RecordHeader, mirror: ReplayMirror, window: &ReplayWindow) -> Result<(), Discard> {
    match mirror {
        ReplayMirror::On => window.check(header.sequence),
        ReplayMirror::Off => Ok(()),
    }
}

fn check_established(header: &RecordHeader, version: u16, suite: Suite) -> Result<(), Discard> {
    if header.epoch != 1 {
        return Err(Discard::WrongEpoch);
    }
    if header.version != version {
        return Err(Malformation::Version.into());
    }
    if usize::from(header.length) < suite.body_bytes_min() {
        return Err(Malformation::ShortBody.into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFUSED: Result<(), Discard> = Err(Discard::Malformed(Malformation::HandshakeFragment));

    fn fragment(message: u32, sequence: u16, offset: u32, fragment: u32, present: usize) -> Vec<u8> {
        let mut bytes = vec![11];
        bytes.extend(&message.to_be_bytes()[1..]);
        bytes.extend(sequence.to_be_bytes());
        bytes.extend(&offset.to_be_bytes()[1..]);
        bytes.extend(&fragment.to_be_bytes()[1..]);
        bytes.resize(HANDSHAKE_HEADER_BYTES + present, 0);
        bytes
    }

    #[test]
    fn whole_messages_fragments_and_several_of_them_pass() {
        let (whole, part, empty) =
            (fragment(10, 2, 0, 10, 10), fragment(16_384, 15, 16_000, 384, 384), fragment(0, 5, 0, 0, 0));

        assert_eq!(check_fragments(&whole), Ok(()));
        assert_eq!(check_fragments(&part), Ok(()));
        assert_eq!(check_fragments(&empty), Ok(()));
        assert_eq!(check_fragments(&[whole, part, empty].concat()), Ok(()));
    }

    #[test]
    fn fragments_that_claim_too_much_are_refused() {
        assert_eq!(check_fragments(&fragment(16_385, 2, 0, 10, 10)), REFUSED);
        assert_eq!(check_fragments(&fragment(0xff_ffff, 2, 0, 10, 10)), REFUSED);
        assert_eq!(check_fragments(&fragment(10, 16, 0, 10, 10)), REFUSED);
        assert_eq!(check_fragments(&fragment(10, 2, 1, 10, 10)), REFUSED);
        assert_eq!(check_fragments(&fragment(10, 2, 0xff_ffff, 0xff_ffff, 10)), REFUSED);
    }

    #[test]
    fn fragments_that_end_before_they_say_are_refused() {
        assert_eq!(check_fragments(&[]), REFUSED);
        assert_eq!(check_fragments(&fragment(10, 2, 0, 10, 9)), REFUSED);
        assert_eq!(check_fragments(&fragment(10, 2, 0, 10, 11)), REFUSED);
    }

    #[test]
    fn a_bad_fragment_behind_a_good_one_is_refused() {
        let both = [fragment(10, 2, 0, 10, 10), fragment(100_000, 3, 0, 4, 4)].concat();

        assert_eq!(check_fragments(&both), REFUSED);
    }

    #[test]
    fn only_the_two_aead_sizes_are_finished_shaped_on_a_node() {
        let shaped: Vec<_> =
            (0..200).filter(|length| is_finished_shaped(*length, Strictness::Node)).collect();

        assert_eq!(shaped, [40, 48]);
    }
}
