//! What a client's handles and its task share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{Notify, oneshot, watch};
use tokio::task::AbortHandle;
use tokio_tungstenite::tungstenite::Message as Frame;

use super::deliver::{Call, Delivery};
use super::outgoing::Outgoing;
use super::{ClientError, ClientOptions, EventHandler, Handler, OnProgress, RegistrationState, State};
use crate::error::uris;
use crate::session::{
    BindingId, BindingState, CallId, InvocationId, Kind, NotSent, Outcome, Output, Session,
};
use crate::{Match, Payload, Subprotocol};

/// The state of a client. The lock is held for the time of one step of the session, never across an await, and never
/// while the program's own code runs.
pub(super) struct Shared {
    pub(super) options: ClientOptions,
    pub(super) state: watch::Sender<State>,
    /// Becomes true once, for good.
    pub(super) closing: watch::Sender<bool>,
    /// There is something to write.
    pub(super) to_write: Notify,
    /// The session has got an earlier deadline than the one that is waited for, or its connection is to end.
    pub(super) due_earlier: Notify,
    started: Instant,
    inner: Mutex<Inner>,
}

struct Inner {
    session: Session,
    /// While there is a connection.
    outgoing: Option<Outgoing>,
    calls: HashMap<CallId, Waiting>,
    bound: HashMap<BindingId, Bound>,
    running: HashMap<InvocationId, AbortHandle>,
    /// The deadline that the connection waits for.
    awaited_ms: Option<u64>,
    /// Why the connection is to end.
    end: Option<String>,
}

/// Who waits for a call.
struct Waiting {
    done: oneshot::Sender<Outcome>,
    progress: Option<OnProgress>,
}

/// What belongs to a registration or subscription.
struct Bound {
    /// The procedure or topic, or a pattern of them.
    uri: String,
    serve: Serve,
    state: watch::Sender<RegistrationState>,
}

/// What a registration or subscription is for.
pub(super) enum Serve {
    Calls(Handler),
    Events(EventHandler),
}

impl Shared {
    pub(super) fn new(options: ClientOptions) -> Self {
        let session = Session::new(options.session());
        Self {
            options,
            state: watch::Sender::new(State::Connecting { attempt: 0, last_error: None }),
            closing: watch::Sender::new(false),
            to_write: Notify::new(),
            due_earlier: Notify::new(),
            started: Instant::now(),
            inner: Mutex::new(Inner {
                session,
                outgoing: None,
                calls: HashMap::new(),
                bound: HashMap::new(),
                running: HashMap::new(),
                awaited_ms: None,
                end: None,
            }),
        }
    }

