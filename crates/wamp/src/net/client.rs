//! The tokio client: one connection to a router, kept up for ever.

mod connect;
mod deliver;
mod error;
mod handler;
mod options;
mod outgoing;
mod run;
mod shared;

pub use crate::session::BindingState as RegistrationState;
pub use error::{CallError, ClientError};
pub use handler::{BoxFuture, Event, EventHandler, Handler, Invocation, handler};
pub use options::{CallOptions, ClientOptions, OnProgress, RegisterOptions};

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{oneshot, watch};

use crate::session::{BindingId, CallId, CallSettings, Outcome};
use crate::{Dict, Match, Payload, Reply, Value, WampError};
use options::as_ms;
use shared::{Serve, Shared};

/// Where a client stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// There is no session; the client tries to get one.
    Connecting {
        /// How many attempts have failed in a row.
        attempt: u32,
        /// Why the last one failed, or the last session ended.
        last_error: Option<String>,
    },
    /// The session is open.
    Joined {
        /// Its id.
        session_id: u64,
    },
    /// The client was closed, for good.
    Closed,
}

/// A connection to a router, kept up for ever; cheap to clone.
///
/// It ends with [`Client::close`], or when the last clone of it is dropped. A handler that holds a clone keeps it alive:
/// a program with such handlers has to close it.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
    /// Only the clones of the client hold this.
    _alive: Arc<Alive>,
}

struct Alive(Arc<Shared>);

impl Drop for Alive {
    fn drop(&mut self) {
        begin_closing(&self.0);
    }
}

fn begin_closing(shared: &Arc<Shared>) {
    shared.closing.send_replace(true);
    shared.step(|session, now_ms| session.leave(now_ms));
}

impl Client {
    /// Starts the client's task, which connects, and connects again, until [`Client::close`].
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn spawn(options: ClientOptions) -> Self {
        let shared = Arc::new(Shared::new(options));
        tokio::spawn(run::run(Arc::clone(&shared)));
        Self { _alive: Arc::new(Alive(Arc::clone(&shared))), shared }
    }

    /// Where the client stands, now and at every change.
    pub fn state(&self) -> watch::Receiver<State> {
        self.shared.state.subscribe()
    }

    /// Waits for a session; returns its id.
    ///
    /// # Errors
    /// When there is none in the time given, or the client is closed.
    pub async fn joined(&self, timeout: Duration) -> Result<u64, ClientError> {
        let mut state = self.state();
        let settled = state.wait_for(|state| !matches!(state, State::Connecting { .. }));
        let settled = match tokio::time::timeout(timeout, settled).await {
            Ok(Ok(settled)) => settled.clone(),
            Ok(Err(_)) => State::Closed,
            Err(_) => self.shared.state.borrow().clone(),
        };
        match settled {
            State::Joined { session_id } => Ok(session_id),
            State::Closed => Err(ClientError::Closed),
            State::Connecting { last_error, .. } => Err(ClientError::TimedOut { last_error }),
        }
    }

    /// Calls a procedure. Dropping the future cancels the call.
    ///
    /// # Errors
    /// At once when there is no session, or too much waits; and at once when the session ends; see [`CallError`].
    pub async fn call(
        &self,
        procedure: &str,
        args: Vec<Value>,
        kwargs: Dict,
        options: CallOptions,
    ) -> Result<Reply, CallError> {
        let settings =
            CallSettings { timeout_ms: options.timeout.map(as_ms), progress: options.progress.is_some() };
        let payload = Payload::new(args, kwargs);
        let (call, answer) = self
            .shared
            .start(options.progress, |session, now_ms| session.call(procedure, payload, settings, now_ms))?;
        match self.wait(call, answer).await? {
            Outcome::Result(payload) => {
                let (args, kwargs) = payload.into_values()?;
                Ok(Reply { args, kwargs })
            }
            other => Err(unexpected(other)),
        }
    }

    /// Publishes an event without waiting for an acknowledgement. Never blocks.
    ///
    /// # Errors
    /// When there is no session, or too much is waiting to be sent.
    pub fn publish(&self, topic: &str, args: Vec<Value>, kwargs: Dict) -> Result<(), ClientError> {
        self.publish_payload(topic, Payload::new(args, kwargs))
    }

