//! Reads JSON (RFC 8259), and what Python's `json` writes beyond it: `NaN`, `Infinity`, `-Infinity`.

use std::borrow::Cow;

use super::json_text::json_text_as_bytes;
use super::{DecodeError, Input, sink::Sink};

pub(super) fn value(input: &mut Input<'_>, sink: &mut impl Sink) -> Result<(), DecodeError> {
    skip_space(input);
    match input.peek().ok_or(DecodeError::Truncated)? {
        b'"' => {
            let text = string(input)?;
            match json_text_as_bytes(&text) {
                Some(bytes) => sink.bytes(&bytes),
                None => sink.text(text),
            }
            Ok(())
        }
        b'[' => {
            let mark = sink.list_start(None);
            let len = list(input, |input| value(input, sink))?;
            sink.list_end(mark, len);
            Ok(())
        }
        b'{' => {
            let mark = sink.dict_start(None);
            let len = dict(input, sink)?;
            sink.dict_end(mark, len);
            Ok(())
        }
        b't' => literal(input, "true").map(|()| sink.bool(true)),
        b'f' => literal(input, "false").map(|()| sink.bool(false)),
        b'n' => literal(input, "null").map(|()| sink.null()),
        _ => number(input, sink),
    }
}

pub(super) fn elements<'a>(
    input: &mut Input<'a>,
    each: impl FnMut(&mut Input<'a>) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    skip_space(input);
    if input.peek() != Some(b'[') {
        return Err(DecodeError::NotAMessage);
    }
    list(input, each)?;
    Ok(())
}

pub(super) fn skip_space(input: &mut Input<'_>) {
    while let Some(b' ' | b'\t' | b'\n' | b'\r') = input.peek() {
        _ = input.byte();
    }
}

/// A list, from its opening bracket; returns its length.
fn list<'a>(
    input: &mut Input<'a>,
    mut each: impl FnMut(&mut Input<'a>) -> Result<(), DecodeError>,
) -> Result<usize, DecodeError> {
    separated(input, b']', |input| {
        skip_space(input);
        each(input)
    })
}

fn dict(input: &mut Input<'_>, sink: &mut impl Sink) -> Result<usize, DecodeError> {
    separated(input, b'}', |input| {
        skip_space(input);
        if input.peek() != Some(b'"') {
            return Err(input.malformed("dict key"));
        }
        sink.key(string(input)?);
        skip_space(input);
        if input.byte()? != b':' {
            return Err(input.malformed("dict"));
        }
        value(input, sink)
    })
}

/// Elements with commas between them, from the opening bracket to `close`.
fn separated<'a>(
    input: &mut Input<'a>,
    close: u8,
    mut each: impl FnMut(&mut Input<'a>) -> Result<(), DecodeError>,
) -> Result<usize, DecodeError> {
    input.nested(|input| {
        input.byte()?;
        skip_space(input);
        if input.peek() == Some(close) {
            input.byte()?;
            return Ok(0);
        }
        let mut len = 0;
        loop {
            input.element()?;
            each(input)?;
            len += 1;
            skip_space(input);
            match input.byte()? {
                b',' => {}
                byte if byte == close => return Ok(len),
                _ => return Err(input.malformed("list or dict")),
            }
        }
    })
}

fn literal(input: &mut Input<'_>, word: &str) -> Result<(), DecodeError> {
    if !input.rest().starts_with(word.as_bytes()) {
        return Err(input.malformed("value"));
    }
    input.take(word.len())?;
    Ok(())
}

fn number(input: &mut Input<'_>, sink: &mut impl Sink) -> Result<(), DecodeError> {
    for (word, value) in [("NaN", f64::NAN), ("Infinity", f64::INFINITY), ("-Infinity", f64::NEG_INFINITY)] {
        if input.rest().starts_with(word.as_bytes()) {
            input.loose = true;
            sink.float(value);
            return literal(input, word);
        }
    }
    let rest = input.rest();
    let len = number_len(rest).ok_or_else(|| input.malformed("number"))?;
    let text = input.text(len)?;
    if !text.contains(['.', 'e', 'E']) {
        if let Ok(value) = text.parse::<i64>() {
            sink.int(value);
            return Ok(());
        }
        if let Ok(value) = text.parse::<u64>() {
            sink.unsigned(value);
            return Ok(());
        }
    }
    sink.float(text.parse().map_err(|_| input.malformed("number"))?);
    Ok(())
}

/// The length of the number at the beginning of `bytes`, by the grammar of RFC 8259.
fn number_len(bytes: &[u8]) -> Option<usize> {
    let digits = |from: usize| bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut at = usize::from(bytes.first() == Some(&b'-'));
    let whole = digits(at);
    if whole == 0 || (whole > 1 && bytes[at] == b'0') {
        return None;
    }
    at += whole;
    if bytes.get(at) == Some(&b'.') {
        let fraction = digits(at + 1);
        if fraction == 0 {
            return None;
        }
        at += 1 + fraction;
    }
    if let Some(b'e' | b'E') = bytes.get(at) {
        at += 1 + usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        let exponent = digits(at.min(bytes.len()));
        if exponent == 0 {
            return None;
        }
        at += exponent;
    }
    Some(at)
}

/// A string, from its opening quote.
fn string<'a>(input: &mut Input<'a>) -> Result<Cow<'a, str>, DecodeError> {
    input.byte()?;
    let plain = plain_text(input)?;
    if input.byte()? == b'"' {
        return Ok(Cow::Borrowed(plain));
    }
    let mut text = plain.to_owned();
    loop {
        text.push(escaped(input)?);
        text.push_str(plain_text(input)?);
        if input.byte()? == b'"' {
            return Ok(Cow::Owned(text));
        }
    }
}

/// Text up to the next quote or backslash, which is left.
fn plain_text<'a>(input: &mut Input<'a>) -> Result<&'a str, DecodeError> {
    let rest = input.rest();
    let special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..=0x1f);
    let len = rest.iter().position(special).ok_or(DecodeError::Truncated)?;
    if rest[len] < 0x20 {
        return Err(input.malformed("string: a control character"));
    }
    input.text(len)
}

/// What follows a backslash.
fn escaped(input: &mut Input<'_>) -> Result<char, DecodeError> {
    Ok(match input.byte()? {
        byte @ (b'"' | b'\\' | b'/') => char::from(byte),
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => {
            let unit = hex4(input)?;
            let mut code = u32::from(unit);
            if (0xd800..0xdc00).contains(&unit) && input.rest().starts_with(b"\\u") {
                let before = input.at();
                input.take(2)?;
                let low = hex4(input)?;
                if (0xdc00..0xe000).contains(&low) {
                    code = 0x10000 + ((code - 0xd800) << 10) + (u32::from(low) - 0xdc00);
                } else {
                    input.go_back_to(before);
                }
            }
            // A lone surrogate is valid JSON and no character: peers differ in what they make of it.
            char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
        }
        _ => return Err(input.malformed("string: an escape")),
    })
}

fn hex4(input: &mut Input<'_>) -> Result<u16, DecodeError> {
    let digits = input.array::<4>()?;
    let mut unit = 0;
    for digit in digits {
        let digit = char::from(digit).to_digit(16).ok_or_else(|| input.malformed("string: an escape"))?;
        unit = unit << 4 | digit as u16;
    }
    Ok(unit)
}
