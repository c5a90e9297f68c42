//! Days and times, as far as YAML needs them.

use std::fmt;

/// A day of the Gregorian calendar, from year 1 to 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date {
    /// 1 to 9999.
    pub year: u16,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
}

/// A day and a time, with or without a time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DateTime {
    /// The day.
    pub date: Date,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 59.
    pub second: u8,
    /// 0 to 999 999.
    pub microsecond: u32,
    /// How far its zone is east of Greenwich, in minutes; `None` when no zone is given.
    pub offset_minutes: Option<i16>,
}

/// What a timestamp can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timestamp {
    Date(Date),
    DateTime(DateTime),
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl Date {
    fn new(year: u16, month: u8, day: u8) -> Result<Self, String> {
        let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let days = match month {
            1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
            4 | 6 | 9 | 11 => 30,
            2 if leap => 29,
            2 => 28,
            _ => return Err(format!("there is no month {month}")),
        };
        if year == 0 {
            return Err("there is no year 0".to_owned());
        }
        if day == 0 || day > days {
            return Err(format!("month {month} of {year} has no day {day}"));
        }
        Ok(Self { year, month, day })
    }

    /// Days since 1970-01-01 (Howard Hinnant's `days_from_civil`, restricted to positive years).
    fn days_since_epoch(self) -> i64 {
        let year = i64::from(self.year) - i64::from(self.month <= 2);
        let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
        let month_from_march = (i64::from(self.month) + 9) % 12;
        let day_of_year = (153 * month_from_march + 2) / 5 + i64::from(self.day) - 1;
        era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
    }
}

impl DateTime {
    pub(crate) fn micros_since_epoch(&self) -> i64 {
        let seconds = self.date.days_since_epoch() * 86_400
            + i64::from(self.hour) * 3600
            + i64::from(self.minute) * 60
            + i64::from(self.second);
        seconds * 1_000_000 + i64::from(self.microsecond)
    }

    /// Python's `isoformat`, with the given separator between day and time.
    pub(crate) fn iso_format(&self, separator: char) -> String {
        let mut text =
            format!("{}{separator}{:02}:{:02}:{:02}", self.date, self.hour, self.minute, self.second);
        if self.microsecond > 0 {
            text.push_str(&format!(".{:06}", self.microsecond));
        }
        if let Some(minutes) = self.offset_minutes {
            let sign = if minutes < 0 { '-' } else { '+' };
            let minutes = minutes.unsigned_abs();
            text.push_str(&format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60));
        }
        text
    }
}

impl fmt::Display for DateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.iso_format(' '))
    }
}

/// Reads the form of the YAML 1.1 timestamp type; months and days may have one digit here even without a time.
pub(crate) fn parse(text: &str) -> Result<Timestamp, String> {
    let form = || "not of the form 2001-12-14 or 2001-12-14 21:59:43".to_owned();
    let (day_part, time_part) = match text.find(['T', 't', ' ', '\t']) {
        Some(at) => {
            let time = &text[at..];
            let letter = time.starts_with(['T', 't']);
            (&text[..at], Some(if letter { &time[1..] } else { time.trim_start_matches([' ', '\t']) }))
        }
        None => (text, None),
    };
    let mut parts = day_part.split('-');
    let (Some(year), Some(month), Some(day), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(form());
    };
    let year = number(year, 4, 4).ok_or_else(form)?;
    let month = number(month, 1, 2).ok_or_else(form)?;
    let day = number(day, 1, 2).ok_or_else(form)?;
    let date = Date::new(narrow(year), narrow(month), narrow(day))?;
    match time_part {
        None => Ok(Timestamp::Date(date)),
        Some(time) => Ok(Timestamp::DateTime(parse_time(date, time).ok_or_else(form)??)),
    }
}

