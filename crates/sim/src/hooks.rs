//! The two hooks that make stock OpenSSL deterministic: a clock and a stream of chance, per thread.
//! And the canary that refuses to run where one of them is not in force.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use openssl::asn1::Asn1Time;
use openssl::error::ErrorStack;
use openssl::rand::{rand_bytes, rand_priv_bytes};
use peerbound_dtls::{Authority, Context, ContextConfig, Session, SessionOptions, Validity};

use crate::chance::{Purpose, key};
use crate::stream::Stream;
use crate::{random, vclock};

/// The Unix time at which every world begins: 2026-01-01, 00:00 UTC.
pub const START_UNIX_SECONDS: i64 = 1_767_225_600;

const START: Duration = Duration::from_secs(START_UNIX_SECONDS.unsigned_abs());

/// Why the simulator does not run in this program.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HookError {
    /// `time` is not ours.
    #[error(
        "OpenSSL does not ask the simulator's clock: this program's own `time` is hidden from the OpenSSL \
         library (was it linked without exporting its symbols?)"
    )]
    Clock,
    /// `gettimeofday` is not ours, or not what DTLS timers ask.
    #[error(
        "OpenSSL's DTLS timers do not run by the simulator's clock: this program's own `gettimeofday` is \
         hidden from the OpenSSL library (was it linked without exporting its symbols?)"
    )]
    Timer,
    /// The random method is not ours.
    #[error(
        "OpenSSL does not draw its random numbers from the simulator's seed: this build of it takes no \
         random method"
    )]
    Chance,
    /// OpenSSL failed for a reason of its own.
    #[error("OpenSSL fails before anything was simulated: {0}")]
    Openssl(String),
}

impl From<ErrorStack> for HookError {
    fn from(error: ErrorStack) -> Self {
        Self::Openssl(error.to_string())
    }
}

/// Puts the hooks in force for the whole process; threads that set neither clock nor stream notice
/// nothing. Doing it again does no harm.
///
/// # Errors
/// [`HookError::Chance`] when OpenSSL does not take a random method.
pub fn install() -> Result<(), HookError> {
    std::hint::black_box(vclock::definitions());
    if random::install() { Ok(()) } else { Err(HookError::Chance) }
}

/// Checks through OpenSSL itself that both hooks are in force: the clock of certificates, the timer of
/// a DTLS handshake (once per process, it takes a millisecond), and both random generators.
///
/// # Errors
/// Says which hook is not in force.
pub fn canary() -> Result<(), HookError> {
    static TIMER: OnceLock<Result<(), HookError>> = OnceLock::new();
    install()?;
    check_clock()?;
    check_chance()?;
    TIMER.get_or_init(check_timer).clone()
}

/// Runs something under a stream of chance of its own, at the beginning of virtual time: certificates
/// made there are the same in every process.
///
/// # Errors
/// When the hooks are not in force.
pub fn with_stream<T>(seed: u64, act: impl FnOnce() -> T) -> Result<T, HookError> {
    install()?;
    let mut stream = Stream::new(key(seed, Purpose::Apart, 0, 0));
    Ok(under(Duration::ZERO, &mut stream, act))
}

/// Runs something that may call OpenSSL, which sees this time since the world's beginning and draws
/// from this stream.
pub(crate) fn under<T>(elapsed: Duration, stream: &mut Stream, act: impl FnOnce() -> T) -> T {
    let _scope = Scope::enter(elapsed, stream);
    act()
}

/// As long as it lives, this thread's OpenSSL is under the hooks; also when a panic ends it.
struct Scope<'a> {
    stream: &'a mut Stream,
    clock_before: Option<Duration>,
    stream_before: Option<Stream>,
}

impl<'a> Scope<'a> {
    fn enter(elapsed: Duration, stream: &'a mut Stream) -> Self {
        let taken = std::mem::replace(stream, Stream::new([0; 32]));
        Self {
            stream,
            clock_before: vclock::set(Some(START + elapsed)),
            stream_before: random::set(Some(taken)),
        }
    }
}

impl Drop for Scope<'_> {
    fn drop(&mut self) {
        vclock::set(self.clock_before);
        if let Some(stream) = random::set(self.stream_before.take()) {
            *self.stream = stream;
        }
    }
}

fn check_clock() -> Result<(), HookError> {
    const ELAPSED: u32 = 123_456_789;
    let mut stream = Stream::new([0; 32]);
    let seen = under(Duration::from_secs(u64::from(ELAPSED)), &mut stream, || Asn1Time::days_from_now(0))?;
    let set = Asn1Time::from_unix(START_UNIX_SECONDS + i64::from(ELAPSED))?;
    if seen == set { Ok(()) } else { Err(HookError::Clock) }
}

fn check_chance() -> Result<(), HookError> {
    let mut expected = [[0; 24], [0; 24]];
    let mut drawn = expected;
    let mut stream = Stream::new([7; 32]);
    expected.iter_mut().for_each(|bytes| stream.fill(bytes));
    let mut stream = Stream::new([7; 32]);
    under(Duration::ZERO, &mut stream, || {
        rand_bytes(&mut drawn[0])?;
        rand_priv_bytes(&mut drawn[1])
    })?;
    if drawn == expected { Ok(()) } else { Err(HookError::Chance) }
}

/// A client that hears nothing sends its hello again when its timer has expired, and not before.
fn check_timer() -> Result<(), HookError> {
    const AFTER: Duration = Duration::from_secs(20);
    let mut stream = Stream::new([9; 32]);
    let began = anchor();
    let mut session = under(Duration::ZERO, &mut stream, || {
        let validity = Validity::days(START_UNIX_SECONDS, 1);
        let authority = Authority::generate("canary", validity)?;
        let identity =
            authority.issue("canary", validity).map_err(|error| HookError::Openssl(error.to_string()))?;
        let context = Context::new(ContextConfig::new(identity, vec![authority.to_root()]))?;
        let options = SessionOptions { first_timeout: AFTER / 2, ..SessionOptions::default() };
        Ok::<_, HookError>(Session::connect(&context, &options, began)?)
    })?;
    while session.poll_transmit().is_some() {}
    let sent_again = under(AFTER, &mut stream, || {
        session.handle_timeout(began + AFTER);
        session.has_transmit()
    });
    if sent_again { Ok(()) } else { Err(HookError::Timer) }
}

/// Returns a moment to count virtual time from. Only differences to it are ever looked at.
#[expect(
    clippy::disallowed_methods,
    reason = "an instant comes from nowhere else; it only anchors virtual time"
)]
pub(crate) fn anchor() -> Instant {
    Instant::now()
}
