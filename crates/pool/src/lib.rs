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
pub mod model;
