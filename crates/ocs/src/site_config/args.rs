//! The `--site-*` options that every program of a site takes.

use std::path::PathBuf;

/// Which site config to use, and what to override in it. The names are those of OCS.
#[derive(clap::Args, Clone, Debug, Default, PartialEq, Eq)]
#[command(next_help_heading = "Site config options")]
pub struct SiteArgs {
    /// Use the site of this name: the file `$OCS_CONFIG_DIR/SITE.yaml` (without it `default`); `none` uses no file
    #[arg(long, value_name = "SITE")]
    pub site: Option<String>,
    /// Use this site config file
    #[arg(long, value_name = "FILE")]
    pub site_file: Option<PathBuf>,
    /// Use this host block of the file instead of the one with this machine's name
    #[arg(long, value_name = "HOST")]
    pub site_host: Option<String>,
    /// Override the router's websocket URL (wamp_server)
    #[arg(long, value_name = "URL")]
    pub site_hub: Option<String>,
    /// Override the URL of the router's HTTP bridge (wamp_http)
    #[arg(long, value_name = "URL")]
    pub site_http: Option<String>,
    /// Override the WAMP realm (wamp_realm)
    #[arg(long, value_name = "REALM")]
    pub site_realm: Option<String>,
    /// The instance of the host block that is meant
    #[arg(long, value_name = "ID")]
    pub instance_id: Option<String>,
    /// Override what every address on the bus begins with (address_root)
    #[arg(long, value_name = "ROOT")]
    pub address_root: Option<String>,
    /// Accepted for old launch scripts; has no effect
    #[arg(long, value_name = "ADDRESS")]
    pub registry_address: Option<String>,
    /// Write logs to this directory
    #[arg(long, value_name = "DIR")]
    pub log_dir: Option<PathBuf>,
    /// The directory that relative paths of the site config start from
    #[arg(long, value_name = "DIR")]
    pub working_dir: Option<PathBuf>,
    /// How many seconds an agent tries to reach the router again before it ends; 0 is for ever
    #[arg(long, value_name = "SECONDS")]
    pub crossbar_timeout: Option<u64>,
    /// Override the access policy (access_policy)
    #[arg(long, value_name = "POLICY")]
    pub access_policy: Option<String>,
}
