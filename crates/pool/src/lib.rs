//! The pool: as many workers as a batch queue can use, made on clouds and taken down again.
//!
//! ```text
//! ehos.yaml ─ config ─▶ plan (pure) ─▶ act ─▶ clouds ─▶ servers
//! queue, workers ─ batch ─▶ ▲                            │
//! servers ─ clouds ────────▶ ▲ ◀── record ◀── life (pure) ┘
//! ```
//!
//! [`model`] has the nouns; [`clouds`] and [`batch`] are the two sides of the world, each behind a trait. [`cycle`],
//! [`identity`], [`life`], [`packing`], [`plan`], [`room`], [`health`], [`names`] and [`userdata`] are pure. [`observe`]
//! and `act` have the effects, [`manager`] the loop, [`record`] what outlives it, [`ops`], [`rest`] and [`metrics`] its
//! faces, [`mod@run`] the life of the process.

mod act;
pub mod adopt;
pub mod args;
pub mod batch;
pub mod clouds;
pub mod config;
pub mod cycle;
pub mod deploy;
pub mod health;
pub mod identity;
pub mod life;
pub mod manager;
pub mod metrics;
pub mod model;
pub mod names;
pub mod observe;
pub mod ops;
pub mod packing;
pub mod plan;
pub mod record;
pub mod report;
pub mod rest;
pub mod room;
pub mod run;
pub mod sides;
pub mod time;
pub mod userdata;

#[cfg(test)]
mod plan_tests;
#[cfg(test)]
mod testing;

pub use args::PoolArgs;
pub use run::{PoolError, run};
