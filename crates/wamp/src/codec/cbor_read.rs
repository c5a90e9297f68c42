//! Reads CBOR (RFC 8949): every well-formed item, with floats of all sizes, indefinite lengths and tags.
//!
//! Of the tags that Python's cbor2 writes, bignums, decimals and fractions become numbers; references into the
//! message (tags 25 and 29) are refused; any other tag is left out and its content taken as it is (dates become
//! text, sets lists, UUIDs bytes).

use std::borrow::Cow;

use super::sink::{Build, Sink, key_text};
use super::{DecodeError, Input};
use crate::Value;

const BREAK: u8 = 0xff;
/// The additional information that announces an indefinite length.
const INDEFINITE: u8 = 31;

const TAG_BIGNUM: u64 = 2;
const TAG_NEGATIVE_BIGNUM: u64 = 3;
const TAG_DECIMAL: u64 = 4;
const TAG_BIGFLOAT: u64 = 5;
const TAG_STRING_REFERENCE: u64 = 25;
const TAG_SHARED_REFERENCE: u64 = 29;
const TAG_RATIONAL: u64 = 30;

/// The head of a data item.
struct Head {
    major: u8,
    /// The additional information: how the argument is written, or that there is none.
    info: u8,
    argument: u64,
}

impl Head {
    // Returned through memory, it costs a quarter of the time of decoding a message.
    #[inline(always)]
    fn read(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        let first = input.byte()?;
        let (major, info) = (first >> 5, first & 31);
        let argument = match info {
            0..24 => u64::from(info),
            24 => u64::from(input.byte()?),
            25 => u64::from(u16::from_be_bytes(input.array()?)),
            26 => u64::from(u32::from_be_bytes(input.array()?)),
            27 => u64::from_be_bytes(input.array()?),
            INDEFINITE if matches!(major, 2..=5) => 0,
            _ => return Err(input.malformed("CBOR item")),
        };
        Ok(Self { major, info, argument })
    }

    /// The length of a list or dict, each element of at least `bytes_each` bytes; `None` if indefinite.
    fn len(&self, input: &Input<'_>, bytes_each: usize) -> Result<Option<usize>, DecodeError> {
        if self.info == INDEFINITE { Ok(None) } else { input.announced(self.argument, bytes_each).map(Some) }
    }
}

pub(super) fn value(input: &mut Input<'_>, sink: &mut impl Sink) -> Result<(), DecodeError> {
    let head = Head::read(input)?;
    match head.major {
        0 => sink.unsigned(head.argument),
        1 => negative(head.argument, sink),
        2 => sink.bytes(&string(input, &head)?),
        3 => sink.text(text(input, &head)?),
        4 => {
            let len = head.len(input, 1)?;
            let mark = sink.list_start(len);
            let len = items(input, len, |input| value(input, sink))?;
            sink.list_end(mark, len);
        }
        5 => {
            let len = head.len(input, 2)?;
            let mark = sink.dict_start(len);
            let len = items(input, len, |input| {
                sink.key(key(input)?);
                value(input, sink)
            })?;
            sink.dict_end(mark, len);
        }
        6 => return input.nested(|input| tagged(input, head.argument, sink)),
        _ => simple(input, &head, sink)?,
    }
    Ok(())
}

pub(super) fn elements<'a>(
    input: &mut Input<'a>,
    each: impl FnMut(&mut Input<'a>) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    let head = Head::read(input)?;
    if head.major != 4 {
        return Err(DecodeError::NotAMessage);
    }
    let len = head.len(input, 1)?;
    items(input, len, each)?;
    Ok(())
}

/// The elements of a list, or the entries of a dict: as many as announced, or until the break.
fn items<'a>(
    input: &mut Input<'a>,
    announced: Option<usize>,
    mut each: impl FnMut(&mut Input<'a>) -> Result<(), DecodeError>,
) -> Result<usize, DecodeError> {
    input.nested(|input| {
        let mut len = 0;
        while announced.map_or(input.peek() != Some(BREAK), |announced| len < announced) {
            input.element()?;
            each(input)?;
            len += 1;
        }
        if announced.is_none() {
            input.byte()?;
        }
        Ok(len)
    })
}

fn key<'a>(input: &mut Input<'a>) -> Result<Cow<'a, str>, DecodeError> {
    if input.peek().is_some_and(|first| first >> 5 == 3) {
        let head = Head::read(input)?;
        return text(input, &head);
    }
    let at = input.at();
    let mut built = Build::default();
    input.nested(|input| value(input, &mut built))?;
    key_text(built.into_value()).map(Cow::Owned).ok_or(DecodeError::Malformed { what: "dict key", at })
}

