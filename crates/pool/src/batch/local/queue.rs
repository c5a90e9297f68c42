//! The file of the local queue. Every change is one transaction that takes the write lock first, so that of two who want
//! the same job one gets it, and a worker that is drained while idle cannot get one.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous,
};
use sqlx::{Row as _, SqlitePool};

use crate::batch::DrainAnswer;
use crate::model::{Resources, Worker, WorkerState};

/// A worker that has not been heard of for that long is not listed.
const UNHEARD_MS: u64 = 20_000;
/// Its jobs begin anew elsewhere after this time, milliseconds. It ends them itself before, if it lives.
const ORPHAN_MS: u64 = 90_000;
/// Another process may hold the write lock for that long.
const BUSY: Duration = Duration::from_secs(15);
/// Jobs that are listed.
const MAX_LISTED: u32 = 10_000;

/// Why the queue does not answer.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", path.display())]
pub struct QueueError {
    path: PathBuf,
    source: sqlx::Error,
}

/// A job to be submitted.
#[derive(Clone, Debug)]
pub struct NewJob {
    /// What it asks for.
    pub request: Resources,
    /// The program and its arguments; not empty.
    pub command: Vec<String>,
    /// Where it runs.
    pub working_dir: PathBuf,
}

/// A job as it is listed.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Job {
    /// Its number.
    pub id: i64,
    /// `idle`, `running`, `done`.
    pub state: String,
    /// What it asks for.
    pub request: Resources,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// The worker that it runs, or ran, on.
    pub worker: Option<String>,
    /// How often it was started.
    pub starts: i64,
    /// Its exit code, once it is done; −1 if it could not be started, or ended by a signal.
    pub exit_code: Option<i64>,
}

/// A job that a worker has got.
#[derive(Clone, Debug)]
pub(super) struct Claimed {
    pub(super) id: i64,
    pub(super) start: i64,
    pub(super) request: Resources,
    pub(super) command: Vec<String>,
    pub(super) working_dir: PathBuf,
}

/// Whether a worker takes jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Drain {
    /// It does.
    None = 0,
    /// It finishes what it has.
    NoNewJobs = 1,
    /// It ends when it has finished.
    Off = 2,
}

/// An open queue. Cheap to clone.
#[derive(Clone, Debug)]
pub struct LocalQueue {
    pool: SqlitePool,
    path: PathBuf,
}

const TABLES: [&str; 3] = [
    "CREATE TABLE IF NOT EXISTS job (
        id INTEGER PRIMARY KEY AUTOINCREMENT, state TEXT NOT NULL, cores INTEGER NOT NULL,
        memory_mib INTEGER NOT NULL, disk_mib INTEGER NOT NULL, gpus INTEGER NOT NULL, command TEXT NOT NULL,
        working_dir TEXT NOT NULL, worker TEXT, starts INTEGER NOT NULL DEFAULT 0, submitted_ms INTEGER NOT NULL,
        ended_ms INTEGER, exit_code INTEGER)",
    "CREATE INDEX IF NOT EXISTS job_of_state ON job (state, id)",
    "CREATE TABLE IF NOT EXISTS worker (
        name TEXT PRIMARY KEY, worker_type TEXT NOT NULL, cores INTEGER NOT NULL, memory_mib INTEGER NOT NULL,
        disk_mib INTEGER NOT NULL, gpus INTEGER NOT NULL, drain INTEGER NOT NULL, heard_ms INTEGER NOT NULL,
        idle_since_ms INTEGER)",
];

