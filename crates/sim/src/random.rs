//! Seeded chance for OpenSSL: one process-wide random method that draws from the stream set on the
//! calling thread. A thread without a stream, as that of a daemon, gets the kernel's randomness.

use std::cell::RefCell;
use std::ffi::{c_double, c_int, c_uchar, c_void};
use std::ptr;

use crate::stream::Stream;

thread_local! {
    static STREAM: RefCell<Option<Stream>> = const { RefCell::new(None) };
}

/// `RAND_METHOD` as OpenSSL's rand.h lays it out.
#[repr(C)]
struct RandMethod {
    seed: Option<unsafe extern "C" fn(*const c_void, c_int) -> c_int>,
    bytes: Option<unsafe extern "C" fn(*mut c_uchar, c_int) -> c_int>,
    cleanup: Option<unsafe extern "C" fn()>,
    add: Option<unsafe extern "C" fn(*const c_void, c_int, c_double) -> c_int>,
    pseudorand: Option<unsafe extern "C" fn(*mut c_uchar, c_int) -> c_int>,
    status: Option<unsafe extern "C" fn() -> c_int>,
}

unsafe extern "C" {
    fn RAND_set_rand_method(method: *const RandMethod) -> c_int;
    fn RAND_get_rand_method() -> *const RandMethod;
}

static METHOD: RandMethod = RandMethod {
    seed: None,
    bytes: Some(rand_bytes),
    cleanup: None,
    add: None,
    pseudorand: Some(rand_bytes),
    status: Some(rand_status),
};

/// Makes OpenSSL draw from the threads' streams; returns whether it does.
pub(crate) fn install() -> bool {
    // SAFETY: reads a pointer, and only to compare it.
    if ptr::eq(unsafe { RAND_get_rand_method() }, &raw const METHOD) {
        return true;
    }
    // SAFETY: the table is static and never changes; OpenSSL keeps the pointer and calls through it.
    unsafe { RAND_set_rand_method(&raw const METHOD) == 1 }
}

/// Sets the stream of this thread; returns the one that was set before.
pub(crate) fn set(stream: Option<Stream>) -> Option<Stream> {
    STREAM.replace(stream)
}

unsafe extern "C" fn rand_bytes(out: *mut c_uchar, len: c_int) -> c_int {
    let Ok(len) = usize::try_from(len) else {
        return 0;
    };
    if len == 0 {
        return 1;
    }
    // SAFETY: OpenSSL passes `len` writable bytes and reads none of them before we return.
    unsafe { ptr::write_bytes(out, 0, len) };
    // SAFETY: as above, and every byte is initialised by now.
    let out = unsafe { std::slice::from_raw_parts_mut(out, len) };
    let drawn = STREAM.try_with(|stream| {
        let mut stream = stream.try_borrow_mut().ok()?;
        stream.as_mut().map(|stream| stream.fill(out))
    });
    match drawn {
        Ok(Some(())) => 1,
        // No stream on this thread, or the thread is at its end.
        Ok(None) | Err(_) => c_int::from(getrandom::fill(out).is_ok()),
    }
}

unsafe extern "C" fn rand_status() -> c_int {
    1
}
