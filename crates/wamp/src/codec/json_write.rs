//! Writes JSON: compact, UTF-8, floats always with a point or an exponent.

use std::borrow::Cow;
use std::io::Write as _;

use super::Serializer;
use super::json_text::bytes_as_json_text;
use super::sink::{Mark, Sink, Writer};

/// A sink that appends JSON.
pub(crate) struct JsonWriter<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
}

impl<'a> JsonWriter<'a> {
    pub(crate) fn new(out: &'a mut Vec<u8>) -> Self {
        let start = out.len();
        Self { out, start }
    }

    /// Before each value and key: a comma, but at the beginning, after an opening bracket, and after a key. No other
    /// token ends in these bytes, since a string ends in a quote.
    fn comma(&mut self) {
        if self.out.len() > self.start && !matches!(self.out.last(), Some(b'[' | b'{' | b':')) {
            self.out.push(b',');
        }
    }

    fn display(&mut self, value: impl std::fmt::Display) {
        self.comma();
        // Writing to a Vec cannot fail.
        _ = write!(self.out, "{value}");
    }

    fn quoted(&mut self, text: &str) {
        self.out.push(b'"');
        let mut rest = text.as_bytes();
        while let Some(at) = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f)) {
            self.out.extend_from_slice(&rest[..at]);
            match rest[at] {
                byte @ (b'"' | b'\\') => self.out.extend_from_slice(&[b'\\', byte]),
                b'\n' => self.out.extend_from_slice(b"\\n"),
                b'\r' => self.out.extend_from_slice(b"\\r"),
                b'\t' => self.out.extend_from_slice(b"\\t"),
                byte => _ = write!(self.out, "\\u{byte:04x}"),
            }
            rest = &rest[at + 1..];
        }
        self.out.extend_from_slice(rest);
        self.out.push(b'"');
    }
}

impl Sink for JsonWriter<'_> {
    fn null(&mut self) {
        self.raw(b"null");
    }

    fn bool(&mut self, value: bool) {
        self.raw(if value { b"true" } else { b"false" });
    }

    fn int(&mut self, value: i64) {
        self.display(value);
    }

    fn unsigned(&mut self, value: u64) {
        self.display(value);
    }

    fn float(&mut self, value: f64) {
        if value.is_finite() {
            // Debug, unlike Display, keeps the ".0", and has an exponent where the number is long.
            self.display(format_args!("{value:?}"));
        } else {
            self.null();
        }
    }

    fn text(&mut self, value: Cow<'_, str>) {
        self.comma();
        self.quoted(&value);
    }

    fn bytes(&mut self, value: &[u8]) {
        self.text(Cow::Owned(bytes_as_json_text(value)));
    }

    fn list_start(&mut self, _: Option<usize>) -> Mark {
        self.comma();
        self.out.push(b'[');
        Mark(None)
    }

    fn list_end(&mut self, _: Mark, _: usize) {
        self.out.push(b']');
    }

    fn dict_start(&mut self, _: Option<usize>) -> Mark {
        self.comma();
        self.out.push(b'{');
        Mark(None)
    }

    fn key(&mut self, key: Cow<'_, str>) {
        self.comma();
        self.quoted(&key);
        self.out.push(b':');
    }

    fn dict_end(&mut self, _: Mark, _: usize) {
        self.out.push(b'}');
    }
}

impl Writer for JsonWriter<'_> {
    const SERIALIZER: Serializer = Serializer::Json;

    fn raw(&mut self, encoded: &[u8]) {
        self.comma();
        self.out.extend_from_slice(encoded);
    }
}
