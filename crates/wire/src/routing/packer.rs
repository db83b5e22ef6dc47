//! Fills the payload of one frame with the items of one routing message.

use crate::routing::list::Item;
use crate::routing::proof::ProofItem;
use crate::routing::request::{ProofRequest, SeqRequest};
use crate::routing::update::Update;
use crate::routing::{ACKNOWLEDGEMENT, PROOF_REQUESTS, PROOFS, SEQ_REQUESTS, UPDATES};

/// A message with updates that is being filled.
#[derive(Debug)]
pub struct UpdatesPacker(Packer);

/// An acknowledgement that is being filled.
#[derive(Debug)]
pub struct AcknowledgementPacker(Packer);

/// A message with requests for sequence numbers that is being filled.
#[derive(Debug)]
pub struct SeqRequestsPacker(Packer);

/// A message with requests for proofs that is being filled.
#[derive(Debug)]
pub struct ProofRequestsPacker(Packer);

/// A message with proofs that is being filled.
#[derive(Debug)]
pub struct ProofsPacker(Packer);

/// Room that is made at once: for a message of the usual size, and the item behind it that does not fit.
/// Growing to that step by step cost as much as filling it.
const ROOM_BYTES: usize = 2048;

#[derive(Debug)]
struct Packer {
    bytes: Vec<u8>,
    bytes_max: usize,
}

impl Packer {
    fn new(front: &[u32], bytes_max: usize) -> Self {
        let mut bytes = Vec::with_capacity(bytes_max.min(ROOM_BYTES));
        bytes.extend(front.iter().flat_map(|number| number.to_be_bytes()));
        Self { bytes, bytes_max }
    }

    fn push<'a>(&mut self, item: &impl Item<'a>) -> bool {
        let before = self.bytes.len();
        item.write_into(&mut self.bytes);
        let fits = self.bytes.len() <= self.bytes_max;
        if !fits {
            self.bytes.truncate(before);
        }
        fits
    }
}

macro_rules! packer {
    ($name:ident, $item:ty, ($($field:ident),*), $number:expr) => {
        impl $name {
            /// Begins a message of at most `bytes_max` bytes.
            #[must_use]
            pub fn new($($field: u32,)* bytes_max: usize) -> Self {
                Self(Packer::new(&[$number $(, $field)*], bytes_max))
            }

            /// Adds an item if it fits, and returns whether it did.
            #[must_use]
            pub fn push(&mut self, item: &$item) -> bool {
                self.0.push(item)
            }

            /// Returns the message.
            #[must_use]
            pub fn finish(self) -> Vec<u8> {
                self.0.bytes
            }
        }
    };
}

packer!(UpdatesPacker, Update<'_>, (sync, number, oldest), UPDATES);
packer!(AcknowledgementPacker, u32, (sync), ACKNOWLEDGEMENT);
packer!(SeqRequestsPacker, SeqRequest, (), SEQ_REQUESTS);
packer!(ProofRequestsPacker, ProofRequest, (), PROOF_REQUESTS);
packer!(ProofsPacker, ProofItem<'_>, (), PROOFS);
