//! A keyed work queue: what has to be looked at, and when. Each key stands in it once, however often it is added.
//!
//! For a manager whose work is "look at this key again": why it is to be looked at does not matter, since the decision
//! is made from what is observed then. A key that is added while it is being worked on comes back after that work, so no
//! key is ever worked on twice at a time and no news is lost.
//!
//! [`Schedule`] is the pure rule, time as a parameter; [`WorkQueue`] waits for it.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::clock::Clock;

/// Keys that a queue holds at most. A manager has thousands of things, not millions; more is a defect.
pub const MAX_KEYS: usize = 100_000;

/// The queue is full, so the key was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the work queue holds {MAX_KEYS} keys already")]
pub struct QueueFull;

/// Which keys are due when. Pure: milliseconds are those of [`Clock`]'s monotonic count, or of any other.
#[derive(Clone, Debug)]
pub struct Schedule<K> {
    due: BTreeSet<(u64, u64, K)>,
    places: HashMap<K, (u64, u64)>,
    running: HashMap<K, Option<u64>>,
    added: u64,
}

impl<K> Default for Schedule<K> {
    fn default() -> Self {
        Self { due: BTreeSet::new(), places: HashMap::new(), running: HashMap::new(), added: 0 }
    }
}

impl<K: Clone + Ord + Hash> Schedule<K> {
    /// Adds a key, to be worked on at `at_ms`. A key that is there already keeps the earlier of both times.
    ///
    /// # Errors
    /// [`QueueFull`].
    pub fn add(&mut self, key: K, at_ms: u64) -> Result<(), QueueFull> {
        if let Some(again) = self.running.get_mut(&key) {
            *again = Some(again.map_or(at_ms, |before_ms| before_ms.min(at_ms)));
            return Ok(());
        }
        match self.places.get(&key).copied() {
            Some((before_ms, _)) if before_ms <= at_ms => return Ok(()),
            Some((before_ms, place)) => {
                self.due.remove(&(before_ms, place, key.clone()));
            }
            None if self.places.len() + self.running.len() >= MAX_KEYS => return Err(QueueFull),
            None => {}
        }
        // Of keys that are due at the same time, the one that was added first comes first.
        self.added += 1;
        self.places.insert(key.clone(), (at_ms, self.added));
        self.due.insert((at_ms, self.added, key));
        Ok(())
    }

    /// Takes the key that has been due longest, if one is due. It counts as being worked on until
    /// [`Schedule::done`].
    pub fn take(&mut self, now_ms: u64) -> Option<K> {
        if self.next_ms()? > now_ms {
            return None;
        }
        let (_, _, key) = self.due.pop_first()?;
        self.places.remove(&key);
        self.running.insert(key.clone(), None);
        Some(key)
    }

    /// The work on a key has ended. If the key was added meanwhile it is back in the queue now.
    pub fn done(&mut self, key: &K) {
        if let Some((key, Some(at_ms))) = self.running.remove_entry(key) {
            // It had a place before, so there is one.
            let _ = self.add(key, at_ms);
        }
    }

    /// Forgets a key: it is not worked on again unless it is added again.
    pub fn forget(&mut self, key: &K) {
        if let Some((at_ms, place)) = self.places.remove(key) {
            self.due.remove(&(at_ms, place, key.clone()));
        }
        if let Some(again) = self.running.get_mut(key) {
            *again = None;
        }
    }

    /// When the next key is due.
    #[must_use]
    pub fn next_ms(&self) -> Option<u64> {
        self.due.first().map(|(at_ms, _, _)| *at_ms)
    }

    /// Keys that wait; those that are being worked on not counted.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether no key waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }
}

/// A schedule that several tasks share. Cheap to clone; clones are the same queue.
#[derive(Debug)]
pub struct WorkQueue<K> {
    shared: Arc<Shared<K>>,
}

#[derive(Debug)]
struct Shared<K> {
    clock: Clock,
    schedule: Mutex<Schedule<K>>,
    changed: Notify,
}

