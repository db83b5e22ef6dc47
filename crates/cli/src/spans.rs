//! Times as people say them.

/// Says a length of time, given in milliseconds, in its two largest units.
pub(crate) fn span(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes, seconds) {
        (0, 0, 0, 0) => format!("{milliseconds} ms"),
        (0, 0, 0, _) => format!("{seconds} s"),
        (0, 0, _, _) => format!("{minutes} min {} s", seconds % 60),
        (0, _, _, _) => format!("{hours} h {} min", minutes % 60),
        (_, _, _, _) => format!("{days} d {} h", hours % 24),
    }
}

/// Says a short time, given in microseconds.
pub(crate) fn short_span(microseconds: u64) -> String {
    match microseconds {
        0..=99_999 => format!("{}.{:02} ms", microseconds / 1000, microseconds % 1000 / 10),
        _ => format!("{} ms", microseconds / 1000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_said_in_two_units_at_most() {
        let said = [0, 999, 1000, 61_000, 3_600_000, 90_061_000].map(span);
        assert_eq!(said, ["0 ms", "999 ms", "1 s", "1 min 1 s", "1 h 0 min", "1 d 1 h"]);

        let said = [0, 123, 1_230, 99_999, 100_000, 1_234_567].map(short_span);
        assert_eq!(said, ["0.00 ms", "0.12 ms", "1.23 ms", "99.99 ms", "100 ms", "1234 ms"]);
    }
}
