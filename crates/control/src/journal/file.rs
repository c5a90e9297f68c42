//! The journal's file: an SQLite database with one table.
//!
//! The manager is the only one that has it open, and locks it (`locking_mode=EXCLUSIVE`): so there is no shared memory
//! file, which a full disk could turn into a SIGBUS. Writing goes through a write-ahead log with `synchronous=NORMAL`:
//! a process that is killed loses nothing that was committed, a machine that loses power may lose the last events but
//! never the file; and there is no fsync per event, which would wear out the SD card that many a small host runs on.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteLockingMode, SqliteRow,
    SqliteSynchronous,
};
use sqlx::{ConnectOptions as _, Connection as _, Executor as _, QueryBuilder, Row as _, Sqlite};

use super::event::Event;
use super::query::{MAX_KINDS, Page, Query};

/// Version of the tables, in `PRAGMA user_version`.
const SCHEMA_VERSION: i64 = 1;
/// `PRAGMA application_id`: "Camp". Says that a database is ours.
const APPLICATION_ID: i64 = 0x4361_6d70;
const SCHEMA: &str = "
CREATE TABLE event (
    id INTEGER PRIMARY KEY,
    time_ms INTEGER NOT NULL,
    subject TEXT NOT NULL,
    kind TEXT NOT NULL,
    text TEXT NOT NULL,
    actor TEXT,
    fields TEXT
) STRICT;
CREATE INDEX event_subject ON event (subject, id);
";
/// SQLite's page cache, in KiB (negative, as the pragma has it).
const CACHE_SIZE: &str = "-256";
/// The write-ahead log is taken over into the database at so many pages of 4 KiB, and cut to so many bytes then.
const WAL_PAGES: &str = "256";
const WAL_BYTES: &str = "1048576";
/// How long another process may hold the database (somebody reads it with the manager down).
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);
/// Statements that are kept prepared.
const STATEMENTS: usize = 8;
/// The oldest events are dropped in such portions.
const TRIM_ROWS: i64 = 100;
/// With the limit passed, so much of it is left, in per cent; so not every event drops another one.
const TRIM_TO_PERCENT: u64 = 90;
/// A smaller limit is taken for this one, in bytes.
const MIN_LIMIT_BYTES: u64 = 256 * 1024;
/// Files that were set aside; of older ones none is kept.
const KEPT_ASIDE: u32 = 3;

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It is damaged, or no journal at all.
    #[error("it is damaged or not a journal: {0}")]
    Damaged(String),
    /// It was written by a newer version of this program.
    #[error("it was written by a newer version (tables of version {0})")]
    Newer(i64),
    /// Anything else: a full disk, no permission, another process that holds it.
    #[error("{0}")]
    Refused(String),
}

impl FileError {
    /// Whether the file has to be replaced, since trying again will not help.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::Damaged(_) | Self::Newer(_))
    }
}

impl From<sqlx::Error> for FileError {
    fn from(error: sqlx::Error) -> Self {
        const CORRUPT: i64 = 11;
        const NOT_A_DATABASE: i64 = 26;
        // The code is extended: the basic one is its lowest byte.
        let code = error.as_database_error().and_then(|error| error.code()?.parse::<i64>().ok());
        let text = match error.as_database_error() {
            Some(error) => error.message().to_owned(),
            None => error.to_string(),
        };
        match code.map(|code| code & 0xff) {
            Some(CORRUPT | NOT_A_DATABASE) => Self::Damaged(text),
            _ if matches!(error, sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_)) => {
                Self::Damaged(text)
            }
            _ => Self::Refused(text),
        }
    }
}

/// The open file.
pub(super) struct JournalFile {
    connection: SqliteConnection,
    limit_bytes: u64,
}

impl JournalFile {
    /// Opens the file for the manager, which has it alone; makes it if there is none. Above `limit_bytes` the oldest
    /// events are dropped.
    ///
    /// # Errors
    /// [`FileError`].
    pub(super) async fn open(path: &Path, limit_bytes: u64) -> Result<Self, FileError> {
        let mut connection = options(path)
            .create_if_missing(true)
            .locking_mode(SqliteLockingMode::Exclusive)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .pragma("wal_autocheckpoint", WAL_PAGES)
            .pragma("journal_size_limit", WAL_BYTES)
            .connect()
            .await?;
        prepare(&mut connection).await?;
        Ok(Self { connection, limit_bytes: limit_bytes.max(MIN_LIMIT_BYTES) })
    }

