//! How much the data thread does at a stretch, and when it lets others have its processor. Where more threads have work than
//! there are processors, as those of several nodes on one machine, and of the programs that use them, the kernel lets each go on
//! until its next tick, some 4 ms. All that comes meanwhile waits, and the next thread on the way gets it in one heap: a packet
//! that passes several threads waits several times, tens of milliseconds in all. Threads that yield after each piece of their work
//! keep the heaps small, and threads that go before others do so even where those do not yield. Larger heaps are less work.

use peerbound_node::FrameCounts;

use crate::clock;
use crate::data_thread::courtesy::Courtesy;
use crate::data_thread::precedence::Precedence;

/// Batches received in one turn, of 32 buffers of 64 KiB of coalesced datagrams each, so that timers and commands stay prompt:
/// 8 are 16 MiB, at the worst a tenth of a second of work, where neighbours wait for hellos for 1.75 s.
const BATCHES_PER_TURN: usize = 8;

/// Packets taken from the interface in one turn, each segment of a larger one counted, for the same reason: 256 x 3 us.
const PACKETS_PER_TURN: usize = 256;

/// The same where latency is favoured: as many packets as one call sends. What is in the overlay already goes before more
/// comes into it.
const BATCHES_PER_SHORT_TURN: usize = 1;
const PACKETS_PER_SHORT_TURN: usize = 64;

/// What matters more where both cannot be had.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Favour {
    /// How much gets through.
    #[default]
    Throughput,
    /// How long it takes beside all else that wants a processor.
    Latency,
}

/// How the work is cut.
#[derive(Debug)]
pub(super) struct Pace {
    /// Batches received in one turn.
    pub(super) batches: usize,
    /// Packets taken from the interface in one turn.
    pub(super) packets: usize,
    favour: Favour,
    courtesy: Option<Courtesy>,
    precedence: Option<Precedence>,
}

impl Pace {
    pub(super) fn new(favour: Favour) -> Self {
        let (batches, packets, courtesy) = match favour {
            Favour::Throughput => (BATCHES_PER_TURN, PACKETS_PER_TURN, None),
            Favour::Latency => (BATCHES_PER_SHORT_TURN, PACKETS_PER_SHORT_TURN, Some(Courtesy::new())),
        };
        Self { batches, packets, favour, courtesy, precedence: None }
    }

    /// Lets the calling thread, which is to keep this pace, go before others where that is favoured and the system allows it.
    pub(super) fn begin(&mut self) {
        if self.favour == Favour::Throughput {
            return;
        }
        match Precedence::take(clock::now()) {
            Ok(precedence) => self.precedence = Some(precedence),
            Err(error) => tracing::warn!(
                %error,
                "The node may not go before other programs, and has to wait where they have the processors; \
                 give it CAP_SYS_NICE or a limit RLIMIT_RTPRIO of 1"
            ),
        }
    }

    /// Notes that the thread had nothing to do for a while.
    pub(super) fn note_slept(&mut self) {
        if let Some(courtesy) = &mut self.courtesy {
            courtesy.note_slept();
        }
    }

    /// Lets others have the processor if it is time; called between two turns, with what the node has counted.
    pub(super) fn offer(&mut self, frames: FrameCounts) {
        if let Some(precedence) = &mut self.precedence {
            precedence.judge(frames, clock::now());
            if precedence.is_in_force() {
                return;
            }
        }
        if let Some(courtesy) = &mut self.courtesy {
            courtesy.offer();
        }
    }
}
