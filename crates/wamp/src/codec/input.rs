//! [`Input`]: the bytes being read, and what is left of the limits.

use super::DecodeError;
use crate::limits::{DEPTH_CEILING, Limits};

/// A position in encoded bytes. It counts depth and elements down, so that a limit is noticed before anything is
/// allocated.
#[derive(Debug)]
pub(crate) struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
    depth_left: usize,
    elements_left: usize,
    /// Set by a reader that met something which it understands but other readers would refuse; such bytes must not be
    /// passed on as they are.
    pub(crate) loose: bool,
}

impl<'a> Input<'a> {
    #[inline]
    pub(crate) fn new(bytes: &'a [u8], limits: &Limits) -> Result<Self, DecodeError> {
        if bytes.len() > limits.max_message_bytes {
            return Err(DecodeError::TooLarge { bytes: bytes.len(), limit: limits.max_message_bytes });
        }
        let depth_left = limits.max_depth.min(DEPTH_CEILING);
        Ok(Self { bytes, at: 0, depth_left, elements_left: limits.max_elements, loose: false })
    }

    #[inline]
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// Back to where it has been before.
    #[inline]
    pub(crate) fn go_back_to(&mut self, at: usize) {
        debug_assert!(at <= self.at, "only back");
        self.at = at;
    }

    #[inline]
    pub(crate) fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    #[inline]
    pub(crate) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// Everything that has not been read.
    #[inline]
    pub(crate) fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }

    #[inline]
    pub(crate) fn byte(&mut self) -> Result<u8, DecodeError> {
        let byte = self.peek().ok_or(DecodeError::Truncated)?;
        self.at += 1;
        Ok(byte)
    }

    #[inline]
    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        if len > self.left() {
            return Err(DecodeError::Truncated);
        }
        let taken = &self.bytes[self.at..self.at + len];
        self.at += len;
        Ok(taken)
    }

    #[inline]
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (array, _) = self.rest().split_first_chunk().ok_or(DecodeError::Truncated)?;
        self.at += N;
        Ok(*array)
    }

    /// Text of a known length in bytes.
    #[inline]
    pub(crate) fn text(&mut self, len: usize) -> Result<&'a str, DecodeError> {
        let at = self.at;
        std::str::from_utf8(self.take(len)?).map_err(|_| DecodeError::Malformed { what: "UTF-8 text", at })
    }

    /// The length of a list or dict as announced: an element has at least `bytes_each` bytes, so a lie shows at once.
    #[inline]
    pub(crate) fn announced(&self, len: u64, bytes_each: usize) -> Result<usize, DecodeError> {
        match usize::try_from(len) {
            Ok(len) if len <= self.left() / bytes_each => Ok(len),
            _ => Err(DecodeError::Truncated),
        }
    }

    /// Goes one level down, for the time of `inside`.
    #[inline]
    pub(crate) fn nested<T>(
        &mut self,
        inside: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<T, DecodeError> {
        self.depth_left = self.depth_left.checked_sub(1).ok_or(DecodeError::TooDeep)?;
        let result = inside(self)?;
        self.depth_left += 1;
        Ok(result)
    }

    /// Counts one element of a list or dict.
    #[inline]
    pub(crate) fn element(&mut self) -> Result<(), DecodeError> {
        self.elements_left = self.elements_left.checked_sub(1).ok_or(DecodeError::TooManyElements)?;
        Ok(())
    }

    #[inline]
    pub(crate) fn malformed(&self, what: &'static str) -> DecodeError {
        DecodeError::Malformed { what, at: self.at }
    }

    /// Nothing may follow.
    #[inline]
    pub(crate) fn finish(&self) -> Result<(), DecodeError> {
        if self.left() == 0 { Ok(()) } else { Err(DecodeError::TrailingBytes { at: self.at }) }
    }
}
