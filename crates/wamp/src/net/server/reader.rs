//! The receiving half of a websocket connection.

use std::io::{self, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf, ReadHalf};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tokio_tungstenite::tungstenite::{Error as WsError, Message as WsMessage};

/// What one read takes at most, and what an idle connection keeps.
const READ_BUFFER: usize = 8 << 10;
/// A byte stream as hyper gives it after the upgrade.
pub(super) type Stream = hyper_util::rt::TokioIo<hyper::upgrade::Upgraded>;

/// The receiving half: bytes in, WebSocket messages out.
pub(super) struct Reader {
    io: ReadHalf<Stream>,
    context: WebSocketContext,
    pub(super) bytes_read: u64,
}

impl Reader {
    pub(super) fn new(io: ReadHalf<Stream>, max_message_bytes: usize) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(0)
            .max_message_size(Some(max_message_bytes))
            .max_frame_size(Some(max_message_bytes));
        Self { io, context: WebSocketContext::new(Role::Server, Some(config)), bytes_read: 0 }
    }

    /// The next message; pending when more bytes are needed. What the protocol itself answers (pong, close) is
    /// appended to `replies`.
    pub(super) fn poll_message(
        &mut self,
        cx: &mut Context<'_>,
        replies: &mut Vec<u8>,
    ) -> Poll<Result<WsMessage, WsError>> {
        let mut pipe = Pipe { io: &mut self.io, cx, replies, bytes_read: &mut self.bytes_read };
        match self.context.read(&mut pipe) {
            Err(WsError::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
            result => Poll::Ready(result),
        }
    }

    /// Reads to the end of the stream, or `max` bytes, and forgets it.
    pub(super) async fn drain(&mut self, max: usize) {
        let mut buffer = [0; READ_BUFFER];
        let mut left = max;
        while let Ok(count @ 1..) = self.io.read(&mut buffer).await {
            left = left.saturating_sub(count);
            if left == 0 {
                return;
            }
        }
    }
}

/// What the WebSocket protocol reads from and writes to.
struct Pipe<'a, 'b> {
    io: &'a mut ReadHalf<Stream>,
    cx: &'a mut Context<'b>,
    replies: &'a mut Vec<u8>,
    bytes_read: &'a mut u64,
}

impl Read for Pipe<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut buffer = ReadBuf::new(buffer);
        match Pin::new(&mut *self.io).poll_read(self.cx, &mut buffer) {
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
            Poll::Ready(Err(error)) => Err(error),
            Poll::Ready(Ok(())) => {
                *self.bytes_read += buffer.filled().len() as u64;
                Ok(buffer.filled().len())
            }
        }
    }
}

impl Write for Pipe<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.replies.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
