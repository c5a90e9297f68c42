//! The procedure `{address}.logs`: what an instance has printed, in pages. In a procedure of its own, since the data of
//! an operation goes to every client with every poll.

use std::sync::Arc;
use std::time::Duration;

use campanile_wamp::error::uris;
use campanile_wamp::{Dict, Value, WampError};
use serde_json::json;

use crate::drive::docker::Dockers;
use crate::drive::logs::{From, LogStore, Page, Stream};
use crate::manager::Manager;

/// Lines that are given when it is not told where to begin.
const DEFAULT_LINES: u64 = 100;
/// A call that waits for more to come waits no longer than this.
const MAX_WAIT: Duration = Duration::from_secs(10);
/// How often a call that waits looks at files, and how often it asks the docker engine.
const LOOK_EVERY: Duration = Duration::from_millis(100);
const ASK_EVERY: Duration = Duration::from_millis(500);

/// What is asked of `.logs`.
struct Question {
    instance_id: String,
    streams: Vec<Stream>,
    lines: u64,
    offsets: [Option<u64>; 2],
    wait: Duration,
}

/// Answers a call.
///
/// Arguments: the instance-id; then options, as a dict or as keywords: `stream` (`stdout` or `stderr`; both if absent),
/// `lines` (so many of the last ones), `offset` (where to read on: a number, or a dict by stream), `wait` (seconds to
/// wait for more if there is nothing at the offset, at most ten).
///
/// Answer: `{instance_id, streams: [{stream, offset, next_offset, end, skipped, by_time, text}]}`. With `by_time` the
/// offsets are no bytes but times, in nanoseconds since 1970: so with docker services, whose output the engine keeps.
///
/// # Errors
/// `wamp.error.invalid_argument` for odd arguments and for an instance that is not managed here;
/// `wamp.error.runtime_error` when a file cannot be read, or the docker engine does not give it.
pub async fn answer(
    manager: &Manager,
    logs: &Arc<LogStore>,
    args: &[Value],
    kwargs: &Dict,
) -> Result<Value, WampError> {
    let question =
        Question::parse(args, kwargs).map_err(|why| WampError::new(uris::INVALID_ARGUMENT, why))?;
    if !manager.knows(&question.instance_id) {
        let why = format!("no instance {} is managed here", question.instance_id);
        return Err(WampError::new(uris::INVALID_ARGUMENT, why));
    }
    let service = manager.service_of(&question.instance_id);
    let pause = if service.is_some() { ASK_EVERY } else { LOOK_EVERY };
    let deadline = tokio::time::Instant::now() + question.wait;
    let question = Arc::new(question);
    loop {
        let pages = match &service {
            Some((docker, service)) => read_docker(&question, docker, service).await,
            None => read(&question, logs).await,
        };
        let pages = pages.map_err(|why| WampError::new(uris::RUNTIME_ERROR, why))?;
        let is_empty = pages.iter().all(|page| page.text.is_empty());
        if !is_empty || tokio::time::Instant::now() >= deadline {
            return Ok(json!({ "instance_id": question.instance_id, "streams": pages }).into());
        }
        tokio::time::sleep(pause).await;
    }
}

async fn read(question: &Arc<Question>, logs: &Arc<LogStore>) -> Result<Vec<Page>, String> {
    let (question, logs) = (Arc::clone(question), Arc::clone(logs));
    match tokio::task::spawn_blocking(move || question.read(&logs)).await {
        Ok(Ok(pages)) => Ok(pages),
        Ok(Err(error)) => Err(error.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

async fn read_docker(question: &Question, docker: &Dockers, service: &str) -> Result<Vec<Page>, String> {
    let mut pages = Vec::new();
    for stream in &question.streams {
        pages.push(docker.read_output(service, *stream, question.begin(*stream)).await?);
    }
    Ok(pages)
}

impl Question {
    fn parse(args: &[Value], kwargs: &Dict) -> Result<Self, String> {
        let options = args.get(1).map(Value::to_json).unwrap_or_else(|| json!({}));
        let option = |name: &str| {
            kwargs
                .get(name)
                .map(Value::to_json)
                .or_else(|| options.get(name).cloned())
                .filter(|value| !value.is_null())
        };
        let instance_id = args.first().map(Value::to_json).or_else(|| option("instance_id"));
        let instance_id =
            instance_id.and_then(|id| id.as_str().map(str::to_owned)).ok_or("instance_id is missing")?;
        let streams = match option("stream").as_ref().map(|name| name.as_str().unwrap_or_default()) {
            None | Some("both") => Stream::ALL.to_vec(),
            Some("stdout") => vec![Stream::Stdout],
            Some("stderr") => vec![Stream::Stderr],
            Some(other) => return Err(format!("stream must be stdout or stderr, not {other:?}")),
        };
        let lines = match option("lines") {
            None => DEFAULT_LINES,
            Some(value) => value.as_u64().ok_or_else(|| format!("lines must be a number, not {value}"))?,
        };
        let offset = option("offset");
        let offset_of = |stream: Stream| match &offset {
            Some(serde_json::Value::Object(by_stream)) => by_stream.get(stream.name())?.as_u64(),
            Some(number) => number.as_u64(),
            None => None,
        };
        let wait = option("wait").and_then(|value| value.as_f64()).unwrap_or(0.0);
        let wait = Duration::try_from_secs_f64(wait).unwrap_or_default().min(MAX_WAIT);
        Ok(Self { instance_id, streams, lines, offsets: Stream::ALL.map(offset_of), wait })
    }

    fn begin(&self, stream: Stream) -> From {
        let offset = if stream == Stream::Stdout { self.offsets[0] } else { self.offsets[1] };
        let lines = usize::try_from(self.lines).unwrap_or(usize::MAX);
        offset.map_or(From::LastLines(lines), From::Offset)
    }

    fn read(&self, store: &LogStore) -> std::io::Result<Vec<Page>> {
        let page = |stream: &Stream| store.read(&self.instance_id, *stream, self.begin(*stream));
        self.streams.iter().map(page).collect()
    }
}
