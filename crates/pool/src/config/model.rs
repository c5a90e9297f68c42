//! What the files say, checked and with every default filled in.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use crate::model::{Mark, Resources};

/// A text that is never printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a secret in.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for the one who needs it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("(secret)")
    }
}

/// All that the manager is told.
#[derive(Clone, Debug, PartialEq)]
pub struct PoolConfig {
    /// The files it was read from, the later ones overriding.
    pub files: Vec<PathBuf>,
    /// Whose servers are ours: `ehos.project_prefix` and `daemon.hostname` (default: this host's full name).
    pub mark: Mark,
    /// The clouds, in the order of the file.
    pub clouds: Vec<CloudConfig>,
    /// The kinds of workers, in order of preference; never empty.
    pub worker_types: Vec<WorkerType>,
    /// How many nodes.
    pub sizes: Sizes,
    /// What must be left of a cloud's quota for it to be used.
    pub quotas: Quotas,
    /// How clouds are chosen.
    pub allocation: Allocation,
    /// How fast it grows.
    pub growth: Growth,
    /// How it shrinks.
    pub shrink: Shrink,
    /// How long each part of a node's life may take.
    pub deadlines: Deadlines,
    /// How long a node may live, and when it ends itself.
    pub lease: Lease,
    /// Between two looks at the world, milliseconds: `daemon.sleep`, at least 1 s.
    pub step_ms: u64,
    /// The batch system.
    pub batch: BatchConfig,
    /// Where the record is kept.
    pub database: Database,
    /// `daemon.use_db_settings`: settings of the database override those of the file.
    pub use_db_settings: bool,
    /// `daemon.node_log`: a file to which the names of new nodes are appended.
    pub node_log: Option<PathBuf>,
    /// Where metrics are sent.
    pub influx: Option<InfluxConfig>,
    /// The interface over HTTP.
    pub rest: Option<RestConfig>,
    /// The section `ehos` as it is written, for images and the master.
    pub ehos: EhosSection,
    /// `daemon.master_cloud`: where the master is made.
    pub master_cloud: Option<String>,
}

const SECOND_MS: u64 = 1_000;
const MINUTE_MS: u64 = 60 * SECOND_MS;
const HOUR_MS: u64 = 60 * MINUTE_MS;

/// Between two looks at the world, where `daemon.sleep` says nothing.
pub(super) const DEFAULT_STEP_MS: u64 = 30 * SECOND_MS;

impl PoolConfig {
    /// Every default, and nothing else: no cloud, no worker type. The numbers of nodes are those that EHOS v1.0.0 had as
    /// defaults.
    #[must_use]
    pub fn new(mark: Mark) -> Self {
        Self {
            files: Vec::new(),
            mark,
            clouds: Vec::new(),
            worker_types: Vec::new(),
            sizes: Sizes {
                nodes_min: 2,
                nodes_max: 4,
                nodes_spare: 2,
                cores_max: None,
                cost_per_hour_max: None,
            },
            quotas: Quotas::default(),
            allocation: Allocation::RoundRobin,
            growth: Growth { per_step: 20, per_minute: 60, coming_max: 100 },
            shrink: Shrink {
                idle_ms: 5 * MINUTE_MS,
                cool_down_ms: MINUTE_MS,
                per_step: 10,
                windows: Vec::new(),
            },
            deadlines: Deadlines {
                request_ms: 5 * MINUTE_MS,
                build_ms: 15 * MINUTE_MS,
                join_ms: 20 * MINUTE_MS,
                lost_ms: 20 * MINUTE_MS,
                drain_ms: 24 * HOUR_MS,
                delete_ms: 2 * MINUTE_MS,
                drain_kill: false,
            },
            lease: Lease { lifetime_ms: 14 * 24 * HOUR_MS, idle_shutdown_ms: HOUR_MS },
            step_ms: DEFAULT_STEP_MS,
            batch: BatchConfig::Condor(CondorConfig::default()),
            database: Database::Sqlite(None),
            use_db_settings: false,
            node_log: None,
            influx: None,
            rest: None,
            ehos: EhosSection::default(),
            master_cloud: None,
        }
    }
}

