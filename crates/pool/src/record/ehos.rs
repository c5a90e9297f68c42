//! The tables of EHOS, kept readable: the last known state of every node, and the settings.

use std::collections::BTreeMap;

use serde_json::Value;
use sqlx::{Any, AnyPool, Row as _, Transaction};

use crate::model::{Node, NodeState};

/// Longest texts of the columns.
const MAX_CHARS: usize = 80;
/// Settings that are read.
const MAX_SETTINGS: i64 = 10_000;

/// EHOS's words for the states of a node: the batch system's, and the server's.
fn words(state: NodeState) -> (&'static str, &'static str) {
    match state {
        NodeState::Requested | NodeState::Building => ("node_starting", "vm_booting"),
        NodeState::Booted => ("node_starting", "vm_active"),
        NodeState::Idle => ("node_idle", "vm_active"),
        NodeState::Busy => ("node_busy", "vm_active"),
        NodeState::Lost => ("node_lost", "vm_active"),
        NodeState::Draining => ("node_retiring", "vm_active"),
        NodeState::Deleting => ("node_retiring", "vm_stopping"),
        NodeState::Gone => ("node_lost", "vm_deleted"),
    }
}

fn cut(text: &str) -> String {
    text.chars().take(MAX_CHARS).collect()
}

pub(super) async fn save(tx: &mut Transaction<'_, Any>, node: &Node) -> Result<(), sqlx::Error> {
    let (node_state, vm_state) = words(node.state);
    for (insert, name) in [
        (
            "INSERT INTO node_state (name) SELECT CAST($1 AS VARCHAR(200)) WHERE NOT EXISTS (SELECT 1 FROM node_state WHERE name = CAST($1 AS VARCHAR(200)))",
            node_state,
        ),
        (
            "INSERT INTO vm_state (name) SELECT CAST($1 AS VARCHAR(200)) WHERE NOT EXISTS (SELECT 1 FROM vm_state WHERE name = CAST($1 AS VARCHAR(200)))",
            vm_state,
        ),
        (
            "INSERT INTO cloud (name) SELECT CAST($1 AS VARCHAR(80)) WHERE NOT EXISTS (SELECT 1 FROM cloud WHERE name = CAST($1 AS VARCHAR(80)))",
            &cut(&node.cloud),
        ),
    ] {
        sqlx::query(insert).bind(name.to_owned()).execute(&mut **tx).await?;
    }
    let uuid = cut(node.server_id.as_deref().unwrap_or(&node.name));
    let changed = sqlx::query(
        "UPDATE node SET uuid = $1,
            node_state_id = (SELECT id FROM node_state WHERE name = $2),
            vm_state_id = (SELECT id FROM vm_state WHERE name = $3)
         WHERE name = $4",
    )
    .bind(uuid.clone())
    .bind(node_state)
    .bind(vm_state)
    .bind(cut(&node.name))
    .execute(&mut **tx)
    .await?;
    if changed.rows_affected() > 0 {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO node (uuid, name, image, cloud_id, node_state_id, vm_state_id) VALUES ($1, $2, $3,
            (SELECT MIN(id) FROM cloud WHERE name = $4),
            (SELECT id FROM node_state WHERE name = $5),
            (SELECT id FROM vm_state WHERE name = $6))",
    )
    .bind(uuid)
    .bind(cut(&node.name))
    .bind(cut(&node.image))
    .bind(cut(&node.cloud))
    .bind(node_state)
    .bind(vm_state)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Rows that are read for the interface over HTTP, the latest first.
const MAX_ROWS: i64 = 10_000;

pub(super) async fn rows(pool: &AnyPool, table: &'static str) -> Result<Vec<Value>, sqlx::Error> {
    let (query, columns): (&'static str, &[&str]) = match table {
        "node" => (
            "SELECT node.id, node.uuid, node.name, node.image, node.cloud_id, node.node_state_id, node.vm_state_id,
                    node_state.name, vm_state.name
             FROM node LEFT JOIN node_state ON node_state.id = node.node_state_id
             LEFT JOIN vm_state ON vm_state.id = node.vm_state_id ORDER BY node.id DESC LIMIT $1",
            &["id", "uuid", "name", "image", "cloud_id", "node_state_id", "vm_state_id", "node_state", "vm_state"],
        ),
        "node_state" => ("SELECT id, name FROM node_state ORDER BY id LIMIT $1", &["id", "name"]),
        "vm_state" => ("SELECT id, name FROM vm_state ORDER BY id LIMIT $1", &["id", "name"]),
        "cloud" => ("SELECT id, name FROM cloud ORDER BY id LIMIT $1", &["id", "name"]),
        _ => ("SELECT id, name, value FROM setting ORDER BY id LIMIT $1", &["id", "name", "value"]),
    };
    let rows = sqlx::query(query).bind(MAX_ROWS).fetch_all(pool).await?;
    let mut values = Vec::with_capacity(rows.len());
    for row in rows {
        let mut value = serde_json::Map::new();
        for (index, name) in columns.iter().enumerate() {
            let is_number = *name == "id" || name.ends_with("_id");
            let cell = if is_number {
                row.try_get::<Option<i64>, _>(index)?.map_or(Value::Null, Value::from)
            } else {
                row.try_get::<Option<String>, _>(index)?.map_or(Value::Null, Value::from)
            };
            value.insert((*name).to_owned(), cell);
        }
        values.push(Value::Object(value));
    }
    Ok(values)
}

pub(super) async fn settings(pool: &AnyPool) -> Result<BTreeMap<String, String>, sqlx::Error> {
    let rows = sqlx::query("SELECT name, value FROM setting ORDER BY id LIMIT $1")
        .bind(MAX_SETTINGS)
        .fetch_all(pool)
        .await?;
    let mut settings = BTreeMap::new();
    for row in rows {
        if let (Some(name), Some(value)) =
            (row.try_get::<Option<String>, _>(0)?, row.try_get::<Option<String>, _>(1)?)
        {
            settings.insert(name, value);
        }
    }
    Ok(settings)
}

pub(super) async fn set_setting(pool: &AnyPool, name: &str, value: &str) -> Result<(), sqlx::Error> {
    let mut tx = pool.begin().await?;
    let changed = sqlx::query("UPDATE setting SET value = $1 WHERE name = $2")
        .bind(value.to_owned())
        .bind(name.to_owned())
        .execute(&mut *tx)
        .await?;
    if changed.rows_affected() == 0 {
        sqlx::query("INSERT INTO setting (name, value) VALUES ($1, $2)")
            .bind(name.to_owned())
            .bind(value.to_owned())
            .execute(&mut *tx)
            .await?;
    }
    tx.commit().await
}