impl LocalQueue {
    /// Opens the queue in this file, and makes it.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn open(path: &Path) -> Result<Self, QueueError> {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let failed = |source| QueueError { path: path.clone(), source };
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .busy_timeout(BUSY);
        let pool = SqlitePoolOptions::new().max_connections(2).acquire_timeout(BUSY);
        let pool = pool.connect_with(options).await.map_err(failed)?;
        for table in TABLES {
            sqlx::query(table).execute(&pool).await.map_err(failed)?;
        }
        Ok(Self { pool, path })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Submits a job `count` times; returns the first and the last number.
    ///
    /// # Errors
    /// [`QueueError`]; none was submitted then.
    pub async fn submit(&self, job: &NewJob, count: u32) -> Result<(i64, i64), QueueError> {
        let command = serde_json::to_string(&job.command).unwrap_or_default();
        let mut tx = self.write().await?;
        let mut ids = (i64::MAX, 0);
        for _ in 0..count {
            let done = sqlx::query(
                "INSERT INTO job (state, cores, memory_mib, disk_mib, gpus, command, working_dir, submitted_ms)
                 VALUES ('idle', ?, ?, ?, ?, ?, ?, ?)",
            )
            .bind(i64::from(job.request.cores))
            .bind(number(job.request.memory_mib))
            .bind(number(job.request.disk_mib))
            .bind(i64::from(job.request.gpus))
            .bind(command.as_str())
            .bind(job.working_dir.display().to_string())
            .bind(number(now_ms()))
            .execute(&mut *tx)
            .await
            .map_err(|source| self.failed(source))?;
            ids = (ids.0.min(done.last_insert_rowid()), ids.1.max(done.last_insert_rowid()));
        }
        tx.commit().await.map_err(|source| self.failed(source))?;
        Ok(ids)
    }

