//! The backend that speaks to an etcd cluster (API version 3; etcd 3.4 and later).
//!
//! * `cluster_file`: the members, as the original's `etcd.yaml` names them.
//! * `members`: one connection to each, and which of them is asked.
//! * `calls`: reading and committing. `watch`, `session`: what runs in the background.
//!
//! **Limits of etcd that shape this.** A transaction takes 128 operations, but each level of nesting counts apart, so
//! that thousands fit into one. A request takes 1.5 MiB. Without keepalive pings a hung member gives no error at all. A
//! compaction ends a watch with one message and then silence. A lease is never shorter than 2 s.

mod calls;
mod cluster_file;
mod failure;
mod members;
mod session;
mod watch;

use std::sync::Arc;

use async_trait::async_trait;

pub use cluster_file::{ClusterFile, DEFAULT_PORT, Member, Tls, read_cluster_file};

use crate::{Change, Committed, Prefix, Revision, Session, Snapshot, Store, StoreError, Watch};
use members::Members;
pub use members::Timeouts;

/// An etcd cluster. Nothing is connected before the first call.
#[derive(Debug)]
pub struct EtcdStore {
    members: Arc<Members>,
}

impl EtcdStore {
    /// The cluster that a file describes.
    ///
    /// # Errors
    /// When the file names no member, or a certificate or password it names cannot be read.
    pub fn open(cluster: &ClusterFile) -> Result<Self, StoreError> {
        Self::open_with(cluster, Timeouts::default())
    }

    /// The same, with other patience.
    ///
    /// # Errors
    /// As [`EtcdStore::open`].
    pub fn open_with(cluster: &ClusterFile, timeouts: Timeouts) -> Result<Self, StoreError> {
        Ok(Self { members: Arc::new(Members::new(cluster, timeouts)?) })
    }
}

#[async_trait]
impl Store for EtcdStore {
    async fn read(&self, prefix: &Prefix) -> Result<Snapshot, StoreError> {
        calls::read(&self.members, prefix).await
    }

    async fn commit(&self, change: &Change) -> Result<Committed, StoreError> {
        calls::commit(&self.members, change).await
    }

    async fn watch(&self, prefix: &Prefix, after: Revision) -> Result<Watch, StoreError> {
        watch::start(Arc::clone(&self.members), prefix.clone(), after).await
    }

    async fn open_session(&self, ttl_ms: u64) -> Result<Box<dyn Session>, StoreError> {
        Ok(Box::new(session::EtcdSession::open(Arc::clone(&self.members), ttl_ms).await?))
    }

    fn describe(&self) -> String {
        self.members.describe()
    }
}
