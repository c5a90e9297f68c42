//! What a program gives to a client: handlers of invocations and events.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::{Dict, Payload, Reply, Value, WampError};

/// A boxed future, as a handler returns it.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Serves a procedure. Each invocation runs as a task of its own; its future is dropped when the caller cancels the
/// call or the connection is lost, since then nobody waits for it any more. A panic in it is answered with
/// `wamp.error.runtime_error`.
pub type Handler = Arc<dyn Fn(Invocation) -> BoxFuture<Result<Reply, WampError>> + Send + Sync>;

/// Takes events, in the order of their arrival, on the client's task: it must be quick, and never block.
pub type EventHandler = Arc<dyn Fn(Event) + Send + Sync>;

/// Makes a [`Handler`] of an async closure.
pub fn handler<F, Fut>(serve: F) -> Handler
where
    F: Fn(Invocation) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Reply, WampError>> + Send + 'static,
{
    Arc::new(move |invocation| Box::pin(serve(invocation)))
}

/// A call that is to be served.
pub struct Invocation {
    /// The procedure that was called; differs from the registered one if that is a pattern.
    pub procedure: String,
    /// Positional arguments.
    pub args: Vec<Value>,
    /// Keyword arguments.
    pub kwargs: Dict,
    /// What the router says about the call: `caller` and the like, where it discloses that.
    pub details: Dict,
    pub(super) progress: Option<ProgressSender>,
}

/// Sends one step of a progressive result; answers whether somebody still waits for it.
pub(super) type ProgressSender = Box<dyn Fn(Payload) -> bool + Send + Sync>;

impl Invocation {
    /// Whether the caller wants progressive results.
    pub fn wants_progress(&self) -> bool {
        self.progress.is_some()
    }

    /// Sends a step of the result, if the caller wants such; answers whether it was sent.
    pub fn progress(&self, step: Reply) -> bool {
        self.progress.as_ref().is_some_and(|send| send(step.into()))
    }
}

impl fmt::Debug for Invocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Invocation")
            .field("procedure", &self.procedure)
            .field("args", &self.args)
            .field("kwargs", &self.kwargs)
            .field("details", &self.details)
            .finish_non_exhaustive()
    }
}

/// An event of a topic that was subscribed to.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The topic it was published to; differs from the subscribed one if that is a pattern.
    pub topic: String,
    /// Positional arguments.
    pub args: Vec<Value>,
    /// Keyword arguments.
    pub kwargs: Dict,
    /// The id of the publication: the same for all who receive it.
    pub publication: u64,
}
