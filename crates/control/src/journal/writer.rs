//! The task that has the journal's file: it alone saves and reads, and it alone waits for the disk.
//!
//! *Expected flow*: it is woken by a new event, saves all that wait as one transaction, and sleeps. Questions are
//! answered in between, after what waits was saved.
//!
//! *Guarantees*: nobody waits for this task: events wait in memory ([`super::recent`]), a question is answered from
//! there if the disk takes too long. A file that is damaged is set aside and a new one begun. Any other failure is
//! tried again, with growing waits, for ever.

use std::future::Future;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::event::{NewEvent, kinds};
use super::file::{FileError, JournalFile, set_aside};
use super::query::{Page, Query};
use super::{Inner, Trouble};
use crate::backoff::Backoff;
use crate::worker::WorkerHandle;

/// Events that are saved with one transaction.
const BATCH: usize = 256;
/// Waits before a failed save is tried again.
const RETRY: Backoff = Backoff { first_ms: 500, max_ms: 30_000, factor: 2.0 };
/// A disk that takes longer than this is trouble that is told.
const SLOW: Duration = Duration::from_secs(10);

/// A question, and where its answer goes.
pub(super) struct Question {
    pub(super) query: Query,
    pub(super) reply: oneshot::Sender<Page>,
}

/// The state of the task.
pub(super) struct Writer {
    pub(super) inner: Arc<Inner>,
    pub(super) worker: WorkerHandle,
    pub(super) path: PathBuf,
    pub(super) limit_bytes: u64,
    pub(super) file: Option<JournalFile>,
    pub(super) failures: u32,
    pub(super) retry_at: Option<Instant>,
}

impl Writer {
    /// Opens the file, so that ids go on after those in it.
    pub(super) async fn open(&mut self) {
        if let Err(error) = self.try_open().await {
            self.failed(&error).await;
        }
    }

    pub(super) async fn run(mut self, mut questions: mpsc::Receiver<Question>) {
        let mut closing = self.inner.closing.subscribe();
        loop {
            if self.retry_at.is_none_or(|at| at <= Instant::now()) {
                self.save().await;
            }
            let retry_at = self.retry_at;
            let question = tokio::select! {
                () = self.inner.news.notified(), if retry_at.is_none() => continue,
                () = sleep_until(retry_at.unwrap_or_else(Instant::now)), if retry_at.is_some() => continue,
                () = told(&mut closing) => break,
                question = questions.recv() => question,
            };
            // All handles are gone: nobody can ask or record any more.
            let Some(question) = question else { break };
            self.answer(question).await;
        }
        self.save().await;
        if let Some(file) = self.file.take()
            && let Err(error) = file.close().await
        {
            tracing::warn!(%error, "the journal was not closed in order; nothing is lost by that");
        }
        self.inner.closed.send_replace(true);
    }

    async fn try_open(&mut self) -> Result<(), FileError> {
        let mut file = self.patiently(JournalFile::open(&self.path, self.limit_bytes)).await?;
        let last_id = file.last_id().await?;
        self.inner.lock().continue_after(last_id);
        self.file = Some(file);
        Ok(())
    }

    /// Saves everything that waits.
    async fn save(&mut self) {
        // A damaged file is replaced at once, but not again and again: the second time is a failure like any other.
        for _ in 0..2 {
            match self.try_save().await {
                Ok(()) => return self.recovered(),
                Err(error) => {
                    if !self.failed(&error).await {
                        return;
                    }
                }
            }
        }
    }

    async fn try_save(&mut self) -> Result<(), FileError> {
        loop {
            let batch = self.inner.lock().unsaved(BATCH);
            let Some(last_id) = batch.last().map(|event| event.id) else { return Ok(()) };
            if self.file.is_none() {
                self.try_open().await?;
            }
            let Some(mut file) = self.file.take() else { return Ok(()) };
            self.worker.busy("saving");
            // A file that has failed is opened anew: what state its connection is in then, nobody knows.
            self.patiently(file.append(&batch)).await?;
            self.file = Some(file);
            self.inner.lock().saved(last_id);
            self.inner.saved.send_replace(last_id);
            self.worker.idle();
        }
    }

    async fn answer(&mut self, question: Question) {
        let Question { query, reply } = question;
        if reply.is_closed() {
            return;
        }
        if self.retry_at.is_none() {
            self.save().await;
        }
        let mut page = match self.try_select(&query).await {
            Ok(page) => page,
            Err(error) => {
                self.failed(&error).await;
                let mut page = self.inner.lock().search(&query, false);
                page.incomplete = Some(self.inner.incomplete());
                page
            }
        };
        if page.incomplete.is_none() && self.retry_at.is_some() {
            page = self.with_unsaved(page, &query);
        }
        // Whoever asked may have gone.
        let _ = reply.send(page);
    }

