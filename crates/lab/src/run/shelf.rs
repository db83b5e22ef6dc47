//! Datagrams in the hands of the scenario: sealed, written by hand, captured. They lie here under their
//! names until a step puts them on the wire.

use std::collections::BTreeMap;

use peerbound_dtls::{ContentType, Direction, Record, RecordKeys, SealError};
use peerbound_wire::{Flags, FlowId, Frame, Header, Kind, NodeId, PacketId};
use rand_chacha::ChaCha8Rng;

use crate::judge::Judge;
use crate::run::forgery;
use crate::scenario::{ForgedRecord, Injection, Label, Sequence, Source};
use crate::trace::{DatagramId, HostIndex};

/// Every conversation of a scenario has this flow id: relays remember ways back by source and flow.
pub(crate) const FLOW: FlowId = FlowId(7);

/// Numbers of frames that are sealed under stolen keys start here: ahead of those that their supposed
/// origin has given, and by no more than half of the window in which a node looks for duplicates (8192),
/// so that the origin's own next frames are not taken for old ones.
const STOLEN_PACKETS: u64 = 4096;

/// One datagram in hand.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Held {
    /// Its bytes, and what they are a copy of.
    Bytes { bytes: Vec<u8>, copy_of: Option<DatagramId> },
    /// A record whose number depends on who will receive it.
    Forged(ForgedRecord),
}

/// The datagrams in hand, by name.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    held: BTreeMap<Label, Held>,
    stolen: u64,
}

/// A datagram ready for the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ready {
    pub(crate) bytes: Vec<u8>,
    /// Whether it was written, or changed, by hand.
    pub(crate) is_handmade: bool,
    pub(crate) copy_of: Option<DatagramId>,
}

/// A data frame to be sealed under keys that were stolen.
#[derive(Clone, Copy)]
pub(crate) struct Theft<'a> {
    pub(crate) keys: &'a RecordKeys,
    pub(crate) direction: Direction,
    pub(crate) sequence: u64,
    pub(crate) source: NodeId,
    /// The boot of the source that the frame is to be of.
    pub(crate) boot_epoch: u32,
    pub(crate) destination: NodeId,
    pub(crate) is_reply: bool,
    pub(crate) payload: &'a [u8],
}

impl Shelf {
    pub(crate) fn put(&mut self, label: Label, bytes: Vec<u8>) {
        self.held.insert(label, Held::Bytes { bytes, copy_of: None });
    }

    pub(crate) fn put_forged(&mut self, label: Label, record: ForgedRecord) {
        self.held.insert(label, Held::Forged(record));
    }

    /// Seals a data frame as somebody who has the keys; returns the frame's number.
    pub(crate) fn put_stolen(&mut self, label: Label, theft: &Theft<'_>) -> Result<PacketId, SealError> {
        self.stolen += 1;
        let header = Header {
            flow: FLOW,
            flags: if theft.is_reply { Flags::REPLY } else { Flags::default() },
            packet: PacketId(STOLEN_PACKETS + self.stolen),
            boot_epoch: theft.boot_epoch,
            ..Header::new(Kind::Data, theft.source, theft.destination)
        };
        let mut frame = Vec::new();
        Frame { header, payload: theft.payload }.encode_into(&mut frame);
        // Not an explicit nonce that the owner of the keys would use: with GCM at least the nonces differ.
        let nonce = self.stolen.to_be_bytes().map(|byte| !byte);
        let keys = theft.keys.of(theft.direction);
        let sealed = keys.seal(ContentType::ApplicationData, theft.sequence, nonce, &frame)?;
        self.put(label, sealed);
        Ok(header.packet)
    }

    /// Gets the datagram ready that an injection names: written with its number, and edited. What was
    /// edited lies here under the injection's own name from then on.
    pub(crate) fn ready(
        &mut self,
        injection: &Injection,
        judge: &Judge,
        chance: &mut ChaCha8Rng,
    ) -> Option<Ready> {
        let sequence_of = |sequence| sequence_for(sequence, judge, injection.to, sender_of(injection.source));
        let held =
            self.held.get(&injection.datagram).cloned().or_else(|| from_wire(&injection.datagram, judge));
        let (original, copy_of, is_forged) = match held? {
            Held::Bytes { bytes, copy_of } => (bytes, copy_of, false),
            Held::Forged(record) => {
                (forgery::record(&record, sequence_of(record.sequence), chance), None, true)
            }
        };
        let mut bytes = original.clone();
        for edit in &injection.edits {
            forgery::edit(&mut bytes, edit, sequence_of);
        }
        if injection.label != injection.datagram {
            let held = Held::Bytes { bytes: bytes.clone(), copy_of };
            self.held.insert(injection.label.clone(), held);
        }
        Some(Ready { is_handmade: is_forged || bytes != original, bytes, copy_of })
    }

    /// Returns the record number of a datagram in hand.
    pub(crate) fn record_number(&self, label: &Label, judge: &Judge) -> Option<u64> {
        match self.held.get(label).cloned().or_else(|| from_wire(label, judge))? {
            Held::Bytes { bytes, .. } => Record::split(&bytes).ok().map(|(record, _)| record.header.sequence),
            Held::Forged(_) => None,
        }
    }
}

/// Finds a datagram that was captured, or sent, under this name.
fn from_wire(label: &Label, judge: &Judge) -> Option<Held> {
    let sent = || judge.datagrams_called(&label.0).last().copied();
    let id = judge.captured(&label.0).or_else(sent)?;
    let datagram = judge.datagram(id)?;
    Some(Held::Bytes { bytes: datagram.bytes.to_vec(), copy_of: Some(id) })
}

/// Returns whom a source address belongs to, if to a host of the scenario.
fn sender_of(source: Source) -> Option<HostIndex> {
    match source {
        Source::Host(host) | Source::ConnectedSocketOf(host) => Some(host),
        Source::Attacker | Source::Address(_) => None,
    }
}

/// Finds a record number: as it is, or by what the receiver has accepted from there.
pub(crate) fn sequence_for(sequence: Sequence, judge: &Judge, to: HostIndex, from: Option<HostIndex>) -> u64 {
    match sequence {
        Sequence::Number(number) => number,
        Sequence::Newest(ahead) => {
            let newest = from.and_then(|from| judge.newest_accepted(to, from)).unwrap_or(0);
            newest.saturating_add_signed(ahead)
        }
    }
}
