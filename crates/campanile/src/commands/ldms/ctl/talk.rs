//! One daemon: connect, ask everything, pipelined, in the order that was written.

use campanile_ldms::api::Response;
use campanile_ldms::client::{Client, ConnectError, Endpoint, Options, RequestError};
use campanile_ldms::wire::dir::DirEntry;
use serde_json::Value;

use super::answer::{Answer, Conversation};
use super::script::{Ask, Step};

/// Commands that are under way on one connection at once.
const PIPELINE: usize = 128;

/// Asks one daemon everything. With `stop_on_error`, one command at a time, and none after one that failed.
pub(super) async fn talk(
    endpoint: &Endpoint,
    options: &Options,
    steps: &[Step],
    stop_on_error: bool,
) -> Conversation {
    let daemon = endpoint.to_string();
    let client = match Client::connect(endpoint, options).await {
        Ok(client) => client,
        Err(error) => {
            return Conversation { daemon, error: Some(reason(&error, endpoint)), results: Vec::new() };
        }
    };
    let mut results = Vec::with_capacity(steps.len());
    let mut rest = steps;
    while let Some(first) = rest.first() {
        let len = if stop_on_error { 1 } else { PIPELINE };
        let is_request = |step: &&Step| matches!(step.ask, Ask::Request(_));
        let run = rest.iter().take(len).take_while(is_request).count();
        if run == 0 {
            results.push(directory(&client, first).await);
            rest = &rest[1..];
        } else {
            let (batch, after) = rest.split_at(run);
            let requests = batch.iter().filter_map(|step| match &step.ask {
                Ask::Request(request) => Some(request.clone()),
                Ask::Directory => None,
            });
            let answers = client.request_all(requests.collect()).await;
            results.extend(batch.iter().zip(answers).map(|(step, result)| answer(step, endpoint, result)));
            rest = after;
        }
        let failed = results.last().is_some_and(|answer: &Answer| answer.errcode != Some(0));
        if stop_on_error && failed {
            break;
        }
    }
    Conversation { daemon, error: None, results }
}

/// An error with its causes, without the name of the daemon at its beginning, which stands before it anyway.
fn reason(error: &ConnectError, endpoint: &Endpoint) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(source) = cause {
        text = format!("{text}: {source}");
        cause = source.source();
    }
    without(endpoint, &text)
}

fn without(endpoint: &Endpoint, text: &str) -> String {
    text.strip_prefix(&format!("{endpoint}: ")).unwrap_or(text).to_owned()
}

fn answer(step: &Step, endpoint: &Endpoint, result: Result<Response, RequestError>) -> Answer {
    let command = step.line.clone();
    match result {
        Err(error) => {
            let error = Some(without(endpoint, &error.to_string()));
            Answer { command, errcode: None, error, reply: Value::Null }
        }
        Ok(response) => {
            let verb = match &step.ask {
                Ask::Request(request) => request.verb(),
                Ask::Directory => "dir",
            };
            let error = response.accepted(verb).err().map(|refusal| refusal.to_string());
            let text = response.text();
            let reply = match response.json() {
                Some(json) => json,
                None if text.is_empty() => Value::Null,
                None => Value::from(text),
            };
            Answer { command, errcode: Some(response.errcode), error, reply }
        }
    }
}

async fn directory(client: &Client, step: &Step) -> Answer {
    let command = step.line.clone();
    match client.directory().await {
        Ok(sets) => {
            let rows = sets.iter().map(set).collect();
            Answer { command, errcode: Some(0), error: None, reply: Value::Array(rows) }
        }
        Err(error) => {
            let error = Some(without(client.endpoint(), &error.to_string()));
            Answer { command, errcode: None, error, reply: Value::Null }
        }
    }
}

/// A set as `dir` shows it: what an operator asks for, with times in one number.
fn set(entry: &DirEntry) -> Value {
    let (interval_us, offset_us) = entry.update_hint_us().map_or((None, None), |hint| (Some(hint.0), hint.1));
    serde_json::json!({
        "name": entry.name,
        "schema": entry.schema,
        "flags": entry.flags.trim_end(),
        "meta_bytes": entry.meta_size,
        "data_bytes": entry.data_size,
        "metrics": entry.card,
        "perm": entry.perm,
        "uid": entry.uid,
        "gid": entry.gid,
        "sampled_us": entry.timestamp.as_us(),
        "interval_us": interval_us,
        "offset_us": offset_us,
    })
}
