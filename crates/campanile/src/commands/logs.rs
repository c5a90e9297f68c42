//! `campanile logs`: what an instance of this host printed.

use std::path::PathBuf;
use std::time::Duration;

use campanile_ocs::site_config::SiteArgs;

use crate::render::duration;

/// Show what an instance of this host printed to its stdout and stderr
///
/// Its HostManager is asked through its control socket, so this works with the router away; when no HostManager runs,
/// the files it left are read.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  campanile logs thermo1               the last 20 lines
  campanile logs thermo1 -n 200
  campanile logs thermo1 -f            go on until Ctrl-C, also over restarts of the agent
  campanile logs thermo1 --since 10m   by the times that begin the lines

Exit codes:
  0 shown; 1 no such instance or no logs on this host; 2 wrong options or site
  config")]
pub(crate) struct Args {
    /// The id of the instance
    #[arg(value_name = "INSTANCE")]
    pub(crate) instance: String,
    /// So many of the last lines [default: 20, or with --since all of them]
    #[arg(short = 'n', long, value_name = "N")]
    pub(crate) lines: Option<u64>,
    /// Go on printing what comes
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Only what is not older than that (30s, 10m, 2h), by the times that begin the lines
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub(crate) since: Option<Duration>,
    /// Where the HostManager keeps its state [default: as `campanile host`]
    #[arg(long, value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
    /// Print each line as a JSON string in an object, of the form that the manual describes
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) site: SiteArgs,
}