    /// Milliseconds since the client began.
    pub(super) fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The time at which [`Self::now_ms`] will be `at_ms`.
    pub(super) fn instant(&self, at_ms: u64) -> Instant {
        self.started + Duration::from_millis(at_ms)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One step of the session; everything that follows from it is done when this returns.
    pub(super) fn step<T>(self: &Arc<Self>, step: impl FnOnce(&mut Session, u64) -> T) -> T {
        self.locked_step(|inner, now_ms| step(&mut inner.session, now_ms))
    }

    fn locked_step<T>(self: &Arc<Self>, step: impl FnOnce(&mut Inner, u64) -> T) -> T {
        let mut inner = self.lock();
        let result = step(&mut inner, self.now_ms());
        let deliveries = self.settle(&mut inner);
        drop(inner);
        for delivery in deliveries {
            delivery.run();
        }
        result
    }

    /// Carries out what the session wants; returns what has to wait until the lock is free.
    fn settle(self: &Arc<Self>, inner: &mut Inner) -> Vec<Delivery> {
        let mut deliveries = Vec::new();
        let mut wrote = false;
        for output in inner.session.take_outputs() {
            match output {
                Output::Send(message) => {
                    if let Some(outgoing) = &mut inner.outgoing {
                        outgoing.push(&message);
                        wrote = true;
                    }
                }
                Output::Joined { session_id } => {
                    tracing::info!("joined {} on {}", self.options.realm, self.options.url);
                    self.state.send_replace(State::Joined { session_id });
                }
                Output::Over(over) => inner.end = Some(over.to_string()),
                Output::Progress { call, payload } => {
                    let progress = inner.calls.get(&call).and_then(|waiting| waiting.progress.clone());
                    deliveries.extend(progress.map(|progress| Delivery::Progress { progress, payload }));
                }
                Output::Done { call, outcome } => {
                    if let Some(waiting) = inner.calls.remove(&call) {
                        // Who does not wait any more needs no answer.
                        _ = waiting.done.send(outcome);
                    }
                }
                Output::Binding { binding, state } => {
                    if let Some(bound) = inner.bound.get(&binding) {
                        bound.state.send_replace(state);
                    }
                }
                Output::Invoke { binding, invocation, details, payload } => {
                    if let Some(Bound { uri, serve: Serve::Calls(handler), .. }) = inner.bound.get(&binding) {
                        let call = Call::new(uri, details, payload, Arc::clone(handler));
                        if inner.running.len() < self.options.max_running_invocations {
                            inner.running.insert(invocation, call.spawn(Arc::clone(self), invocation));
                        } else {
                            deliveries.push(Delivery::Refusal { shared: Arc::clone(self), invocation });
                        }
                    }
                }
                Output::Interrupted { invocation } => {
                    if let Some(task) = inner.running.remove(&invocation) {
                        task.abort();
                    }
                }
                Output::Event { bindings, publication, details, payload } => {
                    let bound = bindings.iter().filter_map(|binding| inner.bound.get(binding));
                    let handlers = bound.filter_map(|bound| match &bound.serve {
                        Serve::Events(handler) => Some((Arc::clone(handler), bound.uri.clone())),
                        Serve::Calls(_) => None,
                    });
                    let handlers = handlers.collect();
                    deliveries.push(Delivery::Event { handlers, publication, details, payload });
                }
            }
        }
        self.notify(inner, wrote);
        deliveries
    }

    /// Wakes the connection where there is something new for it.
    fn notify(&self, inner: &mut Inner, wrote: bool) {
        if wrote {
            self.to_write.notify_one();
            let queued = inner.outgoing.as_ref().map_or(0, Outgoing::bytes);
            // What the program sends stops at the limit, after one message; answers go on, up to as much again.
            let limit = self.options.max_queued_bytes.saturating_mul(2);
            if queued > limit.saturating_add(self.options.limits.max_message_bytes) {
                inner.end = Some("the router does not take what is sent to it".to_owned());
            }
        }
        let wake_ms = inner.session.next_wake_ms();
        let earlier =
            wake_ms.is_some_and(|wake_ms| inner.awaited_ms.is_none_or(|awaited_ms| wake_ms < awaited_ms));
        if earlier || inner.end.is_some() {
            self.due_earlier.notify_one();
        }
    }

    // What the connection needs.

    /// A transport is up.
    pub(super) fn connected(self: &Arc<Self>, subprotocol: Subprotocol) {
        self.locked_step(|inner, now_ms| {
            inner.end = None;
            inner.outgoing = Some(Outgoing::new(subprotocol));
            inner.session.connected(now_ms);
            if *self.closing.borrow() {
                inner.session.leave(now_ms);
            }
        });
    }

    /// The transport is lost, or about to end: handlers that run are dropped, calls under way end.
    pub(super) fn disconnected(self: &Arc<Self>) {
        self.locked_step(|inner, _| {
            for (_, task) in inner.running.drain() {
                task.abort();
            }
            inner.session.disconnected();
        });
    }

    /// Why the connection is to end, if it is.
    pub(super) fn end(&self) -> Option<String> {
        self.lock().end.clone()
    }

    /// The deadline of the session; an earlier one will be notified.
    pub(super) fn await_deadline_ms(&self) -> Option<u64> {
        let mut inner = self.lock();
        inner.awaited_ms = inner.session.next_wake_ms();
        inner.awaited_ms
    }

    pub(super) fn take_outgoing(&self) -> (Vec<Frame>, usize) {
        self.lock().outgoing.as_mut().map(Outgoing::take).unwrap_or_default()
    }

    pub(super) fn written(&self, bytes: usize) {
        if let Some(outgoing) = &mut self.lock().outgoing {
            outgoing.written(bytes);
        }
    }

    pub(super) fn send_ping(&self, payload: Bytes) {
        if let Some(outgoing) = &mut self.lock().outgoing {
            outgoing.push_ping(payload);
            self.to_write.notify_one();
        }
    }

    pub(super) fn forget_outgoing(&self) {
        self.lock().outgoing = None;
    }

    /// The client is closed: forgets what the program has given it, so that nothing keeps itself alive in a circle.
    pub(super) fn closed(&self) {
        let mut inner = self.lock();
        self.state.send_replace(State::Closed);
        let given = (std::mem::take(&mut inner.calls), std::mem::take(&mut inner.bound));
        drop(inner);
        drop(given);
    }

    fn is_closed(&self) -> bool {
        *self.state.borrow() == State::Closed
    }

    // What the handles need.

    pub(super) fn publish(self: &Arc<Self>, topic: &str, payload: Payload) -> Result<(), ClientError> {
        self.locked_step(|inner, _| {
            self.may_queue(inner)?;
            inner.session.publish(topic, payload).map_err(|error| self.not_sent(error))
        })
    }

    /// Starts what has an answer; `start` tells the session.
    pub(super) fn start(
        self: &Arc<Self>,
        progress: Option<OnProgress>,
        start: impl FnOnce(&mut Session, u64) -> Result<CallId, NotSent>,
    ) -> Result<(CallId, oneshot::Receiver<Outcome>), ClientError> {
        self.locked_step(|inner, now_ms| {
            self.may_queue(inner)?;
            let call = start(&mut inner.session, now_ms).map_err(|error| self.not_sent(error))?;
            let (done, answer) = oneshot::channel();
            inner.calls.insert(call, Waiting { done, progress });
            Ok((call, answer))
        })
    }

    /// Nobody waits for this call any more.
    pub(super) fn give_up(self: &Arc<Self>, call: CallId) {
        self.locked_step(|inner, _| {
            inner.calls.remove(&call);
            inner.session.cancel(call);
        });
    }

    pub(super) fn bind(
        self: &Arc<Self>,
        uri: &str,
        matching: Match,
        serve: Serve,
    ) -> (BindingId, watch::Receiver<RegistrationState>) {
        self.locked_step(|inner, _| {
            let kind = match serve {
                Serve::Calls(_) => Kind::Registration,
                Serve::Events(_) => Kind::Subscription,
            };
            let (state, watched) = watch::channel(BindingState::Pending);
            let binding = inner.session.bind(kind, uri, matching);
            if !self.is_closed() {
                inner.bound.insert(binding, Bound { uri: uri.to_owned(), serve, state });
            }
            (binding, watched)
        })
    }

    pub(super) fn unbind(self: &Arc<Self>, binding: BindingId) {
        let bound = self.locked_step(|inner, _| {
            inner.session.unbind(binding);
            inner.bound.remove(&binding)
        });
        drop(bound);
    }

    /// Sends a step of the answer to an invocation.
    pub(super) fn progress(self: &Arc<Self>, invocation: InvocationId, payload: Payload) -> bool {
        self.locked_step(|inner, _| {
            self.may_queue(inner).is_ok() && inner.session.answer(invocation, payload, true)
        })
    }

    /// Answers an invocation.
    pub(super) fn finish(
        self: &Arc<Self>,
        invocation: InvocationId,
        answer: Result<Payload, (String, Payload)>,
    ) {
        self.locked_step(|inner, _| {
            inner.running.remove(&invocation);
            match answer {
                Ok(payload) => inner.session.answer(invocation, payload, false),
                Err((uri, payload)) => inner.session.answer_error(invocation, &uri, payload),
            }
        });
    }

    /// Answers that there is no room for an invocation.
    pub(super) fn refuse(self: &Arc<Self>, invocation: InvocationId) {
        let limit = self.options.max_running_invocations;
        let text = Payload::text(format!("{limit} calls are being served already"));
        self.step(|session, _| session.answer_error(invocation, uris::RUNTIME_ERROR, text));
    }

    fn may_queue(&self, inner: &Inner) -> Result<(), ClientError> {
        match &inner.outgoing {
            Some(outgoing) if outgoing.bytes() >= self.options.max_queued_bytes => {
                Err(ClientError::QueueFull)
            }
            _ => Ok(()),
        }
    }

    fn not_sent(&self, error: NotSent) -> ClientError {
        match error {
            NotSent::TooManyCalls => ClientError::QueueFull,
            NotSent::NotJoined if self.is_closed() => ClientError::Closed,
            NotSent::NotJoined => ClientError::NotConnected,
        }
    }
}
