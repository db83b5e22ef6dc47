//! How much may wait in the kernel: about what it sends in some milliseconds, so that what comes first is
//! decided here and not by who came first there. Pure: time is an argument.
//!
//! The kernel says that its buffer is full and nothing else, but that is enough. Between two moments in
//! which it is full it has sent just as much as it took, which gives the rate; and if it takes a whole
//! buffer after it was full, it had run dry meanwhile and the buffer is too small for how late we come
//! (the idea of Linux's byte queue limits). It grows then, but not to more than we want to wait for.

use std::time::{Duration, Instant};

use peerbound_node::BATCH_BYTES_MAX;

/// What the kernel is given at a time: at 20 Mbit/s 10 kB.
const KERNEL_TIME: Duration = Duration::from_millis(4);

/// What it is given at most where it runs dry because we come late: then a slow link is left idle rather
/// than that everybody waits.
const KERNEL_TIME_MAX: Duration = Duration::from_millis(10);

/// How long a measurement takes at least: shapers let some kilobytes pass at once after each pause.
const MEASURE_TIME: Duration = Duration::from_millis(20);

/// The largest buffer: 32 full batches.
pub(crate) const KERNEL_BYTES_MAX: usize = 2 * 1024 * 1024;

/// What a socket begins with: a link of 20 Mbit/s carries that in 13 ms, and a fast one is given twice as
/// much after every [`MEASURE_TIME`].
const KERNEL_BYTES_FIRST: usize = 32 * 1024;

/// The least: seven datagrams of 1400 bytes as the kernel counts them.
const KERNEL_BYTES_MIN: usize = 16 * 1024;

/// The buffer is so many of the batches that go into it, and of the largest datagrams at least.
const BATCHES: usize = 4;

/// How long the buffer stays as large as it had to be when the kernel last ran dry.
const HOLD_TIME: Duration = Duration::from_secs(1);

/// The buffer of one socket.
#[derive(Debug)]
pub(crate) struct KernelBuffer {
    limit: usize,
    floor: usize,
    /// How much is prepared at a time.
    batch: usize,
    state: State,
    /// What the kernel took since it was last full, as it counts.
    taken: usize,
    measured: Option<Measurement>,
    /// What it sends in [`KERNEL_TIME_MAX`], as far as was measured.
    sends: usize,
    hold_until: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Measurement {
    /// A moment in which it was full.
    since: Instant,
    /// What it has sent since, as far as what it took tells: less where the buffer has grown meanwhile.
    sent: i64,
    /// Whether it had run dry in between: then it could have sent more.
    was_dry: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// There was a moment without anything to send.
    Idle,
    /// There was something to send ever since it was last full.
    Busy,
    /// It is full.
    Full,
}

impl KernelBuffer {
    /// Makes one for datagrams of up to `mtu` bytes; its limit is to be set.
    pub(crate) fn new(mtu: usize) -> Self {
        let floor = KERNEL_BYTES_MIN.max(BATCHES * kernel_bytes(1, mtu));
        let limit = KERNEL_BYTES_FIRST.max(floor);
        Self {
            limit,
            floor,
            batch: limit / BATCHES,
            state: State::Idle,
            taken: 0,
            measured: None,
            sends: 0,
            hold_until: None,
        }
    }

    /// Returns how much the kernel may hold, as it counts.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// Notes what the kernel made of a limit.
    pub(crate) fn note_limit(&mut self, bytes: usize) {
        self.limit = bytes.clamp(1, KERNEL_BYTES_MAX);
    }

    /// Returns how many bytes to prepare for it at a time; none while it is full.
    pub(crate) fn room(&self) -> usize {
        match self.state {
            State::Full => 0,
            State::Idle | State::Busy => self.batch.max(self.limit / BATCHES),
        }
    }

    /// Notes that it took so many datagrams by one call.
    pub(crate) fn on_taken(&mut self, datagrams: usize, bytes: usize) {
        let before = self.taken;
        self.taken += kernel_bytes(datagrams, bytes);
        if self.state == State::Full {
            self.state = State::Busy;
        }
        // It sends as fast as we come: then what counts is that we come seldom.
        if before / self.limit < self.taken / self.limit {
            self.batch = (self.batch * 2).min(BATCH_BYTES_MAX);
        }
    }

