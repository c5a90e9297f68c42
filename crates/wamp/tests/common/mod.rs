//! What several test binaries share; none of them uses all of it.
#![allow(dead_code, clippy::unwrap_used, reason = "shared, and a test fails by panicking")]

pub(crate) mod arbitrary;
pub(crate) mod scenarios;
pub(crate) mod scripted;