impl CloudConfig {
    /// A cloud of this name with every default.
    #[must_use]
    pub fn new(name: &str, kind: CloudKind) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            priority: 0,
            flavors: Vec::new(),
            image: None,
            network: None,
            key: None,
            security_groups: Vec::new(),
            floating_ip: false,
            scratch_gib: 0,
            boot_gib: 0,
            limits: OwnLimits::default(),
            costs: BTreeMap::new(),
            cost_per_core_hour: 0.0,
            windows: Vec::new(),
            enabled: true,
        }
    }
}

impl WorkerType {
    /// A worker type of these flavors with every default.
    #[must_use]
    pub fn new(name: &str, flavors: &[&str]) -> Self {
        Self {
            name: name.to_owned(),
            flavors: flavors.iter().map(|name| (*name).to_owned()).collect(),
            clouds: Vec::new(),
            image: None,
            userdata_file: None,
            attributes: Vec::new(),
            reserved: Resources::default(),
            nodes_max: None,
        }
    }
}

/// The section `ehos`: what holds for all clouds that say nothing else.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EhosSection {
    /// Flavor of base, master and workers.
    pub flavor: Option<String>,
    /// Image that bases are made from, and workers where their cloud names none.
    pub image: Option<String>,
    /// Network.
    pub network: Option<String>,
    /// Key pair.
    pub key: Option<String>,
    /// Security groups.
    pub security_groups: Vec<String>,
    /// The cloud-init file of workers, as it is written.
    pub userdata_file: Option<PathBuf>,
    /// Scratch volume of each worker, GiB; 0: none.
    pub scratch_gib: u64,
}

/// One region of one project.
#[derive(Clone, Debug, PartialEq)]
pub struct CloudConfig {
    /// Its name.
    pub name: String,
    /// How it is reached.
    pub kind: CloudKind,
    /// Lower ones are used first where allocation goes by priority (fill first), and among equals elsewhere.
    pub priority: i64,
    /// Flavors that may be used here, in order of preference; empty: those of the worker types.
    pub flavors: Vec<String>,
    /// Image of workers, name or id.
    pub image: Option<String>,
    /// Network.
    pub network: Option<String>,
    /// Key pair.
    pub key: Option<String>,
    /// Security groups.
    pub security_groups: Vec<String>,
    /// Whether workers get floating addresses.
    pub floating_ip: bool,
    /// Scratch volume of each worker, GiB; 0: none.
    pub scratch_gib: u64,
    /// Size of the volume that each worker boots from, GiB; 0: it boots from the disk of its flavor.
    pub boot_gib: u64,
    /// Limits of ours, below the quota.
    pub limits: OwnLimits,
    /// Cost of one hour by flavor; others cost by their cores ([`CloudConfig::cost_per_core_hour`]).
    pub costs: BTreeMap<String, f64>,
    /// Cost of a core for an hour.
    pub cost_per_core_hour: f64,
    /// When new nodes may be made here; empty: always.
    pub windows: Vec<Window>,
    /// Whether it is used for new nodes at all.
    pub enabled: bool,
}

/// How a cloud is reached.
#[derive(Clone, Debug, PartialEq)]
pub enum CloudKind {
    /// OpenStack.
    OpenStack(Box<Access>),
    /// Processes on this machine.
    Local {
        /// Cores it pretends to have.
        cores: u32,
        /// Memory it pretends to have, MiB.
        memory_mib: u64,
        /// Flavors it offers: name and what a machine of it has.
        flavors: Vec<(String, Resources)>,
    },
}

