//! `ocsbow`: the client that OCS users know.

use campanile_ocs::site_config::SiteArgs;
use clap::{ArgAction, Subcommand, ValueEnum};

/// Talk to the HostManagers of an OCS site, in the words of the original ocsbow
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Without a command, the status is shown. Examples:
  ocsbow                           the whole site
  ocsbow status -H host-1          one host
  ocsbow status -r                 have the site config read again, first
  ocsbow up thermo1                start one agent
  ocsbow down hm-host-1            stop all agents of that HostManager
  ocsbow up -a                     start everything

Exit codes:
  0 done; 1 an unknown target, no router, or a HostManager that was not reached;
  2 wrong options or configuration

`campanile status|up|down|restart` do the same and tell more.")]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) site: SiteArgs,
}

/// What ocsbow can do.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    Status(StatusArgs),
    /// Set the target of instances to "up", so that their HostManagers start them
    Up(TargetArgs),
    /// Set the target of instances to "down", so that their HostManagers stop them
    Down(TargetArgs),
    Config(ConfigArgs),
}

/// Show every instance, as its HostManager reports it
///
/// All HostManagers of the site config are asked at the same time. The table has a block per host, with all that its
/// HostManager keeps, also what the local site config does not know.
#[derive(clap::Args, Debug, Default)]
pub(crate) struct StatusArgs {
    /// Show this host only; may be repeated
    #[arg(long, short = 'H', value_name = "HOST", action = ArgAction::Append)]
    pub(crate) host: Vec<String>,
    /// Have every HostManager read its site config again, first
    #[arg(long, short)]
    pub(crate) reload_config: bool,
}

/// What up and down have in common.
#[derive(clap::Args, Debug)]
pub(crate) struct TargetArgs {
    /// Everything that the HostManagers of the site manage
    #[arg(long, short)]
    pub(crate) all: bool,
    /// Only say what would be asked of whom
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Ids of instances; the id of a HostManager means everything that it manages
    #[arg(value_name = "INSTANCE")]
    pub(crate) instance: Vec<String>,
}

/// Show what the site config says
#[derive(clap::Args, Debug)]
pub(crate) struct ConfigArgs {
    /// What to show
    #[arg(value_enum, default_value_t = ConfigTopic::Summary)]
    pub(crate) topic: ConfigTopic,
}

/// The topics of `ocsbow config`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ConfigTopic {
    /// Hosts and instances.
    Summary,
    /// The agent classes of the installed Python plugins.
    Plugins,
    /// The hub, and the router of this host.
    Crossbar,
}

/// Lets the site options stand before or after the subcommand, and be abbreviated, as the original allows.
pub(crate) fn site_options_anywhere(command: clap::Command) -> clap::Command {
    command.infer_long_args(true).mut_args(|arg| {
        let positional = arg.is_positional();
        arg.global(!positional)
    })
}
