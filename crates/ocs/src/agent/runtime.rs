//! The agent at work: requests come in, handlers run as tasks, waiters are woken, events go out.
//!
//! *Expected flow*: a request is decided by the pure table ([`super::ops`]) under one short lock; whatever has to
//! happen then (run a handler, tell it to stop, ask a data provider) happens after the lock is released.
//!
//! *Guarantees*: a handler that panics fails its run, never the agent. A reply is built from the state at one moment.
//! A wait is woken by the end of the run, not by polling.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use campanile_control::journal::Actor;
use campanile_wamp::error::uris;
use campanile_wamp::net::client::Client;
use campanile_wamp::{Dict, Payload, Value, WampError};
use serde_json::json;
use tokio::sync::{Semaphore, watch};
use tokio::task::AbortHandle;

use super::access::{AccessControl, Caller, Policy};
use super::api::{self, Whereabouts};
use super::builder::{AgentBuilder, OpHandler, ProcedureHandler};
use super::bus::{self, BusState};
use super::call::{self, OpsCall, WaitLimit};
use super::context::OpContext;
use super::events::{self, EventBook, Request};
use super::feed::{Feed, FeedSpec, HEARTBEAT, Publisher};
use super::handle::PublishError;
use super::log::AgentLog;
use super::ops::{OpTable, Start, Stop, StopKind, Wait};
use super::runs::crash;
use super::session::OpSession;
use super::{director, host_name, unix_now_s};
use crate::codes::{OpStatus, OpType, ReplyCode};

/// Clients that may wait for operations of one agent at the same time; further ones are refused. Below the number of
/// invocations that the bus client takes at a time, so that waiting clients never lock out the others.
const MAX_WAITERS: usize = 512;

/// An agent, as all its tasks share it.
pub(super) struct Shared {
    pub(super) publisher: Publisher,
    whereabouts: Whereabouts,
    pub(super) instance_id: String,
    state: Mutex<State>,
    pub(super) handlers: HashMap<String, OpHandler>,
    procedures: HashMap<String, ProcedureHandler>,
    client: Option<Client>,
    pub(super) log: AgentLog,
    pub(super) bus: watch::Sender<BusState>,
    /// How often an access director has sent rules.
    pub(super) access: watch::Sender<u64>,
    pub(super) conflict: watch::Sender<Option<String>>,
    /// Where requests are noted, and what publishes events.
    pub(super) events: Option<EventBook>,
    pub(super) closing: watch::Sender<bool>,
    waiters: Semaphore,
}

pub(super) struct State {
    pub(super) ops: OpTable,
    feeds: Vec<Feed>,
    pub(super) runs: HashMap<String, Run>,
    heartbeat: bool,
    last_beat: Option<Beat>,
}

/// A heartbeat.
struct Beat {
    /// The code of each operation.
    codes: Vec<i64>,
    topic: Arc<str>,
    /// What says so.
    event: Payload,
}

/// The live side of a session that has not ended.
pub(super) struct Run {
    pub(super) session_id: u64,
    pub(super) stop: watch::Sender<bool>,
    /// Set once, to the answer for all who wait.
    pub(super) ended: watch::Sender<Option<Arc<serde_json::Value>>>,
    pub(super) task: Option<AbortHandle>,
}

impl Shared {
    /// Makes the agent of a builder, and puts it on its bus.
    pub(super) fn start_agent(builder: AgentBuilder) -> Arc<Self> {
        let AgentBuilder { config, ops, handlers, startup, feeds, procedures, events } = builder;
        let started_s = unix_now_s();
        let publisher = Publisher {
            agent_address: config.address(),
            agent_class: config.agent_class,
            session_id: format!("{started_s:?}"),
        };
        let director = match &config.policy {
            Policy::Director { instance_id } => Some(instance_id.clone()),
            _ => None,
        };
        let access =
            AccessControl::new(config.policy, &publisher.agent_class, &config.instance_id, started_s);
        let mut table = OpTable::new(access);
        for op in ops {
            table.declare(op);
        }
        let heartbeat = FeedSpec::plain(HEARTBEAT);
        let feeds = feeds.into_iter().filter(|feed| feed.name != HEARTBEAT).chain([heartbeat]);
        let feeds = feeds.map(|feed| Feed::new(feed, &publisher)).collect();
        let extra: Vec<String> = procedures.iter().map(|(uri, _)| uri.clone()).collect();
        let log = AgentLog::open(&config.log, &publisher.agent_address);
        let client = config.wamp.map(Client::spawn);
        let shared = Arc::new(Self {
            whereabouts: Whereabouts { hostname: host_name(), pid: std::process::id() },
            instance_id: config.instance_id,
            state: Mutex::new(State {
                ops: table,
                feeds,
                runs: HashMap::new(),
                heartbeat: true,
                last_beat: None,
            }),
            handlers,
            procedures: procedures.into_iter().collect(),
            bus: watch::Sender::new(if client.is_some() { BusState::initial() } else { BusState::Off }),
            client,
            log,
            access: watch::Sender::new(0),
            conflict: watch::Sender::new(None),
            events,
            closing: watch::Sender::new(false),
            waiters: Semaphore::new(MAX_WAITERS),
            publisher,
        });
        shared.log(format!(
            "ocs: starting {} @ {}",
            shared.publisher.agent_class, shared.publisher.agent_address
        ));
        if let Some(director) = director {
            director::follow(&shared, &config.address_root, &director, config.workers.as_ref());
        }
        events::publish(&shared);
        bus::join(&shared, extra, startup, config.workers.as_ref());
        shared
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // A closure that panicked in `with_data` leaves a state that is still whole: each change is one assignment.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) const fn client(&self) -> Option<&Client> {
        self.client.as_ref()
    }

