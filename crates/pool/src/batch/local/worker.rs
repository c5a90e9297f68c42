//! A worker of the local queue: takes jobs, runs them, ends itself when its lease is over or nothing is to be done.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::process::{Child, Command};

use super::queue::{Claimed, LocalQueue, QueueError, now_ms};
use crate::model::Resources;

/// How often it looks for jobs and for ends.
const LOOK: Duration = Duration::from_millis(200);
/// How often it says that it lives.
const BEAT: Duration = Duration::from_secs(1);
/// After so long without the queue it ends: its jobs begin anew elsewhere before long.
const QUEUE_GONE: Duration = Duration::from_secs(60);

/// What a worker is told.
#[derive(Clone, Debug)]
pub struct WorkerOptions {
    /// The file of the queue.
    pub queue: PathBuf,
    /// Its name, that of its node.
    pub node: String,
    /// Its type.
    pub worker_type: String,
    /// What it has.
    pub total: Resources,
    /// How long it takes jobs.
    pub lifetime: Duration,
    /// How long it waits for one.
    pub idle_shutdown: Duration,
}

/// Why a worker ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkerEnd {
    /// It was switched off.
    Off,
    /// It has lived as long as it may.
    Lifetime,
    /// It had nothing to do for too long.
    Idle,
    /// The queue does not know it any more, or does not answer.
    QueueGone,
}

/// Runs a worker to its end.
///
/// # Errors
/// The queue cannot be opened or joined.
pub async fn run(options: &WorkerOptions) -> Result<WorkerEnd, QueueError> {
    let queue = LocalQueue::open(&options.queue).await?;
    queue.join(&options.node, &options.worker_type, &options.total).await?;
    let mut worker = Running {
        queue,
        options: options.clone(),
        jobs: Vec::new(),
        began: Instant::now(),
        idle_since: Some(Instant::now()),
        idle_since_ms: now_ms(),
        answered: Instant::now(),
        beaten: None,
        takes_jobs: true,
        is_off: false,
    };
    loop {
        if let Some(end) = worker.step().await {
            let _ = worker.queue.forget(&options.node).await;
            return Ok(end);
        }
        tokio::time::sleep(LOOK).await;
    }
}

struct Running {
    queue: LocalQueue,
    options: WorkerOptions,
    jobs: Vec<(Claimed, Option<Child>)>,
    began: Instant,
    idle_since: Option<Instant>,
    idle_since_ms: u64,
    answered: Instant,
    beaten: Option<Instant>,
    takes_jobs: bool,
    is_off: bool,
}

impl Running {
    async fn step(&mut self) -> Option<WorkerEnd> {
        self.collect().await;
        if let Some(end) = self.beat().await {
            return Some(end);
        }
        let is_old = self.began.elapsed() >= self.options.lifetime;
        if self.jobs.is_empty() {
            if is_old {
                return Some(WorkerEnd::Lifetime);
            }
            if self.is_off {
                return Some(WorkerEnd::Off);
            }
            if self.idle_since.is_some_and(|since| since.elapsed() >= self.options.idle_shutdown) {
                return Some(WorkerEnd::Idle);
            }
        }
        if !is_old && self.takes_jobs {
            self.take().await;
        }
        None
    }

    /// Says that it lives, and hears whether it is to take jobs.
    async fn beat(&mut self) -> Option<WorkerEnd> {
        if self.beaten.is_some_and(|at| at.elapsed() < BEAT) {
            return None;
        }
        let idle_since_ms = self.jobs.is_empty().then_some(self.idle_since_ms);
        match self.queue.heartbeat(&self.options.node, idle_since_ms).await {
            Ok(Some(drain)) => {
                self.takes_jobs = drain == 0;
                self.is_off = drain == 2;
                self.answered = Instant::now();
                self.beaten = Some(self.answered);
                None
            }
            Ok(None) => Some(WorkerEnd::QueueGone),
            Err(error) => {
                tracing::warn!(%error, "the queue does not answer");
                (self.answered.elapsed() > QUEUE_GONE).then_some(WorkerEnd::QueueGone)
            }
        }
    }

    async fn take(&mut self) {
        loop {
            let used = self.jobs.iter().fold(Resources::default(), |sum, (job, _)| sum + job.request);
            let free = self.options.total.minus(&used);
            if free.cores == 0 {
                return;
            }
            match self.queue.claim(&self.options.node, &free).await {
                Ok(Some(job)) => {
                    tracing::info!(job = job.id, "a job begins");
                    let child = spawn(&job);
                    self.jobs.push((job, child));
                    self.idle_since = None;
                }
                Ok(None) => return,
                Err(error) => {
                    tracing::warn!(%error, "no job can be taken");
                    return;
                }
            }
        }
    }

    /// Enters the jobs that have ended.
    async fn collect(&mut self) {
        let mut index = 0;
        while index < self.jobs.len() {
            let (job, child) = &mut self.jobs[index];
            let code = match child {
                None => Some(-1),
                Some(child) => match child.try_wait() {
                    Ok(None) => None,
                    Ok(Some(status)) => Some(i64::from(status.code().unwrap_or(-1))),
                    Err(_) => Some(-1),
                },
            };
            let Some(code) = code else {
                index += 1;
                continue;
            };
            // Without the queue it is tried again; the job has ended all the same.
            if let Err(error) = self.queue.finish(&self.options.node, job, code).await {
                tracing::warn!(%error, "the end of a job cannot be entered");
                index += 1;
                continue;
            }
            tracing::info!(job = job.id, code, "a job has ended");
            self.jobs.remove(index);
            if self.jobs.is_empty() {
                self.idle_since = Some(Instant::now());
                self.idle_since_ms = now_ms();
            }
        }
    }
}

fn spawn(job: &Claimed) -> Option<Child> {
    let (program, arguments) = job.command.split_first()?;
    let mut command = Command::new(program);
    command.args(arguments).current_dir(&job.working_dir).stdin(Stdio::null()).kill_on_drop(true);
    match command.spawn() {
        Ok(child) => Some(child),
        Err(error) => {
            tracing::warn!(job = job.id, %error, "a job cannot be started");
            None
        }
    }
}
