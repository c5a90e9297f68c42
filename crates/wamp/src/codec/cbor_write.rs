//! Writes CBOR: shortest integers and lengths, floats always with 64 bits.

use std::borrow::Cow;

use super::Serializer;
use super::sink::{Mark, Sink, Writer};

/// A sink that appends CBOR.
pub(crate) struct CborWriter<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> CborWriter<'a> {
    pub(crate) fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out }
    }

    /// The head of a data item: major type and argument.
    fn head(&mut self, major: u8, argument: u64) {
        let major = major << 5;
        if let Ok(small) = u8::try_from(argument) {
            if small < 24 {
                self.out.push(major | small);
            } else {
                self.out.extend_from_slice(&[major | 24, small]);
            }
        } else if let Ok(short) = u16::try_from(argument) {
            self.out.push(major | 25);
            self.out.extend_from_slice(&short.to_be_bytes());
        } else if let Ok(word) = u32::try_from(argument) {
            self.out.push(major | 26);
            self.out.extend_from_slice(&word.to_be_bytes());
        } else {
            self.out.push(major | 27);
            self.out.extend_from_slice(&argument.to_be_bytes());
        }
    }

    /// A list or dict; where the length is not known yet, four bytes are left for it.
    fn start(&mut self, major: u8, len: Option<usize>) -> Mark {
        match len {
            Some(len) => {
                self.head(major, len as u64);
                Mark(None)
            }
            None => {
                self.out.push(major << 5 | 26);
                self.out.extend_from_slice(&[0; 4]);
                Mark(Some(self.out.len() - 4))
            }
        }
    }
}

impl Sink for CborWriter<'_> {
    fn null(&mut self) {
        self.out.push(0xf6);
    }

    fn bool(&mut self, value: bool) {
        self.out.push(if value { 0xf5 } else { 0xf4 });
    }

    fn int(&mut self, value: i64) {
        match u64::try_from(value) {
            Ok(value) => self.head(0, value),
            // -1 - value, which is the complement.
            Err(_) => self.head(1, !value as u64),
        }
    }

    fn unsigned(&mut self, value: u64) {
        self.head(0, value);
    }

    fn float(&mut self, value: f64) {
        self.out.push(0xfb);
        self.out.extend_from_slice(&value.to_be_bytes());
    }

    fn text(&mut self, value: Cow<'_, str>) {
        self.head(3, value.len() as u64);
        self.out.extend_from_slice(value.as_bytes());
    }

    fn bytes(&mut self, value: &[u8]) {
        self.head(2, value.len() as u64);
        self.out.extend_from_slice(value);
    }

    fn list_start(&mut self, len: Option<usize>) -> Mark {
        self.start(4, len)
    }

    fn list_end(&mut self, mark: Mark, len: usize) {
        mark.fill(self.out, len);
    }

    fn dict_start(&mut self, len: Option<usize>) -> Mark {
        self.start(5, len)
    }

    fn key(&mut self, key: Cow<'_, str>) {
        self.text(key);
    }

    fn dict_end(&mut self, mark: Mark, len: usize) {
        mark.fill(self.out, len);
    }
}

impl Writer for CborWriter<'_> {
    const SERIALIZER: Serializer = Serializer::Cbor;

    fn raw(&mut self, encoded: &[u8]) {
        self.out.extend_from_slice(encoded);
    }
}
