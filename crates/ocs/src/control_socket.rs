//! The control socket: the operations of one agent over HTTP on a Unix socket, for when there is no bus, or no router.
//!
//! `POST /call` takes and gives what a router's HTTP bridge does ([`crate::client::Endpoint::Unix`] speaks it), but
//! serves the procedures of this one agent alone. Who may open the socket decides who may call: it and its directory
//! belong to the user that the daemon runs as.
//!
//! Try it with `curl --unix-socket …/control.sock http://localhost/call -d '{"procedure": "root.id", "args": ["get_api"]}'`.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use campanile_control::journal::Actor;
use campanile_wamp::Limits;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::agent::Agent;
use crate::http_call::{HttpCall, encode_answer, encode_bad_request};
use crate::whoami;

/// Connections at a time; one more is answered with 503.
const MAX_CONNECTIONS: usize = 64;
/// Size of a request, in bytes. Answers may be larger.
const MAX_REQUEST_BYTES: usize = 1 << 20;
/// How long a client may take for the head of a request, and as long again for its body. Also how long a connection
/// may be idle between two requests.
const READ_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a daemon that has the socket already may take to accept a connection.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);
/// The wait after a failed accept (no more file descriptors, mostly), so that it does not spin.
const ACCEPT_RETRY: Duration = Duration::from_millis(200);

/// Why there is no control socket.
#[derive(Debug, thiserror::Error)]
pub enum ControlSocketError {
    /// Another process answers on it.
    #[error("{0}: another process serves this control socket")]
    InUse(PathBuf),
    /// Something that is no socket has this name.
    #[error("{0}: there is a file of this name that is not a socket")]
    NotASocket(PathBuf),
    /// The system refuses.
    #[error("{path}: cannot {action}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// A control socket that serves. Dropping it ends the service and removes the socket.
#[derive(Debug)]
pub struct ControlSocket {
    path: PathBuf,
    /// Device and inode of our socket: one that was put in its place is not ours to remove.
    identity: Option<(u64, u64)>,
    task: JoinHandle<()>,
}

impl ControlSocket {
    /// Serves the procedures of `agent` at `path`. Its directory is made, for this user alone, if there is none; a
    /// socket that a dead process left is replaced.
    ///
    /// # Errors
    /// [`ControlSocketError`]. Paths longer than about 100 bytes are refused by the system.
    pub async fn serve(path: &Path, agent: Agent) -> Result<Self, ControlSocketError> {
        let failed = |action: &'static str, path: &Path| {
            let path = path.to_owned();
            move |source| ControlSocketError::Io { action, path, source }
        };
        if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty() && !dir.exists()) {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(dir)
                .map_err(failed("create the directory", dir))?;
        }
        refuse_what_lives(path).await?;

        // Made under another name and moved into place, it is never open to others, not even for a moment.
        let fresh = path.with_extension("new");
        let _ = fs::remove_file(&fresh);
        let listener = UnixListener::bind(&fresh).map_err(failed("create the socket", &fresh))?;
        fs::set_permissions(&fresh, fs::Permissions::from_mode(0o600))
            .and_then(|()| fs::rename(&fresh, path))
            .map_err(failed("put the socket in place", path))?;
        let identity = identity(path);
        let task = tokio::spawn(accept(listener, agent));
        Ok(Self { path: path.to_owned(), identity, task })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        self.task.abort();
        if self.identity.is_some() && identity(&self.path) == self.identity {
            // If it cannot be removed, the next daemon finds it dead and replaces it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    let metadata = fs::symlink_metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

async fn refuse_what_lives(path: &Path) -> Result<(), ControlSocketError> {
    let Ok(metadata) = fs::symlink_metadata(path) else { return Ok(()) };
    if !metadata.file_type().is_socket() {
        return Err(ControlSocketError::NotASocket(path.to_owned()));
    }
    match tokio::time::timeout(PROBE_TIMEOUT, UnixStream::connect(path)).await {
        // A full backlog looks like a timeout: somebody is there, and busy.
        Ok(Ok(_)) | Err(_) => Err(ControlSocketError::InUse(path.to_owned())),
        Ok(Err(_)) => Ok(()),
    }
}

async fn accept(listener: UnixListener, agent: Agent) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    // The connections end with the service.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(_) => {
                    tokio::time::sleep(ACCEPT_RETRY).await;
                    continue;
                }
            },
            Some(_) = connections.join_next() => continue,
        };
        let (place, agent) = (Arc::clone(&places).try_acquire_owned().ok(), agent.clone());
        connections.spawn(async move {
            let is_full = place.is_none();
            let actor = caller(&stream);
            let service = service_fn(|request| {
                let (agent, actor) = (agent.clone(), actor.clone());
                async move { if is_full { Ok(busy()) } else { answer(request, &agent, actor).await } }
            });
            let served = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(READ_TIMEOUT)
                .keep_alive(!is_full)
                .serve_connection(TokioIo::new(stream), service);
            // A client that breaks off is its own business.
            let _ = served.await;
            drop(place);
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    agent: &Agent,
    actor: Actor,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    if request.uri().path() != "/call" {
        return Ok(refuse(StatusCode::NOT_FOUND, "There is only /call here."));
    }
    if !matches!(*request.method(), Method::POST | Method::PUT) {
        let mut refused = refuse(StatusCode::METHOD_NOT_ALLOWED, "Method not accepted (only POST, PUT).");
        refused.headers_mut().insert(ALLOW, HeaderValue::from_static("POST,PUT"));
        return Ok(refused);
    }
    let too_large = || refuse(StatusCode::PAYLOAD_TOO_LARGE, "Request body was too large.");
    if request.body().size_hint().lower() > MAX_REQUEST_BYTES as u64 {
        return Ok(too_large());
    }
    let body = Limited::new(request.into_body(), MAX_REQUEST_BYTES).collect();
    let body = match tokio::time::timeout(READ_TIMEOUT, body).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => return Ok(too_large()),
        Ok(Err(_)) => return Ok(refuse(StatusCode::BAD_REQUEST, "Request body was not complete.")),
        Err(_) => return Ok(refuse(StatusCode::REQUEST_TIMEOUT, "Request body took too long.")),
    };
    let limits = Limits { max_message_bytes: MAX_REQUEST_BYTES, ..Limits::default() };
    Ok(match HttpCall::decode(&body, &limits) {
        Err(error) => refuse(StatusCode::BAD_REQUEST, &error.to_string()),
        Ok(call) => {
            let answer = agent.dispatch_for(Some(actor), &call.procedure, call.args, call.kwargs).await;
            respond(StatusCode::OK, encode_answer(answer))
        }
    })
}

/// Who is at the other end, as the kernel tells it.
fn caller(stream: &UnixStream) -> Actor {
    match stream.peer_cred() {
        Ok(cred) => {
            let uid = cred.uid();
            let who = whoami::user_name(uid)
                .map_or_else(|| format!("uid {uid}"), |name| format!("user {name} (uid {uid})"));
            let from = cred.pid().map_or_else(String::new, |pid| format!(", process {pid}"));
            Actor::new(who, format!("control socket{from}"))
        }
        Err(error) => Actor::new(format!("unknown ({error})"), "control socket"),
    }
}

fn busy() -> Response<Full<Bytes>> {
    refuse(StatusCode::SERVICE_UNAVAILABLE, "Too many connections.")
}

fn refuse(status: StatusCode, message: &str) -> Response<Full<Bytes>> {
    respond(status, encode_bad_request(message))
}

fn respond(status: StatusCode, body: Vec<u8>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=UTF-8"));
    response
}
