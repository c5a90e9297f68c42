//! [`Session`]: the client's side of WAMP, without I/O.
//!
//! Expected flow: a transport comes up ([`Session::connected`]), messages arrive ([`Session::receive`]), the program
//! calls, publishes, binds; after each of these, and at [`Session::next_wake_ms`] ([`Session::tick`]), the driver takes
//! the [`Output`]s ([`Session::take_outputs`]) and carries them out in their order. When the transport is lost
//! ([`Session::disconnected`]) or the session is [over](Output::Over), the same `Session` waits for the next transport:
//! what the program wants registered and subscribed is asked for again in the order in which it was wanted.
//!
//! Guarantees: each call ends in exactly one [`Output::Done`], unless the program cancels it; an invocation is answered
//! once; request ids count from 1 in each session (WAMP spec, "IDs").
//!
//! Time is in milliseconds from any fixed point and never goes back.

mod bindings;
mod output;
mod requests;

use std::collections::HashSet;

use crate::error::uris;
use crate::message::codes;
use crate::{Dict, Match, Message, Payload};
use bindings::Bindings;
pub use bindings::{BindingId, BindingState, Kind};
pub use output::{CallSettings, InvocationId, NotSent, Outcome, Output, Over, SessionOptions};
pub use requests::CallId;
use requests::{Pending, Requests};

/// How long a session that leaves waits for the router's GOODBYE.
const LEAVE_TIMEOUT_MS: u64 = 2_000;

/// The client's side of one session after another.
#[derive(Debug)]
pub struct Session {
    options: SessionOptions,
    phase: Phase,
    requests: Requests,
    bindings: Bindings,
    /// How many transports there have been.
    sessions: u64,
    /// Requests of the router that have not been answered.
    invocations: HashSet<u64>,
    outputs: Vec<Output>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Away,
    Joining { until_ms: u64 },
    Joined,
    Leaving { until_ms: u64 },
}

impl Session {
    /// A session that waits for a transport.
    pub fn new(options: SessionOptions) -> Self {
        Self {
            bindings: Bindings::new(options.refused_backoff),
            options,
            phase: Phase::Away,
            requests: Requests::default(),
            sessions: 0,
            invocations: HashSet::new(),
            outputs: Vec::new(),
        }
    }

    /// Whether the session is open.
    pub fn is_joined(&self) -> bool {
        self.phase == Phase::Joined
    }

    /// What is to be done since the last time, in this order.
    pub fn take_outputs(&mut self) -> Vec<Output> {
        std::mem::take(&mut self.outputs)
    }

    /// A transport is up: says HELLO.
    pub fn connected(&mut self, now_ms: u64) {
        self.disconnected();
        self.requests.begin_session();
        self.sessions += 1;
        self.phase = Phase::Joining { until_ms: now_ms.saturating_add(self.options.join_timeout_ms) };
        self.send(Message::Hello {
            realm: self.options.realm.clone(),
            details: hello_details(self.options.agent.as_deref()),
        });
    }

    /// The transport is lost: calls under way end, what is wanted waits for the next session.
    pub fn disconnected(&mut self) {
        self.phase = Phase::Away;
        self.invocations.clear();
        self.outputs.extend(
            self.requests.end_session().into_iter().map(|call| Output::Done { call, outcome: Outcome::Lost }),
        );
        self.bindings.end_session(&mut self.outputs);
    }

    /// Says GOODBYE; the session is over when the router confirms that, or at once if there is none.
    pub fn leave(&mut self, now_ms: u64) {
        if self.phase == Phase::Joined {
            self.phase = Phase::Leaving { until_ms: now_ms.saturating_add(LEAVE_TIMEOUT_MS) };
            // Nothing may be sent after GOODBYE.
            self.invocations.clear();
            self.bindings.end_session(&mut self.outputs);
            self.send(Message::Goodbye { details: Dict::new(), reason: uris::CLOSE_NORMAL.into() });
        } else if !matches!(self.phase, Phase::Leaving { .. }) {
            self.over(Over::Left);
        }
    }

    /// When [`Session::tick`] is wanted, if nothing else happens before.
    pub fn next_wake_ms(&self) -> Option<u64> {
        match self.phase {
            Phase::Away => None,
            Phase::Joining { until_ms } | Phase::Leaving { until_ms } => Some(until_ms),
            Phase::Joined => {
                self.requests.next_deadline_ms().into_iter().chain(self.bindings.next_retry_ms()).min()
            }
        }
    }

