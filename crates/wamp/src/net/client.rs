//! The tokio client: one connection to a router, kept up for ever.

mod error;
mod handler;
mod options;

pub use error::{CallError, ClientError};
pub use handler::{BoxFuture, Event, EventHandler, Handler, Invocation, handler};
pub use options::{CallOptions, ClientOptions, OnProgress, RegisterOptions};

use std::time::Duration;

use tokio::sync::watch;

use crate::{Dict, Match, Reply, Value};

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

/// Where a registration or subscription stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegistrationState {
    /// The router has not answered yet, or there is no session.
    Pending,
    /// In force.
    Active {
        /// The id of the registration or subscription.
        id: u64,
    },
    /// The router refused it; the client will ask again.
    Refused {
        /// The URI of the error.
        uri: String,
        /// The text for people; empty if the router gave none.
        message: String,
    },
}

/// A connection to a router, kept up for ever; cheap to clone.
#[derive(Clone, Debug)]
pub struct Client;

/// A procedure that this client serves, as long as the client lives or until [`Registration::unregister`]; dropping
/// this handle changes nothing.
#[derive(Clone, Debug)]
pub struct Registration;

/// A topic that this client listens to, as long as the client lives or until [`Subscription::unsubscribe`]; dropping
/// this handle changes nothing.
#[derive(Clone, Debug)]
pub struct Subscription;

impl Client {
    /// Starts the client's task, which connects, and connects again, until [`Client::close`].
    pub fn spawn(_options: ClientOptions) -> Self {
        unimplemented!()
    }

    /// Where the client stands, now and at every change.
    pub fn state(&self) -> watch::Receiver<State> {
        unimplemented!()
    }

    /// Waits for a session; returns its id.
    ///
    /// # Errors
    /// When there is none in the time given, or the client is closed.
    pub async fn joined(&self, _timeout: Duration) -> Result<u64, ClientError> {
        unimplemented!()
    }

    /// Calls a procedure.
    ///
    /// # Errors
    /// At once when there is no session; see [`CallError`].
    pub async fn call(
        &self,
        _procedure: &str,
        _args: Vec<Value>,
        _kwargs: Dict,
        _options: CallOptions,
    ) -> Result<Reply, CallError> {
        unimplemented!()
    }

    /// Publishes an event without waiting for an acknowledgement. Never blocks.
    ///
    /// # Errors
    /// When there is no session, or too much is waiting to be sent.
    pub fn publish(&self, _topic: &str, _args: Vec<Value>, _kwargs: Dict) -> Result<(), ClientError> {
        unimplemented!()
    }

    /// Publishes an event and waits until the router has accepted it; returns the id of the publication.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn publish_acknowledged(
        &self,
        _topic: &str,
        _args: Vec<Value>,
        _kwargs: Dict,
        _timeout: Duration,
    ) -> Result<u64, CallError> {
        unimplemented!()
    }

    /// Serves a procedure from now on, in this session and all that follow.
    pub fn register(&self, _procedure: &str, _options: RegisterOptions, _handler: Handler) -> Registration {
        unimplemented!()
    }

    /// Listens to a topic from now on, in this session and all that follow.
    pub fn subscribe(&self, _topic: &str, _matching: Match, _handler: EventHandler) -> Subscription {
        unimplemented!()
    }

    /// Leaves the realm and ends the client's task.
    pub async fn close(&self) {
        unimplemented!()
    }
}

impl Registration {
    /// Where the registration stands, now and at every change.
    pub fn state(&self) -> watch::Receiver<RegistrationState> {
        unimplemented!()
    }

    /// Serves the procedure no more.
    pub fn unregister(&self) {
        unimplemented!()
    }
}

impl Subscription {
    /// Where the subscription stands, now and at every change.
    pub fn state(&self) -> watch::Receiver<RegistrationState> {
        unimplemented!()
    }

    /// Listens no more.
    pub fn unsubscribe(&self) {
        unimplemented!()
    }
}
