//! Talking to OCS agents: over the bus, over the router's HTTP bridge, or to one agent's own control socket.
//!
//! All three carry the same calls and give the same answers, so a command works with whatever the site offers.

mod error;
mod http;
pub mod passwords;
mod trust;
mod types;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use campanile_wamp::net::client::{CallError, CallOptions, Client, ClientOptions, State};
use campanile_wamp::{Dict, Value};

pub use error::OcsError;
pub use passwords::Passwords;
pub use types::{AgentApi, OpEntry, OpInfo, OpReply, Session};

use http::HttpPool;
use trust::Trust;

use crate::secret::Secret;
use crate::whoami;

/// How much longer than an agent's own timeout a call may take, for the ways there and back.
const MARGIN: Duration = Duration::from_secs(2);

/// Where agents are reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// The bus itself: the websocket URL of the router, and the realm.
    Ws(String, String),
    /// The HTTP bridge of the router: its `http://…/call` URL.
    Http(String),
    /// The control socket of one daemon, which answers for its own agent alone.
    Unix(PathBuf),
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ws(url, _) | Self::Http(url) => f.write_str(url),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// What to ask of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Run it.
    Start,
    /// End a process.
    Stop,
    /// End a task.
    Abort,
    /// Tell when it has ended.
    Wait,
    /// Tell how it stands.
    Status,
}

impl Action {
    /// The word on the wire.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Abort => "abort",
            Self::Wait => "wait",
            Self::Status => "status",
        }
    }
}

/// A connection for calls. Clones share it; calls may run side by side.
#[derive(Clone)]
pub struct OcsClient {
    endpoint: Endpoint,
    transport: Transport,
    timeout: Duration,
    trust: Trust,
}

#[derive(Clone)]
enum Transport {
    Ws(Client),
    Http(HttpPool),
}

impl OcsClient {
    /// Connects. `timeout` is for the connection, and for the answer to each call that sets no time of its own.
    ///
    /// # Errors
    /// [`OcsError::RouterUnreachable`] when nobody is there, [`OcsError::Protocol`] for a URL that cannot be used.
    pub async fn connect(endpoint: Endpoint, timeout: Duration) -> Result<Self, OcsError> {
        let transport = match &endpoint {
            Endpoint::Ws(url, realm) => {
                let agent = Some(whoami::user_agent());
                let client = Client::spawn(ClientOptions { agent, ..ClientOptions::new(url, realm) });
                if let Err(reason) = first_attempt(&client, timeout).await {
                    client.close().await;
                    return Err(OcsError::RouterUnreachable { endpoint: endpoint.to_string(), reason });
                }
                Transport::Ws(client)
            }
            Endpoint::Http(url) => Transport::Http(HttpPool::tcp(url, timeout).await?),
            Endpoint::Unix(path) => Transport::Http(HttpPool::unix(path, timeout).await?),
        };
        Ok(Self { endpoint, transport, timeout, trust: Trust::default() })
    }

    /// The same connection, with a password for every request that changes anything: start, stop and abort. It is sent
    /// as it is, whatever the agent.
    #[must_use]
    pub fn with_password(mut self, password: Option<String>) -> Self {
        let password = password.map(Secret::new).filter(|password| !password.is_empty());
        self.trust = password.map_or_else(Trust::default, Trust::fixed);
        self
    }

    /// The same connection, with the passwords of a user: for each request that changes anything, the one that fits
    /// the agent and the level that the operation demands, at least level 2. The agent is asked once what it is and
    /// what it demands; one that is older than access control is sent no password.
    #[must_use]
    pub fn with_passwords(mut self, passwords: Passwords) -> Self {
        self.trust = Trust::of_user(passwords);
        self
    }

    /// Where it is connected to.
    #[must_use]
    pub const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The bus client, where the connection is one: for feeds.
    #[must_use]
    pub const fn bus(&self) -> Option<&Client> {
        match &self.transport {
            Transport::Ws(client) => Some(client),
            Transport::Http(_) => None,
        }
    }

    /// Calls a procedure and gives the first value of its answer.
    ///
    /// # Errors
    /// [`OcsError`].
    pub async fn call(&self, procedure: &str, args: Vec<Value>, kwargs: Dict) -> Result<Value, OcsError> {
        self.call_within(procedure, args, kwargs, Some(self.timeout)).await
    }

