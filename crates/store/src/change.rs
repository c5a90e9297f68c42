//! The values of the contract: keys below a prefix, changes to them, and news of changes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// A count that grows with every change of the store. Revisions of different stores have nothing to do with each other.
pub type Revision = i64;

/// The beginning that keys have in common; it ends with a slash, so that `/x/` is not the beginning of `/xy/k`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Prefix(String);

impl Prefix {
    /// The keys below `path`; slashes at both its ends are put where they are missing.
    #[must_use]
    pub fn new(path: &str) -> Self {
        let path = path.trim_matches('/');
        Self(if path.is_empty() { "/".to_owned() } else { format!("/{path}/") })
    }

    /// It, with the slash at its end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The key below it.
    #[must_use]
    pub fn key(&self, rest: &str) -> String {
        format!("{}{rest}", self.0)
    }

    /// What of a key comes behind it; none for other keys.
    #[must_use]
    pub fn strip<'k>(&self, key: &'k str) -> Option<&'k str> {
        key.strip_prefix(&self.0)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// All keys below a prefix, with their values, as they were at one revision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The revision of the store then.
    pub revision: Revision,
    /// Whole keys and their values.
    pub keys: BTreeMap<String, String>,
}

/// What must hold for a change to happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guard {
    /// The key.
    pub key: String,
    /// What is expected of it.
    pub expect: Expect,
}

/// What a guard expects of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    /// It is not there.
    Absent,
    /// It is there, with any value.
    Present,
    /// It has this value.
    Value(String),
}

/// A change that happens whole or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// All of these must hold.
    pub guards: Vec<Guard>,
    /// Keys to be written, with their values.
    pub puts: BTreeMap<String, String>,
    /// Keys to be deleted.
    pub deletes: BTreeSet<String>,
}

impl Change {
    /// What turns `from` into `to`.
    #[must_use]
    pub fn between(from: &BTreeMap<String, String>, to: &BTreeMap<String, String>) -> Self {
        let puts = to.iter().filter(|(key, value)| from.get(*key) != Some(value));
        Self {
            guards: Vec::new(),
            puts: puts.map(|(key, value)| (key.clone(), value.clone())).collect(),
            deletes: from.keys().filter(|key| !to.contains_key(*key)).cloned().collect(),
        }
    }

    /// Adds a guard.
    #[must_use]
    pub fn guarded(mut self, key: impl Into<String>, expect: Expect) -> Self {
        self.guards.push(Guard { key: key.into(), expect });
        self
    }

    /// Keys it touches.
    #[must_use]
    pub fn len(&self) -> usize {
        self.puts.len() + self.deletes.len()
    }

    /// Whether it touches nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of the keys and values it touches.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let puts: usize = self.puts.iter().map(|(key, value)| key.len() + value.len()).sum();
        puts + self.deletes.iter().map(String::len).sum::<usize>()
    }
}

/// What became of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Committed {
    /// It has happened.
    Done {
        /// The revision it made.
        revision: Revision,
    },
    /// A guard did not hold; nothing has happened.
    Conflict,
}

/// One key that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyEvent {
    /// The key.
    pub key: String,
    /// Its new value; none when it was deleted.
    pub value: Option<String>,
}

/// News from a watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchEvent {
    /// Keys changed.
    Changed {
        /// The revision of the last of them.
        revision: Revision,
        /// All that changed since the event before, in order.
        keys: Vec<KeyEvent>,
    },
    /// The backend has forgotten what happened since the last event: read everything again. The watch goes on from
    /// this revision.
    Resync {
        /// Where it goes on.
        revision: Revision,
    },
    /// The backend cannot be reached at the moment; the watch goes on when it can.
    Away {
        /// What the last attempt said.
        reason: String,
    },
    /// The backend is back; nothing was missed.
    Back,
}
