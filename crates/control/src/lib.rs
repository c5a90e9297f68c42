//! What every manager shares: time, backoff, workers that report themselves, and the state directory.
//!
//! Nothing here knows what is managed. The modules [`clock`] and [`backoff`] are pure values that the deciding code of
//! a manager may use; [`state_dir`] and [`atomic_file`] touch the disk and belong to the acting code.

pub mod atomic_file;
pub mod backoff;
pub mod clock;
pub mod state_dir;
pub mod worker;

pub use backoff::Backoff;
pub use clock::{Clock, Now};
pub use state_dir::{StateDir, StateDirError};
pub use worker::{WorkerHandle, WorkerStatus, Workers};
