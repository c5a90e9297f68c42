//! Calls over HTTP/1.1, to a router's bridge or a control socket, over connections that are kept for the next call.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use campanile_wamp::{Dict, Limits, Value};
use http::header::{CONTENT_TYPE, HOST, USER_AGENT};
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::Semaphore;
use url::Url;

use super::error::OcsError;
use crate::http_call::{HttpCall, decode_answer};

/// Calls that may be under way at a time; further ones wait.
const MAX_CONNECTIONS: usize = 64;
/// Idle connections kept.
const MAX_IDLE: usize = 8;
/// An idle connection older than this is not used again: the server may be closing it at this very moment, and then
/// nobody could say whether the call was carried out.
const MAX_IDLE_AGE: Duration = Duration::from_secs(4);
/// How long the set-up of a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

type Sender = SendRequest<Full<Bytes>>;

/// Connections to one server. Clones share them.
#[derive(Clone)]
pub(super) struct HttpPool(Arc<Inner>);

struct Inner {
    target: Target,
    /// The URL or path, for messages.
    name: String,
    path: String,
    host: String,
    /// What we say we are.
    agent: String,
    idle: Mutex<Vec<(Instant, Sender)>>,
    places: Semaphore,
    connect_timeout: Duration,
}

enum Target {
    Tcp { host: String, port: u16 },
    Unix(PathBuf),
}

impl HttpPool {
    /// Connects to an `http://` URL.
    pub(super) async fn tcp(url: &str, timeout: Duration) -> Result<Self, OcsError> {
        let parsed = Url::parse(url).map_err(|error| OcsError::Protocol(format!("URL {url}: {error}")))?;
        let (Some(host), Some(port)) = (parsed.host_str(), parsed.port_or_known_default()) else {
            return Err(OcsError::Protocol(format!("URL {url} names no host")));
        };
        if parsed.scheme() != "http" {
            return Err(OcsError::Protocol(format!(
                "URL {url}: only http:// is supported for the HTTP bridge"
            )));
        }
        let bare_host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let path = match parsed.query() {
            Some(query) => format!("{}?{query}", parsed.path()),
            None => parsed.path().to_owned(),
        };
        let target = Target::Tcp { host: bare_host, port };
        Self::open(target, url.to_owned(), path, format!("{host}:{port}"), timeout).await
    }

    /// Connects to a control socket.
    pub(super) async fn unix(path: &Path, timeout: Duration) -> Result<Self, OcsError> {
        let name = path.display().to_string();
        Self::open(Target::Unix(path.to_owned()), name, "/call".to_owned(), "localhost".to_owned(), timeout)
            .await
    }

    async fn open(
        target: Target,
        name: String,
        path: String,
        host: String,
        timeout: Duration,
    ) -> Result<Self, OcsError> {
        let pool = Self(Arc::new(Inner {
            agent: crate::whoami::user_agent(),
            target,
            name,
            path,
            host,
            idle: Mutex::new(Vec::new()),
            places: Semaphore::new(MAX_CONNECTIONS),
            connect_timeout: timeout.min(CONNECT_TIMEOUT),
        }));
        let sender = pool.connect().await?;
        pool.keep(sender);
        Ok(pool)
    }

    /// Calls a procedure and gives the first value of its answer.
    pub(super) async fn call(
        &self,
        procedure: &str,
        args: Vec<Value>,
        kwargs: Dict,
        timeout: Option<Duration>,
    ) -> Result<Value, OcsError> {
        let body = Bytes::from(HttpCall { procedure: procedure.to_owned(), args, kwargs }.encode());
        let exchange = self.exchange(procedure, body);
        let (status, answer) = match timeout {
            None => exchange.await?,
            Some(after) => tokio::time::timeout(after, exchange)
                .await
                .map_err(|_| OcsError::TimedOut { what: procedure.to_owned(), after })??,
        };
        let answer = decode_answer(&answer, &Limits::default());
        match (status, answer) {
            (StatusCode::OK, Ok(Ok(value))) => Ok(value),
            (StatusCode::OK | StatusCode::INTERNAL_SERVER_ERROR, Ok(Err(error))) => {
                Err(OcsError::from_wamp(procedure, error))
            }
            (StatusCode::OK, Err(error)) => Err(OcsError::Protocol(format!("{}: {error}", self.0.name))),
            (status, Ok(Err(error))) => {
                Err(OcsError::Protocol(format!("{}: HTTP {status}: {error}", self.0.name)))
            }
            (status, _) => Err(OcsError::Protocol(format!("{}: HTTP {status}", self.0.name))),
        }
    }

