//! The agent at work: requests come in, handlers run as tasks, waiters are woken, events go out.
//!
//! *Expected flow*: a request is decided by the pure table ([`super::ops`]) under one short lock; whatever has to
//! happen then (run a handler, tell it to stop, ask a data provider) happens after the lock is released.
//!
//! *Guarantees*: a handler that panics fails its run, never the agent. A reply is built from the state at one moment.
//! A wait is woken by the end of the run, not by polling.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use campanile_wamp::error::uris;
use campanile_wamp::net::client::Client;
use campanile_wamp::{Dict, Value, WampError};
use serde_json::json;
use tokio::sync::{Semaphore, watch};
use tokio::task::{AbortHandle, JoinError};

use super::access::Caller;
use super::api::{self, Whereabouts};
use super::builder::{AgentBuilder, OpHandler, ProcedureHandler};
use super::bus::{self, BusState};
use super::call::{self, OpsCall, WaitLimit};
use super::context::OpContext;
use super::feed::{Feed, FeedError, FeedSpec, HEARTBEAT, Publisher};
use super::log::AgentLog;
use super::ops::{OpTable, Start, Stop, StopKind, Wait};
use super::session::{DataProvider, OpSession};
use super::{host_name, unix_now_s};
use crate::codes::{OpStatus, OpType, ReplyCode};

/// Clients that may wait for operations of one agent at the same time; further ones are refused. Below the number of
/// invocations that the bus client takes at a time, so that waiting clients never lock out the others.
const MAX_WAITERS: usize = 512;
/// How long the end of an agent waits for the router to take its leave.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);

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

pub(super) struct Shared {
    pub(super) publisher: Publisher,
    whereabouts: Whereabouts,
    started_s: f64,
    state: Mutex<State>,
    handlers: HashMap<String, OpHandler>,
    procedures: HashMap<String, ProcedureHandler>,
    client: Option<Client>,
    pub(super) log: AgentLog,
    pub(super) bus: watch::Sender<BusState>,
    pub(super) conflict: watch::Sender<Option<String>>,
    pub(super) closing: watch::Sender<bool>,
    waiters: Semaphore,
}

struct State {
    ops: OpTable,
    feeds: Vec<Feed>,
    runs: HashMap<String, Run>,
    heartbeat: bool,
}

/// The live side of a session that has not ended.
struct Run {
    session_id: u64,
    stop: watch::Sender<bool>,
    /// Set once, to the answer for all who wait.
    ended: watch::Sender<Option<Arc<serde_json::Value>>>,
    task: Option<AbortHandle>,
}

impl Agent {
    pub(super) fn spawn(builder: AgentBuilder) -> Self {
        let AgentBuilder { config, ops, handlers, startup, feeds, procedures } = builder;
        let started_s = unix_now_s();
        let publisher = Publisher {
            agent_address: config.address(),
            agent_class: config.agent_class,
            session_id: format!("{started_s:?}"),
        };
        let mut table = OpTable::new(config.policy);
        for op in ops {
            table.declare(op);
        }
        let heartbeat = FeedSpec::plain(HEARTBEAT);
        let feeds = feeds.into_iter().filter(|feed| feed.name != HEARTBEAT).chain([heartbeat]);
        let feeds = feeds.map(|feed| Feed::new(feed, &publisher)).collect();
        let extra: Vec<String> = procedures.iter().map(|(uri, _)| uri.clone()).collect();
        let log = AgentLog::open(&config.log, &publisher.agent_address);
        let client = config.wamp.map(Client::spawn);
        let shared = Arc::new(Shared {
            whereabouts: Whereabouts { hostname: host_name(), pid: std::process::id() },
            started_s,
            state: Mutex::new(State { ops: table, feeds, runs: HashMap::new(), heartbeat: true }),
            handlers,
            procedures: procedures.into_iter().collect(),
            bus: watch::Sender::new(if client.is_some() { BusState::initial() } else { BusState::Off }),
            client,
            log,
            conflict: watch::Sender::new(None),
            closing: watch::Sender::new(false),
            waiters: Semaphore::new(MAX_WAITERS),
            publisher,
        });
        shared.log(format!(
            "ocs: starting {} @ {}",
            shared.publisher.agent_class, shared.publisher.agent_address
        ));
        bus::join(&shared, extra, startup, config.workers.as_ref());
        Self { shared }
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
        self.shared.client.as_ref()
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
        self.shared.start(op_name, params, Caller::Internal)
    }

