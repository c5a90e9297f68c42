//! What waits to be written to the router.

use std::collections::VecDeque;

use bytes::Bytes;
use tokio_tungstenite::tungstenite::Message as Frame;

use crate::{Message, Subprotocol};

/// A batch is sent when it has this many bytes, or when the writer is free.
const BATCH_BYTES: usize = 64 << 10;

/// The queue of encoded messages of one connection.
#[derive(Debug)]
pub(super) struct Outgoing {
    subprotocol: Subprotocol,
    frames: VecDeque<Vec<u8>>,
    ping: Option<Bytes>,
    /// What waits here or is being written.
    bytes: usize,
}

impl Outgoing {
    pub(super) fn new(subprotocol: Subprotocol) -> Self {
        Self { subprotocol, frames: VecDeque::new(), ping: None, bytes: 0 }
    }

    /// How much has not been handed to the system yet.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Encodes a message to the end of the queue; a batch takes as many as come while the writer is busy.
    pub(super) fn push(&mut self, message: &Message) {
        let open = |frame: &&mut Vec<u8>| self.subprotocol.batched && frame.len() < BATCH_BYTES;
        let mut fresh = Vec::new();
        let frame = self.frames.back_mut().filter(open);
        let is_fresh = frame.is_none();
        let frame = frame.unwrap_or(&mut fresh);
        let before = frame.len();
        self.subprotocol.encode(message, frame);
        self.bytes += frame.len() - before;
        if is_fresh {
            self.frames.push_back(fresh);
        }
    }

    pub(super) fn push_ping(&mut self, payload: Bytes) {
        self.ping = Some(payload);
    }

    /// Takes everything that waits; it counts until [`Self::written`].
    pub(super) fn take(&mut self) -> (Vec<Frame>, usize) {
        let mut frames: Vec<Frame> = self.ping.take().into_iter().map(Frame::Ping).collect();
        frames.reserve(self.frames.len());
        let mut bytes = 0;
        for frame in self.frames.drain(..) {
            bytes += frame.len();
            frames.push(if self.subprotocol.is_text() {
                // JSON is written as UTF-8, so nothing is replaced.
                Frame::text(String::from_utf8(frame).unwrap_or_default())
            } else {
                Frame::binary(frame)
            });
        }
        (frames, bytes)
    }

    pub(super) fn written(&mut self, bytes: usize) {
        self.bytes -= bytes;
    }
}
