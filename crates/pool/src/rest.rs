//! The interface over HTTP: the paths of `ehos_rest.py`, and `/status`, `/plan`, `/metrics`.
//!
//! Everything may be read by whoever reaches the port, which is on loopback unless told otherwise; no secret is among
//! it. Only settings can be changed, with the bearer token of `pool.rest.token_file`. Unknown arguments are refused, not
//! dropped.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, patch};
use serde_json::{Value, json};

use crate::manager::Pool;
use crate::record::RecordError;
use crate::{metrics, report};

/// Longest body of a change.
const MAX_BODY_BYTES: usize = 64 * 1024;
/// Names of settings that are not shown: they hold, or may hold, a secret.
const SECRET_PARTS: [&str; 4] = ["password", "clouds", "secret", "database"];

#[derive(Clone)]
struct Shared {
    pool: Arc<Pool>,
    token_file: Option<PathBuf>,
}

type Answer = Result<Response, Refusal>;

/// Why there is no answer.
struct Refusal {
    status: StatusCode,
    text: String,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, json_of(json!({ "error": self.text }))).into_response()
    }
}

/// Serves until the listener fails.
///
/// # Errors
/// What the system says.
pub async fn serve(
    listener: tokio::net::TcpListener,
    pool: Arc<Pool>,
    token_file: Option<PathBuf>,
) -> std::io::Result<()> {
    let router = Router::new()
        .route("/", get(|State(shared): State<Shared>| async move { json_of(report::status(&shared.pool)) }))
        .route(
            "/status",
            get(|State(shared): State<Shared>| async move { json_of(report::status(&shared.pool)) }),
        )
        .route(
            "/plan",
            get(|State(shared): State<Shared>| async move { json_of(report::plan(&shared.pool)) }),
        )
        .route("/metrics", get(prometheus))
        .route("/nodes", get(nodes))
        .route("/nodes/states", get(|state| table(state, "node_state")))
        .route("/nodes/status", get(|state| table(state, "vm_state")))
        .route("/nodes/{id}", get(node))
        .route("/clouds", get(clouds))
        .route("/clouds/{id}", get(cloud))
        .route("/settings", get(settings))
        .route("/settings/{id}", patch(change_setting).get(setting))
        .layer(axum::extract::DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(Shared { pool, token_file });
    axum::serve(listener, router).await
}

fn json_of(value: Value) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], format!("{value}\n")).into_response()
}

fn refuse(status: StatusCode, text: &str) -> Refusal {
    Refusal { status, text: text.to_owned() }
}

fn failed(error: &RecordError) -> Refusal {
    refuse(StatusCode::SERVICE_UNAVAILABLE, &error.to_string())
}

async fn prometheus(State(shared): State<Shared>) -> Response {
    let text = metrics::prometheus(&shared.pool);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

type Arguments = Query<BTreeMap<String, String>>;

async fn rows(shared: &Shared, table: &'static str) -> Result<Vec<Value>, Refusal> {
    shared.pool.record.rows(table).await.map_err(|error| failed(&error))
}

/// Filters rows by arguments of these names.
fn filter(rows: Vec<Value>, arguments: &Arguments, known: &[&str]) -> Answer {
    if let Some(unknown) = arguments.keys().find(|name| !known.contains(&name.as_str())) {
        let text = format!("unknown argument {unknown}; known are {}", known.join(", "));
        return Err(refuse(StatusCode::BAD_REQUEST, &text));
    }
    let as_text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let fits = |row: &Value| arguments.iter().all(|(name, wanted)| as_text(&row[name]) == *wanted);
    Ok(json_of(Value::Array(rows.into_iter().filter(fits).collect())))
}

fn has_id(row: &Value, id: &str) -> bool {
    row["id"].as_i64().map(|number| number.to_string()).as_deref() == Some(id)
}

fn one(rows: Vec<Value>, id: &str) -> Answer {
    let found = rows.into_iter().find(|row| has_id(row, id));
    found.map(json_of).ok_or_else(|| refuse(StatusCode::NOT_FOUND, "there is no such entry"))
}

async fn nodes(State(shared): State<Shared>, arguments: Arguments) -> Answer {
    filter(rows(&shared, "node").await?, &arguments, &["cloud_id", "node_state_id", "vm_state_id"])
}

async fn node(State(shared): State<Shared>, Path(id): Path<String>) -> Answer {
    one(rows(&shared, "node").await?, &id)
}

async fn table(State(shared): State<Shared>, table: &'static str) -> Answer {
    Ok(json_of(Value::Array(rows(&shared, table).await?)))
}

async fn clouds(State(shared): State<Shared>, arguments: Arguments) -> Answer {
    filter(rows(&shared, "cloud").await?, &arguments, &["name"])
}

async fn cloud(State(shared): State<Shared>, Path(id): Path<String>) -> Answer {
    one(rows(&shared, "cloud").await?, &id)
}

fn is_shown(row: &Value) -> bool {
    let name = row["name"].as_str().unwrap_or_default();
    !SECRET_PARTS.iter().any(|part| name.contains(part))
}

async fn settings(State(shared): State<Shared>, arguments: Arguments) -> Answer {
    let rows = rows(&shared, "setting").await?.into_iter().filter(is_shown).collect();
    filter(rows, &arguments, &["name", "value"])
}

async fn setting(State(shared): State<Shared>, Path(id): Path<String>) -> Answer {
    one(rows(&shared, "setting").await?.into_iter().filter(is_shown).collect(), &id)
}

async fn change_setting(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: String,
) -> Answer {
    allow(&shared, &headers).await?;
    let body: Value = serde_json::from_str(&body)
        .map_err(|error| refuse(StatusCode::BAD_REQUEST, &format!("the body is no JSON: {error}")))?;
    let (Some(name), Some(value)) = (body["name"].as_str(), body["value"].as_str()) else {
        return Err(refuse(
            StatusCode::BAD_REQUEST,
            "the body is to be {\"name\": …, \"value\": …}, both texts",
        ));
    };
    let known = rows(&shared, "setting").await?;
    if !known.iter().any(|row| has_id(row, &id) && row["name"] == name) {
        return Err(refuse(StatusCode::NOT_FOUND, "there is no setting of this id and name"));
    }
    shared.pool.record.set_setting(name, value).await.map_err(|error| failed(&error))?;
    shared.pool.tell("settings", format!("{name} was set over HTTP"), false);
    shared.pool.changed.notify_one();
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Whoever changes something shows the token.
async fn allow(shared: &Shared, headers: &HeaderMap) -> Result<(), Refusal> {
    let Some(path) = &shared.token_file else {
        return Err(refuse(
            StatusCode::FORBIDDEN,
            "nothing can be changed here: there is no `pool.rest.token_file`",
        ));
    };
    let token = tokio::fs::read_to_string(path).await.map_err(|error| {
        tracing::warn!(path = %path.display(), %error, "the token cannot be read");
        refuse(StatusCode::SERVICE_UNAVAILABLE, "the token cannot be read")
    })?;
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let given = given.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    let (token, given) = (token.trim().as_bytes(), given.trim().as_bytes());
    let is_equal = token.len() == given.len()
        && token.iter().zip(given).fold(0_u8, |differs, (a, b)| differs | (a ^ b)) == 0;
    if token.is_empty() || !is_equal {
        return Err(refuse(StatusCode::UNAUTHORIZED, "a valid bearer token is needed"));
    }
    Ok(())
}
