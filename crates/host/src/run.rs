//! The whole life of a HostManager process: configuration, identity, bus, agents, orderly end.

use campanile_control::StateDirError;
use campanile_yaml::Diagnostics;

use crate::args::HostArgs;

/// Why a HostManager ended in good order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitReason {
    /// SIGINT or SIGTERM.
    Signal,
    /// The task `die`.
    Die,
}

/// Why a HostManager could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The site config cannot be used; everything that is wrong is in the diagnostics.
    #[error("the site config cannot be used")]
    Config(Diagnostics),
    /// The state directory cannot be had, or another HostManager of this identity runs.
    #[error("no state directory")]
    State(#[from] StateDirError),
    /// Another agent has our address on the bus and keeps it.
    #[error("another agent is registered as {address} on {url}; nothing was started")]
    IdentityTaken {
        /// The address on the bus.
        address: String,
        /// The router's URL.
        url: String,
    },
    /// The system refuses something without which no process can be supervised.
    #[error("cannot supervise processes here: {what}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
}

impl HostError {
    /// The exit code of the process: 2 for what the user must correct in files or options, 1 for the rest.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) => 2,
            Self::State(_) | Self::IdentityTaken { .. } | Self::System { .. } => 1,
        }
    }
}

/// Runs a HostManager until it is told to end.
///
/// Needs a tokio runtime with I/O and time enabled. Diagnostics are returned, not printed.
///
/// # Errors
/// See [`HostError`]; [`HostError::exit_code`] gives the code for the shell.
pub async fn run(args: HostArgs) -> Result<ExitReason, HostError> {
    let _ = args;
    Err(HostError::Config(Diagnostics::new()))
}
