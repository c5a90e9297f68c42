//! The tokio client: one connection to one ldmsd, on which many requests may be under way at once.
//!
//! A [`Client`] is a handle; a task of its own holds the connection. It does not connect again: whoever manages
//! daemons wants to know that a connection is gone ([`Client::closed`]) and decides what to do then.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use crate::api::{Call, Refusal, ReplyError, Request, Response};
use crate::auth::{Auth, Peer};
use crate::limits;
use crate::link::LinkError;
use crate::wire::dir::DirEntry;

mod connect;
mod task;

pub(crate) use connect::with_sources;

/// Where a daemon listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Transport; only `sock` is spoken.
    pub xprt: String,
}

impl Endpoint {
    /// A `sock` endpoint.
    #[must_use]
    pub fn sock(host: &str, port: u16) -> Self {
        Self { host: host.to_owned(), port, xprt: "sock".to_owned() }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Which form the handshake has; ldmsd 4.5 takes both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Form {
    /// The short one: one plain connection. What a controller needs.
    #[default]
    Plain,
    /// The long one: a rail of one connection, as aggregators make.
    Rail,
}

/// How to connect and how long to wait.
#[derive(Debug, Clone)]
pub struct Options {
    /// How to authenticate.
    pub auth: Auth,
    /// Form of the handshake.
    pub form: Form,
    /// For name lookup, connecting, handshake and authentication together.
    pub connect_timeout: Duration,
    /// For each request, from the call to its answer.
    pub request_timeout: Duration,
    /// Requests that may wait for their answers on the connection; further ones queue.
    pub max_in_flight: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            auth: Auth::None,
            form: Form::Plain,
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(10),
            max_in_flight: limits::MAX_IN_FLIGHT,
        }
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The endpoint uses a transport this program does not speak.
    #[error("{endpoint} uses transport '{}': only 'sock' is spoken", endpoint.xprt)]
    Transport {
        /// The endpoint.
        endpoint: Endpoint,
    },
    /// The name has no address.
    #[error("{endpoint}: the host name cannot be resolved")]
    Resolve {
        /// The endpoint.
        endpoint: Endpoint,
        /// Why.
        source: std::io::Error,
    },
    /// Nobody answers there.
    #[error("{endpoint}: cannot connect")]
    Connect {
        /// The endpoint.
        endpoint: Endpoint,
        /// Why.
        source: std::io::Error,
    },
    /// It took too long.
    #[error("{endpoint}: no connection within {} s", after.as_secs_f64())]
    TimedOut {
        /// The endpoint.
        endpoint: Endpoint,
        /// How long.
        after: Duration,
    },
    /// The handshake failed.
    #[error("{endpoint}: no handshake")]
    Handshake {
        /// The endpoint.
        endpoint: Endpoint,
        /// Why.
        source: LinkError,
    },
    /// The peer closed the connection during the handshake without a word, as ldmsd does when it does not like
    /// the authentication.
    #[error(
        "{endpoint}: the daemon closed the connection during the handshake (authentication '{auth}' not accepted, or not an ldmsd)"
    )]
    HungUp {
        /// The endpoint.
        endpoint: Endpoint,
        /// The plugin.
        auth: &'static str,
    },
}

/// Why a request has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The connection is gone.
    #[error("the connection to {endpoint} is gone: {reason}")]
    Closed {
        /// The endpoint.
        endpoint: Endpoint,
        /// Why.
        reason: String,
    },
    /// No answer in time. The request may still be carried out.
    #[error("{endpoint} did not answer '{verb}' within {} s", after.as_secs_f64())]
    TimedOut {
        /// The endpoint.
        endpoint: Endpoint,
        /// The command.
        verb: &'static str,
        /// How long.
        after: Duration,
    },
    /// The answer is longer than the limit, or malformed.
    #[error("{endpoint} answered '{verb}' in a way that cannot be read: {reason}")]
    Unreadable {
        /// The endpoint.
        endpoint: Endpoint,
        /// The command.
        verb: &'static str,
        /// Why.
        reason: String,
    },
}

/// Why a call gave no reply of its type.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// No answer.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// A refusal, or an answer of another form.
    #[error(transparent)]
    Reply(#[from] ReplyError),
}

impl CallError {
    /// The refusal, if the daemon answered with one (and so is alive).
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Reply(ReplyError::Refused(refusal)) => Some(refusal),
            _ => None,
        }
    }
}

/// What the task is told.
enum Command {
    Request { request: Request, reply: oneshot::Sender<Result<Response, RequestError>> },
    Directory { reply: oneshot::Sender<Result<Vec<DirEntry>, RequestError>> },
}

/// A connection to one ldmsd. Clones share it; it ends when the last is dropped.
#[derive(Debug, Clone)]
pub struct Client {
    endpoint: Endpoint,
    peer: Peer,
    request_timeout: Duration,
    commands: mpsc::Sender<Command>,
    closed: watch::Receiver<Option<String>>,
}