    async fn exchange(&self, procedure: &str, body: Bytes) -> Result<(StatusCode, Bytes), OcsError> {
        let Ok(_place) = self.0.places.acquire().await else {
            return Err(self.unreachable("the client is closed"));
        };
        let lost = |_: hyper::Error| OcsError::CalleeLost { procedure: procedure.to_owned() };
        let (mut sender, response) = loop {
            let (mut sender, is_reused) = match self.reuse().await {
                Some(sender) => (sender, true),
                None => (self.connect().await?, false),
            };
            match sender.send_request(self.request(&body)?).await {
                Ok(response) => break (sender, response),
                // Nothing was sent on a connection that had died unseen: the call can safely be made again.
                Err(error) if is_reused && error.is_canceled() => {}
                Err(error) => return Err(lost(error)),
            }
        };
        let status = response.status();
        let limit = Limits::default().max_message_bytes;
        let answer = Limited::new(response.into_body(), limit)
            .collect()
            .await
            .map_err(|error| match error.downcast::<hyper::Error>() {
                Ok(error) => lost(*error),
                Err(_) => {
                    OcsError::Protocol(format!("{}: an answer of more than {limit} bytes", self.0.name))
                }
            })?
            .to_bytes();
        if sender.ready().await.is_ok() {
            self.keep(sender);
        }
        Ok((status, answer))
    }

    fn request(&self, body: &Bytes) -> Result<Request<Full<Bytes>>, OcsError> {
        Request::post(self.0.path.as_str())
            .header(HOST, self.0.host.as_str())
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, self.0.agent.as_str())
            .body(Full::new(body.clone()))
            .map_err(|error| OcsError::Protocol(format!("{}: {error}", self.0.name)))
    }

    async fn connect(&self) -> Result<Sender, OcsError> {
        let connect = async {
            match &self.0.target {
                Target::Tcp { host, port } => {
                    let stream = TcpStream::connect((host.as_str(), *port)).await?;
                    stream.set_nodelay(true)?;
                    handshake(stream).await
                }
                Target::Unix(path) => handshake(UnixStream::connect(path).await?).await,
            }
        };
        match tokio::time::timeout(self.0.connect_timeout, connect).await {
            Ok(Ok(sender)) => Ok(sender),
            Ok(Err(error)) => Err(self.unreachable(&error.to_string())),
            Err(_) => {
                let after = self.0.connect_timeout.as_secs_f64();
                Err(self.unreachable(&format!("no connection within {after} s")))
            }
        }
    }

    /// An idle connection that still lives.
    async fn reuse(&self) -> Option<Sender> {
        loop {
            let (since, mut sender) = self.idle().pop()?;
            if since.elapsed() < MAX_IDLE_AGE && !sender.is_closed() && sender.ready().await.is_ok() {
                return Some(sender);
            }
        }
    }

    fn keep(&self, sender: Sender) {
        let mut idle = self.idle();
        if idle.len() >= MAX_IDLE {
            idle.remove(0);
        }
        idle.push((Instant::now(), sender));
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<(Instant, Sender)>> {
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unreachable(&self, reason: &str) -> OcsError {
        OcsError::RouterUnreachable { endpoint: self.0.name.clone(), reason: reason.to_owned() }
    }
}

async fn handshake(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> std::io::Result<Sender> {
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(std::io::Error::other)?;
    // The connection ends with its sender; an error in it is seen by the call that was under way.
    tokio::spawn(async move {
        let _ = connection.await;
    });
    Ok(sender)
}
