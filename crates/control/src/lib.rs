//! What every manager shares: time, backoff, keyed work, workers that report themselves, the event journal, and the
//! state directory.
//!
//! Nothing here knows what is managed. The modules [`clock`] and [`backoff`] are pure values that the deciding code of
//! a manager may use, as is [`queue::Schedule`]; [`journal`], [`state_dir`] and [`atomic_file`] touch the disk, [`ticker`]
//! waits, and they belong to the acting code.

pub mod atomic_file;
pub mod backoff;
pub mod clock;
pub mod journal;
pub mod queue;
pub mod state_dir;
pub mod ticker;
pub mod worker;

pub use backoff::Backoff;
pub use clock::{Clock, Now};
pub use journal::Journal;
pub use queue::WorkQueue;
pub use state_dir::{StateDir, StateDirError};
pub use ticker::Ticker;
pub use worker::{WorkerHandle, WorkerStatus, Workers};