/// Commands that wait for the task of a connection.
const QUEUE: usize = 256;

impl Client {
    /// Connects and authenticates.
    ///
    /// # Errors
    /// When that fails or takes longer than [`Options::connect_timeout`].
    pub async fn connect(endpoint: &Endpoint, options: &Options) -> Result<Self, ConnectError> {
        let (stream, link, peer) = connect::connect(endpoint, options).await?;
        let (commands, queue) = mpsc::channel(QUEUE);
        let (end, closed) = watch::channel(None);
        let conversation = task::Conversation::new(endpoint.clone(), link);
        let max_in_flight = options.max_in_flight.max(1);
        tokio::spawn(async move {
            let reason = conversation.run(stream, queue, max_in_flight).await;
            let _ = end.send(Some(reason));
        });
        Ok(Self {
            endpoint: endpoint.clone(),
            peer,
            request_timeout: options.request_timeout,
            commands,
            closed,
        })
    }

    /// Where it is connected to.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Who the daemon has shown itself to be.
    #[must_use]
    pub fn peer(&self) -> Peer {
        self.peer
    }

    /// Waits until the connection is gone; gives the reason.
    pub fn closed(&self) -> impl Future<Output = String> + Send + 'static {
        let mut closed = self.closed.clone();
        async move {
            match closed.wait_for(Option::is_some).await {
                Ok(reason) => reason.clone().unwrap_or_default(),
                Err(_) => "the program ends".to_owned(),
            }
        }
    }

    /// Whether the connection is gone.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed.borrow().is_some()
    }

    /// Sends a request and waits for its answer, which may be a refusal.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn request(&self, request: Request) -> Result<Response, RequestError> {
        let verb = request.verb();
        let (reply, answer) = oneshot::channel();
        self.exchange(verb, Command::Request { request, reply }, answer).await
    }

    /// Sends many requests at once, in this order, and waits for all answers: one for each, in the same order, within
    /// [`Options::request_timeout`] for all of them.
    pub async fn request_all(&self, requests: Vec<Request>) -> Vec<Result<Response, RequestError>> {
        let verbs: Vec<&'static str> = requests.iter().map(Request::verb).collect();
        let send = async {
            let mut answers = Vec::with_capacity(requests.len());
            for request in requests {
                let verb = request.verb();
                let (reply, answer) = oneshot::channel();
                let sent = self.commands.send(Command::Request { request, reply }).await.is_ok();
                answers.push((verb, sent.then_some(answer)));
            }
            answers
        };
        let deadline = tokio::time::Instant::now() + self.request_timeout;
        let Ok(answers) = tokio::time::timeout_at(deadline, send).await else {
            return verbs.into_iter().map(|verb| Err(self.timed_out(verb))).collect();
        };
        let mut results = Vec::with_capacity(answers.len());
        for (verb, answer) in answers {
            results.push(match answer {
                None => Err(self.gone()),
                Some(answer) => match tokio::time::timeout_at(deadline, answer).await {
                    Ok(Ok(result)) => result,
                    Ok(Err(_)) => Err(self.gone()),
                    Err(_) => Err(self.timed_out(verb)),
                },
            });
        }
        results
    }

    /// Sends a typed request and waits for its typed reply.
    ///
    /// # Errors
    /// When there is no answer, the daemon refuses, or the answer has another form.
    pub async fn call<C: Call>(&self, call: &C) -> Result<C::Reply, CallError> {
        let response = self.request(call.request()).await?;
        Ok(call.reply(&response)?)
    }

    /// The metric sets of the daemon, with their sizes and times.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn directory(&self) -> Result<Vec<DirEntry>, RequestError> {
        let (reply, answer) = oneshot::channel();
        self.exchange("dir", Command::Directory { reply }, answer).await
    }

    async fn exchange<T>(
        &self,
        verb: &'static str,
        command: Command,
        answer: oneshot::Receiver<Result<T, RequestError>>,
    ) -> Result<T, RequestError> {
        let exchange = async {
            if self.commands.send(command).await.is_err() {
                return Err(self.gone());
            }
            answer.await.unwrap_or_else(|_| Err(self.gone()))
        };
        let waited = tokio::time::timeout(self.request_timeout, exchange).await;
        waited.unwrap_or_else(|_| Err(self.timed_out(verb)))
    }

    fn gone(&self) -> RequestError {
        let reason = self.closed.borrow().clone().unwrap_or_else(|| "it is being closed".to_owned());
        RequestError::Closed { endpoint: self.endpoint.clone(), reason }
    }

    fn timed_out(&self, verb: &'static str) -> RequestError {
        RequestError::TimedOut { endpoint: self.endpoint.clone(), verb, after: self.request_timeout }
    }
}
