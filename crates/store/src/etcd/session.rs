//! A lease of etcd, kept alive in the background, with a deadline of our own.
//!
//! etcd lets a lease live for its time after the last renewal *arrived* there. We count the same time from the moment
//! before that renewal was *sent*, less a margin: so our count always ends first, whatever hangs or is cut off.
//!
//! It is renewed on a thread and over a connection of its own, however busy the program is otherwise.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use etcd_client::{Compare, CompareOp, PutOptions, Txn, TxnOp, TxnOpResponse};
use tokio::sync::watch;
use tokio::time::timeout;

use super::calls::{commit_under, error_of};
use super::failure::{Failure, classify};
use super::members::Members;
use crate::apart::Apart;
use crate::{Change, Committed, Revision, Session, StoreError};

/// etcd grants no lease that is shorter.
const SHORTEST_LEASE_S: u64 = 2;
/// Part of the lease's time that our own deadline comes earlier: a twentieth.
const MARGIN_DIVISOR: u32 = 20;
/// Renewals per time of the lease.
const RENEWALS: u32 = 4;

/// A lease that is renewed while this value lives.
#[derive(Debug)]
pub(super) struct EtcdSession {
    members: Arc<Members>,
    lease: i64,
    shared: Arc<Shared>,
    ended: watch::Receiver<bool>,
    renewing: Apart,
}

#[derive(Debug)]
struct Shared {
    valid_until: Mutex<Instant>,
}

impl Shared {
    fn valid_until(&self) -> Instant {
        *self.valid_until.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn extend(&self, until: Instant) {
        *self.valid_until.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }
}

/// Until when a renewal that was sent then keeps the session.
fn deadline(sent: Instant, ttl: Duration) -> Instant {
    sent + ttl - ttl / MARGIN_DIVISOR
}

impl EtcdSession {
    pub(super) async fn open(members: Arc<Members>, ttl_ms: u64) -> Result<Self, StoreError> {
        let wanted_s = i64::try_from(ttl_ms.div_ceil(1000).max(SHORTEST_LEASE_S)).unwrap_or(i64::MAX);
        // A grant that went unanswered leaves a lease behind that nobody renews; it ends by itself.
        let sent = Mutex::new(Instant::now());
        let answer = members.call(members.timeouts.request, |client| {
            *sent.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
            async move { client.lease_client().grant(wanted_s, None).await }
        });
        let granted = answer.await.map_err(|failure| error_of(failure, &members.describe()))?.value;
        let ttl = Duration::from_secs(u64::try_from(granted.ttl()).unwrap_or(SHORTEST_LEASE_S));
        let sent = sent.into_inner().unwrap_or_else(PoisonError::into_inner);
        let shared = Arc::new(Shared { valid_until: Mutex::new(deadline(sent, ttl)) });
        let (ends, ended) = watch::channel(false);
        let lease = granted.id();
        let work = renew(members.apart(), lease, ttl, Arc::clone(&shared), ends);
        let renewing = Apart::begin("lease", work)
            .map_err(|source| StoreError::Unreachable { store: members.describe(), source: source.into() })?;
        Ok(Self { members, lease, shared, ended, renewing })
    }

    fn alive(&self) -> Result<(), StoreError> {
        if self.is_valid() { Ok(()) } else { Err(StoreError::SessionEnded) }
    }

    async fn txn(&self, txn: Txn) -> Result<etcd_client::TxnResponse, StoreError> {
        let answer = self.members.call(self.members.timeouts.request, |client| {
            let txn = txn.clone();
            async move { client.kv_client().txn(txn).await }
        });
        let answer = answer.await.map_err(|failure| error_of(failure, &self.members.describe()))?;
        Ok(answer.value)
    }
}

/// Renews the lease until it is gone or its deadline has passed.
async fn renew(members: Members, lease: i64, ttl: Duration, shared: Arc<Shared>, ends: watch::Sender<bool>) {
    let pause = ttl / RENEWALS;
    loop {
        let until = tokio::time::Instant::from_std(shared.valid_until());
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = tokio::time::sleep_until(until) => {}
        }
        let renewed = tokio::time::timeout_at(until, renew_until_done(&members, lease, pause)).await;
        match renewed {
            Ok(Some(sent)) => shared.extend(deadline(sent, ttl)),
            // Gone on etcd's side, or not renewed before our own deadline.
            Ok(None) | Err(_) => {
                shared.extend(Instant::now());
                let _ = ends.send(true);
                return;
            }
        }
    }
}

