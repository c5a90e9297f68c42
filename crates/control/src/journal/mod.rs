//! The event journal: what happened, when, to whom, why, and who asked for it.
//!
//! Every manager has one, in its state directory. It knows nothing of what is managed: a subject is a name, a kind a
//! word ([`event::kinds`]), the rest is text for people and fields for programs.
//!
//! ```no_run
//! use campanile_control::journal::{Actor, Journal, JournalOptions, NewEvent, Query, kinds};
//! use campanile_control::{Clock, Workers};
//!
//! # async fn example() {
//! let clock = Clock::system();
//! let workers = Workers::new(clock.clone());
//! let options = JournalOptions::in_dir("/var/lib/campanile/host/observatory.hm-1".as_ref(), "hm-1");
//! let journal = Journal::open(options, clock, &workers).await;
//!
//! let alice = Actor::new("user alice (uid 1000)", "control socket, process 4711");
//! journal.record(NewEvent::new(kinds::REQUEST, "thermo1", "up was asked for").by(Some(alice)));
//! journal.record(NewEvent::new(kinds::CRASH, "thermo1", "exit code 2").field("code", 2));
//!
//! let last = journal.query(Query::newest(10)).await;
//! let mut live = journal.subscribe();
//! # let _ = (last, live.recv().await);
//! # }
//! ```
//!
//! **Guarantees.** [`Journal::record`] never waits and never fails: an event is in memory, and with all who
//! [subscribe](Journal::subscribe), when it returns; a task of its own saves it within a moment. What was saved
//! survives the process, however it ends. A disk that is full, slow, gone or damaged costs nothing but events: they
//! are kept in memory up to [`KEEP_UNSAVED`], then the oldest are lost and counted, and [`Journal::trouble`] says so.
//! [`Journal::query`] always answers; where the file cannot be read, from memory, and the page says that it is
//! incomplete.
//!
//! **Limits.** The file holds [`DEFAULT_LIMIT_BYTES`] unless told otherwise, then the oldest events are dropped. Texts
//! and fields are cut at [`event::MAX_TEXT_BYTES`] and [`event::MAX_FIELDS_BYTES`], pages at
//! [`query::MAX_PAGE_EVENTS`] and [`query::MAX_PAGE_BYTES`].
//!
//! **No secrets.** Events go to everybody on the bus.

pub mod event;
mod file;
pub mod query;
mod recent;
mod writer;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, broadcast, mpsc, oneshot, watch};

pub use event::{Actor, Event, NewEvent, kinds};
pub use file::FileError;
pub use query::{Page, Query};
pub use recent::{KEEP_UNSAVED, Lost};

use crate::clock::Clock;
use crate::worker::Workers;
use file::JournalFile;
use recent::Recent;
use writer::{Question, Writer};

/// Name of the file in a state directory.
pub const FILE: &str = "journal.sqlite";
/// The name of its background loop among the workers.
pub const WORKER: &str = "journal";
/// Size of the file above which the oldest events are dropped, in bytes; some hundred thousand events.
pub const DEFAULT_LIMIT_BYTES: u64 = 64 * 1024 * 1024;
/// Questions that may wait for the file; further ones are answered from memory.
const MAX_QUESTIONS: usize = 32;
/// How long a question waits for the file before it is answered from memory.
const ANSWER_PATIENCE: Duration = Duration::from_secs(5);
/// How long the start of a manager waits for the file.
const OPEN_PATIENCE: Duration = Duration::from_secs(5);
/// Events that a subscriber may be behind before it misses some.
const SUBSCRIBER_EVENTS: usize = 1024;

/// Where a journal is, and how large it may become.
#[derive(Clone, Debug)]
pub struct JournalOptions {
    /// The database; its directory must exist.
    pub path: PathBuf,
    /// Size above which the oldest events are dropped, in bytes. Less than 256 KiB counts as that.
    pub limit_bytes: u64,
    /// The subject of events about the journal itself: the id of the manager.
    pub subject: String,
}

impl JournalOptions {
    /// The journal of the manager `subject` in its state directory, with the usual limit.
    #[must_use]
    pub fn in_dir(state: &Path, subject: &str) -> Self {
        Self { path: state.join(FILE), limit_bytes: DEFAULT_LIMIT_BYTES, subject: subject.to_owned() }
    }
}

/// Why events are not saved at the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// In words.
    pub reason: String,
    /// Since when, milliseconds since 1970.
    pub since_ms: u64,
}

/// A journal. Cheap to clone; clones are the same journal.
#[derive(Clone)]
pub struct Journal {
    inner: Arc<Inner>,
    questions: mpsc::Sender<Question>,
}

/// What the handles and the task share.
struct Inner {
    clock: Clock,
    subject: String,
    recent: Mutex<Recent>,
    live: broadcast::Sender<Arc<Event>>,
    news: Notify,
    trouble: watch::Sender<Option<Trouble>>,
    saved: watch::Sender<u64>,
    closing: watch::Sender<bool>,
    closed: watch::Sender<bool>,
}

