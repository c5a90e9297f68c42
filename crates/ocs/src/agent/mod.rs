//! Being an OCS agent.
//!
//! ```text
//!            session  params  access            pure: what a run records, what an operation takes, who may
//!                 \      |      /
//!   call ──▶       ops, api, feed               pure: every reply and every event, as values
//!                       |
//!                    runtime ── context         tasks: runs handlers, wakes waiters, publishes
//!                    /      \
//!          bus, director    control_socket        the ways in: WAMP procedures, a local socket
//! ```
//!
//! Build one with [`AgentBuilder`], then keep the [`Agent`] handle:
//!
//! ```no_run
//! use campanile_ocs::agent::{AgentBuilder, AgentConfig, ProcessSpec};
//!
//! # async fn example() {
//! let agent = AgentBuilder::new(AgentConfig::new("observatory", "clock1", "ClockAgent"))
//!     .process(ProcessSpec::new("count").doc("count()\n\n**Process** - counts seconds."), |context, _params| async move {
//!         let mut seconds = 0;
//!         while context.sleep(std::time::Duration::from_secs(1)).await {
//!             seconds += 1;
//!             context.set_data(serde_json::json!({ "counter": seconds }));
//!         }
//!         Ok("Exited on request.".to_owned())
//!     })
//!     .spawn();
//! # agent.shutdown(std::time::Duration::from_secs(3)).await;
//! # }
//! ```
//!
//! Architecture invariant: `session`, `params`, `access`, `ops`, `api`, `feed`, `call`, `identity` and `pyrepr` know no
//! runtime, no clock and no I/O; time comes in as a parameter. No lock is held while foreign code runs (a handler, a data
//! provider), nor across an await.

pub mod access;
pub mod api;
mod beat;
mod builder;
mod bus;
pub mod call;
mod caller;
mod context;
mod director;
pub mod events;
pub mod feed;
mod handle;
mod identity;
pub mod log;
pub mod ops;
pub mod params;
pub mod pyrepr;
mod runs;
mod runtime;
pub mod session;

pub use access::{AccessControl, CredLevel, Policy, PolicyError};
pub use builder::{AgentBuilder, AgentConfig, ProcessSpec, TaskSpec};
pub use bus::BusState;
pub use context::OpContext;
pub use feed::{FeedError, FeedSpec};
pub use handle::{Agent, PublishError};
pub use log::LogOptions;
pub use params::{Param, ParamSpec, ParamType};

/// The time as OCS has it on the wire: seconds since 1970.
#[must_use]
pub fn unix_now_s() -> f64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    // A clock before 1970 is a clock that was never set.
    since.map_or(0.0, |since| since.as_secs_f64())
}

/// The name of this host, as `gethostname` gives it.
#[must_use]
pub fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
