//! The HostManager: keeps the agents of one host at their target state.

pub mod args;
pub mod drive;
pub mod model;
pub mod plan;
pub mod relaunch;
pub mod reload;
pub mod requests;
pub mod run;
pub mod stability;
pub mod table;
pub mod words;

#[cfg(test)]
mod plan_properties;
#[cfg(test)]
mod plan_tests;
#[cfg(test)]
mod reload_tests;

pub use args::{HostArgs, InitialState};
pub use run::{ExitReason, HostError, run};
