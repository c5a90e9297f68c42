//! `campanile demo`: a small site on one machine, to look at and to play with.

use std::path::PathBuf;
use std::time::Duration;

use crate::render::duration;

/// Bring up a small site on this machine, with agents that come, crash and go
///
/// Starts a router, a HostManager for every host of the site config, and through them the agents, shows what happens,
/// and stops all of it at Ctrl-C. With nothing but this program: the agents are simulated instruments, but real OCS
/// agents on a real bus. Nothing is left behind.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  campanile demo
  campanile demo --site-file my-site.yaml   your own site config; note that its
                                            agents are started for real
  campanile demo --for 20s | cat            plain lines; ends by itself")]
pub(crate) struct Args {
    /// Use this site config instead of the built-in one
    #[arg(long, value_name = "FILE")]
    pub(crate) site_file: Option<PathBuf>,
    /// Play this host of the site config only
    #[arg(long, value_name = "HOST")]
    pub(crate) site_host: Option<String>,
    /// End by itself after that long (20s, 2m)
    #[arg(long = "for", value_name = "DURATION", value_parser = duration::parse)]
    pub(crate) duration: Option<Duration>,
    /// Do nothing but show: no agent is killed or stopped for the sake of it
    #[arg(long)]
    pub(crate) no_script: bool,
    /// The Python interpreter for agents without a command of their own
    #[arg(long, value_name = "FILE")]
    pub(crate) python: Option<PathBuf>,
    /// Keep the directory with the site config, logs and state
    #[arg(long)]
    pub(crate) keep: bool,
}