    /// The jobs, the newest first, at most ten thousand.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn jobs(&self) -> Result<Vec<Job>, QueueError> {
        let rows = sqlx::query("SELECT * FROM job ORDER BY id DESC LIMIT ?").bind(MAX_LISTED);
        let rows = rows.fetch_all(&self.pool).await.map_err(|source| self.failed(source))?;
        let job = |row: &SqliteRow| -> Result<Job, sqlx::Error> {
            Ok(Job {
                id: row.try_get("id")?,
                state: row.try_get("state")?,
                request: resources(row)?,
                command: serde_json::from_str(row.try_get::<&str, _>("command")?).unwrap_or_default(),
                worker: row.try_get("worker")?,
                starts: row.try_get("starts")?,
                exit_code: row.try_get("exit_code")?,
            })
        };
        rows.iter().map(job).collect::<Result<_, _>>().map_err(|source| self.failed(source))
    }

    /// How many jobs are in each state.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn counts(&self) -> Result<Vec<(String, u64)>, QueueError> {
        let rows = sqlx::query("SELECT state, COUNT(*) FROM job GROUP BY state").fetch_all(&self.pool);
        let rows = rows.await.map_err(|source| self.failed(source))?;
        let count =
            |row: &SqliteRow| -> Result<_, sqlx::Error> { Ok((row.try_get(0)?, positive(row.try_get(1)?))) };
        rows.iter().map(count).collect::<Result<_, _>>().map_err(|source| self.failed(source))
    }

    pub(super) async fn idle_groups(&self) -> Result<Vec<(Resources, u64, u64)>, QueueError> {
        let rows = sqlx::query(
            "SELECT cores, memory_mib, disk_mib, gpus, COUNT(*) AS jobs, MIN(submitted_ms) AS oldest_ms
             FROM job WHERE state = 'idle' GROUP BY cores, memory_mib, disk_mib, gpus",
        );
        let rows = rows.fetch_all(&self.pool).await.map_err(|source| self.failed(source))?;
        let group = |row: &SqliteRow| {
            Ok((resources(row)?, positive(row.try_get("jobs")?), positive(row.try_get("oldest_ms")?)))
        };
        rows.iter().map(group).collect::<Result<_, _>>().map_err(|source| self.failed(source))
    }

    pub(super) async fn workers(&self) -> Result<Vec<Worker>, QueueError> {
        let rows = sqlx::query(
            "SELECT worker.*, COUNT(job.id) AS jobs, COALESCE(SUM(job.cores), 0) AS used_cores,
                    COALESCE(SUM(job.memory_mib), 0) AS used_memory_mib,
                    COALESCE(SUM(job.disk_mib), 0) AS used_disk_mib, COALESCE(SUM(job.gpus), 0) AS used_gpus
             FROM worker LEFT JOIN job ON job.worker = worker.name AND job.state = 'running'
             WHERE heard_ms > ? GROUP BY worker.name",
        )
        .bind(number(now_ms().saturating_sub(UNHEARD_MS)));
        let rows = rows.fetch_all(&self.pool).await.map_err(|source| self.failed(source))?;
        rows.iter().map(worker).collect::<Result<_, _>>().map_err(|source| self.failed(source))
    }

    /// What ran on a worker that is not heard of any more waits again.
    pub(super) async fn requeue_orphans(&self) -> Result<(), QueueError> {
        let before = number(now_ms().saturating_sub(ORPHAN_MS));
        let mut tx = self.write().await?;
        sqlx::query(
            "UPDATE job SET state = 'idle', worker = NULL WHERE state = 'running'
             AND NOT EXISTS (SELECT 1 FROM worker WHERE worker.name = job.worker AND worker.heard_ms > ?)",
        )
        .bind(before)
        .execute(&mut *tx)
        .await
        .map_err(|source| self.failed(source))?;
        let old = sqlx::query("DELETE FROM worker WHERE heard_ms <= ?").bind(before);
        old.execute(&mut *tx).await.map_err(|source| self.failed(source))?;
        tx.commit().await.map_err(|source| self.failed(source))
    }

    pub(super) async fn drain(
        &self,
        name: &str,
        drain: Drain,
        only_if_idle: bool,
    ) -> Result<DrainAnswer, QueueError> {
        let mut tx = self.write().await?;
        let jobs: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM job WHERE worker = ? AND state = 'running'")
            .bind(name)
            .fetch_one(&mut *tx)
            .await
            .map_err(|source| self.failed(source))?;
        if only_if_idle && jobs > 0 {
            return Ok(DrainAnswer::Busy);
        }
        let done = sqlx::query("UPDATE worker SET drain = ? WHERE name = ?").bind(drain as i64).bind(name);
        let done = done.execute(&mut *tx).await.map_err(|source| self.failed(source))?;
        tx.commit().await.map_err(|source| self.failed(source))?;
        Ok(if done.rows_affected() == 0 { DrainAnswer::NoSuchWorker } else { DrainAnswer::Accepted })
    }

    /// A worker is no more: its jobs wait again.
    pub(super) async fn forget(&self, name: &str) -> Result<(), QueueError> {
        let mut tx = self.write().await?;
        let jobs = sqlx::query(
            "UPDATE job SET state = 'idle', worker = NULL WHERE worker = ? AND state = 'running'",
        );
        jobs.bind(name).execute(&mut *tx).await.map_err(|source| self.failed(source))?;
        let gone = sqlx::query("DELETE FROM worker WHERE name = ?").bind(name);
        gone.execute(&mut *tx).await.map_err(|source| self.failed(source))?;
        tx.commit().await.map_err(|source| self.failed(source))
    }

    pub(super) async fn join(&self, name: &str, kind: &str, total: &Resources) -> Result<(), QueueError> {
        let mut tx = self.write().await?;
        sqlx::query(
            "INSERT OR REPLACE INTO worker
             (name, worker_type, cores, memory_mib, disk_mib, gpus, drain, heard_ms, idle_since_ms)
             VALUES (?, ?, ?, ?, ?, ?, 0, ?, ?)",
        )
        .bind(name)
        .bind(kind)
        .bind(i64::from(total.cores))
        .bind(number(total.memory_mib))
        .bind(number(total.disk_mib))
        .bind(i64::from(total.gpus))
        .bind(number(now_ms()))
        .bind(number(now_ms()))
        .execute(&mut *tx)
        .await
        .map_err(|source| self.failed(source))?;
        tx.commit().await.map_err(|source| self.failed(source))
    }

    /// Says that a worker lives; returns whether it is to take jobs. `None`: it is not known any more.
    pub(super) async fn heartbeat(
        &self,
        name: &str,
        idle_since_ms: Option<u64>,
    ) -> Result<Option<i64>, QueueError> {
        let mut tx = self.write().await?;
        let beat = sqlx::query("UPDATE worker SET heard_ms = ?, idle_since_ms = ? WHERE name = ?");
        let beat = beat.bind(number(now_ms())).bind(idle_since_ms.map(number)).bind(name);
        beat.execute(&mut *tx).await.map_err(|source| self.failed(source))?;
        let drain = sqlx::query_scalar("SELECT drain FROM worker WHERE name = ?").bind(name);
        let drain: Option<i64> =
            drain.fetch_optional(&mut *tx).await.map_err(|source| self.failed(source))?;
        tx.commit().await.map_err(|source| self.failed(source))?;
        Ok(drain)
    }

    /// The next job that fits, if the worker takes jobs.
    pub(super) async fn claim(&self, name: &str, free: &Resources) -> Result<Option<Claimed>, QueueError> {
        let mut tx = self.write().await?;
        let row = sqlx::query(
            "UPDATE job SET state = 'running', worker = ?1, starts = starts + 1 WHERE id = (
                SELECT id FROM job WHERE state = 'idle' AND cores <= ?2 AND memory_mib <= ?3 AND disk_mib <= ?4
                AND gpus <= ?5 AND EXISTS (SELECT 1 FROM worker WHERE name = ?1 AND drain = 0) ORDER BY id LIMIT 1)
             RETURNING *",
        )
        .bind(name)
        .bind(i64::from(free.cores))
        .bind(number(free.memory_mib))
        .bind(number(free.disk_mib))
        .bind(i64::from(free.gpus))
        .fetch_optional(&mut *tx)
        .await
        .map_err(|source| self.failed(source))?;
        tx.commit().await.map_err(|source| self.failed(source))?;
        let claimed = |row: &SqliteRow| -> Result<Claimed, sqlx::Error> {
            Ok(Claimed {
                id: row.try_get("id")?,
                start: row.try_get("starts")?,
                request: resources(row)?,
                command: serde_json::from_str(row.try_get::<&str, _>("command")?).unwrap_or_default(),
                working_dir: PathBuf::from(row.try_get::<&str, _>("working_dir")?),
            })
        };
        row.as_ref().map(claimed).transpose().map_err(|source| self.failed(source))
    }

    /// A job has ended. One that was given to another worker meanwhile is left alone.
    pub(super) async fn finish(&self, name: &str, job: &Claimed, exit_code: i64) -> Result<(), QueueError> {
        let mut tx = self.write().await?;
        sqlx::query(
            "UPDATE job SET state = 'done', exit_code = ?, ended_ms = ?
             WHERE id = ? AND worker = ? AND starts = ? AND state = 'running'",
        )
        .bind(exit_code)
        .bind(number(now_ms()))
        .bind(job.id)
        .bind(name)
        .bind(job.start)
        .execute(&mut *tx)
        .await
        .map_err(|source| self.failed(source))?;
        tx.commit().await.map_err(|source| self.failed(source))
    }

    /// A transaction that takes the write lock at once: one that upgrades later can fail where nobody expects it.
    async fn write(&self) -> Result<sqlx::Transaction<'static, sqlx::Sqlite>, QueueError> {
        let begun = self.pool.begin_with("BEGIN IMMEDIATE").await;
        begun.map_err(|source| self.failed(source))
    }

    fn failed(&self, source: sqlx::Error) -> QueueError {
        QueueError { path: self.path.clone(), source }
    }
}

