//! The pool: as many workers as a batch queue can use, made on clouds and taken down again.
//!
//! ```text
//! ehos.yaml ─ config ─▶ plan (pure) ─▶ act ─▶ clouds ─▶ servers
//! queue, workers ─ batch ─▶ ▲                            │
//! servers ─ clouds ────────▶ ▲ ◀── record ◀── life (pure) ┘
//! ```
//!
//! [`model`] has the nouns. [`clouds`] and [`batch`] are the two sides of the world, each behind a trait.

pub mod batch;
pub mod clouds;
pub mod config;
pub mod cycle;
pub mod health;
pub mod identity;
pub mod life;
pub mod model;
pub mod names;
pub mod packing;
pub mod plan;
pub mod record;
pub mod room;
pub mod userdata;

#[cfg(test)]
mod plan_tests;
#[cfg(test)]
mod testing;
