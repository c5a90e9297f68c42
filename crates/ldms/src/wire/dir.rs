//! The directory of metric sets, which travels as JSON.

use serde::{Deserialize, Serialize};

/// A moment or a span, in two parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Timestamp {
    /// Seconds.
    pub sec: i64,
    /// Microseconds.
    pub usec: i64,
}

impl Timestamp {
    /// From microseconds.
    #[must_use]
    pub fn from_us(time_us: u64) -> Self {
        let part = |us: u64| i64::try_from(us).unwrap_or(i64::MAX);
        Self { sec: part(time_us / 1_000_000), usec: part(time_us % 1_000_000) }
    }

    /// In microseconds; 0 for a moment before the epoch.
    #[must_use]
    pub fn as_us(self) -> u64 {
        self.sec.saturating_mul(1_000_000).saturating_add(self.usec).try_into().unwrap_or(0)
    }
}

/// One thing known of a set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Info {
    /// Name, such as `updt_hint_us`.
    pub key: String,
    /// Value.
    pub value: String,
}

/// One set of a directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirEntry {
    /// Name of the set.
    pub name: String,
    /// Name of its schema.
    pub schema: String,
    /// Hash of the schema, in hexadecimal digits.
    #[serde(default)]
    pub digest: String,
    /// Three characters: `C` consistent; `L` sampled here or `R` fetched from another daemon; `P` pushed.
    #[serde(default)]
    pub flags: String,
    /// Bytes of the description.
    #[serde(default)]
    pub meta_size: u64,
    /// Bytes of the values: the weight of a set when sets are balanced.
    #[serde(default)]
    pub data_size: u64,
    /// Bytes of the heap.
    #[serde(default)]
    pub heap_size: u64,
    /// Owner.
    #[serde(default)]
    pub uid: i64,
    /// Group.
    #[serde(default)]
    pub gid: i64,
    /// Permissions, such as `-rwxr-xr-x`.
    #[serde(default)]
    pub perm: String,
    /// Number of metrics.
    #[serde(default)]
    pub card: u64,
    /// Copies of the values.
    #[serde(default)]
    pub array_card: u64,
    /// Generation of the description.
    #[serde(default)]
    pub meta_gn: u64,
    /// Generation of the values.
    #[serde(default)]
    pub data_gn: u64,
    /// When the values were sampled.
    #[serde(default)]
    pub timestamp: Timestamp,
    /// How long that took.
    #[serde(default)]
    pub duration: Timestamp,
    /// What else is known.
    #[serde(default)]
    pub info: Vec<Info>,
}

impl DirEntry {
    /// The value of one thing known of the set.
    #[must_use]
    pub fn info(&self, key: &str) -> Option<&str> {
        self.info.iter().find(|info| info.key == key).map(|info| info.value.as_str())
    }

    /// Interval and offset at which the set is sampled (or updated), in microseconds. `plugn_status` does not say.
    #[must_use]
    pub fn update_hint_us(&self) -> Option<(i64, Option<i64>)> {
        let hint = self.info("updt_hint_us")?;
        let (interval, offset) = hint.split_once(':').map_or((hint, None), |(a, b)| (a, Some(b)));
        Some((interval.trim().parse().ok()?, offset.and_then(|offset| offset.trim().parse().ok())))
    }
}

#[derive(Serialize, Deserialize)]
struct Directory {
    directory: Vec<DirEntry>,
}

/// Reads one part of a directory.
///
/// # Errors
/// When it is not JSON of that form.
pub fn parse(json: &[u8]) -> Result<Vec<DirEntry>, serde_json::Error> {
    // Names come from other programs: a byte that is not UTF-8 must not hide the other sets.
    let text = String::from_utf8_lossy(json);
    serde_json::from_str::<Directory>(&text).map(|directory| directory.directory)
}

/// Writes one part of a directory.
#[must_use]
pub fn render(entries: &[DirEntry]) -> Vec<u8> {
    // Serialising plain strings and numbers cannot fail.
    serde_json::to_vec(&serde_json::json!({ "directory": entries })).unwrap_or_default()
}
