//! The HostManager: keeps the instances of one host at their target states.
//!
//! ```text
//! site config ─ config ─▶ table ─ plan (pure) ─▶ act ─▶ drive/process ─▶ the programs
//! operators ─ ops, requests ─▶ ▲                                            │
//!                              └────────────── news (pidfd) ◀───────────────┘
//! ```
//!
//! [`model`], [`plan`], [`order`], [`table`], [`reload`], [`requests`], [`report`], [`relaunch`], [`services`],
//! [`chronicle`], [`records`], [`stability`] and [`words`] are
//! pure. [`drive`] has the effects, [`manager`] the loop, [`ops`] the face on the bus, [`mod@run`] the life of the process.

pub mod act;
mod adoption;
pub mod args;
pub mod chronicle;
pub mod config;
mod docker_ops;
pub mod drive;
mod journal;
pub mod log_pages;
pub mod manager;
pub mod model;
pub mod ops;
pub mod order;
pub mod plan;
mod reconfigure;
mod recorder;
pub mod records;
pub mod relaunch;
pub mod reload;
pub mod report;
pub mod requests;
pub mod run;
pub mod services;
pub mod stability;
pub mod table;
pub mod targets;
mod watch;
pub mod words;

#[cfg(test)]
mod plan_properties;
#[cfg(test)]
mod plan_tests;
#[cfg(test)]
mod reload_tests;

pub use args::{HostArgs, InitialState};
pub use run::{ExitReason, HostError, run};
