//! Balances an LDMS cluster over its aggregators.
//!
//! # Code map
//!
//! * [`config`]: the cluster's YAML file (all formats of it) into one typed [`config::Cluster`], and everything that is
//!   wrong with it.

pub mod config;
