//! The backend for one machine: an SQLite database that several programs of the machine share.
//!
//! It keeps the contract of etcd: revisions, guarded changes, watches that resume, sessions whose keys vanish. The past
//! is kept for [`KEPT_REVISIONS`] revisions. Sessions are timed by the clock of the machine since its boot, which no
//! change of the date moves; a reboot ends them all.

mod clock;
mod database;
mod session;
mod watch;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;

use crate::{Change, Committed, Prefix, Revision, Session, Snapshot, Store, StoreError, Watch};
use database::Database;

/// Revisions that a watch can resume from.
pub const KEPT_REVISIONS: i64 = 1_000;

/// A database in a directory of the machine.
#[derive(Debug)]
pub struct EmbeddedStore {
    database: Arc<Database>,
}

impl EmbeddedStore {
    /// Opens the database in this directory, and makes both where they are missing, readable for their owner only.
    ///
    /// # Errors
    /// When the directory or the file cannot be made, or is no database of ours.
    pub async fn open(dir: &Path) -> Result<Self, StoreError> {
        Ok(Self { database: Arc::new(Database::open(dir).await?) })
    }

    /// The file of the database in this directory.
    #[must_use]
    pub fn file_in(dir: &Path) -> PathBuf {
        dir.join(database::FILE)
    }
}

#[async_trait]
impl Store for EmbeddedStore {
    async fn read(&self, prefix: &Prefix) -> Result<Snapshot, StoreError> {
        self.database.read(prefix).await
    }

    async fn commit(&self, change: &Change) -> Result<Committed, StoreError> {
        self.database.commit(change, None).await
    }

    async fn watch(&self, prefix: &Prefix, after: Revision) -> Result<Watch, StoreError> {
        Ok(watch::start(Arc::clone(&self.database), prefix.clone(), after))
    }

    async fn open_session(&self, ttl_ms: u64) -> Result<Box<dyn Session>, StoreError> {
        Ok(Box::new(session::EmbeddedSession::open(Arc::clone(&self.database), ttl_ms).await?))
    }

    fn describe(&self) -> String {
        self.database.describe()
    }
}
