//! Spans of time as people read and write them.

use std::time::Duration;

/// `7s`, `4m10s`, `2h05m`, `5d03h`: two units at most, never longer than six characters for a century.
pub(crate) fn short(seconds: f64) -> String {
    if !seconds.is_finite() {
        return "?".to_owned();
    }
    // Whole seconds are enough; what is negative by a clock's whim is now.
    let total = seconds.clamp(0.0, 9e15) as u64;
    let (days, hours, minutes, rest) = (total / 86_400, total / 3_600 % 24, total / 60 % 60, total % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{rest}s"),
        (0, 0, _) => format!("{minutes}m{rest:02}s"),
        (0, _, _) => format!("{hours}h{minutes:02}m"),
        _ => format!("{days}d{hours:02}h"),
    }
}

/// Reads `90`, `90s`, `1.5m`, `2h`, `1d` or a sum such as `1h30m`; without a unit it is seconds.
///
/// # Errors
/// A text that says what is accepted.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let refuse = || format!("`{text}` is not a span of time such as 30s, 5m, 1h30m or 2d");
    let mut rest = text.trim();
    let mut total_s = 0.0;
    if rest.is_empty() {
        return Err(refuse());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let number: f64 = number.parse().map_err(|_| refuse())?;
        let letters = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, next) = after.split_at(letters);
        total_s += number
            * match unit.trim() {
                "ms" => 0.001,
                "" | "s" | "sec" => 1.0,
                "m" | "min" => 60.0,
                "h" => 3_600.0,
                "d" => 86_400.0,
                _ => return Err(refuse()),
            };
        rest = next;
    }
    Duration::try_from_secs_f64(total_s).map_err(|_| refuse())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_shown_in_at_most_two_units() {
        let cases = [
            (-3.0, "0s"),
            (0.9, "0s"),
            (59.9, "59s"),
            (60.0, "1m00s"),
            (250.0, "4m10s"),
            (7_500.0, "2h05m"),
            (443_000.0, "5d03h"),
            (f64::NAN, "?"),
            (f64::INFINITY, "?"),
        ];
        for (seconds, shown) in cases {
            assert_eq!(short(seconds), shown, "{seconds}");
        }
    }

    #[test]
    fn spans_are_read_with_units_sums_and_fractions() {
        let cases = [
            ("90", 90.0),
            ("90s", 90.0),
            ("1.5m", 90.0),
            ("1h30m", 5_400.0),
            ("2d", 172_800.0),
            ("250ms", 0.25),
        ];
        for (text, seconds) in cases {
            assert_eq!(parse(text), Ok(Duration::from_secs_f64(seconds)), "{text}");
        }
        for text in ["", "s", "-3s", "3 parsecs", "1e99d", "1..2s", "inf", "nan"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "\\PC*") {
            let _ = parse(&text);
        }
    }
}
