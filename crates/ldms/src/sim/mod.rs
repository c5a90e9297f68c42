//! A simulated ldmsd: the same wire, objects, states, timings and error codes as ldmsd 4.5.
//!
//! [`daemon`] is the daemon itself, pure: bytes, connections and time go in, bytes and wishes come out. It really
//! connects to its producers, looks their sets up and fetches them, so that coverage can be measured end to end,
//! and real daemons can collect from it or be collected from.
//!
//! What it does not have: store plugins that write (rows are counted), streams and messages (they are accepted and
//! dropped), set groups, failover (removed from ldmsd too), plugins beyond 64-bit counters with invented values.
//!
//! [`config_file`] reads configuration files of ldmsd for them; [`orders`] is how a running fleet is told to hang,
//! crash or misbehave. [`fleet`] runs many of them on real sockets in one process; [`world`] runs them in virtual time, without sockets.
//!
//! Sampling costs nothing until somebody reads: a sample is a function of time. An idle daemon is a listening
//! socket and a few maps.

pub mod config_file;
pub mod daemon;
pub mod fleet;
pub mod orders;
pub mod world;
