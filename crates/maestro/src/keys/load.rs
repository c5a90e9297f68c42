//! Loading a cluster from a store.

use std::collections::BTreeMap;
use std::path::Path;

use campanile_store::{Revision, Store, StoreError};
use serde::{Deserialize, Serialize};

use super::{Layout, from_keys};
use crate::config::{self, Cluster, Pairing};

/// The text of the file that keys were made of.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StoredSource {
    /// The value of `last_updated` that was written together with it.
    pub(super) last_updated: String,
    /// The text.
    pub(super) text: String,
    /// Whether its hostlists were paired as the original does.
    pub(super) pairing_original: bool,
}

impl StoredSource {
    pub(super) fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    pub(super) fn to_text(&self) -> String {
        serde_json::json!({
            "last_updated": self.last_updated,
            "text": self.text,
            "pairing_original": self.pairing_original,
        })
        .to_string()
    }

    pub(super) fn pairing(&self) -> Pairing {
        if self.pairing_original { Pairing::Original } else { Pairing::Written }
    }
}

/// Where a loaded cluster comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The text of the file, saved by us: nothing is lost.
    Text,
    /// The keys, saved by the original.
    Keys,
}

/// A cluster as it is stored.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The cluster.
    pub cluster: Cluster,
    /// Where it comes from.
    pub source: Source,
    /// When it was saved, as `last_updated` has it.
    pub last_updated: String,
    /// The revision of the store; a watch from here misses nothing.
    pub revision: Revision,
    /// What about it makes no sense, one sentence each.
    pub problems: Vec<String>,
    /// The text of the file, where it is kept and is that of this save.
    pub text: Option<String>,
}

/// Loads the cluster that was saved last; none if none ever was.
///
/// # Errors
/// When the store cannot be read.
pub async fn load(store: &dyn Store, layout: &Layout) -> Result<Option<Loaded>, StoreError> {
    // The text is read before the keys: if a save comes in between, it is older than they are, and is not taken.
    let own = store.read(&layout.own).await?;
    let shared = store.read(&layout.shared).await?;
    let mut keys: BTreeMap<String, String> = BTreeMap::new();
    for (key, value) in shared.keys {
        if let Some(path) = layout.shared.strip(&key) {
            keys.insert(path.to_owned(), value);
        }
    }
    let Some(last_updated) = keys.remove(super::LAST_UPDATED) else { return Ok(None) };
    let revision = shared.revision;
    let source = own.keys.get(&layout.source()).and_then(|source| StoredSource::parse(source));
    let mut problems = Vec::new();
    let mut extension = None;
    if let Some(source) = source {
        let (cluster, diagnostics) =
            config::parse(Path::new("the stored file"), source.text.as_bytes(), source.pairing());
        let cluster = cluster.filter(|_| !diagnostics.has_errors());
        if source.last_updated == last_updated
            && let Some(cluster) = cluster
        {
            let text = Some(source.text);
            let source = Source::Text;
            return Ok(Some(Loaded { cluster, source, last_updated, revision, problems, text }));
        }
        // Saved by the original since then. It knows nothing of our section, which stays as it was.
        extension = cluster.map(|cluster| cluster.extension);
    }
    if own.keys.contains_key(&layout.saving()) {
        problems.push("a save was cut short, and what is stored is not whole: save again".to_owned());
    }
    let (mut cluster, found) = from_keys(&keys);
    problems.extend(found);
    if let Some(extension) = extension.filter(|extension| *extension != config::Extension::default()) {
        problems.push(
            "the `campanile:` section is that of an older save: the last one was made without it".to_owned(),
        );
        cluster.extension = extension;
    }
    Ok(Some(Loaded { cluster, source: Source::Keys, last_updated, revision, problems, text: None }))
}
