//! The `--site-*` options that every program of a site takes.

use std::path::PathBuf;

/// Which site config to use, and what to override in it. The names are those of OCS. Of an option that is given twice
/// the last one counts, as there.
#[derive(clap::Args, Clone, Debug, Default, PartialEq, Eq)]
#[command(next_help_heading = "Site config options")]
pub struct SiteArgs {
    /// Use the site of this name: the file `$OCS_CONFIG_DIR/SITE.yaml` (without it `default`); `none` uses no file
    #[arg(long, value_name = "SITE", overrides_with = "site")]
    pub site: Option<String>,
    /// Use this site config file
    #[arg(long, value_name = "FILE", overrides_with = "site_file")]
    pub site_file: Option<PathBuf>,
    /// Use this host block of the file instead of the one with this machine's name
    #[arg(long, value_name = "HOST", overrides_with = "site_host")]
    pub site_host: Option<String>,
    /// Override the router's websocket URL (wamp_server)
    #[arg(long, value_name = "URL", overrides_with = "site_hub")]
    pub site_hub: Option<String>,
    /// Override the URL of the router's HTTP bridge (wamp_http)
    #[arg(long, value_name = "URL", overrides_with = "site_http")]
    pub site_http: Option<String>,
    /// Override the WAMP realm (wamp_realm)
    #[arg(long, value_name = "REALM", overrides_with = "site_realm")]
    pub site_realm: Option<String>,
    /// The instance of the host block that is meant
    #[arg(long, value_name = "ID", overrides_with = "instance_id")]
    pub instance_id: Option<String>,
    /// Override what every address on the bus begins with (address_root)
    #[arg(long, value_name = "ROOT", overrides_with = "address_root")]
    pub address_root: Option<String>,
    /// Accepted for old launch scripts; has no effect
    #[arg(long, value_name = "ADDRESS", overrides_with = "registry_address")]
    pub registry_address: Option<String>,
    /// Write logs to this directory
    #[arg(long, value_name = "DIR", overrides_with = "log_dir")]
    pub log_dir: Option<PathBuf>,
    /// The directory that relative paths of the site config start from
    #[arg(long, value_name = "DIR", overrides_with = "working_dir")]
    pub working_dir: Option<PathBuf>,
    /// How many seconds an agent tries to reach the router again before it ends; 0 is for ever
    #[arg(long, value_name = "SECONDS", overrides_with = "crossbar_timeout")]
    pub crossbar_timeout: Option<u64>,
    /// Override the access policy (access_policy)
    #[arg(long, value_name = "POLICY", overrides_with = "access_policy")]
    pub access_policy: Option<String>,
}
