//! What this host sends, from when it is taken from the interface until it goes into the overlay. The kernel's own queue
//! knows no flows: a ping would wait behind all that a download has in it, some ten milliseconds of work where a processor is
//! the narrowest place of the way. So what waits there is taken in at once, and waits here, where queues are fair. Pure: it
//! reads by a function.

use std::io;
use std::time::{Duration, Instant};

use peerbound_node::fair::{FairQueue, Queued, Taken};

use crate::packets::ecn;
use crate::packets::flows::Conversation;
use crate::packets::ip::Packet;
use crate::tun::headers::version_of;
use crate::tun::split::{Framing, Outgoing, Splitter};

/// What may wait here, as the kernel gave it, super-packets uncut; the rest waits in the kernel. 2 MiB are 5 ms of work at
/// 3.3 Gbit/s, and it has to be more than CoDel's 5 ms: a queue that stands is to be seen here.
const BYTES_MAX: usize = 2 * 1024 * 1024;

/// How many: each has a buffer of 64 KiB or of [`SMALL_BYTES`], though little memory is behind the former as long as nothing so
/// long has been in it: 256 x 64 KiB = 16 MiB at the very worst.
const FRAMES_MAX: usize = 256;

/// The longest that is moved into a small buffer: packets of common links, as they come where nothing is put together. One that
/// lay at the beginning of a buffer of 64 KiB would have its place in the caches where all others have theirs.
const SMALL_BYTES: usize = 2048;

/// After so many packets, and after so long, it is looked who has come meanwhile.
const PACKETS_PER_LOOK: usize = 64;
const LOOK_TIME: Duration = Duration::from_millis(1);

/// Packets and super-packets that wait.
pub(crate) struct Intake {
    framing: Framing,
    waiting: FairQueue<Waiting>,
    /// What is being given out, and what was read of it when it had to wait.
    current: Option<Splitter>,
    packet: Option<Packet>,
    /// Buffers that nothing is in, and small ones; the one that was used last is used first.
    large: Vec<Splitter>,
    small: Vec<Splitter>,
    /// Packets still to be given out before the next look, and when it is due.
    until_look: usize,
    look_at: Option<Instant>,
    /// Packets that stood too long, since somebody asked last.
    dropped: usize,
}

/// A packet whose turn it is.
#[derive(Debug)]
pub(crate) struct Departing<'a> {
    pub(crate) outgoing: Outgoing<'a>,
    /// What it says, where that was read already: of all segments of a super-packet it is the same.
    pub(crate) packet: Option<Packet>,
}

/// One that waits.
struct Waiting {
    splitter: Splitter,
    bytes: usize,
    /// `None` where it is no packet, which is refused further on.
    packet: Option<Packet>,
    since: Instant,
}

impl Queued for Waiting {
    type Key = Conversation;

    const SHARED: Conversation = Conversation::NONE;

    fn key(&self) -> Conversation {
        self.packet.map_or(Conversation::NONE, |packet| Conversation::of(&packet))
    }

    fn bytes(&self) -> usize {
        self.bytes
    }

    fn charge(&self) -> usize {
        self.bytes
    }

    fn since(&self) -> Instant {
        self.since
    }

    fn mark(&mut self) -> bool {
        self.splitter.uncut().is_some_and(|packet| {
            let version = version_of(packet);
            version.is_some_and(|version| ecn::mark(packet, version))
        })
    }
}

impl Intake {
    /// Makes an empty one for what an interface gives.
    pub(crate) fn new(framing: Framing) -> Self {
        Self {
            framing,
            waiting: FairQueue::default(),
            current: None,
            packet: None,
            large: Vec::new(),
            small: Vec::new(),
            until_look: 0,
            look_at: None,
            dropped: 0,
        }
    }

