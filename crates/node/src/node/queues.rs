//! The part of a node where frames wait until there is room for them: what is passed on at once, what
//! waits, and what is sealed when its turn has come.

use std::time::{Duration, Instant};

use peerbound_wire::{Flags, HEADER_BYTES, Header, Kind, NodeId};

use crate::counters::FrameDrop;
use crate::event::FrameAction;
use crate::node::Node;
use crate::node::frames::{Passed, Unsent};
use crate::outbound::BATCH_BYTES_MAX;
use crate::queue::{Advice, FlowKey, Full, QueueView, Taken, Waiting};

impl Node {
    /// Says how many bytes the owner can take at this moment. So many are sealed ahead, and no batch is
    /// larger; what exceeds them waits, fairly, and is sealed when its turn has come. An owner that takes
    /// everything at once need never say so; one whose socket is full says 0, and gets control only.
    pub fn handle_room(&mut self, bytes: usize, now: Instant) {
        self.latest = now;
        self.outbound.set_room(bytes);
    }

    /// Says how long what comes in from here on has waited with the owner, or in its kernel. Where every frame waits for
    /// long there is a queue that stands, and flows are told by marks and drops, as by the queues here.
    pub fn handle_wait(&mut self, waited: Duration) {
        self.waited = waited;
    }

    /// Judges a frame by how long it has waited to come in; returns its header, marked if need be, or nothing where it is to
    /// be dropped.
    pub(super) fn admit(&mut self, header: &Header, now: Instant) -> Option<Header> {
        if header.kind != Kind::Data {
            return Some(*header);
        }
        match self.arriving.advise(FlowKey::of(header), self.waited, now) {
            Advice::Pass => Some(*header),
            Advice::Signal if header.flags.contains(Flags::ECN_CAPABLE) => {
                Some(Header { flags: header.flags.with(Flags::CONGESTION), ..*header })
            }
            Advice::Signal => None,
        }
    }

    /// Returns whether frames wait, for room or for a rate.
    #[must_use]
    pub fn has_waiting(&self) -> bool {
        self.queues.frames() > 0
    }

    /// Lists the queues to all neighbours, in order of their ids.
    #[must_use]
    pub fn queues(&self) -> Vec<QueueView> {
        self.neighbours.keys().map(|neighbour| self.queues.view(*neighbour, self.latest)).collect()
    }

    /// Returns how long a frame for this neighbour has to wait here, going by the last that left; nothing
    /// where none waits.
    #[must_use]
    pub fn queue_delay(&self, neighbour: NodeId) -> Duration {
        self.queues.delay(&neighbour)
    }

    /// Passes a frame of data on: seals it where nothing is before it, else lets it wait.
    pub(super) fn pass_on(
        &mut self,
        bytes: &mut [u8],
        (header, from): (Header, Option<NodeId>),
        next: NodeId,
    ) -> Result<Passed, Unsent> {
        if self.outbound.has_room() && self.queues.is_open(&next, self.latest) {
            return self.seal_in_place(bytes, header, next).map(|()| Passed::Sealed);
        }
        self.check_link(bytes.len(), next)?;
        let pushed = self.queues.push(next, bytes, (header, from), self.latest);
        pushed.map_err(|Full| Unsent::Dropped(FrameDrop::QueueFull))?;
        while let Some((neighbour, frame)) = self.queues.shed(next) {
            self.drop_waiting(neighbour, frame, FrameDrop::QueueBytes);
        }
        Ok(Passed::Waits)
    }

    /// Seals what waits, in turn, as much as there is room for.
    pub(super) fn seal_waiting(&mut self) {
        while self.queues.frames() > 0 && self.outbound.has_room() {
            let turn_bytes = self.outbound.room().min(BATCH_BYTES_MAX);
            match self.queues.take(turn_bytes, self.latest) {
                Some((next, Taken::Passed(frame) | Taken::Marked(frame))) => self.seal_one(next, frame),
                Some((next, Taken::Dropped(frame))) => self.drop_waiting(next, frame, FrameDrop::Codel),
                // Rates hold the rest up.
                None => break,
            }
        }
    }

    fn seal_one(&mut self, next: NodeId, mut frame: Waiting) {
        let header = frame.header;
        let sealed = match Header::write_flags_over(&mut frame.bytes, header.flags) {
            Ok(()) => self.seal_in_place(&mut frame.bytes, header, next),
            Err(_) => Err(Unsent::Dropped(FrameDrop::BadFrame)),
        };
        match sealed {
            Ok(()) => {
                self.observe_waiting(&frame, FrameAction::Sent(next));
                self.queues.recycle(frame);
            }
            // The link has changed since the frame was let in.
            Err(unsent) => {
                let (before, from) = (frame.header_before(), frame.from);
                self.drop_waiting(next, frame, unsent.reason());
                if let Some(from) = from {
                    self.report_unsent(unsent, &before, from, self.latest);
                }
            }
        }
    }

    /// A frame that the link cannot take is refused when that is decided: its sender hears of it before
    /// it has sent a queue full of them.
    fn check_link(&self, frame_bytes: usize, next: NodeId) -> Result<(), Unsent> {
        let session = self.link_of(next).and_then(|link| link.association.session());
        let Some(session) = session else {
            return Err(Unsent::Dropped(FrameDrop::NoRoute));
        };
        match session.payload_bytes_max() {
            Some(max) if frame_bytes > max => Err(Unsent::TooBig { frame_bytes_max: max }),
            Some(_) => Ok(()),
            None => Err(Unsent::Dropped(FrameDrop::LinkFailed)),
        }
    }

    fn drop_waiting(&mut self, neighbour: NodeId, frame: Waiting, reason: FrameDrop) {
        self.counters.drop_frame(reason);
        self.observe_waiting(&frame, FrameAction::Dropped(reason));
        self.queues.note_dropped(&neighbour, frame, reason);
    }

    fn observe_waiting(&mut self, frame: &Waiting, action: FrameAction) {
        let payload_bytes = frame.bytes.len().saturating_sub(HEADER_BYTES);
        self.observe(&frame.header_before(), payload_bytes, frame.from, action);
    }
}