    /// Notes that it is full; returns the limit to set if that is another now.
    pub(crate) fn on_full(&mut self, now: Instant) -> Option<usize> {
        let taken = std::mem::take(&mut self.taken);
        self.batch = self.limit / BATCHES;
        let before = std::mem::replace(&mut self.state, State::Full);
        let begun = Measurement { since: now, sent: 0, was_dry: false };
        if before == State::Idle {
            self.measured = Some(begun);
            return None;
        }
        let measured = self.measured.get_or_insert(begun);
        measured.sent += signed(taken);
        // Before the last batch it held less than its limit, so it had nothing left or hardly anything.
        measured.was_dry |= taken >= self.limit;
        let Measurement { since, sent, was_dry } = *measured;
        let span = now.saturating_duration_since(since);
        if span < MEASURE_TIME {
            return None;
        }
        let sent = u128::try_from(sent).unwrap_or(0);
        let sends = |time: Duration| usize::try_from(sent * time.as_nanos() / span.as_nanos());
        let sends = |time| sends(time).unwrap_or(usize::MAX);
        let mut wanted = if was_dry {
            self.hold_until = Some(now + HOLD_TIME);
            self.sends = self.sends.max(sends(KERNEL_TIME_MAX));
            self.sends.max(self.limit)
        } else {
            self.sends = sends(KERNEL_TIME_MAX);
            sends(KERNEL_TIME)
        };
        if self.hold_until.is_some_and(|until| now < until) {
            wanted = wanted.max(self.limit);
        }
        self.change_to(wanted.min(self.limit * 2), now)
    }

    /// Notes that there is nothing more to send: what follows says nothing about the kernel.
    pub(crate) fn on_idle(&mut self) {
        self.state = State::Idle;
        self.taken = 0;
        self.measured = None;
    }

