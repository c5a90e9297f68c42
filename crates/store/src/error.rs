//! What can go wrong with a store.

use std::time::Duration;

/// Why the store did not do it. The text never repeats its source.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No member of the cluster (or no database) could be reached.
    #[error("{store} cannot be reached")]
    Unreachable {
        /// Where it is.
        store: String,
        /// What the last attempt said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No answer in time: it hangs, or has no quorum. A change may or may not have happened.
    #[error("{store} did not answer within {} ms", .waited.as_millis())]
    Timeout {
        /// Where it is.
        store: String,
        /// How long it was waited for.
        waited: Duration,
    },
    /// It answered, and refused.
    #[error("{store} refused: {reason}")]
    Refused {
        /// Where it is.
        store: String,
        /// In its words.
        reason: String,
    },
    /// User or password is wrong, or lacks a right.
    #[error("{store} does not let us in: {reason}")]
    Denied {
        /// Where it is.
        store: String,
        /// In its words.
        reason: String,
    },
    /// More than fits into one atomic change.
    #[error("{keys} keys of {bytes} bytes are more than {store} takes at once")]
    TooLarge {
        /// Where it is.
        store: String,
        /// Keys to be written or deleted.
        keys: usize,
        /// Their size with their values.
        bytes: usize,
    },
    /// The session has ended: its keys are gone, or may go at any moment.
    #[error("the session has ended")]
    SessionEnded,
    /// A file or an option is wrong.
    #[error("{0}")]
    Config(String),
}
