//! What outlives the manager: who has what, what was done in the life of each daemon, who is drained.
//!
//! It is a convenience and never the truth: what daemons say counts more. Losing it costs a few harmless requests.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use campanile_control::atomic_file;
use serde::{Deserialize, Serialize};

use crate::conductor::Conductor;
use crate::model::Name;
use crate::plan::{Memory, Retired};

/// Name of the file in a state directory.
pub const FILE: &str = "runtime.json";
/// A larger file is not read.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// What is remembered of one daemon.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Daemon {
    /// See [`Memory::cfg_cntr`].
    pub cfg_cntr: u64,
    /// See [`Memory::marks`].
    pub marks: BTreeMap<String, u64>,
    /// See [`Memory::retired`].
    #[serde(default, skip_serializing_if = "Retired::is_empty")]
    pub retired: Retired,
}

/// Everything that is remembered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Runtime {
    /// By name of the daemon.
    #[serde(default)]
    pub daemons: BTreeMap<String, Daemon>,
    /// Who has what: by group, then by producer (and set), the aggregator.
    #[serde(default)]
    pub assigned: BTreeMap<String, BTreeMap<String, String>>,
    /// Aggregators that are to carry nothing.
    #[serde(default)]
    pub drained: BTreeSet<String>,
}

impl Runtime {
    /// What a conductor knows.
    #[must_use]
    pub fn of(conductor: &Conductor) -> Self {
        let desired = conductor.desired();
        let daemons = desired.daemons.iter().enumerate().filter_map(|(at, daemon)| {
            let memory = &conductor.track(at).memory;
            let worth = !memory.marks.is_empty() || !memory.retired.is_empty();
            let saved = Daemon {
                cfg_cntr: memory.cfg_cntr,
                marks: memory.marks.clone(),
                retired: memory.retired.clone(),
            };
            worth.then(|| (daemon.name.to_string(), saved))
        });
        let assigned = desired.groups.iter().enumerate().filter(|(at, _)| conductor.assignment(*at).ready);
        Self {
            daemons: daemons.collect(),
            assigned: assigned.map(|(at, group)| (group.name.to_string(), conductor.export(at))).collect(),
            drained: conductor.drained().iter().map(ToString::to_string).collect(),
        }
    }

    /// Gives it to a conductor that has just begun.
    pub fn remind(self, conductor: &mut Conductor) {
        let memory = |saved: Daemon| Memory {
            cfg_cntr: saved.cfg_cntr,
            marks: saved.marks,
            retired: saved.retired,
            ..Memory::default()
        };
        let memories = self.daemons.into_iter().map(|(name, saved)| (name, memory(saved))).collect();
        let drained = self.drained.iter().map(|name| Name::from(name.as_str())).collect();
        conductor.remember(memories, self.assigned, drained);
    }
}

/// Where it is kept.
#[derive(Clone, Debug)]
pub struct StateFile(PathBuf);

impl StateFile {
    /// The file in a state directory.
    #[must_use]
    pub fn in_dir(dir: &Path) -> Self {
        Self(dir.join(FILE))
    }

    /// Reads it; nothing where there is none.
    ///
    /// # Errors
    /// When it cannot be read or understood; the manager then begins without it.
    pub fn read(&self) -> std::io::Result<Option<Runtime>> {
        match std::fs::metadata(&self.0) {
            Ok(about) if about.len() > MAX_BYTES => return Err(std::io::Error::other("it is too large")),
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        }
        let text = std::fs::read(&self.0)?;
        serde_json::from_slice(&text).map(Some).map_err(std::io::Error::other)
    }

    /// Replaces it.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn write(&self, runtime: &Runtime) -> std::io::Result<()> {
        atomic_file::replace(&self.0, &serde_json::to_vec(runtime)?)
    }
}
