//! The record: what must outlive the manager, in SQLite or PostgreSQL.
//!
//! Our tables are `campanile_node` (one row for each node, its whole state as JSON beside the columns that people ask
//! for) and `campanile_pool` (what operators have asked for). Beside them the tables of EHOS (`node_state`, `vm_state`,
//! `cloud`, `node`, `setting`) are made where they are missing and kept readable: whoever has reports on them goes on.
//!
//! **Guarantees.** A save is one transaction. The manager acts only on what was saved, so a process that is killed at any
//! instruction finds every request that it may have made. Every statement has a deadline.

mod ehos;
mod schema;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sqlx::any::AnyPoolOptions;
use sqlx::{AnyPool, Row as _};

use crate::config::Database;
use crate::model::{Mark, Node, NodeState};
use crate::plan::Controls;

/// The file in the state directory.
pub const FILE: &str = "record.db";
/// How long any exchange with the database may take.
const DEADLINE: Duration = Duration::from_secs(15);
/// Connections to the database.
const CONNECTIONS: u32 = 2;
/// What is gone is kept for that long, for reports.
const KEEP_GONE_MS: u64 = 90 * 24 * 3_600_000;

/// Why the record cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The database refuses, or cannot be reached.
    #[error("the record ({place}) cannot be {action}")]
    Database {
        /// What was tried.
        action: &'static str,
        /// Where it is; without a password.
        place: String,
        /// What the database says.
        source: sqlx::Error,
    },
    /// It did not answer in time.
    #[error("the record ({place}) has not answered for {} s", DEADLINE.as_secs())]
    Deadline {
        /// Where it is.
        place: String,
    },
    /// A row that this version does not understand.
    #[error("the record ({place}) has an entry for {node} that cannot be read")]
    Entry {
        /// Where it is.
        place: String,
        /// The node.
        node: String,
        /// Why.
        source: serde_json::Error,
    },
}

/// What is kept beside the nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// What operators have asked for.
    pub controls: Controls,
    /// The cloud of the last request.
    pub last_cloud: Option<String>,
}

/// An open record. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Record {
    pool: AnyPool,
    mark: String,
    place: String,
}

