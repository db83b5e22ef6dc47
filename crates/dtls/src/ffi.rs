//! Every `unsafe` line of this crate: what rust-openssl does not wrap, behind safe methods.
//!
//! [`Engine`] is one `SSL` with a BIO of ours under it. The BIO reads from and writes to a
//! [`Transport`], which it owns: `SSL_free` frees the BIO, and the BIO's destructor frees the
//! transport. Nothing here knows the clock, a socket or a peer.

use std::ffi::{CStr, c_char, c_int, c_long, c_uint, c_void};
use std::ptr::{self, NonNull};
use std::sync::OnceLock;
use std::time::Duration;

use foreign_types::ForeignType;
use openssl::error::ErrorStack;
use openssl::ssl::{Ssl, SslContextRef, SslRef, SslSessionRef};
use openssl::x509::X509VerifyResult;
use openssl_sys as sys;

use crate::options::{FIRST_TIMEOUT_DEFAULT, Repeats};
use crate::transport::Transport;

/// The longest plaintext of one record (RFC 6347, 4.1: 2^14 bytes). A shorter buffer would make
/// OpenSSL hand out one record in pieces.
pub(crate) const PLAINTEXT_BYTES_MAX: usize = 16_384;

/// RFC 6347, 4.2.4.1: the timer doubles "up to no less than the RFC 6298 maximum of 60 seconds".
const LAST_TIMEOUT_MICROS: c_uint = 60_000_000;

// Numbers from OpenSSL's headers (ssl.h, bio.h) that openssl-sys does not carry.
const DTLS_CTRL_GET_TIMEOUT: c_int = 73;
const DTLS_CTRL_HANDLE_TIMEOUT: c_int = 74;
const SSL_CTRL_SET_MAX_CERT_LIST: c_int = 51;
const SSL_CTRL_GET_EXTMS_SUPPORT: c_int = 122;
const BIO_CTRL_FLUSH: c_int = 11;
const BIO_CTRL_DGRAM_QUERY_MTU: c_int = 40;
const BIO_CTRL_DGRAM_GET_MTU: c_int = 41;
const BIO_CTRL_DGRAM_GET_FALLBACK_MTU: c_int = 47;
const BIO_TYPE_SOURCE_SINK: c_int = 0x0400;
const BIO_FLAGS_READ_RETRY: c_int = 0x01 | 0x08;
const SSL_SENT_AND_RECEIVED_SHUTDOWN: c_int = 3;

#[repr(C)]
struct BioAddr {
    opaque: [u8; 0],
}

type TimerCallback = unsafe extern "C" fn(*mut sys::SSL, c_uint) -> c_uint;

unsafe extern "C" {
    fn DTLSv1_listen(ssl: *mut sys::SSL, client: *mut BioAddr) -> c_int;
    fn DTLS_set_timer_cb(ssl: *mut sys::SSL, callback: Option<TimerCallback>);
    fn BIO_ADDR_new() -> *mut BioAddr;
    fn BIO_ADDR_free(address: *mut BioAddr);
    fn BIO_get_new_index() -> c_int;
    fn BIO_meth_set_read(
        method: *mut sys::BIO_METHOD,
        read: Option<unsafe extern "C" fn(*mut sys::BIO, *mut c_char, c_int) -> c_int>,
    ) -> c_int;
    fn BIO_meth_set_write(
        method: *mut sys::BIO_METHOD,
        write: Option<unsafe extern "C" fn(*mut sys::BIO, *const c_char, c_int) -> c_int>,
    ) -> c_int;
    fn BIO_meth_set_ctrl(
        method: *mut sys::BIO_METHOD,
        ctrl: Option<unsafe extern "C" fn(*mut sys::BIO, c_int, c_long, *mut c_void) -> c_long>,
    ) -> c_int;
    fn BIO_meth_set_destroy(
        method: *mut sys::BIO_METHOD,
        destroy: Option<unsafe extern "C" fn(*mut sys::BIO) -> c_int>,
    ) -> c_int;
    fn SSL_pending(ssl: *const sys::SSL) -> c_int;
    fn SSL_renegotiate(ssl: *mut sys::SSL) -> c_int;
}