/// A byte string or the bytes of a text, in one piece or in chunks.
fn string<'a>(input: &mut Input<'a>, head: &Head) -> Result<Cow<'a, [u8]>, DecodeError> {
    if head.info != INDEFINITE {
        let len = input.announced(head.argument, 1)?;
        return Ok(Cow::Borrowed(input.take(len)?));
    }
    let mut joined = Vec::new();
    while input.peek() != Some(BREAK) {
        let chunk = Head::read(input)?;
        if chunk.major != head.major || chunk.info == INDEFINITE {
            return Err(input.malformed("chunk of a string"));
        }
        let len = input.announced(chunk.argument, 1)?;
        joined.extend_from_slice(input.take(len)?);
    }
    input.byte()?;
    Ok(Cow::Owned(joined))
}

fn text<'a>(input: &mut Input<'a>, head: &Head) -> Result<Cow<'a, str>, DecodeError> {
    let bad = DecodeError::Malformed { what: "UTF-8 text", at: input.at() };
    match string(input, head)? {
        Cow::Borrowed(bytes) => std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(|_| bad),
        Cow::Owned(bytes) => String::from_utf8(bytes).map(Cow::Owned).map_err(|_| bad),
    }
}

/// The integer -1 - `argument`; as a float where it does not fit.
fn negative(argument: u64, sink: &mut impl Sink) {
    match i64::try_from(argument) {
        Ok(argument) => sink.int(-1 - argument),
        Err(_) => sink.float(-1.0 - argument as f64),
    }
}

fn simple(input: &Input<'_>, head: &Head, sink: &mut impl Sink) -> Result<(), DecodeError> {
    match head.info {
        20 => sink.bool(false),
        21 => sink.bool(true),
        25 => sink.float(half(head.argument as u16)),
        26 => sink.float(f64::from(f32::from_bits(head.argument as u32))),
        27 => sink.float(f64::from_bits(head.argument)),
        24 if head.argument < 32 => return Err(input.malformed("simple value")),
        // null, undefined, and the values that nobody has given a meaning.
        _ => sink.null(),
    }
    Ok(())
}

/// An IEEE 754 half-precision float.
fn half(bits: u16) -> f64 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let exponent = i32::from(bits >> 10 & 0x1f);
    let fraction = f64::from(bits & 0x3ff);
    sign * match exponent {
        0 => fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1.0 + fraction / 1024.0) * 2f64.powi(exponent - 15),
    }
}

fn tagged(input: &mut Input<'_>, tag: u64, sink: &mut impl Sink) -> Result<(), DecodeError> {
    match tag {
        TAG_BIGNUM | TAG_NEGATIVE_BIGNUM => {
            let head = Head::read(input)?;
            if head.major != 2 {
                return Err(input.malformed("bignum"));
            }
            bignum(&string(input, &head)?, tag == TAG_NEGATIVE_BIGNUM, sink);
            Ok(())
        }
        TAG_DECIMAL | TAG_BIGFLOAT | TAG_RATIONAL => {
            let at = input.at();
            let mut built = Build::default();
            value(input, &mut built)?;
            let number = pair_as_number(tag, &built.into_value());
            sink.float(number.ok_or(DecodeError::Malformed { what: "pair of numbers", at })?);
            Ok(())
        }
        TAG_STRING_REFERENCE | TAG_SHARED_REFERENCE => Err(input.malformed("value: a reference")),
        _ => value(input, sink),
    }
}

fn bignum(magnitude: &[u8], negative_: bool, sink: &mut impl Sink) {
    let zeros = magnitude.iter().take_while(|&&byte| byte == 0).count();
    let magnitude = &magnitude[zeros..];
    if magnitude.len() <= 8 {
        let small = magnitude.iter().fold(0, |number, &byte| number << 8 | u64::from(byte));
        if negative_ { negative(small, sink) } else { sink.unsigned(small) }
    } else {
        let big = magnitude.iter().fold(0.0, |number, &byte| number * 256.0 + f64::from(byte));
        sink.float(if negative_ { -1.0 - big } else { big });
    }
}

/// Decimal: exponent and mantissa, to base 10; bigfloat: the same to base 2; rational: numerator and denominator.
fn pair_as_number(tag: u64, pair: &Value) -> Option<f64> {
    let [first, second] = pair.as_list()? else { return None };
    if tag == TAG_RATIONAL {
        return Some(first.as_f64()? / second.as_f64()?);
    }
    let exponent = first.as_i64()?.clamp(-5000, 5000) as i32;
    match (tag, second) {
        // By way of text, since that rounds only once.
        (TAG_DECIMAL, Value::Int(mantissa)) => format!("{mantissa}e{exponent}").parse().ok(),
        (TAG_DECIMAL, _) => Some(second.as_f64()? * 10f64.powi(exponent)),
        _ => Some(second.as_f64()? * 2f64.powi(exponent)),
    }
}
