//! Durations and sizes as people write them.

use campanile_yaml::{Diagnostics, Node, Value};

/// A week: longer waits are typing errors.
pub(super) const MAX_DURATION_MS: u64 = 7 * 24 * 3600 * 1000;

/// A duration: `60s`, `2m`, `1.5h`, `250ms`, `1d`, or plain seconds. In milliseconds.
pub(super) fn duration_ms(node: Node<'_>, diagnostics: &mut Diagnostics) -> Option<u64> {
    // A number is one whatever way it is written, so that `1_000` is no surprise.
    let parsed = match node.safe() {
        #[expect(clippy::cast_precision_loss, reason = "the limit is far below where a float is not exact")]
        Value::Int(seconds) => Some(seconds as f64 * 1000.0),
        Value::Float(seconds) => Some(seconds * 1000.0),
        Value::Str(text) => parse_with_unit(
            &text,
            &[("ms", 1.0), ("s", 1e3), ("m", 6e4), ("h", 3.6e6), ("d", 8.64e7), ("", 1e3)],
        ),
        _ => None,
    };
    let refuse = |message: String, diagnostics: &mut Diagnostics| {
        diagnostics.push(
            node.error(message).hint("write seconds, or a number with ms, s, m, h or d, such as `1.5h`"),
        );
    };
    match parsed {
        _ if node.is_broken() => None,
        None => {
            refuse(format!("expected a duration, found {}", node.description()), diagnostics);
            None
        }
        #[expect(clippy::cast_precision_loss, reason = "the limit is far below where a float is not exact")]
        Some(ms) if !(0.0..=MAX_DURATION_MS as f64).contains(&ms) => {
            refuse("a duration must be between 0 and 7 days".to_owned(), diagnostics);
            None
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the range has just been checked"
        )]
        Some(ms) => Some(ms.round() as u64),
    }
}

/// An amount of memory: `512M`, `1.5G`, `2GiB`, or plain bytes. Units are powers of 1024. In bytes, at least 1 MiB.
pub(super) fn bytes(node: Node<'_>, diagnostics: &mut Diagnostics) -> Option<u64> {
    const MIB: f64 = 1024.0 * 1024.0;
    const UNITS: [(&str, f64); 5] =
        [("B", 1.0), ("K", 1024.0), ("M", MIB), ("G", MIB * 1024.0), ("T", MIB * 1024.0 * 1024.0)];
    let parsed = match node.safe() {
        #[expect(
            clippy::cast_precision_loss,
            reason = "amounts of memory are far below where a float is not exact"
        )]
        Value::Int(bytes) => Some(bytes as f64),
        Value::Float(bytes) => Some(bytes),
        Value::Str(text) => {
            let upper = text.to_ascii_uppercase();
            let short = upper.strip_suffix("IB").or_else(|| upper.strip_suffix('B')).unwrap_or(&upper);
            parse_with_unit(short, &UNITS).or_else(|| parse_with_unit(&upper, &UNITS))
        }
        _ => None,
    };
    match parsed {
        _ if node.is_broken() => None,
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the range is checked here"
        )]
        Some(bytes) if (MIB..=MIB * MIB * 1024.0).contains(&bytes) => Some(bytes.round() as u64),
        Some(_) => {
            diagnostics.push(
                node.error("an amount of memory must be between 1 MiB and 1 EiB")
                    .hint("such as `512M` or `2G`"),
            );
            None
        }
        None => {
            let message = format!("expected an amount of memory, found {}", node.description());
            diagnostics
                .push(node.error(message).hint("write a number with K, M, G or T, such as `512M` or `2G`"));
            None
        }
    }
}

fn parse_with_unit(text: &str, units: &[(&str, f64)]) -> Option<f64> {
    let text = text.trim();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = &text[digits.len()..];
    // Rust's own float syntax has signs, exponents and words, which no one needs here.
    if digits.is_empty() || !digits.trim_end().bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return None;
    }
    let factor = units.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor)?;
    Some(digits.trim_end().parse::<f64>().ok()? * factor)
}

#[cfg(test)]
mod tests {
    use super::{bytes, duration_ms};
    use campanile_yaml::{Diagnostics, Node, Schema, parse};

    fn read<T>(text: &str, get: impl Fn(Node<'_>, &mut Diagnostics) -> Option<T>) -> Option<T> {
        let (document, mut diagnostics) = parse("t".as_ref(), text.as_bytes(), Schema::Safe);
        let value = get(document.as_ref().unwrap().root(), &mut diagnostics);
        assert_eq!(value.is_none(), diagnostics.has_errors(), "{text}");
        value
    }

    #[test]
    fn durations_are_read_with_and_without_a_unit() {
        for (text, ms) in [
            ("60s", 60_000),
            ("2m", 120_000),
            ("1.5h", 5_400_000),
            ("250ms", 250),
            ("1d", 86_400_000),
            ("5", 5_000),
            ("0.5", 500),
            ("0", 0),
            ("'3 s'", 3_000),
            ("'7'", 7_000),
        ] {
            assert_eq!(read(text, duration_ms), Some(ms), "{text}");
        }
        for text in [
            "-1",
            "-1s",
            "8d",
            "fast",
            "1e3s",
            "yes",
            "[1]",
            "''",
            "1.2.3s",
            ".inf",
            ".nan",
            "infs",
            "5 parsecs",
        ] {
            assert_eq!(read(text, duration_ms), None, "{text}");
        }
    }

    #[test]
    fn amounts_of_memory_are_read_in_powers_of_1024() {
        for (text, expected) in [
            ("2G", 2 << 30),
            ("512M", 512 << 20),
            ("1.5GiB", 3 << 29),
            ("2048 k", 2 << 20),
            ("10485760", 10 << 20),
            ("10485760B", 10 << 20),
            ("1tb", 1 << 40),
        ] {
            assert_eq!(read(text, bytes), Some(expected), "{text}");
        }
        for text in ["0", "-1G", "100", "much", "2X", "[2G]", ".nan", "9999999T"] {
            assert_eq!(read(text, bytes), None, "{text}");
        }
    }
}
