//! All instances that are tracked, in the order of the site config, with what was last seen of each.

use crate::model::{Hold, Instance, Key, Observed, Usage};
use crate::order;
use crate::plan::{self, Plan};

/// One tracked instance.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What is remembered.
    pub instance: Instance,
    /// What was last seen.
    pub observed: Observed,
    /// When it has to be decided about again even if nothing is seen before.
    pub wake_at_ms: Option<u64>,
    /// How the system holds what runs of it.
    pub hold: Hold,
    /// What it used when that was last measured; `None` while nothing runs, or before.
    pub usage: Option<Usage>,
}

/// The tracked instances.
#[derive(Clone, Debug, Default)]
pub struct Table {
    entries: Vec<Entry>,
    next_key: u64,
}

impl Table {
    /// All entries, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    /// All entries, in order, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.entries.iter_mut()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is tracked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entry of that key, unless it was forgotten.
    #[must_use]
    pub fn get(&self, key: Key) -> Option<&Entry> {
        self.index(key).map(|index| &self.entries[index])
    }

    /// The entry of that key, to be changed.
    pub fn get_mut(&mut self, key: Key) -> Option<&mut Entry> {
        self.index(key).map(|index| &mut self.entries[index])
    }

    /// The entry of that instance-id.
    #[must_use]
    pub fn find(&self, instance_id: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.instance.spec.instance_id == instance_id)
    }

    /// The keys of all entries, in order.
    #[must_use]
    pub fn keys(&self) -> Vec<Key> {
        self.entries.iter().map(|entry| entry.instance.key).collect()
    }

    /// Begins to track an instance; `make` gets the key that it will have.
    pub fn add(&mut self, observed: Observed, make: impl FnOnce(Key) -> Instance) {
        let key = Key(self.next_key);
        self.next_key += 1;
        // Keys ascend, so the list stays sorted by them and can be searched in halves.
        self.entries.push(Entry {
            instance: make(key),
            observed,
            wake_at_ms: None,
            hold: Hold::default(),
            usage: None,
        });
    }

    /// Forgets one entry.
    pub fn remove(&mut self, key: Key) {
        if let Some(index) = self.index(key) {
            self.entries.remove(index);
        }
    }

    /// Forgets everything of which nothing runs; returns the keys, which are not used again.
    pub fn forget_idle(&mut self) -> Vec<Key> {
        let idle = |entry: &mut Entry| plan::is_idle(&entry.instance, &entry.observed);
        self.entries.extract_if(.., idle).map(|entry| entry.instance.key).collect()
    }

    /// Decides about one entry and remembers the decision; the effects are the caller's to carry out. `None` if the
    /// entry was forgotten before.
    pub fn decide(&mut self, key: Key, now_ms: u64) -> Option<Plan> {
        let index = self.index(key)?;
        let order = order::order(self, &self.entries[index].instance);
        let entry = &mut self.entries[index];
        entry.observed.order = order;
        let plan = plan::plan(&entry.instance, &entry.observed, now_ms);
        entry.instance = plan.instance.clone();
        entry.wake_at_ms = plan.wake_at_ms;
        if plan.forget {
            self.entries.remove(index);
        }
        Some(plan)
    }

    /// Whether any instance comes after another.
    #[must_use]
    pub fn has_order(&self) -> bool {
        self.entries.iter().any(|entry| !entry.instance.spec.after.is_empty())
    }

    /// The entries that waited for others when they were decided about, and that another decision lets go on.
    #[must_use]
    pub fn let_go(&self) -> Vec<Key> {
        let is_let_go = |entry: &&Entry| {
            let held = &entry.observed.order;
            let waits = held.up.is_some() || held.down.is_some();
            waits && *held != order::order(self, &entry.instance)
        };
        self.entries.iter().filter(is_let_go).map(|entry| entry.instance.key).collect()
    }

    /// The entries that are due at `now_ms`.
    #[must_use]
    pub fn due(&self, now_ms: u64) -> Vec<Key> {
        let is_due = |entry: &&Entry| entry.wake_at_ms.is_some_and(|at_ms| at_ms <= now_ms);
        self.entries.iter().filter(is_due).map(|entry| entry.instance.key).collect()
    }

    /// When the next entry is due.
    #[must_use]
    pub fn next_wake_ms(&self) -> Option<u64> {
        self.entries.iter().filter_map(|entry| entry.wake_at_ms).min()
    }

    /// Whether nothing runs or is about to: the manager may end.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.entries.iter().all(|entry| plan::is_idle(&entry.instance, &entry.observed))
    }

    fn index(&self, key: Key) -> Option<usize> {
        self.entries.binary_search_by_key(&key, |entry| entry.instance.key).ok()
    }
}
