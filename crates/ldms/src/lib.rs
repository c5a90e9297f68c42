//! Talks to `ldmsd`, the daemon of the Lightweight Distributed Metric Service, without any LDMS installation.
//!
//! # Code map
//!
//! * [`wire`]: the three layers on the socket, from the bottom up: zap `sock` frames, ldms transport messages,
//!   ldmsd request records; and the image of a metric set. Pure: bytes in, values out.
//! * [`auth`]: the four authentication plugins as state machines (`none`, `naive`, `ovis`, `munge`).
//! * [`link`]: one connection, either end, as a state machine over [`wire`] and [`auth`].
//! * [`api`]: typed requests and replies of ldmsd, for a manager and for an operator.
//! * [`command`]: commands written as `ldmsd_controller` takes them, and their way to and from requests.
//! * [`client`]: the tokio client.
//! * [`sim`]: a simulated ldmsd that speaks the same wire.
//! * [`hostlist`]: `node-[001-128]` expanded and folded. [`time`]: intervals as LDMS writes them.
//!
//! The wire is that of ldmsd 4.x with protocol version 4.2; other versions and transports are refused by name.

pub mod api;
pub mod auth;
pub mod client;
pub mod command;
pub mod hostlist;
pub mod limits;
pub mod link;
pub mod sim;
pub mod time;
pub mod wire;
