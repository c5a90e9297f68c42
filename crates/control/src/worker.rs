//! Background loops that report themselves: what each is doing, since when, and its last error.
//!
//! A daemon whose loop has died looks healthy from outside. So every loop holds a [`WorkerHandle`] and says what it
//! does; the registry is shown to operators. A loop that ends without saying so is shown as `gone`.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use serde::Serialize;

use crate::clock::Clock;

/// What is known of one background loop.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WorkerStatus {
    /// Name of the loop, unique within the daemon.
    pub name: String,
    /// What it is doing, in a word or two: `idle`, `busy: …`, `gone`.
    pub state: String,
    /// When it last began something, seconds since the Unix epoch.
    pub last_run_s: f64,
    /// Errors since the start of the daemon.
    pub errors: u64,
    /// The last error and when it happened (seconds since the Unix epoch); kept after the loop has recovered.
    pub last_error: Option<(f64, String)>,
    /// When its last error was told to the listener.
    #[serde(skip)]
    told_s: f64,
}

/// All background loops of a daemon. Cheap to clone; clones share the registry.
#[derive(Clone)]
pub struct Workers {
    clock: Clock,
    list: Arc<Mutex<Vec<WorkerStatus>>>,
    listener: Arc<OnceLock<ErrorListener>>,
}

/// Is told the name of a loop and its error.
type ErrorListener = Box<dyn Fn(&str, &str) + Send + Sync>;

/// The same error of the same loop is told again after this time only, in seconds: a loop that tries the same thing
/// every few seconds would fill any journal.
const TELL_AGAIN_S: f64 = 600.0;

impl fmt::Debug for Workers {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_list().entries(self.lock().iter()).finish()
    }
}

impl Workers {
    /// An empty registry that takes its times from `clock`.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self { clock, list: Arc::default(), listener: Arc::default() }
    }

    /// Enters a loop as `idle`. A name that is already there is taken over: the loop was started again.
    #[must_use]
    pub fn register(&self, name: &str) -> WorkerHandle {
        let status = WorkerStatus {
            name: name.to_owned(),
            state: "idle".to_owned(),
            last_run_s: self.clock.now().unix_s,
            errors: 0,
            last_error: None,
            told_s: 0.0,
        };
        let mut list = self.lock();
        match list.iter_mut().find(|worker| worker.name == name) {
            Some(worker) => worker.state = status.state,
            None => list.push(status),
        }
        WorkerHandle { workers: self.clone(), name: name.to_owned() }
    }

    /// A copy of the whole registry, in order of registration.
    #[must_use]
    pub fn snapshot(&self) -> Vec<WorkerStatus> {
        self.lock().clone()
    }

    /// Has this function told of errors: the name of the loop, and the error. The first listener stays the only one.
    /// Repetitions within ten minutes are left out.
    pub fn on_error(&self, listener: impl Fn(&str, &str) + Send + Sync + 'static) {
        // A second journal in one process has nothing to say about these loops.
        let _ = self.listener.set(Box::new(listener));
    }

    fn update(&self, name: &str, change: impl FnOnce(&mut WorkerStatus)) {
        if let Some(worker) = self.lock().iter_mut().find(|worker| worker.name == name) {
            change(worker);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<WorkerStatus>> {
        // Nothing in here can panic half-way through a change, so a poisoned lock still guards whole entries.
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The side of the registry that one loop writes to. When it is dropped the loop is shown as `gone`.
#[derive(Debug)]
pub struct WorkerHandle {
    workers: Workers,
    name: String,
}

impl WorkerHandle {
    /// The loop begins something.
    pub fn busy(&self, with: &str) {
        let now_s = self.workers.clock.now().unix_s;
        self.workers.update(&self.name, |worker| {
            worker.state = format!("busy: {with}");
            worker.last_run_s = now_s;
        });
    }

    /// The loop waits for its next turn.
    pub fn idle(&self) {
        self.workers.update(&self.name, |worker| "idle".clone_into(&mut worker.state));
    }

    /// Something the loop tried has failed; the loop itself goes on.
    pub fn error(&self, text: &str) {
        let now_s = self.workers.clock.now().unix_s;
        let mut is_news = false;
        self.workers.update(&self.name, |worker| {
            worker.errors += 1;
            let is_same = worker.last_error.as_ref().is_some_and(|(_, before)| before == text);
            is_news = !is_same || now_s - worker.told_s >= TELL_AGAIN_S;
            if is_news {
                worker.told_s = now_s;
            }
            worker.last_error = Some((now_s, text.to_owned()));
        });
        if is_news && let Some(tell) = self.workers.listener.get() {
            tell(&self.name, text);
        }
    }
}

impl Drop for WorkerHandle {
    fn drop(&mut self) {
        self.workers.update(&self.name, |worker| "gone".clone_into(&mut worker.state));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_loop_shows_what_it_does_and_keeps_its_last_error() {
        let clock = Clock::manual(100.0);
        let workers = Workers::new(clock.clone());
        let handle = workers.register("logs");
        clock.advance(Duration::from_secs(5));
        handle.busy("truncating a.out");
        handle.error("No space left on device");
        handle.idle();
        let seen = workers.snapshot();
        assert_eq!(seen.len(), 1);
        assert_eq!((seen[0].state.as_str(), seen[0].last_run_s, seen[0].errors), ("idle", 105.0, 1));
        assert_eq!(seen[0].last_error, Some((105.0, "No space left on device".to_owned())));
    }

    #[test]
    fn an_error_is_told_once_and_again_after_a_while() {
        let clock = Clock::manual(0.0);
        let workers = Workers::new(clock.clone());
        let told: Arc<Mutex<Vec<String>>> = Arc::default();
        let list = Arc::clone(&told);
        workers.on_error(move |name, text| list.lock().unwrap().push(format!("{name}: {text}")));
        let handle = workers.register("bus");
        for text in ["refused", "refused", "timed out", "timed out"] {
            handle.error(text);
        }
        clock.advance(Duration::from_secs(601));
        handle.error("timed out");
        assert_eq!(*told.lock().unwrap(), ["bus: refused", "bus: timed out", "bus: timed out"]);
        assert_eq!(workers.snapshot()[0].errors, 5);
    }

    #[test]
    fn a_loop_that_ends_is_shown_as_gone_and_one_that_is_started_again_is_not() {
        let workers = Workers::new(Clock::manual(0.0));
        drop(workers.register("classes"));
        assert_eq!(workers.snapshot()[0].state, "gone");
        let _again = workers.register("classes");
        assert_eq!(workers.snapshot()[0].state, "idle");
        assert_eq!(workers.snapshot().len(), 1);
    }
}