impl Record {
    /// Opens it, and makes what is missing.
    ///
    /// # Errors
    /// [`RecordError`].
    pub async fn open(database: &Database, state_dir: &Path, mark: &Mark) -> Result<Self, RecordError> {
        sqlx::any::install_default_drivers();
        let (url, place, is_sqlite) = match database {
            Database::Sqlite(path) => {
                let path: PathBuf = path.clone().unwrap_or_else(|| state_dir.join(FILE));
                // The driver takes a URL, and an identity in the path has characters that mean something there.
                let in_url =
                    path.display().to_string().replace('%', "%25").replace('?', "%3F").replace('#', "%23");
                (format!("sqlite://{in_url}?mode=rwc"), path.display().to_string(), true)
            }
            Database::Postgres(url) => (url.reveal().to_owned(), without_password(url.reveal()), false),
        };
        let failed = |source| RecordError::Database { action: "opened", place: place.clone(), source };
        let options = AnyPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(DEADLINE)
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    if is_sqlite {
                        for pragma in schema::SQLITE_PRAGMAS {
                            sqlx::query(pragma).execute(&mut *connection).await?;
                        }
                    }
                    Ok(())
                })
            });
        let pool = options.connect(&url).await.map_err(failed)?;
        schema::make(&pool, is_sqlite).await.map_err(failed)?;
        Ok(Self { pool, mark: mark.value(), place })
    }

    /// Where it is; without a password.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Everything that is not gone, and what is kept beside.
    ///
    /// # Errors
    /// [`RecordError`].
    pub async fn load(&self) -> Result<(Vec<Node>, Kept), RecordError> {
        let rows = self.within("read", async {
            let nodes = sqlx::query("SELECT name, body FROM campanile_node WHERE mark = $1 AND state <> 'gone' ORDER BY created_ms, name")
                .bind(self.mark.as_str())
                .fetch_all(&self.pool)
                .await?;
            let kept = sqlx::query("SELECT body FROM campanile_pool WHERE mark = $1")
                .bind(self.mark.as_str())
                .fetch_optional(&self.pool)
                .await?;
            let mut found: Vec<(String, String)> = Vec::with_capacity(nodes.len());
            for row in nodes {
                found.push((row.try_get(0)?, row.try_get(1)?));
            }
            let kept: Option<String> = kept.map(|row| row.try_get(0)).transpose()?;
            Ok((found, kept))
        });
        let (rows, kept) = rows.await?;
        let mut nodes = Vec::with_capacity(rows.len());
        for (name, body) in rows {
            let node = serde_json::from_str(&body);
            nodes.push(node.map_err(|source| RecordError::Entry {
                place: self.place.clone(),
                node: name,
                source,
            })?);
        }
        // What operators asked for is a convenience; an entry of another version is not worth a refusal.
        let kept = kept.and_then(|body| serde_json::from_str(&body).ok()).unwrap_or_default();
        Ok((nodes, kept))
    }

    /// Writes nodes down, all or none; new ones and gone ones as well.
    ///
    /// # Errors
    /// [`RecordError`]; nothing was written then.
    pub async fn save(&self, nodes: &[Node], kept: Option<&Kept>) -> Result<(), RecordError> {
        if nodes.is_empty() && kept.is_none() {
            return Ok(());
        }
        self.within("written", async {
            let mut tx = self.pool.begin().await?;
            for node in nodes {
                let body = serde_json::to_string(node).unwrap_or_default();
                sqlx::query(schema::SAVE_NODE)
                    .bind(node.name.as_str())
                    .bind(self.mark.as_str())
                    .bind(node.cloud.as_str())
                    .bind(node.state.name())
                    .bind(node.server_id.as_deref())
                    .bind(milliseconds(node.created_ms))
                    .bind(milliseconds(node.since_ms))
                    .bind(body)
                    .execute(&mut *tx)
                    .await?;
                ehos::save(&mut tx, node).await?;
            }
            if let Some(kept) = kept {
                let body = serde_json::to_string(kept).unwrap_or_default();
                sqlx::query(schema::SAVE_POOL).bind(self.mark.as_str()).bind(body).execute(&mut *tx).await?;
            }
            tx.commit().await
        })
        .await
    }

    /// The nodes that are gone, the latest first.
    ///
    /// # Errors
    /// [`RecordError`].
    pub async fn gone(&self, limit: u32) -> Result<Vec<Node>, RecordError> {
        let bodies = self
            .within("read", async {
                let rows = sqlx::query("SELECT body FROM campanile_node WHERE mark = $1 AND state = 'gone' ORDER BY since_ms DESC LIMIT $2")
                    .bind(self.mark.as_str())
                    .bind(i64::from(limit))
                    .fetch_all(&self.pool)
                    .await?;
                rows.iter().map(|row| row.try_get::<String, _>(0)).collect::<Result<Vec<_>, _>>()
            })
            .await?;
        Ok(bodies.iter().filter_map(|body| serde_json::from_str(body).ok()).collect())
    }

    /// Drops what has been gone for long.
    ///
    /// # Errors
    /// [`RecordError`].
    pub async fn forget_old(&self, now_ms: u64) -> Result<(), RecordError> {
        let before = milliseconds(now_ms.saturating_sub(KEEP_GONE_MS));
        self.within("written", async {
            sqlx::query("DELETE FROM campanile_node WHERE mark = $1 AND state = $2 AND since_ms < $3")
                .bind(self.mark.as_str())
                .bind(NodeState::Gone.name())
                .bind(before)
                .execute(&self.pool)
                .await
                .map(drop)
        })
        .await
    }

    /// The rows of a table of EHOS, as it has them; those of `node` with the names of their states.
    ///
    /// # Errors
    /// [`RecordError`].
    pub async fn rows(&self, table: &'static str) -> Result<Vec<serde_json::Value>, RecordError> {
        self.within("read", ehos::rows(&self.pool, table)).await
    }

    /// The table `setting` of EHOS: dotted paths and values.
    ///
    /// # Errors
    /// [`RecordError`].
    pub async fn settings(&self) -> Result<BTreeMap<String, String>, RecordError> {
        self.within("read", ehos::settings(&self.pool)).await
    }

    /// Sets an entry of the table `setting`.
    ///
    /// # Errors
    /// [`RecordError`].
    pub async fn set_setting(&self, name: &str, value: &str) -> Result<(), RecordError> {
        self.within("written", ehos::set_setting(&self.pool, name, value)).await
    }

    async fn within<T>(
        &self,
        action: &'static str,
        exchange: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, RecordError> {
        match tokio::time::timeout(DEADLINE, exchange).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(source)) => Err(RecordError::Database { action, place: self.place.clone(), source }),
            Err(_) => Err(RecordError::Deadline { place: self.place.clone() }),
        }
    }

    /// Lets go of it in order.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

