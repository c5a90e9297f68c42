//! The options of the HostManager: those of the OCS agent, and our own.

use std::path::PathBuf;

use campanile_ocs::site_config::SiteArgs;

/// The class name under which a HostManager stands in the site config and on the bus.
pub const AGENT_CLASS: &str = "HostManager";

/// Options of `campanile host`.
#[derive(clap::Args, Clone, Debug)]
pub struct HostArgs {
    /// Which site config, host block and instance to use
    #[command(flatten)]
    pub site: SiteArgs,
    /// Force a single target state for all agents, on start-up
    #[arg(long, value_enum, value_name = "STATE", help_heading = "Agent options")]
    pub initial_state: Option<InitialState>,
    /// Comma-separated list of docker compose files to manage
    #[arg(long, value_name = "FILE[,FILE]", help_heading = "Agent options")]
    pub docker_compose: Option<String>,
    /// What the names of docker services have before the instance-id
    #[arg(long, value_name = "PREFIX", default_value = "ocs-", help_heading = "Agent options")]
    pub docker_service_prefix: String,
    /// The docker-compose program, relative to the working directory
    #[arg(long, value_name = "FILE", help_heading = "Agent options")]
    pub docker_compose_bin: Option<PathBuf>,
    /// Print nothing to stdout and stderr
    #[arg(long, help_heading = "Agent options")]
    pub quiet: bool,
    /// The Python interpreter that has OCS and the plugins of the site, for agents without a command of their own
    #[arg(long, value_name = "FILE", default_value = "python3", help_heading = "Agent options")]
    pub python: PathBuf,
    /// Where to keep state [default: $STATE_DIRECTORY, /var/lib/campanile for root, or ~/.local/state/campanile]
    #[arg(long, value_name = "DIR", help_heading = "Agent options")]
    pub state_dir: Option<PathBuf>,
}

/// A target state for all instances at once.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum InitialState {
    /// Start them all.
    Up,
    /// Start none.
    Down,
}