    /// The same, with arguments that are encoded already.
    ///
    /// # Errors
    /// As [`Self::publish`].
    pub fn publish_payload(&self, topic: &str, payload: Payload) -> Result<(), ClientError> {
        self.shared.publish(topic, payload)
    }

    /// Publishes an event and waits until the router has accepted it; returns the id of the publication.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn publish_acknowledged(
        &self,
        topic: &str,
        args: Vec<Value>,
        kwargs: Dict,
        timeout: Duration,
    ) -> Result<u64, CallError> {
        let payload = Payload::new(args, kwargs);
        let (call, answer) = self.shared.start(None, |session, now_ms| {
            session.publish_acknowledged(topic, payload, as_ms(timeout), now_ms)
        })?;
        match self.wait(call, answer).await? {
            Outcome::Published(publication) => Ok(publication),
            other => Err(unexpected(other)),
        }
    }

    async fn wait(&self, call: CallId, answer: oneshot::Receiver<Outcome>) -> Result<Outcome, CallError> {
        let mut given_up = GiveUpOnDrop { shared: &self.shared, call: Some(call) };
        let answer = answer.await;
        given_up.call = None;
        answer.map_err(|_| CallError::Closed)
    }

    /// Serves a procedure from now on, in this session and all that follow.
    pub fn register(&self, procedure: &str, options: RegisterOptions, handler: Handler) -> Registration {
        let (binding, state) = self.shared.bind(procedure, options.matching, Serve::Calls(handler));
        Registration(Bound { shared: Arc::clone(&self.shared), binding, state })
    }

    /// Listens to a topic from now on, in this session and all that follow.
    pub fn subscribe(&self, topic: &str, matching: Match, handler: EventHandler) -> Subscription {
        let (binding, state) = self.shared.bind(topic, matching, Serve::Events(handler));
        Subscription(Bound { shared: Arc::clone(&self.shared), binding, state })
    }

    /// Leaves the realm and ends the client's task; returns when that is done, which takes three seconds at most.
    pub async fn close(&self) {
        begin_closing(&self.shared);
        // It is the task that sets this, and the sender lives as long as this client.
        _ = self.state().wait_for(|state| *state == State::Closed).await;
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("url", &self.shared.options.url)
            .field("state", &*self.shared.state.borrow())
            .finish_non_exhaustive()
    }
}

/// Cancels a call whose future is dropped.
struct GiveUpOnDrop<'a> {
    shared: &'a Arc<Shared>,
    call: Option<CallId>,
}

impl Drop for GiveUpOnDrop<'_> {
    fn drop(&mut self) {
        if let Some(call) = self.call {
            self.shared.give_up(call);
        }
    }
}

fn unexpected(outcome: Outcome) -> CallError {
    match outcome {
        Outcome::Error { uri, payload } => match payload.into_values() {
            Ok((args, kwargs)) => WampError { uri, args, kwargs }.into(),
            Err(error) => error.into(),
        },
        Outcome::TimedOut => CallError::TimedOut,
        // A call never ends as a publication, nor the other way round.
        Outcome::Lost | Outcome::Result(_) | Outcome::Published(_) => CallError::ConnectionLost,
    }
}

/// A procedure that this client serves, as long as the client lives or until [`Registration::unregister`]; dropping
/// this handle changes nothing.
#[derive(Clone, Debug)]
pub struct Registration(Bound);

/// A topic that this client listens to, as long as the client lives or until [`Subscription::unsubscribe`]; dropping
/// this handle changes nothing.
#[derive(Clone, Debug)]
pub struct Subscription(Bound);

#[derive(Clone)]
struct Bound {
    shared: Arc<Shared>,
    binding: BindingId,
    state: watch::Receiver<RegistrationState>,
}

impl fmt::Debug for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", *self.state.borrow())
    }
}

impl Registration {
    /// Where the registration stands, now and at every change.
    pub fn state(&self) -> watch::Receiver<RegistrationState> {
        self.0.state.clone()
    }

    /// Serves the procedure no more. Invocations that run are carried to their end.
    pub fn unregister(&self) {
        self.0.shared.unbind(self.0.binding);
    }
}

impl Subscription {
    /// Where the subscription stands, now and at every change.
    pub fn state(&self) -> watch::Receiver<RegistrationState> {
        self.0.state.clone()
    }

    /// Listens no more.
    pub fn unsubscribe(&self) {
        self.0.shared.unbind(self.0.binding);
    }
}