    /// As [`OcsClient::call`], with a time of its own; `None` waits as long as the connection lasts.
    ///
    /// # Errors
    /// [`OcsError`].
    pub async fn call_within(
        &self,
        procedure: &str,
        args: Vec<Value>,
        kwargs: Dict,
        timeout: Option<Duration>,
    ) -> Result<Value, OcsError> {
        let reply = match &self.transport {
            Transport::Http(pool) => return pool.call(procedure, args, kwargs, timeout).await,
            Transport::Ws(client) => {
                let options = timeout.map_or_else(CallOptions::default, CallOptions::timeout);
                client.call(procedure, args, kwargs, options).await
            }
        };
        match reply {
            Ok(reply) => Ok(reply.args.into_iter().next().unwrap_or_default()),
            Err(CallError::Wamp(error)) => Err(OcsError::from_wamp(procedure, error)),
            Err(CallError::TimedOut) => {
                Err(OcsError::TimedOut { what: procedure.to_owned(), after: timeout.unwrap_or_default() })
            }
            Err(CallError::ConnectionLost) => Err(OcsError::CalleeLost { procedure: procedure.to_owned() }),
            Err(CallError::Decode(error)) => Err(OcsError::Protocol(error.to_string())),
            Err(error) => Err(self.unreachable(&error.to_string())),
        }
    }

    /// Asks an agent what it can do and what it is doing.
    ///
    /// # Errors
    /// [`OcsError`].
    pub async fn api(&self, address: &str) -> Result<AgentApi, OcsError> {
        let api = self.call(address, vec!["get_api".into()], Dict::new()).await?;
        serde_json::from_value(api.to_json()).map_err(|error| OcsError::Protocol(format!("get_api: {error}")))
    }

    /// Asks something of an operation. `params` is for [`Action::Start`]; `timeout` is how long the agent shall wait in
    /// [`Action::Wait`], `None` for as long as it takes.
    ///
    /// # Errors
    /// [`OcsError`]; a refusal by the agent is not one, but a reply with [`crate::codes::ReplyCode::Error`].
    pub async fn op(
        &self,
        address: &str,
        action: Action,
        op_name: &str,
        params: serde_json::Value,
        timeout: Option<Duration>,
    ) -> Result<OpReply, OcsError> {
        let args = vec![action.word().into(), op_name.into(), params.into()];
        let mut kwargs = Dict::new();
        let mut patience = Some(self.timeout);
        if action == Action::Wait {
            kwargs.insert("timeout", timeout.map(|timeout| timeout.as_secs_f64()));
            patience = timeout.map(|timeout| timeout + self.timeout.max(MARGIN));
        }
        if matches!(action, Action::Start | Action::Stop | Action::Abort)
            && let Some(password) = self.trust.password(self, address, op_name).await?
        {
            kwargs.insert("password", password.reveal());
        }
        let reply = self.call_within(&format!("{address}.ops"), args, kwargs, patience).await?;
        OpReply::from_json(reply.to_json()).map_err(OcsError::Protocol)
    }

    /// Starts a task and waits for its end; a start that is refused is given back at once.
    ///
    /// # Errors
    /// [`OcsError`].
    pub async fn run(
        &self,
        address: &str,
        op_name: &str,
        params: serde_json::Value,
        timeout: Option<Duration>,
    ) -> Result<OpReply, OcsError> {
        let started = self.op(address, Action::Start, op_name, params, None).await?;
        if !started.is_ok() {
            return Ok(started);
        }
        self.op(address, Action::Wait, op_name, serde_json::Value::Null, timeout).await
    }

    /// Whether a router serves this address root: it is asked for a procedure that nobody has.
    ///
    /// # Errors
    /// [`OcsError::NotAuthorized`] when the router does not serve this address root, [`OcsError::RouterUnreachable`]
    /// and [`OcsError::TimedOut`] when there is none.
    pub async fn router_check(&self, address_root: &str) -> Result<(), OcsError> {
        match self.call(&format!("{address_root}._crossbar_check_"), Vec::new(), Dict::new()).await {
            Ok(_) | Err(OcsError::NoSuchAgent { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Leaves the bus. A connection that is dropped without this is closed all the same, only less politely.
    pub async fn close(&self) {
        if let Transport::Ws(client) = &self.transport {
            client.close().await;
        }
    }

    fn unreachable(&self, reason: &str) -> OcsError {
        OcsError::RouterUnreachable { endpoint: self.endpoint.to_string(), reason: reason.to_owned() }
    }
}

/// Waits for the session, or for the first attempt to fail: somebody who asks a question wants to know now, while the
/// bus client by itself would try for ever.
async fn first_attempt(client: &Client, timeout: Duration) -> Result<(), String> {
    let mut state = client.state();
    let settled = state.wait_for(|state| !matches!(state, State::Connecting { attempt: 0, .. }));
    match tokio::time::timeout(timeout, settled).await {
        Err(_) => Err(format!("no session within {} s", timeout.as_secs_f64())),
        Ok(Err(_)) => Err("the client is closed".to_owned()),
        Ok(Ok(state)) => match &*state {
            State::Joined { .. } => Ok(()),
            State::Connecting { last_error: Some(error), .. } => Err(error.clone()),
            State::Connecting { .. } | State::Closed => Err("no session".to_owned()),
        },
    }
}