    /// Does what is due by now.
    pub fn tick(&mut self, now_ms: u64) {
        match self.phase {
            Phase::Joining { until_ms } if until_ms <= now_ms => self.over(Over::JoinTimedOut),
            Phase::Leaving { until_ms } if until_ms <= now_ms => self.over(Over::Left),
            Phase::Joined => {
                while let Some(expired) = self.requests.take_expired(now_ms) {
                    if let Some(request) = expired.cancel {
                        self.send_cancel(request);
                    }
                    self.outputs.push(Output::Done { call: expired.call, outcome: Outcome::TimedOut });
                }
                self.bindings.retry(now_ms, &mut self.requests, &mut self.outputs);
            }
            _ => {}
        }
    }

    /// A message has arrived.
    pub fn receive(&mut self, message: Message, now_ms: u64) {
        match self.phase {
            Phase::Away => {}
            Phase::Joining { .. } => self.receive_joining(message),
            Phase::Joined => self.receive_joined(message, now_ms),
            Phase::Leaving { .. } => {
                if let Message::Goodbye { .. } | Message::Abort { .. } = message {
                    self.over(Over::Left);
                }
            }
        }
    }

    /// What arrived is no WAMP message: tells the router and ends the session.
    pub fn violation(&mut self, what: String) {
        if self.phase == Phase::Away {
            return;
        }
        let details = Dict::new().with("message", what.as_str());
        self.send(Message::Abort { details, reason: uris::PROTOCOL_VIOLATION.into() });
        self.over(Over::Violation(what));
    }

    fn receive_joining(&mut self, message: Message) {
        match message {
            Message::Welcome { session, .. } => {
                self.phase = Phase::Joined;
                self.outputs.push(Output::Joined { session_id: session });
                self.bindings.begin_session(&mut self.requests, &mut self.outputs);
            }
            Message::Abort { details, reason } => {
                let message =
                    details.get("message").and_then(|text| text.as_str()).unwrap_or_default().to_owned();
                self.over(Over::Refused { uri: reason, message });
            }
            Message::Challenge { method, .. } => {
                let details = Dict::new().with("message", "only anonymous sessions are supported");
                self.send(Message::Abort { details, reason: uris::NO_AUTH_METHOD.into() });
                self.over(Over::Challenged { method });
            }
            Message::Goodbye { reason, .. } => self.over(Over::Closed { uri: reason }),
            other => self.violation(format!("{} before WELCOME", other.name())),
        }
    }

    fn receive_joined(&mut self, message: Message, now_ms: u64) {
        match message {
            Message::Event { subscription, publication, details, payload } => {
                let bindings = self.bindings.active(Kind::Subscription, subscription);
                if !bindings.is_empty() {
                    self.outputs.push(Output::Event {
                        bindings: bindings.to_vec(),
                        publication,
                        details,
                        payload,
                    });
                }
            }
            Message::Invocation { request, registration, details, payload } => {
                self.invoke(request, registration, details, payload);
            }
            Message::Interrupt { request, .. } => {
                let invocation = InvocationId { session: self.sessions, request };
                if self.answer_error(invocation, uris::CANCELED, Payload::text("the call was cancelled")) {
                    self.outputs.push(Output::Interrupted { invocation });
                }
            }
            Message::Result { request, details, payload } => {
                let progress = details.get("progress").and_then(|value| value.as_bool()) == Some(true);
                self.result(request, progress, payload);
            }
            Message::Published { request, publication } => {
                let fits = |pending: &Pending| matches!(pending, Pending::Publish { .. });
                if let Some(Pending::Publish { call, .. }) = self.take_fitting(request, fits) {
                    self.outputs.push(Output::Done { call, outcome: Outcome::Published(publication) });
                }
            }
            Message::Registered { request, registration } => {
                self.accepted(request, registration);
            }
            Message::Subscribed { request, subscription } => {
                self.accepted(request, subscription);
            }
            Message::Unregistered { request: 0, details } => {
                self.revoked(Kind::Registration, &details, now_ms)
            }
            Message::Unsubscribed { request: 0, details } => {
                self.revoked(Kind::Subscription, &details, now_ms)
            }
            Message::Unregistered { request, .. } | Message::Unsubscribed { request, .. } => {
                self.take_fitting(request, |pending| *pending == Pending::Unbind);
            }
            Message::Error { request, error, payload, .. } => self.error(request, error, payload, now_ms),
            Message::Goodbye { reason, .. } => {
                self.send(Message::Goodbye { details: Dict::new(), reason: uris::GOODBYE_AND_OUT.into() });
                self.over(Over::Closed { uri: reason });
            }
            Message::Abort { details, reason } => {
                let message =
                    details.get("message").and_then(|text| text.as_str()).unwrap_or_default().to_owned();
                self.over(Over::Refused { uri: reason, message });
            }
            other => self.violation(format!("{} in an open session", other.name())),
        }
    }

