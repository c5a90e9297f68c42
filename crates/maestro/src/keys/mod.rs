//! The cluster as keys of a store, in the layout of the original: its Maestro runs on what is saved here, and what its
//! `maestro_ctrl` has saved is read here.
//!
//! A key is a path, a value the text of one scalar. Lists have keys of six digits, so that their order is that of the
//! keys. Nothing is written for what is missing, false or empty. `last_updated` (seconds since the epoch) is what the
//! original watches.
//!
//! Beside the original's keys (`/NAME/`) there are ours (`/.campanile/NAME/`), which no save of the original deletes:
//! the text of the file itself, for what the original's keys do not keep (the `campanile:` section, the written order),
//! and the mark of a save that takes several steps.
//!
//! * `write`: a cluster as keys. `tree`, `read`: keys as a cluster. `save`, `load`: both on a store.

pub mod load;
mod read;
pub mod save;
mod tree;
mod write;

use campanile_store::Prefix;

pub use load::{Loaded, Source, load};
pub use read::from_keys;
pub use save::{Difference, Origin, SaveError, Saved, save};
pub use write::to_keys;

/// The key that the original watches.
pub const LAST_UPDATED: &str = "last_updated";
/// Our key with the text of the file.
const SOURCE: &str = "config/source";
/// Our key that is there while a save that takes several steps is under way, or was cut short.
const SAVING: &str = "config/saving";

/// Where one cluster's keys are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The original's keys: `/NAME/`.
    pub shared: Prefix,
    /// Our keys: `/.campanile/NAME/`. Below it, `runtime/` is the manager's.
    pub own: Prefix,
}

impl Layout {
    /// The layout for the name that `--prefix` gives; a slash before it counts for nothing, as in the original.
    ///
    /// # Errors
    /// When the name is empty or has a slash inside: its keys would be among those of another cluster.
    pub fn of(name: &str) -> Result<Self, BadName> {
        let plain = name.strip_prefix('/').unwrap_or(name);
        if plain.is_empty() || plain.contains('/') || plain == OWN {
            return Err(BadName(name.to_owned()));
        }
        Ok(Self { shared: Prefix::new(plain), own: Prefix::new(&format!("{OWN}/{plain}")) })
    }

    /// The key that the original watches.
    #[must_use]
    pub fn last_updated(&self) -> String {
        self.shared.key(LAST_UPDATED)
    }

    fn source(&self) -> String {
        self.own.key(SOURCE)
    }

    fn saving(&self) -> String {
        self.own.key(SAVING)
    }

    /// Where the manager keeps what it must remember: `/.campanile/NAME/runtime/`.
    #[must_use]
    pub fn runtime(&self) -> Prefix {
        Prefix::new(&self.own.key("runtime"))
    }
}

/// The part of the store that is ours.
const OWN: &str = ".campanile";

/// A name that cannot be that of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' cannot be the name of a cluster: it must have no slash inside")]
pub struct BadName(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_clusters_never_mix() {
        let layout = Layout::of("ovis3").unwrap();
        assert_eq!((layout.shared.as_str(), layout.own.as_str()), ("/ovis3/", "/.campanile/ovis3/"));
        assert_eq!(layout.shared.strip("/ovis30/daemons"), None);
        assert_eq!(Layout::of("/ovis3").unwrap(), layout);
        assert_eq!(layout.last_updated(), "/ovis3/last_updated");
        for name in ["", "/", "a/b", "a/", ".campanile", "//a"] {
            assert!(Layout::of(name).is_err(), "{name}");
        }
    }
}
