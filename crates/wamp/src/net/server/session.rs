//! One websocket connection: the task that reads it, watches its life, and ends it.
//!
//! # Expected flow
//! Read what is there and hand each message to the hub; when nothing more is there, let the cork go, and wait for
//! input, for room in the socket, or for a deadline.
//!
//! # Guarantees
//! The session leaves the hub when the task ends, however it ends. A peer that is silent, does not read, says no HELLO
//! or breaks the protocol is disconnected, and the reason is logged.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use tokio_tungstenite::tungstenite::error::{CapacityError, ProtocolError};
use tokio_tungstenite::tungstenite::{Error as WsError, Message as WsMessage};

use super::frame::{self, close_code};
use super::hub::{Attached, Hub};
use super::outbox::{Cork, End, Outbox, OutboxState};
use super::reader::{Reader, Stream};
use crate::{Limits, Subprotocol};

/// After so many messages other tasks get their turn.
const MESSAGES_PER_TURN: usize = 128;
/// While more than this waits to be sent to a peer, nothing is read from it: who makes requests without reading the
/// answers waits for itself.
const PAUSE_READING_ABOVE: usize = 1 << 20;
/// How long the last messages, and the close frame after them, may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long, and how much, a peer may go on sending after our close frame. Closed with input unread, the connection
/// would be reset, and the peer might never see why it ended.
const LINGER_TIMEOUT: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 64 << 20;

/// Serves one connection until it ends.
pub(super) async fn run(hub: Arc<Hub>, subprotocol: Subprotocol, stream: Stream, from: Option<SocketAddr>) {
    let from = from.map(|address| address.to_string());
    let peer_name = from.clone().unwrap_or_else(|| "of unknown address".to_owned());
    let (reader, writer) = tokio::io::split(stream);
    let limits = hub.config.connection_limits;
    let outbox = Arc::new(Outbox::new(subprotocol, limits.max_queued_bytes, Box::new(writer)));
    let attached = hub.attach(&outbox, from);
    let now = Instant::now();
    let session = Session {
        reader: Reader::new(reader, hub.config.message_limits.max_message_bytes),
        message_limits: hub.config.message_limits,
        attached,
        cork: Cork::default(),
        joined: false,
        life: Life {
            hello_by: Some(now + limits.handshake_timeout),
            heard: (now, 0),
            pinged: None,
            next_beat: now + limits.ping_interval,
            pings: 0,
            timer: Box::pin(sleep_until(now + limits.handshake_timeout.min(limits.ping_interval))),
        },
        limits,
        outbox,
    };
    let end = session.serve().await;
    match end {
        Ended::ByPeer => tracing::debug!(peer = peer_name, "connection closed by the peer"),
        Ended::ByUs(reason) => tracing::info!(peer = peer_name, "connection closed: {reason}"),
        Ended::Dropped(reason) => tracing::warn!(peer = peer_name, "connection dropped: {reason}"),
    }
}

/// How a connection has ended.
enum Ended {
    ByPeer,
    ByUs(String),
    Dropped(String),
}

struct Session {
    reader: Reader,
    message_limits: Limits,
    attached: Attached,
    outbox: Arc<Outbox>,
    cork: Cork,
    joined: bool,
    life: Life,
    limits: super::ConnectionLimits,
}

/// When something is due.
struct Life {
    /// While the peer is in no session: when it must have said HELLO.
    hello_by: Option<Instant>,
    /// When something was last read, and how many bytes had been read then. Who speaks is alive, and needs no ping: an
    /// agent is heard every second.
    heard: (Instant, u64),
    /// While a ping is under way.
    pinged: Option<Ping>,
    /// When it is time to look: whether the peer has been silent for long enough for a ping, or the answer to the last
    /// one is late.
    next_beat: Instant,
    pings: u64,
    /// Elapses when the first of these is due.
    timer: Pin<Box<Sleep>>,
}

/// How many bytes had been read and written when a ping was sent.
#[derive(Clone, Copy)]
struct Ping {
    read: u64,
    written: u64,
}

impl Session {
    async fn serve(mut self) -> Ended {
        loop {
            let input = self.read_all().await;
            match &input {
                Input::Drained | Input::More => {}
                Input::Closed => return Ended::ByPeer,
                Input::Broken(code, reason) => self.outbox.end(End::Close(*code, reason.clone())),
            }
            if self.life.heard.1 != self.reader.bytes_read {
                self.life.heard = (Instant::now(), self.reader.bytes_read);
            }
            if self.life.timer.is_elapsed() {
                self.beat();
            }
            self.cork.let_go();

            let state = self.outbox.state();
            match state.end {
                None if matches!(input, Input::More) => {}
                None => self.wait(state.blocked).await,
                Some(End::Drop(reason)) => return Ended::Dropped(reason),
                Some(End::Close(code, reason)) => {
                    let why = format!("{code} {reason}");
                    return match self.close(code, &reason).await {
                        Ok(()) => Ended::ByUs(why),
                        Err(error) => Ended::Dropped(format!("{error} ({why})")),
                    };
                }
            }
        }
    }