/// What one call into OpenSSL came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// It did what was asked.
    Done,
    /// It waits for another datagram or for its timer.
    Pending,
    /// The peer said close_notify.
    Closed,
    /// The session is dead; the text is OpenSSL's reason.
    Failed(String),
}

/// One `SSL` object over a datagram queue.
pub(crate) struct Engine {
    ssl: Ssl,
    transport: NonNull<Transport>,
}

// SAFETY: an `Ssl` may move between threads, and the transport is reached only through `&mut Engine`
// or from inside a call that holds it; no other thread knows the pointer.
unsafe impl Send for Engine {}

impl Engine {
    /// Makes an `SSL` in no role yet, over an empty transport.
    pub(crate) fn new(
        context: &SslContextRef,
        mtu: u16,
        (first_timeout, repeats): (Duration, Repeats),
    ) -> Result<Self, ErrorStack> {
        let mut ssl = Ssl::new(context)?;
        ssl.set_mtu(u32::from(mtu))?;
        let method = datagram_method();
        // SAFETY: `method` is the process-wide method table, never freed.
        let bio = unsafe { sys::BIO_new(method) };
        if bio.is_null() {
            return Err(ErrorStack::get());
        }
        let transport = NonNull::from(Box::leak(Box::new(Transport::new(mtu, first_timeout, repeats))));
        // SAFETY: `bio` is ours alone; it takes the transport over, and `bio_destroy` frees it once.
        unsafe { sys::BIO_set_data(bio, transport.as_ptr().cast()) };
        // SAFETY: as above; an initialised BIO is what OpenSSL requires before use.
        unsafe { sys::BIO_set_init(bio, 1) };
        // SAFETY: `SSL_set_bio` takes the one reference of a BIO that serves both directions.
        unsafe { sys::SSL_set_bio(ssl.as_ptr(), bio, bio) };
        // SAFETY: the callback is a plain function that lives as long as the program.
        unsafe { DTLS_set_timer_cb(ssl.as_ptr(), Some(next_timeout)) };
        Ok(Self { ssl, transport })
    }

    pub(crate) fn ssl(&self) -> &SslRef {
        &self.ssl
    }

    pub(crate) fn ssl_mut(&mut self) -> &mut SslRef {
        &mut self.ssl
    }

    /// Returns the transport, which no OpenSSL call is using while `self` is borrowed here.
    pub(crate) fn transport(&mut self) -> &mut Transport {
        // SAFETY: the BIO inside `self.ssl` owns the transport and lives as long as `self`;
        // callbacks touch it only during calls that hold `&mut self`, so this borrow is alone.
        unsafe { self.transport.as_mut() }
    }

    /// Limits the size of a peer's certificate chain, in bytes.
    pub(crate) fn set_certificate_bytes_max(&mut self, bytes: u16) {
        // SAFETY: the control takes a number and no pointer.
        unsafe {
            sys::SSL_ctrl(self.ssl.as_ptr(), SSL_CTRL_SET_MAX_CERT_LIST, c_long::from(bytes), ptr::null_mut())
        };
    }

    /// Returns whether both sides agreed on the extended master secret (RFC 7627).
    pub(crate) fn has_extended_master_secret(&self) -> bool {
        // SAFETY: the control reads a flag and takes no pointer.
        let flag =
            unsafe { sys::SSL_ctrl(self.ssl.as_ptr(), SSL_CTRL_GET_EXTMS_SUPPORT, 0, ptr::null_mut()) };
        flag == 1
    }

    /// Lets a server that is in no handshake yet take a ClientHello whose cookie was checked.
    pub(crate) fn listen(&mut self) -> Step {
        // SAFETY: allocates; null is handled below.
        let address = unsafe { BIO_ADDR_new() };
        if address.is_null() {
            return Step::Failed("out of memory".into());
        }
        // SAFETY: both pointers are valid; our BIO gives no address, OpenSSL then clears this one.
        let result = unsafe { DTLSv1_listen(self.ssl.as_ptr(), address) };
        // SAFETY: `address` came from BIO_ADDR_new and is not used after this line.
        unsafe { BIO_ADDR_free(address) };
        match result {
            1.. => Step::Done,
            // "Not fatal" here means that the hello is refused, for a reason that is in the queue.
            _ => Step::Failed(drain_errors()),
        }
    }

