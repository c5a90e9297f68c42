//! The client's task: connects, keeps the connection, connects again.

use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::tungstenite::Message as Frame;

use super::State;
use super::connect::{Socket, connect};
use super::shared::Shared;
use crate::Subprotocol;

/// How long a connection that ends may take to hand over its last words.
const LAST_WORDS_TIMEOUT: Duration = Duration::from_secs(1);

/// The payload of a ping has this many bytes, as Autobahn's has.
const PING_BYTES: usize = 12;

type Sink = SplitSink<Socket, Frame>;

/// A part of what a connection does, until it has ended for the reason that it gives.
type Part<'a> = Pin<Box<dyn Future<Output = String> + Send + 'a>>;

/// Runs until the client is closed.
///
/// Expected flow: connect, join, serve; on any error wait and begin anew.
/// Guarantees: the state tells at any time what goes on; after the loss of a connection nothing of it is left.
/// Errors: none ends this; the last one is shown in the state.
pub(super) async fn run(shared: Arc<Shared>) {
    let mut closing = shared.closing.subscribe();
    let mut failures: u32 = 0;
    while !*closing.borrow() {
        let connected = tokio::select! {
            connected = connect(&shared.options) => connected,
            _ = closing.wait_for(|closing| *closing) => break,
        };
        let began = Instant::now();
        let (error, sink) = match connected {
            Ok((socket, subprotocol)) => serve(socket, subprotocol, &shared).await,
            Err(error) => (with_sources(&error), None),
        };
        let joined = matches!(*shared.state.borrow(), State::Joined { .. });
        let stable = joined && began.elapsed() >= shared.options.stable_after;
        failures = if stable { 1 } else { failures.saturating_add(1) };
        if !*closing.borrow() {
            let url = &shared.options.url;
            match joined {
                true => tracing::warn!("the session with {url} is lost: {error}"),
                false => tracing::debug!("no session with {url}: {error}"),
            }
            shared.state.send_replace(State::Connecting { attempt: failures, last_error: Some(error) });
        }
        if let Some(sink) = sink {
            end_connection(sink, &shared).await;
        }
        let delay = Duration::from_millis(shared.options.backoff.delay_ms(failures, fastrand::f64()));
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            _ = closing.wait_for(|closing| *closing) => {}
        }
    }
    shared.closed();
}

/// One connection, from its handshake to its end; returns why it ended.
async fn serve(socket: Socket, subprotocol: Subprotocol, shared: &Arc<Shared>) -> (String, Option<Sink>) {
    let heard_ms = AtomicU64::new(0);
    let (mut sink, stream) = socket.split();
    shared.connected(subprotocol);
    // Each with a waker of its own: a heartbeat that goes out does not look for input, or at the clock.
    let parts: [Part<'_>; 3] = [
        Box::pin(read(stream, subprotocol, &heard_ms, shared)),
        Box::pin(write(&mut sink, shared)),
        Box::pin(keep_time(&heard_ms, shared)),
    ];
    let ended = FuturesUnordered::from_iter(parts).next().await;
    shared.disconnected();
    let ended = shared.end().or(ended).unwrap_or_default();
    (ended, Some(sink))
}

/// GOODBYE or ABORT may wait still; a router that does not take it in time goes without.
async fn end_connection(mut sink: Sink, shared: &Shared) {
    let last_words = async {
        write_waiting(&mut sink, shared).await?;
        sink.close().await
    };
    _ = timeout(LAST_WORDS_TIMEOUT, last_words).await;
    shared.forget_outgoing();
}

