//! How Python prints values. OCS passes the arguments of an instance through Python's `str()`.

use crate::value::Value;

/// `str(value)`.
pub(crate) fn str_of(value: &Value) -> String {
    match value {
        Value::Str(text) => text.clone(),
        Value::Date(date) => date.to_string(),
        Value::DateTime(time) => time.to_string(),
        other => repr(other),
    }
}

fn repr(value: &Value) -> String {
    let join = |parts: Vec<String>| parts.join(", ");
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Int(value) => value.to_string(),
        Value::BigInt(digits) => digits.clone(),
        Value::Float(value) => float_repr(*value),
        Value::Str(text) => str_repr(text),
        Value::Bytes(bytes) => bytes_repr(bytes),
        Value::Date(date) => format!("datetime.date({}, {}, {})", date.year, date.month, date.day),
        Value::DateTime(time) => time_repr(time),
        Value::List(items) => format!("[{}]", join(items.iter().map(repr).collect())),
        Value::Map(entries) => {
            format!(
                "{{{}}}",
                join(entries.iter().map(|(key, value)| format!("{}: {}", repr(key), repr(value))).collect())
            )
        }
        Value::Set(items) if items.is_empty() => "set()".to_owned(),
        Value::Set(items) => format!("{{{}}}", join(items.iter().map(repr).collect())),
        Value::Pairs(entries) => {
            format!(
                "[{}]",
                join(
                    entries.iter().map(|(key, value)| format!("({}, {})", repr(key), repr(value))).collect()
                )
            )
        }
    }
}

/// `repr(value)`: the shortest digits that read back as the same number; exponents from 16 digits and below 1e-4.
pub(crate) fn float_repr(value: f64) -> String {
    if value.is_nan() {
        return "nan".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if value != 0.0 && !(-4..16).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{:02}", exponent.unsigned_abs());
    }
    let plain = value.to_string();
    if plain.contains('.') { plain } else { format!("{plain}.0") }
}

fn str_repr(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut shown = String::from(quote);
    for c in text.chars() {
        let code = u32::from(c);
        match c {
            '\\' => shown.push_str("\\\\"),
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            _ if c == quote => shown.extend(['\\', c]),
            _ if !invisible(c) => shown.push(c),
            _ if code < 0x100 => shown.push_str(&format!("\\x{code:02x}")),
            _ if code < 0x1_0000 => shown.push_str(&format!("\\u{code:04x}")),
            _ => shown.push_str(&format!("\\U{code:08x}")),
        }
    }
    shown.push(quote);
    shown
}

/// Controls, and spaces and marks that cannot be seen; a few rarer ones, which Python escapes, too, are not known here.
fn invisible(c: char) -> bool {
    c.is_control()
        || (c.is_whitespace() && c != ' ')
        || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e000}'..='\u{f8ff}')
}

fn bytes_repr(bytes: &[u8]) -> String {
    let quote = if bytes.contains(&b'\'') && !bytes.contains(&b'"') { '"' } else { '\'' };
    let mut shown = format!("b{quote}");
    for byte in bytes {
        match *byte {
            b'\\' => shown.push_str("\\\\"),
            b'\n' => shown.push_str("\\n"),
            b'\r' => shown.push_str("\\r"),
            b'\t' => shown.push_str("\\t"),
            byte if char::from(byte) == quote => shown.extend(['\\', quote]),
            byte @ 0x20..=0x7e => shown.push(char::from(byte)),
            byte => shown.push_str(&format!("\\x{byte:02x}")),
        }
    }
    shown.push(quote);
    shown
}

fn time_repr(time: &crate::timestamp::DateTime) -> String {
    let date = time.date;
    let mut parts =
        vec![u32::from(date.year), date.month.into(), date.day.into(), time.hour.into(), time.minute.into()];
    if time.second > 0 || time.microsecond > 0 {
        parts.push(time.second.into());
    }
    if time.microsecond > 0 {
        parts.push(time.microsecond);
    }
    let mut shown: Vec<String> = parts.iter().map(u32::to_string).collect();
    match time.offset_minutes {
        None => {}
        Some(0) => shown.push("tzinfo=datetime.timezone.utc".to_owned()),
        Some(minutes) => {
            // Python splits a timedelta into whole days, which may be negative, and the seconds after them.
            let seconds = i64::from(minutes) * 60;
            let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
            let days = if days == 0 { String::new() } else { format!("days={days}, ") };
            shown.push(format!("tzinfo=datetime.timezone(datetime.timedelta({days}seconds={rest}))"));
        }
    }
    format!("datetime.datetime({})", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::{float_repr, str_of};
    use crate::value::Value;

    #[test]
    fn values_are_printed_as_python_prints_them() {
        assert_eq!(str_of(&Value::Bool(true)), "True");
        assert_eq!(str_of(&Value::Null), "None");
        assert_eq!(str_of(&Value::Str("it's".to_owned())), "it's");
        let list = Value::List(vec![Value::Str("it's".to_owned()), Value::Int(1), Value::Float(1.0)]);
        assert_eq!(str_of(&list), r#"["it's", 1, 1.0]"#);
        let map = Value::Map(vec![(Value::Str("--a".to_owned()), Value::Str("\u{7}'\"".to_owned()))]);
        assert_eq!(str_of(&map), r#"{'--a': '\x07\'"'}"#);
    }

    #[test]
    fn floats_are_printed_as_python_prints_them() {
        let cases = [
            (1.0, "1.0"),
            (-0.0, "-0.0"),
            (0.1, "0.1"),
            (1e16, "1e+16"),
            (1e15, "1000000000000000.0"),
            (1.5e-5, "1.5e-05"),
            (0.0001, "0.0001"),
            (1e300, "1e+300"),
            (123_456.789, "123456.789"),
        ];
        for (value, expected) in cases {
            assert_eq!(float_repr(value), expected);
        }
    }
}
