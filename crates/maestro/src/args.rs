//! The options of the manager: those of the original, and our own.

use std::path::PathBuf;

use campanile_ocs::site_config::SiteArgs;

use crate::model::BalanceBy;

/// The class name under which a manager of an LDMS cluster stands in the site config and on the bus.
pub const AGENT_CLASS: &str = "Maestro";

/// What is divided among the aggregators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Rebalance {
    /// Whole producers
    Producers,
    /// Single metric sets
    Sets,
}

impl From<Rebalance> for BalanceBy {
    fn from(rebalance: Rebalance) -> Self {
        match rebalance {
            Rebalance::Producers => Self::Producers,
            Rebalance::Sets => Self::Sets,
        }
    }
}

/// Options of `campanile maestro`.
#[derive(clap::Args, Clone, Debug)]
pub struct MaestroArgs {
    /// The file that names the members of etcd [default: an embedded store]
    #[arg(long, value_name = "FILE")]
    pub cluster: Option<PathBuf>,
    /// Name of the LDMS cluster in the store
    #[arg(long, value_name = "NAME", default_value = "cluster")]
    pub prefix: String,
    /// Directory of the embedded store [default: `store` in the state directory]
    #[arg(long, value_name = "DIR", conflicts_with = "cluster")]
    pub store: Option<PathBuf>,
    /// Manage the cluster of this file, without any store; the file is read again when it changes
    #[arg(long, visible_alias = "ldms-config", alias = "ldms_config", value_name = "FILE", conflicts_with_all = ["cluster", "store"])]
    pub file: Option<PathBuf>,
    /// What is divided among aggregators, unless the cluster's configuration says it
    #[arg(long, value_enum, value_name = "WHAT", default_value = "producers")]
    pub rebalance: Rebalance,
    /// Seconds within which a daemon that does not answer is noticed, at most
    #[arg(long, value_name = "SECONDS", default_value_t = 15.0)]
    pub timeout: f64,
    /// Start the aggregators of this machine, and start them again when they end
    ///
    /// They go on when the manager ends, and the next one adopts them. The `campanile:` section of the cluster file
    /// says it for single daemons.
    #[arg(long, alias = "start_aggregators", num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    pub start_aggregators: Option<String>,
    /// The program that --start-aggregators starts
    #[arg(long, value_name = "PROGRAM", default_value = crate::desired::LDMSD)]
    pub ldmsd: PathBuf,
    /// Version of LDMS: 4 or 5; both are spoken alike
    #[arg(long, value_name = "VERSION", default_value_t = 4, value_parser = clap::value_parser!(u32).range(4..=5))]
    pub version: u32,
    /// Say more on stderr
    #[arg(long)]
    pub debug: bool,
    /// Serve metrics for Prometheus at this port of the loopback address
    #[arg(long, value_name = "PORT")]
    pub metrics: Option<u16>,
    /// Where to keep state [default: $STATE_DIRECTORY, /var/lib/campanile for root, or ~/.local/state/campanile]
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// The bus: with --instance-id, or an entry of class Maestro in the site config named here
    #[command(flatten)]
    pub site: SiteArgs,
}

impl MaestroArgs {
    /// Whether aggregators are to be started; the original takes any word for yes but these.
    #[must_use]
    pub fn starts_aggregators(&self) -> bool {
        self.start_aggregators.as_deref().is_some_and(|word| {
            !matches!(word.to_ascii_lowercase().as_str(), "" | "false" | "no" | "off" | "0" | "none")
        })
    }

    /// How a cluster configuration is taken.
    #[must_use]
    pub fn reading(&self) -> crate::source::Reading {
        crate::source::Reading {
            by: self.rebalance.into(),
            start_aggregators: self.starts_aggregators().then(|| self.ldmsd.clone()),
        }
    }

    /// Whether it is to be an agent on the bus of a site.
    #[must_use]
    pub fn wants_bus(&self) -> bool {
        self.site.instance_id.is_some() || self.site.site_file.is_some()
    }
}