/// How to log in to an OpenStack project. Nothing of it is taken from `OS_*` variables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Name of an entry of `clouds.yaml`; what else is given here overrides it.
    pub clouds_yaml: Option<String>,
    /// Keystone.
    pub auth_url: Option<String>,
    /// Region; `None`: the only one there is.
    pub region_name: Option<String>,
    /// Project.
    pub project_name: Option<String>,
    /// Domain of the project.
    pub project_domain_name: Option<String>,
    /// User.
    pub username: Option<String>,
    /// Domain of the user.
    pub user_domain_name: Option<String>,
    /// Password of the user.
    pub password: Option<Secret>,
    /// Id of an application credential, instead of user and project.
    pub application_credential_id: Option<String>,
    /// Its secret.
    pub application_credential_secret: Option<Secret>,
    /// Certificates to trust beside the system's.
    pub cacert: Option<PathBuf>,
    /// Whether certificates are left unchecked (`verify: no`); warned of.
    pub insecure: bool,
    /// Which endpoints of the catalog: `public`, `internal`, `admin`.
    pub interface: Option<String>,
}

/// Limits that the operator sets below a cloud's quota; `None`: none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OwnLimits {
    /// Nodes.
    pub nodes: Option<u64>,
    /// Cores.
    pub cores: Option<u64>,
    /// Memory, MiB.
    pub memory_mib: Option<u64>,
}

/// A kind of worker.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkerType {
    /// Its name.
    pub name: String,
    /// Flavors it may have, in order of preference; never empty.
    pub flavors: Vec<String>,
    /// Clouds it may be made in; empty: all.
    pub clouds: Vec<String>,
    /// Image, where it differs from its cloud's.
    pub image: Option<String>,
    /// cloud-init file, resolved; `None`: none.
    pub userdata_file: Option<PathBuf>,
    /// What it says of itself to the batch system.
    pub attributes: Vec<(String, String)>,
    /// What the system of the machine takes for itself before jobs are placed.
    pub reserved: Resources,
    /// At most this many nodes; `None`: only the pool's limit.
    pub nodes_max: Option<u64>,
}

/// How many nodes (`daemon.nodes_min`, `nodes_max`, `nodes_spare`) and how much.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sizes {
    /// Kept even without jobs.
    pub nodes_min: u64,
    /// Never more servers with our mark, whatever their status.
    pub nodes_max: u64,
    /// Idle ones kept for jobs to come.
    pub nodes_spare: u64,
    /// Never more cores.
    pub cores_max: Option<u64>,
    /// Never more cost per hour.
    pub cost_per_hour_max: Option<f64>,
}

/// What must be left of a cloud's quota, strictly more, for a node to be made there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quotas {
    /// `min_cores`.
    pub cores: u64,
    /// `min_ram`, MiB (the file has GB).
    pub memory_mib: u64,
    /// `min_instances`.
    pub servers: u64,
}

/// `daemon.node_allocation`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allocation {
    /// One after the other.
    RoundRobin,
    /// By lot.
    Random,
    /// The first that has room, by priority, then by the order of the file.
    FillFirst,
    /// The one where it costs least.
    Cheapest,
}

/// How fast the pool grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Growth {
    /// New nodes in one step, at most.
    pub per_step: u64,
    /// New nodes in one minute, at most.
    pub per_minute: u64,
    /// Nodes that are coming at the same time, at most.
    pub coming_max: u64,
}

/// How the pool shrinks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shrink {
    /// A node goes when it has been idle that long, milliseconds.
    pub idle_ms: u64,
    /// After a node was made none goes for that long, milliseconds.
    pub cool_down_ms: u64,
    /// Nodes that begin to go in one step, at most.
    pub per_step: u64,
    /// When nodes may go; empty: always.
    pub windows: Vec<Window>,
}

/// A time of the day, on some days of the week, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Bit 0 is Monday.
    pub days: u8,
    /// Minute of the day at which it begins.
    pub from_min: u16,
    /// Minute of the day at which it ends; before `from_min`: on the next day.
    pub to_min: u16,
}

