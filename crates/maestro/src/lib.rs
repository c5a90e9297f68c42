//! Balances an LDMS cluster over its aggregators.
//!
//! # Code map
//!
//! * [`config`]: the cluster's YAML file (all formats of it) into one typed [`config::Cluster`], and everything that is
//!   wrong with it. [`generate`]: the files that `ldmsd -c` reads. [`keys`]: the cluster in a store. [`summary`]: it in
//!   figures.
//! * [`model`]: the nouns of the manager, made from a cluster configuration; [`seen`]: what daemons say they have.
//! * [`balance`]: which aggregator carries what. [`plan`]: the requests one daemon needs. [`conductor`]: health, balance
//!   and plans of all daemons together. All pure.

pub mod balance;
pub mod conductor;
pub mod config;
pub mod generate;
pub mod keys;
pub mod model;
pub mod plan;
pub mod seen;
pub mod summary;
