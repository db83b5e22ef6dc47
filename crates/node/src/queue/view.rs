//! What there is to say of a queue.

use std::collections::BTreeMap;
use std::time::Duration;

use peerbound_wire::NodeId;

use crate::counters::FrameDrop;
use crate::queue::rate::Rate;

/// The queue of frames for one neighbour, as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueView {
    /// Whose.
    pub neighbour: NodeId,
    /// Frames that wait.
    pub frames: usize,
    /// Their bytes.
    pub bytes: usize,
    /// Flows that have frames here.
    pub flows: usize,
    /// How long the frame that left last had waited.
    pub sojourn: Duration,
    /// How long the frame that has waited longest waits already.
    pub oldest: Duration,
    /// Frames that had to wait and have left.
    pub passed: u64,
    /// Frames that left with a mark of congestion.
    pub marked: u64,
    /// Frames dropped from it, by reason.
    pub dropped: BTreeMap<FrameDrop, u64>,
    /// The rate that was set.
    pub rate: Option<Rate>,
}