    pub(super) fn log(&self, text: String) {
        self.log.line(unix_now_s(), text);
    }

    pub(super) fn log_op(&self, op_name: &str, session_id: u64, text: &str) {
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

    pub(super) fn advance(&self, op_name: &str, session_id: u64, status: OpStatus) {
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
        let Some(client) = &self.client else { return };
        let Some((topic, event)) = self.next_beat() else { return };
        // A heartbeat that does not get out is not worth a word: the state of the bus says it all.
        let _ = client.publish_payload(&topic, event);
    }

    /// The topic and the event of a heartbeat, if they are not switched off. It is the same one second after second, as
    /// long as no operation changes.
    fn next_beat(&self) -> Option<(Arc<str>, Payload)> {
        let mut state = self.lock();
        let State { ops, feeds, heartbeat: true, last_beat, .. } = &mut *state else { return None };
        let codes = || ops.op_codes().map(|(_, code)| code.number());
        let beat = match last_beat.take() {
            Some(beat) if codes().eq(beat.codes.iter().copied()) => beat,
            _ => {
                let feed = feeds.iter_mut().find(|feed| feed.name() == HEARTBEAT)?;
                let message = ops.op_codes().map(|(name, code)| (name, code.number())).collect();
                // It is no record feed, on which alone a message might not fit.
                let event = feed.event(Value::Dict(message)).ok()?;
                Beat { codes: codes().collect(), topic: feed.topic().into(), event }
            }
        };
        let beat = last_beat.insert(beat);
        Some((Arc::clone(&beat.topic), beat.event.clone()))
    }

    pub(super) fn set_heartbeat(&self, on: bool) {
        self.lock().heartbeat = on;
    }

    pub(super) fn publish(
        &self,
        feed: &str,
        messages: impl IntoIterator<Item = Value>,
    ) -> Result<(), PublishError> {
        let (topic, (events, fits)) = {
            let mut state = self.lock();
            let Some(feed) = state.feeds.iter_mut().find(|candidate| candidate.name() == feed) else {
                return Err(PublishError::NoSuchFeed(feed.to_owned()));
            };
            (feed.topic().to_owned(), feed.events(messages))
        };
        let send = |event| {
            let client = self.client.as_ref().ok_or(PublishError::NotConnected)?;
            client.publish_payload(&topic, event).map_err(|_| PublishError::NotConnected)
        };
        let sent = events.into_iter().try_for_each(send);
        // That a message does not fit is told also while there is no router.
        fits?;
        sent
    }

    pub(super) async fn dispatch(
        self: &Arc<Self>,
        procedure: &str,
        args: Vec<Value>,
        kwargs: Dict,
        actor: Option<Actor>,
    ) -> Result<Value, WampError> {
        let address = &self.publisher.agent_address;
        match procedure.strip_prefix(address.as_str()) {
            Some(".ops") => return self.dispatch_ops(args, kwargs, actor).await,
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

    pub(super) fn dispatch_mgmt(&self, args: Vec<Value>, kwargs: Dict) -> Result<Value, WampError> {
        let question = call::question(args, kwargs)?;
        let answer = {
            let state = self.lock();
            api::answer(&question, &self.publisher, &self.whereabouts, &state.ops, &state.feeds)
        };
        Ok(answer.into_value())
    }

    pub(super) async fn dispatch_ops(
        self: &Arc<Self>,
        args: Vec<Value>,
        kwargs: Dict,
        actor: Option<Actor>,
    ) -> Result<Value, WampError> {
        let call = OpsCall::from_arguments(args, kwargs)?;
        let caller = Caller::Client { password: call.password.as_ref() };
        let name = call.op_name.as_str();
        let reply = match call.action.as_str() {
            "start" => self.start(name, &call.params, caller, actor.clone()),
            "stop" => self.stop(StopKind::Stop, name, caller),
            "abort" => self.stop(StopKind::Abort, name, caller),
            "status" => self.status(name),
            "wait" => self.wait(name, call.timeout).await,
            other => OpTable::no_such_action(other).into_json(),
        };
        if let (Some(events), "start" | "stop" | "abort") = (&self.events, call.action.as_str()) {
            let request =
                Request { action: &call.action, op_name: name, params: &call.params, reply: &reply };
            events.note(&request, actor);
        }
        Ok(reply.into())
    }

    pub(super) fn start(
        self: &Arc<Self>,
        name: &str,
        params: &serde_json::Value,
        caller: Caller<'_>,
        actor: Option<Actor>,
    ) -> serde_json::Value {
        let mut state = self.lock();
        // Asked under the lock: a run is either refused here, or seen by the end of the agent, which locks after it
        // has set this.
        if *self.closing.borrow() {
            return json!([ReplyCode::Error.number(), "The agent is shutting down.", {}]);
        }
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
            actor,
            stop: stop_seen,
        };
        self.run(context, params);
        reply.into_json()
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

    pub(super) fn end(&self, name: &str) -> serde_json::Value {
        let op_type = self.lock().ops.op_type(name);
        let kind = if op_type == Some(OpType::Task) { StopKind::Abort } else { StopKind::Stop };
        self.stop(kind, name, Caller::Internal)
    }

    pub(super) fn status(&self, name: &str) -> serde_json::Value {
        let reply = self.lock().ops.status(name);
        reply.into_json()
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
}
