//! The nouns: what jobs ask for ([`JobGroup`], [`Demand`]), what a cloud has ([`Flavor`], [`CloudLimits`],
//! [`Server`]), what a batch system has ([`Worker`]), and what the manager remembers of each machine ([`Node`]).
//!
//! Everything here is a plain value. Times are milliseconds since the Unix epoch (`…_ms`): they are written to the
//! record and must mean the same after a restart. Within one run of the manager they come from a clock that never goes
//! back (see `campanile_control::clock`), so a step of the wall clock neither makes nor removes a machine.

use std::fmt;
use std::ops::{Add, AddAssign};

use serde::{Deserialize, Serialize};

/// An amount of what jobs ask for and machines have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Resources {
    /// Cores.
    pub cores: u32,
    /// Memory, MiB.
    pub memory_mib: u64,
    /// Scratch disk, MiB.
    pub disk_mib: u64,
    /// GPUs.
    pub gpus: u32,
}

impl Resources {
    /// Cores and memory, with no demand for disk and GPUs.
    #[must_use]
    pub fn new(cores: u32, memory_mib: u64) -> Self {
        Self { cores, memory_mib, disk_mib: 0, gpus: 0 }
    }

    /// Whether `self` fits into `room`.
    #[must_use]
    pub fn fits(&self, room: &Self) -> bool {
        self.cores <= room.cores
            && self.memory_mib <= room.memory_mib
            && self.disk_mib <= room.disk_mib
            && self.gpus <= room.gpus
    }

    /// What is left of `self` when `taken` is gone; never below zero.
    #[must_use]
    pub fn minus(&self, taken: &Self) -> Self {
        Self {
            cores: self.cores.saturating_sub(taken.cores),
            memory_mib: self.memory_mib.saturating_sub(taken.memory_mib),
            disk_mib: self.disk_mib.saturating_sub(taken.disk_mib),
            gpus: self.gpus.saturating_sub(taken.gpus),
        }
    }

    /// How many of `self` fit into `room`, at most `limit`.
    #[must_use]
    pub fn times_in(&self, room: &Self, limit: u64) -> u64 {
        let per = |need: u64, have: u64| have.checked_div(need).unwrap_or(limit);
        limit
            .min(per(u64::from(self.cores), u64::from(room.cores)))
            .min(per(self.memory_mib, room.memory_mib))
            .min(per(self.disk_mib, room.disk_mib))
            .min(per(u64::from(self.gpus), u64::from(room.gpus)))
    }

    /// `self` taken `count` times.
    #[must_use]
    pub fn times(&self, count: u64) -> Self {
        let cut = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
        Self {
            cores: cut(u64::from(self.cores).saturating_mul(count)),
            memory_mib: self.memory_mib.saturating_mul(count),
            disk_mib: self.disk_mib.saturating_mul(count),
            gpus: cut(u64::from(self.gpus).saturating_mul(count)),
        }
    }
}

impl Add for Resources {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            cores: self.cores.saturating_add(other.cores),
            memory_mib: self.memory_mib.saturating_add(other.memory_mib),
            disk_mib: self.disk_mib.saturating_add(other.disk_mib),
            gpus: self.gpus.saturating_add(other.gpus),
        }
    }
}

impl AddAssign for Resources {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

/// `4 cores, 8192 MiB`, and what else there is.
impl fmt::Display for Resources {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.cores == 1 { "" } else { "s" };
        write!(out, "{} core{plural}, {} MiB", self.cores, self.memory_mib)?;
        if self.disk_mib > 0 {
            write!(out, ", {} MiB of disk", self.disk_mib)?;
        }
        if self.gpus > 0 {
            write!(out, ", {} GPU", self.gpus)?;
        }
        Ok(())
    }
}

/// Idle jobs that ask for the same and can run on the same worker types.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct JobGroup {
    /// What each of them asks for.
    pub request: Resources,
    /// How many wait, with those that the batch system has not materialised yet.
    pub jobs: u64,
    /// Names of the worker types whose candidate machine can run them, by the batch system's own matchmaking. Empty:
    /// no worker type can, so the jobs are no demand.
    pub worker_types: Vec<String>,
    /// Since when the oldest of them waits, milliseconds since the epoch; `None` if the batch system does not tell.
    pub oldest_ms: Option<u64>,
}

/// What a queue holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Demand {
    /// Idle jobs that are to be run by workers, grouped.
    pub groups: Vec<JobGroup>,
    /// Jobs that run.
    pub running_jobs: u64,
    /// Jobs that are held: no demand.
    pub held_jobs: u64,
    /// Jobs that are idle and need no worker (other universes) or may not start (dependencies): no demand.
    pub other_jobs: u64,
    /// Jobs that are suspended.
    pub suspended_jobs: u64,
}

