//! The queue that comes with the pool: for the demo, for tests, and for a site of one machine. It is no competitor of a
//! batch system: jobs run in the order in which they came, on the first worker with room.
//!
//! It is a database file that submitters, workers and the manager share; none of them needs another to be alive.

pub mod queue;
pub mod worker;

use std::collections::BTreeMap;

use async_trait::async_trait;

pub use queue::{LocalQueue, NewJob, QueueError};

use super::{Batch, BatchError, Candidate, DrainAnswer, DrainMode, Join, JoinRequest};
use crate::model::{Demand, JobGroup, Worker};
use queue::Drain;

/// The local queue as a batch system.
#[derive(Debug)]
pub struct LocalBatch {
    queue: LocalQueue,
}

impl LocalBatch {
    /// Serves this queue.
    #[must_use]
    pub fn new(queue: LocalQueue) -> Self {
        Self { queue }
    }
}

impl From<QueueError> for BatchError {
    fn from(error: QueueError) -> Self {
        Self::Unknown(format!("the local queue does not answer: {error}"))
    }
}

#[async_trait]
impl Batch for LocalBatch {
    fn kind(&self) -> &'static str {
        "local"
    }

    async fn demand(&self, candidates: &[Candidate]) -> Result<Demand, BatchError> {
        let counts = self.queue.counts().await?;
        let by_state =
            |state: &str| counts.iter().find(|(name, _)| name == state).map_or(0, |(_, jobs)| *jobs);
        let groups = self.queue.idle_groups().await?;
        let groups = groups.into_iter().map(|(request, jobs, oldest_ms)| JobGroup {
            request,
            jobs,
            worker_types: candidates
                .iter()
                .filter(|candidate| request.fits(&candidate.resources))
                .map(|candidate| candidate.worker_type.clone())
                .collect(),
            oldest_ms: Some(oldest_ms),
        });
        Ok(Demand {
            groups: groups.collect(),
            running_jobs: by_state("running"),
            held_jobs: by_state("held"),
            ..Demand::default()
        })
    }

    async fn workers(&self) -> Result<Vec<Worker>, BatchError> {
        self.queue.requeue_orphans().await?;
        Ok(self.queue.workers().await?)
    }

    async fn admit(&self, request: &JoinRequest) -> Result<Join, BatchError> {
        let resources = request.candidate.resources;
        let tags = BTreeMap::from([
            ("queue", self.queue.path().display().to_string()),
            ("cores", resources.cores.to_string()),
            ("memory_mib", resources.memory_mib.to_string()),
        ]);
        let tags = tags.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Ok(Join { worker_handle: None, tags })
    }

    async fn drain(
        &self,
        worker: &Worker,
        mode: DrainMode,
        _reason: &str,
    ) -> Result<DrainAnswer, BatchError> {
        let only_if_idle = mode == DrainMode::OnlyIfIdle;
        Ok(self.queue.drain(&worker.handle, Drain::NoNewJobs, only_if_idle).await?)
    }

    async fn cancel_drain(&self, worker: &Worker) -> Result<(), BatchError> {
        self.queue.drain(&worker.handle, Drain::None, false).await?;
        Ok(())
    }

    async fn off(&self, worker: &Worker) -> Result<(), BatchError> {
        self.queue.drain(&worker.handle, Drain::Off, false).await?;
        Ok(())
    }

    async fn forget(&self, node: &str, _worker_handle: Option<&str>) -> Result<(), BatchError> {
        Ok(self.queue.forget(node).await?)
    }
}

/// The user-data of a worker, where the configuration names no file.
pub const USER_DATA: &str = "exec '{campanile}' pool worker --queue '{queue}' --node '{node}' \
--worker-type '{worker_type}' --cores {cores} --memory {memory_mib} \
--lifetime {lifetime_s} --idle-shutdown {idle_shutdown_s}
";