    fn invoke(&mut self, request: u64, registration: u64, details: Dict, payload: Payload) {
        let invocation = InvocationId { session: self.sessions, request };
        self.invocations.insert(request);
        match self.bindings.active(Kind::Registration, registration).first() {
            Some(&binding) => self.outputs.push(Output::Invoke { binding, invocation, details, payload }),
            None => {
                let text = Payload::text("the procedure is not registered any more");
                self.answer_error(invocation, uris::NO_SUCH_PROCEDURE, text);
            }
        }
    }

    fn result(&mut self, request: u64, progress: bool, payload: Payload) {
        if progress {
            if let Some(call) = self.requests.call(request) {
                self.outputs.push(Output::Progress { call, payload });
            }
        } else if let Some(Pending::Call { call, .. }) =
            self.take_fitting(request, |pending| matches!(pending, Pending::Call { .. }))
        {
            self.outputs.push(Output::Done { call, outcome: Outcome::Result(payload) });
        }
    }

    /// The request that an answer is for; none if nobody waits for it any more. The wrong kind of answer breaks the
    /// protocol.
    fn take_fitting(&mut self, request: u64, fits: impl FnOnce(&Pending) -> bool) -> Option<Pending> {
        if fits(self.requests.get(request)?) {
            return self.requests.take(request);
        }
        self.violation("an answer that does not fit its request".to_owned());
        None
    }

    fn error(&mut self, request: u64, uri: String, payload: Payload, now_ms: u64) {
        match self.requests.take(request) {
            Some(Pending::Call { call, .. } | Pending::Publish { call, .. }) => {
                self.outputs.push(Output::Done { call, outcome: Outcome::Error { uri, payload } });
            }
            Some(Pending::Bind(binding)) => {
                let message =
                    payload.into_values().ok().and_then(|(args, _)| Some(args.first()?.as_str()?.to_owned()));
                self.bindings.refused(binding, uri, message.unwrap_or_default(), now_ms, &mut self.outputs);
            }
            // Nobody wants it any more, or it was unbound at the router already.
            Some(Pending::Unbind) | None => {}
        }
    }

    fn accepted(&mut self, request: u64, id: u64) {
        let fits = |pending: &Pending| matches!(pending, Pending::Bind(_));
        if let Some(Pending::Bind(binding)) = self.take_fitting(request, fits) {
            self.bindings.accepted(binding, id, &mut self.requests, &mut self.outputs);
        }
    }

    fn revoked(&mut self, kind: Kind, details: &Dict, now_ms: u64) {
        let key = match kind {
            Kind::Registration => "registration",
            Kind::Subscription => "subscription",
        };
        if let Some(id) = details.get(key).and_then(|id| id.as_u64()) {
            let reason =
                details.get("reason").and_then(|text| text.as_str()).unwrap_or("revoked by the router");
            self.bindings.revoked(kind, id, reason, now_ms, &mut self.outputs);
        }
    }

    /// Calls a procedure.
    ///
    /// # Errors
    /// When nothing was sent.
    pub fn call(
        &mut self,
        procedure: &str,
        payload: Payload,
        settings: CallSettings,
        now_ms: u64,
    ) -> Result<CallId, NotSent> {
        self.may_ask()?;
        let deadline_ms = settings.timeout_ms.map(|timeout_ms| now_ms.saturating_add(timeout_ms));
        let (request, call) = self.requests.add_call(deadline_ms);
        let mut options = Dict::new();
        if settings.progress {
            options.insert("receive_progress", true);
        }
        self.send(Message::Call { request, options, procedure: procedure.to_owned(), payload });
        Ok(call)
    }

    /// Gives a call up: nothing more is heard of it. Does nothing if it has ended.
    pub fn cancel(&mut self, call: CallId) {
        if let Some(request) = self.requests.take_call(call)
            && self.phase == Phase::Joined
        {
            self.send_cancel(request);
        }
    }