/// How long each part of a node's life may take, milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// From the request to a server that the cloud lists.
    pub request_ms: u64,
    /// From there to a server that is switched on.
    pub build_ms: u64,
    /// From there to a worker.
    pub join_ms: u64,
    /// From the last sign of a worker, while its server is on, to its removal.
    pub lost_ms: u64,
    /// From the drain to its last job's end; then the drain is undone or the node removed, see `drain_kill`.
    pub drain_ms: u64,
    /// From a deletion to its repetition.
    pub delete_ms: u64,
    /// Whether a drain that lasts too long ends with the node's removal (jobs are lost), rather than with an alarm.
    pub drain_kill: bool,
}

/// When a node ends by itself, milliseconds; the manager's absence leaks nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The longest life; the manager drains it before.
    pub lifetime_ms: u64,
    /// Without a job for that long it switches itself off.
    pub idle_shutdown_ms: u64,
}

/// The batch system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BatchConfig {
    /// HTCondor.
    Condor(CondorConfig),
    /// Slurm.
    Slurm(SlurmConfig),
    /// The queue that comes with the pool.
    Local(LocalBatchConfig),
}

/// HTCondor, the default: found by `CONDOR_CONFIG`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CondorConfig {
    /// `CONDOR_CONFIG` for our commands; `None`: as in the environment.
    pub config_file: Option<PathBuf>,
    /// Directory of the `condor_*` programs; `None`: by `PATH`.
    pub bin: Option<PathBuf>,
    /// Schedds to ask; empty: all that the collector knows.
    pub schedds: Vec<String>,
    /// `condor.password`: the pool password, for pools built on it.
    pub password: Option<Secret>,
    /// `condor.host_ip`: the head's address that workers are told; `None`: found out.
    pub host_ip: Option<String>,
    /// Whether workers join by a token of their own.
    pub idtokens: bool,
    /// A job group's jobs run on our workers only when this constraint holds for them, too.
    pub constraint: Option<String>,
}

/// Slurm.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlurmConfig {
    /// `SLURM_CONF` for our commands; `None`: as in the environment.
    pub config_file: Option<PathBuf>,
    /// Directory of the programs; `None`: by `PATH`.
    pub bin: Option<PathBuf>,
    /// The names that servers take, a hostlist (`ehos[1-20]`).
    pub nodes: Option<String>,
    /// Whether nodes register themselves (24.11 and later) instead of taking a declared name.
    pub dynamic: bool,
    /// Partitions whose jobs are served; empty: all.
    pub partitions: Vec<String>,
}

/// The queue that comes with the pool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalBatchConfig {
    /// Its directory; `None`: in the state directory.
    pub dir: Option<PathBuf>,
}

/// Where the record is kept.
#[derive(Clone, PartialEq, Eq)]
pub enum Database {
    /// A file; `None`: `record.db` in the state directory.
    Sqlite(Option<PathBuf>),
    /// A server; the URL may hold a password.
    Postgres(Secret),
}

impl fmt::Debug for Database {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => out.debug_tuple("Sqlite").field(path).finish(),
            Self::Postgres(_) => out.write_str("Postgres(…)"),
        }
    }
}

/// The interface over HTTP: status, metrics, and the documented REST paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestConfig {
    /// Address and port; the port 8888 of EHOS on loopback, if nothing else is said.
    pub listen: String,
    /// A file whose content a client must send as bearer token to change anything; `None`: nothing can be changed.
    pub token_file: Option<PathBuf>,
}

/// InfluxDB, by line protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InfluxConfig {
    /// Its URL; `/write?db=` is appended.
    pub url: String,
    /// Database.
    pub db: String,
    /// User, for basic authentication.
    pub username: Option<String>,
    /// Password.
    pub password: Option<Secret>,
}
