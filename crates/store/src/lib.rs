//! Keys and values that several programs share: a cluster's configuration, what its managers tell each other, and who
//! of them leads. One trait, [`Store`], with two backends: etcd, and an embedded database for one machine.
//!
//! # Contract
//!
//! * Keys and values are text. Keys are read by prefix; a prefix ends with a slash, so that `/x/` never touches `/xy/`.
//! * [`Store::read`] gives all keys below a prefix as they were at one revision, however many there are.
//! * [`Store::commit`] is atomic and may be guarded: it happens whole, or not at all because a guard did not hold.
//! * [`Store::watch`] reports every change after a revision, in order, through restarts of the backend; where the
//!   backend has forgotten the past it says so, and the caller reads again ([`WatchEvent::Resync`]).
//! * A [`Session`] is alive while this process renews it. Keys put under it vanish with it. It ends by its own
//!   monotonic deadline, which is earlier than the moment at which others can see its keys vanish: whoever leads by a
//!   session stops leading before another one can begin.
//!
//! # Code map
//!
//! [`change`]: values of the contract. [`etcd`], [`embedded`]: the backends. [`apart`]: threads for what must not wait.

pub mod apart;
pub mod change;
pub mod embedded;
mod error;
pub mod etcd;

use std::fmt::Debug;
use std::time::Instant;

use async_trait::async_trait;

pub use change::{Change, Committed, Expect, Guard, KeyEvent, Prefix, Revision, Snapshot, WatchEvent};
pub use error::StoreError;

/// Where keys and values are kept.
#[async_trait]
pub trait Store: Debug + Send + Sync {
    /// All keys below `prefix` at one revision.
    ///
    /// # Errors
    /// When the backend cannot be reached in time or refuses.
    async fn read(&self, prefix: &Prefix) -> Result<Snapshot, StoreError>;

    /// Carries out `change` atomically if its guards hold.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] when the backend cannot take it in one piece; else when it cannot be reached in time
    /// or refuses. After a timeout it may or may not have happened: read again.
    async fn commit(&self, change: &Change) -> Result<Committed, StoreError>;

    /// Watches the keys below `prefix` for changes after revision `after`.
    ///
    /// # Errors
    /// When the backend cannot be reached at all for the first time; later troubles are waited out.
    async fn watch(&self, prefix: &Prefix, after: Revision) -> Result<Watch, StoreError>;

    /// Begins a session that others see ended at most about `ttl_ms` after this process has died.
    ///
    /// # Errors
    /// When the backend cannot be reached in time or refuses.
    async fn open_session(&self, ttl_ms: u64) -> Result<Box<dyn Session>, StoreError>;

    /// Where the store is, for people: `etcd 10.0.0.1:2379, 10.0.0.2:2379`.
    fn describe(&self) -> String;
}

/// A lease of this process on the store, renewed in the background while the value lives.
#[async_trait]
pub trait Session: Debug + Send + Sync {
    /// Puts `key`, if no one has it, to vanish with the session. True when it is ours now, or was already.
    ///
    /// Leadership is this on an agreed key.
    ///
    /// # Errors
    /// When the backend cannot be reached in time, refuses, or the session has ended.
    async fn acquire(&self, key: &str, value: &str) -> Result<bool, StoreError>;

    /// Puts `key`, whoever had it, to vanish with the session: for announcing oneself.
    ///
    /// # Errors
    /// As [`Session::acquire`].
    async fn put(&self, key: &str, value: &str) -> Result<Revision, StoreError>;

    /// Carries out `change` atomically if its guards hold; what it puts vanishes with the session, whoever had it.
    ///
    /// # Errors
    /// As [`Session::acquire`], and [`StoreError::TooLarge`].
    async fn commit(&self, change: &Change) -> Result<Committed, StoreError>;

    /// Gives a key of this session up.
    ///
    /// # Errors
    /// As [`Session::acquire`].
    async fn release(&self, key: &str) -> Result<(), StoreError>;

    /// Until when it is certain that nobody else can hold what this session holds. What is past that moment must not
    /// be relied on, whatever the backend says later.
    fn valid_until(&self) -> Instant;

    /// Whether it is certain now.
    fn is_valid(&self) -> bool {
        Instant::now() < self.valid_until()
    }

    /// Ends once the session is no longer valid, and cannot be renewed any more.
    async fn ended(&self);

    /// Ends it at once, so that others need not wait.
    async fn close(self: Box<Self>);
}

/// The changes below one prefix, in order.
#[derive(Debug)]
pub struct Watch {
    events: tokio::sync::mpsc::Receiver<WatchEvent>,
}

/// Events that wait for a slow reader before the watch stops reading from the backend.
pub const MAX_WAITING_EVENTS: usize = 1024;

impl Watch {
    /// A watch that is fed through the sender.
    #[must_use]
    pub fn channel() -> (tokio::sync::mpsc::Sender<WatchEvent>, Self) {
        let (sender, events) = tokio::sync::mpsc::channel(MAX_WAITING_EVENTS);
        (sender, Self { events })
    }

    /// The next event. None when the store itself has been dropped.
    pub async fn next(&mut self) -> Option<WatchEvent> {
        self.events.recv().await
    }
}
