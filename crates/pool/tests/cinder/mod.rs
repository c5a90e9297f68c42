//! A fake of cinder: the calls that our client and nova make of the Block Storage API v3, kept in memory.
//!
//! It is no cinder: there is no quota, no driver, no scheduler. What is true of it is the shape of the calls, which status a
//! volume is in, and that a volume that is attached cannot be deleted.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};

/// How long a volume is in the making.
const MAKING: Duration = Duration::from_millis(400);
/// Longer than any client waits for its answer here.
const LOST: Duration = Duration::from_secs(20);

/// What becomes of the next volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is made and ends in the status `error`.
    Error,
    /// It is refused.
    OverQuota,
    /// It is made, and nobody is told.
    AnswerLost,
}

#[derive(Debug)]
struct Volume {
    body: Value,
    made: Instant,
    broken: bool,
    /// Attachments: server, and whether it is complete.
    attachments: BTreeMap<String, (String, bool)>,
}

#[derive(Debug, Default)]
struct Inner {
    volumes: BTreeMap<String, Volume>,
    calls: Vec<String>,
    fault: Option<Fault>,
    count: u32,
}

/// A running fake.
#[derive(Debug)]
pub(crate) struct FakeCinder {
    inner: Arc<Mutex<Inner>>,
    port: u16,
}

impl FakeCinder {
    /// Serves on a free port until the test ends.
    pub(crate) async fn start() -> Self {
        let inner = Arc::<Mutex<Inner>>::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let router = Router::new()
            .route("/", get(move || async move { versions(port) }))
            .fallback(answer)
            .with_state(Arc::clone(&inner));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { inner, port }
    }

    /// For the catalog.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/v3", self.port)
    }

    /// A volume of somebody else; its id.
    pub(crate) fn foreign_volume(&self) -> String {
        let body = json!({"size": 1, "name": "somebody else's", "metadata": {"campanile-node": "x"}});
        lock(&self.inner).make(body, false)
    }

    /// What becomes of the next volume.
    pub(crate) fn next_volume(&self, fault: Fault) {
        lock(&self.inner).fault = Some(fault);
    }

    /// The ids of all volumes.
    pub(crate) fn volumes(&self) -> Vec<String> {
        lock(&self.inner).volumes.keys().cloned().collect()
    }

    /// All calls that change anything, with their bodies.
    pub(crate) fn calls(&self) -> Vec<String> {
        lock(&self.inner).calls.clone()
    }
}

fn lock(inner: &Mutex<Inner>) -> MutexGuard<'_, Inner> {
    inner.lock().unwrap()
}

fn versions(port: u16) -> Response {
    let links = json!([{"rel": "self", "href": format!("http://127.0.0.1:{port}/v3/")}]);
    let version =
        json!({"id": "v3.0", "status": "CURRENT", "version": "3.70", "min_version": "3.0", "links": links});
    told(StatusCode::MULTIPLE_CHOICES, json!({ "versions": [version] }))
}

fn told(status: StatusCode, body: Value) -> Response {
    (status, [("content-type", "application/json")], body.to_string()).into_response()
}

fn refused(status: StatusCode, name: &str, message: &str) -> Response {
    told(status, json!({name: {"code": status.as_u16(), "message": message}}))
}

impl Inner {
    fn make(&mut self, mut body: Value, broken: bool) -> String {
        self.count += 1;
        let id = format!("00000000-0000-4000-8000-{:012}", self.count);
        body["bootable"] = json!(if body["imageRef"].is_string() { "true" } else { "false" });
        let volume = Volume { body, made: Instant::now(), broken, attachments: BTreeMap::new() };
        self.volumes.insert(id.clone(), volume);
        id
    }

    fn shown(&self, id: &str) -> Option<Value> {
        let volume = self.volumes.get(id)?;
        let status = match volume.attachments.values().next() {
            _ if volume.made.elapsed() < MAKING => "creating",
            _ if volume.broken => "error",
            None => "available",
            Some((_, false)) => "reserved",
            Some((_, true)) => "in-use",
        };
        let attached = volume.attachments.iter().filter(|(_, (_, complete))| *complete);
        let attachments: Vec<Value> = attached
            .map(|(attachment, (server, _))| json!({"server_id": server, "attachment_id": attachment, "device": "/dev/vdb"}))
            .collect();
        let mut shown = json!({
            "id": id, "status": status, "size": volume.body["size"], "name": volume.body["name"],
            "metadata": volume.body["metadata"], "bootable": volume.body["bootable"], "attachments": attachments,
            "availability_zone": "nova", "created_at": "2026-11-26T08:00:00.000000", "description": null,
            "volume_type": "__DEFAULT__", "snapshot_id": null, "multiattach": false, "encrypted": false,
            "shared_targets": false, "service_uuid": null, "links": [],
        });
        if volume.body["imageRef"].is_string() {
            shown["volume_image_metadata"] = json!({"image_id": volume.body["imageRef"], "min_disk": "0", "min_ram": "0", "size": "5000",
                       "disk_format": "raw", "container_format": "bare"});
        }
        Some(shown)
    }

