//! Where the configuration comes from: a store that is watched, or a file that is looked at.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use campanile_control::WorkerHandle;
use campanile_control::journal::{NewEvent, kinds};
use campanile_store::{Store, StoreError, WatchEvent};
use campanile_yaml::Diagnostics;

use crate::config::{self, Cluster, Pairing};
use crate::desired;
use crate::keys::{self, Layout};
use crate::manager::Manager;
use crate::model::{BalanceBy, Desired};

/// How often a file is looked at.
const FILE_EVERY: Duration = Duration::from_millis(500);
/// A save of the original takes many steps; the last one is the one that counts. Others come together within this time.
const SETTLE: Duration = Duration::from_millis(50);
/// Waits before a store that cannot be read is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// How a configuration is taken: what the command line adds to it.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// What is divided, unless the configuration says it.
    pub by: BalanceBy,
    /// The program that aggregators of this machine are started with, if they are.
    pub start_aggregators: Option<PathBuf>,
}

impl Reading {
    /// What a configuration wants.
    #[must_use]
    pub fn desired(&self, cluster: &Cluster) -> Desired {
        let mut desired = desired::desired(cluster, self.by);
        if let Some(program) = &self.start_aggregators {
            desired::start_aggregators(&mut desired, cluster, program);
        }
        desired
    }
}

/// A place the configuration comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A file.
    File(PathBuf),
    /// A store.
    Store(Arc<dyn Store>, Layout),
}

/// Why there is no configuration to begin with.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The file cannot be used.
    #[error("the cluster file cannot be used")]
    File(Diagnostics),
    /// The store cannot be read.
    #[error("the configuration cannot be read")]
    Store(#[from] StoreError),
    /// Nothing is stored under that name.
    #[error("{store} has no cluster '{name}'; save one with `campanile ldms load` or maestro_ctrl")]
    Nothing {
        /// The store.
        store: String,
        /// The name.
        name: String,
    },
}

impl Source {
    /// Reads the configuration.
    ///
    /// # Errors
    /// When there is none, or it cannot be used.
    pub async fn read(&self, name: &str) -> Result<Cluster, SourceError> {
        match self {
            Self::File(path) => read_file(path).map_err(SourceError::File),
            Self::Store(store, layout) => {
                let loaded = keys::load(&**store, layout).await?;
                let Some(loaded) = loaded else {
                    return Err(SourceError::Nothing { store: store.describe(), name: name.to_owned() });
                };
                for problem in &loaded.problems {
                    tracing::warn!("stored configuration: {problem}");
                }
                Ok(loaded.cluster)
            }
        }
    }

    /// Follows the configuration for as long as the manager lives.
    pub async fn follow(self, name: String, manager: Manager, how: Reading, worker: WorkerHandle) {
        match self {
            Self::File(path) => follow_file(&path, &manager, &how, &worker).await,
            Self::Store(store, layout) => follow_store(store, &layout, &name, &manager, &how, &worker).await,
        }
    }
}

fn read_file(path: &Path) -> Result<Cluster, Diagnostics> {
    let (cluster, diagnostics) = config::read_file(path, Pairing::Written);
    match cluster {
        Some(cluster) if !diagnostics.has_errors() => Ok(cluster),
        _ => Err(diagnostics),
    }
}

fn take(manager: &Manager, cluster: &Cluster, how: &Reading) {
    manager.reconfigure(how.desired(cluster));
}

fn refuse(manager: &Manager, worker: &WorkerHandle, text: &str) {
    worker.error(text);
    tracing::warn!("{text}; the last good configuration stays in force");
    if let Some(journal) = manager.journal() {
        journal.record(NewEvent::new(kinds::CONFIG, "cluster", format!("refused: {text}")));
    }
}

async fn follow_file(path: &Path, manager: &Manager, how: &Reading, worker: &WorkerHandle) {
    let modified = |path: &Path| -> Option<(SystemTime, u64)> {
        let about = std::fs::metadata(path).ok()?;
        Some((about.modified().ok()?, about.len()))
    };
    let mut last = modified(path);
    loop {
        worker.idle();
        tokio::time::sleep(FILE_EVERY).await;
        let now = modified(path);
        if now == last || now.is_none() {
            continue;
        }
        last = now;
        worker.busy("reading the cluster file");
        match read_file(path) {
            Ok(cluster) => take(manager, &cluster, how),
            Err(diagnostics) => refuse(manager, worker, &diagnostics.render(false)),
        }
    }
}

async fn follow_store(
    store: Arc<dyn Store>,
    layout: &Layout,
    name: &str,
    manager: &Manager,
    how: &Reading,
    worker: &WorkerHandle,
) {
    let source = Source::Store(Arc::clone(&store), layout.clone());
    let trigger = layout.last_updated();
    loop {
        worker.busy("reading the configuration");
        let read = async {
            let loaded = keys::load(&*store, layout).await?;
            let revision = loaded.as_ref().map_or(0, |loaded| loaded.revision);
            if let Some(loaded) = loaded {
                take(manager, &loaded.cluster, how);
            }
            store.watch(&layout.shared, revision).await
        };
        let mut watch = match read.await {
            Ok(watch) => watch,
            Err(error) => {
                worker.error(&error.to_string());
                tokio::time::sleep(RETRY).await;
                continue;
            }
        };
        worker.idle();
        while let Some(event) = watch.next().await {
            let changed = match event {
                WatchEvent::Changed { keys, .. } => keys.iter().any(|event| event.key == trigger),
                WatchEvent::Resync { .. } => true,
                WatchEvent::Away { reason } => {
                    worker.error(&reason);
                    false
                }
                WatchEvent::Back => false,
            };
            if !changed {
                continue;
            }
            tokio::time::sleep(SETTLE).await;
            worker.busy("reading the configuration");
            match source.read(name).await {
                Ok(cluster) => take(manager, &cluster, how),
                Err(error) => refuse(manager, worker, &error.to_string()),
            }
            worker.idle();
        }
        tokio::time::sleep(RETRY).await;
    }
}
