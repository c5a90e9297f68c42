//! Runs the program's own code: handlers of invocations, events and progress. A panic in it harms nobody else.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use futures_util::FutureExt as _;
use tokio::task::AbortHandle;

use super::shared::Shared;
use super::{Event, EventHandler, Handler, Invocation, OnProgress};
use crate::error::uris;
use crate::session::InvocationId;
use crate::{Dict, Payload, Reply, WampError};

/// What is to be done when the lock is free.
pub(super) enum Delivery {
    /// An event, for each of these handlers with the topic that it has subscribed to.
    Event { handlers: Vec<(EventHandler, String)>, publication: u64, details: Dict, payload: Payload },
    /// A step of a call.
    Progress { progress: OnProgress, payload: Payload },
    /// There is no room for this invocation.
    Refusal { shared: Arc<Shared>, invocation: InvocationId },
}

impl Delivery {
    pub(super) fn run(self) {
        match self {
            Self::Event { handlers, publication, details, payload } => {
                let Ok((args, kwargs)) = payload.into_values() else { return };
                let topic = details.get("topic").and_then(|topic| topic.as_str());
                for (handler, subscribed) in handlers {
                    let topic = topic.map_or(subscribed, str::to_owned);
                    let event = Event { topic, args: args.clone(), kwargs: kwargs.clone(), publication };
                    guarded("a handler of events", || handler(event));
                }
            }
            Self::Progress { progress, payload } => {
                let Ok((args, kwargs)) = payload.into_values() else { return };
                guarded("a handler of progress", || progress(Reply { args, kwargs }));
            }
            Self::Refusal { shared, invocation } => shared.refuse(invocation),
        }
    }
}

fn guarded(what: &str, run: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(run)) {
        tracing::error!("{what} panicked: {}", panic_text(panic.as_ref()));
    }
}

/// An invocation that is to be served.
pub(super) struct Call {
    procedure: String,
    details: Dict,
    payload: Payload,
    handler: Handler,
}

impl Call {
    pub(super) fn new(registered: &str, details: Dict, payload: Payload, handler: Handler) -> Self {
        let procedure =
            details.get("procedure").and_then(|procedure| procedure.as_str()).unwrap_or(registered);
        Self { procedure: procedure.to_owned(), details, payload, handler }
    }

    /// Serves it in a task of its own.
    pub(super) fn spawn(self, shared: Arc<Shared>, invocation: InvocationId) -> AbortHandle {
        let served = async move {
            let steps = Arc::clone(&shared);
            let serve = AssertUnwindSafe(self.serve(steps, invocation)).catch_unwind();
            let answer = serve.await.unwrap_or_else(|panic| {
                let text = panic_text(panic.as_ref());
                tracing::error!("a handler of calls panicked: {text}");
                Err(WampError::new(uris::RUNTIME_ERROR, format!("the procedure failed: {text}")))
            });
            let answer = match answer {
                Ok(reply) => Ok(Payload::from(reply)),
                Err(error) => Err((error.uri.clone(), Payload::from(error))),
            };
            shared.finish(invocation, answer);
        };
        tokio::spawn(served).abort_handle()
    }

    async fn serve(self, shared: Arc<Shared>, invocation: InvocationId) -> Result<Reply, WampError> {
        let (args, kwargs) = self
            .payload
            .into_values()
            .map_err(|error| WampError::new(uris::INVALID_ARGUMENT, error.to_string()))?;
        let wants_progress =
            self.details.get("receive_progress").and_then(|wanted| wanted.as_bool()) == Some(true);
        let progress: super::handler::ProgressSender =
            Box::new(move |payload| shared.progress(invocation, payload));
        let progress = wants_progress.then_some(progress);
        (self.handler)(Invocation {
            procedure: self.procedure,
            args,
            kwargs,
            details: self.details,
            progress,
        })
        .await
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("it panicked")
}