impl<K> Clone for WorkQueue<K> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<K: Clone + Ord + Hash> WorkQueue<K> {
    /// An empty queue on that clock.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        let shared = Shared { clock, schedule: Mutex::default(), changed: Notify::new() };
        Self { shared: Arc::new(shared) }
    }

    /// Adds a key, to be worked on now.
    ///
    /// # Errors
    /// [`QueueFull`].
    pub fn add(&self, key: K) -> Result<(), QueueFull> {
        self.add_in(key, 0)
    }

    /// Adds a key, to be worked on in `wait_ms`; a key that is there already keeps the earlier of both times.
    ///
    /// # Errors
    /// [`QueueFull`].
    pub fn add_in(&self, key: K, wait_ms: u64) -> Result<(), QueueFull> {
        let at_ms = self.shared.clock.now().mono_ms.saturating_add(wait_ms);
        let added = self.lock().add(key, at_ms);
        self.shared.changed.notify_one();
        added
    }

    /// Waits for the next key that is due. Dropping the future loses nothing; dropping the [`Work`] ends the work on
    /// the key, also when it panics.
    pub async fn next(&self) -> Work<K> {
        loop {
            let next_ms = {
                let mut schedule = self.lock();
                if let Some(key) = schedule.take(self.shared.clock.now().mono_ms) {
                    if !schedule.is_empty() {
                        // For the next worker.
                        self.shared.changed.notify_one();
                    }
                    return Work { queue: self.clone(), key };
                }
                schedule.next_ms()
            };
            let due = next_ms.and_then(|at_ms| self.shared.clock.instant_of(at_ms));
            tokio::select! {
                () = self.shared.changed.notified() => {}
                () = sleep_until(due) => {}
            }
        }
    }

    /// Forgets a key: it is not worked on again unless it is added again.
    pub fn forget(&self, key: &K) {
        self.lock().forget(key);
    }

    fn lock(&self) -> MutexGuard<'_, Schedule<K>> {
        // Nothing in there panics half-way through a change.
        self.shared.schedule.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn sleep_until(due: Option<std::time::Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

/// A key that is being worked on, until this is dropped.
#[derive(Debug)]
pub struct Work<K: Clone + Ord + Hash> {
    queue: WorkQueue<K>,
    key: K,
}

impl<K: Clone + Ord + Hash> Work<K> {
    /// The key.
    #[must_use]
    pub const fn key(&self) -> &K {
        &self.key
    }
}

impl<K: Clone + Ord + Hash> Drop for Work<K> {
    fn drop(&mut self) {
        self.queue.lock().done(&self.key);
        self.queue.shared.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_key_stands_once_and_keeps_the_earlier_time() {
        let mut schedule = Schedule::default();
        for (key, at_ms) in [("b", 50), ("a", 70), ("b", 90), ("a", 60), ("c", 50)] {
            schedule.add(key, at_ms).unwrap();
        }
        assert_eq!((schedule.len(), schedule.next_ms()), (3, Some(50)));
        assert_eq!(schedule.take(49), None);
        let taken: Vec<&str> = std::iter::from_fn(|| schedule.take(60)).collect();
        assert_eq!(taken, ["b", "c", "a"]);
    }

    #[test]
    fn what_is_added_during_the_work_comes_back_after_it() {
        let mut schedule = Schedule::default();
        schedule.add("a", 0).unwrap();
        assert_eq!(schedule.take(0), Some("a"));
        schedule.add("a", 5).unwrap();
        schedule.add("a", 3).unwrap();
        assert_eq!(schedule.take(9), None, "never twice at a time");
        schedule.done(&"a");
        assert_eq!((schedule.next_ms(), schedule.take(9)), (Some(3), Some("a")));
        schedule.forget(&"a");
        schedule.done(&"a");
        assert!(schedule.is_empty());
    }

    #[test]
    fn a_queue_has_a_limit() {
        let mut schedule = Schedule::default();
        for key in 0..MAX_KEYS {
            schedule.add(key, 0).unwrap();
        }
        assert_eq!(schedule.add(MAX_KEYS, 0), Err(QueueFull));
        assert_eq!(schedule.add(7, 0), Ok(()));
    }

    #[tokio::test]
    async fn workers_wait_for_keys_and_each_key_has_one_worker() {
        let queue = WorkQueue::new(Clock::system());
        let (other, started) = (queue.clone(), std::time::Instant::now());
        let waiter = tokio::spawn(async move { *other.next().await.key() });
        queue.add_in(7, 30).unwrap();
        assert_eq!(waiter.await.unwrap(), 7);
        assert!(started.elapsed().as_millis() >= 30);

        queue.add(1).unwrap();
        queue.add(2).unwrap();
        let (first, second) = tokio::join!(queue.next(), queue.next());
        assert_eq!((*first.key(), *second.key()), (1, 2));
        queue.add(1).unwrap();
        drop(first);
        assert_eq!(*queue.next().await.key(), 1);
    }

    proptest! {
        #[test]
        fn no_key_is_lost_and_none_runs_twice(steps in proptest::collection::vec((0_u8..3, 0_u8..6, 0_u64..20), 0..200)) {
            let mut schedule = Schedule::default();
            let (mut wanted, mut running) = (BTreeMap::new(), BTreeSet::new());
            for (now_ms, (step, key, wait_ms)) in (0_u64..).zip(steps) {
                match step {
                    0 => {
                        schedule.add(key, now_ms + wait_ms).unwrap();
                        let at_ms = wanted.entry(key).or_insert(now_ms + wait_ms);
                        *at_ms = (*at_ms).min(now_ms + wait_ms);
                    }
                    1 => if let Some(key) = schedule.take(now_ms) {
                        prop_assert!(running.insert(key), "twice at a time");
                        prop_assert!(wanted.remove(&key).is_some_and(|at_ms| at_ms <= now_ms));
                    },
                    _ => { running.remove(&key); schedule.done(&key); }
                }
                let next = wanted.iter().filter(|(key, _)| !running.contains(*key)).map(|(_, at_ms)| *at_ms).min();
                prop_assert_eq!(schedule.next_ms(), next);
            }
        }
    }
}