async fn read(
    mut stream: SplitStream<Socket>,
    subprotocol: Subprotocol,
    heard_ms: &AtomicU64,
    shared: &Arc<Shared>,
) -> String {
    while let Some(frame) = stream.next().await {
        heard_ms.store(shared.now_ms(), Ordering::Relaxed);
        match frame {
            Ok(Frame::Text(text)) if subprotocol.is_text() => receive(Bytes::from(text), subprotocol, shared),
            Ok(Frame::Binary(bytes)) if !subprotocol.is_text() => receive(bytes, subprotocol, shared),
            Ok(Frame::Text(_) | Frame::Binary(_)) => {
                shared
                    .step(|session, _| session.violation("text and binary messages are mixed up".to_owned()));
            }
            Ok(Frame::Close(Some(close))) => {
                return format!(
                    "the router closed the connection ({}: {})",
                    u16::from(close.code),
                    close.reason
                );
            }
            Ok(Frame::Close(None)) => return "the router closed the connection".to_owned(),
            Ok(Frame::Ping(_) | Frame::Pong(_) | Frame::Frame(_)) => {}
            Err(error) => return format!("the connection was lost: {}", with_sources(&error)),
        }
        if let Some(end) = shared.end() {
            return end;
        }
    }
    "the connection was lost".to_owned()
}

fn receive(frame: Bytes, subprotocol: Subprotocol, shared: &Arc<Shared>) {
    for message in subprotocol.decode(frame, &shared.options.limits) {
        shared.step(|session, now_ms| match message {
            Ok(message) => session.receive(message, now_ms),
            Err(error) => session.violation(error.to_string()),
        });
    }
}

/// Writes what waits, whenever something does: all of it, and then one flush.
async fn write(sink: &mut Sink, shared: &Arc<Shared>) -> String {
    loop {
        match write_waiting(sink, shared).await {
            Ok(0) => shared.to_write.notified().await,
            Ok(_) => {}
            Err(error) => return format!("the connection was lost: {}", with_sources(&error)),
        }
    }
}

/// Writes what waits; returns how many frames that were.
async fn write_waiting(
    sink: &mut Sink,
    shared: &Shared,
) -> Result<usize, tokio_tungstenite::tungstenite::Error> {
    let (frames, bytes) = shared.take_outgoing();
    let count = frames.len();
    for frame in frames {
        sink.feed(frame).await?;
    }
    if count > 0 {
        sink.flush().await?;
    }
    shared.written(bytes);
    Ok(count)
}

/// Wakes the session at its deadlines, and finds out whether the router is still there.
async fn keep_time(heard_ms: &AtomicU64, shared: &Arc<Shared>) -> String {
    let options = &shared.options;
    let mut next_ping = Instant::now() + options.ping_every;
    let mut answer_until: Option<(u64, Instant)> = None;
    loop {
        let mut wake = answer_until.map_or(next_ping, |(_, until)| until.min(next_ping));
        if let Some(deadline_ms) = shared.await_deadline_ms() {
            wake = wake.min(shared.instant(deadline_ms).into());
        }
        tokio::select! {
            () = sleep_until(wake) => {}
            () = shared.due_earlier.notified() => {}
        }
        shared.step(|session, now_ms| session.tick(now_ms));
        if let Some(end) = shared.end() {
            return end;
        }
        let now = Instant::now();
        if let Some((asked_ms, until)) = answer_until {
            if heard_ms.load(Ordering::Relaxed) >= asked_ms {
                answer_until = None;
            } else if until <= now {
                let seconds = options.ping_timeout.as_secs_f32();
                return format!("nothing was heard of the router for {seconds} s");
            }
        }
        // A router that is heard needs no ping.
        let silent_until =
            Instant::from(shared.instant(heard_ms.load(Ordering::Relaxed))) + options.ping_every;
        if next_ping <= now && silent_until > now {
            next_ping = silent_until;
        } else if next_ping <= now {
            next_ping = now + options.ping_every;
            shared.send_ping(Bytes::from((0..PING_BYTES).map(|_| fastrand::u8(..)).collect::<Vec<_>>()));
            answer_until = answer_until.or(Some((shared.now_ms(), now + options.ping_timeout)));
        }
    }
}

/// The whole chain of an error in one line.
fn with_sources(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let part = error.to_string();
        if !text.ends_with(&part) {
            text = format!("{text}: {part}");
        }
        source = error.source();
    }
    text
}