    async fn try_select(&mut self, query: &Query) -> Result<Page, FileError> {
        if self.file.is_none() {
            self.try_open().await?;
        }
        let Some(mut file) = self.file.take() else {
            return Err(FileError::Refused("it is not open".to_owned()));
        };
        self.worker.busy("reading");
        let page = self.patiently(file.select(query)).await?;
        self.file = Some(file);
        self.worker.idle();
        Ok(page)
    }

    /// Adds the events that only memory has; they are newer than all in the file.
    fn with_unsaved(&self, page: Page, query: &Query) -> Page {
        let unsaved = self.inner.lock().search(query, true);
        let (first, second) = (page.events, unsaved.events);
        let more = page.more || unsaved.more;
        let mut both = if query.newest {
            Page::of(query, first.into_iter().chain(second).rev())
        } else if page.more {
            // The page is full before it comes to them.
            Page::of(query, first)
        } else {
            Page::of(query, first.into_iter().chain(second))
        };
        both.more |= more;
        both
    }

    /// Notes a failure. Says whether it is worth trying again at once, since a damaged file was replaced.
    async fn failed(&mut self, error: &FileError) -> bool {
        self.file = None;
        self.worker.error(&error.to_string());
        self.worker.idle();
        let was_replaced = error.is_final() && self.replace(error).await;
        if was_replaced {
            return true;
        }
        let wait = Duration::from_millis(RETRY.wait_ms(self.failures));
        self.failures = self.failures.saturating_add(1);
        self.retry_at = Some(Instant::now() + wait);
        self.inner.trouble(Some(&format!("events cannot be saved: {error}")));
        false
    }

    async fn replace(&self, error: &FileError) -> bool {
        let path = self.path.clone();
        match tokio::task::spawn_blocking(move || set_aside(&path)).await {
            Ok(Ok(aside)) => {
                self.inner.lock().forget_saved();
                let text = format!(
                    "The journal cannot be used ({error}); it was set aside as {}, and a new one begins.",
                    aside.display()
                );
                tracing::error!("{text}");
                self.inner.record(NewEvent::new(kinds::JOURNAL, self.inner.subject.clone(), text));
                true
            }
            Ok(Err(error)) => {
                self.worker.error(&format!("it cannot be set aside: {error}"));
                false
            }
            Err(error) => {
                self.worker.error(&error.to_string());
                false
            }
        }
    }

    fn recovered(&mut self) {
        self.failures = 0;
        self.retry_at = None;
        let was_in_trouble = self.inner.trouble(None);
        let lost = self.inner.lock().take_lost();
        if let Some(lost) = lost {
            let count = lost.count;
            let seconds = (lost.last_ms - lost.first_ms.min(lost.last_ms)) / 1000;
            let text = format!("{count} events from {seconds} s could not be saved and are lost.");
            let event = NewEvent::new(kinds::JOURNAL, self.inner.subject.clone(), text);
            let event =
                event.field("lost", count).field("first_ms", lost.first_ms).field("last_ms", lost.last_ms);
            self.inner.record(event);
        } else if was_in_trouble {
            let text = "Events are saved again; none was lost.";
            self.inner.record(NewEvent::new(kinds::JOURNAL, self.inner.subject.clone(), text));
        }
    }

    /// Waits for the disk, and says so when it takes its time.
    async fn patiently<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        match timeout(SLOW, &mut work).await {
            Ok(done) => done,
            Err(_elapsed) => {
                let what =
                    format!("events cannot be saved: the disk has not answered for {} s", SLOW.as_secs());
                self.worker.error(&what);
                self.inner.trouble(Some(&what));
                work.await
            }
        }
    }
}

async fn told(closing: &mut watch::Receiver<bool>) {
    // An error means that there is nobody to tell, which is an end as well.
    let _ = closing.wait_for(|closing| *closing).await;
}

impl Inner {
    /// Sets or clears the trouble; says whether there was any before.
    pub(super) fn trouble(&self, reason: Option<&str>) -> bool {
        let since_ms = (self.clock.now().unix_s.max(0.0) * 1000.0) as u64;
        let mut before = None;
        self.trouble.send_if_modified(|trouble| {
            before.clone_from(trouble);
            let same = trouble.as_ref().map(|trouble| trouble.reason.as_str()) == reason;
            let since_ms = trouble.as_ref().map_or(since_ms, |trouble| trouble.since_ms);
            *trouble = reason.map(|reason| Trouble { reason: reason.to_owned(), since_ms });
            !same
        });
        if let (None, Some(reason)) = (&before, reason) {
            tracing::error!("{reason}; they are kept in memory meanwhile");
            let text = format!("From here on {reason}; they are kept in memory meanwhile.");
            self.record(NewEvent::new(kinds::JOURNAL, self.subject.clone(), text));
        }
        before.is_some()
    }

    /// Why an answer from memory alone may not be all there is.
    pub(super) fn incomplete(&self) -> String {
        let reason = self.trouble.borrow().as_ref().map(|trouble| trouble.reason.clone());
        reason.unwrap_or_else(|| "the journal's file cannot be read at the moment".to_owned())
    }
}