impl Demand {
    /// All jobs that wait for a worker, those that no worker type can run included.
    #[must_use]
    pub fn idle_jobs(&self) -> u64 {
        self.groups.iter().map(|group| group.jobs).sum()
    }
}

/// A kind of machine that a cloud sells.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Flavor {
    /// The cloud's own id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What a machine of it has.
    pub resources: Resources,
}

/// What a cloud allows a project; `None` where it sets no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CloudLimits {
    /// Cores used, whoever uses them.
    pub cores_used: u64,
    /// Cores allowed.
    pub cores_max: Option<u64>,
    /// Memory used, MiB.
    pub memory_used_mib: u64,
    /// Memory allowed, MiB.
    pub memory_max_mib: Option<u64>,
    /// Servers there are.
    pub servers_used: u64,
    /// Servers allowed.
    pub servers_max: Option<u64>,
}

/// Whose servers ours are: derived from the configuration alone, so that they are found again when the record is lost.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Mark {
    /// `project_prefix`.
    pub prefix: String,
    /// `daemon.hostname`: the host on which the manager runs.
    pub host: String,
}

/// The key under which a server bears the mark of its pool ([`Mark::value`]).
pub const MARK_KEY: &str = "campanile-pool";
/// The key under which a server, port, volume or floating address bears the name of its node.
pub const NODE_KEY: &str = "campanile-node";
/// The key under which a server bears its worker type.
pub const TYPE_KEY: &str = "campanile-type";
/// Longest value of the mark, characters: nova's tags end there (its metadata takes 255).
pub const MARK_MAX_CHARS: usize = 60;

impl Mark {
    /// What is written on a server: `prefix@host`. Characters that nova's tags cannot hold (`,` and `/`) become `_`; a
    /// longer value is cut, with a hash of the whole at its end.
    #[must_use]
    pub fn value(&self) -> String {
        let whole = format!("{}@{}", self.prefix, self.host);
        let safe: String = whole.chars().map(|c| if matches!(c, ',' | '/') { '_' } else { c }).collect();
        if safe.chars().count() <= MARK_MAX_CHARS && safe == whole {
            return safe;
        }
        let hash = whole.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        let kept: String = safe.chars().take(MARK_MAX_CHARS - 17).collect();
        format!("{kept}-{hash:016x}")
    }
}

/// What a cloud says of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServerStatus {
    /// Being made.
    Building,
    /// Switched on.
    Active,
    /// Switched off, suspended, shelved.
    Stopped,
    /// Broken; it holds quota until it is deleted.
    Error,
    /// Being deleted, or deletion failed.
    Deleting,
    /// Something else.
    Unknown,
}

/// A server of a cloud.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Server {
    /// The cloud's own id.
    pub id: String,
    /// Its name; not unique.
    pub name: String,
    /// How it is.
    pub status: ServerStatus,
    /// The value under [`MARK_KEY`], as it was read from this very server. `None`: not ours.
    pub mark: Option<String>,
    /// The value under [`NODE_KEY`].
    pub node: Option<String>,
    /// The value under [`TYPE_KEY`].
    pub worker_type: Option<String>,
    /// Name or id of its flavor.
    pub flavor: String,
    /// What it has, where the cloud tells.
    pub resources: Option<Resources>,
    /// When it was made.
    pub created_ms: u64,
    /// What went wrong, in the cloud's words.
    pub fault: Option<String>,
    /// Its addresses, fixed ones first.
    pub addresses: Vec<String>,
}

/// What a worker does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkerState {
    /// Takes jobs and has none.
    Idle,
    /// Has jobs.
    Busy,
    /// Takes no new jobs; has some.
    Draining,
    /// Takes no new jobs; has none.
    Drained,
    /// Is in the batch system and can run nothing (down, failed, owner's use).
    Unusable,
}

/// A worker as the batch system sees it; one per machine, not per slot.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Worker {
    /// By what the batch system's commands name it (a slot of HTCondor, a node of Slurm).
    pub handle: String,
    /// The attribute `ElasticNode` (or what stands for it): the name of its node.
    pub elastic_node: Option<String>,
    /// The name of its startd, as it is: `name@host`; Slurm's node name.
    pub startd_name: Option<String>,
    /// The machine it says it is on.
    pub machine: Option<String>,
    /// What it does.
    pub state: WorkerState,
    /// All that it has.
    pub total: Resources,
    /// What no job has.
    pub free: Resources,
    /// Jobs on it.
    pub jobs: u64,
    /// Since when it has no job; `None` if it has one or the batch system does not tell.
    pub idle_since_ms: Option<u64>,
    /// When it was last heard of, by the clock of the batch system's head.
    pub heard_ms: Option<u64>,
    /// Who it authenticated as, where the batch system tells.
    pub identity: Option<String>,
    /// Names of the worker types whose jobs it takes; empty: not known (what is not ours), taken as "all".
    pub worker_types: Vec<String>,
}

