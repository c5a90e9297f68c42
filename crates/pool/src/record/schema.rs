//! The tables.

use sqlx::AnyPool;

/// For every connection to SQLite: what was committed survives a loss of power.
pub(super) const SQLITE_PRAGMAS: [&str; 3] =
    ["PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", "PRAGMA busy_timeout = 5000"];

const OURS: [&str; 2] = [
    "CREATE TABLE IF NOT EXISTS campanile_node (
        name TEXT NOT NULL PRIMARY KEY,
        mark TEXT NOT NULL,
        cloud TEXT NOT NULL,
        state TEXT NOT NULL,
        server_id TEXT,
        created_ms BIGINT NOT NULL,
        since_ms BIGINT NOT NULL,
        body TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS campanile_pool (mark TEXT NOT NULL PRIMARY KEY, body TEXT NOT NULL)",
];

/// As `sql/instances.sql` of EHOS describes them, in SQLite's words.
const EHOS_SQLITE: [&str; 5] = [
    "CREATE TABLE IF NOT EXISTS node_state (id INTEGER PRIMARY KEY, name VARCHAR(200) NOT NULL UNIQUE)",
    "CREATE TABLE IF NOT EXISTS vm_state (id INTEGER PRIMARY KEY, name VARCHAR(200) NOT NULL UNIQUE)",
    "CREATE TABLE IF NOT EXISTS cloud (id INTEGER PRIMARY KEY, name VARCHAR(80) NOT NULL)",
    "CREATE TABLE IF NOT EXISTS node (
        id INTEGER PRIMARY KEY,
        uuid VARCHAR(80),
        name VARCHAR(80),
        image VARCHAR(80),
        cloud_id INTEGER REFERENCES cloud (id),
        node_state_id INTEGER REFERENCES node_state (id),
        vm_state_id INTEGER REFERENCES vm_state (id))",
    "CREATE TABLE IF NOT EXISTS setting (id INTEGER PRIMARY KEY, name VARCHAR(80), value TEXT)",
];

/// The same in PostgreSQL's words. EHOS's own `setting.value` is too short for a URL, so it is widened.
const EHOS_POSTGRES: [&str; 6] = [
    "CREATE TABLE IF NOT EXISTS node_state (id SERIAL PRIMARY KEY, name VARCHAR(200) NOT NULL UNIQUE)",
    "CREATE TABLE IF NOT EXISTS vm_state (id SERIAL PRIMARY KEY, name VARCHAR(200) NOT NULL UNIQUE)",
    "CREATE TABLE IF NOT EXISTS cloud (id SERIAL PRIMARY KEY, name VARCHAR(80) NOT NULL)",
    "CREATE TABLE IF NOT EXISTS node (
        id SERIAL PRIMARY KEY,
        uuid VARCHAR(80),
        name VARCHAR(80),
        image VARCHAR(80),
        cloud_id INTEGER REFERENCES cloud (id),
        node_state_id INTEGER REFERENCES node_state (id),
        vm_state_id INTEGER REFERENCES vm_state (id))",
    "CREATE TABLE IF NOT EXISTS setting (id SERIAL PRIMARY KEY, name VARCHAR(80), value TEXT)",
    "ALTER TABLE setting ALTER COLUMN value TYPE TEXT",
];

pub(super) const SAVE_NODE: &str = "INSERT INTO campanile_node
    (name, mark, cloud, state, server_id, created_ms, since_ms, body)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
    ON CONFLICT (name) DO UPDATE SET cloud = excluded.cloud, state = excluded.state,
        server_id = excluded.server_id, since_ms = excluded.since_ms, body = excluded.body";

pub(super) const SAVE_POOL: &str = "INSERT INTO campanile_pool (mark, body) VALUES ($1, $2)
    ON CONFLICT (mark) DO UPDATE SET body = excluded.body";

/// Makes the tables that are missing.
pub(super) async fn make(pool: &AnyPool, is_sqlite: bool) -> Result<(), sqlx::Error> {
    let of_ehos: &[&str] = if is_sqlite { &EHOS_SQLITE } else { &EHOS_POSTGRES };
    for statement in OURS.iter().chain(of_ehos).copied() {
        sqlx::query(statement).execute(pool).await?;
    }
    Ok(())
}
