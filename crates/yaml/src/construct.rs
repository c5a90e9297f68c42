//! The value of a scalar from its type and its text.

use crate::number::{parse_float, parse_int};
use crate::tag::{Tag, bool_of};
use crate::timestamp::{self, Timestamp};
use crate::value::Value;

/// The value of a scalar; an error says why the text is none of that type.
pub(crate) fn scalar(tag: Tag, text: &str) -> Result<Value, String> {
    match tag {
        Tag::Null => Ok(Value::Null),
        Tag::Bool => bool_of(text).map(Value::Bool).ok_or_else(|| format!("{text:?} is not a boolean")),
        Tag::Int => parse_int(text),
        Tag::Float => parse_float(text).map(Value::Float),
        Tag::Binary => decode_base64(text).map(Value::Bytes),
        Tag::Timestamp => Ok(match timestamp::parse(text)? {
            Timestamp::Date(date) => Value::Date(date),
            Timestamp::DateTime(time) => Value::DateTime(time),
        }),
        _ => Ok(Value::Str(text.to_owned())),
    }
}

/// Base 64 as forgiving as Python's: characters that are none of its alphabet are skipped, and what comes after the
/// padding is not read.
fn decode_base64(text: &str) -> Result<Vec<u8>, String> {
    if !text.is_ascii() {
        return Err("base 64 has only ASCII characters".to_owned());
    }
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut held, mut place, mut padding) = (0u8, 0, 0);
    for byte in text.bytes() {
        if byte == b'=' {
            padding += 1;
            if place >= 2 && place + padding >= 4 {
                return Ok(bytes);
            }
            continue;
        }
        let six_bits = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => continue,
        };
        padding = 0;
        match place {
            0 => held = six_bits,
            1 => {
                bytes.push(held << 2 | six_bits >> 4);
                held = six_bits & 0x0f;
            }
            2 => {
                bytes.push(held << 4 | six_bits >> 2);
                held = six_bits & 0x03;
            }
            _ => bytes.push(held << 6 | six_bits),
        }
        place = (place + 1) % 4;
    }
    if place == 0 { Ok(bytes) } else { Err("the base 64 data is cut short".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::decode_base64;

    #[test]
    fn base_64_is_decoded_with_line_breaks_and_without_complaint_about_strangers() {
        assert_eq!(decode_base64("aGVs\n bG8=").unwrap(), b"hello");
        assert_eq!(decode_base64("aGk=rest").unwrap(), b"hi");
        assert_eq!(decode_base64("").unwrap(), b"");
        assert!(decode_base64("aGk").is_err());
        assert!(decode_base64("a").is_err());
    }
}