    /// Stops a process or aborts a task, as the agent itself.
    pub fn stop(&self, op_name: &str) -> serde_json::Value {
        self.shared.end(op_name)
    }

    /// The state of an operation: `[code, message, session]`.
    #[must_use]
    pub fn status(&self, op_name: &str) -> serde_json::Value {
        let reply = self.shared.lock().ops.status(op_name);
        reply.into_json()
    }

    /// Publishes on a feed. On a record feed the message is checked (see [`Feed::event`]).
    ///
    /// # Errors
    /// [`PublishError`]; without a router the message is gone, as with OCS.
    pub fn publish(&self, feed: &str, message: impl Into<Value>) -> Result<(), PublishError> {
        self.shared.publish(feed, message.into())
    }

    /// Switches the heartbeat off and on again; clients take an agent without one for dead after 5 seconds.
    pub fn set_heartbeat(&self, on: bool) {
        self.shared.lock().heartbeat = on;
    }

    /// A call of `{address}.ops`, wherever it came from.
    ///
    /// # Errors
    /// `wamp.error.runtime_error` when the arguments do not fit.
    pub async fn dispatch_ops(&self, args: Vec<Value>, kwargs: Dict) -> Result<Value, WampError> {
        self.shared.dispatch_ops(args, kwargs).await
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
        self.shared.dispatch(procedure, args, kwargs).await
    }

    /// Ends the agent in order: no more starts, everything that runs is asked to stop and given `grace`, what is left
    /// is cut off, and the bus is left.
    pub async fn shutdown(&self, grace: Duration) {
        self.shared.shutdown(grace).await;
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A closure that panicked in `with_data` leaves a state that is still whole: each change is one assignment.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) const fn client(&self) -> Option<&Client> {
        self.client.as_ref()
    }

    pub(super) fn log(&self, text: String) {
        self.log.line(unix_now_s(), text);
    }

    fn log_op(&self, op_name: &str, session_id: u64, text: &str) {
        self.log(format!("{op_name}:{session_id} {text}"));
    }

    pub(super) fn message(&self, op_name: &str, session_id: u64, text: String) {
        self.log_op(op_name, session_id, &text);
        self.with_session(op_name, session_id, |session| session.add_message(text, unix_now_s()));
    }

    pub(super) fn with_session(&self, op_name: &str, session_id: u64, change: impl FnOnce(&mut OpSession)) {
        if let Some(session) = self.lock().ops.session_mut(op_name, session_id) {
            change(session);
        }
    }

    fn advance(&self, op_name: &str, session_id: u64, status: OpStatus) {
        let mut announced = None;
        self.with_session(op_name, session_id, |session| {
            announced = session.advance(status, unix_now_s()).map(str::to_owned);
        });
        if let Some(text) = announced {
            self.log_op(op_name, session_id, &text);
        }
    }

    pub(super) fn purge(&self) {
        self.lock().ops.purge(unix_now_s());
    }

    pub(super) fn heartbeat(&self) {
        let codes: Dict = {
            let state = self.lock();
            if !state.heartbeat {
                return;
            }
            state.ops.op_codes().map(|(name, code)| (name, code.number())).collect()
        };
        // A heartbeat that does not get out is not worth a word: the state of the bus says it all.
        let _ = self.publish(HEARTBEAT, Value::Dict(codes));
    }

    fn publish(&self, feed: &str, message: Value) -> Result<(), PublishError> {
        let (topic, event) = {
            let mut state = self.lock();
            let Some(feed) = state.feeds.iter_mut().find(|candidate| candidate.name() == feed) else {
                return Err(PublishError::NoSuchFeed(feed.to_owned()));
            };
            let event = feed.event(message)?;
            (feed.topic().to_owned(), event)
        };
        let client = self.client.as_ref().ok_or(PublishError::NotConnected)?;
        client.publish(&topic, vec![event], Dict::new()).map_err(|_| PublishError::NotConnected)
    }