    /// Returns the next packet whose turn it is; `read` fills a buffer with what the kernel has.
    ///
    /// # Errors
    /// Those of `read`, when nothing waits here.
    pub(crate) fn next_packet(
        &mut self,
        now: Instant,
        mut read: impl FnMut(&mut [u8]) -> io::Result<usize>,
    ) -> io::Result<Departing<'_>> {
        if self.until_look == 0 || self.look_at.is_none_or(|at| now >= at) || self.is_empty() {
            let outcome = self.look(now, &mut read);
            if self.is_empty() {
                outcome?;
            }
        }
        while self.current.as_ref().is_none_or(Splitter::is_empty) {
            self.begin_next(now)?;
        }
        self.until_look -= 1;
        let packet = self.packet;
        let next = self.current.as_mut().and_then(|current| current.next_packet());
        next.map(|outgoing| Departing { outgoing, packet }).ok_or_else(|| io::ErrorKind::WouldBlock.into())
    }

    /// Returns how many packets were dropped since the last time, for their queue stood.
    pub(crate) fn take_dropped(&mut self) -> usize {
        std::mem::take(&mut self.dropped)
    }

    fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.current.as_ref().is_none_or(Splitter::is_empty)
    }

    /// Takes in what the kernel has. A packet that comes alone has its turn at once.
    fn look(
        &mut self,
        now: Instant,
        read: &mut impl FnMut(&mut [u8]) -> io::Result<usize>,
    ) -> io::Result<()> {
        (self.until_look, self.look_at) = (PACKETS_PER_LOOK, Some(now + LOOK_TIME));
        let mut alone = None;
        while self.waiting.bytes() < BYTES_MAX && self.waiting.frames() < FRAMES_MAX {
            let mut splitter = self.large.pop().unwrap_or_else(|| Splitter::new(self.framing));
            let outcome = read(splitter.room());
            let Ok(bytes) = outcome else {
                self.large.push(splitter);
                if let Some((splitter, _)) = alone {
                    self.recycle_current();
                    (self.current, self.packet) = (Some(splitter), None);
                }
                return outcome.map(drop);
            };
            splitter.fill(bytes);
            if self.is_empty() && alone.is_none() {
                alone = Some((splitter, bytes));
                continue;
            }
            for (splitter, bytes) in alone.take().into_iter().chain([(splitter, bytes)]) {
                let splitter = if bytes <= SMALL_BYTES { self.move_to_small(splitter) } else { splitter };
                self.waiting.push(Waiting::new(splitter, bytes, now));
            }
        }
        Ok(())
    }

    fn move_to_small(&mut self, large: Splitter) -> Splitter {
        let make = || Splitter::with_room(self.framing, SMALL_BYTES);
        let mut small = self.small.pop().unwrap_or_else(make);
        small.fill_from(&large);
        self.large.push(large);
        small
    }

    fn recycle_current(&mut self) {
        if let Some(done) = self.current.take() {
            let spare = if done.capacity() <= SMALL_BYTES { &mut self.small } else { &mut self.large };
            spare.push(done);
        }
    }

    fn begin_next(&mut self, now: Instant) -> io::Result<()> {
        self.recycle_current();
        match self.waiting.take(now) {
            None => return Err(io::ErrorKind::WouldBlock.into()),
            Some(Taken::Passed(next) | Taken::Marked(next)) => {
                (self.current, self.packet) = (Some(next.splitter), next.packet);
            }
            Some(Taken::Dropped(mut next)) => {
                // One packet tells its sender as well as all of them.
                next.splitter.skip();
                self.dropped += 1;
                (self.current, self.packet) = (Some(next.splitter), next.packet);
            }
        }
        Ok(())
    }
}

impl Waiting {
    fn new(mut splitter: Splitter, bytes: usize, since: Instant) -> Self {
        let packet = splitter.uncut().and_then(|packet| Packet::parse(packet));
        Self { splitter, bytes, packet, since }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, VecDeque};

    use proptest::prelude::*;
    use tun_rs::VirtioNetHdr;

    use super::*;
    use crate::packets::ip::IpVersion;
    use crate::tun::headers::GSO_NONE;
    use crate::tun::samples::{Sample, framed};

    const SEGMENT_BYTES: usize = 1000;

    /// The queue of a kernel.
    type Kernel = VecDeque<Vec<u8>>;

    fn start() -> Instant {
        crate::clock::now()
    }

