//! The key `rate` of a neighbour: how much the link to it is to be given at most.

use peerbound_node::Rate;

/// The units that may stand behind a number, and how many bits a second each is.
const UNITS: [(&str, f64); 4] = [("bit/s", 1.0), ("kbit/s", 1e3), ("Mbit/s", 1e6), ("Gbit/s", 1e9)];

/// Reads a rate such as `20 Mbit/s`.
///
/// # Errors
/// Says what is wrong with it, and how to write one.
pub(crate) fn parse(text: &str) -> Result<Rate, String> {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let factor = UNITS.iter().find(|(name, _)| *name == unit.trim()).map(|(_, factor)| *factor);
    let (Some(factor), Ok(number)) = (factor, number.parse::<f64>()) else {
        return Err(format!(
            "{text:?} is no rate: write one like \"20 Mbit/s\", in bit/s, kbit/s, Mbit/s or Gbit/s"
        ));
    };
    let bits = number * factor;
    // Of what lies outside of the range nothing is taken, so nothing is cut off here.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, and has no sign")]
    Rate::from_bits_per_second(bits.round() as u64)
        .ok_or_else(|| format!("{text:?} is out of range: give {} to {}", Rate::MIN, Rate::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_in_all_units_with_and_without_a_fraction_or_a_space() {
        for (text, bits) in [
            ("20 Mbit/s", 20_000_000),
            ("2.5Mbit/s", 2_500_000),
            ("64 kbit/s", 64_000),
            ("100 Gbit/s", 100_000_000_000),
            ("128000 bit/s", 128_000),
        ] {
            assert_eq!(parse(text).map(Rate::bits_per_second), Ok(bits), "{text}");
        }
    }

    #[test]
    fn what_is_no_rate_is_refused_with_an_example_and_what_is_out_of_range_with_the_range() {
        for text in ["", "20", "fast", "20 MB/s", "20 mbit/s", "-1 Mbit/s", "1..5 Mbit/s", "Mbit/s"] {
            assert!(parse(text).unwrap_err().contains("write one like"), "{text}");
        }
        for text in ["0 Mbit/s", "63 kbit/s", "101 Gbit/s", "99999999999999999999999999 Gbit/s"] {
            assert!(parse(text).unwrap_err().contains("64 kbit/s to 100 Gbit/s"), "{text}");
        }
    }
}
