//! A session: a row with an end, which is moved on while this value lives.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::clock::{instant_of, passed, since_boot_ms};
use super::database::{Database, Leased};
use crate::{Change, Committed, Revision, Session, StoreError};

/// The shortest session, in milliseconds: a loaded machine must be able to renew it in time.
const SHORTEST_MS: i64 = 500;
/// Our own deadline comes earlier than the one in the database by this part of the time: a tenth.
const MARGIN_DIVISOR: i64 = 10;
/// Renewals per time of the session.
const RENEWALS: u32 = 4;

#[derive(Debug)]
pub(super) struct EmbeddedSession {
    database: Arc<Database>,
    lease: i64,
    /// Our own deadline, in milliseconds since boot.
    valid_until_ms: Arc<AtomicI64>,
    ended: watch::Receiver<bool>,
    renewing: JoinHandle<()>,
}

impl EmbeddedSession {
    pub(super) async fn open(database: Arc<Database>, ttl_ms: u64) -> Result<Self, StoreError> {
        let ttl_ms = i64::try_from(ttl_ms).unwrap_or(i64::MAX / 2).max(SHORTEST_MS);
        let ends_ms = since_boot_ms() + ttl_ms;
        let lease = database.grant(ends_ms).await?;
        let valid_until_ms = Arc::new(AtomicI64::new(ends_ms - ttl_ms / MARGIN_DIVISOR));
        let (ends, ended) = watch::channel(false);
        let task = renew(Arc::clone(&database), lease, ttl_ms, Arc::clone(&valid_until_ms), ends);
        let renewing = tokio::spawn(task);
        Ok(Self { database, lease, valid_until_ms, ended, renewing })
    }

    fn alive(&self) -> Result<(), StoreError> {
        if self.is_valid() { Ok(()) } else { Err(StoreError::SessionEnded) }
    }
}

async fn renew(
    database: Arc<Database>,
    lease: i64,
    ttl_ms: i64,
    valid_until_ms: Arc<AtomicI64>,
    ends: watch::Sender<bool>,
) {
    let pause = Duration::from_millis(u64::try_from(ttl_ms).unwrap_or(1)) / RENEWALS;
    loop {
        tokio::time::sleep(pause).await;
        let ends_ms = since_boot_ms() + ttl_ms;
        let renewed = database.renew(lease, ends_ms).await;
        match renewed {
            Ok(true) => valid_until_ms.store(ends_ms - ttl_ms / MARGIN_DIVISOR, Ordering::Release),
            Err(_) if !passed(valid_until_ms.load(Ordering::Acquire)) => {}
            Ok(false) | Err(_) => {
                valid_until_ms.store(0, Ordering::Release);
                let _ = ends.send(true);
                return;
            }
        }
    }
}

#[async_trait]
impl Session for EmbeddedSession {
    async fn acquire(&self, key: &str, value: &str) -> Result<bool, StoreError> {
        self.alive()?;
        match self.database.put_leased(key, value, self.lease, true).await? {
            Leased::Done(revision) => Ok(revision.is_some()),
            Leased::Gone => Err(StoreError::SessionEnded),
        }
    }

    async fn put(&self, key: &str, value: &str) -> Result<Revision, StoreError> {
        self.alive()?;
        match self.database.put_leased(key, value, self.lease, false).await? {
            Leased::Done(Some(revision)) => Ok(revision),
            Leased::Done(None) | Leased::Gone => Err(StoreError::SessionEnded),
        }
    }

    async fn commit(&self, change: &Change) -> Result<Committed, StoreError> {
        self.alive()?;
        self.database.commit(change, Some(self.lease)).await
    }

    async fn release(&self, key: &str) -> Result<(), StoreError> {
        self.alive()?;
        self.database.release(key, self.lease).await
    }

    fn valid_until(&self) -> Instant {
        instant_of(self.valid_until_ms.load(Ordering::Acquire))
    }

    fn is_valid(&self) -> bool {
        !passed(self.valid_until_ms.load(Ordering::Acquire))
    }

    async fn ended(&self) {
        let mut ended = self.ended.clone();
        // An error means that the renewing task is gone, and the session with it.
        let _ = ended.wait_for(|ended| *ended).await;
    }

    async fn close(self: Box<Self>) {
        self.renewing.abort();
        self.valid_until_ms.store(0, Ordering::Release);
        // Ended already, it is as closed as it can be.
        let ended = async {
            self.database.renew(self.lease, 0).await?;
            self.database.end_leases().await
        };
        if let Err(error) = ended.await {
            tracing::debug!(%error, "a session is left to end by itself");
        }
    }
}

impl Drop for EmbeddedSession {
    fn drop(&mut self) {
        self.renewing.abort();
    }
}
