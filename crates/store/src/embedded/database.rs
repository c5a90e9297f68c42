//! The tables, and the transactions over them.

use std::collections::BTreeMap;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Row as _, SqliteConnection, SqlitePool};

use super::KEPT_REVISIONS;
use super::clock::{boot_id, since_boot_ms};
use crate::{Change, Committed, Expect, Guard, KeyEvent, Prefix, Revision, Snapshot, StoreError};

/// Name of the file.
pub(super) const FILE: &str = "store.db";
/// Version of the tables; a file with another one is left alone.
const SCHEMA: i64 = 1;
/// How long a change waits for another program's.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections of this program to the file.
const MAX_CONNECTIONS: u32 = 4;

const TABLES: [&str; 4] = [
    "CREATE TABLE IF NOT EXISTS state (one INTEGER PRIMARY KEY CHECK (one = 1), revision INTEGER NOT NULL, \
     forgotten INTEGER NOT NULL, boot TEXT NOT NULL) STRICT",
    "CREATE TABLE IF NOT EXISTS keys (key TEXT PRIMARY KEY, value TEXT NOT NULL, lease INTEGER) STRICT, WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS events (revision INTEGER NOT NULL, number INTEGER NOT NULL, key TEXT NOT NULL, \
     value TEXT, PRIMARY KEY (revision, number)) STRICT, WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS leases (id INTEGER PRIMARY KEY AUTOINCREMENT, ends_ms INTEGER NOT NULL) STRICT",
];

/// An open database.
#[derive(Debug)]
pub(super) struct Database {
    pool: SqlitePool,
    path: PathBuf,
}

/// What a change puts under a lease, and whether there was one.
pub(super) enum Leased<T> {
    /// Done.
    Done(T),
    /// The lease is gone.
    Gone,
}

