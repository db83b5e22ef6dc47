//! Values as people write them: "250 ms", "10 Mbit/s", "A>B", "+63". Each way there and back.

use std::time::Duration;

use crate::scenario::step::Sequence;

/// The longest duration that a file may name: a day of virtual time.
const DURATION_MAX_HOURS: u64 = 24;

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// The units of time, the largest first, in nanoseconds.
const TIME_UNITS: [(&str, u64); 6] = [
    ("h", 3600 * NANOS_PER_SECOND),
    ("min", 60 * NANOS_PER_SECOND),
    ("s", NANOS_PER_SECOND),
    ("ms", 1_000_000),
    ("us", 1000),
    ("ns", 1),
];

/// The units of a rate, in bits per second.
const RATE_UNITS: [(&str, u64); 4] =
    [("Gbit/s", 1_000_000_000), ("Mbit/s", 1_000_000), ("kbit/s", 1000), ("bit/s", 1)];

/// Reads "250 ms", "1.5 s", "1 min 30 s".
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let problem =
        || format!("{text:?} is no duration: write one like \"250 ms\", \"1.5 s\" or \"1 min 30 s\"");
    let words: Vec<_> = spaced(text).split_whitespace().map(str::to_owned).collect();
    if words.is_empty() || words.len() % 2 != 0 {
        return Err(problem());
    }
    let mut nanos = 0_u64;
    for pair in words.chunks_exact(2) {
        let unit = TIME_UNITS.iter().find(|(unit, _)| *unit == pair[1]).ok_or_else(problem)?;
        let part = decimal(&pair[0], unit.1).ok_or_else(problem)?;
        nanos = nanos.checked_add(part).ok_or_else(problem)?;
    }
    let duration = Duration::from_nanos(nanos);
    if duration > Duration::from_secs(DURATION_MAX_HOURS * 60 * 60) {
        return Err(format!("{text:?} is longer than the {DURATION_MAX_HOURS} h that a run may take"));
    }
    Ok(duration)
}

/// Writes a duration so that [`duration`] reads the same one.
pub(crate) fn in_words(duration: Duration) -> String {
    let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    with_unit(nanos, &TIME_UNITS[2..])
}

/// Reads "10 Mbit/s".
pub(crate) fn rate(text: &str) -> Result<u64, String> {
    let problem = || format!("{text:?} is no rate: write one like \"10 Mbit/s\" or \"64 kbit/s\"");
    let text = spaced(text);
    let (number, unit) = text.trim().split_once(' ').ok_or_else(problem)?;
    let (_, factor) = RATE_UNITS.iter().find(|(known, _)| *known == unit.trim()).ok_or_else(problem)?;
    decimal(number, *factor).filter(|bits| *bits > 0).ok_or_else(problem)
}

/// Writes a rate so that [`rate`] reads the same one.
pub(crate) fn rate_in_words(bits_per_second: u64) -> String {
    with_unit(bits_per_second, &RATE_UNITS)
}

/// Reads a record number: "next", "newest", "+63", "-69".
pub(crate) fn sequence(text: &str) -> Option<Sequence> {
    let newest = match text {
        "next" => 1,
        "newest" => 0,
        _ if text.starts_with(['+', '-']) => text.parse().ok()?,
        _ => return None,
    };
    Some(Sequence::Newest(newest))
}

/// Writes a record number as [`sequence`] reads it, or as a number.
pub(crate) fn sequence_in_words(sequence: Sequence) -> String {
    match sequence {
        Sequence::Number(number) => number.to_string(),
        Sequence::Newest(1) => "\"next\"".to_owned(),
        Sequence::Newest(0) => "\"newest\"".to_owned(),
        Sequence::Newest(offset) => format!("\"{offset:+}\""),
    }
}

/// Reads bytes in hexadecimal; spaces may stand between them.
pub(crate) fn bytes(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<_> = text
        .chars()
        .filter(|character| !character.is_whitespace())
        .map(|character| character.to_digit(16))
        .collect::<Option<_>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    let byte = |[high, low]: &[u32; 2]| u8::try_from(high * 16 + low).ok();
    if rest.is_empty() { pairs.iter().map(byte).collect() } else { None }
}

/// Writes text as a string of TOML on one line.
pub(crate) fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            '\n' => quoted += "\\n",
            '\t' => quoted += "\\t",
            _ if character.is_control() => quoted += &format!("\\u{:04X}", u32::from(character)),
            _ => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}