    /// Opens the file for reading beside whoever has it; a manager that runs keeps it to itself.
    ///
    /// # Errors
    /// [`FileError`]; a file that is not there is refused.
    pub(super) async fn open_to_read(path: &Path) -> Result<Self, FileError> {
        let mut connection = options(path).connect().await?;
        check_version(&mut connection).await?;
        Ok(Self { connection, limit_bytes: u64::MAX })
    }

    /// The highest id, 0 if there is none.
    ///
    /// # Errors
    /// [`FileError`].
    pub(super) async fn last_id(&mut self) -> Result<u64, FileError> {
        let id: Option<i64> =
            sqlx::query_scalar("SELECT max(id) FROM event").fetch_one(&mut self.connection).await?;
        Ok(id.map_or(0, i64::cast_unsigned))
    }

    /// Saves events, all or none, then drops the oldest ones if the file has become too large.
    ///
    /// # Errors
    /// [`FileError`].
    pub(super) async fn append(&mut self, events: &[Arc<Event>]) -> Result<(), FileError> {
        let mut transaction = self.connection.begin().await?;
        for event in events {
            // An id can only be there already if a file turned up late, after a clock that was set back.
            let sql = "INSERT OR IGNORE INTO event (id, time_ms, subject, kind, text, actor, fields) \
                       VALUES (?, ?, ?, ?, ?, ?, ?)";
            let actor = event.actor.as_ref().and_then(|actor| serde_json::to_string(actor).ok());
            let fields =
                (!event.fields.is_empty()).then(|| serde_json::to_string(&event.fields).ok()).flatten();
            sqlx::query(sql)
                .bind(event.id.cast_signed())
                .bind(event.time_ms.cast_signed())
                .bind(event.subject.as_str())
                .bind(event.kind.as_str())
                .bind(event.text.as_str())
                .bind(actor)
                .bind(fields)
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        self.trim().await
    }

    /// Answers a question.
    ///
    /// # Errors
    /// [`FileError`].
    pub(super) async fn select(&mut self, query: &Query) -> Result<Page, FileError> {
        let mut sql = QueryBuilder::<Sqlite>::new(
            "SELECT id, time_ms, subject, kind, text, actor, fields FROM event WHERE id > ",
        );
        // An id is never less than the microseconds of its event, so the time bounds the ids from below.
        let since_id = query.since_ms.map_or(0, |since_ms| since_ms.saturating_mul(1000).saturating_sub(1));
        sql.push_bind(signed(query.after_id.unwrap_or(0).max(since_id)));
        if let Some(before_id) = query.before_id {
            sql.push(" AND id < ").push_bind(signed(before_id));
        }
        if let Some(since_ms) = query.since_ms {
            sql.push(" AND time_ms >= ").push_bind(signed(since_ms));
        }
        if let Some(until_ms) = query.until_ms {
            sql.push(" AND time_ms < ").push_bind(signed(until_ms));
        }
        if let Some(subject) = &query.subject {
            sql.push(" AND subject = ").push_bind(subject.clone());
        }
        if !query.kinds.is_empty() {
            sql.push(" AND kind IN (");
            let mut list = sql.separated(", ");
            for kind in query.kinds.iter().take(MAX_KINDS) {
                list.push_bind(kind.clone());
            }
            sql.push(")");
        }
        sql.push(if query.newest { " ORDER BY id DESC LIMIT " } else { " ORDER BY id LIMIT " });
        sql.push_bind(signed(query.page_events() as u64 + 1));
        let rows = sql.build().fetch_all(&mut self.connection).await?;
        let events: Vec<Event> = rows.iter().map(event_of).collect::<Result<_, _>>()?;
        Ok(Page::of(query, events))
    }

    /// Lets go of the file in order.
    ///
    /// # Errors
    /// [`FileError`]; the file is whole all the same.
    pub(super) async fn close(self) -> Result<(), FileError> {
        Ok(self.connection.close().await?)
    }

    async fn used_bytes(&mut self) -> Result<u64, FileError> {
        let mut number = async |sql: &'static str| -> Result<u64, FileError> {
            let number: i64 = sqlx::query_scalar(sql).fetch_one(&mut self.connection).await?;
            Ok(number.cast_unsigned())
        };
        let pages = number("PRAGMA page_count").await?;
        let free = number("PRAGMA freelist_count").await?;
        Ok(pages.saturating_sub(free) * number("PRAGMA page_size").await?)
    }

