//! The effects: one file per kind of foreign thing. Nothing in here decides anything.
//!
//! Docker comes beside [`process`]; control groups come beside [`tree`].

mod child;
pub mod classes;
pub mod logs;
mod open_files;
pub mod proc_fs;
pub mod process;
pub mod sweep;
pub mod tree;
