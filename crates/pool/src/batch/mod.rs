//! Batch systems behind one trait: what the manager asks of the system whose queue it serves.
//!
//! **The rule of truth.** "Nothing" is believed only when the batch system has proved that it lives (reference: an
//! empty answer with exit code 0 is what HTCondor gives when its collector has just been restarted, and what Slurm
//! 22.05 gives when its controller is down). An implementation that cannot prove it returns [`BatchError::Unknown`], and
//! the manager then neither removes a worker nor takes one for lost. Every child process and connection has a deadline.

pub mod condor;
pub mod local;
mod program;
pub mod slurm;

use std::fmt;

use async_trait::async_trait;

use crate::model::{Demand, Resources, Worker};

/// A batch system.
#[async_trait]
pub trait Batch: Send + Sync + fmt::Debug {
    /// A word for it: `htcondor`, `slurm`, `local`.
    fn kind(&self) -> &'static str;

    /// The queue, grouped. Which groups a worker type can run is worked out against `candidates`, by the batch system's
    /// own matchmaking where it has one. Must take 100 000 jobs without holding them all in memory.
    ///
    /// # Errors
    /// [`BatchError`].
    async fn demand(&self, candidates: &[Candidate]) -> Result<Demand, BatchError>;

    /// All workers, ours and others; one entry per machine.
    ///
    /// # Errors
    /// [`BatchError`].
    async fn workers(&self) -> Result<Vec<Worker>, BatchError>;

    /// Prepares the joining of a node that is about to be requested. Called again for the same node after a crash: the
    /// answer must then serve as well.
    ///
    /// # Errors
    /// [`BatchError`]; [`BatchError::Full`] when no name is free (Slurm's declared hostlist).
    async fn admit(&self, request: &JoinRequest) -> Result<Join, BatchError>;

    /// Lets a worker take no new jobs and finish those it has.
    ///
    /// With [`DrainMode::OnlyIfIdle`] the batch system itself decides in one step whether the worker is idle, so that
    /// no job can start in between. `Accepted` says that the drain is in force, not that it is over: that is seen as
    /// [`crate::model::WorkerState::Drained`].
    ///
    /// # Errors
    /// [`BatchError`].
    async fn drain(&self, worker: &Worker, mode: DrainMode, reason: &str) -> Result<DrainAnswer, BatchError>;

    /// Lets a draining worker take jobs again.
    ///
    /// # Errors
    /// [`BatchError`].
    async fn cancel_drain(&self, worker: &Worker) -> Result<(), BatchError>;

    /// Ends the worker's daemons, peacefully: jobs that may still be there finish first. Called for drained workers
    /// before their server is deleted; a worker that does not answer is no error.
    ///
    /// # Errors
    /// [`BatchError`].
    async fn off(&self, worker: &Worker) -> Result<(), BatchError>;

    /// Forgets a node whose server is gone: its last advertisement is withdrawn, its name is free again. Doing it twice
    /// does no harm.
    ///
    /// # Errors
    /// [`BatchError`].
    async fn forget(&self, node: &str, worker_handle: Option<&str>) -> Result<(), BatchError>;
}

/// A machine that could be made: what a worker of this type will say of itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// The worker type.
    pub worker_type: String,
    /// What the largest of its machines has.
    pub resources: Resources,
    /// What it says of itself beside that, attribute and value: HTCondor's ClassAd expressions, Slurm's `Feature`,
    /// `Partition`.
    pub attributes: Vec<(String, String)>,
}

/// What a batch system must know of a node that is to join.
#[derive(Clone, Debug, PartialEq)]
pub struct JoinRequest {
    /// The node, which the worker is to advertise as `ElasticNode`.
    pub node: String,
    /// Its type.
    pub candidate: Candidate,
    /// How long it may live, milliseconds: a token has to last as long.
    pub lifetime_ms: u64,
    /// After how long without a job it is to switch itself off, milliseconds: when the manager is away.
    pub idle_shutdown_ms: u64,
}

/// What a node needs to join.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Join {
    /// By what the batch system will name it, where that is known beforehand (Slurm).
    pub worker_handle: Option<String>,
    /// Values for the tags of its user-data: `token`, `password`, `master_ip`, `uid_domain`, `worker_name`, …. Some are
    /// secrets.
    pub tags: Vec<(String, String)>,
}

/// The values are left out: some are secrets.
impl fmt::Debug for Join {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.tags.iter().map(|(name, _)| name.as_str()).collect();
        out.debug_struct("Join").field("worker_handle", &self.worker_handle).field("tags", &names).finish()
    }
}

/// How a worker is drained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrainMode {
    /// Only when it has no job at the moment of the command, by the batch system's own check.
    OnlyIfIdle,
    /// In any case; jobs finish.
    Peaceful,
}

/// What became of a wish to drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrainAnswer {
    /// It is in force.
    Accepted,
    /// Refused: the worker has a job.
    Busy,
    /// There is no such worker.
    NoSuchWorker,
}

/// What went wrong at a batch system.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// It does not answer, or its answer is not backed by a sign of life: nothing is known.
    #[error("nothing is known: {0}")]
    Unknown(String),
    /// A program or an answer did not come to an end in time.
    #[error("{what} has not answered after {after_ms} ms")]
    Deadline {
        /// What was asked.
        what: String,
        /// The deadline.
        after_ms: u64,
    },
    /// It refuses.
    #[error("refused: {0}")]
    Refused(String),
    /// No worker can join: no name or no place is free.
    #[error("no place is free: {0}")]
    Full(String),
    /// What is configured is not there (no program, no configuration).
    #[error("it cannot be used: {0}")]
    Setup(String),
}