    async fn trim(&mut self) -> Result<(), FileError> {
        if self.used_bytes().await? <= self.limit_bytes {
            return Ok(());
        }
        let goal = self.limit_bytes / 100 * TRIM_TO_PERCENT;
        loop {
            let sql = "DELETE FROM event WHERE id IN (SELECT id FROM event ORDER BY id LIMIT ?)";
            let dropped =
                sqlx::query(sql).bind(TRIM_ROWS).execute(&mut self.connection).await?.rows_affected();
            if dropped == 0 || self.used_bytes().await? <= goal {
                return Ok(());
            }
        }
    }
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(BUSY_TIMEOUT)
        .statement_cache_capacity(STATEMENTS)
        .pragma("cache_size", CACHE_SIZE)
        .disable_statement_logging()
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

async fn prepare(connection: &mut SqliteConnection) -> Result<(), FileError> {
    if check_version(connection).await? == SCHEMA_VERSION {
        return Ok(());
    }
    let mut transaction = connection.begin().await?;
    transaction.execute(SCHEMA).await?;
    transaction.execute("PRAGMA user_version = 1; PRAGMA application_id = 1130458480;").await?;
    transaction.commit().await?;
    Ok(())
}

/// The version of the tables, 0 if there are none yet.
async fn check_version(connection: &mut SqliteConnection) -> Result<i64, FileError> {
    let version: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut *connection).await?;
    let application: i64 = sqlx::query_scalar("PRAGMA application_id").fetch_one(&mut *connection).await?;
    let tables: i64 =
        sqlx::query_scalar("SELECT count(*) FROM sqlite_schema").fetch_one(&mut *connection).await?;
    match (application, version) {
        (0, 0) if tables == 0 => Ok(0),
        (APPLICATION_ID, SCHEMA_VERSION) => Ok(SCHEMA_VERSION),
        (APPLICATION_ID, newer) if newer > SCHEMA_VERSION => Err(FileError::Newer(newer)),
        _ => Err(FileError::Damaged("its tables are not those of a journal".to_owned())),
    }
}

fn event_of(row: &SqliteRow) -> Result<Event, FileError> {
    let json = |name: &str| -> Result<Option<serde_json::Value>, FileError> {
        let text: Option<&str> = row.try_get(name)?;
        text.map(serde_json::from_str).transpose().map_err(|error| FileError::Damaged(error.to_string()))
    };
    let actor = json("actor")?.map(serde_json::from_value).transpose();
    Ok(Event {
        id: row.try_get::<i64, _>("id")?.cast_unsigned(),
        time_ms: row.try_get::<i64, _>("time_ms")?.cast_unsigned(),
        subject: row.try_get("subject")?,
        kind: row.try_get("kind")?,
        text: row.try_get("text")?,
        actor: actor.map_err(|error| FileError::Damaged(error.to_string()))?,
        fields: match json("fields")? {
            Some(serde_json::Value::Object(fields)) => fields,
            _ => serde_json::Map::new(),
        },
    })
}

/// Moves a file that cannot be used out of the way, as `NAME.broken-1`; what was set aside before becomes
/// `NAME.broken-2` and so on, and beyond three is dropped.
///
/// # Errors
/// The disk refuses; the file is then still there.
pub(super) fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let with = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let aside = |number: u32| with(&format!(".broken-{number}"));
    for number in (1..KEPT_ASIDE).rev() {
        move_if_there(&aside(number), &aside(number + 1))?;
    }
    // Without its log the database is older but readable; a log without its database would spoil the new one.
    move_if_there(&with("-wal"), &with(".broken-1-wal"))?;
    move_if_there(&with("-shm"), &with(".broken-1-shm"))?;
    move_if_there(path, &aside(1))?;
    Ok(aside(1))
}

fn move_if_there(from: &Path, to: &Path) -> io::Result<()> {
    match std::fs::rename(from, to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}