/// Where a node is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeState {
    /// Written down; the cloud is being asked, or its answer was lost.
    Requested,
    /// The cloud makes it.
    Building,
    /// It is switched on and has not joined the batch system.
    Booted,
    /// It has joined and has no job.
    Idle,
    /// It has jobs.
    Busy,
    /// It was joined, and the batch system has not heard of it for a while.
    Lost,
    /// It takes no new jobs and is to go.
    Draining,
    /// Its server is to be deleted, or is being deleted.
    Deleting,
    /// Nothing is left of it.
    Gone,
}

impl NodeState {
    /// Its word, in the record, in reports and in the journal.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Building => "building",
            Self::Booted => "booted",
            Self::Idle => "idle",
            Self::Busy => "busy",
            Self::Lost => "lost",
            Self::Draining => "draining",
            Self::Deleting => "deleting",
            Self::Gone => "gone",
        }
    }

    /// The state of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// All of them, in the order of a life.
    pub const ALL: [Self; 9] = [
        Self::Requested,
        Self::Building,
        Self::Booted,
        Self::Idle,
        Self::Busy,
        Self::Lost,
        Self::Draining,
        Self::Deleting,
        Self::Gone,
    ];

    /// Whether it is on its way and will work.
    #[must_use]
    pub fn is_coming(self) -> bool {
        matches!(self, Self::Requested | Self::Building | Self::Booted)
    }

    /// Whether it takes jobs.
    #[must_use]
    pub fn is_working(self) -> bool {
        matches!(self, Self::Idle | Self::Busy)
    }
}

/// Why a node is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// The queue does not need it.
    NotNeeded,
    /// An operator asked for it.
    Asked,
    /// Its server is in error.
    ServerError,
    /// It was not built, not booted or not joined in time.
    Overdue,
    /// The batch system has lost it.
    Lost,
    /// It ended itself (lease, idle shutdown), or somebody switched it off.
    EndedItself,
    /// Its server has gone without our doing.
    Vanished,
    /// The cloud refused to make it.
    Refused,
    /// Nobody has heard what became of the request for it: the manager ended meanwhile, or the cloud was silent.
    Unanswered,
    /// It has lived as long as it may.
    LeaseOver,
}

impl Ending {
    /// In words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::NotNeeded => "no longer needed",
            Self::Asked => "an operator asked for it",
            Self::ServerError => "its server is in error",
            Self::Overdue => "it did not get ready in time",
            Self::Lost => "the batch system has lost it",
            Self::EndedItself => "it has switched itself off",
            Self::Vanished => "its server has vanished",
            Self::Refused => "the cloud refused to make it",
            Self::Unanswered => "nobody heard what became of its request",
            Self::LeaseOver => "it has lived as long as it may",
        }
    }

    /// Whether it says something about the health of the cloud or flavor.
    #[must_use]
    pub fn is_failure(self) -> bool {
        matches!(self, Self::ServerError | Self::Overdue | Self::Refused | Self::Lost | Self::Vanished)
    }
}

/// What the manager remembers of a machine, from before it is asked for until nothing is left of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Unique for ever; also the server's name, its idempotency mark ([`NODE_KEY`]) and its `ElasticNode`.
    pub name: String,
    /// Name of its cloud in the configuration.
    pub cloud: String,
    /// Name of its worker type.
    pub worker_type: String,
    /// Name of its flavor.
    pub flavor: String,
    /// Image it was made from.
    pub image: String,
    /// What it has, by its flavor.
    pub resources: Resources,
    /// What it costs, in the configuration's unit, per hour.
    pub cost_per_hour: f64,
    /// Where it is in its life.
    pub state: NodeState,
    /// When it got there.
    pub since_ms: u64,
    /// When it was written down.
    pub created_ms: u64,
    /// The cloud's id, once it is known.
    pub server_id: Option<String>,
    /// The batch system's name for it, once it is known (or given beforehand: Slurm).
    pub worker_handle: Option<String>,
    /// Since when it has had no job, by our own watch.
    pub idle_since_ms: Option<u64>,
    /// Whether it is to take no new jobs, by an operator's word, without being removed.
    pub cordoned: bool,
    /// Why it is to go.
    pub ending: Option<Ending>,
    /// More about that: fault, tail of its console.
    pub detail: String,
    /// How often its deletion was asked for.
    pub delete_tries: u32,
    /// When its drain or deletion was last asked for.
    pub asked_ms: Option<u64>,
    /// Since when its worker is not seen, while it drains.
    pub missing_since_ms: Option<u64>,
}