/// Asks member after member until one has renewed the lease; gives the moment before it was asked. None: it is gone.
async fn renew_until_done(members: &Members, lease: i64, pause: Duration) -> Option<Instant> {
    loop {
        let Ok((at, client)) = members.current().await else {
            tokio::time::sleep(pause / 10).await;
            continue;
        };
        let sent = Instant::now();
        // The call sends one renewal and waits for its answer; an answer without time left is an error to it.
        let attempt = async { client.lease_client().keep_alive(lease).await.map(drop) };
        // A hung member must not use up the time in which another could do it.
        match timeout(pause.min(members.timeouts.request), attempt).await {
            Ok(Ok(())) => return Some(sent),
            Ok(Err(etcd_client::Error::LeaseKeepAliveError(reason))) if reason.contains("not found") => {
                return None;
            }
            Ok(Err(error)) => {
                if matches!(classify(&error, ""), Failure::NoLease) {
                    return None;
                }
                members.leave(at).await;
            }
            Err(_) => members.leave(at).await,
        }
        tokio::time::sleep(pause / 10).await;
    }
}

#[async_trait]
impl Session for EtcdSession {
    async fn acquire(&self, key: &str, value: &str) -> Result<bool, StoreError> {
        self.alive()?;
        let put = TxnOp::put(key, value, Some(PutOptions::new().with_lease(self.lease)));
        let absent = Compare::create_revision(key, CompareOp::Equal, 0);
        let txn = Txn::new().when([absent]).and_then([put]).or_else([TxnOp::get(key, None)]);
        let answer = self.txn(txn).await?;
        self.alive()?;
        let held_by = |response| match response {
            TxnOpResponse::Get(get) => get.kvs().first().map(etcd_client::KeyValue::lease),
            _ => None,
        };
        Ok(answer.succeeded() || answer.op_responses().into_iter().find_map(held_by) == Some(self.lease))
    }

    async fn put(&self, key: &str, value: &str) -> Result<Revision, StoreError> {
        self.alive()?;
        let put = TxnOp::put(key, value, Some(PutOptions::new().with_lease(self.lease)));
        let answer = self.txn(Txn::new().and_then([put])).await?;
        Ok(answer.header().map_or(0, etcd_client::ResponseHeader::revision))
    }

    async fn commit(&self, change: &Change) -> Result<Committed, StoreError> {
        self.alive()?;
        let committed = commit_under(&self.members, change, Some(self.lease)).await;
        committed.map_err(|failure| error_of(failure, &self.members.describe()))
    }

    async fn release(&self, key: &str) -> Result<(), StoreError> {
        self.alive()?;
        let ours = Compare::lease(key, CompareOp::Equal, self.lease);
        self.txn(Txn::new().when([ours]).and_then([TxnOp::delete(key, None)])).await?;
        Ok(())
    }

    fn valid_until(&self) -> Instant {
        self.shared.valid_until()
    }

    async fn ended(&self) {
        let mut ended = self.ended.clone();
        // An error means that the renewing task is gone, and the session with it.
        let _ = ended.wait_for(|ended| *ended).await;
    }

    async fn close(self: Box<Self>) {
        drop(self.renewing);
        self.shared.extend(Instant::now());
        let lease = self.lease;
        let revoked = self.members.call(self.members.timeouts.request, |client| async move {
            client.lease_client().revoke(lease).await
        });
        if let Err(failure) = revoked.await {
            tracing::debug!(?failure, "a lease is left to end by itself");
        }
    }
}