/// Finds the known word that somebody may have meant.
pub(crate) fn nearest<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    /// Three slips of the finger are as many as still look like the same word.
    const SLIPS_MAX: usize = 3;
    let distances = known.into_iter().map(|word| (strsim::damerau_levenshtein(typed, word), word));
    let (slips, word) = distances.min_by_key(|(slips, _)| *slips)?;
    (slips <= SLIPS_MAX && slips < word.chars().count()).then_some(word)
}

/// Says which words there are, and which one may have been meant.
pub(crate) fn choices(typed: &str, known: &[&str]) -> String {
    let meant = nearest(typed, known.iter().copied());
    let meant = meant.map(|word| format!("did you mean {word:?}? ")).unwrap_or_default();
    let list: Vec<_> = known.iter().map(|word| format!("{word:?}")).collect();
    format!("{meant}there is {}", list.join(", "))
}

/// Puts a space between a number and the letters behind it.
fn spaced(text: &str) -> String {
    let mut spaced = String::with_capacity(text.len() + 1);
    let mut before = ' ';
    for character in text.chars() {
        if before.is_ascii_digit() && character.is_alphabetic() {
            spaced.push(' ');
        }
        spaced.push(character);
        before = character;
    }
    spaced
}

/// Reads a decimal number in units of `unit`; `None` where it does not come out even.
fn decimal(text: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_number = |digits: &str| digits.chars().all(|digit| digit.is_ascii_digit());
    if whole.is_empty() || !is_number(whole) || !is_number(fraction) || fraction.len() > 9 {
        return None;
    }
    let scale = 10_u64.pow(u32::try_from(fraction.len()).ok()?);
    let part = if fraction.is_empty() { 0 } else { fraction.parse::<u64>().ok()? };
    let scaled = u128::from(whole.parse::<u64>().ok()?) * u128::from(scale) + u128::from(part);
    // A number of 64 bits with nine decimals, in hours: more than 128 bits hold.
    let product = scaled.checked_mul(u128::from(unit))?;
    (product % u128::from(scale) == 0).then_some(())?;
    u64::try_from(product / u128::from(scale)).ok()
}

/// Writes a number in the largest unit in which it is whole.
fn with_unit(number: u64, units: &[(&str, u64)]) -> String {
    let unit = units.iter().find(|(_, unit)| number.is_multiple_of(*unit) && number > 0);
    match unit {
        Some((name, unit)) => format!("{} {name}", number / unit),
        None => format!("{number} {}", units.first().map_or("", |(name, _)| name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        let read = |text| duration(text).unwrap();

        assert_eq!(read("250 ms"), Duration::from_millis(250));
        assert_eq!(read("250ms"), Duration::from_millis(250));
        assert_eq!(read("492.5 ms"), Duration::from_micros(492_500));
        assert_eq!(read("1 min 30 s"), Duration::from_secs(90));
        assert_eq!(read("0 s"), Duration::ZERO);
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        let unread = ["", "5", "ms", "-1 s", "1 parsec", "1.5 ns", "1 s 2", "25 h", "1e3 s"];
        let too_large = ["18446744073709551616 s", "18446744073709551615.000000001 h"];
        for text in unread.into_iter().chain(too_large) {
            assert!(duration(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn durations_and_rates_come_back_as_they_went() {
        for nanos in [0, 1, 999, 1000, 1_500_000, 2_000_000_000, 483_000_000_000, 86_400_000_000_000] {
            let one = Duration::from_nanos(nanos);
            assert_eq!(duration(&in_words(one)), Ok(one));
        }
        for bits in [1, 999, 64_000, 1_500_000, 10_000_000_000] {
            assert_eq!(rate(&rate_in_words(bits)), Ok(bits));
        }
    }

    #[test]
    fn bytes_are_read_in_hexadecimal() {
        assert_eq!(bytes("02 28"), Some(vec![2, 0x28]));
        assert_eq!(bytes(""), Some(vec![]));
        assert_eq!(bytes("0"), None);
        assert_eq!(bytes("0g"), None);
    }

    #[test]
    fn a_slip_of_the_finger_is_understood_and_nonsense_is_not() {
        assert_eq!(nearest("lantency", ["latency", "loss"]), Some("latency"));
        assert_eq!(nearest("xyz", ["latency", "loss"]), None);
    }
}
