//! Several WAMP messages in one WebSocket message (WAMP spec, "Batched Transport"): JSON texts end with the byte
//! 0x18, binary messages have their length in front, four bytes, big-endian.

use bytes::{Buf, Bytes};

use super::{DecodeError, Serializer, Subprotocol};
use crate::{Limits, Message};

/// Ends each message of a JSON batch.
const JSON_END: u8 = 0x18;

pub(super) fn encode(serializer: Serializer, message: &Message, out: &mut Vec<u8>) {
    if serializer == Serializer::Json {
        message.encode(serializer, out);
        out.push(JSON_END);
        return;
    }
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    message.encode(serializer, out);
    // A message of 4 GiB cannot be: it would have been refused where it came from, and by every receiver.
    let len = u32::try_from(out.len() - start - 4).unwrap_or(u32::MAX);
    out[start..start + 4].copy_from_slice(&len.to_be_bytes());
}

/// The messages of one frame; ends after the first error.
#[derive(Debug)]
pub struct Messages {
    subprotocol: Subprotocol,
    frame: Bytes,
    limits: Limits,
}

impl Messages {
    pub(super) fn new(subprotocol: Subprotocol, frame: Bytes, limits: Limits) -> Self {
        Self { subprotocol, frame, limits }
    }

    /// Takes the bytes of the next message off the frame.
    fn split(&mut self) -> Result<Bytes, DecodeError> {
        if !self.subprotocol.batched {
            return Ok(std::mem::take(&mut self.frame));
        }
        if self.subprotocol.serializer == Serializer::Json {
            let end = self.frame.iter().position(|&byte| byte == JSON_END).ok_or(DecodeError::Truncated)?;
            let message = self.frame.split_to(end);
            self.frame.advance(1);
            return Ok(message);
        }
        let header = *self.frame.first_chunk::<4>().ok_or(DecodeError::Truncated)?;
        self.frame.advance(4);
        let len = u32::from_be_bytes(header) as usize;
        if len > self.frame.len() { Err(DecodeError::Truncated) } else { Ok(self.frame.split_to(len)) }
    }
}

impl Iterator for Messages {
    type Item = Result<Message, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.frame.is_empty() {
            return None;
        }
        let limit = self.limits.max_message_bytes;
        let message = if self.frame.len() > limit {
            Err(DecodeError::TooLarge { bytes: self.frame.len(), limit })
        } else {
            self.split().and_then(|bytes| self.subprotocol.serializer.decode(&bytes, &self.limits))
        };
        if message.is_err() {
            self.frame.clear();
        }
        Some(message)
    }
}
