//! The options of the daemon.

use std::path::PathBuf;

use campanile_ocs::site_config::SiteArgs;

/// Options of `campanile pool run` and `ehosd`.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct PoolArgs {
    /// The configuration, one or several files; later ones override. Without one, `ehos.yaml` is looked for in /etc/ehos,
    /// /usr/local/etc/ehos, etc and the like
    #[arg(value_name = "EHOS_YAML")]
    pub config: Vec<PathBuf>,
    /// Keep the state below this directory
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Serve status, metrics and the REST paths of EHOS on this address, such as 127.0.0.1:8888
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<String>,
    /// Join the bus of the site config, as an agent of class CampanilePool
    #[arg(long)]
    pub bus: bool,
    /// Where the bus is.
    #[command(flatten)]
    pub site: SiteArgs,
}
