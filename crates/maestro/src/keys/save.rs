//! Saving a cluster: only what differs, whole or not at all, and never over somebody else's save.
//!
//! One transaction carries the difference, `last_updated`, and the text of the file, and happens only if `last_updated`
//! is still what it was when the difference was made. Where that is more than the store takes at once, the save goes in
//! steps: first a mark, then the keys, at last `last_updated` together with the text and without the mark. A save that
//! was cut short leaves the mark; the next save sees what is there, and so finishes or undoes it. Readers that see the
//! mark take the text of the last whole save.

use std::collections::BTreeMap;

use campanile_store::{Change, Committed, Expect, Revision, Snapshot, Store, StoreError};

use super::{Layout, to_keys};
use crate::config::{Cluster, Pairing};
use crate::keys::load::StoredSource;

/// Longest text of a file that is kept beside the keys, in bytes; a longer one is left out.
pub const MAX_SOURCE_BYTES: usize = 512 * 1024;
/// Keys in one step of a save that takes several.
const STEP_KEYS: usize = 4_000;
/// Bytes in one step of a save that takes several.
const STEP_BYTES: usize = 800_000;
/// Times that a save begins anew because somebody else has saved meanwhile.
const ATTEMPTS: u32 = 5;

/// Why a cluster was not saved.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Others saved the same cluster again and again.
    #[error("somebody else keeps saving this cluster")]
    Contended,
}

/// What a save would change, by key below the cluster's prefix.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Keys that are new.
    pub added: BTreeMap<String, String>,
    /// Keys with another value: what was, what will be.
    pub changed: BTreeMap<String, (String, String)>,
    /// Keys that go, with their values.
    pub removed: BTreeMap<String, String>,
}

impl Difference {
    /// Between what is stored (whole keys) and the cluster.
    #[must_use]
    pub fn between(layout: &Layout, stored: &Snapshot, cluster: &Cluster) -> Self {
        let mut difference = Self { added: to_keys(cluster), ..Self::default() };
        for (key, old) in &stored.keys {
            let Some(path) = layout.shared.strip(key).filter(|path| *path != super::LAST_UPDATED) else {
                continue;
            };
            match difference.added.remove(path) {
                Some(new) if new == *old => {}
                Some(new) => {
                    difference.changed.insert(path.to_owned(), (old.clone(), new));
                }
                None => {
                    difference.removed.insert(path.to_owned(), old.clone());
                }
            }
        }
        difference
    }

    /// Whether nothing would change.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.changed.is_empty() && self.removed.is_empty()
    }

    fn change(&self, layout: &Layout) -> Change {
        let added = self.added.iter();
        let changed = self.changed.iter().map(|(path, (_, value))| (path, value));
        let mut change = Change::default();
        change
            .puts
            .extend(added.chain(changed).map(|(path, value)| (layout.shared.key(path), value.clone())));
        change.deletes.extend(self.removed.keys().map(|path| layout.shared.key(path)));
        change
    }
}

/// What a save did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    /// What was changed; empty when all was there already.
    pub difference: Difference,
    /// The revision it made; none when there was nothing to do.
    pub revision: Option<Revision>,
    /// In how many transactions.
    pub steps: usize,
}

/// The file that a cluster was read from.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'t> {
    /// Its text.
    pub text: &'t str,
    /// How its hostlists were paired.
    pub pairing: Pairing,
}

/// Saves a cluster. `origin` is its file, `now_unix_s` the time that `last_updated` will have; nothing is written
/// when all is there already.
///
/// # Errors
/// When the store does not do it, or others keep saving.
pub async fn save(
    store: &dyn Store,
    layout: &Layout,
    cluster: &Cluster,
    origin: Origin<'_>,
    now_unix_s: f64,
) -> Result<Saved, SaveError> {
    for _ in 0..ATTEMPTS {
        if let Some(saved) = save_once(store, layout, cluster, origin, now_unix_s).await? {
            return Ok(saved);
        }
    }
    Err(SaveError::Contended)
}

