//! A watch that goes on: over to another member when one fails, from the revision after the last one seen, and by
//! reading again where etcd has forgotten the past.

use std::sync::Arc;
use std::time::Duration;

use etcd_client::{EventType, WatchOptions, WatchResponse, WatchStream};
use tokio::sync::mpsc::Sender;
use tokio::time::timeout;

use super::calls::{MAX_MESSAGE, error_of, newest_revision};
use super::failure::{Failure, classify};
use super::members::Members;
use crate::{KeyEvent, Prefix, Revision, StoreError, Watch, WatchEvent};

/// First and longest rest between two attempts.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Begins a watch; the first attempt must succeed on some member.
pub(super) async fn start(
    members: Arc<Members>,
    prefix: Prefix,
    after: Revision,
) -> Result<Watch, StoreError> {
    let mut stream = None;
    let mut failure = Failure::TryAnother("no member was asked".to_owned());
    for _ in 0..members.count() {
        match open(&members, &prefix, after).await {
            Ok(opened) => {
                stream = Some(opened);
                break;
            }
            Err(Failure::TryAnother(reason)) => failure = Failure::TryAnother(reason),
            Err(other) => return Err(error_of(other, &members.describe())),
        }
    }
    let Some(stream) = stream else { return Err(error_of(failure, &members.describe())) };
    let (events, watch) = Watch::channel();
    tokio::spawn(Task { members, prefix, last: after, events, away: false }.run(stream));
    Ok(watch)
}

/// A stream of one member.
struct Opened {
    at: usize,
    stream: WatchStream,
    /// The first message, if it was more than a confirmation.
    first: Option<WatchResponse>,
}

async fn open(members: &Members, prefix: &Prefix, after: Revision) -> Result<Opened, Failure> {
    let (at, client) = members.current().await?;
    let attempt = async {
        let mut watcher = client.watch_client().max_decoding_message_size(MAX_MESSAGE);
        let options = WatchOptions::new().with_prefix().with_start_revision(after + 1).with_progress_notify();
        let mut stream = watcher.watch(prefix.as_str(), Some(options)).await?;
        let first = stream.message().await?;
        Ok::<_, etcd_client::Error>((stream, first))
    };
    let failed = match timeout(members.timeouts.request, attempt).await {
        Ok(Ok((stream, Some(first)))) => {
            let plain = first.created() && !first.canceled() && first.events().is_empty();
            return Ok(Opened { at, stream, first: (!plain).then_some(first) });
        }
        Ok(Ok((_, None))) => Failure::TryAnother("the watch ended at once".to_owned()),
        Ok(Err(error)) => classify(&error, &members.describe()),
        Err(_) => Failure::TryAnother("no answer to the watch".to_owned()),
    };
    members.leave(at).await;
    Err(failed)
}

struct Task {
    members: Arc<Members>,
    prefix: Prefix,
    /// The last revision that the reader knows of.
    last: Revision,
    events: Sender<WatchEvent>,
    /// Whether the reader has been told that the cluster is away.
    away: bool,
}

/// Why reading from a stream ended.
enum End {
    /// Nobody listens any more.
    Closed,
    /// The member failed.
    Failed(String),
    /// The past after `last` is forgotten.
    Compacted,
}

impl Task {
    async fn run(mut self, mut opened: Opened) {
        let mut pause = FIRST_PAUSE;
        loop {
            let end = self.follow(&mut opened).await;
            match end {
                End::Closed => return,
                End::Compacted => {
                    if !self.resync().await {
                        return;
                    }
                }
                End::Failed(reason) => {
                    self.members.leave(opened.at).await;
                    if !self.is_away(reason).await {
                        return;
                    }
                }
            }
            opened = loop {
                let attempt = tokio::select! {
                    () = self.events.closed() => return,
                    attempt = open(&self.members, &self.prefix, self.last) => attempt,
                };
                match attempt {
                    Ok(opened) => break opened,
                    Err(Failure::Compacted) => {
                        if !self.resync().await {
                            return;
                        }
                    }
                    Err(failure) => {
                        let reason = match failure {
                            Failure::TryAnother(reason) => reason,
                            other => error_of(other, &self.members.describe()).to_string(),
                        };
                        if !self.is_away(reason).await {
                            return;
                        }
                        tokio::time::sleep(pause).await;
                        pause = (pause * 2).min(LONGEST_PAUSE);
                    }
                }
            };
            pause = FIRST_PAUSE;
            if self.away {
                self.away = false;
                if self.events.send(WatchEvent::Back).await.is_err() {
                    return;
                }
            }
        }
    }

    /// Passes on what the stream brings, until it ends.
    async fn follow(&mut self, opened: &mut Opened) -> End {
        let mut next = opened.first.take();
        loop {
            let message = match next.take() {
                Some(message) => message,
                None => {
                    let message = tokio::select! {
                        () = self.events.closed() => return End::Closed,
                        message = opened.stream.message() => message,
                    };
                    match message {
                        Ok(Some(message)) => message,
                        Ok(None) => return End::Failed("the watch ended".to_owned()),
                        Err(error) => return End::Failed(error.to_string()),
                    }
                }
            };
            if message.canceled() {
                return match message.compact_revision() {
                    0 => End::Failed(message.cancel_reason().to_owned()),
                    _ => End::Compacted,
                };
            }
            for event in self.events_of(&message) {
                if self.events.send(event).await.is_err() {
                    return End::Closed;
                }
            }
        }
    }

    /// The changes in a message, one event for each revision: etcd puts several into one while it catches up.
    fn events_of(&mut self, message: &WatchResponse) -> Vec<WatchEvent> {
        if message.events().is_empty() {
            // A report of progress: nothing happened below the prefix up to here. (The confirmation of a watch has a
            // revision, too, but events up to it may be still to come.)
            if !message.created() {
                let revision = message.header().map_or(0, etcd_client::ResponseHeader::revision);
                self.last = self.last.max(revision);
            }
            return Vec::new();
        }
        let mut events: Vec<WatchEvent> = Vec::new();
        for event in message.events() {
            let Some(entry) = event.kv() else { continue };
            self.last = self.last.max(entry.mod_revision());
            let key = String::from_utf8_lossy(entry.key()).into_owned();
            let value = match event.event_type() {
                EventType::Put => Some(String::from_utf8_lossy(entry.value()).into_owned()),
                EventType::Delete => None,
            };
            let change = KeyEvent { key, value };
            match events.last_mut() {
                Some(WatchEvent::Changed { revision, keys }) if *revision == entry.mod_revision() => {
                    keys.push(change);
                }
                _ => events.push(WatchEvent::Changed { revision: entry.mod_revision(), keys: vec![change] }),
            }
        }
        events
    }

    /// Tells the reader to read again, and goes on from the newest revision. False if nobody listens any more.
    async fn resync(&mut self) -> bool {
        let mut pause = FIRST_PAUSE;
        loop {
            match newest_revision(&self.members).await {
                Ok(revision) => {
                    self.last = revision;
                    return self.events.send(WatchEvent::Resync { revision }).await.is_ok();
                }
                Err(failure) => {
                    let reason = error_of(failure, &self.members.describe()).to_string();
                    if !self.is_away(reason).await {
                        return false;
                    }
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    /// Tells the reader once that the cluster is away. False if nobody listens any more.
    async fn is_away(&mut self, reason: String) -> bool {
        if self.away {
            return !self.events.is_closed();
        }
        self.away = true;
        tracing::debug!(store = self.members.describe(), reason, "the watch is interrupted");
        self.events.send(WatchEvent::Away { reason }).await.is_ok()
    }
}