    fn read(kernel: &mut Kernel) -> impl FnMut(&mut [u8]) -> io::Result<usize> {
        |room| {
            let frame = kernel.pop_front().ok_or(io::ErrorKind::WouldBlock)?;
            room[..frame.len()].copy_from_slice(&frame);
            Ok(frame.len())
        }
    }

    /// A super-packet as the kernel gives it; its number is in each segment.
    fn download(port: u16, number: u8, segments: usize, traffic_class: u8) -> Vec<u8> {
        let payload = vec![number; SEGMENT_BYTES * segments];
        let sample = Sample { port, traffic_class, ..Sample::tcp(IpVersion::V6, 0, &payload) };
        sample.uncut(u16::try_from(SEGMENT_BYTES).unwrap())
    }

    fn ping(number: u8) -> Vec<u8> {
        let header = VirtioNetHdr { gso_type: GSO_NONE, ..VirtioNetHdr::default() };
        framed(&header, &Sample { port: 9, ..Sample::udp(IpVersion::V6, &[number]) }.bytes())
    }

    /// The source port and the last byte of the next packet, and whether it continues the one before it.
    fn next(intake: &mut Intake, kernel: &mut Kernel, now: Instant) -> Option<(u16, u8, bool)> {
        let Departing { outgoing: Outgoing { bytes, continues }, packet } =
            intake.next_packet(now, read(kernel)).ok()?;
        assert!(packet.is_none_or(|packet| Packet::parse(bytes) == Some(packet)));
        let packet = Packet::parse(bytes)?;
        Some((packet.ports[0], *bytes.last()?, continues))
    }

    #[test]
    fn who_comes_later_with_little_does_not_wait_for_all_of_a_download() {
        let (mut intake, mut kernel, now) = (Intake::new(Framing::Virtio), Kernel::new(), start());
        kernel.extend((0..50).map(|number| download(1, number, 40, 0)));
        assert_eq!(next(&mut intake, &mut kernel, now), Some((1, 0, false)));

        kernel.push_back(ping(7));
        let before =
            std::iter::from_fn(|| next(&mut intake, &mut kernel, now)).take_while(|(port, ..)| *port == 1);

        // As many as pass before the next look, and the rest of the super-packet that has begun.
        assert!(before.count() <= PACKETS_PER_LOOK + 40);
    }

    #[test]
    fn where_little_leaves_it_is_looked_by_the_clock_who_has_come() {
        let (mut intake, mut kernel, now) = (Intake::new(Framing::Virtio), Kernel::new(), start());
        kernel.extend((0..9).map(|number| download(1, number, 2, 0)));
        assert_eq!(next(&mut intake, &mut kernel, now), Some((1, 0, false)));

        kernel.push_back(ping(7));

        assert_eq!(next(&mut intake, &mut kernel, now + LOOK_TIME), Some((1, 0, true)));
        assert_eq!(next(&mut intake, &mut kernel, now + LOOK_TIME), Some((9, 7, false)));
    }

    #[test]
    fn a_queue_that_stands_costs_one_packet_at_a_time_and_the_next_begins_a_way_of_its_own() {
        let (mut intake, mut kernel, start) = (Intake::new(Framing::Virtio), Kernel::new(), start());
        kernel.extend((0..250).map(|number| download(1, number, 2, 0)));
        let mut seen = BTreeMap::<u8, Vec<bool>>::new();

        // Two segments in each 2 ms: half a second for all.
        for millis in 0..500 {
            let now = start + Duration::from_millis(millis);
            if let Some((_, number, continues)) = next(&mut intake, &mut kernel, now) {
                seen.entry(number).or_default().push(continues);
            }
        }

        let dropped = intake.take_dropped();
        assert!((3..50).contains(&dropped), "{dropped} of 500");
        assert_eq!(intake.take_dropped(), 0);
        assert_eq!(seen.values().filter(|segments| **segments == [false]).count(), dropped);
        assert!(seen.values().all(|segments| segments == &[false] || segments == &[false, true]));
    }