/// None when somebody else came in between.
async fn save_once(
    store: &dyn Store,
    layout: &Layout,
    cluster: &Cluster,
    origin: Origin<'_>,
    now_unix_s: f64,
) -> Result<Option<Saved>, SaveError> {
    let stored = store.read(&layout.shared).await?;
    let own = store.read(&layout.own).await?;
    let difference = Difference::between(layout, &stored, cluster);
    let stamp = stored.keys.get(&layout.last_updated());
    let known = own.keys.get(&layout.source()).and_then(|source| StoredSource::parse(source));
    let cut_short = own.keys.get(&layout.saving()).cloned();
    let same_text = known.is_some_and(|known| {
        Some(&known.last_updated) == stamp && known.text == origin.text && known.pairing() == origin.pairing
    });
    let keeps_text = origin.text.len() <= MAX_SOURCE_BYTES;
    if difference.is_empty() && cut_short.is_none() && stamp.is_some() && (same_text || !keeps_text) {
        return Ok(Some(Saved { difference, revision: None, steps: 0 }));
    }
    let new_stamp = stamp_after(stamp, now_unix_s);
    let mut last = Change::default();
    if keeps_text {
        let source = StoredSource {
            last_updated: new_stamp.clone(),
            text: origin.text.to_owned(),
            pairing_original: origin.pairing == Pairing::Original,
        };
        last.puts.insert(layout.source(), source.to_text());
    } else if own.keys.contains_key(&layout.source()) {
        last.deletes.insert(layout.source());
    }
    last.puts.insert(layout.last_updated(), new_stamp.clone());
    last.deletes.extend(cut_short.is_some().then(|| layout.saving()));
    let expect = stamp.map_or(Expect::Absent, |stamp| Expect::Value(stamp.clone()));
    last = last.guarded(layout.last_updated(), expect);
    last = last.guarded(layout.saving(), cut_short.clone().map_or(Expect::Absent, Expect::Value));
    let mut whole = last.clone();
    let change = difference.change(layout);
    whole.puts.extend(change.puts.clone());
    whole.deletes.extend(change.deletes.clone());
    match store.commit(&whole).await {
        Ok(Committed::Done { revision }) => {
            return Ok(Some(Saved { difference, revision: Some(revision), steps: 1 }));
        }
        Ok(Committed::Conflict) => return Ok(None),
        Err(StoreError::TooLarge { .. }) => {}
        Err(other) => return Err(other.into()),
    }
    let Some((revision, steps)) = in_steps(store, layout, last, change, &new_stamp).await? else {
        return Ok(None);
    };
    Ok(Some(Saved { difference, revision: Some(revision), steps }))
}

/// Mark, keys, and `last_updated` at last; none when somebody else came in between.
async fn in_steps(
    store: &dyn Store,
    layout: &Layout,
    mut last: Change,
    change: Change,
    stamp: &str,
) -> Result<Option<(Revision, usize)>, SaveError> {
    // The mark is ours by its value; whoever takes it over stops us.
    let ours = Expect::Value(stamp.to_owned());
    let mut mark = Change { guards: last.guards.clone(), ..Change::default() };
    mark.puts.insert(layout.saving(), stamp.to_owned());
    if store.commit(&mark).await? == Committed::Conflict {
        return Ok(None);
    }
    let mut steps = 1;
    for step in divided(change) {
        let step = step.guarded(layout.saving(), ours.clone());
        if store.commit(&step).await? == Committed::Conflict {
            return Ok(None);
        }
        steps += 1;
    }
    for guard in &mut last.guards {
        if guard.key == layout.saving() {
            guard.expect = ours.clone();
        }
    }
    last.deletes.insert(layout.saving());
    match store.commit(&last).await? {
        Committed::Done { revision } => Ok(Some((revision, steps + 1))),
        Committed::Conflict => Ok(None),
    }
}

/// A change in pieces that a store takes.
fn divided(change: Change) -> Vec<Change> {
    let mut steps = vec![Change::default()];
    let mut bytes = 0;
    let puts = change.puts.into_iter().map(|(key, value)| (key, Some(value)));
    for (key, value) in puts.chain(change.deletes.into_iter().map(|key| (key, None))) {
        let size = key.len() + value.as_ref().map_or(0, String::len) + 32;
        let is_full = |step: &Change| step.len() >= STEP_KEYS || bytes + size > STEP_BYTES;
        if steps.last().is_none_or(is_full) {
            steps.push(Change::default());
            bytes = 0;
        }
        bytes += size;
        if let Some(step) = steps.last_mut() {
            match value {
                Some(value) => {
                    step.puts.insert(key, value);
                }
                None => {
                    step.deletes.insert(key);
                }
            }
        }
    }
    steps.retain(|step| !step.is_empty());
    steps
}

/// Seconds since the epoch as the original writes them, and never the same as before.
fn stamp_after(old: Option<&String>, now_unix_s: f64) -> String {
    let stamp = format!("{now_unix_s:.6}");
    match old {
        Some(old) if *old == stamp => format!("{:.6}", now_unix_s + 0.000_001),
        _ => stamp,
    }
}
