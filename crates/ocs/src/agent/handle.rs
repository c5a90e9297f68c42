//! The handle of a living agent: [`Agent`].

use std::sync::Arc;
use std::time::Duration;

use campanile_control::journal::Actor;
use campanile_wamp::net::client::Client;
use campanile_wamp::{Dict, Value, WampError};
use tokio::sync::watch;

use super::access::Caller;
use super::builder::AgentBuilder;
use super::bus::BusState;
use super::feed::FeedError;
use super::runtime::Shared;

/// A living agent. Clones are handles to the same one; it lives until [`Agent::shutdown`].
#[derive(Clone)]
pub struct Agent {
    shared: Arc<Shared>,
}

/// Why a message was not published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The agent has no such feed.
    #[error("the agent has no feed \"{0}\"")]
    NoSuchFeed(String),
    /// The message does not fit the feed.
    #[error("the message does not fit the feed")]
    Message(#[from] FeedError),
    /// The router is away, or the agent has none; events are not kept for later.
    #[error("not connected to a router")]
    NotConnected,
}

impl Agent {
    pub(super) fn spawn(builder: AgentBuilder) -> Self {
        Self { shared: Shared::start_agent(builder) }
    }

    pub(super) const fn from_shared(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// `{address_root}.{instance-id}`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.shared.publisher.agent_address
    }

    /// The bus client, for calls and subscriptions of the agent's own.
    #[must_use]
    pub fn client(&self) -> Option<&Client> {
        self.shared.client()
    }

    /// Whether the agent is on the bus.
    #[must_use]
    pub fn bus_state(&self) -> watch::Receiver<BusState> {
        self.shared.bus.subscribe()
    }

    /// Set to an explanation when another agent of the same identity has held our names for 15 seconds, and back to
    /// `None` when they are ours.
    #[must_use]
    pub fn identity_conflict(&self) -> watch::Receiver<Option<String>> {
        self.shared.conflict.subscribe()
    }

    /// Writes a line to the agent's log.
    pub fn log(&self, text: impl Into<String>) {
        self.shared.log(text.into());
    }

    /// Starts an operation as the agent itself. Gives what a client would get: `[code, message, session]`.
    pub fn start(&self, op_name: &str, params: &serde_json::Value) -> serde_json::Value {
        self.shared.start(op_name, params, Caller::Internal, None)
    }

    /// Stops a process or aborts a task, as the agent itself.
    pub fn stop(&self, op_name: &str) -> serde_json::Value {
        self.shared.end(op_name)
    }

    /// The state of an operation: `[code, message, session]`.
    #[must_use]
    pub fn status(&self, op_name: &str) -> serde_json::Value {
        self.shared.status(op_name)
    }

    /// Publishes on a feed. On a record feed the message is checked (see [`super::feed::Feed::event`]).
    ///
    /// # Errors
    /// [`PublishError`]; without a router the message is gone, as with OCS.
    pub fn publish(&self, feed: &str, message: impl Into<Value>) -> Result<(), PublishError> {
        self.shared.publish(feed, vec![message.into()])
    }

    /// Publishes many messages in as few events as can carry them ([`super::feed::Feed::events`]). One that does not
    /// fit the feed holds up no other. The agent waits while the messages are made, one after the other.
    ///
    /// # Errors
    /// [`PublishError`], the first one.
    pub fn publish_all(
        &self,
        feed: &str,
        messages: impl IntoIterator<Item = Value>,
    ) -> Result<(), PublishError> {
        self.shared.publish(feed, messages)
    }

    /// Switches the heartbeat off and on again; clients take an agent without one for dead after 5 seconds.
    pub fn set_heartbeat(&self, on: bool) {
        self.shared.set_heartbeat(on);
    }

    /// A call of `{address}.ops`, wherever it came from.
    ///
    /// # Errors
    /// `wamp.error.runtime_error` when the arguments do not fit.
    pub async fn dispatch_ops(&self, args: Vec<Value>, kwargs: Dict) -> Result<Value, WampError> {
        self.shared.dispatch_ops(args, kwargs, None).await
    }

    /// A call of `{address}`, wherever it came from.
    ///
    /// # Errors
    /// `wamp.error.runtime_error` when the arguments do not fit.
    pub fn dispatch_mgmt(&self, args: Vec<Value>, kwargs: Dict) -> Result<Value, WampError> {
        self.shared.dispatch_mgmt(args, kwargs)
    }

    /// A call of any procedure of this agent, its own ones included.
    ///
    /// # Errors
    /// `wamp.error.no_such_procedure` for one that is not this agent's, and whatever the procedure itself gives.
    pub async fn dispatch(
        &self,
        procedure: &str,
        args: Vec<Value>,
        kwargs: Dict,
    ) -> Result<Value, WampError> {
        self.shared.dispatch(procedure, args, kwargs, None).await
    }

    /// The same, for a caller that is known: the journal tells who asked.
    ///
    /// # Errors
    /// As [`Agent::dispatch`].
    pub async fn dispatch_for(
        &self,
        actor: Option<Actor>,
        procedure: &str,
        args: Vec<Value>,
        kwargs: Dict,
    ) -> Result<Value, WampError> {
        self.shared.dispatch(procedure, args, kwargs, actor).await
    }

    /// Ends the agent in order: no more starts, everything that runs is asked to stop and given `grace`, what is left
    /// is cut off, and the bus is left.
    pub async fn shutdown(&self, grace: Duration) {
        self.shared.shutdown(grace).await;
    }
}
