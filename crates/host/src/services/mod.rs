//! Docker compose services: what the files and the engine say of them, and what that means for the instances. Pure.
//!
//! ```text
//! compose config ─ document ─▶ ╲
//!                               join ─▶ View ─ settle ─▶ table
//! engine (list, inspect) ─────▶ ╱
//! ```

pub mod document;
pub mod join;
pub mod settle;

use std::collections::BTreeMap;
use std::path::PathBuf;

pub use document::{Document, Service};

/// The exit code of a service that has no container, as OCS has it: an exit code is never missing.
pub const NO_EXIT_CODE: i64 = 127;

/// A container that compose has made, as the engine knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// Its id.
    pub id: String,
    /// The compose project that it belongs to.
    pub project: String,
    /// The service that it was made for.
    pub service: String,
    /// The compose files that it was made from, absolute; several if there were several `-f`.
    pub config_files: Vec<PathBuf>,
    /// Whether it is a single run (`docker compose run`), which does not stand for the service.
    pub is_one_off: bool,
    /// Whether it runs.
    pub running: bool,
    /// Whether its first process has ended, and the engine has not told how yet; it counts as running meanwhile.
    pub leaving: bool,
    /// How it ended last; what the engine says while it runs means nothing. `None` if it is gone, and nobody saw how.
    pub exit_code: Option<i64>,
    /// Whether it was removed, and is only remembered for how it ended.
    pub is_gone: bool,
    /// Id of its image.
    pub image_id: String,
    /// Its first process, as this host counts; 0 if it does not run.
    pub pid: u32,
    /// When it was started last, monotonic milliseconds; 0 if it never was.
    pub started_ms: u64,
    /// When it ended last, monotonic milliseconds.
    pub ended_ms: u64,
    /// The last lines of its outputs, if it has ended.
    pub tail: Tail,
}

/// The last lines of a container's outputs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tail {
    /// Of its standard output.
    pub stdout: String,
    /// Of its standard error.
    pub stderr: String,
}

/// A service as it stands: what its file says and what the engine has of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceState {
    /// The compose file, as it was named.
    pub compose_file: String,
    /// What the file says.
    pub service: Service,
    /// The id of the image that the file names; `None` if this host does not have it.
    pub image_id: Option<String>,
    /// Whether the engine was asked for that image already.
    pub is_complete: bool,
    /// Its container, if it has one; of several the one that tells most of it.
    pub container: Option<Container>,
}

impl ServiceState {
    /// Whether it runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.container.as_ref().is_some_and(|container| container.running)
    }

    /// Whether it runs with another image than its file names now. An image that is not here yet counts as another
    /// one, unless it is built here and may never have been.
    #[must_use]
    pub fn needs_restart(&self) -> bool {
        let Some(container) = self.container.as_ref().filter(|container| container.running) else {
            return false;
        };
        match &self.image_id {
            Some(id) => *id != container.image_id,
            None => !self.service.is_built,
        }
    }

    /// The tag that has to be pulled before the service can be started from it.
    #[must_use]
    pub fn new_tag(&self) -> Option<&str> {
        let is_missing = self.image_id.is_none() && !self.service.is_built;
        is_missing.then_some(self.service.image.as_str())
    }
}

/// What is known of the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Engine {
    /// It was not looked at yet.
    Waiting,
    /// Its containers are known.
    Seen,
    /// It does not answer, for this reason.
    Away(String),
}

/// A compose file that is managed, and what came of its last reading.
#[derive(Clone, Debug, PartialEq)]
pub struct FileState {
    /// The file, as it was named.
    pub name: String,
    /// Whether it could be read, when it was read last (seconds since the Unix epoch), and a message; `None` before
    /// the first reading.
    pub status: Option<(bool, f64, String)>,
    /// What it says; that of the last good reading.
    pub document: Option<Document>,
}

/// A container of a managed file's project whose service the file has no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orphan {
    /// The compose file, as it was named.
    pub compose_file: String,
    /// The container.
    pub container: Container,
}

/// The last launch that was asked of docker for a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    /// Its number, as the plan counts.
    pub number: u32,
    /// `None` while docker is at it; then when it was done, and what went wrong.
    pub done: Option<(u64, Result<(), String>)>,
}

/// All that is known of docker at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    /// The engine.
    pub engine: Engine,
    /// The compose files, in the order in which they were named.
    pub files: Vec<FileState>,
    /// The services of all files, by their names.
    pub services: BTreeMap<String, ServiceState>,
    /// Orphans, by the ids of their containers.
    pub orphans: BTreeMap<String, Orphan>,
    /// Launches, by service.
    pub launches: BTreeMap<String, Launch>,
}

impl View {
    /// Whether a file was never read.
    #[must_use]
    pub fn has_unread_files(&self) -> bool {
        self.files.iter().any(|file| file.status.is_none())
    }
}