    /// Offers the server to resume an earlier session.
    pub(crate) fn offer(&mut self, earlier: &SslSessionRef) -> Result<(), ErrorStack> {
        // SAFETY: an `Ssl` takes a session of any context of the same method, and counts a
        // reference of its own; sessions of another identity are useless to it, not dangerous.
        unsafe { self.ssl.set_session(earlier) }
    }

    /// Goes on with the handshake as far as the datagrams at hand allow.
    pub(crate) fn handshake(&mut self) -> Step {
        // SAFETY: the `SSL` is valid and in a role; the transport outlives the call.
        let result = unsafe { sys::SSL_do_handshake(self.ssl.as_ptr()) };
        self.step(result)
    }

    /// Reads the plaintext of the next record into `buffer`, which must hold a whole record.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Step> {
        debug_assert!(buffer.len() >= PLAINTEXT_BYTES_MAX);
        let mut read = 0;
        // SAFETY: `buffer` is valid for `buffer.len()` bytes and `read` for one usize.
        let result = unsafe {
            sys::SSL_read_ex(self.ssl.as_ptr(), buffer.as_mut_ptr().cast(), buffer.len(), &raw mut read)
        };
        match self.step(result) {
            Step::Done => Ok(read),
            other => Err(other),
        }
    }

    /// Returns whether plaintext is left to be read without another datagram.
    pub(crate) fn has_pending(&self) -> bool {
        // SAFETY: asks a valid `SSL` for a number.
        unsafe { SSL_pending(self.ssl.as_ptr()) > 0 }
    }

    /// Seals one record around `payload`; it lands in the transport.
    pub(crate) fn write(&mut self, payload: &[u8]) -> Step {
        let mut written = 0;
        // SAFETY: `payload` is valid for its length and `written` for one usize.
        let result = unsafe {
            sys::SSL_write_ex(self.ssl.as_ptr(), payload.as_ptr().cast(), payload.len(), &raw mut written)
        };
        self.step(result)
    }

    /// Puts a close_notify into the transport.
    pub(crate) fn shutdown(&mut self) {
        // SAFETY: the `SSL` is valid; a failure only means that nothing is sent.
        let result = unsafe { sys::SSL_shutdown(self.ssl.as_ptr()) };
        if result < 0 {
            drain_errors();
        }
    }

    /// Marks the session as properly ended, without which OpenSSL refuses to resume it.
    pub(crate) fn keep_resumable(&mut self) {
        // SAFETY: sets two flags of a valid `SSL`.
        unsafe { sys::SSL_set_shutdown(self.ssl.as_ptr(), SSL_SENT_AND_RECEIVED_SHUTDOWN) };
    }

    /// Returns the time until OpenSSL wants its timer handled, or `None` when no timer runs.
    pub(crate) fn timeout(&self) -> Option<Duration> {
        let mut left = libc::timeval { tv_sec: 0, tv_usec: 0 };
        // SAFETY: the control writes one timeval, for which `left` is valid.
        let set =
            unsafe { sys::SSL_ctrl(self.ssl.as_ptr(), DTLS_CTRL_GET_TIMEOUT, 0, (&raw mut left).cast()) };
        (set == 1).then(|| {
            let seconds = u64::try_from(left.tv_sec).unwrap_or(0);
            let micros = u64::try_from(left.tv_usec).unwrap_or(0);
            Duration::from_secs(seconds) + Duration::from_micros(micros)
        })
    }

    /// Lets OpenSSL retransmit its flight if its timer has expired.
    pub(crate) fn handle_timeout(&mut self) -> Step {
        // SAFETY: the control takes no argument; it may write datagrams into the transport.
        let result =
            unsafe { sys::SSL_ctrl(self.ssl.as_ptr(), DTLS_CTRL_HANDLE_TIMEOUT, 0, ptr::null_mut()) };
        match result {
            0.. => Step::Done,
            _ => Step::Failed(drain_errors()),
        }
    }

    /// Asks for a renegotiation, which a session of ours refuses.
    pub(crate) fn renegotiate(&mut self) -> Step {
        // SAFETY: the `SSL` is valid; the call only marks it.
        let result = unsafe { SSL_renegotiate(self.ssl.as_ptr()) };
        match result {
            1 => Step::Done,
            _ => Step::Failed(drain_errors()),
        }
    }

    fn step(&mut self, result: c_int) -> Step {
        if result > 0 {
            return Step::Done;
        }
        // SAFETY: asks the `SSL` about its last call, made on this thread just before.
        let code = unsafe { sys::SSL_get_error(self.ssl.as_ptr(), result) };
        named(code).unwrap_or_else(|| {
            // The queue is per thread: what this session leaves in it would make another
            // session's WANT_READ look fatal, so it is emptied here, after every failure. And what
            // the caller left in it makes ours look fatal: asked again over an empty queue, a
            // session that failed has nothing to wait for, and one that waits says so. Only that
            // answer counts: after a fatal alert of the peer, OpenSSL would speak of a farewell.
            let reason = drain_errors();
            // SAFETY: as above; emptying the queue is no call on this `SSL`.
            let code = unsafe { sys::SSL_get_error(self.ssl.as_ptr(), result) };
            named(code).filter(|step| *step == Step::Pending).unwrap_or(Step::Failed(reason))
        })
    }
}

