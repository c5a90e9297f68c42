//! Reads MessagePack. The timestamp extension becomes a float of Unix seconds, any other extension its bytes.

use std::borrow::Cow;

use super::sink::{Build, Sink, key_text};
use super::{DecodeError, Input};

/// The extension type of a timestamp.
const EXT_TIMESTAMP: u8 = 0xff;

pub(super) fn value(input: &mut Input<'_>, sink: &mut impl Sink) -> Result<(), DecodeError> {
    let marker = input.byte()?;
    match marker {
        0x00..=0x7f => sink.unsigned(u64::from(marker)),
        0xe0..=0xff => sink.int(i64::from(marker as i8)),
        0x80..=0x8f | 0xde | 0xdf => {
            let len = dict_len(input, marker)?;
            let mark = sink.dict_start(Some(len));
            items(input, len, |input| {
                sink.key(key(input)?);
                value(input, sink)
            })?;
            sink.dict_end(mark, len);
        }
        0x90..=0x9f | 0xdc | 0xdd => {
            let len = list_len(input, marker)?;
            let mark = sink.list_start(Some(len));
            items(input, len, |input| value(input, sink))?;
            sink.list_end(mark, len);
        }
        0xa0..=0xbf | 0xd9..=0xdb => sink.text(Cow::Borrowed(text(input, marker)?)),
        0xc0 => sink.null(),
        0xc2 => sink.bool(false),
        0xc3 => sink.bool(true),
        0xc4..=0xc6 => {
            let len = len(input, marker - 0xc4)?;
            sink.bytes(input.take(len)?);
        }
        0xc7..=0xc9 => {
            let len = len(input, marker - 0xc7)?;
            extension(input, len, sink)?;
        }
        0xd4..=0xd8 => extension(input, 1 << (marker - 0xd4), sink)?,
        0xca => sink.float(f64::from(f32::from_be_bytes(input.array()?))),
        0xcb => sink.float(f64::from_be_bytes(input.array()?)),
        0xcc => sink.unsigned(u64::from(input.byte()?)),
        0xcd => sink.unsigned(u64::from(u16::from_be_bytes(input.array()?))),
        0xce => sink.unsigned(u64::from(u32::from_be_bytes(input.array()?))),
        0xcf => sink.unsigned(u64::from_be_bytes(input.array()?)),
        0xd0 => sink.int(i64::from(i8::from_be_bytes(input.array()?))),
        0xd1 => sink.int(i64::from(i16::from_be_bytes(input.array()?))),
        0xd2 => sink.int(i64::from(i32::from_be_bytes(input.array()?))),
        0xd3 => sink.int(i64::from_be_bytes(input.array()?)),
        0xc1 => return Err(input.malformed("MessagePack value")),
    }
    Ok(())
}

pub(super) fn elements<'a>(
    input: &mut Input<'a>,
    each: impl FnMut(&mut Input<'a>) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    let marker = input.byte()?;
    if !matches!(marker, 0x90..=0x9f | 0xdc | 0xdd) {
        return Err(DecodeError::NotAMessage);
    }
    let len = list_len(input, marker)?;
    items(input, len, each)
}

/// The elements of a list, or the entries of a dict.
fn items<'a>(
    input: &mut Input<'a>,
    len: usize,
    mut each: impl FnMut(&mut Input<'a>) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    input.nested(|input| {
        for _ in 0..len {
            input.element()?;
            each(input)?;
        }
        Ok(())
    })
}

fn list_len(input: &mut Input<'_>, marker: u8) -> Result<usize, DecodeError> {
    let len = match marker {
        0xdc => u64::from(u16::from_be_bytes(input.array()?)),
        0xdd => u64::from(u32::from_be_bytes(input.array()?)),
        _ => u64::from(marker & 0x0f),
    };
    input.announced(len, 1)
}

fn dict_len(input: &mut Input<'_>, marker: u8) -> Result<usize, DecodeError> {
    let len = match marker {
        0xde => u64::from(u16::from_be_bytes(input.array()?)),
        0xdf => u64::from(u32::from_be_bytes(input.array()?)),
        _ => u64::from(marker & 0x0f),
    };
    input.announced(len, 2)
}

/// A length in 1, 2 or 4 bytes, for `size` 0, 1 or 2.
fn len(input: &mut Input<'_>, size: u8) -> Result<usize, DecodeError> {
    let len = match size {
        0 => u64::from(input.byte()?),
        1 => u64::from(u16::from_be_bytes(input.array()?)),
        _ => u64::from(u32::from_be_bytes(input.array()?)),
    };
    input.announced(len, 1)
}

fn text<'a>(input: &mut Input<'a>, marker: u8) -> Result<&'a str, DecodeError> {
    let len = match marker {
        0xa0..=0xbf => usize::from(marker & 0x1f),
        _ => len(input, marker - 0xd9)?,
    };
    input.text(len)
}

fn key<'a>(input: &mut Input<'a>) -> Result<Cow<'a, str>, DecodeError> {
    if let Some(marker @ (0xa0..=0xbf | 0xd9..=0xdb)) = input.peek() {
        input.byte()?;
        return text(input, marker).map(Cow::Borrowed);
    }
    let at = input.at();
    let mut built = Build::default();
    input.nested(|input| value(input, &mut built))?;
    key_text(built.into_value()).map(Cow::Owned).ok_or(DecodeError::Malformed { what: "dict key", at })
}

fn extension(input: &mut Input<'_>, len: usize, sink: &mut impl Sink) -> Result<(), DecodeError> {
    let kind = input.byte()?;
    let data = input.take(len)?;
    match if kind == EXT_TIMESTAMP { timestamp(data) } else { None } {
        Some(seconds) => sink.float(seconds),
        None => sink.bytes(data),
    }
    Ok(())
}

/// Unix seconds; in 32 bits, or nanoseconds and seconds in 30 and 34 bits, or in 32 and 64.
fn timestamp(data: &[u8]) -> Option<f64> {
    let (nanos, seconds) = match data.len() {
        4 => (0, i64::from(u32::from_be_bytes(*data.first_chunk()?))),
        8 => {
            let both = u64::from_be_bytes(*data.first_chunk()?);
            ((both >> 34) as u32, (both & ((1 << 34) - 1)) as i64)
        }
        12 => (u32::from_be_bytes(*data.first_chunk()?), i64::from_be_bytes(*data.last_chunk()?)),
        _ => return None,
    };
    Some(seconds as f64 + f64::from(nanos) / 1e9)
}
