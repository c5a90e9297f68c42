//! What waits to be sent to one websocket peer, and how it is sent.
//!
//! # Expected flow
//! Whoever has something for a peer puts it into the peer's [`Outbox`] and notes the outbox in its own [`Cork`]. Once
//! its own input is drained, it writes out all outboxes it has noted: one system call for each receiver, made by the
//! sender's task, so that no task has to be woken for it. Only when a socket takes no more does the receiver's own task
//! take over, and writes on when the socket is writable again.
//!
//! # Guarantees
//! Messages leave in the order in which they were put in. Nobody ever waits for a peer's socket but the peer's own
//! task. What waits is bounded: a peer that lets more than the limit pile up is disconnected.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf, Bytes};
use tokio::io::AsyncWrite;
use tokio::sync::Notify;

use crate::Subprotocol;

/// How many frames one system call writes at most.
const FRAMES_PER_WRITE: usize = 64;
/// What a waiting frame costs beside its bytes, roughly.
const FRAME_OVERHEAD: usize = 64;

/// The sending half of a connection.
pub(super) type Writer = Box<dyn AsyncWrite + Send + Unpin>;

/// What waits to be sent to one peer.
pub(super) struct Outbox {
    pub(super) subprotocol: Subprotocol,
    max_bytes: usize,
    queue: Mutex<Queue>,
    /// Wakes the peer's own task: the socket is full, or the connection shall end.
    wake: Notify,
}

struct Queue {
    writer: Writer,
    frames: VecDeque<Bytes>,
    /// Size of `frames`, with their overhead.
    bytes: usize,
    /// Counts what was written, for the peer's task to see whether its peer is alive.
    written: u64,
    /// Noted in somebody's cork.
    corked: bool,
    /// The socket was full; the peer's own task writes on.
    blocked: bool,
    end: Option<End>,
}

/// How a connection shall end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// After everything has been sent, with this close frame.
    Close(u16, String),
    /// At once; the text says why.
    Drop(String),
}

/// What the peer's own task wants to know of its outbox.
#[derive(Clone, Debug)]
pub(super) struct OutboxState {
    pub(super) blocked: bool,
    pub(super) bytes: usize,
    pub(super) written: u64,
    pub(super) end: Option<End>,
}

impl Outbox {
    pub(super) fn new(subprotocol: Subprotocol, max_bytes: usize, writer: Writer) -> Self {
        let queue = Queue {
            writer,
            frames: VecDeque::new(),
            bytes: 0,
            written: 0,
            corked: false,
            blocked: false,
            end: None,
        };
        Self { subprotocol, max_bytes, queue: Mutex::new(queue), wake: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // A panic while it was held can only have come from the writer; the connection is then ended by its error.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a frame in, to be written when `cork` is let go. After the end of the connection it is dropped.
    pub(super) fn push(self: &Arc<Self>, frame: Bytes, cork: &mut Cork) {
        let mut queue = self.lock();
        if queue.end.is_some() {
            return;
        }
        queue.bytes += frame.len() + FRAME_OVERHEAD;
        queue.frames.push_back(frame);
        if queue.bytes > self.max_bytes {
            let waiting = queue.bytes;
            queue.drop_with(format!("it reads too slowly: {waiting} bytes wait for it"));
            self.wake.notify_one();
        } else if !queue.corked && !queue.blocked {
            queue.corked = true;
            cork.noted.push(Arc::clone(self));
        }
    }

    /// Puts the close frame in, which nothing follows.
    pub(super) fn push_last(&self, frame: Bytes) {
        let mut queue = self.lock();
        queue.bytes += frame.len() + FRAME_OVERHEAD;
        queue.frames.push_back(frame);
    }

    /// Ends the connection; of several ends the first one counts, but that to drop it always does.
    pub(super) fn end(&self, end: End) {
        let mut queue = self.lock();
        match end {
            End::Drop(reason) => queue.drop_with(reason),
            close => queue.end = queue.end.take().or(Some(close)),
        }
        self.wake.notify_one();
    }

    /// Writes as much as the socket takes; the peer's own task goes on from there.
    fn uncork(&self) {
        let mut queue = self.lock();
        queue.corked = false;
        if queue.blocked {
            return;
        }
        if queue.poll_write_out(&mut Context::from_waker(Waker::noop())).is_pending() {
            queue.blocked = true;
            self.wake.notify_one();
        } else if queue.end.is_some() {
            self.wake.notify_one();
        }
    }

    /// Ready once everything has been written, or the connection is broken. For the peer's own task.
    pub(super) fn poll_write_out(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut queue = self.lock();
        queue.blocked = true;
        ready!(queue.poll_write_out(cx));
        queue.blocked = false;
        Poll::Ready(())
    }

    /// Ready when [`Self::state`] is worth a look.
    pub(super) async fn changed(&self) {
        self.wake.notified().await;
    }

    pub(super) fn state(&self) -> OutboxState {
        let queue = self.lock();
        let Queue { blocked, bytes, written, end, .. } = &*queue;
        OutboxState { blocked: *blocked, bytes: *bytes, written: *written, end: end.clone() }
    }

    /// How much waits.
    pub(super) fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// Closes the sending direction of the connection.
    pub(super) fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.lock().writer).poll_shutdown(cx).map(|_| ())
    }
}

impl Queue {
    fn poll_write_out(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while !self.frames.is_empty() {
            let written = if let [frame] = self.frames.as_slices().0
                && self.frames.len() == 1
            {
                Pin::new(&mut self.writer).poll_write(cx, frame)
            } else {
                let mut slices = [IoSlice::new(&[]); FRAMES_PER_WRITE];
                let count = slices.len().min(self.frames.len());
                for (slice, frame) in slices.iter_mut().zip(&self.frames) {
                    *slice = IoSlice::new(frame);
                }
                Pin::new(&mut self.writer).poll_write_vectored(cx, &slices[..count])
            };
            match ready!(written) {
                Ok(0) => self.drop_with("it takes no more bytes".to_owned()),
                Ok(count) => self.take_off(count),
                Err(error) => self.drop_with(format!("writing to it failed: {error}")),
            }
        }
        Poll::Ready(())
    }

    /// Removes what has been written.
    fn take_off(&mut self, mut count: usize) {
        self.written += count as u64;
        while let Some(frame) = self.frames.front_mut() {
            if frame.len() > count {
                self.bytes -= count;
                frame.advance(count);
                return;
            }
            count -= frame.len();
            self.bytes -= frame.len() + FRAME_OVERHEAD;
            self.frames.pop_front();
        }
    }

    fn drop_with(&mut self, reason: String) {
        if !matches!(self.end, Some(End::Drop(_))) {
            self.end = Some(End::Drop(reason));
        }
        self.frames = VecDeque::new();
        self.bytes = 0;
    }
}

/// The outboxes that a task has put something into and has not written out yet; they are when it is dropped.
#[derive(Default)]
pub(super) struct Cork {
    noted: Vec<Arc<Outbox>>,
}

impl Cork {
    /// Writes out all outboxes noted so far.
    pub(super) fn let_go(&mut self) {
        for outbox in self.noted.drain(..) {
            outbox.uncork();
        }
    }
}

impl Drop for Cork {
    fn drop(&mut self) {
        self.let_go();
    }
}