fn worker(row: &SqliteRow) -> Result<Worker, sqlx::Error> {
    let total = resources(row)?;
    let used = Resources {
        cores: narrow(row.try_get("used_cores")?),
        memory_mib: positive(row.try_get("used_memory_mib")?),
        disk_mib: positive(row.try_get("used_disk_mib")?),
        gpus: narrow(row.try_get("used_gpus")?),
    };
    let jobs: i64 = row.try_get("jobs")?;
    let drain: i64 = row.try_get("drain")?;
    let state = match (drain == Drain::None as i64, jobs > 0) {
        (true, true) => WorkerState::Busy,
        (true, false) => WorkerState::Idle,
        (false, true) => WorkerState::Draining,
        (false, false) => WorkerState::Drained,
    };
    let name: String = row.try_get("name")?;
    let idle_since_ms: Option<i64> = row.try_get("idle_since_ms")?;
    Ok(Worker {
        handle: name.clone(),
        elastic_node: Some(name),
        startd_name: None,
        machine: None,
        state,
        total,
        free: total.minus(&used),
        jobs: positive(jobs),
        idle_since_ms: idle_since_ms.map(positive),
        heard_ms: Some(positive(row.try_get("heard_ms")?)),
        identity: None,
        worker_types: vec![row.try_get("worker_type")?],
    })
}