impl Database {
    pub(super) async fn open(dir: &Path) -> Result<Self, StoreError> {
        let path = dir.join(FILE);
        let io = |error: std::io::Error| StoreError::Config(format!("{}: {error}", path.display()));
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(io)?;
        // SQLite would make the file readable for all; its journals take the mode of the file.
        let created = std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(&path);
        drop(created.map_err(io)?);
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY_TIMEOUT);
        let pool = SqlitePoolOptions::new()
            .max_connections(MAX_CONNECTIONS)
            .acquire_timeout(BUSY_TIMEOUT)
            .connect_lazy_with(options);
        let database = Self { pool, path };
        database.prepare().await?;
        Ok(database)
    }

    pub(super) fn describe(&self) -> String {
        self.path.display().to_string()
    }

    fn failed(&self, error: sqlx::Error) -> StoreError {
        let store = self.describe();
        match error {
            sqlx::Error::PoolTimedOut => StoreError::Timeout { store, waited: BUSY_TIMEOUT },
            sqlx::Error::Database(reason) if reason.message().contains("locked") => {
                StoreError::Timeout { store, waited: BUSY_TIMEOUT }
            }
            sqlx::Error::Database(reason) => {
                StoreError::Refused { store, reason: reason.message().to_owned() }
            }
            other => StoreError::Unreachable { store, source: Box::new(other) },
        }
    }

    async fn prepare(&self) -> Result<(), StoreError> {
        let boot = boot_id();
        let prepared = async {
            let mut txn = self.pool.begin_with("BEGIN IMMEDIATE").await?;
            let version: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut *txn).await?;
            if version == 0 {
                for table in TABLES {
                    sqlx::query(table).execute(&mut *txn).await?;
                }
                sqlx::query("INSERT OR IGNORE INTO state VALUES (1, 1, 0, ?)")
                    .bind(&boot)
                    .execute(&mut *txn)
                    .await?;
                sqlx::query("PRAGMA user_version = 1").execute(&mut *txn).await?;
            } else if version != SCHEMA {
                return Ok(Some(version));
            }
            let known: String = sqlx::query_scalar("SELECT boot FROM state").fetch_one(&mut *txn).await?;
            if known != boot {
                // Times of leases are those of another boot.
                sqlx::query("UPDATE leases SET ends_ms = 0").execute(&mut *txn).await?;
                sqlx::query("UPDATE state SET boot = ?").bind(&boot).execute(&mut *txn).await?;
            }
            txn.commit().await?;
            Ok(None)
        };
        match prepared.await.map_err(|error| self.failed(error))? {
            None => Ok(()),
            Some(version) => {
                let reason = format!("its tables have version {version}, this program knows {SCHEMA}");
                Err(StoreError::Refused { store: self.describe(), reason })
            }
        }
    }

    pub(super) async fn read(&self, prefix: &Prefix) -> Result<Snapshot, StoreError> {
        self.end_leases().await?;
        let read = async {
            let mut txn = self.pool.begin().await?;
            let revision = sqlx::query_scalar("SELECT revision FROM state").fetch_one(&mut *txn).await?;
            let rows = sqlx::query("SELECT key, value FROM keys WHERE key >= ? AND key < ?")
                .bind(prefix.as_str())
                .bind(end_of(prefix))
                .fetch_all(&mut *txn)
                .await?;
            let keys = rows.iter().map(|row| (row.get::<String, _>(0), row.get::<String, _>(1)));
            Ok(Snapshot { revision, keys: keys.collect() })
        };
        read.await.map_err(|error: sqlx::Error| self.failed(error))
    }

    /// Carries out a change; with a lease, what it puts vanishes with it. Without effect when that lease is gone.
    pub(super) async fn commit(&self, change: &Change, lease: Option<i64>) -> Result<Committed, StoreError> {
        self.end_leases().await?;
        let committed = async {
            let mut txn = self.pool.begin_with("BEGIN IMMEDIATE").await?;
            if let Some(lease) = lease
                && !is_alive(&mut txn, lease).await?
            {
                return Ok(Leased::Gone);
            }
            for guard in &change.guards {
                if !holds(&mut txn, guard).await? {
                    return Ok(Leased::Done(Committed::Conflict));
                }
            }
            let deletes = change.deletes.iter().map(|key| (key.as_str(), None));
            let puts = change.puts.iter().map(|(key, value)| (key.as_str(), Some(value.as_str())));
            let revision = apply(&mut txn, deletes.chain(puts), lease).await?;
            txn.commit().await?;
            Ok(Leased::Done(Committed::Done { revision }))
        };
        match committed.await.map_err(|error: sqlx::Error| self.failed(error))? {
            Leased::Done(committed) => Ok(committed),
            Leased::Gone => Err(StoreError::SessionEnded),
        }
    }

    /// The revision, and what happened below the prefix since `after`; none if it is forgotten.
    pub(super) async fn since(
        &self,
        prefix: &Prefix,
        after: Revision,
    ) -> Result<(Revision, Option<BTreeMap<Revision, Vec<KeyEvent>>>), StoreError> {
        let read = async {
            let mut txn = self.pool.begin().await?;
            let state = sqlx::query("SELECT revision, forgotten FROM state").fetch_one(&mut *txn).await?;
            let (revision, forgotten): (i64, i64) = (state.get(0), state.get(1));
            if after < forgotten {
                return Ok((revision, None));
            }
            let mut events: BTreeMap<Revision, Vec<KeyEvent>> = BTreeMap::new();
            if revision > after {
                let rows = sqlx::query(
                    "SELECT revision, key, value FROM events WHERE revision > ? AND key >= ? AND key < ? \
                     ORDER BY revision, number",
                );
                let rows = rows.bind(after).bind(prefix.as_str()).bind(end_of(prefix));
                for row in rows.fetch_all(&mut *txn).await? {
                    let event = KeyEvent { key: row.get(1), value: row.get(2) };
                    events.entry(row.get(0)).or_default().push(event);
                }
            }
            Ok((revision, Some(events)))
        };
        read.await.map_err(|error: sqlx::Error| self.failed(error))
    }

    /// Ends the leases whose time is over, and deletes their keys.
    pub(super) async fn end_leases(&self) -> Result<(), StoreError> {
        let ended = async {
            let over = "SELECT EXISTS (SELECT 1 FROM leases WHERE ends_ms <= ?)";
            let any: bool = sqlx::query_scalar(over).bind(since_boot_ms()).fetch_one(&self.pool).await?;
            if !any {
                return Ok(());
            }
            let mut txn = self.pool.begin_with("BEGIN IMMEDIATE").await?;
            let now_ms = since_boot_ms();
            let keys = "SELECT key FROM keys WHERE lease IN (SELECT id FROM leases WHERE ends_ms <= ?)";
            let keys: Vec<String> = sqlx::query_scalar(keys).bind(now_ms).fetch_all(&mut *txn).await?;
            if !keys.is_empty() {
                apply(&mut txn, keys.iter().map(|key| (key.as_str(), None)), None).await?;
            }
            sqlx::query("DELETE FROM leases WHERE ends_ms <= ?").bind(now_ms).execute(&mut *txn).await?;
            txn.commit().await
        };
        ended.await.map_err(|error: sqlx::Error| self.failed(error))
    }

    pub(super) async fn grant(&self, ends_ms: i64) -> Result<i64, StoreError> {
        let granted =
            sqlx::query("INSERT INTO leases (ends_ms) VALUES (?)").bind(ends_ms).execute(&self.pool);
        Ok(granted.await.map_err(|error| self.failed(error))?.last_insert_rowid())
    }

    /// Moves the end of a lease; false if it is gone.
    pub(super) async fn renew(&self, lease: i64, ends_ms: i64) -> Result<bool, StoreError> {
        let renewed = sqlx::query("UPDATE leases SET ends_ms = ? WHERE id = ? AND ends_ms > ?")
            .bind(ends_ms)
            .bind(lease)
            .bind(since_boot_ms())
            .execute(&self.pool);
        Ok(renewed.await.map_err(|error| self.failed(error))?.rows_affected() > 0)
    }

    /// Puts a key under a lease. With `only_if_free` nothing is put where the key is there under another lease or none;
    /// the answer is then no revision.
    pub(super) async fn put_leased(
        &self,
        key: &str,
        value: &str,
        lease: i64,
        only_if_free: bool,
    ) -> Result<Leased<Option<Revision>>, StoreError> {
        self.end_leases().await?;
        let put = async {
            let mut txn = self.pool.begin_with("BEGIN IMMEDIATE").await?;
            if !is_alive(&mut txn, lease).await? {
                return Ok(Leased::Gone);
            }
            if only_if_free {
                let holder = sqlx::query("SELECT lease FROM keys WHERE key = ?").bind(key);
                if let Some(row) = holder.fetch_optional(&mut *txn).await? {
                    let ours = row.get::<Option<i64>, _>(0) == Some(lease);
                    let revision =
                        sqlx::query_scalar("SELECT revision FROM state").fetch_one(&mut *txn).await?;
                    return Ok(Leased::Done(ours.then_some(revision)));
                }
            }
            let revision = apply(&mut txn, std::iter::once((key, Some(value))), Some(lease)).await?;
            txn.commit().await?;
            Ok(Leased::Done(Some(revision)))
        };
        put.await.map_err(|error: sqlx::Error| self.failed(error))
    }

    /// Deletes a key if it is under this lease.
    pub(super) async fn release(&self, key: &str, lease: i64) -> Result<(), StoreError> {
        let released = async {
            let mut txn = self.pool.begin_with("BEGIN IMMEDIATE").await?;
            let ours = "SELECT EXISTS (SELECT 1 FROM keys WHERE key = ? AND lease = ?)";
            if sqlx::query_scalar(ours).bind(key).bind(lease).fetch_one(&mut *txn).await? {
                apply(&mut txn, std::iter::once((key, None)), None).await?;
            }
            txn.commit().await
        };
        released.await.map_err(|error: sqlx::Error| self.failed(error))
    }
}

