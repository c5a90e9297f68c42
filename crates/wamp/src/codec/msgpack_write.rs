//! Writes MessagePack: shortest integers and lengths, floats always with 64 bits, text as `str`, bytes as `bin`.

use std::borrow::Cow;

use super::Serializer;
use super::sink::{Mark, Sink, Writer};

/// A sink that appends MessagePack.
pub(crate) struct MsgPackWriter<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> MsgPackWriter<'a> {
    pub(crate) fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out }
    }

    fn put<const N: usize>(&mut self, marker: u8, bytes: [u8; N]) {
        self.out.push(marker);
        self.out.extend_from_slice(&bytes);
    }

    /// A length: in 16 bits behind `marker`, or in 32 bits behind the next marker. Longer things cannot be, since no
    /// message is that long.
    fn len16(&mut self, marker: u8, len: usize) {
        match u16::try_from(len) {
            Ok(len) => self.put(marker, len.to_be_bytes()),
            Err(_) => self.put(marker + 1, u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes()),
        }
    }

    fn len8(&mut self, marker: u8, len: usize) {
        match u8::try_from(len) {
            Ok(len) => self.put(marker, [len]),
            Err(_) => self.len16(marker + 1, len),
        }
    }

    /// A list or dict; where the length is not known yet, four bytes are left for it.
    fn start(&mut self, fix: u8, marker16: u8, len: Option<usize>) -> Mark {
        match len {
            Some(len @ 0..16) => self.out.push(fix | len as u8),
            Some(len) => self.len16(marker16, len),
            None => {
                self.put(marker16 + 1, [0; 4]);
                return Mark(Some(self.out.len() - 4));
            }
        }
        Mark(None)
    }
}

impl Sink for MsgPackWriter<'_> {
    fn null(&mut self) {
        self.out.push(0xc0);
    }

    fn bool(&mut self, value: bool) {
        self.out.push(if value { 0xc3 } else { 0xc2 });
    }

    fn int(&mut self, value: i64) {
        if let Ok(value) = u64::try_from(value) {
            self.unsigned(value);
        } else if value >= -32 {
            self.out.push(value as u8);
        } else if let Ok(byte) = i8::try_from(value) {
            self.put(0xd0, byte.to_be_bytes());
        } else if let Ok(short) = i16::try_from(value) {
            self.put(0xd1, short.to_be_bytes());
        } else if let Ok(word) = i32::try_from(value) {
            self.put(0xd2, word.to_be_bytes());
        } else {
            self.put(0xd3, value.to_be_bytes());
        }
    }

    fn unsigned(&mut self, value: u64) {
        if let Ok(byte) = u8::try_from(value) {
            if byte < 0x80 {
                self.out.push(byte);
            } else {
                self.put(0xcc, [byte]);
            }
        } else if let Ok(short) = u16::try_from(value) {
            self.put(0xcd, short.to_be_bytes());
        } else if let Ok(word) = u32::try_from(value) {
            self.put(0xce, word.to_be_bytes());
        } else {
            self.put(0xcf, value.to_be_bytes());
        }
    }

    fn float(&mut self, value: f64) {
        self.put(0xcb, value.to_be_bytes());
    }

    fn text(&mut self, value: Cow<'_, str>) {
        match value.len() {
            len @ 0..32 => self.out.push(0xa0 | len as u8),
            len => self.len8(0xd9, len),
        }
        self.out.extend_from_slice(value.as_bytes());
    }

    fn bytes(&mut self, value: &[u8]) {
        self.len8(0xc4, value.len());
        self.out.extend_from_slice(value);
    }

    fn list_start(&mut self, len: Option<usize>) -> Mark {
        self.start(0x90, 0xdc, len)
    }

    fn list_end(&mut self, mark: Mark, len: usize) {
        mark.fill(self.out, len);
    }

    fn dict_start(&mut self, len: Option<usize>) -> Mark {
        self.start(0x80, 0xde, len)
    }

    fn key(&mut self, key: Cow<'_, str>) {
        self.text(key);
    }

    fn dict_end(&mut self, mark: Mark, len: usize) {
        mark.fill(self.out, len);
    }
}

impl Writer for MsgPackWriter<'_> {
    const SERIALIZER: Serializer = Serializer::MsgPack;

    fn raw(&mut self, encoded: &[u8]) {
        self.out.extend_from_slice(encoded);
    }
}