    pub(super) async fn dispatch(
        self: &Arc<Self>,
        procedure: &str,
        args: Vec<Value>,
        kwargs: Dict,
    ) -> Result<Value, WampError> {
        let address = &self.publisher.agent_address;
        match procedure.strip_prefix(address.as_str()) {
            Some(".ops") => return self.dispatch_ops(args, kwargs).await,
            Some("") => return self.dispatch_mgmt(args, kwargs),
            _ => {}
        }
        let Some(handler) = self.procedures.get(procedure).cloned() else {
            let message = format!("no callee registered for procedure <{procedure}>");
            return Err(WampError::new(uris::NO_SUCH_PROCEDURE, message));
        };
        // A task of its own, so that a panic is an error of this call alone.
        tokio::spawn(async move { handler(args, kwargs).await })
            .await
            .unwrap_or_else(|error| Err(WampError::new(uris::RUNTIME_ERROR, crash(error))))
    }

    fn dispatch_mgmt(&self, args: Vec<Value>, kwargs: Dict) -> Result<Value, WampError> {
        let question = call::question(args, kwargs)?;
        let answer = {
            let state = self.lock();
            api::answer(
                &question,
                &self.publisher,
                &self.whereabouts,
                &state.ops,
                &state.feeds,
                self.started_s,
            )
        };
        Ok(answer.into_value())
    }

    async fn dispatch_ops(self: &Arc<Self>, args: Vec<Value>, kwargs: Dict) -> Result<Value, WampError> {
        let call = OpsCall::from_arguments(args, kwargs)?;
        let caller = Caller::Client { password: call.password.as_deref() };
        let name = call.op_name.as_str();
        let reply = match call.action.as_str() {
            "start" => self.start(name, &call.params, caller),
            "stop" => self.stop(StopKind::Stop, name, caller),
            "abort" => self.stop(StopKind::Abort, name, caller),
            "status" => {
                let reply = self.lock().ops.status(name);
                reply.into_json()
            }
            "wait" => self.wait(name, call.timeout).await,
            other => OpTable::no_such_action(other).into_json(),
        };
        Ok(reply.into())
    }

    pub(super) fn start(
        self: &Arc<Self>,
        name: &str,
        params: &serde_json::Value,
        caller: Caller<'_>,
    ) -> serde_json::Value {
        if *self.closing.borrow() {
            return json!([ReplyCode::Error.number(), "The agent is shutting down.", {}]);
        }
        let mut state = self.lock();
        let (reply, session_id, cred_level, params) =
            match state.ops.start(name, params, caller, unix_now_s()) {
                Start::Refused(reply) => {
                    drop(state);
                    return reply.into_json();
                }
                Start::Started { reply, session_id, cred_level, params } => {
                    (reply, session_id, cred_level, params)
                }
            };
        let (stop, stop_seen) = watch::channel(false);
        state
            .runs
            .insert(name.to_owned(), Run { session_id, stop, ended: watch::Sender::new(None), task: None });
        drop(state);

        self.log_op(name, session_id, "Status is now \"starting\".");
        let context = OpContext {
            shared: Arc::clone(self),
            op_name: name.into(),
            session_id,
            cred_level,
            stop: stop_seen,
        };
        self.run(context, params);
        reply.into_json()
    }

    /// Runs the code of an operation in a task, and another one that sees to its end whatever happens in the first.
    fn run(self: &Arc<Self>, context: OpContext, params: serde_json::Value) {
        let (shared, name, session_id) = (Arc::clone(self), Arc::clone(&context.op_name), context.session_id);
        let Some(handler) = self.handlers.get(&*name).cloned() else {
            self.finish(&name, session_id, Err("CRASH: the operation has no handler".to_owned()));
            return;
        };
        let inner = {
            let (shared, name) = (Arc::clone(self), Arc::clone(&name));
            tokio::spawn(async move {
                shared.advance(&name, session_id, OpStatus::Running);
                handler(context, params).await
            })
        };
        if let Some(run) = self.lock().runs.get_mut(&*name).filter(|run| run.session_id == session_id) {
            run.task = Some(inner.abort_handle());
        }
        tokio::spawn(async move {
            let outcome = inner.await.unwrap_or_else(|error| Err(crash(error)));
            shared.finish(&name, session_id, outcome);
        });
    }

