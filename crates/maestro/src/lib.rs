//! Balances an LDMS cluster over its aggregators.
//!
//! # Code map
//!
//! * [`config`]: the cluster's YAML file (all formats of it) into one typed [`config::Cluster`], and everything that is
//!   wrong with it. [`generate`]: the files that `ldmsd -c` reads. [`keys`]: the cluster in a store. [`summary`]: it in
//!   figures.
//! * [`model`]: the nouns of the manager, made from a cluster configuration; [`seen`]: what daemons say they have.
//! * [`balance`]: which aggregator carries what. [`plan`]: the requests one daemon needs. [`conductor`]: health, balance
//!   and plans of all daemons together; [`coverage`], [`desired`], [`health`], [`late`]. All pure.
//! * [`observe`]: looks at daemons; [`link`]: one live connection to each; [`manager`]: the loop; [`state`]: what
//!   outlives it. [`source`]: where the configuration comes from; [`board`]: several managers of one cluster.
//! * [`starter`]: starts and stops daemons of this machine, and others through their HostManagers.
//! * [`run`], [`args`], [`ops`], [`metrics`]: the process, its options, the agent on the bus, figures for Prometheus.

pub mod args;
pub mod balance;
pub mod board;
pub mod conductor;
pub mod config;
pub mod coverage;
pub mod desired;
pub mod generate;
pub mod health;
pub mod keys;
pub mod late;
pub mod link;
pub mod manager;
pub mod metrics;
pub mod model;
pub mod observe;
pub mod ops;
pub mod plan;
pub mod run;
pub mod seen;
pub mod source;
pub mod starter;
pub mod state;
pub mod summary;
