//! Intervals as LDMS writes them: `"2s"`, `"1.5m"`, `"-100ms"`, or a plain number of microseconds.

/// Why a text is not an interval.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IntervalError {
    /// Nothing there.
    #[error("an interval is missing")]
    Empty,
    /// Not a number with a unit.
    #[error("'{0}' is not an interval: a number and one of us, ms, s, m, h, d is expected")]
    Malformed(String),
    /// A fraction without a unit.
    #[error("'{0}' has no unit: without one only whole microseconds are allowed")]
    NoUnit(String),
    /// Too large for microseconds in 64 bits.
    #[error("'{0}' is too long an interval")]
    TooLong(String),
}

/// An interval in microseconds. Units are `us`, `ms`, `s`, `m`, `h`, `d`, in either case; decimals and a sign are
/// allowed; without a unit it must be a whole number of microseconds (rules of the LDMS YAML parser).
///
/// # Errors
/// When the text is not an interval.
pub fn parse_us(text: &str) -> Result<i64, IntervalError> {
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return Err(IntervalError::Empty);
    }
    let split = trimmed.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(split);
    let number = number.trim_end();
    let malformed = || IntervalError::Malformed(text.to_owned());
    let factor: i128 = match unit.to_ascii_lowercase().as_str() {
        "" if number.contains('.') => return Err(IntervalError::NoUnit(text.to_owned())),
        "" | "us" => 1,
        "ms" => 1_000,
        "s" => 1_000_000,
        "m" => 60_000_000,
        "h" => 3_600_000_000,
        "d" => 86_400_000_000,
        _ => return Err(malformed()),
    };
    let (negative, digits) = match number.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, number.strip_prefix('+').unwrap_or(number)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !all_digits(whole) || !all_digits(fraction) {
        return Err(malformed());
    }
    let too_long = || IntervalError::TooLong(text.to_owned());
    let mut total: i128 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| too_long())? };
    total = total.checked_mul(factor).ok_or_else(too_long)?;
    let mut part = factor;
    for digit in fraction.bytes() {
        part /= 10;
        total += i128::from(digit - b'0') * part;
    }
    i64::try_from(if negative { -total } else { total }).map_err(|_| too_long())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_read_with_every_unit_sign_and_decimals() {
        for (text, us) in [
            ("1000000", 1_000_000),
            ("1.0s", 1_000_000),
            ("0ms", 0),
            ("100ms", 100_000),
            ("-100ms", -100_000),
            ("2S", 2_000_000),
            ("1.5m", 90_000_000),
            ("1h", 3_600_000_000),
            ("1d", 86_400_000_000),
            (" 20 s ", 20_000_000),
            ("40us", 40),
            ("+5", 5),
            (".5s", 500_000),
        ] {
            assert_eq!(parse_us(text), Ok(us), "{text}");
        }
    }

    #[test]
    fn what_is_not_an_interval_is_refused() {
        assert_eq!(parse_us(""), Err(IntervalError::Empty));
        assert_eq!(parse_us("1.0"), Err(IntervalError::NoUnit("1.0".into())));
        for text in ["50s40us", "s", "1x", "1.2.3s", "--1s", "one", "1 2s", "."] {
            assert!(parse_us(text).is_err(), "{text}");
        }
        assert!(matches!(parse_us("99999999999999999999d"), Err(IntervalError::TooLong(_))));
    }
}