impl Journal {
    /// Opens a journal, and makes its file if there is none. Needs a tokio runtime. There is always a journal after
    /// this; if its file cannot be used, [`Journal::trouble`] says why. From here on the errors of `workers` are
    /// events, too.
    pub async fn open(options: JournalOptions, clock: Clock, workers: &Workers) -> Self {
        let inner = Arc::new(Inner {
            clock,
            subject: options.subject,
            recent: Mutex::default(),
            live: broadcast::Sender::new(SUBSCRIBER_EVENTS),
            news: Notify::new(),
            trouble: watch::Sender::new(None),
            saved: watch::Sender::new(0),
            closing: watch::Sender::new(false),
            closed: watch::Sender::new(false),
        });
        let (questions, asked) = mpsc::channel(MAX_QUESTIONS);
        let (opened, is_open) = oneshot::channel();
        let mut writer = Writer {
            inner: Arc::clone(&inner),
            worker: workers.register(WORKER),
            path: options.path,
            limit_bytes: options.limit_bytes,
            file: None,
            failures: 0,
            retry_at: None,
        };
        tokio::spawn(async move {
            writer.open().await;
            // The start may not wait for it any more.
            let _ = opened.send(());
            writer.run(asked).await;
        });
        // Only so that new ids follow those in the file even when the clock was set back.
        let _ = tokio::time::timeout(OPEN_PATIENCE, is_open).await;
        let for_errors = Arc::clone(&inner);
        workers.on_error(move |name, text| {
            // Its own errors are told as trouble.
            if name != WORKER {
                let event =
                    NewEvent::new(kinds::ERROR, for_errors.subject.clone(), format!("{name}: {text}"));
                for_errors.record(event.field("worker", name));
            }
        });
        Self { inner, questions }
    }

    /// Keeps an event. Returns at once, with the event as it is kept.
    pub fn record(&self, event: NewEvent) -> Arc<Event> {
        self.inner.record(event)
    }

    /// Gets every event from now on, in order. A receiver that falls too far behind is told how many it has missed, and
    /// can [ask](Journal::query) for them by the last id it has seen.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Event>> {
        self.inner.live.subscribe()
    }

    /// Answers a question, with everything that was recorded before it.
    pub async fn query(&self, query: Query) -> Page {
        let (reply, answer) = oneshot::channel();
        let asked = self.questions.try_send(Question { query: query.clone(), reply }).is_ok();
        if asked && let Ok(Ok(page)) = tokio::time::timeout(ANSWER_PATIENCE, answer).await {
            return page;
        }
        let mut page = self.inner.lock().search(&query, false);
        page.incomplete = Some(self.inner.incomplete());
        page
    }

    /// Why events are not saved at the moment; `None` if they are. Changes can be waited for.
    #[must_use]
    pub fn trouble(&self) -> watch::Receiver<Option<Trouble>> {
        self.inner.trouble.subscribe()
    }

    /// Waits until everything that was recorded before is saved, at most that long. Says whether it is.
    pub async fn saved(&self, patience: Duration) -> bool {
        let last_id = self.inner.lock().last_id();
        let mut saved = self.inner.saved.subscribe();
        let nothing_waits = self.inner.lock().unsaved(1).is_empty();
        nothing_waits
            || matches!(tokio::time::timeout(patience, saved.wait_for(|id| *id >= last_id)).await, Ok(Ok(_)))
    }

    /// Saves what waits and closes the file, at most that long. What is recorded later stays in memory.
    pub async fn close(&self, patience: Duration) {
        self.inner.closing.send_replace(true);
        let mut closed = self.inner.closed.subscribe();
        let in_time = tokio::time::timeout(patience, closed.wait_for(|closed| *closed)).await;
        if in_time.is_err() {
            tracing::warn!("the last events were not saved: the disk does not answer");
        }
    }
}

impl Inner {
    fn record(&self, event: NewEvent) -> Arc<Event> {
        let mut recent = self.lock();
        let event = recent.push(event, self.clock.now().unix_s);
        // Under the lock, so that all get the events in the order of their ids. Without subscribers there is nobody to
        // tell, which is no error.
        let _ = self.live.send(Arc::clone(&event));
        drop(recent);
        self.news.notify_one();
        event
    }

    fn lock(&self) -> MutexGuard<'_, Recent> {
        // Nothing in there panics half-way through a change.
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads the file of a manager that does not run.
///
/// # Errors
/// [`FileError`]: there is no such file, a manager has it, it is damaged.
pub async fn read_file(path: &Path, query: &Query) -> Result<Page, FileError> {
    let mut file = JournalFile::open_to_read(path).await?;
    let page = file.select(query).await?;
    file.close().await?;
    Ok(page)
}
