//! Durations, amounts of memory and time windows as people write them.

use campanile_yaml::{Diagnostics, Node, Value};

use super::model::Window;
use super::section::Section;

/// A year: longer times are typing errors.
const MAX_DURATION_MS: f64 = 366.0 * 24.0 * 3.6e6;

/// A duration: `60s`, `2m`, `1.5h`, `250ms`, `7d`, or plain seconds. In milliseconds.
pub(super) fn duration_ms(section: &Section<'_>, key: &str, diagnostics: &mut Diagnostics) -> Option<u64> {
    let node = section.get(key)?;
    const UNITS: &[(&str, f64)] =
        &[("ms", 1.0), ("s", 1e3), ("m", 6e4), ("h", 3.6e6), ("d", 8.64e7), ("", 1e3)];
    match parse(node, UNITS).filter(|ms| (0.0..=MAX_DURATION_MS).contains(ms)) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range was checked")]
        Some(ms) => Some(ms.round() as u64),
        None => {
            let text = format!("expected a duration of at most a year, found {}", node.description());
            diagnostics.push(
                node.error(text).hint("write seconds, or a number with ms, s, m, h or d, such as `1.5h`"),
            );
            None
        }
    }
}

/// An amount of memory or disk: `512M`, `1.5G`, or plain MiB. In MiB.
pub(super) fn mib(section: &Section<'_>, key: &str, diagnostics: &mut Diagnostics) -> Option<u64> {
    let node = section.get(key)?;
    const UNITS: &[(&str, f64)] = &[
        ("M", 1.0),
        ("G", 1024.0),
        ("T", 1_048_576.0),
        ("MB", 1.0),
        ("GB", 1024.0),
        ("TB", 1_048_576.0),
        ("MiB", 1.0),
        ("GiB", 1024.0),
        ("TiB", 1_048_576.0),
        ("", 1.0),
    ];
    match parse(node, UNITS).filter(|mib| (0.0..=1e12).contains(mib)) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range was checked")]
        Some(mib) => Some(mib.round() as u64),
        None => {
            let text = format!("expected an amount of memory, found {}", node.description());
            diagnostics.push(node.error(text).hint("write MiB, or a number with M, G or T, such as `8G`"));
            None
        }
    }
}

fn parse(node: Node<'_>, units: &[(&str, f64)]) -> Option<f64> {
    match node.safe() {
        #[expect(clippy::cast_precision_loss, reason = "the limits are far below where a float is not exact")]
        Value::Int(value) => {
            let plain = units.iter().find(|(name, _)| name.is_empty()).map_or(1.0, |(_, factor)| *factor);
            Some(value as f64 * plain)
        }
        Value::Float(value) => {
            let plain = units.iter().find(|(name, _)| name.is_empty()).map_or(1.0, |(_, factor)| *factor);
            Some(value * plain)
        }
        Value::Str(text) => {
            let text = text.trim();
            let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
            let factor = units.iter().find(|(name, _)| *name == &text[digits.len()..])?.1;
            let digits = digits.trim_end();
            let is_number =
                !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
            is_number.then(|| digits.parse::<f64>().ok()).flatten().map(|value| value * factor)
        }
        _ => None,
    }
}

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const WINDOW_HINT: &str =
    "write `20:00-06:00`, `sat 00:00-24:00` or `mon-fri 18:00-08:00`; the times are UTC";

/// Time windows: `20:00-06:00`, `sat 00:00-24:00`, `mon-fri 18:00-08:00`, one or a list.
pub(super) fn windows(section: &Section<'_>, key: &str, diagnostics: &mut Diagnostics) -> Vec<Window> {
    let Some(node) = section.get(key) else { return Vec::new() };
    let items: Vec<Node<'_>> =
        if node.kind() == campanile_yaml::Kind::List { node.items().collect() } else { vec![node] };
    let mut windows = Vec::new();
    for item in items {
        match item.text().and_then(window) {
            Some(window) => windows.push(window),
            None => {
                let text = format!("expected a time window, found {}", item.description());
                diagnostics.push(item.error(text).hint(WINDOW_HINT));
            }
        }
    }
    windows
}

fn window(text: &str) -> Option<Window> {
    let text = text.trim().to_ascii_lowercase();
    let (days, times) = match text.split_once(' ') {
        Some((days, times)) => (days_of(days)?, times.trim()),
        None => (0x7f, text.as_str()),
    };
    let (from, to) = times.split_once('-')?;
    let (from_min, to_min) = (minute(from)?, minute(to)?);
    (from_min < 24 * 60).then_some(Window { days, from_min, to_min })
}

fn days_of(text: &str) -> Option<u8> {
    let day = |name: &str| DAYS.iter().position(|day| *day == name);
    let mut days = 0;
    for part in text.split(',') {
        let (first, last) = match part.split_once('-') {
            Some((first, last)) => (day(first)?, day(last)?),
            None => (day(part)?, day(part)?),
        };
        let mut at = first;
        loop {
            days |= 1 << at;
            if at == last {
                break;
            }
            at = (at + 1) % DAYS.len();
        }
    }
    Some(days)
}

fn minute(text: &str) -> Option<u16> {
    let (hour, minute) = text.trim().split_once(':')?;
    let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
    (minute < 60 && hour * 60 + minute <= 24 * 60).then_some(hour * 60 + minute)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_read_with_and_without_days() {
        assert_eq!(window("20:00-06:00"), Some(Window { days: 0x7f, from_min: 1200, to_min: 360 }));
        assert_eq!(window("mon-fri 08:00-18:30"), Some(Window { days: 0x1f, from_min: 480, to_min: 1110 }));
        assert_eq!(window("sat,sun 00:00-24:00"), Some(Window { days: 0x60, from_min: 0, to_min: 1440 }));
        assert_eq!(window("sat-mon 0:00-1:00").map(|window| window.days), Some(0b110_0001));
        for wrong in ["", "always", "8-9", "25:00-26:00", "noday 8:00-9:00", "24:00-25:00"] {
            assert_eq!(window(wrong), None, "{wrong}");
        }
    }
}