fn milliseconds(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

/// A database URL as it may be shown.
fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return "postgresql".to_owned() };
    let (user, place) = match rest.rsplit_once('@') {
        Some((login, place)) => (login.split(':').next().unwrap_or_default(), place),
        None => ("", rest),
    };
    let place = place.split('?').next().unwrap_or(place);
    if user.is_empty() { format!("{scheme}://{place}") } else { format!("{scheme}://{user}@{place}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::node;

    fn mark() -> Mark {
        Mark { prefix: "p".to_owned(), host: "h".to_owned() }
    }

    #[tokio::test]
    async fn what_was_saved_is_there_after_a_restart_and_what_is_gone_is_history() {
        let dir = tempfile::tempdir().unwrap();
        // As the directory of an identity is named.
        let place = dir.path().join("p%40h #1?");
        std::fs::create_dir(&place).unwrap();
        let open = async || Record::open(&Database::Sqlite(None), &place, &mark()).await.unwrap();
        let record = open().await;
        let (mut one, two) = (node("n-1"), node("n-2"));
        let kept = Kept {
            controls: Controls { paused: true, ..Controls::default() },
            last_cloud: Some("a".to_owned()),
        };
        record.save(&[one.clone(), two.clone()], Some(&kept)).await.unwrap();
        // A process that is killed closes nothing.
        let again = open().await;
        assert_eq!(again.load().await.unwrap(), (vec![one.clone(), two.clone()], kept));
        one.state = NodeState::Gone;
        again.save(&[one.clone()], None).await.unwrap();
        assert_eq!(again.load().await.unwrap().0, [two]);
        assert_eq!(again.gone(10).await.unwrap(), [one]);
        again.forget_old(u64::MAX).await.unwrap();
        assert!(again.gone(10).await.unwrap().is_empty());
        let other = Mark { prefix: "other".to_owned(), ..mark() };
        let other = Record::open(&Database::Sqlite(None), &place, &other).await.unwrap();
        assert!(other.load().await.unwrap().0.is_empty(), "another pool's nodes are not ours");
    }

    #[tokio::test]
    async fn the_tables_of_ehos_stay_readable() {
        let dir = tempfile::tempdir().unwrap();
        let record = Record::open(&Database::Sqlite(None), dir.path(), &mark()).await.unwrap();
        let mut seen = node("n-1");
        seen.state = NodeState::Busy;
        seen.server_id = Some("uuid-1".to_owned());
        record.save(&[seen.clone()], None).await.unwrap();
        seen.state = NodeState::Gone;
        record.save(&[seen], None).await.unwrap();
        let row = sqlx::query("SELECT n.uuid, n.name, c.name, s.name, v.name FROM node n, cloud c, node_state s, vm_state v WHERE c.id = n.cloud_id AND s.id = n.node_state_id AND v.id = n.vm_state_id")
            .fetch_one(&record.pool)
            .await
            .unwrap();
        let texts: Vec<String> = (0..5).map(|index| row.get::<String, _>(index)).collect();
        assert_eq!(texts, ["uuid-1", "n-1", "a", "node_lost", "vm_deleted"]);
        record.set_setting("daemon.nodes_max", "7").await.unwrap();
        record.set_setting("daemon.nodes_max", "8").await.unwrap();
        let settings = record.settings().await.unwrap();
        assert_eq!(
            settings.into_iter().collect::<Vec<_>>(),
            [("daemon.nodes_max".to_owned(), "8".to_owned())]
        );
    }

    #[test]
    fn a_password_is_not_shown() {
        let url = "postgresql://ehos:secret@db.example.org:5432/ehos?sslmode=require";
        assert_eq!(without_password(url), "postgresql://ehos@db.example.org:5432/ehos");
        assert_eq!(without_password("postgresql://localhost/ehos"), "postgresql://localhost/ehos");
    }
}
