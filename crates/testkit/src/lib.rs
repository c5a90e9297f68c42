//! What the tests share: real peers (crossbar, Python OCS), free ports, processes that end with their test.
//!
//! Nothing here knows any other crate of the project: what the tests compare our programs with must not be
//! built from the same parts. Everything is synchronous and uses `std` alone, so that a test of any kind can
//! call it. All of it is for tests: helpers panic with a full explanation instead of returning errors.
#![expect(
    clippy::expect_used,
    reason = "a helper of a test that cannot do its work must end the test, saying why"
)]

mod bridge;
mod condor;
mod crossbar;
mod daemon;
mod docker;
mod etcd;
mod openstack;
mod ordinary;
mod peers;
mod ports;
mod procfs;
mod require;
mod site;
mod wait;

pub use bridge::{bridge_call, http_request};
pub use condor::CondorPool;
pub use crossbar::{Crossbar, CrossbarConfig};
pub use daemon::{Daemon, finish, send_signal};
pub use docker::DockerEngine;
pub use etcd::Etcd;
pub use openstack::{OpenStackConfig, OpenStackLab};
pub use ordinary::{again_as_ordinary_user, copy_for_ordinary_user};
pub use peers::{CommandOutput, Peers, python};
pub use ports::free_port;
pub use procfs::{
    CpuMeter, anon_of, children_of, command_line_of, cpu_time_of, descendants_of, is_alive, pids_with_env,
    rss_of, start_time_of,
};
pub use require::{Part, peers_dir, require, require_program, skip};
pub use rustix::process::Signal;
pub use site::TempSite;
pub use wait::{wait_for, wait_until};
