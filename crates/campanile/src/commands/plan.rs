//! `campanile plan`: what the HostManagers would do next, and why.

use campanile_ocs::site_config::SiteArgs;
use clap::ArgAction;

/// Show what the HostManagers will do next, when, and why
///
/// Nothing is changed. Only Campanile's HostManagers can tell; those of OCS are listed as unable to.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  campanile plan
  campanile plan -H host-1 --json

Exit codes:
  0 shown; 1 no HostManager could tell; 2 wrong options or site config")]
pub(crate) struct Args {
    /// Show this host only; may be repeated
    #[arg(long, short = 'H', value_name = "HOST", action = ArgAction::Append)]
    pub(crate) host: Vec<String>,
    /// Print JSON, of the form that the manual describes
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) site: SiteArgs,
}