    fn finish(&self, name: &str, session_id: u64, outcome: Result<String, String>) {
        let (success, text) = match outcome {
            Ok(text) => (true, text),
            Err(text) => (false, text),
        };
        let mut provider: Option<DataProvider> = None;
        self.with_session(name, session_id, |session| provider = session.provider().cloned());
        let last_data = provider.and_then(|provider| catch_unwind(AssertUnwindSafe(|| provider())).ok());
        let now_s = unix_now_s();
        let (run, answer) = {
            let mut state = self.lock();
            if let Some(session) = state.ops.session_mut(name, session_id) {
                if let Some(data) = last_data {
                    session.set_data(data);
                }
                session.add_message(text.as_str(), now_s);
                session.finish(success, now_s);
            }
            let run = state.runs.remove(name);
            let waited_for = run.as_ref().is_some_and(|run| run.ended.receiver_count() > 0);
            (run, waited_for.then(|| state.ops.wait(name)))
        };
        self.log_op(name, session_id, &text);
        self.log_op(name, session_id, "Status is now \"done\".");
        if let (Some(run), Some(Wait::Answer(reply))) = (run, answer) {
            run.ended.send_replace(Some(Arc::new(reply.into_json())));
        }
    }

    fn stop(&self, kind: StopKind, name: &str, caller: Caller<'_>) -> serde_json::Value {
        let mut state = self.lock();
        match state.ops.stop(kind, name, caller, unix_now_s()) {
            Stop::Refused(reply) => {
                drop(state);
                reply.into_json()
            }
            Stop::Requested { reply, session_id } => {
                if let Some(run) = state.runs.get(name) {
                    run.stop.send_replace(true);
                }
                drop(state);
                self.log_op(name, session_id, "Status is now \"stopping\".");
                reply.into_json()
            }
        }
    }

    fn end(&self, name: &str) -> serde_json::Value {
        let op_type = self.lock().ops.op_type(name);
        let kind = if op_type == Some(OpType::Task) { StopKind::Abort } else { StopKind::Stop };
        self.stop(kind, name, Caller::Internal)
    }

    async fn wait(&self, name: &str, limit: WaitLimit) -> serde_json::Value {
        let Ok(_place) = self.waiters.try_acquire() else {
            return json!([
                ReplyCode::Error.number(),
                "Too many clients wait for operations of this agent.",
                {}
            ]);
        };
        let (answer, ended) = {
            let state = self.lock();
            match state.ops.wait(name) {
                Wait::Answer(reply) => (Some(reply), None),
                Wait::Until(_) => (None, state.runs.get(name).map(|run| run.ended.subscribe())),
            }
        };
        if let Some(reply) = answer {
            return reply.into_json();
        }
        let limit = match limit {
            WaitLimit::AtOnce => Some(Duration::ZERO),
            WaitLimit::Seconds(seconds) => Duration::try_from_secs_f64(seconds).ok(),
            WaitLimit::Forever => None,
        };
        let answer = async {
            let mut ended = ended?;
            let answer = ended.wait_for(Option::is_some).await.ok()?;
            answer.as_deref().cloned()
        };
        let answer = match limit {
            None => answer.await,
            Some(limit) => tokio::time::timeout(limit, answer).await.ok().flatten(),
        };
        answer.unwrap_or_else(|| {
            let reply = self.lock().ops.wait_timed_out(name);
            reply.into_json()
        })
    }

    async fn shutdown(&self, grace: Duration) {
        if self.closing.send_replace(true) {
            return;
        }
        self.log("Stopping all running sessions".to_owned());
        let mut ends: Vec<_> = self.lock().runs.values().map(|run| run.ended.subscribe()).collect();
        let active: Vec<String> = self.lock().ops.active().into_iter().map(|(name, _, _)| name).collect();
        for name in active {
            self.end(&name);
        }
        let all_ended = async {
            for ended in &mut ends {
                // An error means that the run is gone, which is what is waited for.
                let _ = ended.wait_for(Option::is_some).await;
            }
        };
        if tokio::time::timeout(grace, all_ended).await.is_err() {
            for run in self.lock().runs.values() {
                // Those that cannot be aborted still learn that it is over, before they are cut off.
                run.stop.send_replace(true);
                if let Some(task) = &run.task {
                    task.abort();
                }
            }
        }
        if let Some(client) = &self.client {
            // A router that does not answer the farewell must not hold up our end.
            let _ = tokio::time::timeout(CLOSE_TIMEOUT, client.close()).await;
        }
        self.log.flush().await;
    }
}

fn crash(error: JoinError) -> String {
    if error.is_cancelled() {
        return "CRASH: cut off because the agent ended".to_owned();
    }
    let payload = error.into_panic();
    let text = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "panic".to_owned());
    format!("CRASH: {text}")
}