    /// Waits until anything may have changed: there is input, the outbox wants something, a deadline has passed. Reading
    /// has left its waker with the socket; the others do it here, and whatever wakes the task, all of it is looked at
    /// again.
    async fn wait(&mut self, blocked: bool) {
        let mut changed = pin!(self.outbox.changed());
        let mut waited = false;
        poll_fn(|cx| {
            if std::mem::replace(&mut waited, true) {
                return Poll::Ready(());
            }
            let written = blocked && self.outbox.poll_write_out(cx).is_ready();
            let changed = changed.as_mut().poll(cx).is_ready();
            let due = self.life.timer.as_mut().poll(cx).is_ready();
            if written || changed || due { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Reads until nothing more is there, and handles it.
    async fn read_all(&mut self) -> Input {
        for _ in 0..MESSAGES_PER_TURN {
            if self.outbox.bytes() > PAUSE_READING_ABOVE {
                self.cork.let_go();
            }
            let state = self.outbox.state();
            if state.end.is_some() || (state.blocked && state.bytes > PAUSE_READING_ABOVE) {
                return Input::Drained;
            }
            let mut replies = Vec::new();
            let read = poll_fn(|cx| Poll::Ready(self.reader.poll_message(cx, &mut replies))).await;
            if !replies.is_empty() {
                self.outbox.push(Bytes::from(replies), &mut self.cork);
            }
            let (frame, is_text) = match read {
                Poll::Pending => return Input::Drained,
                Poll::Ready(Ok(WsMessage::Text(text))) => (Bytes::from(text), true),
                Poll::Ready(Ok(WsMessage::Binary(bytes))) => (bytes, false),
                Poll::Ready(Ok(_control)) => continue,
                Poll::Ready(Err(error)) => return Input::from_error(error),
            };
            if is_text != self.outbox.subprotocol.is_text() {
                let kind = if is_text { "text" } else { "binary" };
                return Input::violation(&format!("a {kind} message in {}", self.outbox.subprotocol));
            }
            for message in self.outbox.subprotocol.decode(frame, &self.message_limits) {
                match message {
                    Ok(message) => {
                        let joined = self.attached.receive(message, &mut self.cork);
                        self.note_joined(joined);
                    }
                    Err(error) => return Input::violation(&error.to_string()),
                }
            }
        }
        // Others first.
        self.cork.let_go();
        tokio::task::yield_now().await;
        Input::More
    }

    fn note_joined(&mut self, joined: bool) {
        if joined != self.joined {
            self.joined = joined;
            self.life.hello_by = (!joined).then(|| Instant::now() + self.limits.handshake_timeout);
            self.life.set_timer();
        }
    }

    /// The timer has elapsed.
    fn beat(&mut self) {
        self.look_at_life();
        self.life.set_timer();
    }

    fn look_at_life(&mut self) {
        let now = Instant::now();
        if self.life.hello_by.is_some_and(|by| by <= now) {
            self.outbox.end(End::Close(close_code::PROTOCOL_ERROR, "no HELLO in time".to_owned()));
            return;
        }
        if self.life.next_beat > now {
            return;
        }
        let read = self.reader.bytes_read;
        let OutboxState { blocked, written, .. } = self.outbox.state();
        match self.life.pinged {
            Some(ping) if ping.read == read => {
                // A full socket that still takes more now and then: the ping, or what keeps us from reading the
                // answer, is on its way.
                if blocked && written > ping.written {
                    self.life.pinged = Some(Ping { read, written });
                    self.life.next_beat = now + self.limits.ping_timeout;
                } else {
                    let silence = self.limits.ping_timeout;
                    self.outbox.end(End::Drop(format!("no sign of life for {silence:?} after a ping")));
                }
            }
            Some(_) => {
                self.life.pinged = None;
                self.life.next_beat = self.life.heard.0 + self.limits.ping_interval;
            }
            None if self.life.heard.0 + self.limits.ping_interval > now => {
                self.life.next_beat = self.life.heard.0 + self.limits.ping_interval;
            }
            None => {
                self.life.pings += 1;
                let mut payload = [0; 12];
                payload[4..].copy_from_slice(&self.life.pings.to_be_bytes());
                self.outbox.push(frame::ping(&payload), &mut self.cork);
                self.life.pinged = Some(Ping { read, written });
                self.life.next_beat = now + self.limits.ping_timeout;
            }
        }
    }

    /// Sends what is left and a close frame, and waits a little for the peer to close, too.
    async fn close(mut self, code: u16, reason: &str) -> Result<(), &'static str> {
        let outbox = Arc::clone(&self.outbox);
        // The session has ended: what it held must not wait for a slow goodbye.
        drop(self.attached);
        let said = async {
            outbox.push_last(frame::close(code, reason));
            poll_fn(|cx| outbox.poll_write_out(cx)).await;
            poll_fn(|cx| outbox.poll_shutdown(cx)).await;
        };
        timeout(CLOSE_TIMEOUT, said).await.map_err(|_elapsed| "it does not read any more")?;
        let _ = timeout(LINGER_TIMEOUT, self.reader.drain(LINGER_BYTES)).await;
        Ok(())
    }
}

impl Life {
    fn set_timer(&mut self) {
        let due = self.hello_by.map_or(self.next_beat, |by| by.min(self.next_beat));
        self.timer.as_mut().reset(due);
    }
}

/// Why reading has stopped.
enum Input {
    /// Nothing more is there for now; the task is woken when there is.
    Drained,
    /// There may be more.
    More,
    /// The connection is over.
    Closed,
    /// The peer broke a rule; to be closed with this code and reason.
    Broken(u16, String),
}

impl Input {
    fn violation(text: &str) -> Self {
        Self::Broken(close_code::PROTOCOL_ERROR, format!("WAMP Protocol Error ({text})"))
    }

    fn from_error(error: WsError) -> Self {
        match error {
            WsError::Capacity(CapacityError::MessageTooLong { size, max_size }) => Self::Broken(
                close_code::TOO_BIG,
                format!("a message of {size} bytes, above the limit of {max_size}"),
            ),
            WsError::Utf8(_) => Self::Broken(close_code::INVALID_DATA, "text that is not UTF-8".to_owned()),
            WsError::ConnectionClosed | WsError::AlreadyClosed | WsError::Io(_) => Self::Closed,
            WsError::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Self::Closed,
            other => Self::Broken(close_code::PROTOCOL_ERROR, other.to_string()),
        }
    }
}