    fn volume_of(&mut self, attachment: &str) -> Option<(String, &mut Volume)> {
        let found = self.volumes.iter_mut().find(|(_, volume)| volume.attachments.contains_key(attachment));
        found.map(|(id, volume)| (id.clone(), volume))
    }
}

fn attachment(id: &str, volume: &str, server: &str, complete: bool) -> Value {
    json!({"attachment": {
        "id": id, "volume_id": volume, "instance": server, "status": if complete { "attached" } else { "attaching" },
        "attach_mode": "rw", "attached_at": null, "detached_at": null,
        "connection_info": {"driver_volume_type": "fake", "attachment_id": id, "volume_id": volume},
    }})
}

async fn answer(State(shared): State<Arc<Mutex<Inner>>>, method: Method, uri: Uri, body: Bytes) -> Response {
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    // keystone's catalogs may give the project behind the version; ours do not
    let path: Vec<&str> = uri.path().trim_start_matches("/v3/").split('/').collect();
    let (response, wait) = react(&mut lock(&shared), &method, &path, &body);
    tokio::time::sleep(wait).await;
    response
}

fn react(inner: &mut Inner, method: &Method, path: &[&str], body: &Value) -> (Response, Duration) {
    if *method != Method::GET {
        inner.calls.push(format!("{method} {} {body}", path.join("/")));
    }
    let at_once = |response| (response, Duration::ZERO);
    let missing = || (refused(StatusCode::NOT_FOUND, "itemNotFound", "could not be found."), Duration::ZERO);
    match (method.as_str(), path) {
        ("POST", ["volumes"]) => {
            let fault = inner.fault.take();
            if fault == Some(Fault::OverQuota) {
                let text = "VolumeSizeExceedsAvailableQuota: Requested volume or snapshot exceeds allowed gigabytes quota. \
                            Requested 5G, quota is 1G and 0G has been consumed.";
                return at_once(refused(StatusCode::PAYLOAD_TOO_LARGE, "overLimit", text));
            }
            let id = inner.make(body["volume"].clone(), fault == Some(Fault::Error));
            let wait = if fault == Some(Fault::AnswerLost) { LOST } else { Duration::ZERO };
            (told(StatusCode::ACCEPTED, json!({ "volume": inner.shown(&id) })), wait)
        }
        ("GET", ["volumes", "detail"]) => {
            let ids: Vec<String> = inner.volumes.keys().cloned().collect();
            let all: Vec<Value> = ids.iter().filter_map(|id| inner.shown(id)).collect();
            at_once(told(StatusCode::OK, json!({ "volumes": all })))
        }
        ("GET", ["volumes", _, "encryption"]) => at_once(told(StatusCode::OK, json!({}))),
        ("GET", ["volumes", id]) => match inner.shown(id) {
            Some(volume) => at_once(told(StatusCode::OK, json!({ "volume": volume }))),
            None => missing(),
        },
        ("DELETE", ["volumes", id]) => match inner.volumes.get(*id) {
            None => missing(),
            Some(volume) if !volume.attachments.is_empty() || volume.made.elapsed() < MAKING => {
                let text = "Invalid volume: Volume status must be available or error or error_restoring and must not be \
                            attached";
                at_once(refused(StatusCode::BAD_REQUEST, "badRequest", text))
            }
            Some(_) => {
                inner.volumes.remove(*id);
                at_once(StatusCode::ACCEPTED.into_response())
            }
        },
        ("POST", ["volumes", _, "action"]) => at_once(StatusCode::ACCEPTED.into_response()),
        ("POST", ["attachments"]) => {
            let asked = &body["attachment"];
            let text = |key: &str| asked[key].as_str().unwrap_or_default().to_owned();
            inner.count += 1;
            let (id, server) =
                (format!("00000000-0000-4000-9000-{:012}", inner.count), text("instance_uuid"));
            let Some(volume) = inner.volumes.get_mut(&text("volume_uuid")) else { return missing() };
            volume.attachments.insert(id.clone(), (server.clone(), false));
            at_once(told(StatusCode::OK, attachment(&id, &text("volume_uuid"), &server, false)))
        }
        ("GET" | "PUT", ["attachments", id]) => match inner.volume_of(id) {
            None => missing(),
            Some((of, volume)) => {
                let (server, complete) = volume.attachments[*id].clone();
                at_once(told(StatusCode::OK, attachment(id, &of, &server, complete)))
            }
        },
        ("POST", ["attachments", id, "action"]) => match inner.volume_of(id) {
            None => missing(),
            Some((_, volume)) => {
                if let Some((_, complete)) = volume.attachments.get_mut(*id) {
                    *complete = true;
                }
                at_once(StatusCode::NO_CONTENT.into_response())
            }
        },
        ("DELETE", ["attachments", id]) => match inner.volume_of(id) {
            None => missing(),
            Some((_, volume)) => {
                volume.attachments.remove(*id);
                at_once(told(StatusCode::OK, json!({ "attachments": [] })))
            }
        },
        _ => missing(),
    }
}
