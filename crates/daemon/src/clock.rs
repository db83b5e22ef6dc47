//! The one place that asks the machine for the time and for chance.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

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

/// Returns a number that differs from that of every earlier boot: tenths of a second since 2024,
/// which lasts until 2037 and costs no file.
pub(crate) fn boot_epoch() -> u32 {
    const UNIX_2024: u64 = 1_704_067_200;
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() / 100;
    let since_2024 = since.saturating_sub(u128::from(UNIX_2024) * 10);
    u32::try_from(since_2024).unwrap_or(u32::MAX)
}

/// Returns 32 bytes nobody can foresee.
pub(crate) fn seed() -> Result<[u8; 32], getrandom::Error> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)?;
    Ok(seed)
}
