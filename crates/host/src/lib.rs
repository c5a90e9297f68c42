//! The HostManager: keeps the agents of one host at their target state.

pub mod args;
pub mod run;

pub use args::{HostArgs, InitialState};
pub use run::{ExitReason, HostError, run};