/// The outer `None` is a wrong form, the inner error a time that does not exist.
fn parse_time(date: Date, text: &str) -> Option<Result<DateTime, String>> {
    let clock_end = text.find(|c: char| !c.is_ascii_digit() && c != ':').unwrap_or(text.len());
    let (clock, mut rest) = text.split_at(clock_end);
    let mut parts = clock.split(':');
    let hour = number(parts.next()?, 1, 2)?;
    let minute = number(parts.next()?, 2, 2)?;
    let second = number(parts.next()?, 2, 2)?;
    if parts.next().is_some() {
        return None;
    }
    let mut microsecond = 0;
    if let Some(fraction) = rest.strip_prefix('.') {
        let end = fraction.find(|c: char| !c.is_ascii_digit()).unwrap_or(fraction.len());
        let digits: String = fraction[..end].chars().chain("000000".chars()).take(6).collect();
        microsecond = digits.parse().ok()?;
        rest = &fraction[end..];
    }
    if hour > 23 || minute > 59 || second > 59 {
        return Some(Err(format!("there is no time {clock}")));
    }
    let offset_minutes = match zone(rest)? {
        Ok(offset) => offset,
        Err(problem) => return Some(Err(problem)),
    };
    let (hour, minute, second) = (narrow(hour), narrow(minute), narrow(second));
    Some(Ok(DateTime { date, hour, minute, second, microsecond, offset_minutes }))
}

fn zone(text: &str) -> Option<Result<Option<i16>, String>> {
    if text.is_empty() {
        return Some(Ok(None));
    }
    let text = text.trim_start_matches([' ', '\t']);
    if text == "Z" {
        return Some(Ok(Some(0)));
    }
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let (hours, minutes) = match text.strip_prefix(['+', '-'])?.split_once(':') {
        Some((hours, minutes)) => (number(hours, 1, 2)?, number(minutes, 2, 2)?),
        None => (number(text.strip_prefix(['+', '-'])?, 1, 2)?, 0),
    };
    let total = hours * 60 + minutes;
    if total >= 24 * 60 {
        return Some(Err(format!("there is no time zone {text}")));
    }
    Some(Ok(i16::try_from(total).ok().map(|total| sign * total)))
}

fn number(text: &str, least_digits: usize, most_digits: usize) -> Option<u32> {
    let fits =
        (least_digits..=most_digits).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if fits { text.parse().ok() } else { None }
}

/// Numbers of at most four digits always fit what they are narrowed to.
fn narrow<T: TryFrom<u32> + Default>(number: u32) -> T {
    T::try_from(number).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{Timestamp, parse};

    #[test]
    fn times_are_read_in_all_their_forms() {
        let cases = [
            ("2001-12-14", "2001-12-14"),
            ("2001-12-14t21:59:43.1-05:30", "2001-12-14 21:59:43.100000-05:30"),
            ("2001-12-14 \t 1:59:43.1234567 Z", "2001-12-14 01:59:43.123456+00:00"),
            ("2001-1-2 01:02:03 +7", "2001-01-02 01:02:03+07:00"),
            ("2000-02-29 01:02:03.", "2000-02-29 01:02:03"),
        ];
        for (text, expected) in cases {
            let shown = match parse(text) {
                Ok(Timestamp::Date(date)) => date.to_string(),
                Ok(Timestamp::DateTime(time)) => time.to_string(),
                Err(problem) => problem,
            };
            assert_eq!(shown, expected, "{text:?}");
        }
        for text in [
            "1900-02-29",
            "2001-13-01",
            "2001-04-31",
            "0000-01-01",
            "2001-01-01 24:00:00",
            "2001-01-01 00:00:00 +24",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn days_are_counted_from_1970() {
        let micros = |text: &str| match parse(text) {
            Ok(Timestamp::DateTime(time)) => time.micros_since_epoch(),
            other => panic!("{other:?}"),
        };
        assert_eq!(micros("1970-01-01 00:00:00"), 0);
        assert_eq!(micros("2000-03-01 00:00:01"), 951_868_801_000_000);
        assert_eq!(micros("1969-12-31 23:59:59.5"), -500_000);
    }
}