    #[test]
    fn whoever_heeds_marks_loses_nothing() {
        let (mut intake, mut kernel, start) = (Intake::new(Framing::Virtio), Kernel::new(), start());
        kernel.extend((0..250).map(|number| download(1, number, 2, 2)));
        let mut marked = 0;

        for millis in 0..500 {
            let now = start + Duration::from_millis(millis);
            let packet = intake.next_packet(now, read(&mut kernel)).unwrap();
            marked += u32::from(packet.outgoing.bytes[1] & 0x30 == 0x30);
        }

        assert_eq!(intake.take_dropped(), 0);
        assert!(
            (6..100).contains(&marked) && marked % 2 == 0,
            "{marked} of 500, all of a super-packet or none"
        );
    }

    #[test]
    fn an_error_is_told_when_nothing_waits_here_any_more() {
        let (mut intake, mut kernel, now) = (Intake::new(Framing::Virtio), Kernel::from([ping(1)]), start());
        let mut down = |room: &mut [u8]| read(&mut kernel)(room).map_err(|_| io::Error::from_raw_os_error(5));

        assert!(intake.next_packet(now, &mut down).is_ok());
        let told = intake.next_packet(now, &mut down).unwrap_err();

        assert_eq!(told.raw_os_error(), Some(5));
    }

    #[test]
    fn what_does_not_fit_here_is_left_with_the_kernel() {
        let (mut intake, now) = (Intake::new(Framing::Virtio), start());
        for (frame, max) in [(ping(1), FRAMES_MAX), (download(1, 0, 60, 0), BYTES_MAX / 60_000 + 1)] {
            let mut kernel = Kernel::from(vec![frame; 2 * FRAMES_MAX]);
            next(&mut intake, &mut kernel, now);
            assert!(
                2 * FRAMES_MAX - kernel.len() <= max,
                "{} of at most {max}",
                2 * FRAMES_MAX - kernel.len()
            );

            while next(&mut intake, &mut kernel, now).is_some() {}
            assert!(kernel.is_empty());
        }
    }

    #[test]
    fn packets_that_come_alone_and_those_of_a_backlog_take_no_memory() {
        let (mut intake, now) = (Intake::new(Framing::Virtio), start());
        let (lone, next) = ([ping(1), download(1, 2, 40, 0)], download(2, 3, 40, 0));
        let copy = |frame: &[u8], room: &mut [u8]| {
            room[..frame.len()].copy_from_slice(frame);
            Ok(frame.len())
        };
        let give_out_lone = |intake: &mut Intake| {
            for frame in &lone {
                let mut left = Some(frame);
                let mut read = |room: &mut [u8]| copy(left.take().ok_or(io::ErrorKind::WouldBlock)?, room);
                while intake.next_packet(now, &mut read).is_ok() {}
            }
        };
        let give_out_some = |intake: &mut Intake| {
            (0..1000).for_each(|_| drop(intake.next_packet(now, |room| copy(&next, room))));
        };
        give_out_lone(&mut intake);
        assert_eq!(allocation_counter::measure(|| give_out_lone(&mut intake)).count_total, 0);
        give_out_some(&mut intake);

        let used = allocation_counter::measure(|| give_out_some(&mut intake));

        assert_eq!(used.count_total, 0, "{used:?}");
    }

    proptest! {
        #[test]
        fn every_packet_comes_out_once_and_within_a_flow_in_order(
            arrivals in proptest::collection::vec((1_u16..4, 1_usize..20, 0_usize..30), 1..100),
        ) {
            let (mut intake, mut kernel, now) = (Intake::new(Framing::Virtio), Kernel::new(), start());
            let mut sent = BTreeMap::<u16, Vec<u8>>::new();
            let mut received = BTreeMap::<u16, Vec<u8>>::new();
            for (number, (port, segments, leave)) in (0..).zip(arrivals) {
                kernel.push_back(download(port, number, segments, 0));
                sent.entry(port).or_default().extend(vec![number; segments]);
                for _ in 0..leave {
                    if let Some((port, number, _)) = next(&mut intake, &mut kernel, now) {
                        received.entry(port).or_default().push(number);
                    }
                }
            }
            while let Some((port, number, _)) = next(&mut intake, &mut kernel, now) {
                received.entry(port).or_default().push(number);
            }
            prop_assert_eq!(received, sent);
        }
    }
}
