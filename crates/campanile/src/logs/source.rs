//! Where the output of an instance is read from.

use std::path::{Path, PathBuf};
use std::time::Duration;

use campanile_control::state_dir::file_name;
use campanile_host::drive::logs::{From as Begin, LIMIT_BYTES, LogStore, Stream};
use campanile_host::run::{CONTROL_SOCKET, OUTPUT_DIR, ROLE};
use campanile_ocs::client::{Endpoint, OcsClient, OcsError};
use campanile_wamp::{Dict, Value};
use serde::Deserialize;
use serde_json::json;

/// How long a HostManager has to answer, beyond the time it was asked to wait for more.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
/// So long a call waits for more output.
const WAIT_S: f64 = 5.0;
/// How often files are looked at when there is no HostManager to wait for.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// A piece of one stream, as `.logs` gives it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Page {
    pub(crate) stream: String,
    /// Position of the first byte of `text`.
    pub(crate) offset: u64,
    /// Where to read on.
    pub(crate) next_offset: u64,
    /// Position behind the last byte that there is now.
    pub(crate) end: u64,
    /// Bytes that were asked for and are no longer there.
    pub(crate) skipped: u64,
    /// Positions are times, in nanoseconds since 1970.
    #[serde(default)]
    pub(crate) by_time: bool,
    pub(crate) text: String,
}

/// Where to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum From {
    Offset(u64),
    LastLines(u64),
}

/// The output of one instance.
pub(crate) struct Source {
    instance_id: String,
    kind: Kind,
}

enum Kind {
    Manager { client: OcsClient, address: String },
    Files(LogStore),
}

/// Why there is nothing to read.
#[derive(Debug)]
pub(crate) enum Missing {
    /// No state of such a HostManager is here.
    NotHere,
    /// The HostManager does not know the instance.
    NotManaged,
    /// It is here but cannot be read.
    Failed(String),
}

impl Source {
    /// Opens the output of an instance that this HostManager keeps: by its control socket, or when nobody answers
    /// there, from the files that it left.
    pub(crate) async fn open(base: &Path, address: &str, instance_id: &str) -> Result<Self, Missing> {
        let dir = base.join(ROLE).join(file_name(address));
        if let Err(error) = std::fs::read_dir(&dir) {
            return Err(match error.kind() {
                std::io::ErrorKind::NotFound => Missing::NotHere,
                _ => Missing::Failed(format!("{}: {error}", dir.display())),
            });
        }
        let endpoint = Endpoint::Unix(dir.join(CONTROL_SOCKET));
        let kind = match OcsClient::connect(endpoint, ANSWER_TIMEOUT).await {
            Ok(client) => Kind::Manager { client, address: address.to_owned() },
            Err(_) => files(&dir.join(OUTPUT_DIR), instance_id)?,
        };
        let source = Self { instance_id: instance_id.to_owned(), kind };
        match source.page(Stream::Stdout.name(), From::LastLines(0)).await {
            Ok(_) => Ok(source),
            // It went away between two looks.
            Err(Missing::NotHere) => {
                let kind = files(&dir.join(OUTPUT_DIR), instance_id)?;
                Ok(Self { kind, ..source })
            }
            Err(missing) => Err(missing),
        }
    }

    /// Opens the output of an instance on any machine: its HostManager is asked over the bus.
    pub(crate) async fn open_on_bus(
        bus: &OcsClient,
        address: &str,
        instance_id: &str,
    ) -> Result<Self, Missing> {
        let kind = Kind::Manager { client: bus.clone(), address: address.to_owned() };
        let source = Self { instance_id: instance_id.to_owned(), kind };
        source.page(Stream::Stdout.name(), From::LastLines(0)).await?;
        Ok(source)
    }

    /// Does a HostManager answer? Else files are read.
    pub(crate) fn is_live(&self) -> bool {
        matches!(self.kind, Kind::Manager { .. })
    }