/// The first text that is not below the prefix.
fn end_of(prefix: &Prefix) -> String {
    // A prefix ends with a slash, and behind the slash comes the zero.
    format!("{}0", prefix.as_str().trim_end_matches('/'))
}

async fn is_alive(txn: &mut SqliteConnection, lease: i64) -> Result<bool, sqlx::Error> {
    let alive = "SELECT EXISTS (SELECT 1 FROM leases WHERE id = ? AND ends_ms > ?)";
    sqlx::query_scalar(alive).bind(lease).bind(since_boot_ms()).fetch_one(txn).await
}

async fn holds(txn: &mut SqliteConnection, guard: &Guard) -> Result<bool, sqlx::Error> {
    let found = sqlx::query_scalar("SELECT value FROM keys WHERE key = ?").bind(&guard.key);
    let found: Option<String> = found.fetch_optional(txn).await?;
    Ok(match &guard.expect {
        Expect::Absent => found.is_none(),
        Expect::Present => found.is_some(),
        Expect::Value(value) => found.as_ref() == Some(value),
    })
}

/// Changes of keys that one statement carries: what a large save takes is the number of its statements.
const CHANGES_PER_STATEMENT: usize = 1_000;

/// Writes and deletes keys as one revision, with its events; forgets old ones.
async fn apply<'k>(
    txn: &mut SqliteConnection,
    keys: impl Iterator<Item = (&'k str, Option<&'k str>)>,
    lease: Option<i64>,
) -> Result<Revision, sqlx::Error> {
    let raised = "UPDATE state SET revision = revision + 1 RETURNING revision";
    let revision: i64 = sqlx::query_scalar(raised).fetch_one(&mut *txn).await?;
    let changes: Vec<_> = keys.enumerate().map(|(number, (key, value))| (number, key, value)).collect();
    let same_kind = changes.chunk_by(|(_, _, one), (_, _, next)| one.is_some() == next.is_some());
    for part in same_kind.flat_map(|kind| kind.chunks(CHANGES_PER_STATEMENT)) {
        let puts = part.first().is_some_and(|(_, _, value)| value.is_some());
        let rows = serde_json::to_string(part).map_err(|error| sqlx::Error::Encode(error.into()))?;
        if puts {
            let put = "INSERT OR REPLACE INTO keys SELECT value ->> 1, value ->> 2, ? FROM json_each(?)";
            sqlx::query(put).bind(lease).bind(&rows).execute(&mut *txn).await?;
            let events =
                "INSERT INTO events SELECT ?, value ->> 0, value ->> 1, value ->> 2 FROM json_each(?)";
            sqlx::query(events).bind(revision).bind(&rows).execute(&mut *txn).await?;
        } else {
            // Only what was there can end.
            let events = "INSERT INTO events SELECT ?, value ->> 0, value ->> 1, NULL FROM json_each(?) \
                          WHERE value ->> 1 IN (SELECT key FROM keys)";
            sqlx::query(events).bind(revision).bind(&rows).execute(&mut *txn).await?;
            let delete = "DELETE FROM keys WHERE key IN (SELECT value ->> 1 FROM json_each(?))";
            sqlx::query(delete).bind(&rows).execute(&mut *txn).await?;
        }
    }
    let forgotten = revision - KEPT_REVISIONS;
    if forgotten > 0 {
        sqlx::query("DELETE FROM events WHERE revision <= ?").bind(forgotten).execute(&mut *txn).await?;
        sqlx::query("UPDATE state SET forgotten = ?").bind(forgotten).execute(&mut *txn).await?;
    }
    Ok(revision)
}
