//! The one place that asks the machine for the time and for chance.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Returns the time by which everything in a node is ordered.
#[must_use]
pub fn now() -> Instant {
    Instant::now()
}

/// Returns the time of day in seconds since 1970, by which certificates are judged.
#[must_use]
pub fn unix_seconds() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// Returns how long ago that was, by the time of day since 1970 as the kernel tells it of what it received. No time at all
/// where it does not tell, or the time of day was set meanwhile.
pub(crate) fn waited_since(arrived: Option<Duration>) -> Duration {
    /// Nothing waits as long in a socket that is read.
    const WAITED_MAX: Duration = Duration::from_secs(1);
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let waited = arrived.map_or(Duration::ZERO, |arrived| since.saturating_sub(arrived));
    if waited > WAITED_MAX { Duration::ZERO } else { waited }
}

/// Returns the time of day in nanoseconds since 1970, by which captures are stamped.
pub(crate) fn unix_nanoseconds() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// Returns a number for this boot. Drawn by chance: it must differ from those of earlier boots that
/// others still remember, a handful out of 2^32, and needs no file and no clock for that.
pub(crate) fn boot_epoch() -> Result<u32, getrandom::Error> {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes)?;
    Ok(u32::from_be_bytes(bytes))
}

/// Returns 32 bytes nobody can foresee.
pub(crate) fn seed() -> Result<[u8; 32], getrandom::Error> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)?;
    Ok(seed)
}