    /// One page of one stream.
    pub(crate) async fn page(&self, stream: &str, from: From) -> Result<Page, Missing> {
        match &self.kind {
            Kind::Manager { .. } => {
                let begin = match from {
                    From::Offset(offset) => json!({ "stream": stream, "offset": offset }),
                    From::LastLines(lines) => json!({ "stream": stream, "lines": lines }),
                };
                let pages = self.ask(begin).await?;
                pages.into_iter().next().ok_or_else(|| Missing::Failed("an answer without pages".to_owned()))
            }
            Kind::Files(store) => read(store, &self.instance_id, stream, from),
        }
    }

    /// The next pages of these streams, once there is something to read, or after a while.
    pub(crate) async fn more(&self, offsets: &[(String, u64)]) -> Result<Vec<Page>, Missing> {
        match &self.kind {
            Kind::Manager { .. } => {
                let by_stream: serde_json::Map<_, _> =
                    offsets.iter().map(|(stream, offset)| (stream.clone(), json!(offset))).collect();
                let mut question = json!({ "offset": by_stream, "wait": WAIT_S });
                if let [(only, _)] = offsets {
                    question["stream"] = json!(only);
                }
                self.ask(question).await
            }
            Kind::Files(store) => {
                tokio::time::sleep(LOOK_EVERY).await;
                let pages = offsets.iter();
                pages
                    .map(|(stream, offset)| read(store, &self.instance_id, stream, From::Offset(*offset)))
                    .collect()
            }
        }
    }

    async fn ask(&self, question: serde_json::Value) -> Result<Vec<Page>, Missing> {
        let Kind::Manager { client, address } = &self.kind else { return Ok(Vec::new()) };
        let args = vec![Value::from(self.instance_id.as_str()), Value::from(question)];
        let answer = match client.call(&format!("{address}.logs"), args, Dict::new()).await {
            Ok(answer) => answer.to_json(),
            Err(
                OcsError::RouterUnreachable { .. }
                | OcsError::CalleeLost { .. }
                | OcsError::NoSuchAgent { .. },
            ) => return Err(Missing::NotHere),
            Err(OcsError::Remote { uri, .. }) if uri == campanile_wamp::error::uris::INVALID_ARGUMENT => {
                return Err(Missing::NotManaged);
            }
            Err(error) => return Err(Missing::Failed(error.to_string())),
        };
        let pages = answer.get("streams").cloned().unwrap_or_default();
        serde_json::from_value(pages)
            .map_err(|error| Missing::Failed(format!("an unexpected answer: {error}")))
    }
}

/// The files that a HostManager left for this instance.
fn files(dir: &Path, instance_id: &str) -> Result<Kind, Missing> {
    if !dir.is_dir() {
        return Err(Missing::NotHere);
    }
    let failed = |error: std::io::Error| Missing::Failed(format!("{}: {error}", dir.display()));
    let store = LogStore::open(PathBuf::from(dir), LIMIT_BYTES).map_err(failed)?;
    let has_any = store.paths(instance_id).iter().any(|path| path.exists());
    if has_any { Ok(Kind::Files(store)) } else { Err(Missing::NotManaged) }
}

fn read(store: &LogStore, instance_id: &str, stream: &str, from: From) -> Result<Page, Missing> {
    let stream = if stream == Stream::Stderr.name() { Stream::Stderr } else { Stream::Stdout };
    let begin = match from {
        From::Offset(offset) => Begin::Offset(offset),
        From::LastLines(lines) => Begin::LastLines(usize::try_from(lines).unwrap_or(usize::MAX)),
    };
    let page = store.read(instance_id, stream, begin).map_err(|error| Missing::Failed(error.to_string()))?;
    Ok(Page {
        stream: stream.name().to_owned(),
        offset: page.offset,
        next_offset: page.next_offset,
        end: page.end,
        skipped: page.skipped,
        by_time: page.by_time,
        text: page.text,
    })
}