/// Names what is no failure.
fn named(code: c_int) -> Option<Step> {
    match code {
        sys::SSL_ERROR_WANT_READ | sys::SSL_ERROR_WANT_WRITE => Some(Step::Pending),
        sys::SSL_ERROR_ZERO_RETURN => Some(Step::Closed),
        _ => None,
    }
}

fn drain_errors() -> String {
    let stack = ErrorStack::get();
    match stack.errors().first() {
        Some(error) => error.reason().unwrap_or("unknown reason").to_owned(),
        None => "the session had failed before".to_owned(),
    }
}

/// Returns the verdict that makes OpenSSL refuse a certificate with the alert `bad_certificate`.
pub(crate) fn certificate_rejected() -> X509VerifyResult {
    const X509_V_ERR_CERT_REJECTED: c_int = 28;
    // SAFETY: the number is one of OpenSSL's own (x509_vfy.h).
    unsafe { X509VerifyResult::from_raw(X509_V_ERR_CERT_REJECTED) }
}

/// Returns whether a verdict says no more than that none of our roots issued a certificate.
pub(crate) fn lacks_an_issuer(verdict: X509VerifyResult) -> bool {
    // Self-signed; issuer not found; hence its signature not verified (x509_vfy.h).
    const X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT: c_int = 18;
    const X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY: c_int = 20;
    const X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE: c_int = 21;
    matches!(
        verdict.as_raw(),
        X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT
            | X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY
            | X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE
    )
}

/// Returns the version of the OpenSSL library in use, as it names itself.
#[must_use]
pub fn openssl_version() -> &'static str {
    openssl::version::version()
}

unsafe extern "C" fn next_timeout(ssl: *mut sys::SSL, previous_micros: c_uint) -> c_uint {
    // SAFETY: OpenSSL calls this for a valid `SSL`, from inside a call that holds its engine.
    let bio = unsafe { sys::SSL_get_rbio(ssl) };
    // SAFETY: every engine reads from a BIO of ours; the transport is not borrowed by anyone else here.
    let transport = unsafe { transport_of(bio) };
    if previous_micros > 0 {
        let is_steady = transport.is_some_and(|transport| transport.is_steady());
        let factor = if is_steady { 1 } else { 2 };
        return previous_micros.saturating_mul(factor).min(LAST_TIMEOUT_MICROS);
    }
    let first = transport.map_or(FIRST_TIMEOUT_DEFAULT, |transport| transport.first_timeout());
    c_uint::try_from(first.as_micros())
        .map_or(LAST_TIMEOUT_MICROS, |micros| micros.clamp(1, LAST_TIMEOUT_MICROS))
}

struct MethodTable(*mut sys::BIO_METHOD);

// SAFETY: the table is written once before it is shared and only read afterwards.
unsafe impl Send for MethodTable {}
// SAFETY: as above.
unsafe impl Sync for MethodTable {}

/// Returns the one method table of the process; it is never freed.
fn datagram_method() -> *const sys::BIO_METHOD {
    static METHOD: OnceLock<MethodTable> = OnceLock::new();
    METHOD.get_or_init(|| MethodTable(new_datagram_method())).0
}

