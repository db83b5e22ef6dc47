//! Moves a value towards zero: first all the way, then by halves of what is left between a value that
//! is too small and one that fails.

use toml_edit::Value;

/// How many values between are tried. Seven halvings leave less than a hundredth.
const HALVINGS: u32 = 7;

/// Finer than this a number is not looked for: nobody reads more digits.
const DIGITS: i32 = 2;

/// The search for the smallest value that still fails.
pub(super) struct Lowering {
    /// How to write a number in place of the value; `None` for what is no number.
    form: Option<Form>,
    /// Fails.
    high: f64,
    /// Does not fail, or nobody knows.
    low: Option<f64>,
    asked: Option<f64>,
    left: u32,
}

enum Form {
    Integer,
    Float,
    /// A number with a unit, as "250 ms".
    Measure(String),
}

impl Lowering {
    pub(super) fn of(value: &Value) -> Self {
        let (form, high) = match value {
            #[expect(clippy::cast_precision_loss, reason = "a number this large is lowered at once")]
            Value::Integer(number) => (Some(Form::Integer), *number.value() as f64),
            Value::Float(number) => (Some(Form::Float), *number.value()),
            Value::String(text) => match measure(text.value()) {
                Some((number, unit)) => (Some(Form::Measure(unit)), number),
                None => (None, 0.0),
            },
            Value::Array(_) | Value::InlineTable(_) | Value::Boolean(_) | Value::Datetime(_) => (None, 0.0),
        };
        Self { form, high, low: None, asked: None, left: HALVINGS }
    }

    /// Returns the next value to try.
    pub(super) fn next_try(&mut self) -> Option<Value> {
        let form = self.form.as_ref()?;
        if !(self.high.is_finite() && self.high > 0.0) {
            return None;
        }
        let between = match self.low {
            None => 0.0,
            Some(low) => {
                self.left = self.left.checked_sub(1)?;
                form.round(f64::midpoint(low, self.high))
            }
        };
        if between >= self.high || self.low.is_some_and(|low| between <= low) {
            return None;
        }
        self.asked = Some(between);
        Some(form.write(between))
    }

    /// Is told whether the value that was tried fails.
    pub(super) fn heard(&mut self, fails: bool) {
        let Some(asked) = self.asked.take() else { return };
        if fails {
            self.high = asked;
        } else {
            self.low = Some(asked);
        }
    }
}

impl Form {
    fn round(&self, number: f64) -> f64 {
        match self {
            Self::Integer => number.floor(),
            Self::Float | Self::Measure(_) => {
                let magnitude = number.abs().log10().floor();
                let scale = 10_f64.powf(f64::from(DIGITS - 1) - magnitude);
                (number * scale).round() / scale
            }
        }
    }

    fn write(&self, number: f64) -> Value {
        match self {
            #[expect(clippy::cast_possible_truncation, reason = "it lies between zero and an i64")]
            Self::Integer => Value::from(number as i64),
            Self::Float => Value::from(number),
            Self::Measure(unit) => Value::from(format!("{number} {unit}")),
        }
    }
}

/// Takes a number with a unit apart; `None` for every other text.
fn measure(text: &str) -> Option<(f64, String)> {
    let digits = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim_start();
    let is_unit = !unit.is_empty() && unit.chars().all(|letter| letter.is_alphabetic() || letter == '/');
    Some((number.parse().ok()?, unit.to_owned())).filter(|_| is_unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lowers a value that fails from `least` on; returns what is left and how many were tried.
    fn lowered(value: &str, fails: impl Fn(&Value) -> bool) -> (String, usize) {
        let mut value: Value = value.parse().unwrap();
        let mut lowering = Lowering::of(&value);
        let mut tries = 0;
        while let Some(candidate) = lowering.next_try() {
            tries += 1;
            let is_alike = fails(&candidate);
            lowering.heard(is_alike);
            if is_alike {
                value = candidate;
            }
        }
        (value.to_string(), tries)
    }

    #[test]
    fn what_does_not_matter_becomes_zero_at_once() {
        for (value, zero) in
            [("57", "0"), ("0.3", "0.0"), ("\"250 ms\"", "\"0 ms\""), ("\"10 Mbit/s\"", "\"0 Mbit/s\"")]
        {
            assert_eq!(lowered(value, |_| true), (zero.to_owned(), 1));
        }
    }

    #[test]
    fn what_matters_stops_near_the_smallest_that_fails() {
        let least = |least: f64| {
            move |value: &Value| {
                let text = value.as_str().map(|text| text.split(' ').next().unwrap().to_owned());
                text.unwrap_or_else(|| value.to_string()).parse::<f64>().unwrap() >= least
            }
        };

        assert_eq!(lowered("57", least(41.0)).0, "41");
        assert_eq!(lowered("0.4", least(0.123)).0, "0.13");
        assert_eq!(lowered("\"900 ms\"", least(250.0)).0, "\"250 ms\"");
    }

    #[test]
    fn what_is_no_number_is_left_alone() {
        for value in
            ["\"A\"", "\"after previous\"", "\"10.0.0.1:4433\"", "true", "0", "0.0", "[1]", "\"\"", "-5"]
        {
            assert_eq!(lowered(value, |_| panic!("nothing is to be tried")).1, 0, "{value}");
        }
    }
}
