//! The times that begin lines of output.
//!
//! OCS agents begin their lines with one, as `2026-11-22T10:39:54+0000 text`. Other programs may do so in any form of
//! ISO 8601, with a `T` or a blank before the clock; without a zone it is taken for UTC.

/// The time that begins a line, in unix seconds.
pub(crate) fn time_of(line: &str) -> Option<f64> {
    let line = line.trim_start_matches(['[', ' ']);
    let date = line.get(..10)?;
    let year: i64 = digits(date.get(..4)?)?;
    let month: i64 = digits(date.get(5..7)?)?;
    let day: i64 = digits(date.get(8..10)?)?;
    let clock = line.get(11..19)?;
    let hour: i64 = digits(clock.get(..2)?)?;
    let minute: i64 = digits(clock.get(3..5)?)?;
    let second: i64 = digits(clock.get(6..8)?)?;
    let bytes = line.as_bytes();
    let separated = bytes.get(4) == Some(&b'-')
        && bytes.get(7) == Some(&b'-')
        && matches!(bytes.get(10), Some(b'T' | b't' | b' '))
        && matches!(bytes.get(13), Some(b':' | b'-'))
        && bytes.get(16) == bytes.get(13);
    let possible =
        (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second <= 60;
    if !separated || !possible {
        return None;
    }
    let rest = line.get(19..)?;
    let fraction_len = match rest.strip_prefix(['.', ',']) {
        Some(digits) => 1 + digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len()),
        None => 0,
    };
    let fraction = rest.get(1..fraction_len).and_then(|text| format!("0.{text}").parse().ok()).unwrap_or(0.0);
    let offset_s = zone(rest.get(fraction_len..).unwrap_or_default());
    let whole_s = days_from_civil(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second - offset_s;
    Some(whole_s as f64 + fraction)
}

fn digits(text: &str) -> Option<i64> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// Seconds east of UTC of `+0100`, `+01:00`, `-05`; 0 for anything else.
fn zone(text: &str) -> i64 {
    let (sign, rest) = match text.as_bytes().first() {
        Some(b'+') => (1, &text[1..]),
        Some(b'-') => (-1, &text[1..]),
        _ => return 0,
    };
    let hours = rest.get(..2).and_then(digits).unwrap_or(0);
    let minutes = rest.get(2..).map(|rest| rest.strip_prefix(':').unwrap_or(rest));
    let minutes = minutes.and_then(|rest| rest.get(..2)).and_then(digits).unwrap_or(0);
    sign * (hours * 3_600 + minutes * 60)
}

/// Days from 1970-01-01 in the Gregorian calendar. Years are counted from March, so that the leap day is the last.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year - era * 400;
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Chooses the lines that are not older than a time. A line without a time goes with the one before it, since a
/// traceback belongs to the line that announced it.
#[derive(Clone, Debug)]
pub(crate) struct Filter {
    not_before_s: Option<f64>,
    passing: bool,
    /// Lines that were left out because there was no time at all before them.
    pub(crate) timeless: u64,
    seen_a_time: bool,
}

impl Filter {
    /// Without a time everything passes.
    pub(crate) fn new(not_before_s: Option<f64>) -> Self {
        Self { not_before_s, passing: not_before_s.is_none(), timeless: 0, seen_a_time: false }
    }

    /// Is this line, which comes after the ones before, to be shown?
    pub(crate) fn passes(&mut self, line: &str) -> bool {
        let Some(not_before_s) = self.not_before_s else { return true };
        if let Some(time_s) = time_of(line) {
            self.seen_a_time = true;
            // Once the time is reached, a clock that was set back hides nothing.
            self.passing |= time_s >= not_before_s;
        } else if !self.seen_a_time && !self.passing {
            self.timeless += 1;
        }
        self.passing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_the_forms_that_programs_write() {
        let noon = 1_795_343_994.0;
        for line in [
            "2026-11-22T10:39:54+0000 manager:0 text",
            "2026-11-22T10:39:54Z text",
            "2026-11-22 10:39:54 text",
            "[2026-11-22T10:39:54] text",
            "2026-11-22T11:39:54+01:00",
            "2026-11-22T05:39:54-05 text",
            "2026-11-22T10-39-54 dashes, as in the log files of OCS",
        ] {
            assert_eq!(time_of(line), Some(noon), "{line}");
        }
        assert_eq!(time_of("2026-11-22T10:39:54.250 text"), Some(noon + 0.25));
        assert_eq!(time_of("1970-01-01T00:00:00Z"), Some(0.0));
        assert_eq!(time_of("2000-02-29T00:00:00Z"), Some(951_782_400.0));
    }

    #[test]
    fn what_is_no_time_is_none() {
        for line in
            ["", "text", "2026-11-22", "2026-13-22T10:39:54", "2026-11-22T25:39:54", "2026/11/22 10:39:54"]
        {
            assert_eq!(time_of(line), None, "{line}");
        }
    }

    #[test]
    fn a_traceback_goes_with_its_line() {
        let mut filter = Filter::new(Some(time_of("2026-11-22T10:00:00Z").unwrap()));
        let lines = [
            ("no time yet", false),
            ("2026-11-22T09:59:59Z old", false),
            ("  old traceback", false),
            ("2026-11-22T10:00:01Z new", true),
            ("  new traceback", true),
            ("2026-11-22T09:00:00Z the clock was set back", true),
        ];
        for (line, passes) in lines {
            assert_eq!(filter.passes(line), passes, "{line}");
        }
        assert_eq!(filter.timeless, 1);
    }

    proptest::proptest! {
        #[test]
        fn no_line_makes_the_reader_panic(line in "\\PC*") {
            let _ = time_of(&line);
        }

        #[test]
        fn any_text_behind_a_time_is_no_trouble(rest in "\\PC*") {
            let _ = time_of(&format!("2026-11-22T10:39:54{rest}"));
        }
    }
}