fn resources(row: &SqliteRow) -> Result<Resources, sqlx::Error> {
    Ok(Resources {
        cores: narrow(row.try_get("cores")?),
        memory_mib: positive(row.try_get("memory_mib")?),
        disk_mib: positive(row.try_get("disk_mib")?),
        gpus: narrow(row.try_get("gpus")?),
    })
}

fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn positive(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

fn narrow(value: i64) -> u32 {
    u32::try_from(value).unwrap_or(if value < 0 { 0 } else { u32::MAX })
}

/// The queue's times are the wall clock's, since several processes share them.
pub(super) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn queue(dir: &tempfile::TempDir) -> LocalQueue {
        LocalQueue::open(&dir.path().join("queue.db")).await.unwrap()
    }

    fn job(cores: u32) -> NewJob {
        NewJob {
            request: Resources::new(cores, 100),
            command: vec!["true".to_owned()],
            working_dir: PathBuf::from("/"),
        }
    }

    #[tokio::test]
    async fn a_worker_that_was_drained_while_idle_gets_no_job_and_one_with_a_job_refuses() {
        let dir = tempfile::tempdir().unwrap();
        let queue = queue(&dir).await;
        assert_eq!(queue.submit(&job(1), 2).await.unwrap(), (1, 2));
        let room = Resources::new(2, 1000);
        queue.join("w", "standard", &room).await.unwrap();
        let first = queue.claim("w", &room).await.unwrap().unwrap();
        assert_eq!(queue.workers().await.unwrap()[0].state, WorkerState::Busy);
        assert_eq!(queue.drain("w", Drain::NoNewJobs, true).await.unwrap(), DrainAnswer::Busy);
        queue.finish("w", &first, 0).await.unwrap();
        assert_eq!(queue.drain("w", Drain::NoNewJobs, true).await.unwrap(), DrainAnswer::Accepted);
        assert_eq!(queue.workers().await.unwrap()[0].state, WorkerState::Drained);
        assert!(queue.claim("w", &room).await.unwrap().is_none());
        queue.drain("w", Drain::None, false).await.unwrap();
        assert!(queue.claim("w", &room).await.unwrap().is_some());
        assert_eq!(queue.drain("nobody", Drain::Off, true).await.unwrap(), DrainAnswer::NoSuchWorker);
    }

    #[tokio::test]
    async fn jobs_of_a_worker_that_is_no_more_wait_again_and_are_not_finished_twice() {
        let dir = tempfile::tempdir().unwrap();
        let queue = queue(&dir).await;
        queue.submit(&job(1), 1).await.unwrap();
        let room = Resources::new(1, 1000);
        queue.join("w", "standard", &room).await.unwrap();
        let old = queue.claim("w", &room).await.unwrap().unwrap();
        queue.forget("w").await.unwrap();
        assert_eq!(queue.counts().await.unwrap(), [("idle".to_owned(), 1)]);
        queue.join("v", "standard", &room).await.unwrap();
        queue.claim("v", &room).await.unwrap().unwrap();
        queue.finish("w", &old, 0).await.unwrap();
        let jobs = queue.jobs().await.unwrap();
        assert_eq!((jobs[0].state.as_str(), jobs[0].starts), ("running", 2));
    }
}