fn new_datagram_method() -> *mut sys::BIO_METHOD {
    const NAME: &CStr = c"peerbound datagram queue";
    // SAFETY: hands out a number.
    let index = unsafe { BIO_get_new_index() };
    // SAFETY: the name is static.
    let method = unsafe { sys::BIO_meth_new(index | BIO_TYPE_SOURCE_SINK, NAME.as_ptr()) };
    assert!(!method.is_null(), "OpenSSL has memory for one method table");
    // SAFETY: the table is ours until it is published; the callback is a plain function.
    unsafe { BIO_meth_set_read(method, Some(bio_read)) };
    // SAFETY: as above.
    unsafe { BIO_meth_set_write(method, Some(bio_write)) };
    // SAFETY: as above.
    unsafe { BIO_meth_set_ctrl(method, Some(bio_ctrl)) };
    // SAFETY: as above.
    unsafe { BIO_meth_set_destroy(method, Some(bio_destroy)) };
    method
}

/// # Safety
/// `bio` must be one that [`Engine::new`] made, inside a call that holds its engine.
unsafe fn transport_of<'a>(bio: *mut sys::BIO) -> Option<&'a mut Transport> {
    // SAFETY: the BIO is valid for the duration of its callback.
    let data = unsafe { sys::BIO_get_data(bio) };
    // SAFETY: the pointer is null or the leaked box of `Engine::new`, reached by this thread alone.
    unsafe { data.cast::<Transport>().as_mut() }
}

unsafe extern "C" fn bio_read(bio: *mut sys::BIO, buffer: *mut c_char, len: c_int) -> c_int {
    // SAFETY: OpenSSL calls this for a BIO of ours.
    let transport = unsafe { transport_of(bio) };
    // SAFETY: the BIO is valid for the duration of its callback.
    unsafe { sys::BIO_clear_flags(bio, BIO_FLAGS_READ_RETRY) };
    let datagram = transport.and_then(Transport::take_inbound);
    let (Some(datagram), Ok(room)) = (datagram, usize::try_from(len)) else {
        // SAFETY: as above.
        unsafe { sys::BIO_set_flags(bio, BIO_FLAGS_READ_RETRY) };
        return -1;
    };
    // What does not fit is lost, as recv(2) does with a datagram.
    let count = datagram.len().min(room);
    // SAFETY: OpenSSL gives a buffer of `len` bytes; `count` is within it and within the datagram.
    unsafe { ptr::copy_nonoverlapping(datagram.as_ptr(), buffer.cast(), count) };
    c_int::try_from(count).unwrap_or(-1)
}

unsafe extern "C" fn bio_write(bio: *mut sys::BIO, bytes: *const c_char, len: c_int) -> c_int {
    // SAFETY: OpenSSL calls this for a BIO of ours.
    let transport = unsafe { transport_of(bio) };
    let (Some(transport), Ok(count)) = (transport, usize::try_from(len)) else {
        return -1;
    };
    // SAFETY: OpenSSL gives `len` readable bytes, one datagram.
    let datagram = unsafe { std::slice::from_raw_parts(bytes.cast::<u8>(), count) };
    transport.write(datagram);
    len
}

unsafe extern "C" fn bio_ctrl(bio: *mut sys::BIO, command: c_int, _: c_long, _: *mut c_void) -> c_long {
    match command {
        BIO_CTRL_FLUSH => 1,
        BIO_CTRL_DGRAM_QUERY_MTU | BIO_CTRL_DGRAM_GET_MTU | BIO_CTRL_DGRAM_GET_FALLBACK_MTU => {
            // SAFETY: OpenSSL calls this for a BIO of ours.
            let transport = unsafe { transport_of(bio) };
            transport.map_or(0, |transport| c_long::from(transport.mtu()))
        }
        // Among others 73 and 76, by which OpenSSL asks for kernel TLS: there is none.
        _ => 0,
    }
}

unsafe extern "C" fn bio_destroy(bio: *mut sys::BIO) -> c_int {
    // SAFETY: the BIO is valid for the duration of its callback.
    let data = unsafe { sys::BIO_get_data(bio) }.cast::<Transport>();
    if !data.is_null() {
        // SAFETY: as above; no later callback finds the pointer.
        unsafe { sys::BIO_set_data(bio, ptr::null_mut()) };
        // SAFETY: the pointer came from `Box::leak` in `Engine::new`, and this is its only release.
        drop(unsafe { Box::from_raw(data) });
    }
    1
}
