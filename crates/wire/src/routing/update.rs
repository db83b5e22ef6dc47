//! One way, as a neighbour has it: where it leads, how new, how far, and by whom.

use crate::codec::DecodeError;
use crate::node_id::NodeId;
use crate::routing::list::{Item, front};
use crate::routing::{Metric, RouteSeq, ShortId};

/// Relays that a path names at most: those nearest to whoever tells of it. A way of seven links is named
/// in full; random meshes of a thousand nodes with six neighbours each are six links wide.
pub const PATH_IDS_MAX: usize = 6;

/// Says in place of a number of links that the path is not known.
const UNKNOWN: u8 = u8::MAX;

/// Bytes before the path: 16 origin, 2 sequence number, 2 metric, 1 links.
const FRONT_BYTES: usize = 16 + 2 + 2 + 1;

/// Bytes of the longest update: 45.
pub const UPDATE_BYTES_MAX: usize = FRONT_BYTES + PATH_IDS_MAX * 4;

/// One way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Update<'a> {
    /// Who is at its end.
    pub origin: NodeId,
    /// How often the origin had announced itself anew.
    pub seqno: RouteSeq,
    /// How far it is from the sender; infinite when the sender has no way.
    pub metric: Metric,
    /// By whom it goes. For explanation alone: nothing is decided by it, and nothing vouches for it.
    pub path: Path<'a>,
}

/// The relays between a node and an origin, nearest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Path<'a> {
    links: u8,
    relays: &'a [[u8; 4]],
}

impl<'a> Path<'a> {
    /// The path of an origin to itself.
    pub const OWN: Self = Self { links: 0, relays: &[] };
    /// A path of which nothing is known.
    pub const UNKNOWN: Self = Self { links: UNKNOWN, relays: &[] };

    /// Makes a path of so many links from the relays on it, nearest first. `relays` must hold at least as
    /// many as are named of a path of this length, or the path counts as unknown.
    #[must_use]
    pub fn new(links: Option<u8>, relays: &'a [[u8; 4]]) -> Self {
        let Some(links) = links.filter(|links| *links != UNKNOWN) else {
            return Self::UNKNOWN;
        };
        relays.get(..named(links)).map_or(Self::UNKNOWN, |relays| Self { links, relays })
    }

    /// Returns how many links it has; `None` when it is not known.
    #[must_use]
    pub fn links(&self) -> Option<u8> {
        (self.links != UNKNOWN).then_some(self.links)
    }

    /// Walks over the relays that are named, nearest first.
    pub fn relays(&self) -> impl Iterator<Item = ShortId> + use<'a> {
        self.relays.iter().map(|id| ShortId(*id))
    }
}

/// Returns how many relays are named of a path of so many links.
fn named(links: u8) -> usize {
    if links == UNKNOWN { 0 } else { usize::from(links).saturating_sub(1).min(PATH_IDS_MAX) }
}

impl<'a> Item<'a> for Update<'a> {
    fn split(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), DecodeError> {
        let Some((head, rest)) = bytes.split_first_chunk::<FRONT_BYTES>() else {
            return Err(DecodeError::Truncated { len: bytes.len(), needed: FRONT_BYTES });
        };
        let [id @ .., seqno_high, seqno_low, metric_high, metric_low, links] = *head;
        let wanted = named(links) * 4;
        let (relays, rest) = front(rest, wanted)
            .map_err(|_| DecodeError::Truncated { len: bytes.len(), needed: FRONT_BYTES + wanted })?;
        let update = Self {
            origin: NodeId::new(id),
            seqno: RouteSeq(u16::from_be_bytes([seqno_high, seqno_low])),
            metric: Metric(u16::from_be_bytes([metric_high, metric_low])),
            path: Path { links, relays: relays.as_chunks().0 },
        };
        Ok((update, rest))
    }

    fn write_into(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.origin.as_bytes());
        out.extend(self.seqno.0.to_be_bytes());
        out.extend(self.metric.0.to_be_bytes());
        out.push(self.path.links);
        out.extend_from_slice(self.path.relays.as_flattened());
    }
}