    /// Begins the next measurement with another limit, unless that is about the same: then it is not worth
    /// a system call.
    fn change_to(&mut self, bytes: usize, now: Instant) -> Option<usize> {
        let bytes = bytes.clamp(self.floor, KERNEL_BYTES_MAX.max(self.floor));
        let before = self.limit;
        let is_another = bytes.abs_diff(before) > before / 8;
        if is_another {
            self.limit = bytes;
        }
        let grown = signed(self.limit) - signed(before);
        self.measured = Some(Measurement { since: now, sent: -grown, was_dry: false });
        is_another.then_some(bytes)
    }
}

fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// Returns what datagrams sent by one call count in the kernel, where buffers have powers of two as sizes
/// and pieces of a batch lie in pages (Linux, `sk_buff.truesize`; measured within a tenth).
fn kernel_bytes(datagrams: usize, bytes: usize) -> usize {
    if datagrams > 1 { bytes + 1024 } else { (bytes + 400).next_power_of_two() + 256 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    /// A kernel that sends so many bytes, as it counts, each millisecond, and says when half is gone.
    struct Kernel {
        rate: usize,
        limit: usize,
        held: f64,
        now: Instant,
    }

    impl Kernel {
        fn new(rate: usize, buffer: &KernelBuffer) -> Self {
            Self { rate, limit: buffer.limit(), held: 0.0, now: clock::now() }
        }

        fn pass(&mut self, time: Duration) {
            self.now += time;
            self.held = (self.held - time.as_secs_f64() * 1000.0 * self.rate as f64).max(0.0);
        }

        /// Gives it batches until it is full.
        fn fill(&mut self, buffer: &mut KernelBuffer) {
            while self.held < self.limit as f64 {
                let datagrams = (buffer.batch.max(buffer.limit() / BATCHES) / 1400).clamp(1, 46);
                buffer.on_taken(datagrams, datagrams * 1400);
                self.held += kernel_bytes(datagrams, datagrams * 1400) as f64;
            }
            if let Some(limit) = buffer.on_full(self.now) {
                self.limit = limit;
            }
        }

        /// Waits for room, and for as long as we come late.
        fn drain(&mut self, late: Duration) {
            let over = (self.held - self.limit as f64 / 2.0).max(0.0);
            self.pass(Duration::from_secs_f64(over / self.rate as f64 / 1000.0) + late);
        }

        fn run(&mut self, buffer: &mut KernelBuffer, rounds: usize, late: Duration) {
            for _ in 0..rounds {
                self.fill(buffer);
                self.drain(late);
            }
        }
    }

    #[test]
    fn on_a_slow_link_little_waits_in_the_kernel_after_the_first_times_that_it_is_full() {
        let mut buffer = KernelBuffer::new(1400);
        let mut kernel = Kernel::new(4100, &buffer); // 20 Mbit/s in datagrams of 1400 bytes

        let mut longest = 0.0_f64;
        for _ in 0..8 {
            kernel.fill(&mut buffer);
            longest = longest.max(kernel.held / 4100.0);
            kernel.drain(Duration::from_micros(100));
        }

        assert!(longest < 15.0, "something waited for {longest} ms");
        let time = buffer.limit() as f64 / 4100.0;
        assert!(time < 6.0, "{time} ms are held by {} bytes", buffer.limit());
    }

    #[test]
    fn what_is_prepared_at_a_time_grows_where_the_kernel_is_never_full_and_shrinks_where_it_is() {
        let mut buffer = KernelBuffer::new(1400);
        let first = buffer.room();
        assert!(first < BATCH_BYTES_MAX / 4, "{first}");

        for _ in 0..100 {
            buffer.on_taken(buffer.room() / 1400, buffer.room());
        }
        assert_eq!(buffer.room(), BATCH_BYTES_MAX);

        buffer.on_full(clock::now());
        buffer.on_taken(1, 1400);
        assert_eq!(buffer.room(), first);
    }

    #[test]
    fn on_a_fast_link_the_buffer_grows_until_it_does_not_run_dry() {
        let mut buffer = KernelBuffer::new(1400);
        let mut kernel = Kernel::new(125_000, &buffer); // 1 Gbit/s

        kernel.run(&mut buffer, 200, Duration::from_micros(500));

        assert!(buffer.limit() >= 250_000, "{}", buffer.limit());
        let mut idle = 0;
        for _ in 0..100 {
            kernel.run(&mut buffer, 1, Duration::from_micros(500));
            idle += usize::from(kernel.held == 0.0);
        }
        assert_eq!(idle, 0);
    }

    #[test]
    fn where_we_come_a_little_late_the_buffer_is_as_large_as_that_takes() {
        let mut buffer = KernelBuffer::new(1400);
        let mut kernel = Kernel::new(4100, &buffer);
        kernel.run(&mut buffer, 50, Duration::from_millis(3));

        let mut idle = 0;
        for _ in 0..1000 {
            kernel.run(&mut buffer, 1, Duration::from_millis(3));
            idle += usize::from(kernel.held == 0.0);
        }

        assert!(idle < 100, "dry {idle} times of 1000: once a second it tries less");
    }

    #[test]
    fn where_we_come_very_late_a_slow_link_is_left_idle_rather_than_that_everybody_waits() {
        let mut buffer = KernelBuffer::new(1400);
        let mut kernel = Kernel::new(4100, &buffer);
        kernel.run(&mut buffer, 5, Duration::from_micros(100));

        for _ in 0..200 {
            kernel.run(&mut buffer, 1, Duration::from_millis(30));
            let time = buffer.limit() as f64 / 4100.0;
            assert!(time < 15.0, "{time} ms are held by {} bytes", buffer.limit());
        }
    }

    #[test]
    fn a_moment_without_anything_to_send_is_no_sign_of_a_slow_link() {
        let mut buffer = KernelBuffer::new(1400);
        let mut kernel = Kernel::new(125_000, &buffer);
        let first = buffer.limit();

        kernel.fill(&mut buffer);
        kernel.drain(Duration::ZERO);
        buffer.on_taken(1, 1400);
        buffer.on_idle();
        kernel.pass(Duration::from_secs(10));
        kernel.fill(&mut buffer);

        assert_eq!(buffer.limit(), first);
    }

    #[test]
    fn the_buffer_keeps_within_its_bounds_and_takes_some_of_the_largest_datagrams() {
        for mtu in [256, 1400, 9000, 65_507] {
            let mut buffer = KernelBuffer::new(mtu);
            let mut kernel = Kernel::new(10, &buffer);
            kernel.run(&mut buffer, 50, Duration::ZERO);
            assert!(buffer.limit() >= BATCHES * mtu, "{mtu}: {}", buffer.limit());
            assert!(buffer.room() <= buffer.limit() / BATCHES);

            let mut kernel = Kernel::new(10_000_000, &buffer);
            kernel.run(&mut buffer, 50, Duration::from_millis(5));
            assert!(buffer.limit() <= KERNEL_BYTES_MAX, "{mtu}: {}", buffer.limit());
        }
    }

    #[test]
    fn while_the_kernel_is_full_there_is_no_room() {
        let mut buffer = KernelBuffer::new(1400);
        assert!(buffer.room() > 0);

        buffer.on_full(clock::now());
        assert_eq!(buffer.room(), 0);

        buffer.on_taken(1, 1400);
        assert!(buffer.room() > 0);
    }
}
