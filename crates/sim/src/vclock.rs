//! Virtual time for OpenSSL: every program with this crate in it defines `gettimeofday` and `time`,
//! which OpenSSL's timers and certificate checks ask. A thread on which no clock is set, as that of a
//! daemon, gets the real time.

use std::cell::Cell;
use std::time::Duration;

thread_local! {
    /// Since 1970. Without a destructor, so that it can be asked to the very end of a thread.
    static NOW: Cell<Option<Duration>> = const { Cell::new(None) };
}

/// Sets what this thread's C code takes for the time since 1970; returns what it was before.
pub(crate) fn set(now: Option<Duration>) -> Option<Duration> {
    NOW.replace(now)
}

/// Returns the addresses of both definitions. Naming them keeps the linker from leaving them out of a
/// program that takes this crate from an archive.
pub(crate) fn definitions() -> [usize; 2] {
    [gettimeofday as *const () as usize, time as *const () as usize]
}

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
