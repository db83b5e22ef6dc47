//! Virtual time for OpenSSL: this executable defines `gettimeofday` and `time`, which OpenSSL's
//! timers and certificate checks ask. A thread that never sets the clock gets the real one. The tests
//! of other crates that need it include this file.
#![expect(unsafe_code, reason = "C symbols can be defined in no other way")]

use std::cell::Cell;
use std::time::{Duration, Instant};

thread_local! {
    static NOW: Cell<Option<Duration>> = const { Cell::new(None) };
}

/// A clock that the test moves; OpenSSL on this thread sees the same time.
pub(crate) struct VirtualClock {
    base: Instant,
    elapsed: Duration,
}

impl VirtualClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "an instant comes from nowhere else; it only anchors virtual time"
    )]
    pub(crate) fn start() -> Self {
        let clock = Self { base: Instant::now(), elapsed: Duration::ZERO };
        clock.publish();
        clock
    }

    pub(crate) fn now(&self) -> Instant {
        self.base + self.elapsed
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.elapsed
    }

    pub(crate) fn advance_to(&mut self, when: Instant) {
        self.elapsed = self.elapsed.max(when.saturating_duration_since(self.base));
        self.publish();
    }

    fn publish(&self) {
        // 2026-01-01; certificates of the tests are valid around it.
        NOW.set(Some(Duration::from_secs(START_UNIX.unsigned_abs()) + self.elapsed));
    }
}

impl Drop for VirtualClock {
    fn drop(&mut self) {
        NOW.set(None);
    }
}

/// The Unix time at which every virtual clock starts.
pub(crate) const START_UNIX: i64 = 1_767_225_600;

fn now() -> Duration {
    NOW.get().unwrap_or_else(|| {
        let mut real = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: `real` is valid for one timespec.
        unsafe { libc::clock_gettime(libc::CLOCK_REALTIME, &raw mut real) };
        Duration::new(real.tv_sec.unsigned_abs(), u32::try_from(real.tv_nsec).unwrap_or(0))
    })
}

// SAFETY: the signature is that of gettimeofday(2); the pointer is the caller's to keep valid.
#[unsafe(no_mangle)]
unsafe extern "C" fn gettimeofday(out: *mut libc::timeval, _zone: *mut libc::c_void) -> libc::c_int {
    let now = now();
    // SAFETY: the caller passes a valid pointer or null.
    if let Some(out) = unsafe { out.as_mut() } {
        out.tv_sec = now.as_secs().cast_signed();
        out.tv_usec = i64::from(now.subsec_micros());
    }
    0
}

// SAFETY: the signature is that of time(2); the pointer is the caller's to keep valid.
#[unsafe(no_mangle)]
unsafe extern "C" fn time(out: *mut libc::time_t) -> libc::time_t {
    let seconds = now().as_secs().cast_signed();
    // SAFETY: the caller passes a valid pointer or null.
    if let Some(out) = unsafe { out.as_mut() } {
        *out = seconds;
    }
    seconds
}
