//! The effects: one file per kind of foreign thing. Nothing in here decides anything.
//!
//! [`launcher`] becomes the program, [`process`] launches, watches and ends, [`adopt`] finds what an earlier manager has
//! launched ([`runs`]). What belongs to an instance is known by [`cgroup`], else by [`tree`].

pub mod adopt;
pub mod cgroup;
mod child;
pub mod classes;
pub mod docker;
mod growth;
pub mod launcher;
pub mod logs;
mod open_files;
pub mod proc_fs;
pub mod process;
pub mod ready;
pub mod runs;
pub mod sweep;
pub mod tree;
pub mod unit;
pub mod usage;