    /// Publishes without acknowledgement.
    ///
    /// # Errors
    /// When nothing was sent.
    pub fn publish(&mut self, topic: &str, payload: Payload) -> Result<(), NotSent> {
        if self.phase != Phase::Joined {
            return Err(NotSent::NotJoined);
        }
        let request = self.requests.next_id();
        self.send(Message::Publish { request, options: Dict::new(), topic: topic.to_owned(), payload });
        Ok(())
    }

    /// Publishes; [`Output::Done`] follows when the router has accepted or refused it.
    ///
    /// # Errors
    /// When nothing was sent.
    pub fn publish_acknowledged(
        &mut self,
        topic: &str,
        payload: Payload,
        timeout_ms: u64,
        now_ms: u64,
    ) -> Result<CallId, NotSent> {
        self.may_ask()?;
        let (request, call) = self.requests.add_publish(now_ms.saturating_add(timeout_ms));
        let options = Dict::new().with("acknowledge", true);
        self.send(Message::Publish { request, options, topic: topic.to_owned(), payload });
        Ok(call)
    }

    /// Wants a registration or subscription, in this session and all that follow.
    pub fn bind(&mut self, kind: Kind, uri: &str, matching: Match) -> BindingId {
        let binding = self.bindings.add(kind, uri, matching);
        if self.phase == Phase::Joined {
            self.bindings.request(binding, &mut self.requests, &mut self.outputs);
        }
        binding
    }

    /// Wants it no more.
    pub fn unbind(&mut self, binding: BindingId) {
        self.bindings.remove(binding, &mut self.requests, &mut self.outputs);
    }

    /// Answers an invocation with a result, or with `progress` a step of it. Returns whether somebody waits for it.
    pub fn answer(&mut self, invocation: InvocationId, payload: Payload, progress: bool) -> bool {
        let waits = self.waits(invocation, !progress);
        if waits {
            let mut options = Dict::new();
            if progress {
                options.insert("progress", true);
            }
            self.send(Message::Yield { request: invocation.request, options, payload });
        }
        waits
    }

    /// Answers an invocation with an error. Returns whether somebody waited for it.
    pub fn answer_error(&mut self, invocation: InvocationId, uri: &str, payload: Payload) -> bool {
        let waits = self.waits(invocation, true);
        if waits {
            self.send(Message::Error {
                request_type: codes::INVOCATION,
                request: invocation.request,
                details: Dict::new(),
                error: uri.to_owned(),
                payload,
            });
        }
        waits
    }

    /// Whether an invocation is unanswered; with `last` it is answered from now on.
    fn waits(&mut self, invocation: InvocationId, last: bool) -> bool {
        let InvocationId { session, request } = invocation;
        session == self.sessions
            && if last { self.invocations.remove(&request) } else { self.invocations.contains(&request) }
    }

    fn may_ask(&self) -> Result<(), NotSent> {
        if self.phase != Phase::Joined {
            Err(NotSent::NotJoined)
        } else if self.requests.waiting_calls() >= self.options.max_pending_calls {
            Err(NotSent::TooManyCalls)
        } else {
            Ok(())
        }
    }

    /// The callee is told, and the router answers at once; that answer finds nobody.
    fn send_cancel(&mut self, request: u64) {
        self.send(Message::Cancel { request, options: Dict::new().with("mode", "killnowait") });
    }

    fn send(&mut self, message: Message) {
        self.outputs.push(Output::Send(message));
    }

    fn over(&mut self, over: Over) {
        self.disconnected();
        self.outputs.push(Output::Over(over));
    }
}

/// The roles of this client, with the features of the WAMP spec's Advanced Profile that it has.
fn hello_details(agent: Option<&str>) -> Dict {
    fn role(features: &[&str]) -> Dict {
        Dict::new().with("features", features.iter().map(|feature| (*feature, true)).collect::<Dict>())
    }
    let roles = Dict::new()
        .with("caller", role(&["call_canceling", "progressive_call_results"]))
        .with(
            "callee",
            role(&[
                "call_canceling",
                "progressive_call_results",
                "pattern_based_registration",
                "registration_revocation",
            ]),
        )
        .with("publisher", role(&[]))
        .with("subscriber", role(&["pattern_based_subscription", "subscription_revocation"]));
    Dict::new()
        .with("agent", agent.unwrap_or(concat!("campanile-", env!("CARGO_PKG_VERSION"))))
        .with("authmethods", vec!["anonymous".into()])
        .with("roles", roles)
}

#[cfg(test)]
mod tests;
